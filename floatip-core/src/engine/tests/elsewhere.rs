//! Readings that show the address elsewhere than the move wants it, or later than it was waited for.

use super::*;

/// A switchover to b that has landed just before a sweep, and is verified when that has shown the address on a again.
fn in_doubt() -> Bench {
    let mut bench = Bench::new(false);
    bench.engine.settings.policy.verify = Verify::Require;
    bench.sick = Some("");
    bench.run(8500 * MS);
    bench.switch();
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(100 * MS);
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.mute = true;
    bench.placement = held("b", "2");
    bench.run(100 * MS);
    bench.placement = held("a", "3");
    bench.run(500 * MS);
    assert_eq!(bench.engine.status(bench.now).holder, Some(id("a")));
    bench.mute = false;
    bench.run(S);
    bench
}

#[test]
fn an_answer_through_the_address_is_no_proof_while_the_newest_reading_shows_it_elsewhere() {
    for (placement, done) in [(held("b", "4"), true), (held("a", "3"), false), (Placement::Free, false)] {
        let mut bench = in_doubt();
        assert_eq!((bench.answers.len(), bench.failed()), (0, None));
        bench.placement = placement;
        bench.run(5 * S);
        assert_eq!(matches!(bench.answers[..], [Ok(Done::Moved(_))]), done, "{:?}", bench.answers);
    }
}

/// A failover from a, whose claim for b hangs on its way until c is tried instead.
fn given_up_for_c() -> Bench {
    given_up_by(Token::generation("2"))
}

fn given_up_by(token: Token) -> Bench {
    let mut bench = well(&["a", "b", "c"]);
    bench.sick = Some("a");
    while bench.requests.is_empty() {
        bench.run(10 * MS);
    }
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(S);
    bench.placement = Placement::Transition { from: None, to: Some(id("b")), token: token.clone() };
    bench.reply(Ok(Accepted::with_token(token.clone())));
    while !bench.events.iter().any(|event| matches!(event, EventKind::MoveRetargeted { .. })) {
        bench.run(10 * MS);
    }
    // What hangs is to be taken back by force, and has ended by itself when that arrives.
    let last = bench.requests.last();
    assert!(matches!(last, Some((_, Action::Release { mode: ReleaseMode::Forced, .. }))), "{last:?}");
    bench.placement = Placement::held(id("b"), token);
    bench
}

/// The move lands on b, and no request follows those that were sent.
#[track_caller]
fn stays_on_b(bench: &mut Bench, requests: usize) {
    bench.run(60 * S);
    assert_eq!(bench.requests.len(), requests, "nothing more is taken from b: {:?}", bench.requests);
    let landed = |event: &EventKind| matches!(event, EventKind::MoveFinished(receipt) if receipt.to == id("b"));
    assert!(bench.events.iter().any(landed), "{:?}", bench.events);
}

#[test]
fn an_address_that_arrives_on_a_healthy_node_after_its_claim_was_given_up_has_landed_there() {
    let mut bench = given_up_for_c();
    let requests = bench.requests.len();
    bench.reply(Err(conflict()));
    stays_on_b(&mut bench, requests);
}

#[test]
fn an_address_that_somebody_gives_to_whom_its_claim_was_given_up_for_and_released_stays_there() {
    for claims in [true, false] {
        let mut bench = given_up_by(Token::snapshot("b"));
        bench.placement = Placement::Free;
        bench.reply(Ok(Accepted::without_token()));
        bench.run(S);
        let Some((_, Action::Claim { to, .. })) = bench.requests.last() else { panic!("there is no claim") };
        assert_eq!(*to, id("c"));
        let requests = bench.requests.len();
        // A reading cannot tell by the token that this is another assignment than the one that was given up.
        bench.placement = Placement::held(id("b"), Token::snapshot("b"));
        bench.reply(if claims { Ok(Accepted::without_token()) } else { Err(conflict()) });
        stays_on_b(&mut bench, requests);
    }
}

#[test]
fn an_address_that_stays_on_a_healthy_node_from_which_a_release_did_not_end_has_landed_there() {
    let mut bench = given_up_by(Token::snapshot("b"));
    bench.reply(Ok(Accepted::without_token()));
    bench.run_until(|bench| bench.count(|event| matches!(event, EventKind::FloatingIpStuck { .. })) == 1);
    let requests = bench.requests.len();
    stays_on_b(&mut bench, requests);
}

