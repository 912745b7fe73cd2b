//! The finer points of requests, tokens, leases and budget.

use super::*;

/// A forced move to b that has released the address: its claim is on the wire.
fn freed() -> Bench {
    let mut bench = Bench::new(false);
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(S);
    bench
}

#[test]
fn a_move_goes_by_release_and_claim_and_each_carries_what_was_read() {
    let mut bench = freed();
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.placement = held("b", "2");
    bench.run(S);
    assert!(matches!(&bench.answers[..], [Ok(Done::Moved(receipt))] if receipt.to == id("b")), "{:?}", bench.answers);
    let seen: Vec<_> = bench.requests.iter().map(|(_, request)| request).collect();
    assert!(
        matches!(&seen[..], [Action::Release { seen: from, mode: ReleaseMode::Graceful, .. }, Action::Claim { seen: Placement::Free, .. }] if *from == held("a", "1")),
        "{seen:?}"
    );
}

#[test]
fn a_request_that_waits_for_its_turn_is_sent_then_and_its_wait_counts_against_no_deadline() {
    let mut bench = Bench::new(false);
    bench.switch();
    let deferral = bench.engine.settings.policy.release_timeout + 10 * S;
    bench.reply(Err(MoveError::Deferred { call: "release", after: deferral }));
    bench.run(deferral - MS);
    assert_eq!(bench.requests.len(), 1);
    bench.run(MS);
    assert_eq!((bench.requests.len(), bench.engine.is_at_rest(), bench.failed()), (2, false, None), "not stuck");
}

#[test]
fn sweeps_are_routine_and_the_readings_of_a_move_are_not() {
    let mut bench = Bench::new(false);
    bench.sick = Some("neither");
    bench.run(10 * S);
    bench.reads.clear();
    bench.run(30 * S);
    assert!(bench.reads.len() >= 3 && bench.reads.iter().all(|urgency| *urgency == Urgency::Routine));
    bench.reads.clear();
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    bench.run(S);
    assert!(bench.reads.len() >= 3 && bench.reads.iter().all(|urgency| *urgency == Urgency::Move), "{:?}", bench.reads);
}

#[test]
fn an_operators_move_does_not_count_towards_the_next_freeze() {
    let mut bench = Bench::new(false);
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    assert_eq!(bench.saved.expect("the point of no return is remembered").move_ages, []);
}

#[test]
fn where_the_address_belongs_is_remembered_unless_a_move_is_in_flight() {
    let mut bench = Bench::new(false);
    let home = |bench: &Bench| bench.saved.clone().expect("it is remembered").home;
    assert_eq!(home(&bench).as_deref(), Some("a"));
    bench.switch();
    assert_eq!((home(&bench), bench.requests.len()), (None, 1), "before any reply");
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(S);
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.placement = held("b", "2");
    bench.run(S);
    assert_eq!(home(&bench).as_deref(), Some("b"));
}

#[test]
fn a_request_is_sent_only_if_its_call_must_end_before_the_lease_does() {
    for (age, sent) in [(7400 * MS, true), (7600 * MS, false)] {
        let mut bench = Bench::new(true);
        bench.engine.handle_grant(bench.now, bench.now, Some(Grant::new(Epoch(1), 10 * S)));
        bench.run(age);
        bench.switch();
        assert_eq!(bench.requests.len() == 1, sent, "a grant of 10 s, {age:?} old, for a call of 2 s");
    }
}

#[test]
fn a_grant_that_was_asked_for_before_the_monitor_stood_still_is_no_grant() {
    let mut bench = Bench::new(true);
    let asked = bench.now;
    bench.run(S);
    bench.engine.handle_clock_jump(bench.now, 60 * S);
    for (asked, sent) in [(asked, false), (bench.now + MS, true)] {
        bench.run(2 * MS);
        bench.engine.handle_grant(bench.now, asked, Some(Grant::new(Epoch(1), 10 * S)));
        bench.switch();
        assert_eq!(bench.requests.len() == 1, sent);
    }
}

