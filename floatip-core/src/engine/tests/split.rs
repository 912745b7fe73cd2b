//! A move of an address that is made of parts.

use super::*;
use crate::mover::Part;

/// A move to `b` whose claim is on the wire.
fn claiming() -> Bench {
    let mut bench = Bench::new(false);
    bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
    bench.placement = Placement::held(id("a"), Token::snapshot("aaa"));
    bench.run(30 * S);
    bench.switch();
    assert!(matches!(&bench.requests[..], [(_, Action::Claim { .. })]), "{:?}", bench.requests);
    bench
}

fn is_done(bench: &Bench) -> bool {
    matches!(&bench.answers[..], [Ok(Done::Moved(receipt))] if receipt.to == id("b"))
}

fn told(bench: &Bench) -> Vec<String> {
    let told = |event: &EventKind| {
        let EventKind::PlacementUnsettled { error, .. } = event else { return None };
        Some(error.clone().unwrap_or_default())
    };
    bench.events.iter().filter_map(told).collect()
}

/// Two of three nodes have parts of the address, and service answers through it: for the monitor it leads to `a`.
#[test]
fn an_answer_through_a_split_address_keeps_no_part_of_it_on_a_dead_node() {
    let mut bench = Bench::of(false, &["a", "b", "c"]);
    bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
    bench.placement = split();
    bench.sick = Some("");
    bench.run(30 * S);
    assert_eq!(bench.engine.status(bench.now).holder, Some(id("b")), "it has most of it");
    bench.sick = Some("b");
    bench.serving = Some("a");
    let failed = bench.now;
    let moved = |event: &EventKind| matches!(event, EventKind::MoveStarted { cause: Cause::Failover, .. });
    let mut repairs = 0;
    while !bench.events.iter().any(moved) {
        assert!(bench.now < failed + 9 * S, "before the next sweep: {:?}", bench.events);
        if bench.requests.len() > repairs {
            repairs = bench.requests.len();
            bench.reply(Err(denied()));
        }
        bench.run(100 * MS);
    }
    bench.run(S);
    let Some((_, Action::Claim { to, seen, .. })) = bench.requests.last() else { panic!("{:?}", bench.requests) };
    assert_eq!((to, seen), (&id("a"), &split()));
}

#[test]
fn what_was_refused_for_good_is_not_waited_for() {
    for left in [
        denied(),
        MoveError::NotFound { call: "claim", resource: "it".into(), source: "no".into() },
        MoveError::Impossible { call: "claim", resource: "it".into(), reason: "no".into(), source: "no".into() },
    ] {
        let mut bench = claiming();
        bench.placement = split();
        bench.reply(Err(partly(left)));
        bench.run(MS);
        assert!(is_done(&bench), "{:?}", bench.events);
        assert_eq!(bench.saved.as_ref().map(|saved| saved.move_ages.len()), Some(0), "an operator's move");
    }
}

#[test]
fn what_may_still_come_is_asked_for_again_until_the_claim_timeout() {
    let mut bench = claiming();
    bench.placement = split();
    bench.reply(Err(partly(throttled())));
    let (began, timeout) = (bench.now, bench.engine.settings.policy.claim_timeout);
    while !is_done(&bench) {
        let sent = bench.requests.len();
        bench.run(S / 2);
        if bench.requests.len() > sent {
            bench.reply(Err(throttled()));
        }
        assert!(bench.failed().is_none() && bench.now < began + 2 * timeout, "{:?}", bench.events);
    }
    assert!(bench.now >= began + timeout && bench.now < began + timeout + 6 * S, "{:?}", bench.now - began);
    assert!(bench.requests.len() > 8, "{}", bench.requests.len());
    assert_eq!(told(&bench).len(), 1);
    assert!(told(&bench)[0].contains("3 is left: claim was throttled"), "{:?}", told(&bench));
}

#[test]
fn a_refusal_of_the_rest_alone_counts_too_and_makes_no_node_impossible() {
    let mut bench = claiming();
    bench.placement = split();
    bench.reply(Err(unknown()));
    bench.run(5 * S);
    assert_eq!(bench.requests.len(), 2, "the rest is claimed");
    let impossible =
        MoveError::Impossible { call: "claim", resource: "3".into(), reason: "full".into(), source: "no".into() };
    bench.reply(Err(impossible));
    bench.run(MS);
    assert!(is_done(&bench), "{:?}", bench.events);
    let not_ready = |event: &EventKind| matches!(event, EventKind::CandidateNotReady { .. });
    assert!(!bench.events.iter().any(not_ready), "b has two parts of it");
}

