use std::sync::Arc;

use async_trait::async_trait;
use floatip_core::{Accepted, AddressMover, Capabilities, MoveError, NodeId, Placement, Readiness, ReleaseMode};
use tokio::join;
use tokio::time::timeout;

use super::{Finding, Preflight};

/// A mover whose readiness is what its preflight says too.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) mover: Arc<dyn AddressMover>,
    pub(super) preflight: Preflight,
}

#[async_trait]
impl AddressMover for Guarded {
    fn capabilities(&self) -> Capabilities {
        self.mover.capabilities()
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.mover.serves(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        self.mover.locate().await
    }

    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        self.mover.release(seen, mode).await
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        self.mover.claim(to, seen).await
    }

    /// What the preflight cannot find out, or not in time, is no obstacle: the node stays what the mover itself says.
    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        let preflight = timeout(self.capabilities().call_timeout, self.preflight.findings_of(to));
        let (readiness, findings) = join!(self.mover.ready(to), preflight);
        let findings = findings.unwrap_or_default();
        match (readiness?, findings.iter().find_map(Finding::obstacle)) {
            (Readiness::Ready, Some(reason)) => Ok(Readiness::Impossible { reason }),
            (readiness, _) => Ok(readiness),
        }
    }
}
