//! The finer points of one move: its readings, its deadlines, and what it does not take away from anybody.

use super::*;
use crate::mover::{Part, PartError};

/// A failover from a whose first request is on the wire.
fn failing_over(names: &[&str], change: impl FnOnce(&mut Settings)) -> Bench {
    let mut bench = well_with(names, change);
    bench.sick = Some("a");
    bench.run_until(|bench| !bench.requests.is_empty());
    bench
}

/// The same, whose claim for b is on the wire.
fn claiming(names: &[&str], change: impl FnOnce(&mut Settings)) -> Bench {
    let mut bench = failing_over(names, change);
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(200 * MS);
    assert!(
        matches!(&bench.requests[..], [_, (_, Action::Claim { to, .. })] if *to == id("b")),
        "{:?}",
        bench.requests
    );
    bench
}

fn hanging() -> Placement {
    Placement::Transition { from: Some(id("a")), to: None, token: Token::generation("1") }
}

fn stranger(token: &str) -> Placement {
    Placement::Stranger { description: "something".into(), token: Token::generation(token) }
}

fn overwrites(settings: &mut Settings) {
    settings.movers = vec![Capabilities::new(Strategy::Overwrite)];
}

fn requires(settings: &mut Settings) {
    settings.policy.verify = Verify::Require;
}

fn lost_a_race(bench: &Bench) -> bool {
    let lost =
        |event: &EventKind| matches!(event, EventKind::MoveFailed { error, .. } if error.contains("lost a race"));
    bench.count(lost) > 0
}

fn retargeted(bench: &Bench) -> Vec<NodeId> {
    let to = |event: &EventKind| if let EventKind::MoveRetargeted { to, .. } = event { Some(to.clone()) } else { None };
    bench.events.iter().filter_map(to).collect()
}

fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Answers each request with this error as soon as it is sent, for so long.
fn refuse(bench: &mut Bench, time: Duration, error: fn() -> MoveError) {
    let end = bench.now + time;
    while bench.now < end {
        let sent = bench.requests.len();
        bench.reply(Err(error()));
        while bench.requests.len() == sent && bench.now < end {
            bench.run(50 * MS);
        }
    }
}

#[test]
fn reads_that_fail_are_repeated_ever_more_rarely() {
    let mut bench = well_with(&["a", "b"], |settings| settings.sweep = 1000 * S);
    bench.unreadable = Some(denied);
    bench.placement = hanging();
    bench.engine.reader.begin_by(0, 999, bench.now);
    bench.engine.handle_reading(bench.now, 999, Err(denied()));
    bench.read_at.clear();
    bench.run(100 * S);
    let gaps = gaps(&bench.read_at);
    assert_eq!(gaps[..4], [2 * S, 4 * S, 8 * S, 16 * S]);
    assert_eq!(bench.count(|event| matches!(event, EventKind::ProviderUnreadable { .. })), 1);
}

#[test]
fn the_readings_of_a_move_that_are_throttled_are_repeated_ever_more_rarely() {
    let mut bench = well(&["a", "b"]);
    bench.unreadable = Some(throttled);
    bench.read_at.clear();
    bench.switch();
    bench.run(24 * S);
    let gaps = gaps(&bench.read_at);
    assert!(gaps[0] >= 200 * MS && gaps[0] <= 400 * MS, "{gaps:?}");
    assert!(gaps[4] >= 2500 * MS && gaps[4] <= 5 * S, "{gaps:?}");
}

#[test]
fn nothing_is_read_while_a_request_is_on_the_wire() {
    let mut bench = well(&["a", "b"]);
    bench.switch();
    bench.read_at.clear();
    bench.run(30 * S);
    assert_eq!((bench.requests.len(), bench.read_at.len()), (1, 0));
}

#[test]
fn while_the_service_is_waited_for_the_placement_is_read_at_the_sweeps() {
    let mut bench = well_with(&["a", "b"], requires);
    (bench.mute, bench.sick) = (true, Some(""));
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(200 * MS);
    bench.placement = held("b", "2");
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.run(200 * MS);
    bench.reads.clear();
    bench.run(25 * S);
    assert!(matches!(bench.reads[..], [Urgency::Routine, Urgency::Routine, ..]), "{:?}", bench.reads);
    assert!(bench.reads.len() <= 3 && bench.reads.iter().all(|urgency| *urgency == Urgency::Routine));
    assert_eq!(bench.failed(), None);
    // It ends on time.
    let left = bench.run_until(|bench| bench.failed().is_some());
    let waited = 25 * S + 200 * MS + left;
    let timeout = bench.engine.settings.policy.verify_timeout;
    assert!(waited >= timeout && waited <= timeout + 10 * MS, "{waited:?}");
}

