//! EC2 fails during a move, or the world changes under it: each move ends on a healthy node or loudly stuck, never on
//! two, and a healthy holder is never moved.
#![allow(clippy::disallowed_methods, reason = "what takes time is measured")]

mod rig;

use std::time::Duration;

use floatip_aws::simulator::{Action, Entry, Fault, Outcome, Scope, When};
use floatip_core::{EventKind, State};
use floatip_tests::cloud::INSTANCE2;
use rig::{Kind, Rig};
use tokio::task::JoinSet;

const ALL: [Kind; 6] = [Kind::Eni, Kind::Eip, Kind::StrictEip, Kind::PrivateIp, Kind::Ipv6, Kind::Route];
/// Those whose point of no return comes before the target has the address.
const RELEASED_FIRST: [Kind; 3] = [Kind::Eni, Kind::StrictEip, Kind::Ipv6];

/// Kills the holder while `faults` strike, and expects one move to the other node all the same.
async fn lands(kind: Kind, faults: impl Fn(&Rig)) -> Rig {
    let mut rig = Rig::start(kind).await;
    faults(&rig);
    rig.kill("ftp1");
    rig.lands_on("ftp2").await;
    rig.assert_way(&["ftp2"]);
    rig
}

/// Lets a fault strike the next call that takes the address, and the next that gives it.
fn once(fault: Fault) -> impl Fn(&Rig) + Clone {
    times(fault, 1)
}

fn times(fault: Fault, count: u32) -> impl Fn(&Rig) + Clone {
    move |rig| {
        let mut actions = vec![rig.kind.take(), rig.kind.give()];
        actions.dedup();
        for action in actions {
            rig.simulator.faults().set(action, fault, When::Next(count));
        }
    }
}

async fn all_land(faults: impl Fn(&Rig) + Clone + Send + Sync + 'static) {
    each(ALL, |kind| {
        let faults = faults.clone();
        async move { lands(kind, faults).await.stop().await }
    })
    .await;
}

/// Runs what is mostly waiting for each of the kinds, side by side.
async fn each<F: Future<Output = ()> + Send + 'static>(kinds: impl IntoIterator<Item = Kind>, run: impl Fn(Kind) -> F) {
    let mut running: JoinSet<()> = kinds.into_iter().map(run).collect();
    while let Some(ended) = running.join_next().await {
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    }
}

#[tokio::test]
async fn throttled_requests_are_repeated_until_the_address_lands() {
    all_land(|rig| {
        times(Fault::Throttled, 3)(rig);
        rig.simulator.faults().set(Scope::Describes, Fault::Throttled, When::Next(2));
    })
    .await;
}

