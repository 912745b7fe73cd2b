//! What the witnesses tell the monitor of its own network.

use super::*;

/// Nodes and witnesses that have all answered for a while.
fn witnessed(witnesses: usize, quorum: usize, health: HealthSettings) -> Bench {
    let mut bench = Bench::built(&["a", "b"], |settings| {
        settings.witnesses = (0..witnesses)
            .map(|n| {
                let host = format!("192.0.2.{n}").parse().unwrap();
                WitnessSettings { name: id(&format!("w{n}")), host, kind: "ping", health }
            })
            .collect();
        settings.witness_quorum = quorum;
    });
    bench.sick = Some("");
    bench.run(10 * S);
    assert_eq!(healths(&bench), vec![Health::Healthy; witnesses]);
    bench
}

fn healths(bench: &Bench) -> Vec<Health> {
    bench.engine.status(bench.now).witnesses.iter().map(|witness| witness.health).collect()
}

/// How many witnesses were said to be reachable, and how many are wanted, each time the monitor took itself for cut off.
fn isolations(bench: &Bench) -> Vec<(usize, usize)> {
    let isolated = |event: &EventKind| {
        if let EventKind::MonitorIsolated { reachable, quorum } = event { Some((*reachable, *quorum)) } else { None }
    };
    bench.events.iter().filter_map(isolated).collect()
}

#[test]
fn a_monitor_that_is_cut_off_from_nodes_and_witnesses_alike_is_isolated_and_does_not_blame_the_nodes() {
    let mut bench = witnessed(1, 1, HealthSettings::default());
    bench.sick = Some("a b");
    bench.testify = |_| Some(Ok(Verdict::unhealthy(Reason::Refused)));
    bench.run(20 * S);
    assert_eq!((bench.state(), bench.moves()), (State::Isolated, vec![]));
}

#[test]
fn a_free_address_waits_for_witnesses_that_may_still_answer_and_not_for_probers_that_cannot_work() {
    for (errored, state) in [(false, State::Free), (true, State::Isolated)] {
        let mut bench = witnessed(1, 1, HealthSettings::default());
        bench.testify = if errored { |_| Some(Err("no socket".to_owned())) } else { |_| None };
        bench.run(10 * S);
        assert_eq!(healths(&bench), [Health::Unknown]);
        bench.placement = Placement::Free;
        bench.run(30 * S);
        assert_eq!((bench.state(), bench.moves()), (state, vec![]));
        assert_eq!(isolations(&bench), if errored { vec![(0, 1)] } else { vec![] });
    }
}

#[test]
fn an_answer_of_a_witness_ends_its_burst() {
    let mut bench = witnessed(1, 1, HealthSettings::default());
    bench.testify = |_| None;
    bench.run_until(|bench| bench.unheard.len() == 3);
    let unheard = bench.unheard.clone();
    bench.dropped.clear();
    let (second, began) = unheard[1];
    bench.engine.handle_probe(bench.now, second, began, Ok(Verdict::healthy()));
    bench.run(Duration::ZERO);
    assert_eq!(bench.dropped, [unheard[0].0, unheard[2].0]);
}

#[test]
fn an_answer_tells_of_no_other_witness() {
    let mut bench = witnessed(2, 1, HealthSettings::default());
    bench.testify = |witness| (witness == 1).then(|| Ok(Verdict::healthy()));
    bench.run(20 * S);
    assert_eq!(healths(&bench), [Health::Unknown, Health::Healthy]);
}

#[test]
fn the_monitor_is_said_to_be_isolated_when_the_quorum_is_down_and_not_before() {
    let mut bench = witnessed(3, 2, HealthSettings::default());
    assert_eq!(isolations(&bench), []);
    bench.testify =
        |witness| Some(Ok(if witness < 1 { Verdict::unhealthy(Reason::Refused) } else { Verdict::healthy() }));
    bench.run(20 * S);
    assert_eq!((healths(&bench)[0], isolations(&bench)), (Health::Unhealthy, vec![]));
    bench.testify =
        |witness| Some(Ok(if witness < 2 { Verdict::unhealthy(Reason::Refused) } else { Verdict::healthy() }));
    bench.run(20 * S);
    assert_eq!(isolations(&bench), [(1, 2)]);
}

#[test]
fn what_the_witnesses_said_before_the_monitor_stood_still_counts_no_more() {
    let seldom = HealthSettings { interval: 60 * S, ..HealthSettings::default() };
    let mut bench = witnessed(1, 1, seldom);
    bench.testify = |_| None;
    bench.run_until(|bench| bench.unheard.len() == 1);
    bench.dropped.clear();
    bench.placement = Placement::Free;
    bench.engine.handle_clock_jump(bench.now, 60 * S);
    bench.run(30 * S);
    assert!(bench.dropped.contains(&bench.unheard[0].0), "{:?}", bench.dropped);
    assert_eq!((healths(&bench), bench.moves()), (vec![Health::Unknown], vec![]));
    bench.testify = |_| Some(Ok(Verdict::healthy()));
    let (newest, began) = bench.unheard[bench.unheard.len() - 1];
    bench.engine.handle_probe(bench.now, newest, began, Ok(Verdict::healthy()));
    bench.run_until(|bench| !bench.moves().is_empty());
    assert_eq!(bench.moves(), [(Cause::Rescue, id("a"))]);
}

#[test]
fn an_isolation_that_was_said_ends_when_enough_witnesses_answer_and_is_said_anew_the_next_time() {
    fn ends(bench: &Bench) -> usize {
        bench.count(|event| matches!(event, EventKind::IsolationEnded {}))
    }
    // The probers cannot work, or the monitor stood still while it was cut off.
    for jump in [false, true] {
        let mut bench = witnessed(1, 1, HealthSettings::default());
        for round in 1..3 {
            bench.testify = if jump {
                |_| Some(Ok(Verdict::unhealthy(Reason::Refused)))
            } else {
                |_| Some(Err("no socket".to_owned()))
            };
            bench.placement = Placement::Free;
            bench.run(30 * S);
            assert_eq!((isolations(&bench).len(), ends(&bench)), (round, round - 1), "{jump}");
            if jump {
                bench.engine.handle_clock_jump(bench.now, 60 * S);
            }
            bench.placement = held("a", "1");
            bench.testify = |_| Some(Ok(Verdict::healthy()));
            bench.run(20 * S);
            assert_eq!((isolations(&bench).len(), ends(&bench)), (round, round), "{jump}");
        }
    }
}
