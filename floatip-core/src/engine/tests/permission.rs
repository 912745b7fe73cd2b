//! What the hooks are asked, and when their answer still counts.

use super::*;

#[test]
fn what_the_hooks_were_asked_before_the_monitor_stood_still_is_asked_anew() {
    let mut bench = Bench::of(false, &["a", "b"]);
    bench.engine.settings.pre_move = Some(S);
    bench.sick = Some("");
    bench.run(10 * S);
    bench.sick = Some("a");
    while bench.engine.permission.is_none() {
        bench.run(10 * MS);
    }
    bench.engine.handle_clock_jump(bench.now, 60 * S);
    assert!(bench.engine.permission.is_none());
    while bench.engine.permission.is_none() {
        bench.run(10 * MS);
    }
}

#[test]
fn the_veto_of_a_planned_move_delays_no_failover() {
    let mut bench = Bench::of(false, &["a", "b"]);
    bench.engine.settings.pre_move = Some(S);
    bench.sick = Some("");
    bench.run(10 * S);
    bench.engine.handle_command(bench.now, 1, Command::Drain { node: id("a") });
    let vetoed = |bench: &Bench| bench.events.iter().any(|event| matches!(event, EventKind::MoveVetoed { .. }));
    for _ in 0..8 {
        bench.run(100 * MS);
        bench.events.clear();
        while !vetoed(&bench) {
            bench.run(10 * MS);
        }
    }
    // By now a drain is asked about again after half a minute at the least.
    bench.sick = Some("a");
    bench.run(HealthSettings::default().worst_case_detection() + 1300 * MS);
    let cause = |event: &EventKind| matches!(event, EventKind::MoveStarted { cause: Cause::Failover, .. });
    assert!(bench.events.iter().any(cause), "{:?}", bench.events);
}

#[test]
fn a_failover_does_not_wait_for_what_the_hooks_say_of_a_planned_move() {
    let mut bench = well_with(&["a", "b"], |settings| settings.pre_move = Some(60 * S));
    bench.command(Command::Drain { node: id("a") });
    assert_eq!(bench.asked_hooks.len(), 1);
    bench.sick = Some("a");
    bench.run(HealthSettings::default().worst_case_detection());
    assert_eq!(bench.asked_hooks.len(), 2, "{:?}", bench.events);
    bench.engine.handle_hooks(bench.now, bench.asked_hooks[0], HookResult::Vetoed, None);
    bench.engine.handle_hooks(bench.now, bench.asked_hooks[1], HookResult::Done, None);
    bench.run(S);
    assert_eq!(bench.moves(), [(Cause::Failover, id("b"))], "the newest question counts");
}

#[test]
fn a_switchover_is_not_given_up_because_the_holder_dies_while_the_hooks_are_asked() {
    let mut bench = well_with(&["a", "b", "c"], |settings| settings.pre_move = Some(60 * S));
    bench.command(Command::Switchover(Switchover::to(id("c"))));
    assert_eq!(bench.asked_hooks.len(), 1);
    bench.sick = Some("a");
    bench.run(HealthSettings::default().worst_case_detection());
    assert_eq!((bench.asked_hooks.len(), bench.answers.len()), (1, 0));
    bench.engine.handle_hooks(bench.now, bench.asked_hooks[0], HookResult::Done, None);
    bench.run(Duration::ZERO);
    assert_eq!(bench.moves(), [(Cause::Switchover, id("c"))]);
}

#[test]
fn the_hooks_are_asked_once_although_a_better_node_has_come_up_meanwhile() {
    let mut bench = Bench::of(false, &["a", "b", "c"]);
    bench.engine.settings.pre_move = Some(S);
    bench.sick = Some("");
    bench.run(10 * S);
    bench.engine.handle_command(bench.now, 1, Command::Drain { node: id("b") });
    bench.sick = Some("a");
    while bench.engine.permission.is_none() {
        bench.run(10 * MS);
    }
    bench.engine.handle_command(bench.now, 2, Command::Undrain { node: id("b") });
    // Nobody answers, which holds an unplanned move no longer than for the hooks' bound.
    bench.run(1300 * MS);
    let started = |event: &EventKind| matches!(event, EventKind::MoveStarted { to, .. } if *to == id("c"));
    assert!(bench.events.iter().any(started), "{:?}", bench.events);
}

#[test]
fn a_switchover_that_the_hooks_have_allowed_is_made_although_the_node_is_in_use_again() {
    let mut bench = Bench::in_use();
    bench.engine.settings.pre_move = Some(20 * S);
    bench.switch_by(false);
    bench.run(S);
    assert_eq!(bench.asked_hooks.len(), 0, "it waits until a is idle");
    bench.busy = false;
    bench.run_until(|bench| bench.asked_hooks.len() == 1);
    bench.busy = true;
    bench.run(5 * S);
    bench.engine.handle_hooks(bench.now, bench.asked_hooks[0], HookResult::Done, None);
    bench.run(Duration::ZERO);
    assert_eq!(bench.moves(), [(Cause::Switchover, id("b"))]);
}

#[test]
fn a_second_switchover_is_no_answer_to_what_the_hooks_were_asked_about_the_first() {
    let mut bench = Bench::new(false);
    bench.engine.settings.pre_move = Some(20 * S);
    bench.switch();
    bench.switch();
    assert_eq!((bench.moves(), bench.asked_hooks.len()), (vec![], 2));
    assert!(matches!(bench.answers[..], [Err(CommandError::Refused { .. })]), "{:?}", bench.answers);
}
