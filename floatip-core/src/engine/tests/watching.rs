//! What the probes say: of nodes, of the address, and of the monitor itself.

use super::*;
use crate::policy::AddressUnreachable;

fn healths(bench: &Bench) -> Vec<Health> {
    bench.engine.status(bench.now).nodes.iter().map(|node| node.health).collect()
}

/// When probes of a node began, by its own host.
fn starts(bench: &Bench, node: &str) -> Vec<Instant> {
    bench.probed.iter().filter(|(_, probed)| *probed == id(node)).map(|(at, _)| *at).collect()
}

fn is_unreachable(event: &EventKind) -> bool {
    matches!(event, EventKind::AddressUnreachable { .. })
}

fn is_all_down(event: &EventKind) -> bool {
    matches!(event, EventKind::AllNodesDown {})
}

fn is_all_down_ended(event: &EventKind) -> bool {
    matches!(event, EventKind::AllNodesDownEnded {})
}

fn landed_on_b(bench: &mut Bench) {
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Free;
    bench.run(S);
    bench.placement = held("b", "2");
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.run(200 * MS);
}

#[test]
fn that_a_node_came_up_is_said_once() {
    let bench = well(&["a", "b"]);
    assert_eq!(bench.count(|event| matches!(event, EventKind::NodeCameUp { .. })), 2);
    assert_eq!(bench.count(|event| matches!(event, EventKind::CheckCameUp { .. })), 0);
}

#[test]
fn that_a_verdict_is_too_old_is_noticed_at_once() {
    let mut bench = well(&["a", "b"]);
    let newest = *starts(&bench, "b").last().unwrap();
    bench.silent = Some("b");
    bench.run_until(|bench| healths(bench)[1] == Health::Unknown);
    let age = bench.now - newest;
    let lifetime = HealthSettings::default().verdict_lifetime();
    assert!(age > lifetime && age <= lifetime + 10 * MS, "{age:?}");
}

#[test]
fn nobody_waits_until_a_node_is_idle_where_no_check_tells_that() {
    let mut bench = well(&["a", "b"]);
    bench.engine.settings.pre_move = Some(S);
    bench.command(Command::Drain { node: id("a") });
    assert_eq!(bench.asked_hooks.len(), 1);
    assert_eq!(bench.state(), State::Serving);
}

#[test]
fn an_address_through_which_no_check_can_ask_is_not_verified() {
    let mut bench = well_with(&["a", "b"], |settings| {
        settings.checks[0].verifies = false;
        settings.policy.verify = Verify::Require;
    });
    bench.switch();
    landed_on_b(&mut bench);
    assert!(matches!(bench.answers[..], [Ok(Done::Moved(_))]), "{:?}", bench.answers);
}

#[test]
fn what_was_seen_through_the_address_on_the_old_holder_is_not_told_of_the_new_one() {
    let mut bench = well_with(&["a", "b"], |settings| settings.policy.verify = Verify::Require);
    bench.sick = Some("a");
    bench.run_until(|bench| !bench.requests.is_empty());
    landed_on_b(&mut bench);
    bench.run(10 * S);
    assert_eq!(bench.count(|event| matches!(event, EventKind::MoveFinished(_))), 1);
    assert_eq!(bench.count(is_unreachable), 0, "{:?}", bench.events);
}

#[test]
fn a_service_that_comes_up_late_on_its_new_node_is_seen_within_a_fast_interval() {
    let mut bench = well_with(&["a", "b"], |settings| settings.policy.verify = Verify::Require);
    bench.refused = true;
    bench.switch();
    landed_on_b(&mut bench);
    for _ in 0..4 {
        bench.run(5100 * MS);
        assert_eq!(bench.answers.len(), 0);
    }
    bench.refused = false;
    bench.run(HealthSettings::default().fast_interval);
    assert!(matches!(bench.answers[..], [Ok(Done::Moved(_))]), "{:?}", bench.answers);
}

#[test]
fn an_answer_ends_a_burst_unless_the_holder_is_suspect() {
    for (sick, goes_on) in [("", false), ("a", true)] {
        let mut bench = well(&["a", "b"]);
        bench.command(Command::Pause { reason: None, duration: None });
        bench.silent = Some("b");
        bench.open.clear();
        bench.run_until(|bench| bench.open.len() == 3);
        bench.sick = Some(sick);
        bench.run_until(|bench| bench.engine.watch.is_suspect(0, bench.now) == goes_on);
        let (second, third) = (bench.open[1].0, bench.open[2].0);
        bench.dropped.clear();
        bench.answer(second, Verdict::healthy());
        assert_eq!(!bench.dropped.contains(&third), goes_on, "{sick:?}");
    }
}

