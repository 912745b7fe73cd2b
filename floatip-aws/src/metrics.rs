use std::time::Duration;

/// How often one action of the EC2 API was called through an [`Ec2`](crate::Ec2) and its clones, since it was built.
///
/// # Source
/// The names are those of the Amazon EC2 API Reference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallMetrics {
    /// The action, such as `DescribeNetworkInterfaces`.
    pub call: &'static str,
    /// Calls that were sent, or were about to be when nobody wanted the answer any more.
    pub sent: u64,
    /// Reads that needed no call of their own: they were asked for before another's was sent, and shared its answer.
    pub joined: u64,
    /// Calls that EC2 answered with a throttling error.
    pub throttled: u64,
    /// Calls that were not sent because their turn was too far off; whoever asked tries again.
    pub held_back: u64,
    /// The time that calls which were sent have waited for their turn, together. The waits between a call that was held
    /// back and the next try are not in it.
    pub waited: Duration,
}

impl CallMetrics {
    pub(crate) fn new(call: &'static str) -> Self {
        Self { call, sent: 0, joined: 0, throttled: 0, held_back: 0, waited: Duration::ZERO }
    }
}
