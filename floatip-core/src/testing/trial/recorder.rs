//! Stands between a monitor and its mover, and keeps the requests.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::mover::{Accepted, AddressMover, Capabilities, MoveError, Placement, Readiness, ReleaseMode};
use crate::node::NodeId;

/// When requests were sent, by all movers of one monitor.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Mutex<Vec<Instant>>>);

impl Requests {
    fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    /// How many were sent after `at`.
    pub(super) fn after(&self, at: Instant) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|sent| **sent > at).count()
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[derive(Debug)]
pub(super) struct Recorder {
    inner: Arc<dyn AddressMover>,
    requests: Requests,
}

impl Recorder {
    pub(super) fn new(inner: Arc<dyn AddressMover>, requests: &Requests) -> Self {
        Self { inner, requests: requests.clone() }
    }
}

#[async_trait]
impl AddressMover for Recorder {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.inner.serves(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        self.inner.locate().await
    }

    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        self.requests.note();
        self.inner.release(seen, mode).await
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        self.requests.note();
        self.inner.claim(to, seen).await
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        self.inner.ready(to).await
    }
}
