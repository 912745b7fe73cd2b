//! A second mechanism for the same address: when it takes over, what is the truth then, and what never happens.

use super::*;
use crate::testing::{Call, Fault, Faults, Stuck};

/// Movers of a moving interface and, after it, of addresses that are taken over.
fn chained(mut world: World) -> World {
    let second = InMemoryMover::taking_over(&world.provider);
    world.setup = world.setup.mover(Arc::new(second));
    world
}

fn changed(monitor: &Monitor) -> Vec<(&'static str, &'static str)> {
    let change = |kind| if let EventKind::MoverChanged { from, to, .. } = kind { Some((from, to)) } else { None };
    monitor.seen().into_iter().filter_map(change).collect()
}

fn forced(kind: &EventKind) -> bool {
    matches!(kind, EventKind::ReleaseForced { .. })
}

#[tokio::test(start_paused = true)]
async fn a_release_that_never_ends_is_left_behind_by_the_fallback_within_its_deadline() {
    let world = chained(World::two()).policy(|policy| policy.release_timeout = 5 * S);
    world.provider.set_stuck_releases(Stuck::Always);
    let monitor = world.settled().await;
    world.refuse("a");
    let started = monitor.event("a move", 10 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    let finished = monitor.finished(20 * S).await;
    assert!(finished.duration_since(started) < 6 * S, "{:?}", finished.duration_since(started));
    assert_eq!(world.provider.serving(), Some(id("b")));
    assert_eq!(changed(&monitor), [("release-first", "take-over")]);
    assert!(!monitor.has(forced), "nothing had to be forced");
    let status = monitor.status().await;
    assert_eq!((status.mover.as_str(), monitor.receipt().mover), ("take-over", "take-over"));
}

#[tokio::test(start_paused = true)]
async fn later_moves_begin_with_the_mover_by_which_the_address_is_held() {
    let world = chained(World::two()).policy(|policy| policy.release_timeout = 5 * S);
    world.provider.set_stuck_releases(Stuck::Always);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    world.heal("a");
    sleep(10 * S).await;
    world.refuse("b");
    sleep(15 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b"), id("a")]);
    assert_eq!(changed(&monitor).len(), 1, "the second move did not try the interface");
    assert_eq!(monitor.receipt().mover, "take-over");
}

#[tokio::test(start_paused = true)]
async fn the_first_mechanism_that_ends_late_changes_nothing_any_more() {
    let world = chained(World::two()).policy(|policy| policy.release_timeout = 5 * S);
    world.provider.set_stuck_releases(Stuck::Always);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    let before = world.provider.requests().len();
    world.provider.finish_change();
    world.heal("a");
    sleep(120 * S).await;
    assert_eq!(world.provider.requests().len(), before, "{:#?}", monitor.seen());
    assert_eq!((monitor.status().await.state, world.provider.serving()), (State::Serving, Some(id("b"))));
    assert!(!monitor.has(|kind| matches!(kind, EventKind::AddressFoundFree {} | EventKind::AddressDrifted { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_the_first_mechanism_cannot_serve_is_served_by_the_second_at_once() {
    let world = chained(World::two());
    world.provider.set_readiness(&id("b"), Readiness::Impossible { reason: "no free slot".into() });
    let monitor = world.settled().await;
    assert!(!monitor.has(|kind| matches!(kind, EventKind::CandidateNotReady { .. })), "it is a candidate");
    world.refuse("a");
    monitor.finished(10 * S).await;
    let requests = world.provider.requests();
    assert_eq!(requests.len(), 1, "nothing was released: {requests:#?}");
    assert_eq!(world.provider.serving(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_turns_out_to_be_impossible_or_denied_is_made_by_the_second_mechanism() {
    for fault in [Fault::Impossible, Fault::Denied] {
        let world = chained(World::two());
        world.mover.faults().always(Call::Claim, fault);
        let monitor = world.settled().await;
        world.refuse("a");
        monitor.finished(30 * S).await;
        assert_eq!(world.provider.serving(), Some(id("b")));
        assert!(!monitor.has(|kind| matches!(kind, EventKind::FloatingIpStuck { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn when_no_fallback_helps_the_first_mechanism_is_tried_to_the_end() {
    let mut world = World::two().policy(|policy| policy.release_timeout = 5 * S);
    let second = InMemoryMover::taking_over(&world.provider);
    let faults = second.faults().clone();
    world.setup = world.setup.mover(Arc::new(second));
    world.provider.set_stuck_releases(Stuck::Graceful);
    faults.always(Call::Claim, Fault::Denied);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(60 * S).await;
    assert_eq!(changed(&monitor), [("release-first", "take-over"), ("take-over", "release-first")]);
    assert!(monitor.has(forced));
    assert_eq!((world.provider.serving(), monitor.receipt().mover), (Some(id("b")), "release-first"));
}

#[tokio::test(start_paused = true)]
async fn when_nothing_helps_it_is_stuck_loudly_and_each_mechanism_is_tried_again() {
    let mut world = World::two().policy(|policy| policy.release_timeout = 5 * S);
    let second = InMemoryMover::taking_over(&world.provider);
    let faults = second.faults().clone();
    world.setup = world.setup.mover(Arc::new(second));
    world.provider.set_stuck_releases(Stuck::Always);
    faults.always(Call::Claim, Fault::Denied);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.event("stuck", 300 * S, |kind| matches!(kind, EventKind::FloatingIpStuck { .. })).await;
    faults.clear();
    monitor.finished(120 * S).await;
    assert_eq!(world.provider.serving(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn a_real_stranger_that_takes_the_address_during_a_move_keeps_it() {
    let world = chained(World::two()).policy(|policy| policy.release_timeout = 5 * S);
    world.provider.set_stuck_releases(Stuck::Always);
    let monitor = world.settled().await;
    world.refuse("a");
    let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
    monitor.event("the release", 10 * S, released).await;
    world.provider.put_on_stranger("i-elsewhere");
    sleep(60 * S).await;
    assert!(matches!(world.provider.placement(), Placement::Stranger { .. }), "{}", world.provider.placement());
    assert_eq!(monitor.status().await.state, State::HeldByStranger);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_killed_at_any_moment_of_a_fallback_is_followed_by_one_that_finishes_it() {
    for killed_after in (0..12_000).step_by(300) {
        let world = chained(World::two()).policy(|policy| policy.release_timeout = 5 * S);
        world.provider.set_stuck_releases(Stuck::Always);
        let monitor = world.settled().await;
        world.refuse("a");
        sleep(killed_after * MS).await;
        monitor.kill().await;
        sleep(S).await;
        let next = world.monitor();
        sleep(60 * S).await;
        assert_eq!(world.provider.serving(), Some(id("b")), "killed after {killed_after} ms: {:#?}", next.seen());
        world.provider.assert_never_two_holders();
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_at_every_call_of_either_mechanism_ends_on_one_node_or_loudly_stuck() {
    for fault in Fault::all(3 * S) {
        for index in 0..14 {
            let mut world = World::two().policy(|policy| policy.release_timeout = 3 * S);
            let faults = Faults::default();
            world.setup.movers = vec![
                Arc::new(world.mover.clone().with_faults(&faults)),
                Arc::new(InMemoryMover::taking_over(&world.provider).with_faults(&faults)),
            ];
            world.provider.set_stuck_releases(Stuck::Always);
            let monitor = world.settled().await;
            world.refuse("a");
            monitor.event("a move", 20 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
            // The polls of the first mechanism are many and alike.
            if index >= 4 {
                sleep(2500 * MS).await;
            }
            faults.at_any(faults.total() + index, fault.clone());
            sleep(240 * S).await;
            let what = format!("{fault:?} at {index}: {:#?}", monitor.seen());
            world.provider.assert_never_two_holders();
            let stuck = monitor.status().await.state == State::Stuck;
            assert!(stuck || world.provider.serving() == Some(id("b")), "{what}");
        }
    }
}