#[test]
fn a_lease_that_is_lost_past_the_point_of_no_return_ends_the_move() {
    let mut bench = Bench::new(true);
    bench.engine.handle_grant(bench.now, bench.now, Some(Grant::new(Epoch(1), 10 * S)));
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    bench.engine.handle_grant(bench.now, bench.now, None);
    bench.run(S);
    assert_eq!(bench.failed(), Some(false));
    assert!(bench.engine.is_at_rest());
}

#[test]
fn a_release_that_lost_a_race_ends_the_move_and_is_not_sent_again() {
    let mut bench = Bench::new(false);
    bench.switch();
    bench.reply(Err(conflict()));
    bench.run(60 * S);
    assert_eq!((bench.failed(), bench.requests.len()), (Some(true), 1));
}

#[test]
fn a_release_of_unknown_outcome_is_repeated_only_after_a_pause_and_a_reading() {
    let mut bench = Bench::new(false);
    bench.switch();
    bench.reply(Err(unknown()));
    let replied = bench.now;
    bench.run(240 * MS);
    assert_eq!(bench.requests.len(), 1);
    bench.run(S);
    assert_eq!(bench.requests.len(), 2);
    assert!(bench.requests[1].0 >= replied + 250 * MS);
}

#[test]
fn after_a_release_of_unknown_outcome_one_reading_of_free_is_enough() {
    let mut bench = Bench::new(false);
    bench.switch();
    bench.reply(Err(unknown()));
    bench.placement = Placement::Free;
    bench.run(S);
    assert!(matches!(&bench.requests[1].1, Action::Claim { seen: Placement::Free, .. }), "{:?}", bench.requests);
}

#[test]
fn without_a_release_of_our_own_one_reading_of_free_is_not_enough() {
    let mut bench = Bench::new(false);
    bench.placement = Placement::Free;
    bench.switch();
    bench.run(1900 * MS);
    assert_eq!(bench.requests.len(), 0);
    bench.run(S);
    assert!(matches!(&bench.requests[..], [(_, Action::Claim { .. })]), "{:?}", bench.requests);
}

#[test]
fn the_token_of_a_release_of_unknown_outcome_is_believed_when_it_shows_again() {
    let mut bench = Bench::new(false);
    bench.switch();
    bench.reply(Err(unknown()));
    bench.placement = Placement::Free;
    bench.run(S);
    bench.placement = held("a", "1");
    bench.reply(Err(conflict()));
    bench.run(S);
    assert_eq!(bench.engine.status(bench.now).holder, Some(id("a")), "that Free was stale, not this");
}

#[test]
fn the_token_of_an_accepted_release_shows_stale_readings_once_the_address_was_free() {
    let mut bench = freed();
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.placement = held("a", "1");
    bench.run(5 * S);
    assert_eq!((bench.requests.len(), bench.failed()), (2, None), "the reading is stale");
    bench.placement = held("b", "2");
    bench.run(S);
    assert!(matches!(&bench.answers[..], [Ok(Done::Moved(_))]));
}

#[test]
fn a_forced_move_to_a_node_that_is_impossible_asks_again_only_after_pauses() {
    let mut bench = freed();
    let end = bench.now + 30 * S;
    while bench.now < end {
        let claims = bench.requests.len();
        let (reason, source) = ("no slot".to_owned(), "refused".into());
        bench.reply(Err(MoveError::Impossible { call: "claim", resource: "it".into(), reason, source }));
        while bench.requests.len() == claims && bench.now < end {
            bench.run(10 * MS);
        }
    }
    assert!((3..20).contains(&bench.requests.len()), "{} requests in half a minute", bench.requests.len());
}

#[test]
fn a_release_that_is_throttled_is_repeated_ever_more_rarely() {
    let mut bench = Bench::new(false);
    bench.switch();
    let mut pauses = Vec::new();
    for round in 1..6 {
        let refused = bench.now;
        bench.reply(Err(MoveError::Throttled { call: "release", source: "slow down".into() }));
        while bench.requests.len() == round {
            bench.run(10 * MS);
        }
        pauses.push(bench.requests[round].0 - refused);
    }
    assert!(pauses[0] >= 100 * MS && pauses[4] >= 1600 * MS, "{pauses:?}");
}