#[test]
fn a_move_that_cannot_read_the_provider_fails_when_its_time_is_over() {
    let mut bench = well(&["a", "b"]);
    bench.unreadable = Some(denied);
    bench.switch();
    let waited = bench.run_until(|bench| bench.failed().is_some());
    let timeout = bench.engine.settings.policy.release_timeout;
    assert!(waited >= timeout && waited <= timeout + 10 * MS, "{waited:?}");
}

#[test]
fn a_move_whose_release_may_have_taken_effect_is_not_taken_back_before_the_next_reading() {
    let mut bench = well(&["a", "b"]);
    bench.switch();
    bench.command(Command::Pause { reason: None, duration: None });
    let Some((_, Action::Release { call, .. })) = bench.requests.last() else { panic!("there is no release") };
    bench.engine.handle_reply(bench.now, *call, Err(unknown()));
    assert!(bench.engine.moving.is_some());
    bench.run(S);
    assert_eq!(bench.failed(), Some(true));
}

#[test]
fn a_target_that_dies_before_the_point_of_no_return_gives_way_to_another() {
    let mut bench = failing_over(&["a", "b", "c"], |_| {});
    bench.sick = Some("a b");
    refuse(&mut bench, 5 * S, throttled);
    assert_eq!(retargeted(&bench), [id("c")]);
    let mut bench = failing_over(&["a", "b", "c"], |_| {});
    bench.engine.set_impossible(bench.now, 0, 1, Some("no slot".to_owned()));
    refuse(&mut bench, S, throttled);
    assert_eq!(retargeted(&bench), [id("c")]);
}

#[test]
fn a_target_of_which_nothing_is_known_any_more_stays_the_target_where_there_is_no_other() {
    let mut bench = failing_over(&["a", "b"], |_| {});
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = hanging();
    bench.silent = Some("b");
    bench.run(10 * S);
    bench.placement = Placement::Free;
    bench.run(S);
    assert!(matches!(bench.requests.last(), Some((_, Action::Claim { to, .. })) if *to == id("b")));
    assert_eq!(retargeted(&bench), []);
}

#[test]
fn a_switchover_takes_nothing_from_whoever_got_the_address_in_that_moment() {
    let mut bench = well(&["a", "b", "c"]);
    bench.placement = held("c", "9");
    bench.switch();
    assert!(lost_a_race(&bench) && bench.requests.is_empty(), "{:?}", bench.events);
}

#[test]
fn a_rescue_takes_nothing_from_whoever_got_the_address_in_that_moment() {
    let mut bench = well(&["a", "b", "c"]);
    bench.engine.settings.pre_move = Some(S);
    bench.placement = Placement::Free;
    bench.run_until(|bench| !bench.asked_hooks.is_empty());
    bench.placement = held("c", "9");
    bench.engine.handle_hooks(bench.now, bench.asked_hooks[0], HookResult::Done, None);
    bench.run(Duration::ZERO);
    assert!(lost_a_race(&bench) && bench.requests.is_empty(), "{:?}", bench.events);
}

#[test]
fn a_move_that_finds_the_address_leaving_by_no_request_of_its_own_has_lost_a_race() {
    let mut bench = well(&["a", "b"]);
    bench.placement = hanging();
    bench.switch();
    assert!(lost_a_race(&bench) && bench.requests.is_empty(), "{:?}", bench.events);
}

#[test]
fn an_address_that_hangs_while_it_leaves_a_dead_node_is_rescued_by_force() {
    let mut bench = well(&["a", "b"]);
    bench.sick = Some("a");
    bench.placement = hanging();
    bench.run(60 * S);
    let first = bench.requests.first();
    assert!(matches!(first, Some((_, Action::Release { mode: ReleaseMode::Forced, .. }))), "{first:?}");
}

