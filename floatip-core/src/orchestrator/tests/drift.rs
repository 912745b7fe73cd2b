//! Moves behind the monitor's back, and addresses on strangers.

use super::*;
use crate::testing::{InMemoryLeaseStore, Stuck};

fn drifted(kind: &EventKind) -> bool {
    matches!(kind, EventKind::AddressDrifted { .. })
}

fn restoring(policy: &mut Policy) {
    policy.drift = Drift::Restore;
}

#[tokio::test(start_paused = true)]
async fn drift_is_told_at_the_next_sweep_and_adopted() {
    let world = World::two();
    let monitor = world.settled().await;
    let moved = Instant::now();
    world.provider.put_on(&id("b"));
    let told = monitor.event("the news", 15 * S, drifted).await;
    assert!(told.duration_since(moved) <= 10 * S);
    sleep(120 * S).await;
    assert_eq!((monitor.count(drifted), monitor.moved()), (1, false));
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn drift_is_moved_back_where_the_policy_says_so_once_agreeing_reads_show_it() {
    let world = World::two().policy(restoring);
    let monitor = world.settled().await;
    world.provider.put_on(&id("b"));
    monitor.finished(40 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b"), id("a")]);
    assert_eq!((monitor.receipt().cause, monitor.count(drifted)), (Cause::Restore, 1));
}

#[tokio::test(start_paused = true)]
async fn a_move_back_waits_for_the_cooldown_and_counts_towards_the_freeze() {
    let world = World::two().policy(restoring).policy(|policy| (policy.cooldown, policy.max_moves) = (100 * S, 2));
    let monitor = world.settled().await;
    for _ in 0..2 {
        world.provider.put_on(&id("b"));
        monitor.event("the news", 15 * S, drifted).await;
        sleep(130 * S).await;
        assert_eq!(world.provider.holder(), Some(id("a")));
    }
    world.provider.put_on(&id("b"));
    sleep(50 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")), "it waits for the cool-down");
    monitor.state(State::Frozen, 100 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")), "and then it is frozen");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_moved_back_to_a_node_that_is_not_well() {
    let world = World::two().policy(restoring);
    let monitor = world.settled().await;
    // Somebody else rescues the address from a, which is down.
    world.probe.set_floating(&id("a"), Some(Answer::Healthy));
    world.refuse("a");
    sleep(5 * S).await;
    world.provider.put_on(&id("b"));
    sleep(30 * S).await;
    world.heal("a");
    sleep(120 * S).await;
    assert_eq!((world.provider.holder(), monitor.moved()), (Some(id("b")), false), "{:#?}", monitor.seen());
}

#[tokio::test(start_paused = true)]
async fn the_moves_of_another_leader_are_no_drift() {
    let mut world = World::two().policy(restoring);
    let store = InMemoryLeaseStore::new(10 * S);
    world.setup.lease = Some(Arc::new(store.lease("one")));
    let first = world.settled().await;
    world.setup.lease = Some(Arc::new(store.lease("two")));
    let second = world.settled().await;
    let to_b = Command::Switchover(Switchover::to(id("b")));
    first.handle.command("ftp", to_b).await.unwrap();
    first.stop().await;
    sleep(60 * S).await;
    assert!(second.has(|kind| matches!(kind, EventKind::LeaseAcquired { .. })));
    assert_eq!((second.has(drifted), second.moved(), world.provider.holder()), (false, false, Some(id("b"))));
}

/// Lets a monitor find everything well, lives through `meanwhile` without one, and starts the next.
async fn restarted(world: &mut World, dir: &std::path::Path, meanwhile: impl FnOnce(&World)) -> Monitor {
    world.state_dir = Some(dir.to_owned());
    world.settled().await.stop().await;
    meanwhile(world);
    sleep(60 * S).await;
    world.monitor()
}

#[tokio::test(start_paused = true)]
async fn what_drifted_while_no_monitor_ran_is_told_by_the_next_and_handled_by_policy() {
    for restore in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::two();
        if restore {
            world = world.policy(restoring);
        }
        let monitor = restarted(&mut world, dir.path(), |world| world.provider.put_on(&id("b"))).await;
        monitor.event("the news", 15 * S, drifted).await;
        sleep(60 * S).await;
        let (home, causes) = if restore { ("a", vec![Cause::Restore]) } else { ("b", vec![]) };
        assert_eq!(world.provider.holder(), Some(id(home)));
        let moves: Vec<_> = monitor.seen().into_iter().filter_map(started).collect();
        assert_eq!((moves, monitor.count(drifted)), (causes, 1), "{:#?}", monitor.seen());
        // What was adopted is where it belongs from now on.
        monitor.stop().await;
        let monitor = world.settled().await;
        sleep(30 * S).await;
        assert!(!monitor.has(drifted), "{:#?}", monitor.seen());
    }
}

fn started(kind: EventKind) -> Option<Cause> {
    let EventKind::MoveStarted { cause, .. } = kind else { return None };
    Some(cause)
}

#[tokio::test(start_paused = true)]
async fn an_address_that_left_a_node_which_is_down_at_the_start_has_not_drifted() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::two().policy(restoring);
    let monitor = restarted(&mut world, dir.path(), |world| {
        world.refuse("a");
        world.provider.put_on(&id("b"));
    })
    .await;
    monitor.state(State::Serving, 20 * S).await;
    sleep(30 * S).await;
    world.heal("a");
    sleep(120 * S).await;
    assert_eq!((world.provider.holder(), monitor.moved(), monitor.has(drifted)), (Some(id("b")), false, false));
}

#[tokio::test(start_paused = true)]
async fn a_move_that_a_killed_monitor_had_begun_is_no_drift() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::two().policy(restoring);
    world.setup.movers = vec![Arc::new(InMemoryMover::overwrite(&world.provider))];
    world.state_dir = Some(dir.path().to_owned());
    let monitor = world.settled().await;
    let to_b = Command::Switchover(Switchover::to(id("b")).wait(false));
    monitor.handle.command("ftp", to_b).await.unwrap();
    while world.provider.requests().is_empty() {
        sleep(MS).await;
    }
    sleep(100 * MS).await;
    monitor.kill().await;
    sleep(10 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
    let monitor = world.settled().await;
    sleep(60 * S).await;
    assert_eq!((world.provider.holder(), monitor.has(drifted)), (Some(id("b")), false), "{:#?}", monitor.seen());
}

#[tokio::test(start_paused = true)]
async fn with_a_lease_nothing_is_called_drift_that_happened_while_another_may_have_led() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::two().policy(restoring);
    let store = InMemoryLeaseStore::new(10 * S);
    world.setup.lease = Some(Arc::new(store.lease("one")));
    let monitor = restarted(&mut world, dir.path(), |world| world.provider.put_on(&id("b"))).await;
    sleep(60 * S).await;
    assert_eq!((world.provider.holder(), monitor.has(drifted)), (Some(id("b")), false), "{:#?}", monitor.seen());
}

#[tokio::test(start_paused = true)]
async fn an_address_is_taken_from_a_stranger_only_where_the_policy_says_so() {
    for overwrite in [false, true] {
        let mut world = World::two().policy(|policy| policy.take_from_strangers = true);
        if overwrite {
            world.setup.movers = vec![Arc::new(InMemoryMover::overwrite(&world.provider))];
        }
        let monitor = world.settled().await;
        let stolen = Instant::now();
        world.provider.put_on_stranger("i-elsewhere");
        let started = monitor.event("a move", 30 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
        assert!(started.duration_since(stolen) >= 2 * S, "agreeing reads show it there");
        monitor.finished(20 * S).await;
        assert_eq!((world.provider.holder(), monitor.receipt().cause), (Some(id("a")), Cause::Rescue));
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_is_forced_only_from_a_holder_that_is_down_or_by_an_operator() {
    let forced = |kind: &EventKind| matches!(kind, EventKind::ReleaseForced { .. });
    for (operator, dies) in [(false, false), (true, false), (false, true)] {
        let world = World::two();
        world.provider.set_stuck_releases(Stuck::Graceful);
        let monitor = world.settled().await;
        let to_b = Command::Switchover(Switchover::to(id("b")).wait(false).force(operator));
        monitor.handle.command("ftp", to_b).await.unwrap();
        sleep(60 * S).await;
        assert_eq!(monitor.has(forced), operator, "the holder is well");
        assert_eq!(monitor.status().await.state == State::Stuck, !operator);
        if dies {
            world.refuse("a");
            monitor.finished(90 * S).await;
            assert!(monitor.has(forced));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_forced_from_a_stranger() {
    let world = World::two().policy(|policy| policy.take_from_strangers = true);
    let monitor = world.settled().await;
    world.provider.set_stuck_releases(Stuck::Graceful);
    world.provider.put_on_stranger("i-elsewhere");
    monitor.state(State::Stuck, 90 * S).await;
    sleep(200 * S).await;
    assert!(!monitor.has(|kind| matches!(kind, EventKind::ReleaseForced { .. })), "{:#?}", monitor.seen());
}