#[test]
fn a_failover_that_failed_is_begun_again_only_after_a_pause() {
    let mut bench = Bench::new(false);
    bench.sick = Some("");
    bench.run(60 * S);
    bench.sick = Some("a");
    while bench.requests.is_empty() {
        bench.run(10 * MS);
    }
    for round in 1..5 {
        let refused = bench.now;
        bench.reply(Err(conflict()));
        while bench.requests.len() == round {
            bench.run(10 * MS);
        }
        assert!(bench.requests[round].0 >= refused + 500 * MS, "round {round}");
    }
}

#[test]
fn a_stuck_move_asks_again_who_could_take_the_address() {
    let mut bench = freed();
    bench.reply(Err(denied()));
    assert!(bench.engine.moving.as_ref().is_some_and(|moving| moving.stuck().is_some()));
    bench.asked_ready.clear();
    let stuck = bench.now;
    bench.engine.set_impossible(stuck, 0, 1, Some("no slot".to_owned()));
    bench.run(61 * S);
    assert!(!bench.asked_ready.is_empty());
}

#[test]
fn an_accepted_release_is_forced_only_when_its_time_is_over() {
    let mut bench = Bench::new(false);
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    bench.run(24 * S);
    assert_eq!(bench.requests.len(), 1);
    bench.run(2 * S);
    let last = bench.requests.last();
    assert!(matches!(last, Some((_, Action::Release { mode: ReleaseMode::Forced, .. }))), "{last:?}");
}

#[test]
fn a_release_of_a_holder_that_is_well_and_serves_is_never_forced_unless_an_operator_insists() {
    let mut bench = Bench::new(false);
    bench.sick = Some("");
    bench.run(10 * S);
    bench.switch_by(false);
    bench.reply(Ok(Accepted::without_token()));
    bench.run(26 * S);
    assert_eq!(bench.requests.len(), 1);
    assert!(bench.events.iter().any(|event| matches!(event, EventKind::FloatingIpStuck { .. })), "{:?}", bench.events);
    assert!(bench.engine.is_at_rest(), "stopping loses nothing that the next start does not resume");
}

#[test]
fn an_address_that_somebody_assigned_anew_to_the_old_holder_is_not_taken_away_again() {
    let mut bench = Bench::new(false);
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = held("a", "2");
    bench.run(60 * S);
    assert_eq!((bench.requests.len(), bench.failed()), (1, Some(false)));
}

#[test]
fn a_claim_of_a_stuck_move_that_was_accepted_and_never_shows_is_sent_again() {
    let mut bench = freed();
    bench.reply(Err(denied()));
    bench.run(10 * S);
    let claims = bench.requests.len();
    bench.reply(Ok(Accepted::without_token()));
    bench.run(59 * S);
    assert_eq!(bench.requests.len(), claims);
    bench.run(62 * S);
    assert!(bench.requests.len() > claims);
}

#[test]
fn a_probe_that_is_held_back_keeps_no_other_waiting() {
    let mut bench = Bench::new(false);
    bench.sick = Some("");
    bench.run(10 * S);
    bench.engine.handle_command(bench.now, 1, Command::Pause { reason: None, duration: None });
    // The next probe of a, which is down, waits for the address, whose probes hang.
    (bench.sick, bench.mute) = (Some("a"), true);
    bench.probed.clear();
    bench.run(20 * S);
    let of_b: Vec<_> = bench.probed.iter().filter(|(_, node)| *node == id("b")).map(|(at, _)| *at).collect();
    let longest = of_b.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(longest.is_some_and(|longest| longest <= 2 * S), "b is to be probed every 2 s: {longest:?}");
}

#[test]
fn an_answer_to_an_older_read_is_ignored_while_a_newer_one_is_under_way() {
    let now = Instant::now();
    let mut reader = reader::Reader::new();
    reader.begin(7, now);
    reader.abandon();
    reader.begin(8, now);
    assert!(!reader.end(now, 7, Ok(Placement::Free)));
    assert!(reader.end(now, 8, Ok(held("a", "1"))));
}
