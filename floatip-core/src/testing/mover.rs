//! A mover of an in-memory address.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::sleep;

use super::fault::{Call, Faults};
use super::provider::{InMemoryProvider, Request};
use super::world::{Mechanism, RESOURCE, impossible};
use crate::mover::{
    Accepted, AddressMover, Capabilities, MoveError, Placement, Precondition, Readiness, ReleaseMode, Strategy,
};
use crate::node::NodeId;

/// Moves the address of an [`InMemoryProvider`].
///
/// Give each monitor a mover of its own: faults are the mover's, everything else is the provider's. Clones share their
/// name and their faults.
#[derive(Debug, Clone)]
pub struct InMemoryMover {
    provider: InMemoryProvider,
    capabilities: Capabilities,
    mechanism: Mechanism,
    name: Arc<str>,
    faults: Faults,
}

impl InMemoryMover {
    /// A mover with these capabilities. Under [`Precondition::BestEffort`] the provider is asked whether the placement
    /// is current as the request leaves, and no more when it arrives, half the latency later; only a claim of a free
    /// address stays put-if-absent.
    pub fn new(provider: &InMemoryProvider, capabilities: Capabilities) -> Self {
        let (mechanism, name, faults) = (Mechanism::Carrier, "mover".into(), Faults::default());
        Self { provider: provider.clone(), capabilities, mechanism, name, faults }
    }

    /// A mover that releases first, can force, and whose provider refuses stale tokens: as with a network interface.
    pub fn release_first(provider: &InMemoryProvider) -> Self {
        let capabilities = Capabilities::new(Strategy::ReleaseFirst).kind("release-first");
        Self::new(provider, capabilities.can_force(true).precondition(Precondition::Enforced))
    }

    /// A mover that takes the address over, and whose provider refuses stale tokens.
    pub fn overwrite(provider: &InMemoryProvider) -> Self {
        let capabilities = Capabilities::new(Strategy::Overwrite).kind("overwrite");
        Self::new(provider, capabilities.precondition(Precondition::Enforced))
    }

    /// A second mechanism for the same address: it takes the address from the interface by which the other movers move it,
    /// or from another node, onto an interface of the node's own, at once and whatever the moving interface does. To it
    /// an address on the moving interface is a stranger's, and to the others one that was taken over is.
    pub fn taking_over(provider: &InMemoryProvider) -> Self {
        let capabilities = Capabilities::new(Strategy::Overwrite).kind("take-over");
        let mover = Self::new(provider, capabilities.precondition(Precondition::Enforced));
        Self { mechanism: Mechanism::TakeOver, ..mover }
    }

    /// Sets the name under which the provider's journal keeps its calls. Default: `mover`.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Shares the faults, and the counts of calls, of others.
    #[must_use]
    pub fn with_faults(mut self, faults: &Faults) -> Self {
        self.faults = faults.clone();
        self
    }

    /// What its calls meet with; may be changed at any time.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The provider whose address it moves.
    pub fn provider(&self) -> &InMemoryProvider {
        &self.provider
    }

    async fn travel(&self) {
        let latency = self.provider.latency();
        if !latency.is_zero() {
            sleep(latency / 2).await;
        }
    }

    fn known(&self, call: Call, node: &NodeId) -> Result<(), MoveError> {
        if self.serves(node) {
            return Ok(());
        }
        Err(MoveError::NotFound {
            call: call.name(),
            resource: RESOURCE.into(),
            source: format!("{node} is no node of it").into(),
        })
    }

    fn best_effort(&self) -> bool {
        match self.capabilities.precondition {
            Precondition::Enforced => false,
            Precondition::BestEffort => true,
        }
    }

    async fn send_locate(&self, record: usize) -> Result<Placement, MoveError> {
        self.travel().await;
        let reading = self.provider.arrive(record, |world, now| Ok(world.reading(now, self.mechanism)));
        self.travel().await;
        reading
    }

    async fn send_ready(&self, record: usize, to: &NodeId) -> Result<Readiness, MoveError> {
        self.known(Call::Ready, to)?;
        self.travel().await;
        let answer = self.provider.arrive(record, |world, _| match self.mechanism {
            Mechanism::Carrier => Ok(world.readiness.get(to).cloned().unwrap_or(Readiness::Ready)),
            Mechanism::TakeOver => Ok(Readiness::Ready),
        });
        self.travel().await;
        answer
    }

    async fn send_release(&self, record: usize, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        if self.capabilities.strategy == Strategy::Overwrite {
            return Err(impossible(Call::Release, "an address that is overwritten is never released"));
        }
        if mode == ReleaseMode::Forced && !self.capabilities.can_force {
            return Err(impossible(Call::Release, "this mover cannot force a release"));
        }
        let blind = self.best_effort();
        if blind {
            self.provider.with(|world, _| world.check_release(seen, mode))?;
        }
        self.travel().await;
        let result = self.provider.arrive(record, |world, now| {
            if blind && world.placement() == Placement::Free {
                return Ok(Accepted::without_token());
            }
            if !blind {
                world.check_release(seen, mode)?;
            }
            Ok(world.release(mode, now))
        });
        self.travel().await;
        result
    }