#[test]
fn an_answer_of_the_holder_ends_its_burst() {
    let mut bench = well(&["a", "b"]);
    bench.silent = Some("a");
    bench.mute = true;
    let is_of_a = |(_, _, node, via): &&(ProbeId, Instant, NodeId, Via)| *node == id("a") && *via == Via::Direct;
    bench.open.clear();
    bench.run_until(|bench| bench.open.iter().filter(is_of_a).count() == 3);
    let of_a: Vec<_> = bench.open.iter().filter(is_of_a).map(|(id, ..)| *id).collect();
    bench.answer(of_a[1], Verdict::healthy());
    assert!(bench.dropped.contains(&of_a[2]));
}

#[test]
fn a_warning_is_said_once_until_it_is_another() {
    let mut bench = well(&["a", "b"]);
    bench.silent = Some("b");
    let mut said = 0;
    for (warning, news) in [(Some("slow"), 1), (Some("slow"), 0), (Some("full"), 1), (None, 0), (Some("full"), 1)] {
        bench.open.clear();
        bench.run_until(|bench| !bench.open.is_empty());
        let verdict = warning.into_iter().fold(Verdict::healthy(), Verdict::with_warning);
        bench.answer(bench.open[0].0, verdict);
        said += news;
        assert_eq!(bench.count(|event| matches!(event, EventKind::ProbeWarned { .. })), said, "{warning:?}");
    }
}

#[test]
fn when_one_node_has_answered_all_that_failed_must_fail_anew_and_nobody_else() {
    let local = |settings: &mut Settings| settings.nodes[3].local = true;
    let mut bench = well_with(&["a", "b", "c", "d"], local);
    bench.sick = Some("a b c");
    bench.run_until(|bench| bench.state() == State::AllNodesDown);
    assert_eq!(healths(&bench)[3], Health::Healthy);
    bench.silent = Some("c");
    bench.open.clear();
    bench.run_until(|bench| !bench.open.is_empty());
    bench.answer(bench.open[0].0, Verdict::healthy());
    assert_eq!(healths(&bench), [Health::Unknown, Health::Unknown, Health::Unhealthy, Health::Healthy]);
}

#[test]
fn that_every_node_is_down_is_said_once_when_they_are_and_its_end_when_the_holder_answers() {
    let mut bench = well(&["a", "b"]);
    bench.sick = Some("a b");
    bench.run_until(|bench| bench.count(is_all_down) > 0);
    assert_eq!(healths(&bench), [Health::Unhealthy; 2]);
    bench.run(20 * S);
    assert_eq!((bench.count(is_all_down), bench.count(is_all_down_ended)), (1, 0));
    bench.sick = Some("b");
    bench.run(5 * S);
    assert_eq!(bench.count(is_all_down_ended), 1);
}

#[test]
fn all_nodes_are_still_down_when_the_holders_verdict_has_become_too_old() {
    let mut bench = well(&["a", "b"]);
    bench.sick = Some("a b");
    bench.run_until(|bench| bench.count(is_all_down) > 0);
    bench.silent = Some("a");
    bench.run_until(|bench| healths(bench)[0] == Health::Unknown);
    bench.run(S);
    assert_eq!((bench.count(is_all_down_ended), bench.state()), (0, State::AllNodesDown));
}

#[test]
fn a_standby_that_was_found_down_before_the_holder_was_asked_again_went_down_with_it() {
    let mut bench = well_with(&["a", "b"], |settings| {
        settings.checks[0].health = HealthSettings { interval: 10 * S, ..HealthSettings::default() };
    });
    bench.run(40 * S);
    let asked = starts(&bench, "a").len();
    bench.run_until(|bench| starts(bench, "a").len() > asked);
    (bench.sick, bench.mute) = (Some("a b"), true);
    bench.run_until(|bench| healths(bench)[1] == Health::Unhealthy);
    assert_eq!(starts(&bench, "a").len(), asked + 1, "a was not asked since");
    bench.run(20 * S);
    let lacks = |event: &EventKind| matches!(event, EventKind::NoCandidate { .. });
    assert_eq!((bench.count(is_all_down), bench.count(lacks)), (1, 0));
}

