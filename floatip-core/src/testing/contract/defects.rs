//! Movers that break the contract, each in one way.

use std::future::Future;
use std::sync::Mutex;

use async_trait::async_trait;

use crate::mover::{Accepted, AddressMover, Capabilities, MoveError, Placement, Readiness, ReleaseMode, Token};
use crate::node::NodeId;
use crate::testing::InMemoryMover;

/// A way in which a mover can break its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defect {
    CachesLocate,
    AnswersOldReadingWhenReadFails,
    CallsFreeHeld,
    CallsTransitionFree,
    CallsStrangerFree,
    ServesEverybody,
    ReadyUnreadable,
    GrabsOnConflict,
    OverwritesBlindly,
    ReleasesWhoeverHolds,
    TrustsStaleRelease,
    ReusesTokens,
    AnswersWrongToken,
    NeverSettles,
    ReleasesWhenClaimedForHolder,
    ClaimsForUnknownNodes,
    CallsUnknownOutcomeThrottled,
    SwallowsErrors,
    CallsThrottledDenied,
    RetriesLostReplies,
    NeverEnds,
    ForgetsToRelease,
    ForgetsToForce,
    StaysBusyWhenDropped,
    CallsSplitHeld,
    ForgetsTheRest,
    CallsPartlyDone,
}

/// The in-memory mover with one defect.
#[derive(Debug)]
pub(super) struct Defective {
    inner: InMemoryMover,
    defect: Defect,
    first: Mutex<Option<Placement>>,
    busy: Mutex<bool>,
}

impl Defective {
    pub(super) fn new(inner: InMemoryMover, defect: Defect) -> Self {
        Self { inner, defect, first: Mutex::default(), busy: Mutex::default() }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    /// Runs a call, and with that defect refuses every call after one that was dropped.
    async fn alone<T>(&self, call: impl Future<Output = Result<T, MoveError>> + Send) -> Result<T, MoveError> {
        if std::mem::replace(&mut *self.busy.lock().unwrap(), self.has(Defect::StaysBusyWhenDropped)) {
            return Err(MoveError::NotYet { call: "any", resource: "address".into(), source: "busy".into() });
        }
        let answer = call.await;
        *self.busy.lock().unwrap() = false;
        answer
    }

    /// What the defect makes of a token: one id for every assignment to a node.
    fn renamed(&self, placement: Placement) -> Placement {
        match placement {
            Placement::Held { node, .. } if self.has(Defect::ReusesTokens) => {
                let token = Token::generation(format!("assignment of {node}"));
                Placement::held(node, token)
            }
            Placement::Held { node, token, .. } if self.has(Defect::NeverSettles) => Placement::held(node, token),
            Placement::Free if self.has(Defect::CallsFreeHeld) => {
                Placement::held(NodeId::new("a").unwrap(), Token::snapshot("a"))
            }
            Placement::Transition { .. } if self.has(Defect::CallsTransitionFree) => Placement::Free,
            Placement::Stranger { .. } if self.has(Defect::CallsStrangerFree) => Placement::Free,
            Placement::Split { token, .. } if self.has(Defect::CallsSplitHeld) => {
                Placement::held(NodeId::new("a").unwrap(), token)
            }
            other @ (Placement::Held { .. }
            | Placement::Transition { .. }
            | Placement::Free
            | Placement::Stranger { .. }
            | Placement::Split { .. }) => other,
        }
    }

    /// The inner mover's own reading in the place of one that the defect renamed.
    fn original(&self, seen: &Placement) -> Placement {
        if self.has(Defect::ReusesTokens) { self.inner.provider().placement() } else { seen.clone() }
    }

    fn retold<T: Default>(&self, answer: Result<T, MoveError>) -> Result<T, MoveError> {
        match answer {
            Err(MoveError::OutcomeUnknown { call, source, .. }) if self.has(Defect::CallsUnknownOutcomeThrottled) => {
                Err(MoveError::Throttled { call, source })
            }
            Err(MoveError::Throttled { call, source }) if self.has(Defect::CallsThrottledDenied) => {
                Err(MoveError::Denied { call, resource: "address".into(), source })
            }
            Err(_) if self.has(Defect::SwallowsErrors) => Ok(T::default()),
            Err(MoveError::Partly { .. }) if self.has(Defect::CallsPartlyDone) => Ok(T::default()),
            answer => answer,
        }
    }
}

#[async_trait]
impl AddressMover for Defective {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.has(Defect::ServesEverybody) || self.inner.serves(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        let kept = self.first.lock().unwrap().clone();
        if let Some(kept) = kept.clone()
            && self.has(Defect::CachesLocate)
        {
            return Ok(kept);
        }
        let reading = match self.alone(self.inner.locate()).await {
            Err(MoveError::TimedOut { .. }) if self.has(Defect::NeverEnds) => std::future::pending().await,
            reading => reading.map(|placement| self.renamed(placement)),
        };
        match (reading, kept) {
            (Err(_), Some(kept)) if self.has(Defect::AnswersOldReadingWhenReadFails) => Ok(kept),
            (reading, _) => {
                if let Ok(placement) = &reading {
                    *self.first.lock().unwrap() = Some(placement.clone());
                }
                reading
            }
        }
    }

    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let seen = self.original(seen);
        let forgotten = match mode {
            ReleaseMode::Graceful => Defect::ForgetsToRelease,
            ReleaseMode::Forced => Defect::ForgetsToForce,
        };
        if self.has(forgotten) {
            return Ok(Accepted::without_token());
        }
        match self.alone(self.inner.release(&seen, mode)).await {
            Err(MoveError::Conflict { .. }) if self.has(Defect::ReleasesWhoeverHolds) => {
                self.inner.release(&self.inner.provider().placement(), mode).await
            }
            Err(MoveError::Conflict { .. }) if self.has(Defect::TrustsStaleRelease) => Ok(Accepted::without_token()),
            Err(error) if error.may_have_changed() && self.has(Defect::RetriesLostReplies) => {
                self.inner.release(&seen, mode).await
            }
            answer => self.retold(answer),
        }
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let mut seen = self.original(seen);
        let provider = self.inner.provider();
        if self.has(Defect::OverwritesBlindly) {
            seen = provider.placement();
        }
        if self.has(Defect::ForgetsTheRest) && matches!(seen, Placement::Split { .. }) {
            return Ok(Accepted::without_token());
        }
        if self.has(Defect::ReleasesWhenClaimedForHolder) && seen.holder() == Some(to) {
            provider.free();
        }
        if self.has(Defect::ClaimsForUnknownNodes) && !self.serves(to) {
            provider.put_on(to);
        }
        match self.alone(self.inner.claim(to, &seen)).await {
            Err(MoveError::Conflict { .. } | MoveError::NotYet { .. }) if self.has(Defect::GrabsOnConflict) => {
                provider.put_on(to);
                Ok(Accepted::without_token())
            }
            Err(error) if error.may_have_changed() && self.has(Defect::RetriesLostReplies) => {
                self.inner.claim(to, &seen).await
            }
            Err(MoveError::OutcomeUnknown { .. }) if self.has(Defect::NeverEnds) => std::future::pending().await,
            Ok(_) if self.has(Defect::AnswersWrongToken) => Ok(Accepted::with_token(Token::generation("none"))),
            Ok(_) if self.has(Defect::ReusesTokens) => Ok(Accepted::without_token()),
            answer => self.retold(answer),
        }
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        if self.has(Defect::ReadyUnreadable) {
            return Err(MoveError::TimedOut { call: "ready", source: "defect".into() });
        }
        self.alone(self.inner.ready(to)).await
    }
}