#[test]
fn a_node_to_which_the_address_was_given_anew_is_not_robbed_by_a_request_of_unknown_outcome() {
    for strategy in [Strategy::ReleaseFirst, Strategy::Overwrite] {
        let mut bench = well_with(&["a", "b", "c"], |settings| settings.movers[0] = Capabilities::new(strategy));
        bench.switch_by(false);
        assert_eq!(bench.requests.len(), 1);
        // Meanwhile somebody else has taken it away and put it back, and the target has died.
        bench.sick = Some("b");
        bench.run(10 * S);
        bench.reply(Err(unknown()));
        bench.placement = held("a", "3");
        bench.run(10 * S);
        assert_eq!((bench.failed(), bench.requests.len()), (Some(true), 1), "{:?}", bench.events);
    }
}

#[test]
fn a_switchover_of_a_free_address_whose_claim_may_have_taken_effect_takes_it_from_nobody() {
    let mut bench = well(&["a", "b", "c"]);
    bench.placement = Placement::Free;
    bench.engine.settings.policy.recoveries = false;
    bench.run(15 * S);
    bench.switch_by(false);
    assert!(matches!(bench.requests.last(), Some((_, Action::Claim { .. }))), "{:?}", bench.requests);
    bench.reply(Err(unknown()));
    bench.run_until(|bench| bench.requests.len() == 2);
    bench.placement = held("c", "9");
    bench.reply(Err(conflict()));
    bench.run(10 * S);
    assert_eq!(bench.requests.len(), 2, "nothing is taken from c: {:?}", bench.requests);
    assert!(bench.failed().is_some(), "{:?}", bench.events);
}

#[test]
fn a_move_that_chose_another_target_knows_that_the_address_leaves_by_its_own_release() {
    let mut bench = well(&["a", "b", "c"]);
    bench.sick = Some("a");
    bench.run_until(|bench| !bench.requests.is_empty());
    bench.sick = Some("a b");
    bench.run_until(|bench| bench.engine.watch.health(1) == Health::Unhealthy);
    bench.reply(Err(unknown()));
    bench.placement = Placement::Transition { from: Some(id("a")), to: None, token: Token::generation("1") };
    bench.run(S);
    bench.placement = Placement::Free;
    bench.run(S);
    assert_eq!(bench.failed(), None, "{:?}", bench.events);
    assert!(
        matches!(bench.requests.last(), Some((_, Action::Claim { to, .. })) if *to == id("c")),
        "{:?}",
        bench.requests
    );
}

#[test]
fn a_reading_of_the_assignment_that_a_move_is_known_to_have_ended_is_stale() {
    let mut bench = well_with(&["a", "b", "c"], |settings| {
        settings.movers[0] = Capabilities::new(Strategy::Overwrite);
        settings.policy.claim_timeout = 5 * S;
    });
    bench.sick = Some("a");
    bench.run_until(|bench| !bench.requests.is_empty());
    bench.placement = Placement::Transition { from: Some(id("a")), to: Some(id("b")), token: Token::generation("2") };
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.run(S);
    bench.placement = held("a", "1");
    bench.run(50 * S);
    assert_eq!(bench.requests.len(), 1, "{:?}", bench.requests);
    bench.placement = held("b", "2");
    stays_on_b(&mut bench, 1);
}

#[test]
fn what_a_lost_race_has_shown_to_be_over_is_not_believed_by_the_next_move() {
    let mut bench = well(&["a", "b"]);
    bench.sick = Some("a");
    bench.run_until(|bench| !bench.requests.is_empty());
    bench.placement = held("a", "2");
    bench.reply(Ok(Accepted::without_token()));
    bench.run_until(|bench| bench.failed().is_some());
    bench.placement = held("a", "1");
    bench.run(30 * S);
    assert_eq!(bench.requests.len(), 1, "{:?}", bench.requests);
    bench.placement = held("a", "2");
    bench.run(30 * S);
    assert!(matches!(bench.requests.last(), Some((_, Action::Release { seen, .. })) if *seen == held("a", "2")));
}

#[test]
fn an_address_that_arrives_late_on_a_node_that_has_died_is_taken_on_from_there() {
    let mut bench = given_up_for_c();
    bench.sick = Some("b");
    bench.run(10 * S);
    bench.reply(Err(conflict()));
    bench.run(60 * S);
    let last = bench.requests.last();
    assert!(matches!(last, Some((_, Action::Release { seen, .. })) if *seen == held("b", "2")), "{last:?}");
    let landed = |event: &EventKind| matches!(event, EventKind::MoveFinished(_));
    assert!(!bench.events.iter().any(landed), "it is the same move: {:?}", bench.events);
}