#[tokio::test]
async fn a_lost_reply_is_found_out_by_reading() {
    each(ALL, |kind| async move {
        let rig = lands(kind, once(Fault::ReplyLost)).await;
        let takes = rig.simulator.journal().of(kind.take());
        assert_eq!(takes.len(), 1, "what was applied was requested again: {takes:?}");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_request_is_repeated() {
    all_land(once(Fault::RequestLost)).await;
}

#[tokio::test]
async fn an_internal_error_is_repeated() {
    all_land(times(Fault::InternalError, 2)).await;
}

#[tokio::test]
async fn a_request_that_was_applied_but_answered_500_is_not_repeated() {
    each(ALL, |kind| async move {
        let rig = lands(kind, once(Fault::AppliedThenInternalError)).await;
        let takes = rig.simulator.journal().of(kind.take());
        assert_eq!(takes.len(), 1, "what was applied was requested again: {takes:?}");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn stale_reads_delay_a_move_and_do_not_lead_it_astray() {
    each(ALL, |kind| async move {
        let rig = lands(kind, |rig| {
            rig.simulator.faults().set(Scope::Describes, Fault::StaleBy(Duration::from_millis(700)), When::Always);
        })
        .await;
        let takes = rig.simulator.journal().of(kind.take());
        assert_eq!(takes.len(), 1, "what was applied was requested again: {takes:?}");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_slow_api_only_delays_a_move() {
    all_land(|rig| rig.simulator.faults().set(Scope::Every, Fault::Latency(Duration::from_millis(500)), When::Always))
        .await;
}

#[tokio::test]
async fn a_request_that_hangs_is_given_up_and_repeated() {
    all_land(once(Fault::Hang)).await;
}

#[tokio::test]
async fn a_request_that_is_applied_and_never_answered_is_found_out_by_reading() {
    all_land(once(Fault::AppliedThenHang)).await;
}

#[tokio::test]
async fn a_black_hole_during_a_move_delays_it_until_it_ends() {
    each(ALL, |kind| async move {
        let mut rig = Rig::start(kind).await;
        // The request that takes the address falls into the hole, and the next reading after it too.
        let taken = rig.simulator.journal().count(kind.take());
        rig.simulator.faults().black_hole();
        rig.kill("ftp1");
        let unreadable = |it: &EventKind| matches!(it, EventKind::ProviderUnreadable { .. });
        rig.event("EC2 cannot be read", unreadable).await;
        assert_eq!(rig.carrier().as_deref(), Some("ftp1"));
        rig.simulator.faults().clear();
        rig.lands_on("ftp2").await;
        rig.assert_way(&["ftp2"]);
        assert!(rig.simulator.journal().count(kind.take()) > taken);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_zone_that_goes_dark_moves_no_healthy_holder_and_keeps_no_address_from_landing() {
    each(ALL, |kind| async move {
        let mut rig = Rig::start(kind).await;
        // What the candidate is was found out before it was needed.
        let told = |entry: &Entry| {
            let of_candidate = entry.parameters.values().any(|value| value == INSTANCE2);
            entry.action == Action::DescribeInstances.name() && of_candidate && entry.outcome == Outcome::Succeeded
        };
        rig.journal_until(|entries| entries.iter().any(told)).await;
        rig.simulator.faults().zone_goes_dark("eu-test-1a");
        let reads = rig.simulator.journal().count(kind.read());
        let is_read = |entry: &&Entry| entry.action == kind.read().name();
        rig.journal_until(|entries| entries.iter().filter(is_read).count() > reads + 2).await;
        rig.assert_way(&[]);
        rig.kill("ftp1");
        rig.lands_on("ftp2").await;
        rig.assert_way(&["ftp2"]);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_black_hole_after_the_point_of_no_return_delays_the_move_until_it_ends() {
    each(RELEASED_FIRST, |kind| async move {
        let mut rig = Rig::start(kind).await;
        rig.hold_back();
        rig.kill("ftp1");
        rig.point_of_no_return().await;
        rig.simulator.faults().black_hole();
        rig.event("EC2 cannot be read", |it| matches!(it, EventKind::ProviderUnreadable { .. })).await;
        assert_eq!(rig.carrier(), None);
        rig.simulator.faults().clear();
        rig.lands_on("ftp2").await;
        rig.assert_way(&["ftp2"]);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_move_that_is_not_permitted_to_begin_fails_loudly_and_changes_nothing() {
    each(ALL, |kind| async move {
        let mut rig = Rig::start(kind).await;
        rig.simulator.faults().set(kind.take(), Fault::Denied, When::Always);
        rig.kill("ftp1");
        rig.event("it failed and changed nothing", |it| matches!(it, EventKind::MoveFailed { unchanged: true, .. }))
            .await;
        assert_eq!(rig.carrier().as_deref(), Some("ftp1"));
        rig.assert_way(&[]);
        rig.simulator.faults().clear();
        rig.lands_on("ftp2").await;
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_not_permitted_is_loudly_stuck_until_it_is() {
    each(RELEASED_FIRST, |kind| async move {
        let mut rig = Rig::start(kind).await;
        rig.simulator.faults().set(kind.give(), Fault::Denied, When::Always);
        rig.kill("ftp1");
        rig.event("it is stuck", |it| matches!(it, EventKind::FloatingIpStuck { .. })).await;
        assert_eq!(rig.handle.status().await.expect("it runs")[0].state, State::Stuck);
        rig.simulator.faults().clear();
        rig.lands_on("ftp2").await;
        rig.assert_way(&["ftp2"]);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_taken_device_index_is_passed_over() {
    let rig = lands(Kind::Eni, |rig| {
        rig.simulator.faults().set(Action::AttachNetworkInterface, Fault::DeviceIndexTaken, When::Next(1));
    })
    .await;
    let attaches = rig.simulator.journal().of(Action::AttachNetworkInterface);
    let indexes: Vec<_> = attaches.iter().map(|attach| attach.parameter("DeviceIndex").unwrap_or_default()).collect();
    assert_eq!(indexes, ["1", "2"]);
    rig.stop().await;
}

#[tokio::test]
async fn a_stuck_detach_is_forced() {
    let rig = lands(Kind::Eni, |rig| {
        rig.simulator.faults().set(Action::DetachNetworkInterface, Fault::StuckDetach, When::Next(1));
    })
    .await;
    let detaches = rig.simulator.journal().of(Action::DetachNetworkInterface);
    assert_eq!(detaches.last().and_then(|detach| detach.parameter("Force")), Some("true"));
    assert!(rig.happened(|it| matches!(it, EventKind::ReleaseForced { .. })));
    rig.stop().await;
}

#[tokio::test]
async fn a_holder_that_recovers_before_the_point_of_no_return_keeps_the_address() {
    each(ALL, |kind| async move {
        let mut rig = Rig::start(kind).await;
        rig.simulator.faults().set(kind.take(), Fault::Throttled, When::Always);
        rig.kill("ftp1");
        rig.arrivals(kind.take(), 2).await;
        rig.revive("ftp1");
        rig.event("it is called off", |it| matches!(it, EventKind::MoveFailed { unchanged: true, .. })).await;
        rig.simulator.faults().clear();
        // Time enough to see that nothing comes after it: some more looks at the placement.
        let looks = rig.simulator.journal().entries().len();
        rig.arrivals_of_any(looks + 4).await;
        let taken = rig.simulator.journal().of(kind.take());
        assert!(taken.iter().all(|call| call.outcome != Outcome::Succeeded), "a healthy holder was moved: {taken:?}");
        rig.assert_way(&[]);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_holder_that_recovers_after_the_point_of_no_return_is_moved_from_all_the_same() {
    each(RELEASED_FIRST, |kind| async move {
        let mut rig = Rig::start(kind).await;
        rig.hold_back();
        rig.kill("ftp1");
        rig.point_of_no_return().await;
        rig.event("ftp1 is down", |it| matches!(it, EventKind::NodeWentDown { .. })).await;
        rig.revive("ftp1");
        rig.next_event("ftp1 is up", |it| matches!(it, EventKind::NodeCameUp { .. })).await;
        rig.simulator.faults().clear();
        rig.lands_on("ftp2").await;
        rig.assert_way(&["ftp2"]);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_target_that_dies_under_way_is_replaced_by_another_healthy_node() {
    each(RELEASED_FIRST, |kind| async move {
        let mut rig = Rig::start_with(kind, 3).await;
        rig.hold_back();
        rig.kill("ftp1");
        rig.point_of_no_return().await;
        rig.event("ftp1 is down", |it| matches!(it, EventKind::NodeWentDown { .. })).await;
        rig.kill("ftp2");
        rig.next_event("ftp2 is down", |it| matches!(it, EventKind::NodeWentDown { .. })).await;
        // A claim for ftp2 may have been on its way.
        rig.event("another target was chosen", |it| matches!(it, EventKind::MoveRetargeted { .. })).await;
        rig.simulator.faults().clear();
        rig.lands_on("ftp3").await;
        rig.assert_way(&["ftp3"]);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_target_that_dies_before_the_point_of_no_return_never_gets_the_address() {
    each(ALL, |kind| async move {
        let mut rig = Rig::start_with(kind, 3).await;
        rig.simulator.faults().set(kind.take(), Fault::Throttled, When::Always);
        rig.kill("ftp1");
        rig.arrivals(kind.take(), 1).await;
        rig.kill("ftp2");
        rig.event(
            "ftp2 is known to be down",
            |it| matches!(it, EventKind::NodeWentDown { node, .. } if node.as_str() == "ftp2"),
        )
        .await;
        rig.simulator.faults().clear();
        rig.lands_on("ftp3").await;
        rig.assert_way(&["ftp3"]);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_monitor_that_is_cut_off_during_a_move_finishes_it_when_it_is_back() {
    each(ALL, |kind| async move {
        let mut rig = Rig::start(kind).await;
        rig.kill("ftp1");
        rig.event("a move was begun", |it| matches!(it, EventKind::MoveStarted { .. })).await;
        rig.cut_off(true);
        rig.event("it knows that it is cut off", |it| {
            matches!(it, EventKind::ProviderUnreadable { .. } | EventKind::VerificationFailed { .. })
        })
        .await;
        rig.cut_off(false);
        rig.event("the address is on ftp2", |it| {
            matches!(it, EventKind::MoveFinished(receipt) if receipt.to.as_str() == "ftp2")
                || matches!(it, EventKind::HolderChanged { to: Some(node), .. } if node.as_str() == "ftp2")
        })
        .await;
        rig.assert_way(&["ftp2"]);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_monitor_that_is_cut_off_from_everything_moves_nothing() {
    let mut rig = Rig::start(Kind::Eni).await;
    rig.cut_off(true);
    rig.event("it suspects itself", |it| matches!(it, EventKind::AllNodesDown {})).await;
    rig.cut_off(false);
    rig.event("it trusts itself again", |it| matches!(it, EventKind::AllNodesDownEnded {})).await;
    rig.assert_way(&[]);
    assert!(!rig.happened(|it| matches!(it, EventKind::MoveStarted { .. })));
    rig.stop().await;
}
