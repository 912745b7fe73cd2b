//! The store of the one lease.

use std::time::Duration;

use floatip_core::{Epoch, Grant};

/// How long a grant is valid.
pub(crate) const VALID: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct LeaseStore {
    held: Option<(usize, Duration)>,
    epoch: u64,
}

impl LeaseStore {
    /// The monitor that holds the lease.
    pub(crate) fn holder(&self, now: Duration) -> Option<usize> {
        self.held.filter(|(_, until)| now < *until).map(|(monitor, _)| monitor)
    }

    pub(crate) fn acquire(&mut self, now: Duration, monitor: usize) -> Option<Grant> {
        match self.holder(now) {
            Some(other) if other != monitor => return None,
            Some(_) => {}
            None => self.epoch += 1,
        }
        self.held = Some((monitor, now + VALID));
        Some(Grant::new(Epoch(self.epoch), VALID))
    }

    pub(crate) fn release(&mut self, monitor: usize) {
        self.held = self.held.filter(|(holder, _)| *holder != monitor);
    }
}
