//! Single moves: faults, restarts, repairs, and what a move costs.

mod killed;

use super::*;
use crate::testing::{Call, Fault, FaultyMover, InMemoryLeaseStore, Outage, Request};

#[tokio::test(start_paused = true)]
async fn a_receipt_names_every_step_and_their_durations_add_up() {
    let world = World::two();
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    let receipt = monitor.receipt();
    let steps: Vec<_> = receipt.steps.iter().map(|record| record.step).collect();
    assert_eq!(steps, [Step::Release, Step::AwaitReleased, Step::Claim, Step::AwaitClaimed, Step::Verify]);
    assert_eq!(receipt.steps.iter().map(|record| record.duration).sum::<Duration>(), receipt.duration);
    assert_eq!((receipt.from, receipt.cause), (Some(id("a")), Cause::Failover));
}

#[tokio::test(start_paused = true)]
async fn a_move_costs_the_providers_time_and_five_percent_and_four_round_trips() {
    for round_trip in [0, 10, 50] {
        let world = World::two();
        world.provider.set_latency(round_trip * MS);
        let monitor = world.settled().await;
        let Ok(Done::Moved(receipt)) =
            monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("b")))).await
        else {
            panic!("{:#?}", monitor.seen())
        };
        let placed: Duration = receipt.steps.iter().filter(|r| r.step != Step::Verify).map(|r| r.duration).sum();
        let bound = 4000 * MS + 200 * MS + 4 * round_trip * MS;
        assert!(placed <= bound, "{placed:?} with a round trip of {round_trip} ms; bound {bound:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_at_every_call_of_a_move_ends_on_one_node_or_loudly_stuck() {
    for fault in Fault::all(3 * S) {
        for call in [Call::Locate, Call::Release, Call::Claim] {
            for index in 0..3 {
                let mut world = World::two();
                let faulty = FaultyMover::new(Arc::new(world.mover.clone()));
                let faults = faulty.faults().clone();
                world.setup.movers = vec![Arc::new(faulty)];
                let monitor = world.settled().await;
                faults.at(call, faults.calls(call) + index, fault.clone());
                world.refuse("a");
                sleep(240 * S).await;
                let what = format!("{fault:?} at {call:?} {index}: {:#?}", monitor.seen());
                world.provider.assert_never_two_holders();
                let stuck = monitor.status().await.state == State::Stuck;
                assert!(stuck || world.provider.holder() == Some(id("b")), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_of_the_release_leaves_the_holder_and_freezes_nothing() {
    for fault in [Fault::Denied, Fault::Throttled, Fault::NotFound, Fault::Conflict] {
        let world = World::two();
        let monitor = world.settled().await;
        world.mover.faults().always(Call::Release, fault.clone());
        world.refuse("a");
        sleep(600 * S).await;
        assert_eq!(world.provider.path(), [id("a")], "{fault:?}");
        assert!(monitor.has(|kind| matches!(kind, EventKind::MoveFailed { unchanged: true, .. })), "{fault:?}");
        world.mover.faults().clear();
        monitor.finished(70 * S).await;
        assert_eq!(world.provider.path(), [id("a"), id("b")], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_denied_for_good_is_stuck_loudly_until_it_is_allowed() {
    let world = World::two();
    let monitor = world.settled().await;
    world.mover.faults().always(Call::Claim, Fault::Denied);
    world.refuse("a");
    monitor.state(State::Stuck, 30 * S).await;
    sleep(300 * S).await;
    assert_eq!(monitor.count(|kind| matches!(kind, EventKind::FloatingIpStuck { .. })), 1);
    world.mover.faults().clear();
    monitor.finished(70 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_hangs_is_given_to_the_next_candidate() {
    let world = World::of(&["a", "b", "c"]);
    world.provider.set_stuck_claims(&id("b"), true);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(240 * S).await;
    assert_eq!(world.provider.holder(), Some(id("c")), "{:#?}", monitor.seen());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_turns_out_to_be_impossible_is_passed_over() {
    let world = World::of(&["a", "b", "c"]);
    world.provider.set_impossible(&id("b"), Some("wrong zone"));
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(30 * S).await;
    assert_eq!(world.provider.holder(), Some(id("c")));
    assert!(monitor.has(|kind| matches!(kind, EventKind::CandidateNotReady { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_known_to_be_impossible_is_no_candidate() {
    let world = World::two();
    world.provider.set_readiness(&id("b"), Readiness::Impossible { reason: "wrong zone".into() });
    let monitor = world.settled().await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::CandidateNotReady { .. })));
    world.refuse("a");
    monitor.state(State::NoCandidate, 20 * S).await;
    world.provider.set_readiness(&id("b"), Readiness::Ready);
    monitor.finished(90 * S).await;
}

#[tokio::test(start_paused = true)]
async fn a_stopping_monitor_finishes_a_move_past_its_point_of_no_return() {
    let world = World::two();
    let monitor = world.settled().await;
    world.refuse("a");
    let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
    monitor.event("the release", 10 * S, released).await;
    monitor.stop().await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_monitor_begins_nothing() {
    let world = World::two();
    let monitor = world.settled().await;
    world.mover.faults().always(Call::Release, Fault::Throttled);
    world.refuse("a");
    monitor.event("the move", 10 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    world.mover.faults().clear();
    let began = Instant::now();
    monitor.stop().await;
    assert!(began.elapsed() < S);
    assert_eq!(world.provider.path(), [id("a")]);
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_left_unsettled_is_repaired_in_the_background() {
    let world = World::two();
    world.provider.set_claims_to_settle(2);
    let monitor = world.settled().await;
    world.refuse("a");
    let finished = monitor.finished(20 * S).await;
    let settled = monitor.event("settled", 30 * S, |kind| matches!(kind, EventKind::PlacementSettled { .. })).await;
    assert!(settled > finished, "it does not delay the move");
}

#[tokio::test(start_paused = true)]
async fn a_move_made_behind_our_back_is_adopted() {
    let world = World::two();
    let monitor = world.settled().await;
    world.provider.put_on(&id("b"));
    let changed = |kind: &EventKind| matches!(kind, EventKind::HolderChanged { to: Some(to), .. } if *to == id("b"));
    monitor.event("the change", 15 * S, changed).await;
    sleep(60 * S).await;
    assert!(!monitor.moved());
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_told_and_left_alone() {
    let world = World::two();
    let monitor = world.settled().await;
    world.provider.put_on_stranger("i-elsewhere");
    monitor.state(State::HeldByStranger, 15 * S).await;
    world.refuse("a");
    sleep(60 * S).await;
    assert_eq!(world.provider.requests(), []);
    assert_eq!(monitor.count(|kind| matches!(kind, EventKind::AddressHeldByStranger { .. })), 1);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_cut_off_in_the_middle_of_a_move_finishes_it_when_it_is_back() {
    let world = World::two();
    let monitor = world.settled().await;
    world.refuse("a");
    let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
    monitor.event("the release", 10 * S, released).await;
    world.mover.faults().all_always(&Fault::TimedOut);
    world.probe.set_everywhere(Some(Answer::Hang));
    sleep(300 * S).await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::FloatingIpStuck { .. })));
    world.mover.faults().clear();
    world.probe.set_everywhere(None);
    monitor.finished(90 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn a_healthy_fleet_reads_once_a_sweep_and_probes_once_an_interval() {
    let world = World::two();
    let monitor = world.settled().await;
    let (reads, probes) = (world.provider.journal().len(), world.probe.count(&id("a"), Via::Direct));
    sleep(100 * S).await;
    assert_eq!(world.provider.journal().len() - reads, 10);
    let probes = world.probe.count(&id("a"), Via::Direct) - probes;
    assert!((99..=101).contains(&probes), "{probes}");
    drop(monitor);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_one_target_shared_by_two_floating_ips_runs_once() {
    let world = World::two();
    let mut second = world.setup.clone();
    second.floating_ip = FloatingIp::new("www", "10.0.0.31").unwrap();
    let orchestrator = Orchestrator::builder().floating_ip(world.setup.clone()).floating_ip(second).build().unwrap();
    let task = tokio::spawn(orchestrator.run(std::future::pending()));
    sleep(100 * S).await;
    let probes = world.probe.count(&id("a"), Via::Direct);
    assert!((95..=110).contains(&probes), "{probes}");
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_probe_or_a_mover_that_panics_ends_nothing_but_itself() {
    let world = World::two();
    let monitor = world.settled().await;
    world.probe.set_direct(&id("b"), Answer::Panic);
    world.mover.faults().next(Call::Locate, 2, Fault::Panic);
    sleep(30 * S).await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::ProbeErrored { .. })));
    world.heal("b");
    world.mover.faults().next(Call::Release, 1, Fault::Panic);
    sleep(5 * S).await;
    world.refuse("a");
    monitor.finished(40 * S).await;
}

#[tokio::test(start_paused = true)]
async fn an_overwriting_mover_claims_without_releasing() {
    let mut world = World::two();
    world.setup.movers = vec![Arc::new(InMemoryMover::overwrite(&world.provider))];
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    let requests = world.provider.requests();
    assert!(requests.iter().all(|record| matches!(record.request, Request::Claim { .. })), "{requests:#?}");
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_floating_address_that_fails_while_its_holder_answers_is_told_and_moves_nothing() {
    let world = World::two();
    let monitor = world.settled().await;
    world.probe.set_floating(&id("a"), Some(Answer::refused()));
    monitor.event("the news", 10 * S, |kind| matches!(kind, EventKind::AddressUnreachable { .. })).await;
    sleep(60 * S).await;
    assert!(!monitor.moved());
    world.probe.set_floating(&id("a"), None);
    monitor.event("the end", 10 * S, |kind| matches!(kind, EventKind::AddressReachable {})).await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_is_not_said_to_answer_while_its_address_does_not() {
    for die in [World::refuse as fn(&World, &str), World::hang] {
        let world = World::two();
        let monitor = world.settled().await;
        die(&world, "a");
        monitor.finished(20 * S).await;
        assert!(!monitor.has(|kind| matches!(kind, EventKind::AddressUnreachable { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn readings_during_verification_send_no_request() {
    for disturb in [
        (|world: &World| world.provider.freeze_reads_for(S)) as fn(&World),
        |world| world.provider.put_in_transition(Some(&id("b")), None),
        |world| world.mover.faults().always(Call::Locate, Fault::TimedOut),
    ] {
        let world = World::of(&["a", "b", "c"]);
        world.provider.set_claim_duration(1500 * MS);
        let monitor = world.settled().await;
        world.probe.set_floating(&id("b"), Some(Answer::Hang));
        world.refuse("a");
        let claimed = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::AwaitClaimed, .. });
        monitor.event("the claim", 20 * S, claimed).await;
        let before = world.provider.requests().len();
        disturb(&world);
        sleep(25 * S).await;
        assert_eq!(world.provider.requests().len(), before, "{:#?}", monitor.seen());
    }
}

#[tokio::test(start_paused = true)]
async fn a_forced_release_that_is_refused_for_good_is_stuck_loudly() {
    for fault in [Fault::NotYet, Fault::Throttled, Fault::Conflict, Fault::NotFound, Fault::InternalError] {
        let world = World::two();
        world.provider.set_stuck_releases(testing::Stuck::Graceful);
        let monitor = world.settled().await;
        world.refuse("a");
        let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
        monitor.event("the release", 10 * S, released).await;
        world.mover.faults().always(Call::Release, fault.clone());
        let stuck = |kind: &EventKind| matches!(kind, EventKind::FloatingIpStuck { .. });
        monitor.event(&format!("stuck after {fault:?}"), 300 * S, stuck).await;
        assert!(!monitor.has(|kind| matches!(kind, EventKind::ReleaseForced { .. })), "{fault:?}: none was accepted");
        world.mover.faults().clear();
        monitor.finished(120 * S).await;
        assert_eq!(world.provider.holder(), Some(id("b")), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_loses_its_lease_in_the_middle_of_a_move_takes_nothing_from_whoever_goes_on() {
    let mut world = World::two();
    let store = InMemoryLeaseStore::new(10 * S);
    let (lease, other) = (store.lease("one"), store.lease("two"));
    world.provider.set_release_duration(20 * S);
    world.setup.lease = Some(Arc::new(lease.clone()));
    let first = world.settled().await;
    world.setup.movers = vec![Arc::new(InMemoryMover::release_first(&world.provider).named("two"))];
    world.setup.lease = Some(Arc::new(other));
    let second = world.settled().await;
    world.refuse("a");
    let released = |kind: &EventKind| matches!(kind, EventKind::StepFinished { step: Step::Release, .. });
    first.event("the release", 10 * S, released).await;
    world.refuse("b");
    world.heal("a");
    lease.set_outage(Some(Outage::Failing));
    second.event("the rescue", 90 * S, |kind| matches!(kind, EventKind::MoveFinished(_))).await;
    assert_eq!(world.provider.holder(), Some(id("a")));
    lease.set_outage(None);
    drop(second);
    store.expire();
    sleep(300 * S).await;
    assert_eq!(world.provider.path(), [id("a")]);
    assert_eq!(first.status().await.state, State::Serving);
}

#[tokio::test(start_paused = true)]
async fn a_forced_switchover_to_an_impossible_node_does_not_hammer_the_provider() {
    let world = World::two();
    world.provider.set_impossible(&id("b"), Some("wrong zone"));
    let monitor = world.settled().await;
    let forced = Command::Switchover(Switchover::to(id("b")).force(true).wait(false));
    monitor.handle.command("ftp", forced).await.unwrap();
    let before = world.provider.requests().len();
    sleep(60 * S).await;
    let requests = world.provider.requests().len() - before;
    assert!(requests <= 20, "{requests} requests in a minute");
    assert_eq!(world.provider.holder(), Some(id("a")), "the address lands where it can");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_was_there_already_is_verified_and_not_sent_elsewhere() {
    let world = World::of(&["a", "b", "c"]);
    let monitor = world.settled().await;
    // Somebody else moves it to b just before the operator does; then b dies while it is being verified.
    world.provider.put_on(&id("b"));
    world.probe.set_floating(&id("b"), Some(Answer::Hang));
    let to_b = Command::Switchover(Switchover::to(id("b")).wait(false));
    monitor.handle.command("ftp", to_b).await.unwrap();
    sleep(2 * S).await;
    world.refuse("b");
    let down = |kind: &EventKind| matches!(kind, EventKind::NodeWentDown { node, .. } if *node == id("b"));
    monitor.event("the death of b", 10 * S, down).await;
    world.probe.set_floating(&id("b"), Some(Answer::Healthy));
    sleep(90 * S).await;
    for kind in monitor.seen() {
        if let EventKind::MoveFinished(receipt) = kind {
            assert!(world.provider.path().contains(&receipt.to), "{receipt:?}: {:?}", world.provider.path());
        }
    }
}
