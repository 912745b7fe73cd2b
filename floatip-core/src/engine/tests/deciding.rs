//! Whether it moves, and where to: what holds a decision, what it waits for, and when it falls.

use super::*;
use crate::mover::Part;
use crate::policy::Failback;

/// An engine to which every node has answered for a while.
fn well(names: &[&str]) -> Bench {
    let mut bench = Bench::of(false, names);
    bench.sick = Some("");
    bench.run(10 * S);
    bench
}

fn on_its_way() -> Placement {
    Placement::Transition { from: Some(id("a")), to: None, token: Token::generation("1") }
}

fn is_no_candidate(event: &EventKind) -> bool {
    matches!(event, EventKind::NoCandidate { .. })
}

#[test]
fn an_address_that_hangs_on_its_way_is_rescued_when_a_release_would_have_ended_and_not_before() {
    let mut bench = well(&["a", "b"]);
    bench.placement = on_its_way();
    bench.run_until(|bench| bench.state() == State::InTransition);
    let waited = bench.run_until(|bench| !bench.moves().is_empty());
    let timeout = bench.engine.settings.policy.release_timeout;
    assert!(waited + 10 * MS >= timeout && waited <= timeout, "{waited:?}");
    assert_eq!(bench.moves(), [(Cause::Rescue, id("a"))]);
}

#[test]
fn an_address_that_is_split_among_no_nodes_is_rescued_once_readings_agree() {
    let mut bench = well(&["a", "b"]);
    bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
    let parts = vec![Part::on_no_node("1", "no route"), Part::on_no_node("2", "no route")];
    bench.placement = Placement::Split { parts, token: Token::snapshot("--") };
    bench.run(20 * S);
    assert_eq!(bench.moves(), [(Cause::Rescue, id("a"))]);
}

#[test]
fn what_holds_a_failover_is_said_once_and_again_when_the_holder_has_failed_anew() {
    let mut bench = well(&["a", "b"]);
    bench.command(Command::Pause { reason: None, duration: None });
    let held = |event: &EventKind| matches!(event, EventKind::MoveHeld { .. });
    for times in [1, 2] {
        bench.sick = Some("a");
        bench.run(10 * S);
        assert_eq!(bench.count(held), times);
        bench.sick = Some("");
        bench.run(10 * S);
    }
}

#[test]
fn a_holder_of_which_nothing_is_known_any_more_lacks_no_candidate() {
    let mut bench = well(&["a", "b"]);
    bench.command(Command::Drain { node: id("b") });
    bench.sick = Some("a");
    bench.run_until(|bench| bench.state() == State::NoCandidate);
    bench.silent = Some("a");
    bench.run(20 * S);
    assert_eq!(bench.state(), State::Starting);
}

#[test]
fn an_address_that_never_answered_is_not_waited_for_before_a_failover() {
    let mut bench = Bench::of(false, &["a", "b"]);
    (bench.sick, bench.mute) = (Some(""), true);
    bench.run(10 * S);
    bench.sick = Some("a");
    bench.run(HealthSettings::default().worst_case_detection());
    assert_eq!(bench.moves(), [(Cause::Failover, id("b"))]);
}

#[test]
fn a_preferred_node_is_waited_for_only_until_its_probe_is_late() {
    let mut bench = well(&["a", "b", "c"]);
    (bench.sick, bench.silent) = (Some("a"), Some("b"));
    let health = HealthSettings::default();
    bench.run(health.worst_case_detection() - health.timeout + health.fast_interval);
    assert_eq!(bench.moves(), [(Cause::Failover, id("c"))]);
}

#[test]
fn a_node_that_the_hooks_have_allowed_and_that_has_died_meanwhile_is_not_rescued_to() {
    let mut bench = well(&["a", "b"]);
    bench.engine.settings.pre_move = Some(20 * S);
    bench.placement = Placement::Free;
    bench.run_until(|bench| !bench.asked_hooks.is_empty());
    bench.sick = Some("a");
    bench.run(10 * S);
    bench.engine.handle_hooks(bench.now, bench.asked_hooks[0], HookResult::Done, None);
    bench.run(Duration::ZERO);
    assert_eq!((bench.moves(), bench.asked_hooks.len()), (vec![], 2), "it asks about b");
    bench.engine.handle_hooks(bench.now, bench.asked_hooks[1], HookResult::Done, None);
    bench.run(Duration::ZERO);
    assert_eq!(bench.moves(), [(Cause::Rescue, id("b"))]);
}