#[test]
fn failures_of_the_holder_before_a_failed_standby_has_answered_count_no_more() {
    let mut bench = well(&["a", "b"]);
    bench.sick = Some("a b");
    let failed = |bench: &Bench, node: usize| bench.engine.watch.first_failure(node).is_some();
    bench.run_until(|bench| failed(bench, 0) && failed(bench, 1));
    bench.sick = Some("a");
    bench.run_until(|bench| !failed(bench, 1));
    let answered = bench.now;
    bench.run_until(|bench| !bench.moves().is_empty());
    assert!(bench.now - answered >= HealthSettings::default().shortest_outage(), "{:?}", bench.now - answered);
}

#[test]
fn the_holder_must_fail_anew_when_a_standby_answers_that_went_down_before_it() {
    let mut bench = well(&["a", "b"]);
    bench.sick = Some("b");
    bench.run(20 * S);
    bench.sick = Some("a b");
    bench.run_until(|bench| bench.state() == State::NoCandidate);
    bench.run(10 * S);
    bench.sick = Some("a");
    let asked = starts(&bench, "b").len();
    bench.run_until(|bench| starts(bench, "b").len() > asked);
    let answered = bench.now;
    bench.run_until(|bench| !bench.moves().is_empty());
    assert!(bench.now - answered >= HealthSettings::default().shortest_outage(), "{:?}", bench.now - answered);
}

#[test]
fn an_address_is_not_said_to_be_unreachable_while_its_holder_has_begun_to_fail() {
    let mut bench = well(&["a", "b"]);
    bench.refused = true;
    bench.through.clear();
    bench.run_until(|bench| bench.through.len() == 1);
    bench.sick = Some("a");
    bench.run_until(|bench| bench.through.len() == 3);
    assert_eq!(healths(&bench)[0], Health::Healthy);
    assert_eq!(bench.count(is_unreachable), 0, "{:?}", bench.events);
}

#[test]
fn while_the_holder_is_suspect_who_is_not_down_is_asked_in_step_with_it() {
    let mut bench = well(&["a", "b", "c"]);
    bench.sick = Some("c");
    bench.run(20 * S);
    bench.command(Command::Pause { reason: None, duration: None });
    bench.sick = Some("a c");
    bench.probed.clear();
    bench.run_until(|bench| bench.engine.watch.is_suspect(0, bench.now));
    let began = *starts(&bench, "a").last().unwrap();
    bench.run_until(|bench| healths(bench)[0] == Health::Unhealthy);
    let since = |node: &str| starts(&bench, node).into_iter().filter(|at| *at >= began).collect::<Vec<_>>();
    assert_eq!(since("a").len(), 3);
    assert!(since("a").iter().all(|at| since("b").contains(at)), "{:?}", bench.probed);
    assert!(since("c").len() <= 1, "{:?}", bench.probed);
}

#[test]
fn the_address_is_asked_in_step_with_a_suspect_holder_although_it_is_down() {
    let mut bench = well(&["a", "b"]);
    bench.command(Command::Pause { reason: None, duration: None });
    bench.refused = true;
    bench.run(20 * S);
    bench.mute = true;
    bench.open.clear();
    bench.sick = Some("a");
    bench.probed.clear();
    bench.run_until(|bench| bench.engine.watch.is_suspect(0, bench.now));
    let began = *starts(&bench, "a").last().unwrap();
    assert!(bench.open.iter().any(|(_, at, _, via)| *via == Via::Floating && *at == began), "{:?}", bench.open);
}

fn reclaiming() -> Bench {
    well_with(&["a", "b"], |settings| settings.policy.address_unreachable = AddressUnreachable::Reclaim)
}

#[test]
fn an_address_is_claimed_anew_only_after_as_many_failures_as_make_a_fall() {
    let mut bench = reclaiming();
    bench.refused = true;
    bench.through.clear();
    bench.run_until(|bench| bench.through.len() == 1);
    bench.run(400 * MS);
    bench.refused = false;
    bench.run(60 * S);
    assert_eq!(bench.moves(), []);
    bench.refused = true;
    bench.run(10 * S);
    assert_eq!(bench.moves(), [(Cause::Reclaim, id("a"))]);
}

