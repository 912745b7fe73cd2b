//! The ten rules that may never break, each by name.

use super::*;
use crate::testing::{Call, Fault, InMemoryLeaseStore, Outage, Request};

#[tokio::test(start_paused = true)]
async fn rule_1_a_failover_waits_for_a_candidate_probe_begun_no_earlier_than_the_holders_last_failed_one() {
    let world = World::two();
    let monitor = world.settled().await;
    // b hangs from the very moment at which a fails: what was known of it before does not count.
    world.refuse("a");
    world.probe.set_direct(&id("b"), Answer::Healthy.after(400 * MS));
    let started = monitor.event("the move", 10 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    let failed = *world.probe.starts(&id("a"), Via::Direct).iter().filter(|at| **at <= started).max().unwrap();
    let vouched = world.probe.starts(&id("b"), Via::Direct).into_iter().filter(|at| *at + 400 * MS <= started).max();
    assert!(vouched.unwrap() >= failed, "b vouched at {vouched:?}, a failed last at {failed:?}");
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_candidate_that_stopped_answering_receives_nothing() {
    let world = World::two();
    let monitor = world.settled().await;
    world.hang("b");
    world.refuse("a");
    sleep(30 * S).await;
    assert!(!monitor.moved());
}

/// A cut that reaches the holder first: it is the candidate's newest probe that tells, not that it answered an older one.
#[tokio::test(start_paused = true)]
async fn rule_1_a_candidate_that_leaves_a_newer_probe_unanswered_receives_nothing() {
    let mut moved = 0;
    for later in (0..4000).step_by(100) {
        let mut world = World::two();
        world.setup.checks[0].health.timeout = 2 * S;
        let monitor = world.settled().await;
        world.hang("a");
        sleep(later * MS).await;
        world.hang("b");
        let cut = Instant::now();
        sleep(10 * S).await;
        let started = |(at, kind): &(Instant, EventKind)| matches!(kind, EventKind::MoveStarted { .. }).then_some(*at);
        let at = monitor.events.lock().unwrap().iter().find_map(started);
        moved += u32::from(at.is_some());
        // The next probe begins within one fast interval, and is late after another.
        let late = cut + 2 * health().fast_interval;
        assert!(at.is_none_or(|at| at <= late), "b was cut off {later} ms after a, and the move began {at:?}");
    }
    assert!(moved > 5, "a candidate that answers receives it");
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_candidate_that_is_always_slow_receives_the_address_all_the_same() {
    let world = World::two();
    world.probe.set_direct(&id("b"), Answer::Healthy.after(400 * MS));
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.event("the move", 10 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn rule_1_an_operator_may_force_a_node_that_is_down() {
    let world = World::two().policy(|policy| policy.verify_timeout = 5 * S);
    let monitor = world.settled().await;
    world.refuse("b");
    monitor.event("b down", 10 * S, |kind| matches!(kind, EventKind::NodeWentDown { .. })).await;
    let refused = monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("b")))).await;
    assert!(matches!(refused, Err(CommandError::Refused { .. })), "{refused:?}");
    let forced = Command::Switchover(Switchover::to(id("b")).force(true));
    drop(monitor.handle.command("ftp", forced).await);
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn rule_2_of_two_monitors_that_share_a_lease_only_one_requests() {
    let mut world = World::two();
    let store = InMemoryLeaseStore::new(10 * S);
    let one = InMemoryMover::release_first(&world.provider).named("one");
    let two = InMemoryMover::release_first(&world.provider).named("two");
    world.setup.movers = vec![Arc::new(one)];
    world.setup.lease = Some(Arc::new(store.lease("one")));
    let first = world.monitor();
    sleep(MS).await;
    world.setup.movers = vec![Arc::new(two)];
    world.setup.lease = Some(Arc::new(store.lease("two")));
    let second = world.monitor();
    sleep(5 * S).await;
    world.refuse("a");
    first.finished(20 * S).await;
    sleep(20 * S).await;
    assert!(!second.moved());
    assert!(world.provider.requests().iter().all(|record| &*record.mover == "one"));
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn rule_2_without_a_lease_a_generation_token_lets_one_monitor_win() {
    let mut world = World::two();
    world.provider.set_latency(20 * MS);
    let first = world.settled().await;
    world.setup.movers = vec![Arc::new(InMemoryMover::release_first(&world.provider).named("two"))];
    let second = world.settled().await;
    world.refuse("a");
    sleep(40 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
    world.provider.assert_never_two_holders();
    let finished = |monitor: &Monitor| monitor.count(|kind| matches!(kind, EventKind::MoveFinished(_)));
    assert!(finished(&first) + finished(&second) >= 1);
    for monitor in [&first, &second] {
        assert_eq!(monitor.status().await.holder, Some(id("b")));
    }
}

#[tokio::test(start_paused = true)]
async fn rule_3_a_healthy_holder_keeps_its_address_though_a_preferred_node_comes_back() {
    let world = World::two();
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    world.heal("a");
    sleep(600 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn rule_3_a_fresh_healthy_answer_through_the_floating_address_vetoes_a_failover() {
    let world = World::two();
    let monitor = world.settled().await;
    world.refuse("a");
    world.probe.set_floating(&id("a"), Some(Answer::Healthy));
    monitor.state(State::UnreachableButServing, 10 * S).await;
    sleep(60 * S).await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::HolderUnreachableButServing { .. })));
    assert!(!monitor.moved());
    // The veto ends with the service.
    world.probe.set_floating(&id("a"), None);
    monitor.finished(20 * S).await;
}

#[tokio::test(start_paused = true)]
async fn rule_4_a_read_that_fails_or_is_throttled_or_stale_moves_nothing() {
    for fault in [Fault::Throttled, Fault::TimedOut, Fault::Denied, Fault::NotFound] {
        let world = World::two();
        let monitor = world.settled().await;
        world.mover.faults().always(Call::Locate, fault.clone());
        sleep(120 * S).await;
        assert_eq!(monitor.status().await.state, State::Unreadable, "{fault:?}");
        assert!(!monitor.moved(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_4_one_reading_of_free_is_not_believed() {
    let world = World::two();
    let monitor = world.settled().await;
    world.provider.free();
    world.provider.freeze_reads_for(11 * S);
    world.provider.put_on(&id("a"));
    // The sweep reads "free" at most twice within 2 s of each other only if the freeze lasts: let it end between.
    sleep(30 * S).await;
    world.provider.assert_never_two_holders();
    assert_eq!(world.provider.holder(), Some(id("a")));
    drop(monitor);
}

#[tokio::test(start_paused = true)]
async fn rule_4_an_address_that_agreeing_reads_show_free_is_rescued() {
    let world = World::two();
    let monitor = world.settled().await;
    world.provider.free();
    let found = monitor.event("free", 15 * S, |kind| matches!(kind, EventKind::AddressFoundFree {})).await;
    let reads = world.provider.journal().into_iter().filter(|r| r.request == Request::Locate).map(|r| r.at);
    let free_reads: Vec<_> = reads.filter(|at| *at + 5 * S >= found && *at <= found).collect();
    assert!(free_reads.last().unwrap().duration_since(free_reads[0]) >= 2 * S, "{free_reads:?}");
    monitor.finished(10 * S).await;
    assert_eq!(world.provider.holder(), Some(id("a")));
}

#[tokio::test(start_paused = true)]
async fn rule_5_every_node_down_at_once_holds_and_the_holder_must_fail_anew_afterwards() {
    let world = World::two();
    let monitor = world.settled().await;
    world.probe.set_everywhere(Some(Answer::Hang));
    monitor.state(State::AllNodesDown, 20 * S).await;
    sleep(60 * S).await;
    assert!(!monitor.moved());
    // The network comes back for b first: the failures of a from before say nothing.
    world.hang("a");
    world.probe.set_everywhere(None);
    let back = Instant::now();
    let started = monitor.event("a move", 30 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    let anew = world.probe.starts(&id("a"), Via::Direct).into_iter().filter(|at| *at > back && *at < started).count();
    assert!(anew >= 3, "a failed {anew} times anew");
}

#[tokio::test(start_paused = true)]
async fn rule_5_a_cut_that_heals_moves_nothing() {
    let world = World::two();
    let monitor = world.settled().await;
    for cut in [600 * MS, 900 * MS, 1200 * MS, 1700 * MS, 2200 * MS, 10 * S] {
        world.probe.set_everywhere(Some(Answer::Hang));
        sleep(cut).await;
        world.probe.set_everywhere(None);
        sleep(10 * S).await;
        assert!(!monitor.moved(), "after a cut of {cut:?}: {:#?}", monitor.seen());
    }
}

#[tokio::test(start_paused = true)]
async fn rule_5_a_standby_that_was_dead_first_makes_it_no_candidate() {
    let world = World::two();
    let monitor = world.settled().await;
    world.refuse("b");
    sleep(10 * S).await;
    world.refuse("a");
    monitor.state(State::NoCandidate, 10 * S).await;
    assert!(!monitor.has(|kind| matches!(kind, EventKind::AllNodesDown {})));
    assert!(!monitor.moved());
    world.heal("b");
    monitor.finished(20 * S).await;
}

#[tokio::test(start_paused = true)]
async fn rule_5_after_a_failover_the_old_holder_that_is_still_dead_bears_no_witness() {
    let world = World::two();
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    sleep(10 * S).await;
    world.refuse("b");
    monitor.state(State::NoCandidate, 20 * S).await;
    assert!(!monitor.has(|kind| matches!(kind, EventKind::AllNodesDown {})));
}

#[tokio::test(start_paused = true)]
async fn rule_5_a_local_node_is_no_evidence_that_the_network_works() {
    let mut world = World::two();
    world.setup.nodes[1].local = true;
    let monitor = world.settled().await;
    world.hang("a");
    sleep(60 * S).await;
    assert!(!monitor.moved());
    assert_eq!(monitor.status().await.state, State::NoWitness);
}

#[tokio::test(start_paused = true)]
async fn rule_6_no_request_is_sent_without_a_valid_lease() {
    let mut world = World::two();
    let store = InMemoryLeaseStore::new(10 * S);
    let lease = store.lease("one");
    world.setup.lease = Some(Arc::new(lease.clone()));
    let monitor = world.settled().await;
    lease.set_outage(Some(Outage::Failing));
    monitor.event("the end of the lease", 15 * S, |kind| matches!(kind, EventKind::LeaseLost {})).await;
    world.refuse("a");
    sleep(30 * S).await;
    assert_eq!(world.provider.requests(), []);
    lease.set_outage(None);
    monitor.finished(20 * S).await;
}

#[tokio::test(start_paused = true)]
async fn rule_6_the_lease_is_renewed_while_a_stopping_monitor_finishes_its_move() {
    let mut world = World::two();
    world.provider.set_release_duration(20 * S);
    world.setup.lease = Some(Arc::new(InMemoryLeaseStore::new(10 * S).lease("one")));
    let monitor = world.settled().await;
    world.refuse("a");
    let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
    monitor.event("the release", 10 * S, released).await;
    monitor.stop().await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn rule_6_a_request_carries_the_token_that_was_read_and_is_confirmed_by_reading_back() {
    let world = World::two();
    let monitor = world.settled().await;
    let before = world.provider.placement();
    world.refuse("a");
    monitor.finished(20 * S).await;
    let requests = world.provider.requests();
    assert!(matches!(&requests[0].request, Request::Release { seen, .. } if *seen == before), "{requests:#?}");
    let claimed = requests.iter().find(|record| matches!(record.request, Request::Claim { .. })).unwrap().at;
    let finished = monitor.receipt();
    assert_eq!(finished.token.as_ref(), world.provider.placement().token());
    let read_back =
        world.provider.journal().iter().any(|r| r.request == Request::Locate && r.at >= claimed + 1500 * MS);
    assert!(read_back, "the claim took 1.5 s, and something read it afterwards");
}

#[tokio::test(start_paused = true)]
async fn rule_7_a_holder_that_recovers_before_the_point_of_no_return_keeps_its_address() {
    let world = World::two();
    let monitor = world.settled().await;
    world.mover.faults().always(Call::Release, Fault::Throttled);
    world.refuse("a");
    monitor.event("the move", 10 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    world.heal("a");
    let failed = |kind: &EventKind| matches!(kind, EventKind::MoveFailed { unchanged: true, .. });
    monitor.event("the cancellation", 10 * S, failed).await;
    world.mover.faults().clear();
    sleep(30 * S).await;
    assert_eq!(world.provider.path(), [id("a")]);
}

#[tokio::test(start_paused = true)]
async fn rule_7_a_holder_that_recovers_after_the_point_of_no_return_does_not_stop_the_move() {
    let world = World::two();
    let monitor = world.settled().await;
    world.refuse("a");
    let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
    monitor.event("the release", 10 * S, released).await;
    world.heal("a");
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn rule_7_a_target_that_dies_after_the_release_is_replaced_by_another_healthy_node() {
    let world = World::of(&["a", "b", "c"]);
    world.provider.set_release_duration(10 * S);
    let monitor = world.settled().await;
    world.refuse("a");
    let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
    monitor.event("the release", 10 * S, released).await;
    world.refuse("b");
    monitor.finished(30 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("c")]);
    assert!(monitor.has(|kind| matches!(kind, EventKind::MoveRetargeted { .. })));
}

#[tokio::test(start_paused = true)]
async fn rule_7_with_every_node_dead_after_the_release_the_address_lands_on_the_one_last_known_healthy() {
    let world = World::two().policy(|policy| policy.verify_timeout = 5 * S);
    world.provider.set_release_duration(10 * S);
    let monitor = world.settled().await;
    world.refuse("a");
    let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
    monitor.event("the release", 10 * S, released).await;
    world.refuse("b");
    sleep(40 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")), "b was well after a");
}

#[tokio::test(start_paused = true)]
async fn rule_7_a_release_that_never_ends_is_forced_and_then_stuck_loudly_and_retried() {
    let world = World::two();
    world.provider.set_stuck_releases(testing::Stuck::Always);
    let monitor = world.settled().await;
    world.refuse("a");
    let forced = monitor.event("force", 60 * S, |kind| matches!(kind, EventKind::ReleaseForced { .. })).await;
    let stuck = monitor.event("stuck", 200 * S, |kind| matches!(kind, EventKind::FloatingIpStuck { .. })).await;
    assert!(stuck.duration_since(forced) >= 119 * S);
    assert_eq!(monitor.status().await.state, State::Stuck);
    let before = world.provider.requests().len();
    sleep(120 * S).await;
    let retries = world.provider.requests().len() - before;
    assert!((1..=20).contains(&retries), "{retries} retries in two minutes");
    world.provider.finish_change();
    monitor.finished(70 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn rule_7_a_start_that_finds_the_address_free_gives_it_to_the_first_healthy_node() {
    let world = World::two();
    world.provider.free();
    world.refuse("a");
    let monitor = world.monitor();
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
    assert_eq!(monitor.receipt().cause, Cause::Rescue);
}

#[tokio::test(start_paused = true)]
async fn rule_8_past_the_bound_on_moves_the_floating_ip_is_frozen_until_an_operator_acts() {
    let world = World::two().policy(|policy| policy.max_moves = 2);
    let monitor = world.settled().await;
    for (dying, other) in [("a", "b"), ("b", "a")] {
        world.refuse(dying);
        sleep(15 * S).await;
        assert_eq!(world.provider.holder(), Some(id(other)));
        world.heal(dying);
        sleep(10 * S).await;
    }
    world.refuse("a");
    monitor.state(State::Frozen, 20 * S).await;
    sleep(120 * S).await;
    assert_eq!(world.provider.holder(), Some(id("a")));
    monitor.handle.command("ftp", Command::Resume).await.unwrap();
    monitor.state(State::Serving, 20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn rule_8_the_cooldown_delays_a_failback_but_never_the_rescue_from_a_dead_holder() {
    let change = |policy: &mut Policy| {
        policy.cooldown = 300 * S;
        policy.failback = Failback::After(10 * S);
    };
    let world = World::two().policy(change);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    world.heal("a");
    sleep(200 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")), "the failback waits for the cool-down");
    world.refuse("b");
    sleep(12 * S).await;
    assert_eq!(world.provider.holder(), Some(id("a")), "the rescue does not");
    world.heal("b");
}

#[tokio::test(start_paused = true)]
async fn rule_8_a_failback_comes_when_the_preferred_node_has_been_well_for_long_enough() {
    let change = |policy: &mut Policy| {
        policy.cooldown = 60 * S;
        policy.failback = Failback::After(100 * S);
    };
    let world = World::two().policy(change);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    world.heal("a");
    sleep(95 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
    sleep(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("a")));
}

#[tokio::test(start_paused = true)]
async fn rule_9_a_move_is_done_only_when_the_service_answers_through_the_floating_address() {
    let world = World::two();
    let monitor = world.settled().await;
    world.probe.set_floating(&id("b"), Some(Answer::Hang));
    world.refuse("a");
    let claimed = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::AwaitClaimed, .. });
    let claimed = monitor.event("the claim", 20 * S, claimed).await;
    sleep(5 * S).await;
    assert!(!monitor.has(|kind| matches!(kind, EventKind::MoveFinished(_))));
    world.probe.set_floating(&id("b"), None);
    let finished = monitor.finished(5 * S).await;
    assert!(finished.duration_since(claimed) >= 5 * S);
    assert_eq!(monitor.receipt().verification, Verification::Verified);
}

#[tokio::test(start_paused = true)]
async fn rule_9_a_failed_verification_moves_on_to_a_healthy_untried_node_and_never_back_to_a_dead_one() {
    let world = World::of(&["a", "b", "c"]).policy(|policy| policy.verify_timeout = 5 * S);
    let monitor = world.settled().await;
    world.probe.set_floating(&id("b"), Some(Answer::Hang));
    world.refuse("a");
    monitor.finished(60 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b"), id("c")]);
}

#[tokio::test(start_paused = true)]
async fn rule_9_without_another_healthy_node_the_address_stays_loudly() {
    let world = World::two().policy(|policy| policy.verify_timeout = 5 * S);
    let monitor = world.settled().await;
    world.probe.set_floating(&id("b"), Some(Answer::Hang));
    world.refuse("a");
    monitor.event("the failure", 60 * S, |kind| matches!(kind, EventKind::MoveFailed { unchanged: false, .. })).await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::VerificationFailed { .. })));
    sleep(60 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn rule_9_an_address_that_was_never_healthy_from_here_is_not_required_to_be() {
    let world = World::two().policy(|policy| policy.verify_timeout = 5 * S);
    for node in ["a", "b"] {
        world.probe.set_floating(&id(node), Some(Answer::Hang));
    }
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(60 * S).await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::VerificationImpossible { .. })));
    assert_eq!(monitor.receipt().verification, Verification::Unverified);
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn rule_10_the_address_is_on_a_candidate_within_detection_bound_and_provider_time_and_five_percent() {
    for die in [World::refuse as fn(&World, &str), World::hang] {
        for offset in [0, 130, 333, 500, 777, 999] {
            let world = World::two();
            let monitor = world.settled().await;
            sleep(offset * MS).await;
            let died = Instant::now();
            die(&world, "a");
            while world.provider.serving() != Some(id("b")) {
                sleep(MS).await;
                assert!(died.elapsed() < 60 * S, "{:#?}", monitor.seen());
            }
            let (bound, provider) = (health().worst_case_detection(), 4000 * MS);
            let took = died.elapsed();
            assert!(took <= (bound + provider).mul_f64(1.05), "{took:?} at offset {offset} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_10_holds_where_an_answer_takes_longer_than_an_interval() {
    for slow in [Answer::Hang, Answer::Healthy.after(1200 * MS)] {
        let mut world = World::two();
        let mut health = health();
        health.timeout = 1500 * MS;
        world.setup.checks = vec![Check::new(Arc::new(world.probe.clone())).health(health)];
        let monitor = world.settled().await;
        let died = Instant::now();
        // Its own host refuses at once; what else there is to know takes longer than the time to the next probe.
        world.refuse("a");
        if slow == Answer::Hang {
            world.probe.set_floating(&id("a"), Some(slow));
        } else {
            world.probe.set_direct(&id("b"), slow);
        }
        while world.provider.serving() != Some(id("b")) {
            sleep(10 * MS).await;
            assert!(died.elapsed() < 60 * S, "{:#?}", monitor.seen());
        }
        let most = (health.worst_case_detection() + 4000 * MS).mul_f64(1.05);
        assert!(died.elapsed() <= most, "{:?}", died.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn rule_5_a_failover_that_has_sent_nothing_ends_when_its_reasons_become_void() {
    let mut world = World::of(&["a", "b", "c"]);
    let mut health = health();
    health.fall = 8;
    world.setup.checks = vec![Check::new(Arc::new(world.probe.clone())).health(health)];
    let monitor = world.settled().await;
    world.mover.faults().always(Call::Locate, Fault::RequestLost);
    world.refuse("a");
    monitor.event("the move", 10 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    // It was the network after all: everything is cut off for a moment, and then the others are seen first.
    world.probe.set_everywhere(Some(Answer::Hang));
    sleep(1600 * MS).await;
    world.probe.set_everywhere(None);
    world.hang("a");
    let void = |kind: &EventKind| matches!(kind, EventKind::MoveFailed { unchanged: true, error, .. } if error.contains("no longer counts"));
    monitor.event("its end", 5 * S, void).await;
    world.heal("a");
    world.mover.faults().clear();
    sleep(30 * S).await;
    assert_eq!(world.provider.path(), [id("a")]);
}