#[test]
fn a_free_address_lacks_a_candidate_only_when_it_is_known_that_no_node_is_well() {
    for (sick, told) in [(None, 0), (Some("a b"), 1)] {
        let mut bench = Bench::of(false, &["a", "b"]);
        (bench.sick, bench.placement) = (sick, Placement::Free);
        bench.run(30 * S);
        assert_eq!(bench.count(is_no_candidate), told, "{sick:?}");
    }
}

#[test]
fn no_failback_goes_to_a_node_that_is_drained() {
    let mut bench = well(&["a", "b"]);
    bench.placement = held("b", "2");
    bench.run(20 * S);
    bench.command(Command::Drain { node: id("a") });
    bench.engine.settings.policy.failback = Failback::After(S);
    bench.run(60 * S);
    assert_eq!(bench.moves(), []);
    bench.command(Command::Undrain { node: id("a") });
    bench.run(S);
    assert_eq!(bench.moves(), [(Cause::Failback, id("a"))]);
}

#[test]
fn a_failback_comes_on_time_and_not_before_although_the_cooldown_is_over() {
    let mut bench = well(&["a", "b"]);
    let after = 30 * S + 5 * MS;
    bench.engine.settings.policy.failback = Failback::After(after);
    bench.engine.settings.policy.cooldown = S;
    bench.sick = Some("a");
    bench.run_until(|bench| !bench.requests.is_empty());
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(S);
    bench.placement = held("b", "2");
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.run(20 * S);
    bench.events.clear();
    bench.sick = Some("");
    bench.run_until(|bench| bench.count(|event| matches!(event, EventKind::NodeCameUp { .. })) > 0);
    let waited = bench.run_until(|bench| !bench.moves().is_empty());
    assert_eq!(bench.moves(), [(Cause::Failback, id("a"))]);
    assert!(waited + 10 * MS >= after && waited <= after + 10 * MS, "{waited:?}");
}

#[test]
fn no_decision_is_waited_for_that_could_not_be_carried_out() {
    let brakes: [fn(&mut Engine); 3] =
        [|engine| engine.stopping = true, |engine| engine.frozen = true, |engine| engine.pause = paused()];
    for brake in brakes {
        let mut bench = well(&["a", "b"]);
        bench.engine.hold_off = Some(bench.now + S);
        assert_eq!(bench.engine.next_decisions(), [None, None, Some(bench.now + S)]);
        brake(&mut bench.engine);
        assert_eq!(bench.engine.next_decisions(), [None; 3]);
    }
}

fn paused() -> Option<Pause> {
    Some(Pause { reason: None, until: None })
}

#[test]
fn what_was_vetoed_is_so_no_longer_while_the_hooks_are_asked_anew() {
    let mut bench = well(&["a", "b"]);
    bench.engine.settings.pre_move = Some(S);
    bench.sick = Some("a");
    bench.run_until(|bench| !bench.asked_hooks.is_empty());
    bench.engine.handle_hooks(bench.now, bench.asked_hooks[0], HookResult::Vetoed, None);
    bench.run(Duration::ZERO);
    assert_eq!(bench.state(), State::Vetoed);
    bench.run_until(|bench| bench.asked_hooks.len() == 2);
    assert_eq!(bench.state(), State::Suspect);
}

#[test]
fn an_operators_move_takes_from_a_stranger_only_what_the_policy_lets_it() {
    for take in [false, true] {
        let mut bench = well(&["a", "b"]);
        bench.engine.settings.policy.take_from_strangers = take;
        bench.engine.settings.policy.recoveries = false;
        bench.placement = Placement::Stranger { description: "it".into(), token: Token::generation("9") };
        bench.run(20 * S);
        bench.switch();
        assert_eq!(bench.requests.len() == 1, take);
        assert_eq!(matches!(bench.answers[..], [Err(CommandError::Refused { .. })]), !take, "{:?}", bench.answers);
    }
}