#[test]
fn an_address_that_failed_before_the_monitor_stood_still_must_fail_anew_to_be_claimed_anew() {
    let mut bench = reclaiming();
    bench.engine.last_move_end = Some(bench.now);
    bench.engine.settings.policy.cooldown = 30 * S;
    bench.refused = true;
    bench.run(29900 * MS);
    assert_eq!((bench.moves(), bench.count(is_unreachable)), (vec![], 1));
    bench.engine.handle_clock_jump(bench.now, 60 * S);
    bench.through.clear();
    bench.run_until(|bench| !bench.moves().is_empty());
    assert_eq!((bench.moves(), bench.through.len()), (vec![(Cause::Reclaim, id("a"))], 3));
}

#[test]
fn maintenance_is_said_once_and_so_is_its_end() {
    let mut bench = well(&["a", "b"]);
    bench.silent = Some("b");
    for why in [Some("disks"), Some("disks"), None, None] {
        bench.open.clear();
        bench.run_until(|bench| !bench.open.is_empty());
        bench.answer(bench.open[0].0, why.into_iter().fold(Verdict::healthy(), Verdict::in_maintenance));
    }
    assert_eq!(bench.count(|event| matches!(event, EventKind::MaintenanceBegan { .. })), 1);
    assert_eq!(bench.count(|event| matches!(event, EventKind::MaintenanceEnded { .. })), 1);
}

#[test]
fn what_no_check_asks_is_unknown_and_no_probe_will_tell() {
    let bench =
        well_with(&["a", "b"], |settings| (settings.checks[0].direct, settings.checks[0].verifies) = (false, false));
    assert_eq!(healths(&bench), [Health::Unknown; 2]);
    assert_eq!(bench.engine.watch.evidence(Subject::Address, bench.now), watch::Evidence::Missing);
}

#[test]
fn no_probe_will_tell_where_none_is_under_way() {
    let bench = well(&["a", "b"]);
    let since = bench.now + MS;
    assert_eq!(bench.engine.watch.evidence(Subject::Node(0), since), watch::Evidence::Missing);
}

/// A node with two checks, both of which must be healthy, and what to tell it: which check, when it was asked, what it says.
fn checked(verdicts: &[(usize, u32, bool)]) -> watched::Watched {
    let bench = Bench::built(&["a"], |settings| {
        let check = CheckSettings { kind: "http", ..settings.checks[0].clone() };
        settings.checks.push(check);
    });
    let mut watched = watched::Watched::new(&bench.engine.settings, |_| true, 0);
    for (probe, (line, at, healthy)) in (1..).zip(verdicts) {
        let verdict = if *healthy { Verdict::healthy() } else { Verdict::unhealthy(Reason::Refused) };
        let at = bench.engine.settings.origin + *at * MS;
        watched.lines[*line].track.begin(probe, at);
        watched.lines[*line].track.end(probe, at, &verdict, false);
    }
    watched
}

const BOTH_UP: [(usize, u32, bool); 4] = [(0, 0, true), (0, 500, true), (1, 0, true), (1, 500, true)];

#[test]
fn a_node_is_not_up_before_all_checks_say_so() {
    assert_eq!(checked(&BOTH_UP[..2]).combined(), Health::Unknown);
    assert_eq!(checked(&BOTH_UP).combined(), Health::Healthy);
}

#[test]
fn a_check_that_is_down_speaks_against_a_node_more_plainly_than_one_that_failed_once() {
    let down = [(1, 1000, false), (1, 1500, false), (1, 2000, false), (0, 2500, false)];
    let watched = checked(&[&BOTH_UP[..], &down].concat());
    assert_eq!(watched.failing().map(|line| line.check), Some(1));
    let origin = watched.lines[1].track.first_failure().unwrap() - S;
    let newest = origin + 2500 * MS;
    assert_eq!(watched.last_failed(), Some(newest), "whoever is to get the address must have answered since");
}

#[test]
fn while_the_holder_is_suspect_even_a_sweep_is_urgent() {
    let mut bench = well(&["a", "b"]);
    bench.command(Command::Pause { reason: None, duration: None });
    bench.sick = Some("a");
    bench.run(5 * S);
    bench.reads.clear();
    bench.run(25 * S);
    assert!(bench.reads.len() >= 2 && bench.reads.iter().all(|urgency| *urgency == Urgency::Move), "{:?}", bench.reads);
}
