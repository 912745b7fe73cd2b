//! What is repaired in the background, and what becomes of that when the address goes elsewhere.

use super::*;

fn unsettled(node: &str, token: &str) -> Placement {
    Placement::Held { node: id(node), token: Token::generation(token), settled: false }
}

/// An engine whose repair for `a` is on the wire.
fn repairing(names: &[&str]) -> Bench {
    let mut bench = well(names);
    bench.placement = unsettled("a", "1");
    bench.run_until(|bench| bench.requests.len() == 1);
    bench
}

fn settled(bench: &Bench) -> usize {
    bench.count(|event| matches!(event, EventKind::PlacementSettled { .. }))
}

/// Of which nodes it was said that something is left undone for them, and whether an error was named.
fn told(bench: &Bench) -> Vec<(NodeId, bool)> {
    let told = |event: &EventKind| {
        let EventKind::PlacementUnsettled { node, error, .. } = event else { return None };
        Some((node.clone(), error.is_some()))
    };
    bench.events.iter().filter_map(told).collect()
}

#[test]
fn a_claim_is_said_to_be_settled_only_when_its_repair_is_off_the_wire() {
    let mut bench = repairing(&["a", "b"]);
    bench.placement = held("a", "1");
    bench.run(20 * S);
    assert_eq!(settled(&bench), 0);
    bench.reply(Ok(Accepted::without_token()));
    bench.run(20 * S);
    assert_eq!((settled(&bench), bench.requests.len()), (1, 1));
}

#[track_caller]
fn sends_nothing_before_the_repair_has_ended(mut bench: Bench) {
    bench.switch();
    bench.run(2 * S);
    assert_eq!(bench.requests.len(), 1);
    bench.reply(Ok(Accepted::without_token()));
    bench.run(S);
    assert!(matches!(&bench.requests[1..], [(_, Action::Release { .. })]), "{:?}", bench.requests);
}

#[test]
fn a_request_waits_until_a_repair_is_off_the_wire() {
    sends_nothing_before_the_repair_has_ended(repairing(&["a", "b"]));
}

#[test]
fn a_request_waits_for_a_repair_although_its_node_has_lost_the_address_meanwhile() {
    let mut bench = repairing(&["a", "b", "c"]);
    bench.placement = held("c", "2");
    bench.run(20 * S);
    assert_eq!(bench.engine.status(bench.now).holder, Some(id("c")));
    sends_nothing_before_the_repair_has_ended(bench);
}

#[test]
fn what_was_left_undone_for_one_node_is_not_settled_by_another_that_holds_the_address_now() {
    let mut bench = repairing(&["a", "b"]);
    bench.placement = held("b", "2");
    bench.reply(Err(denied()));
    assert_eq!(told(&bench), [(id("a"), false), (id("a"), true)]);
    bench.run(20 * S);
    assert_eq!((settled(&bench), bench.requests.len()), (0, 1));
    bench.placement = unsettled("b", "2");
    bench.run(20 * S);
    assert_eq!(told(&bench)[2..], [(id("b"), false)]);
}

#[test]
fn what_a_move_leaves_undone_is_told_of_its_target_and_once_although_the_old_holder_lacked_something_too() {
    let mut bench = repairing(&["a", "b"]);
    bench.reply(Err(denied()));
    bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
    bench.events.clear();
    bench.switch();
    bench.placement = split();
    bench.reply(Err(partly(denied())));
    bench.run(MS);
    assert!(matches!(bench.answers[..], [Ok(Done::Moved(_))]), "{:?}", bench.answers);
    let left = bench.engine.status(bench.now).unsettled.map(|unsettled| unsettled.parts);
    assert_eq!(left, Some(vec![Part::on("3", id("a"))]));
    bench.run(20 * S);
    assert_eq!(told(&bench), [(id("b"), true)]);
}

#[test]
fn where_recoveries_are_off_a_split_address_is_completed_only_where_a_move_has_landed() {
    for (landed, requests) in [(false, 0), (true, 1)] {
        let mut bench = Bench::new(false);
        bench.engine.settings.movers[0] = Capabilities::new(Strategy::Overwrite);
        bench.engine.settings.policy.recoveries = false;
        bench.sick = Some("");
        bench.placement = Placement::held(id("a"), Token::snapshot("aaa"));
        bench.run(10 * S);
        if landed {
            bench.switch();
        }
        bench.placement = split();
        if landed {
            bench.reply(Err(partly(denied())));
            assert!(matches!(bench.answers[..], [Ok(Done::Moved(_))]), "{:?}", bench.answers);
            bench.requests.clear();
        }
        bench.run(30 * S);
        assert_eq!(bench.engine.status(bench.now).holder, Some(id("b")));
        assert_eq!(bench.requests.len(), requests, "{:?}", bench.requests);
    }
}