    async fn send_claim(&self, record: usize, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        self.known(Call::Claim, to)?;
        if self.mechanism == Mechanism::TakeOver {
            self.travel().await;
            let result = self.provider.arrive(record, |world, now| {
                world.check_take_over(seen)?;
                Ok(world.take_over(to, now))
            });
            self.travel().await;
            return result;
        }
        let strategy = self.capabilities.strategy;
        let blind = self.best_effort() && *seen != Placement::Free;
        if self.best_effort() {
            self.provider.with(|world, _| world.check_claim(to, seen, strategy))?;
        }
        self.travel().await;
        let result = self.provider.arrive(record, |world, now| {
            if !blind {
                world.check_claim(to, seen, strategy)?;
            }
            world.claim(to, seen, now)
        });
        self.travel().await;
        result
    }
}

#[async_trait]
impl AddressMover for InMemoryMover {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.provider.with(|world, _| world.nodes.contains(node))
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        let record = self.provider.begin(self.name.clone(), Request::Locate);
        let mover = self.clone();
        let work = async move { mover.send_locate(record).await };
        let result = self.faults.around(Call::Locate, self.capabilities.call_timeout, work).await;
        self.provider.answer(record, result)
    }

    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let record = self.provider.begin(self.name.clone(), Request::Release { seen: seen.clone(), mode });
        let (mover, seen) = (self.clone(), seen.clone());
        let work = async move { mover.send_release(record, &seen, mode).await };
        let result = self.faults.around(Call::Release, self.capabilities.call_timeout, work).await;
        self.provider.answer(record, result)
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let record = self.provider.begin(self.name.clone(), Request::Claim { to: to.clone(), seen: seen.clone() });
        let (mover, to, seen) = (self.clone(), to.clone(), seen.clone());
        let work = async move { mover.send_claim(record, &to, &seen).await };
        let result = self.faults.around(Call::Claim, self.capabilities.call_timeout, work).await;
        self.provider.answer(record, result)
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        let record = self.provider.begin(self.name.clone(), Request::Ready { to: to.clone() });
        let (mover, to) = (self.clone(), to.clone());
        let work = async move { mover.send_ready(record, &to).await };
        let result = self.faults.around(Call::Ready, self.capabilities.call_timeout, work).await;
        self.provider.answer(record, result)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::*;
    use crate::testing::{Answered, Fault, Stuck};

    const SECOND: Duration = Duration::from_secs(1);

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn provider() -> InMemoryProvider {
        InMemoryProvider::new([node("a"), node("b")])
    }

    #[tokio::test(start_paused = true)]
    async fn a_move_is_accepted_at_once_and_done_when_its_time_has_come() {
        let provider = provider();
        provider.put_on(&node("a"));
        provider.set_release_duration(2 * SECOND);
        provider.set_claim_duration(SECOND);
        let mover = InMemoryMover::release_first(&provider);
        let start = Instant::now();
        let seen = mover.locate().await.unwrap();
        mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
        assert!(matches!(mover.locate().await.unwrap(), Placement::Transition { to: None, .. }));
        advance(3 * SECOND).await;
        assert_eq!(mover.locate().await.unwrap(), Placement::Free);
        let accepted = mover.claim(&node("b"), &Placement::Free).await.unwrap();
        assert!(matches!(mover.locate().await.unwrap(), Placement::Transition { from: None, .. }));
        advance(SECOND).await;
        assert_eq!(mover.locate().await.unwrap(), Placement::held(node("b"), accepted.token.unwrap()));
        let changes: Vec<_> = provider.history().iter().map(|holding| holding.since - start).collect();
        assert_eq!(changes, [Duration::ZERO, Duration::ZERO, 2 * SECOND, 4 * SECOND]);
        assert_eq!(provider.path(), [node("a"), node("b")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_reply_was_applied_and_a_lost_request_was_not() {
        for (fault, applied) in [(Fault::ReplyLost, true), (Fault::RequestLost, false)] {
            let provider = provider();
            let mover = InMemoryMover::release_first(&provider);
            mover.faults().next(Call::Claim, 1, fault);
            let start = Instant::now();
            let error = mover.claim(&node("a"), &Placement::Free).await.unwrap_err();
            assert!(error.may_have_changed());
            assert_eq!(start.elapsed(), mover.capabilities().call_timeout);
            assert_eq!(provider.holder().is_some(), applied);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_graceful_release_that_is_stuck_can_be_forced() {
        let provider = provider();
        provider.put_on(&node("a"));
        provider.set_stuck_releases(Stuck::Graceful);
        let mover = InMemoryMover::release_first(&provider);
        mover.release(&provider.placement(), ReleaseMode::Graceful).await.unwrap();
        advance(100 * SECOND).await;
        let seen = mover.locate().await.unwrap();
        assert!(matches!(mover.release(&seen, ReleaseMode::Graceful).await, Err(MoveError::NotYet { .. })));
        mover.release(&seen, ReleaseMode::Forced).await.unwrap();
        assert!(provider.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_monitors_that_saw_the_same_only_one_gets_the_address() {
        let provider = provider();
        let (one, two) = (InMemoryMover::release_first(&provider), InMemoryMover::release_first(&provider));
        one.claim(&node("a"), &Placement::Free).await.unwrap();
        assert!(matches!(two.claim(&node("b"), &Placement::Free).await, Err(MoveError::Conflict { .. })));
        assert_eq!(provider.path(), [node("a")]);
        provider.assert_never_two_holders();
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_is_not_exclusive_shows_a_claim_that_came_too_early() {
        let provider = provider();
        provider.set_exclusive(false);
        provider.put_on(&node("a"));
        let mover = InMemoryMover::release_first(&provider);
        mover.claim(&node("b"), &Placement::Free).await.unwrap();
        assert_eq!(provider.most_holders(), 2);
        let split = mover.locate().await.unwrap();
        mover.claim(&node("b"), &split).await.unwrap();
        assert_eq!(provider.holder(), Some(node("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_best_effort_precondition_leaves_a_race_while_the_request_travels() {
        let provider = provider();
        provider.put_on(&node("a"));
        provider.set_latency(SECOND);
        let seen = provider.placement();
        let (mover, outside, b) =
            (InMemoryMover::new(&provider, Capabilities::new(Strategy::Overwrite)), &provider, node("b"));
        let (claimed, ()) = tokio::join!(mover.claim(&b, &seen), async {
            sleep(SECOND / 4).await;
            outside.put_on_stranger("somebody");
        });
        assert!(claimed.is_ok());
        assert_eq!(provider.holder(), Some(node("b")));
        assert!(matches!(mover.claim(&node("a"), &seen).await, Err(MoveError::Conflict { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn stale_reads_show_the_past_and_end() {
        let provider = provider();
        provider.put_on(&node("a"));
        advance(SECOND).await;
        let mover = InMemoryMover::release_first(&provider);
        provider.freeze_reads_for(SECOND);
        advance(SECOND / 2).await;
        provider.put_on(&node("b"));
        assert_eq!(mover.locate().await.unwrap().holder(), Some(&node("a")));
        advance(SECOND / 2).await;
        assert_eq!(mover.locate().await.unwrap().holder(), Some(&node("b")));
        provider.set_read_lag(SECOND);
        assert_eq!(mover.locate().await.unwrap().holder(), Some(&node("a")));
        advance(SECOND).await;
        assert_eq!(mover.locate().await.unwrap().holder(), Some(&node("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_meet_the_calls_that_they_were_made_for() {
        let provider = provider();
        let mover = InMemoryMover::release_first(&provider);
        mover.faults().at(Call::Locate, 1, Fault::TimedOut);
        mover.faults().next(Call::Ready, 2, Fault::Throttled);
        assert!(mover.locate().await.is_ok());
        assert!(matches!(mover.locate().await, Err(MoveError::TimedOut { .. })));
        assert!(mover.locate().await.is_ok());
        assert!(mover.ready(&node("a")).await.is_err() && mover.ready(&node("a")).await.is_err());
        assert!(mover.ready(&node("a")).await.is_ok());
        mover.faults().all_always(&Fault::RequestLost);
        assert!(mover.locate().await.is_err() && mover.ready(&node("a")).await.is_err());
        mover.faults().clear();
        assert!(mover.locate().await.is_ok());
        assert_eq!(mover.faults().calls(Call::Locate), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn the_journal_tells_what_arrived_and_what_the_caller_was_told() {
        let provider = provider();
        let mover = InMemoryMover::release_first(&provider).named("one");
        mover.faults().next(Call::Claim, 1, Fault::RequestLost);
        mover.faults().next(Call::Claim, 1, Fault::ReplyLost);
        for _ in 0..2 {
            drop(mover.claim(&node("a"), &Placement::Free).await);
        }
        let journal = provider.journal();
        assert_eq!(journal.len(), 2);
        assert_eq!((&journal[0].arrived, &journal[1].arrived), (&Answered::Pending, &Answered::Ok));
        assert!(journal.iter().all(|record| matches!(record.answered, Answered::Failed(_)) && &*record.mover == "one"));
        assert_eq!(provider.requests().len(), 1);
    }
}
