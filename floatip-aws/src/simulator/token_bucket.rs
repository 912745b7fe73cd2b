use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::action::Action;
use super::parameters::Parameters;

/// The account's token buckets: one an action, and another for describes that are neither filtered nor paginated.
///
/// # Source
/// Amazon EC2 developer guide, "Request throttling for the Amazon EC2 API", request token bucket sizes and refill rates.
#[derive(Debug, Default)]
pub(super) struct TokenBuckets {
    /// `None` while they are off.
    buckets: Mutex<Option<BTreeMap<(Action, Breadth), Bucket>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Breadth {
    /// A describe of everything at once.
    Unbounded,
    Bounded,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Burst, and tokens a second.
fn size(action: Action, breadth: Breadth) -> (f64, f64) {
    use Action::{AssignPrivateIpAddresses, ModifyNetworkInterfaceAttribute, UnassignPrivateIpAddresses};
    let gentle = [AssignPrivateIpAddresses, UnassignPrivateIpAddresses, ModifyNetworkInterfaceAttribute];
    match breadth {
        Breadth::Unbounded => (50.0, 10.0),
        Breadth::Bounded if action.is_describe() => (100.0, 20.0),
        Breadth::Bounded if gentle.contains(&action) => (100.0, 5.0),
        Breadth::Bounded => (50.0, 5.0),
    }
}

impl TokenBuckets {
    fn buckets(&self) -> MutexGuard<'_, Option<BTreeMap<(Action, Breadth), Bucket>>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches them on, all of them full, or off.
    pub(super) fn switch(&self, on: bool) {
        *self.buckets() = on.then(BTreeMap::new);
    }

    /// Whether a request finds a token.
    pub(super) fn admit(&self, action: Action, parameters: &Parameters, now: Instant) -> bool {
        let bounded = ["Filter.1.Name", "MaxResults"].iter().any(|name| parameters.get(name).is_some());
        let breadth = if action.is_describe() && !bounded { Breadth::Unbounded } else { Breadth::Bounded };
        self.take(action, breadth, 1.0, now)
    }

    /// Takes so many of an action's tokens, or as many as there are, as another client of the account would.
    pub(super) fn spend(&self, action: Action, tokens: u32, now: Instant) {
        (0..tokens).take_while(|_| self.take(action, Breadth::Bounded, 1.0, now)).for_each(drop);
    }

    fn take(&self, action: Action, breadth: Breadth, tokens: f64, now: Instant) -> bool {
        let mut buckets = self.buckets();
        let Some(buckets) = &mut *buckets else { return true };
        let (burst, per_second) = size(action, breadth);
        let bucket = buckets.entry((action, breadth)).or_insert(Bucket { tokens: burst, at: now });
        let refilled = bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * per_second;
        (bucket.tokens, bucket.at) = (refilled.min(burst), now);
        let admitted = bucket.tokens >= tokens;
        if admitted {
            bucket.tokens -= tokens;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::parse(query.as_bytes()).unwrap()
    }

    #[test]
    fn each_action_has_its_documented_burst_and_refill() {
        let now = super::super::cloud::now();
        let filtered = "Filter.1.Name=a&Filter.1.Value.1=b";
        for (action, query, burst, refill) in [
            (Action::DescribeNetworkInterfaces, filtered, 100, 20),
            (Action::DescribeInstances, "MaxResults=5", 100, 20),
            (Action::DescribeAddresses, "AllocationId.1=eipalloc-1", 50, 10),
            (Action::AttachNetworkInterface, "", 50, 5),
            (Action::ReplaceRoute, "", 50, 5),
            (Action::AssignPrivateIpAddresses, "", 100, 5),
            (Action::ModifyNetworkInterfaceAttribute, "", 100, 5),
        ] {
            let buckets = TokenBuckets::default();
            let parameters = parameters(query);
            let admitted = |at| (0..).take_while(|_| buckets.admit(action, &parameters, at)).take(1000).count();
            assert_eq!(admitted(now), 1000, "they are off");
            buckets.switch(true);
            assert_eq!(admitted(now), burst, "{action}");
            assert_eq!(admitted(now + Duration::from_secs(1)), refill, "{action}");
            assert_eq!(admitted(now + Duration::from_secs(3600)), burst, "{action} holds no more");
        }
    }

    #[test]
    fn an_empty_bucket_leaves_the_other_actions_alone() {
        let (buckets, now, none) = (TokenBuckets::default(), super::super::cloud::now(), parameters(""));
        buckets.switch(true);
        buckets.spend(Action::AttachNetworkInterface, 60, now);
        assert!(!buckets.admit(Action::AttachNetworkInterface, &none, now));
        assert!(buckets.admit(Action::DetachNetworkInterface, &none, now));
    }
}
