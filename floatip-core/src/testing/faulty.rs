//! Any mover, with faults.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::fault::{Call, Faults};
use crate::mover::{Accepted, AddressMover, Capabilities, MoveError, Placement, Readiness, ReleaseMode};
use crate::node::NodeId;

/// Wraps a mover so that given calls fail, for sweeps over every call of a move.
///
/// A lost reply means that the inner call was made and its answer thrown away. Every call ends at the inner mover's call
/// timeout at the latest, unless its fault is to hang.
#[derive(Debug, Clone)]
pub struct FaultyMover {
    inner: Arc<dyn AddressMover>,
    faults: Faults,
}

impl FaultyMover {
    /// Wraps `inner`; nothing fails until [`faults`](Self::faults) are made.
    pub fn new(inner: Arc<dyn AddressMover>) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// What the calls meet with; may be changed at any time. It counts them too.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    fn limit(&self) -> Duration {
        self.inner.capabilities().call_timeout
    }
}

#[async_trait]
impl AddressMover for FaultyMover {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.inner.serves(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        let inner = self.inner.clone();
        self.faults.around(Call::Locate, self.limit(), async move { inner.locate().await }).await
    }

    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let (inner, seen) = (self.inner.clone(), seen.clone());
        self.faults.around(Call::Release, self.limit(), async move { inner.release(&seen, mode).await }).await
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let (inner, to, seen) = (self.inner.clone(), to.clone(), seen.clone());
        self.faults.around(Call::Claim, self.limit(), async move { inner.claim(&to, &seen).await }).await
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        let (inner, to) = (self.inner.clone(), to.clone());
        self.faults.around(Call::Ready, self.limit(), async move { inner.ready(&to).await }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fault, InMemoryMover, InMemoryProvider};

    #[tokio::test(start_paused = true)]
    async fn a_fault_at_an_index_meets_that_call_and_no_other() {
        let node = NodeId::new("a").unwrap();
        for index in 0..4 {
            let provider = InMemoryProvider::new([node.clone()]);
            let mover = FaultyMover::new(Arc::new(InMemoryMover::release_first(&provider)));
            mover.faults().at(Call::Locate, index, Fault::RequestLost);
            for call in 0..4 {
                assert_eq!(mover.locate().await.is_err(), call == index);
            }
            assert_eq!(mover.faults().calls(Call::Locate), 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_faults_that_apply_the_request_let_the_inner_mover_see_it() {
        const DELAY: Duration = Duration::from_secs(60);
        let node = NodeId::new("a").unwrap();
        for fault in Fault::all(DELAY) {
            let provider = InMemoryProvider::new([node.clone()]);
            let mover = FaultyMover::new(Arc::new(InMemoryMover::release_first(&provider)));
            mover.faults().next(Call::Claim, 1, fault.clone());
            let claim = {
                let (mover, node) = (mover.clone(), node.clone());
                tokio::spawn(async move { mover.claim(&node, &Placement::Free).await })
            };
            let ended = tokio::time::timeout(Duration::from_secs(10), claim).await;
            assert_eq!(ended.is_err(), matches!(fault, Fault::Hang | Fault::HangApplied), "{fault:?}");
            let applied = matches!(fault, Fault::ReplyLost | Fault::AppliedInternalError | Fault::HangApplied);
            assert_eq!(provider.holder().is_some(), applied, "{fault:?}");
            tokio::time::sleep(DELAY).await;
            assert_eq!(provider.holder().is_some(), applied || fault == Fault::Late(DELAY), "{fault:?}");
        }
    }
}
