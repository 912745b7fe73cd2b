//! Who may move the address: one monitor among several.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::BoxError;

/// The fencing number of a lease: one up at each acquisition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A lease that is held for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The fencing number.
    pub epoch: Epoch,
    /// How long the grant is valid, counted from *before* the call that brought it was sent.
    pub valid_for: Duration,
}

impl Grant {
    /// A grant of the given parts.
    pub fn new(epoch: Epoch, valid_for: Duration) -> Self {
        Self { epoch, valid_for }
    }
}

/// The store of leases could not be asked. The lease may or may not be held: it lapses by itself.
#[derive(Debug, thiserror::Error)]
#[error("the lease store did not answer")]
pub struct LeaseError {
    /// What is known.
    #[source]
    pub source: BoxError,
}

/// A lease on one floating IP, in a store that several monitors share.
///
/// The orchestrator renews three times within a grant's validity. A monitor without a valid grant goes on probing and
/// reading, and requests nothing.
#[async_trait]
pub trait Lease: fmt::Debug + Send + Sync + 'static {
    /// Acquires the lease, or renews it if this monitor holds it. `None` if another monitor holds it.
    ///
    /// # Errors
    /// [`LeaseError`] if the store did not answer; an earlier grant stays valid until it ends by its own time.
    async fn acquire(&self) -> Result<Option<Grant>, LeaseError>;

    /// Gives the lease up on a clean shutdown, so that another monitor need not wait for its end.
    ///
    /// # Errors
    /// [`LeaseError`] if the store did not answer; the lease then ends by its own time.
    async fn release(&self) -> Result<(), LeaseError>;
}
