//! What is true about one node.

use std::time::Duration;

/// How a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Well { latency: Duration },
    Lossy { percent: u8 },
    Uneven { percent: u8, slow: Duration },
    Refuses,
    Hangs,
    Terminated,
}

/// One node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pub(crate) condition: Condition,
    /// It does not answer through the floating address.
    pub(crate) mute: bool,
    /// Somebody uses it.
    pub(crate) in_use: bool,
    /// Somebody maintains it.
    pub(crate) maintained: bool,
}

impl Server {
    pub(crate) fn well() -> Self {
        let condition = Condition::Well { latency: Duration::from_millis(3) };
        Self { condition, mute: false, in_use: false, maintained: false }
    }

    /// True if it answers every probe within `timeout`.
    pub(crate) fn is_well(&self, timeout: Duration) -> bool {
        match self.condition {
            Condition::Well { latency } => latency < timeout,
            Condition::Lossy { .. }
            | Condition::Uneven { .. }
            | Condition::Refuses
            | Condition::Hangs
            | Condition::Terminated => false,
        }
    }
}