#[test]
fn after_a_release_of_unknown_outcome_an_assignment_anew_is_not_taken_away_either() {
    let mut bench = well(&["a", "b"]);
    bench.switch();
    bench.placement = held("a", "2");
    bench.reply(Err(unknown()));
    bench.run(10 * S);
    assert!(lost_a_race(&bench) && bench.requests.len() == 1, "{:?}", bench.events);
}

#[test]
fn a_stranger_that_turns_up_during_a_move_is_not_taken_from_although_the_policy_would_later() {
    let mut bench = failing_over(&["a", "b"], |settings| settings.policy.take_from_strangers = true);
    bench.placement = stranger("9");
    bench.reply(Err(throttled()));
    bench.run(200 * MS);
    assert!(lost_a_race(&bench), "{:?}", bench.events);
}

#[test]
fn what_hangs_is_taken_back_by_force_only_if_the_policy_allows_that() {
    let mut bench = claiming(&["a", "b", "c"], |settings| settings.policy.force_release = false);
    bench.placement = Placement::Transition { from: None, to: Some(id("b")), token: Token::generation("2") };
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.run_until(|bench| bench.requests.len() > 2);
    let last = bench.requests.last();
    assert!(matches!(last, Some((_, Action::Release { mode: ReleaseMode::Graceful, .. }))), "{last:?}");
}

#[test]
fn a_forced_release_that_is_throttled_is_repeated_until_its_time_is_over() {
    let mut bench = well(&["a", "b"]);
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    bench.run_until(|bench| bench.requests.len() == 2);
    let forced = bench.now;
    let stuck = |bench: &Bench| bench.count(|event| matches!(event, EventKind::FloatingIpStuck { .. })) > 0;
    while !stuck(&bench) {
        let sent = bench.requests.len();
        assert!(matches!(bench.requests.last(), Some((_, Action::Release { mode: ReleaseMode::Forced, .. }))));
        bench.reply(Err(throttled()));
        bench.run_until(|bench| stuck(bench) || bench.requests.len() > sent);
    }
    let timeout = bench.engine.settings.policy.forced_release_timeout;
    let waited = bench.now - forced;
    assert!(waited >= timeout && waited <= timeout + 6 * S, "{waited:?}");
}

#[test]
fn a_claim_that_is_throttled_for_too_long_is_made_for_another_node() {
    let mut bench = claiming(&["a", "b", "c"], |_| {});
    let timeout = bench.engine.settings.policy.claim_timeout;
    refuse(&mut bench, timeout - 5 * S, throttled);
    assert_eq!(retargeted(&bench), []);
    refuse(&mut bench, 15 * S, throttled);
    assert_eq!(retargeted(&bench), [id("c")]);
}

#[test]
fn a_stuck_move_is_tried_again_ever_more_rarely() {
    let mut bench = claiming(&["a", "b"], |_| {});
    refuse(&mut bench, 600 * S, denied);
    let times: Vec<_> = bench.requests[1..].iter().map(|(at, _)| *at).collect();
    let gaps = gaps(&times);
    assert!(gaps[0] >= 2500 * MS && gaps[0] <= 5 * S + 50 * MS, "{gaps:?}");
    assert!(gaps[5..].iter().all(|gap| *gap >= 29 * S), "{gaps:?}");
}

#[test]
fn a_reading_of_the_old_holder_after_the_address_was_overwritten_is_stale() {
    let mut bench = failing_over(&["a", "b"], overwrites);
    bench.placement = held("b", "2");
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.run(S);
    assert_eq!(bench.engine.status(bench.now).holder, Some(id("b")));
    bench.placement = held("a", "1");
    bench.run(20 * S);
    assert_eq!(bench.state(), State::Unreadable);
}

#[test]
fn a_claim_of_unknown_outcome_that_shows_counts_towards_the_freeze() {
    let mut bench = failing_over(&["a", "b"], overwrites);
    bench.placement = held("b", "2");
    bench.reply(Err(unknown()));
    bench.run(S);
    assert_eq!(bench.count(|event| matches!(event, EventKind::MoveFinished(_))), 1);
    assert_eq!(bench.saved.map(|saved| saved.move_ages.len()), Some(1));
}

