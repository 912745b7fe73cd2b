//! The holder answers, and the floating address does not: told only, or claimed anew for the same node.

use super::*;
use crate::testing::{Call, Fault, Request, Stuck};

fn reclaiming() -> World {
    World::of(&["a", "b", "c"]).policy(|policy| {
        policy.address_unreachable = AddressUnreachable::Reclaim;
        policy.verify_timeout = 5 * S;
    })
}

fn reclaims(kind: &EventKind) -> bool {
    matches!(kind, EventKind::MoveStarted { cause: Cause::Reclaim, .. })
}

fn silence(world: &World) {
    world.probe.set_floating(&id("a"), Some(Answer::refused()));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_claimed_anew_for_its_holder_answers_again() {
    let world = reclaiming();
    let monitor = world.settled().await;
    silence(&world);
    let claimed = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Claim, .. });
    monitor.event("the claim", 20 * S, claimed).await;
    world.probe.set_floating(&id("a"), None);
    monitor.finished(10 * S).await;
    let receipt = monitor.receipt();
    assert_eq!((receipt.cause, receipt.to, receipt.verification), (Cause::Reclaim, id("a"), Verification::Verified));
    let requests: Vec<_> = world.provider.requests().into_iter().map(|record| record.request).collect();
    assert!(
        matches!(&requests[..], [Request::Release { .. }, Request::Claim { to, .. }] if *to == id("a")),
        "{requests:?}"
    );
    assert_eq!(world.provider.path(), [id("a")]);
}

#[tokio::test(start_paused = true)]
async fn a_reclaim_that_does_not_help_leaves_the_address_where_it_is_and_is_not_repeated() {
    let world = reclaiming();
    let monitor = world.settled().await;
    silence(&world);
    monitor.event("the end", 40 * S, |kind| matches!(kind, EventKind::MoveFailed { unchanged: false, .. })).await;
    sleep(1200 * S).await;
    assert_eq!((monitor.count(reclaims), world.provider.path()), (1, vec![id("a")]));
    world.probe.set_floating(&id("a"), None);
    monitor.event("the news", 10 * S, |kind| matches!(kind, EventKind::AddressReachable {})).await;
    silence(&world);
    sleep(40 * S).await;
    assert_eq!(monitor.count(reclaims), 2, "the next time that it is needed it is done again");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_while_its_reclaim_is_verified_is_failed_over() {
    let world = reclaiming().policy(|policy| policy.verify_timeout = 600 * S);
    let monitor = world.settled().await;
    silence(&world);
    let landed = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::AwaitClaimed, .. });
    monitor.event("the claim", 20 * S, landed).await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reclaimed_without_a_need_or_beyond_a_bound() {
    let mut overwriting = reclaiming();
    overwriting.setup.movers = vec![Arc::new(InMemoryMover::overwrite(&overwriting.provider))];
    for (what, world) in [
        ("by default", reclaiming().policy(|policy| policy.address_unreachable = AddressUnreachable::Alert)),
        ("with the last move of the window", reclaiming().policy(|policy| policy.max_moves = 1)),
        ("with recoveries switched off", reclaiming().policy(|policy| policy.recoveries = false)),
        ("by a mover that overwrites", overwriting),
    ] {
        let monitor = world.settled().await;
        silence(&world);
        monitor.event("the news", 10 * S, |kind| matches!(kind, EventKind::AddressUnreachable { .. })).await;
        sleep(300 * S).await;
        assert_eq!((monitor.moved(), world.provider.requests().len()), (false, 0), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_never_answered_from_here_is_not_reclaimed() {
    let world = reclaiming();
    silence(&world);
    let monitor = world.settled().await;
    sleep(300 * S).await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::AddressUnreachable { .. })) && !monitor.moved());
}

/// A cut that reaches the floating address first: the holder's newest probe tells, not that it answered an older one.
#[tokio::test(start_paused = true)]
async fn nothing_is_reclaimed_from_a_holder_that_has_left_its_own_probes_unanswered() {
    let mut reclaimed = 0;
    for later in (0..4000).step_by(100) {
        let mut world = reclaiming();
        world.setup.checks[0].health.timeout = 2 * S;
        let monitor = world.settled().await;
        world.probe.set_floating(&id("a"), Some(Answer::Hang));
        sleep(later * MS).await;
        world.hang("a");
        // Its next probe begins within an interval.
        let late = Instant::now() + health().interval + health().fast_interval;
        sleep(3 * S).await;
        let started = |(at, kind): &(Instant, EventKind)| reclaims(kind).then_some(*at);
        let at = monitor.events.lock().unwrap().iter().find_map(started);
        reclaimed += u32::from(at.is_some());
        assert!(at.is_none_or(|at| at <= late), "the holder was cut off {later} ms after its address, and yet {at:?}");
    }
    assert!(reclaimed > 5, "it is while the holder answers");
}

#[tokio::test(start_paused = true)]
async fn a_holder_is_asked_once_more_before_its_address_is_claimed_anew() {
    for offset in (0..1000).step_by(50) {
        let mut world = reclaiming();
        world.setup.checks[0].health.fall = 1;
        let monitor = world.settled().await;
        sleep(offset * MS).await;
        silence(&world);
        world.hang("a");
        sleep(5 * S).await;
        assert_eq!(monitor.count(reclaims), 0, "at offset {offset} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reclaim_waits_for_the_cooldown() {
    let world = reclaiming().policy(|policy| policy.cooldown = 100 * S);
    let monitor = world.settled().await;
    world.refuse("b");
    let to = |node: &str| Command::Switchover(Switchover::to(id(node)));
    monitor.handle.command("ftp", to("c")).await.unwrap();
    world.probe.set_floating(&id("c"), Some(Answer::refused()));
    sleep(90 * S).await;
    assert_eq!(monitor.count(reclaims), 0);
    sleep(20 * S).await;
    assert_eq!(monitor.count(reclaims), 1);
}

#[tokio::test(start_paused = true)]
async fn a_release_for_a_reclaim_is_never_forced() {
    let world = reclaiming();
    world.provider.set_stuck_releases(Stuck::Graceful);
    let monitor = world.settled().await;
    silence(&world);
    monitor.event("the word", 60 * S, |kind| matches!(kind, EventKind::FloatingIpStuck { .. })).await;
    sleep(300 * S).await;
    assert!(!monitor.has(|kind| matches!(kind, EventKind::ReleaseForced { .. })), "{:#?}", monitor.seen());
}

#[tokio::test(start_paused = true)]
async fn a_reclaim_that_has_changed_nothing_ends_when_its_reason_does() {
    for (heals, why) in [(true, "the address answers again"), (false, "no longer known to be well")] {
        let world = reclaiming();
        let monitor = world.settled().await;
        world.mover.faults().always(Call::Release, Fault::Throttled);
        silence(&world);
        monitor.event("the start", 20 * S, reclaims).await;
        if heals {
            world.probe.set_floating(&id("a"), None);
        } else {
            world.hang("a");
        }
        let ended = |kind: &EventKind| matches!(kind, EventKind::MoveFailed { unchanged: true, error, .. } if error.contains(why));
        monitor.event(why, 10 * S, ended).await;
        assert_eq!(world.provider.holder(), Some(id("a")));
    }
}
