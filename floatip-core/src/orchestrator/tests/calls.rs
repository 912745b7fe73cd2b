//! Which calls a mover and a probe receive: where the call itself is the promise, they are mocks.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use mockall::mock;
use mockall::predicate::{always, eq};

use super::*;

mock! {
    #[derive(Debug)]
    Mover {}

    #[async_trait]
    impl AddressMover for Mover {
        fn capabilities(&self) -> Capabilities;
        fn serves(&self, node: &NodeId) -> bool;
        async fn locate(&self) -> Result<Placement, MoveError>;
        async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError>;
        async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError>;
        async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError>;
    }
}

/// A mover that serves every node, and shows the address on a.
fn mover(strategy: Strategy) -> MockMover {
    let mut mover = MockMover::new();
    mover.expect_capabilities().returning(move || Capabilities::new(strategy));
    mover.expect_serves().return_const(true);
    mover
}

fn held(node: &str, token: &str) -> Placement {
    Placement::held(id(node), Token::generation(token))
}

fn world_with(mover: MockMover) -> World {
    let mut world = World::two();
    world.setup.movers = vec![Arc::new(mover)];
    world
}

#[tokio::test(start_paused = true)]
async fn an_overwriting_mover_is_claimed_once_with_what_was_seen_and_never_released() {
    let mut mover = mover(Strategy::Overwrite);
    let claims = Arc::new(AtomicU32::new(0));
    let claimed = claims.clone();
    let read = move || if claimed.load(Ordering::SeqCst) == 0 { held("a", "1") } else { held("b", "2") };
    mover.expect_locate().returning(move || Ok(read()));
    mover.expect_ready().returning(|_| Ok(Readiness::Ready));
    mover.expect_release().never();
    let counted = claims.clone();
    mover.expect_claim().with(eq(id("b")), eq(held("a", "1"))).times(1).returning(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(Accepted::with_token(Token::generation("2")))
    });
    let mut world = world_with(mover);
    // This mover does not move the in-memory address, which the probe follows.
    world.setup.policy.verify = Verify::Off;
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert_eq!(claims.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_asked_of_every_node_but_the_holder_at_the_start_and_hourly() {
    let mut mover = mover(Strategy::ReleaseFirst);
    mover.expect_locate().returning(|| Ok(held("a", "1")));
    mover.expect_ready().with(eq(id("b"))).times(3).returning(|_| Ok(Readiness::Ready));
    mover.expect_ready().with(eq(id("a"))).never();
    mover.expect_release().never();
    mover.expect_claim().with(always(), always()).never();
    let world = world_with(mover);
    let monitor = world.monitor();
    sleep(2 * 3600 * S + 60 * S).await;
    assert_eq!(monitor.status().await.state, State::Serving);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_ready_is_asked_again_every_minute() {
    let mut mover = mover(Strategy::ReleaseFirst);
    mover.expect_locate().returning(|| Ok(held("a", "1")));
    mover.expect_ready().times(10..=11).returning(|_| Ok(Readiness::Impossible { reason: "wrong zone".into() }));
    let world = world_with(mover);
    let monitor = world.monitor();
    sleep(10 * 60 * S).await;
    assert_eq!(monitor.count(|kind| matches!(kind, EventKind::CandidateNotReady { .. })), 1);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn readiness_that_cannot_be_found_out_is_told_once_and_leaves_the_node_a_candidate() {
    let mut mover = mover(Strategy::ReleaseFirst);
    mover.expect_locate().returning(|| Ok(held("a", "1")));
    let denied = || MoveError::Denied { call: "ready", resource: "b".into(), source: "no permission".into() };
    mover.expect_ready().times(10..=11).returning(move |_| Err(denied()));
    let world = world_with(mover);
    let monitor = world.monitor();
    sleep(10 * 60 * S).await;
    assert_eq!(monitor.count(|kind| matches!(kind, EventKind::ReadinessUnknown { .. })), 1);
    assert_eq!(monitor.status().await.nodes[1].not_ready, None);
    monitor.stop().await;
}