#[test]
fn every_move_has_a_number_of_its_own() {
    let mut bench = Bench::new(false);
    for _ in 0..3 {
        bench.switch();
        bench.reply(Err(conflict()));
    }
    let number = |event: &EventKind| if let EventKind::MoveStarted { id, .. } = event { Some(*id) } else { None };
    assert_eq!(bench.events.iter().filter_map(number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn what_holds_a_free_address_is_its_state() {
    let mut bench = well(&["a", "b"]);
    bench.placement = Placement::Free;
    bench.run_until(|bench| bench.state() == State::Free);
    for (hold, state) in [
        (Hold::None, State::Free),
        (Hold::NoCandidate, State::NoCandidate),
        (Hold::Isolated, State::Isolated),
        (Hold::Vetoed, State::Vetoed),
        (Hold::RecoveriesOff, State::RecoveriesOff),
    ] {
        bench.engine.hold = hold;
        assert_eq!(bench.state(), state, "{hold:?}");
    }
}

#[test]
fn an_address_of_which_no_node_has_a_part_is_in_transition() {
    let mut bench = well(&["a", "b"]);
    let parts = vec![Part::on_no_node("1", "no route"), Part::on_no_node("2", "no route")];
    bench.placement = Placement::Split { parts, token: Token::snapshot("--") };
    bench.engine.settings.policy.recoveries = false;
    bench.run(20 * S);
    assert_eq!(bench.state(), State::InTransition);
}

#[test]
fn nothing_is_saved_while_nothing_happens() {
    let mut bench = well(&["a", "b"]);
    assert!(bench.saved.take().is_some_and(|saved| saved.served), "the service has answered through the address");
    bench.run(60 * S);
    assert!(bench.saved.is_none());
}

#[test]
fn a_lease_is_said_to_be_acquired_once_and_a_node_to_be_drained_once() {
    let mut bench = Bench::new(true);
    for _ in 0..3 {
        bench.engine.handle_grant(bench.now, bench.now, Some(Grant::new(Epoch(1), 10 * S)));
        bench.command(Command::Drain { node: id("b") });
    }
    assert_eq!(bench.count(|event| matches!(event, EventKind::LeaseAcquired { .. })), 1);
    assert_eq!(bench.count(|event| matches!(event, EventKind::NodeDrained { .. })), 1);
}

#[test]
fn what_drifted_is_moved_back_only_when_a_second_reading_has_shown_it() {
    let mut bench = well(&["a", "b"]);
    bench.engine.settings.policy.drift = crate::policy::Drift::Restore;
    bench.placement = held("b", "9");
    bench.run_until(|bench| bench.count(|event| matches!(event, EventKind::AddressDrifted { .. })) > 0);
    let waited = bench.run_until(|bench| !bench.moves().is_empty());
    assert!(waited + 10 * MS >= reader::AGREEMENT, "{waited:?}");
    assert_eq!(bench.moves(), [(Cause::Restore, id("a"))]);
}

#[test]
fn what_drifted_is_not_moved_back_to_a_node_that_has_died_meanwhile() {
    let mut bench = well(&["a", "b"]);
    bench.engine.settings.policy.drift = crate::policy::Drift::Restore;
    bench.placement = held("b", "9");
    bench.run_until(|bench| bench.count(|event| matches!(event, EventKind::AddressDrifted { .. })) > 0);
    bench.sick = Some("a");
    bench.run(60 * S);
    assert_eq!(bench.moves(), []);
}

#[test]
fn that_a_stranger_holds_the_address_is_said_once() {
    let mut bench = well(&["a", "b"]);
    bench.placement = Placement::Stranger { description: "it".into(), token: Token::generation("9") };
    bench.run(60 * S);
    assert_eq!(bench.count(|event| matches!(event, EventKind::AddressHeldByStranger { .. })), 1);
}

#[test]
fn a_planned_move_waits_as_long_as_is_said_and_no_longer() {
    let mut bench = Bench::in_use();
    bench.engine.settings.policy.wait_for_idle = 30 * S + 5 * MS;
    bench.command(Command::Drain { node: id("a") });
    assert_eq!((bench.moves(), bench.state()), (vec![], State::WaitingForIdle));
    let waited = bench.run_until(|bench| !bench.moves().is_empty());
    assert!(waited >= 30 * S && waited <= 30 * S + 10 * MS, "{waited:?}");
    assert_eq!(bench.moves(), [(Cause::Drain, id("b"))]);
}

#[test]
fn an_operators_move_that_waits_is_not_pushed_aside_by_another_wish_for_the_same() {
    let mut bench = Bench::in_use();
    bench.switch_by(false);
    bench.command(Command::Drain { node: id("a") });
    bench.run(5 * S);
    assert!(matches!(bench.answers[..], [Ok(Done::Drained)]), "{:?}", bench.answers);
    bench.busy = false;
    bench.run(S);
    assert_eq!(bench.moves(), [(Cause::Switchover, id("b"))]);
}

#[test]
fn a_failback_comes_on_time_also_where_nothing_was_moved_before() {
    let mut bench = well(&["a", "b"]);
    bench.placement = held("b", "2");
    bench.run(20 * S);
    bench.sick = Some("a");
    bench.run(10 * S);
    let after = 30 * S + 5 * MS;
    bench.engine.settings.policy.failback = Failback::After(after);
    bench.sick = Some("");
    bench.run_until(|bench| bench.engine.status(bench.now).nodes[0].health == Health::Healthy);
    let waited = bench.run_until(|bench| !bench.moves().is_empty());
    assert_eq!(bench.moves(), [(Cause::Failback, id("a"))]);
    assert!(waited + 10 * MS >= after && waited <= after + 10 * MS, "{waited:?}");
}

/// A witness that answers, or not, and must answer so often to be up that it never is.
fn witnessed(testify: bool) -> Bench {
    let mut bench = Bench::built(&["a", "b"], |settings| {
        let health = HealthSettings { fall: 10, rise: 1000, ..HealthSettings::default() };
        let host = "gateway.example".parse().unwrap();
        settings.witnesses = vec![WitnessSettings { name: id("gateway"), host, kind: "ping", health }];
        settings.witness_quorum = 1;
    });
    bench.sick = Some("");
    if !testify {
        bench.testify = |_| None;
    }
    bench.run(10 * S);
    bench
}

#[test]
fn a_free_address_is_not_rescued_before_the_witnesses_are_known_to_be_up() {
    let mut bench = witnessed(true);
    bench.placement = Placement::Free;
    bench.run(30 * S);
    assert_eq!(bench.moves(), []);
}

#[test]
fn a_failover_needs_a_fresh_answer_of_a_witness_and_no_more() {
    for (testify, moves) in [(true, vec![(Cause::Failover, id("b"))]), (false, vec![])] {
        let mut bench = witnessed(testify);
        bench.sick = Some("a");
        bench.run(8 * S);
        assert_eq!(bench.moves(), moves, "{:?}", bench.events);
        assert_eq!(bench.engine.status(bench.now).witnesses.len(), 1);
        assert_eq!(bench.count(|event| matches!(event, EventKind::MonitorIsolated { .. })), 0);
    }
}

#[test]
fn the_old_holder_is_asked_after_each_move_whether_it_could_take_the_address_again() {
    let mut bench = Bench::new(false);
    for (token, to) in [("2", "b"), ("3", "a"), ("4", "b")] {
        bench.asked_ready.clear();
        bench.command(Command::Switchover(Switchover::to(id(to)).force(true)));
        bench.reply(Ok(Accepted::without_token()));
        bench.placement = Placement::Free;
        bench.run(S);
        bench.placement = held(to, token);
        bench.reply(Ok(Accepted::with_token(Token::generation(token))));
        bench.run(S);
        assert_eq!(bench.asked_ready.len(), 1, "{to}: {:?}", bench.answers);
    }
}

#[test]
fn an_answer_through_the_address_is_waited_for_although_older_probes_leave_no_room_for_its_probe() {
    for (serving, moves) in [(Some("b"), 0), (None, 1)] {
        let mut bench = well(&["a", "b"]);
        bench.mute = true;
        for _ in 0..6 {
            bench.run(MS);
            bench.engine.watch.demand(Subject::Address, bench.now, bench.now);
        }
        bench.run(MS);
        bench.sick = Some("a");
        bench.run_until(|bench| bench.engine.watch.health(0) == Health::Unhealthy);
        let since = bench.engine.watch.last_failed(0).unwrap();
        let evidence = bench.engine.watch.evidence(Subject::Address, since);
        assert_eq!((evidence, bench.moves().len()), (watch::Evidence::Missing, 0), "{:?}", bench.events);
        (bench.mute, bench.serving) = (false, serving);
        for (older, ..) in bench.open.clone() {
            bench.answer(older, Verdict::unhealthy(Reason::Refused));
        }
        assert_eq!(bench.moves().len(), moves, "{:?}", bench.events);
    }
}