#[test]
fn the_rest_that_comes_in_time_lands_settled() {
    let mut bench = claiming();
    bench.placement = split();
    bench.reply(Err(partly(throttled())));
    bench.run(S);
    bench.placement = Placement::held(id("b"), Token::snapshot("bbb"));
    bench.reply(Ok(Accepted::without_token()));
    bench.run(S);
    assert!(is_done(&bench) && told(&bench).is_empty(), "{:?}", bench.events);
}

#[test]
fn a_part_on_another_node_alone_is_no_reason_to_land() {
    let mut bench = claiming();
    let parts = vec![Part::on("1", id("a")), Part::on_no_node("2", "no route")];
    bench.placement = Placement::Split { parts, token: Token::snapshot("a-") };
    bench.reply(Err(denied()));
    bench.run(S);
    assert_eq!(bench.failed(), Some(true), "nothing of it is on b");
}

#[test]
fn of_two_monitors_that_split_the_address_between_them_the_one_with_the_first_part_goes_on() {
    for (first, second, lost) in [("b", "c", false), ("c", "b", true)] {
        let mut bench = Bench::of(false, &["a", "b", "c"]);
        bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
        bench.placement = Placement::held(id("a"), Token::snapshot("aa"));
        bench.run(30 * S);
        bench.switch();
        bench.reply(Ok(Accepted::without_token()));
        let parts = vec![Part::on("1", id(first)), Part::on("2", id(second))];
        bench.placement = Placement::Split { parts, token: Token::snapshot("both") };
        bench.run(S);
        assert_eq!((bench.failed().is_some(), bench.requests.len()), (lost, if lost { 1 } else { 2 }));
        // The one that goes on gives in to one that does not, in the end: then both complete it where the first part is.
        let end = bench.now + 2 * bench.engine.settings.policy.claim_timeout;
        while bench.failed().is_none() && bench.now < end {
            bench.reply(Ok(Accepted::without_token()));
            bench.run(S / 2);
        }
        assert_eq!(bench.failed(), Some(false), "{:?}", bench.events);
        let is_loss =
            |event: &EventKind| matches!(event, EventKind::MoveFailed { error, .. } if error.contains("lost a race"));
        assert!(bench.events.iter().any(is_loss), "{:?}", bench.events);
    }
}

#[test]
fn parts_that_were_elsewhere_before_the_move_are_nobody_who_contends() {
    let mut bench = Bench::of(false, &["a", "b", "c"]);
    bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
    let split = |nodes: [&str; 3]| {
        let parts = (1..).zip(nodes).map(|(n, node)| Part::on(format!("{n}"), id(node))).collect();
        Placement::Split { parts, token: Token::snapshot(nodes.concat()) }
    };
    bench.placement = split(["c", "a", "a"]);
    bench.run(30 * S);
    bench.requests.clear();
    bench.switch();
    bench.placement = split(["c", "b", "b"]);
    bench.reply(Err(partly(denied())));
    bench.run(MS);
    assert!(is_done(&bench), "{:?}", bench.events);
}

#[test]
fn who_completes_an_address_that_is_split_evenly_follows_from_the_reading_alone() {
    for nodes in [["c", "b"], ["b", "c"]] {
        let mut bench = Bench::of(false, &["a", "b", "c"]);
        let parts = vec![Part::on("1", id(nodes[0])), Part::on("2", id(nodes[1]))];
        bench.placement = Placement::Split { parts, token: Token::snapshot("even") };
        bench.run(30 * S);
        assert_eq!(bench.engine.status(bench.now).holder, Some(id(nodes[0])));
    }
}

#[test]
fn whoever_has_most_of_a_split_address_holds_it_once_readings_agree_unless_it_is_down() {
    for (sick, holder) in [("", "b"), ("b", "a")] {
        let mut bench = Bench::new(false);
        bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
        bench.sick = Some("");
        bench.run(10 * S);
        bench.sick = Some(sick);
        bench.run(10 * S);
        bench.placement = split();
        bench.run_until(|bench| matches!(bench.engine.reader.placement(), Some(Placement::Split { .. })));
        let holder_of = |bench: &Bench| bench.engine.status(bench.now).holder;
        assert_eq!(holder_of(&bench), Some(id("a")));
        bench.run(20 * S);
        assert_eq!(holder_of(&bench), Some(id(holder)), "{sick:?}");
    }
}