#[test]
fn a_move_whose_service_answers_nowhere_visits_no_node_twice() {
    let mut bench = failing_over(&["a", "b", "c"], |settings| {
        overwrites(settings);
        requires(settings);
    });
    bench.refused = true;
    for (node, token) in [("b", "2"), ("a", "3")] {
        bench.placement = held(node, token);
        bench.reply(Err(unknown()));
        bench.sick = Some("");
        bench.run(31 * S);
    }
    assert_eq!((retargeted(&bench), bench.failed()), (vec![id("a"), id("c")], None), "{:?}", bench.events);
    bench.placement = held("c", "4");
    bench.reply(Err(unknown()));
    bench.run(31 * S);
    assert_eq!((retargeted(&bench).len(), bench.failed()), (2, Some(false)), "{:?}", bench.events);
}

#[test]
fn the_next_mover_takes_the_address_from_what_carried_it_and_from_nothing_else() {
    for (token, taken) in [("carrier", true), ("another", false)] {
        let mut bench = well_with(&["a", "b"], |settings| settings.movers.push(Capabilities::new(Strategy::Overwrite)));
        bench.second = stranger("carrier");
        bench.run(20 * S);
        bench.switch();
        bench.second = stranger(token);
        bench.reply(Err(denied()));
        bench.run(200 * MS);
        assert_eq!(bench.count(|event| matches!(event, EventKind::MoverChanged { .. })), 1);
        assert_eq!((bench.requests.len() == 2, lost_a_race(&bench)), (taken, !taken), "{token}: {:?}", bench.events);
    }
}

#[test]
fn what_carries_the_address_is_known_although_it_could_not_be_read_when_the_move_began() {
    let mut bench = well_with(&["a", "b"], |settings| settings.movers.push(Capabilities::new(Strategy::Overwrite)));
    bench.second = stranger("carrier");
    bench.run(20 * S);
    bench.unreadable = Some(denied);
    bench.run(11 * S);
    assert_eq!(bench.state(), State::Unreadable);
    bench.switch();
    bench.unreadable = None;
    bench.run_until(|bench| bench.requests.len() == 1);
    bench.reply(Err(denied()));
    bench.run(200 * MS);
    assert_eq!((bench.requests.len(), lost_a_race(&bench)), (2, false), "{:?}", bench.events);
}

#[test]
fn a_reply_to_an_older_request_is_ignored_while_a_newer_one_is_on_the_wire() {
    let mut bench = well(&["a", "b"]);
    bench.switch();
    let Some((_, Action::Release { call, .. })) = bench.requests.last() else { panic!("there is no release") };
    let older = *call;
    bench.reply(Err(throttled()));
    bench.run_until(|bench| bench.requests.len() == 2);
    bench.engine.handle_reply(bench.now, older, Ok(Accepted::without_token()));
    bench.run(10 * S);
    assert_eq!(bench.count(|event| matches!(event, EventKind::StepFinished { .. })), 0);
    assert_eq!(bench.requests.len(), 2);
}

#[test]
fn each_step_is_finished_once_and_as_soon_as_its_request_is_accepted() {
    let mut bench = well(&["a", "b"]);
    let finished = |bench: &Bench| {
        let step =
            |event: &EventKind| if let EventKind::StepFinished { step, .. } = event { Some(*step) } else { None };
        bench.events.iter().filter_map(step).collect::<Vec<_>>()
    };
    use crate::event::Step;
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    assert_eq!(finished(&bench), [Step::Release]);
    bench.run_until(|bench| bench.requests.len() == 2);
    bench.reply(Ok(Accepted::without_token()));
    assert_eq!(finished(&bench), [Step::Release], "the forced release is the same step");
    bench.placement = Placement::Free;
    bench.run(S);
    bench.reply(Ok(Accepted::without_token()));
    assert_eq!(finished(&bench), [Step::Release, Step::AwaitReleased, Step::Claim]);
    bench.placement = held("b", "2");
    bench.run(S);
    assert_eq!(finished(&bench), [Step::Release, Step::AwaitReleased, Step::Claim, Step::AwaitClaimed]);
}

