//! What the policy allows, delays and suppresses.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_manual_failback_is_told_once_and_left_to_the_operator() {
    let world = World::two().policy(|policy| policy.failback = Failback::Manual);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    world.heal("a");
    monitor.event("the news", 90 * S, |kind| matches!(kind, EventKind::FailbackDue { .. })).await;
    sleep(600 * S).await;
    assert_eq!(monitor.count(|kind| matches!(kind, EventKind::FailbackDue { .. })), 1);
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn the_preferred_order_decides_who_receives_the_address() {
    let world = World::of(&["a", "b", "c"]).policy(|policy| policy.prefer = vec![id("c")]);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("c")]);
}

#[tokio::test(start_paused = true)]
async fn with_recoveries_off_nothing_is_moved_and_what_would_have_been_is_told_once() {
    let world = World::two().policy(|policy| policy.recoveries = false);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.state(State::RecoveriesOff, 20 * S).await;
    sleep(60 * S).await;
    assert_eq!(world.provider.requests(), []);
    let told = |kind: &EventKind| matches!(kind, EventKind::RecoverySuppressed { to, .. } if *to == id("b"));
    assert_eq!(monitor.count(told), 1);
    let moved = monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("b")))).await;
    assert!(matches!(moved, Ok(Done::Moved(_))), "an operator still may: {moved:?}");
}

#[tokio::test(start_paused = true)]
async fn no_failback_goes_to_a_node_that_flaps() {
    let change = |policy: &mut Policy| {
        policy.failback = Failback::After(20 * S);
        policy.cooldown = S;
    };
    let world = World::two().policy(change);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    for _ in 0..2 {
        world.heal("a");
        sleep(10 * S).await;
        world.refuse("a");
        sleep(10 * S).await;
    }
    world.heal("a");
    sleep(300 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
    assert!(monitor.status().await.nodes[0].flapping);
    sleep(600 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b"), id("a")], "the flapping is forgotten after its window");
}

#[tokio::test(start_paused = true)]
async fn a_flapping_node_is_the_last_choice_but_better_than_a_dead_one() {
    let world = World::of(&["a", "b", "c"]);
    let monitor = world.settled().await;
    for _ in 0..3 {
        world.refuse("b");
        sleep(5 * S).await;
        world.heal("b");
        sleep(5 * S).await;
    }
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("c")), "b flaps");
    world.refuse("c");
    sleep(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")), "b is the only one left");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_reading_delays_the_rescue_from_a_dead_holder_by_less_than_a_sweep() {
    let world = World::two();
    let monitor = world.settled().await;
    world.mover.faults().next(testing::Call::Locate, 3, testing::Fault::Throttled);
    // The first of the three is the sweep's; the holder dies right after it.
    monitor.event("it", 15 * S, |kind| matches!(kind, EventKind::ProviderUnreadable { .. })).await;
    let died = Instant::now();
    world.refuse("a");
    let started = monitor.event("the move", 20 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    assert!(started - died < 4 * S, "{:?}", started - died);
}
