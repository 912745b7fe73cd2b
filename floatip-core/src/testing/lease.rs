//! A lease in memory that several monitors share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::lease::{Epoch, Grant, Lease, LeaseError};

/// What is wrong with a store of leases, as one monitor meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Every call fails at once, and changes nothing.
    Failing,
    /// No call ever ends, and nothing changes.
    Hanging,
    /// Every call is carried out, and then fails.
    RepliesLost,
}

/// The store of one lease. Cheap to clone; clones are handles on the same lease.
#[derive(Debug, Clone)]
pub struct InMemoryLeaseStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    valid_for: Duration,
    epoch: u64,
    holder: Option<(Arc<str>, Instant)>,
    outages: BTreeMap<Arc<str>, Outage>,
}

impl InMemoryLeaseStore {
    /// A lease that nobody holds yet, and that is granted for `valid_for` at a time.
    pub fn new(valid_for: Duration) -> Self {
        let shared = Shared { valid_for, epoch: 0, holder: None, outages: BTreeMap::new() };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// The lease as the monitor of this name sees it.
    pub fn lease(&self, monitor: &str) -> InMemoryLease {
        InMemoryLease { store: self.clone(), monitor: monitor.into() }
    }

    /// The monitor that holds the lease now.
    pub fn holder(&self) -> Option<Arc<str>> {
        self.shared().current()
    }

    /// The epoch of the newest acquisition; zero before the first.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.shared().epoch)
    }

    /// Ends the lease now, as if its time had passed, so that any monitor can acquire it.
    pub fn expire(&self) {
        self.shared().holder = None;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn current(&self) -> Option<Arc<str>> {
        let now = Instant::now();
        self.holder.as_ref().filter(|(_, until)| now < *until).map(|(holder, _)| holder.clone())
    }
}

/// A lease of an [`InMemoryLeaseStore`] for one monitor. The epoch goes up at each acquisition, also when a monitor
/// acquires again what it had let lapse; a renewal keeps it.
#[derive(Debug, Clone)]
pub struct InMemoryLease {
    store: InMemoryLeaseStore,
    monitor: Arc<str>,
}

impl InMemoryLease {
    /// Sets what is wrong with the store for this monitor, for calls that start from now on; `None` ends it.
    pub fn set_outage(&self, outage: Option<Outage>) {
        let mut shared = self.store.shared();
        match outage {
            Some(outage) => drop(shared.outages.insert(self.monitor.clone(), outage)),
            None => drop(shared.outages.remove(&self.monitor)),
        }
    }

    async fn ask<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> Result<T, LeaseError> {
        let outage = self.store.shared().outages.get(&self.monitor).copied();
        match outage {
            None => return Ok(work(&mut self.store.shared())),
            Some(Outage::Failing) => {}
            Some(Outage::Hanging) => std::future::pending().await,
            Some(Outage::RepliesLost) => drop(work(&mut self.store.shared())),
        }
        Err(LeaseError { source: "injected".into() })
    }
}

#[async_trait]
impl Lease for InMemoryLease {
    async fn acquire(&self) -> Result<Option<Grant>, LeaseError> {
        self.ask(|shared| {
            match shared.current() {
                Some(holder) if holder != self.monitor => return None,
                Some(_) => {}
                None => shared.epoch += 1,
            }
            shared.holder = Some((self.monitor.clone(), Instant::now() + shared.valid_for));
            Some(Grant::new(Epoch(shared.epoch), shared.valid_for))
        })
        .await
    }

    async fn release(&self) -> Result<(), LeaseError> {
        self.ask(|shared| {
            if shared.current().as_ref() == Some(&self.monitor) {
                shared.holder = None;
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const VALID: Duration = Duration::from_secs(10);

    async fn epoch(lease: &InMemoryLease) -> Option<u64> {
        lease.acquire().await.unwrap().map(|grant| grant.epoch.0)
    }

    #[tokio::test(start_paused = true)]
    async fn one_monitor_holds_the_lease_until_it_lapses_or_is_released() {
        let store = InMemoryLeaseStore::new(VALID);
        let (one, two) = (store.lease("one"), store.lease("two"));
        assert_eq!((epoch(&one).await, epoch(&two).await), (Some(1), None));
        advance(VALID / 2).await;
        assert_eq!(epoch(&one).await, Some(1));
        advance(VALID - Duration::from_millis(1)).await;
        assert_eq!(epoch(&two).await, None);
        advance(Duration::from_millis(1)).await;
        assert_eq!((epoch(&two).await, epoch(&one).await), (Some(2), None));
        one.release().await.unwrap();
        assert_eq!(store.holder().as_deref(), Some("two"));
        two.release().await.unwrap();
        assert_eq!((epoch(&one).await, store.epoch()), (Some(3), Epoch(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_meets_one_monitor_and_a_lost_reply_was_carried_out() {
        let store = InMemoryLeaseStore::new(VALID);
        let (one, two) = (store.lease("one"), store.lease("two"));
        one.set_outage(Some(Outage::Failing));
        assert!(one.acquire().await.is_err());
        assert_eq!(store.holder(), None);
        one.set_outage(Some(Outage::RepliesLost));
        assert!(one.acquire().await.is_err());
        assert_eq!(epoch(&two).await, None);
        one.set_outage(Some(Outage::Hanging));
        assert!(tokio::time::timeout(VALID, one.acquire()).await.is_err());
        assert_eq!(epoch(&two).await, Some(2));
        one.set_outage(None);
        assert_eq!(epoch(&one).await, None);
    }
}
