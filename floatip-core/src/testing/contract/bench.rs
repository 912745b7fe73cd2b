//! What the cases of the contract are made of: arrangements, reads, and waiting for effects.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Fixture, Situation};
use crate::chain;
use crate::mover::{AddressMover, MoveError, Placement, ReleaseMode, Strategy};
use crate::node::NodeId;
use crate::testing::fault::{Call, Fault};

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Miss {
    Failed(String),
    NotApplicable(&'static str),
}

impl Miss {
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    pub(super) fn error(what: &str, error: &MoveError) -> Self {
        Self::Failed(format!("{what} failed: {}", chain(error)))
    }
}

/// Fails the case unless `condition` holds.
pub(super) fn ensure(condition: bool, why: impl FnOnce() -> String) -> Result<(), Miss> {
    if condition { Ok(()) } else { Err(Miss::Failed(why())) }
}

/// A fixture at work in one case.
pub(super) struct Bench<F> {
    pub(super) fixture: F,
    pub(super) mover: Arc<dyn AddressMover>,
    pub(super) nodes: Vec<NodeId>,
}

impl<F: Fixture> Bench<F> {
    pub(super) fn new(fixture: F) -> Self {
        let (mover, nodes) = (fixture.mover(), fixture.nodes());
        assert!(nodes.len() >= 2, "a fixture needs two nodes at least");
        Self { fixture, mover, nodes }
    }

    /// How long one case may take.
    pub(super) fn limit(&self) -> Duration {
        (self.fixture.patience() + self.mover.capabilities().call_timeout) * 20
    }

    pub(super) fn a(&self) -> NodeId {
        self.nodes[0].clone()
    }

    pub(super) fn b(&self) -> NodeId {
        self.nodes[1].clone()
    }

    pub(super) fn only(&self, strategy: Strategy) -> Result<(), Miss> {
        if self.mover.capabilities().strategy == strategy {
            return Ok(());
        }
        Err(Miss::NotApplicable(match strategy {
            Strategy::ReleaseFirst => "the mover never releases",
            Strategy::Overwrite => "the mover does not overwrite",
        }))
    }

    pub(super) async fn read(&self) -> Result<Placement, Miss> {
        self.mover.locate().await.map_err(|error| Miss::error("locate", &error))
    }

    /// Arranges a situation and reads it once.
    pub(super) async fn arrange(&mut self, situation: Situation) -> Result<Placement, Miss> {
        if !self.fixture.arrange(&situation).await {
            return Err(Miss::NotApplicable("the fixture cannot arrange the situation"));
        }
        let seen = self.read().await?;
        ensure(shows(&seen, &situation), || format!("arranged {situation:?}, but locate says {seen:?}"))?;
        Ok(seen)
    }

    pub(super) async fn inject(&mut self, call: Call, fault: Fault) -> bool {
        self.fixture.inject(call, fault).await
    }

    /// Waits for the effect of an accepted request that was made for `seen`. On the way only `seen` itself and
    /// transitions may be read.
    pub(super) async fn reaches(&mut self, goal: &Situation, seen: &Placement) -> Result<Placement, Miss> {
        let deadline = Instant::now() + self.fixture.patience();
        loop {
            let reading = self.read().await?;
            if arrived(&reading, goal) {
                return Ok(reading);
            }
            let on_the_way =
                reading == *seen || matches!(reading, Placement::Transition { .. } | Placement::Split { .. });
            ensure(on_the_way, || format!("read {reading:?} on the way from {seen:?} to {goal:?}"))?;
            ensure(Instant::now() < deadline, || format!("still {reading:?}, where {goal:?} was accepted"))?;
            self.fixture.pause().await;
        }
    }

    /// Reads a few times that nothing has changed since `seen`.
    pub(super) async fn stays(&mut self, seen: &Placement, after: &str) -> Result<(), Miss> {
        for _ in 0..5 {
            let reading = self.read().await?;
            ensure(reading == *seen, || format!("{after} it was {seen:?} no more, but {reading:?}"))?;
            self.fixture.pause().await;
        }
        Ok(())
    }

    /// Does what an engine does to bring the address to `goal`, from wherever it is, and returns the settled reading.
    pub(super) async fn bring_to(&mut self, goal: &Situation) -> Result<Placement, Miss> {
        let deadline = Instant::now() + self.fixture.patience() * 4;
        let overwrites = self.mover.capabilities().strategy == Strategy::Overwrite;
        loop {
            let seen = self.read().await?;
            if shows(&seen, goal) {
                return Ok(seen);
            }
            ensure(Instant::now() < deadline, || format!("still {seen:?} instead of {goal:?}"))?;
            let answer = match (&seen, goal) {
                (Placement::Transition { .. }, _) => None,
                (Placement::Stranger { .. }, _) => {
                    return Err(Miss::failed(format!("a stranger appeared: {seen:?}")));
                }
                (Placement::Free | Placement::Split { .. }, Situation::On(to)) => {
                    Some(self.mover.claim(to, &seen).await)
                }
                (Placement::Held { node, .. }, Situation::On(to)) if node == to || overwrites => {
                    Some(self.mover.claim(to, &seen).await)
                }
                (Placement::Held { .. } | Placement::Split { .. } | Placement::Free, _) => {
                    Some(self.mover.release(&seen, ReleaseMode::Graceful).await)
                }
            };
            match answer {
                Some(Err(
                    error @ (MoveError::Denied { .. } | MoveError::NotFound { .. } | MoveError::Impossible { .. }),
                )) => {
                    return Err(Miss::error("a request", &error));
                }
                Some(Ok(_) | Err(_)) | None => self.fixture.pause().await,
            }
        }
    }
}

/// True if `reading` tells the situation exactly.
fn shows(reading: &Placement, situation: &Situation) -> bool {
    match (situation, reading) {
        (Situation::Free, Placement::Free) | (Situation::OnStranger, Placement::Stranger { .. }) => true,
        (Situation::On(on), Placement::Held { node, settled, .. }) => on == node && *settled,
        (Situation::UnsettledOn(on), Placement::Held { node, settled, .. }) => on == node && !*settled,
        (Situation::Leaving(leaving), Placement::Transition { from, to, .. }) => {
            from.as_ref() == Some(leaving) && to.is_none()
        }
        (Situation::GoingTo(going), Placement::Transition { to, .. }) => to.as_ref() == Some(going),
        (Situation::Split(one, two), Placement::Split { parts, .. }) => {
            [one, two].into_iter().all(|node| parts.iter().any(|part| part.node.as_ref() == Some(node)))
        }
        (
            Situation::Free
            | Situation::On(_)
            | Situation::UnsettledOn(_)
            | Situation::Leaving(_)
            | Situation::GoingTo(_)
            | Situation::OnStranger
            | Situation::Split(..),
            _,
        ) => false,
    }
}

/// True if `reading` tells the situation, settled or not.
fn arrived(reading: &Placement, goal: &Situation) -> bool {
    match goal {
        Situation::On(node) => reading.holder() == Some(node),
        Situation::Free
        | Situation::UnsettledOn(_)
        | Situation::Leaving(_)
        | Situation::GoingTo(_)
        | Situation::OnStranger
        | Situation::Split(..) => shows(reading, goal),
    }
}