#[test]
fn a_claim_is_found_impossible_when_it_was_not_found_eight_times() {
    let not_found = || MoveError::NotFound { call: "claim", resource: "it".into(), source: "no".into() };
    let mut bench = claiming(&["a", "b", "c"], |_| {});
    refuse(&mut bench, 60 * S, not_found);
    let to =
        |request: &(Instant, Action)| if let Action::Claim { to, .. } = &request.1 { Some(to.clone()) } else { None };
    let claims: Vec<_> = bench.requests.iter().filter_map(to).collect();
    assert!(claims[..8].iter().all(|to| *to == id("b")) && claims[8] == id("c"), "{claims:?}");
}

#[test]
fn an_overwriting_claim_that_lost_a_race_to_nobody_is_made_again() {
    let mut bench = failing_over(&["a", "b"], overwrites);
    bench.reply(Err(conflict()));
    bench.run(S);
    assert_eq!((bench.requests.len(), bench.failed()), (2, None));
}

#[test]
fn the_next_mover_claims_for_the_same_node() {
    let second = |settings: &mut Settings| settings.movers.push(Capabilities::new(Strategy::ReleaseFirst));
    let mut bench = claiming(&["a", "b", "c"], second);
    bench.reply(Ok(Accepted::without_token()));
    bench.run_until(|bench| bench.requests.len() == 3);
    let last = bench.requests.last();
    assert!(matches!(last, Some((_, Action::Claim { to, mover: 1, .. })) if *to == id("b")), "{last:?}");
}

fn split_to_b() -> Placement {
    let parts = vec![Part::on("1", id("b")), Part::on("2", id("a"))];
    Placement::Split { parts, token: Token::snapshot("ba") }
}

#[test]
fn the_rest_of_a_split_address_is_claimed_only_after_a_pause() {
    let mut bench = failing_over(&["a", "b"], overwrites);
    bench.placement = split_to_b();
    bench.reply(Ok(Accepted::without_token()));
    let accepted = bench.now;
    bench.run_until(|bench| bench.requests.len() == 2);
    assert!(bench.requests[1].0 >= accepted + 100 * MS, "{:?}", bench.requests[1].0 - accepted);
}

#[test]
fn what_has_taken_a_part_of_the_address_gets_the_rest_although_it_has_died() {
    let mut bench = failing_over(&["a", "b", "c"], overwrites);
    bench.placement = split_to_b();
    let left = vec![PartError::new("2", throttled())];
    bench.reply(Err(MoveError::Partly { call: "claim", resource: "it".into(), left }));
    bench.sick = Some("a b");
    for sent in 2..6 {
        bench.run_until(|bench| bench.requests.len() == sent);
        bench.reply(Err(throttled()));
    }
    assert_eq!(retargeted(&bench), []);
}

#[test]
fn a_pause_before_the_next_attempt_is_doubled_up_to_its_bound_and_at_most_halved_by_chance() {
    let mut rng = fastrand::Rng::with_seed(1);
    for (attempts, full) in [(0, S), (1, S), (2, 2 * S), (3, 4 * S), (4, 7 * S), (99, 7 * S)] {
        for _ in 0..100 {
            let pause = backoff(attempts, S, 7 * S, &mut rng);
            assert!(pause >= full / 2 && pause <= full, "{attempts}: {pause:?}");
        }
    }
}

#[test]
fn a_repair_is_waited_for_only_while_it_could_be_made() {
    let mut bench = well(&["a", "b"]);
    bench.placement = Placement::Held { node: id("a"), token: Token::generation("1"), settled: false };
    bench.run_until(|bench| bench.requests.len() == 1);
    assert_eq!(bench.engine.next_repair(), None, "it is on the wire");
    bench.read_at.clear();
    bench.reply(Err(denied()));
    assert_eq!(bench.read_at, [bench.now], "what it has changed is read at once");
    assert!(bench.engine.next_repair().is_some_and(|next| next > bench.now));
    bench.engine.settings.leased = true;
    assert_eq!(bench.engine.next_repair(), None);
    bench.engine.settings.leased = false;
    bench.engine.stopping = true;
    assert_eq!(bench.engine.next_repair(), None);
    bench.run(30 * S);
    assert_eq!(bench.requests.len(), 1);
    bench.engine.stopping = false;
    bench.switch();
    assert_eq!(bench.engine.next_repair(), None);
    bench.run(30 * S);
    assert!(matches!(bench.requests[..], [_, (_, Action::Release { .. })]), "{:?}", bench.requests);
}