#[test]
fn whoever_was_given_the_address_anew_is_not_robbed_by_a_move_that_had_to_choose_another_target() {
    let mut bench = Bench::of(false, &["a", "b", "c"]);
    bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
    bench.engine.settings.policy.verify = Verify::Require;
    bench.sick = Some("neither");
    bench.run(10 * S);
    bench.switch_by(false);
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.placement = held("b", "2");
    bench.mute = true;
    bench.run(100 * MS + bench.engine.settings.policy.verify_timeout - MS);
    bench.now += MS;
    bench.engine.handle_timeout(bench.now);
    // The verification has failed, and `a` is the next target, until the placement is read.
    bench.engine.set_impossible(bench.now, 0, 0, Some("no slot".to_owned()));
    bench.run(S);
    let Some((_, Action::Claim { to, .. })) = bench.requests.last() else { panic!("there is no claim") };
    assert_eq!(*to, id("c"), "{:?}", bench.events);
    bench.placement = held("b", "4");
    bench.reply(Ok(Accepted::with_token(Token::generation("3"))));
    bench.run(S);
    assert_eq!((bench.failed(), bench.requests.len()), (Some(false), 2), "{:?}", bench.events);
}

#[test]
fn an_address_that_is_free_goes_back_to_a_healthy_node_rather_than_to_a_dead_one() {
    let mut bench = given_up_for_c();
    bench.sick = Some("a c");
    bench.placement = Placement::Transition { from: None, to: None, token: Token::generation("2") };
    bench.run(10 * S);
    assert_eq!(bench.engine.status(bench.now).nodes[2].health, Health::Unhealthy);
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(S);
    let Some((_, Action::Claim { to, .. })) = bench.requests.last() else { panic!("there is no claim") };
    assert_eq!(*to, id("b"), "{:?}", bench.events);
}

#[test]
fn a_target_of_which_nothing_is_known_any_more_gives_way_to_a_healthy_node() {
    let mut bench = well(&["a", "b", "c"]);
    bench.sick = Some("a");
    while bench.requests.is_empty() {
        bench.run(10 * MS);
    }
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Transition { from: Some(id("a")), to: None, token: Token::generation("1") };
    bench.silent = Some("b");
    bench.run(10 * S);
    assert_eq!(bench.engine.status(bench.now).nodes[1].health, Health::Unknown);
    bench.placement = Placement::Free;
    bench.run(S);
    let Some((_, Action::Claim { to, .. })) = bench.requests.last() else { panic!("there is no claim") };
    assert_eq!(*to, id("c"), "{:?}", bench.events);
}

#[test]
fn a_release_that_hangs_is_forced_from_the_dead_node_that_it_leaves_whatever_node_the_move_began_with() {
    let mut bench = well(&["a", "b"]);
    bench.switch_by(false);
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(S);
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    // Before any reading has shown it on b, somebody else begins to take it away from there.
    bench.placement = Placement::Transition { from: Some(id("b")), to: None, token: Token::generation("2") };
    bench.sick = Some("b");
    bench.run(60 * S);
    let last = bench.requests.last();
    assert!(matches!(last, Some((_, Action::Release { mode: ReleaseMode::Forced, .. }))), "{last:?}");
}

#[test]
fn an_address_that_another_monitor_has_brought_to_where_a_claim_was_given_up_is_not_taken_from_there() {
    let mut bench = given_up_for_c();
    bench.placement = Placement::Transition { from: None, to: None, token: Token::generation("2") };
    bench.reply(Ok(Accepted::without_token()));
    bench.run(S);
    bench.placement = held("b", "3");
    let requests = bench.requests.len();
    bench.run(300 * S);
    assert_eq!((bench.failed(), bench.requests.len()), (Some(false), requests), "{:?}", bench.requests);
}

#[test]
fn an_address_that_was_given_anew_to_the_holder_that_it_had_left_is_not_taken_again() {
    let mut bench = well(&["a", "b", "c"]);
    bench.switch_by(false);
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(S);
    bench.placement = held("a", "2");
    bench.reply(Err(conflict()));
    bench.run(60 * S);
    assert_eq!((bench.failed(), bench.requests.len()), (Some(false), 2), "{:?}", bench.requests);
}

#[test]
fn an_address_that_was_to_be_claimed_anew_is_not_taken_from_another_node_to_which_it_has_gone_meanwhile() {
    let mut bench = Bench::new(false);
    bench.engine.settings.policy.address_unreachable = crate::AddressUnreachable::Reclaim;
    bench.sick = Some("");
    bench.run(10 * S);
    (bench.sick, bench.serving) = (Some("nobody"), Some("nobody"));
    bench.run(10 * S);
    assert_eq!(bench.requests.len(), 1);
    bench.placement = Placement::Transition { from: None, to: Some(id("b")), token: Token::generation("2") };
    bench.reply(Err(MoveError::NotYet { call: "release", resource: "it".into(), source: "it leaves".into() }));
    while !bench.events.iter().any(|event| matches!(event, EventKind::MoveRetargeted { .. })) {
        bench.run(100 * MS);
    }
    bench.placement = held("b", "2");
    let requests = bench.requests.len();
    bench.run(60 * S);
    assert_eq!(bench.requests.len(), requests, "{:?}", bench.requests);
}
