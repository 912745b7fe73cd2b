//! What may go wrong with EC2 while the address moves.

use std::time::Duration;

use clap::ValueEnum;
use floatip_aws::simulator::{self, Action, Faults, Scope, When};

use super::cloud::MoverKind;

/// A fault that strikes as the server dies. Each one ends, or can be got around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// The next 4 calls are refused with RequestLimitExceeded
    Throttled,
    /// The first request that moves the address is applied, but its reply is lost
    ReplyLost,
    /// The first request that moves the address is lost
    RequestLost,
    /// The first request that moves the address is answered with InternalError
    InternalError,
    /// The first request that moves the address is applied, and answered with InternalError all the same
    AppliedInternalError,
    /// Every reading shows the cloud as it was 1.5 s ago
    StaleReads,
    /// Every call takes 0.8 s
    Slow,
    /// The first request that moves the address is never answered
    Hang,
    /// Nothing at all is answered for 3 s
    BlackHole,
    /// The first request that moves the address is refused with UnauthorizedOperation
    Denied,
    /// The device index is taken on the other server (eni only)
    DeviceIndexTaken,
    /// The detach never ends, unless it is forced (eni only)
    StuckDetach,
}

impl Fault {
    /// Whether it can strike a move of this kind.
    pub(super) fn strikes(self, mover: MoverKind) -> bool {
        match self {
            Self::DeviceIndexTaken | Self::StuckDetach => mover == MoverKind::Eni,
            Self::Throttled
            | Self::ReplyLost
            | Self::RequestLost
            | Self::InternalError
            | Self::AppliedInternalError
            | Self::StaleReads
            | Self::Slow
            | Self::Hang
            | Self::BlackHole
            | Self::Denied => true,
        }
    }

    /// Strikes now. Some end by themselves; where a time is given back, all faults are to be cleared then.
    pub(super) fn strike(self, faults: &Faults) -> Option<Duration> {
        let first_request = |fault| faults.set(Scope::Mutations, fault, When::Next(1));
        match self {
            Self::Throttled => faults.set(Scope::Every, simulator::Fault::Throttled, When::Next(4)),
            Self::ReplyLost => first_request(simulator::Fault::ReplyLost),
            Self::RequestLost => first_request(simulator::Fault::RequestLost),
            Self::InternalError => first_request(simulator::Fault::InternalError),
            Self::AppliedInternalError => first_request(simulator::Fault::AppliedThenInternalError),
            Self::StaleReads => {
                let stale = simulator::Fault::StaleBy(Duration::from_millis(1500));
                faults.set(Scope::Describes, stale, When::Always);
            }
            Self::Slow => {
                let latency = simulator::Fault::Latency(Duration::from_millis(800));
                faults.set(Scope::Every, latency, When::Always);
            }
            Self::Hang => first_request(simulator::Fault::Hang),
            Self::BlackHole => {
                faults.black_hole();
                return Some(Duration::from_secs(3));
            }
            Self::Denied => first_request(simulator::Fault::Denied),
            Self::DeviceIndexTaken => {
                faults.set(Action::AttachNetworkInterface, simulator::Fault::DeviceIndexTaken, When::Next(1));
            }
            Self::StuckDetach => {
                faults.set(Action::DetachNetworkInterface, simulator::Fault::StuckDetach, When::Always);
            }
        }
        None
    }
}
