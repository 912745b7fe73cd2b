//! Several checks of one node.

use super::*;

/// The world of two nodes with these checks beside the first, each with an answer of its own.
fn with(checks: &[(&'static str, Role)], require: Require) -> (World, Vec<ScriptedProbe>) {
    let mut world = World::two().policy(|policy| policy.require = require);
    let mut probes = Vec::new();
    for (kind, role) in checks {
        let probe = ScriptedProbe::new().named(kind).through_address(false);
        let check = Check::new(Arc::new(probe.clone())).health(health()).role(*role);
        world.setup = world.setup.check(check);
        probes.push(probe);
    }
    (world, probes)
}

fn went_down(kind: &EventKind) -> bool {
    matches!(kind, EventKind::NodeWentDown { .. })
}

#[tokio::test(start_paused = true)]
async fn with_require_all_one_check_is_enough_to_be_down() {
    let (world, probes) = with(&[("two", Role::Decides), ("three", Role::Decides)], Require::All);
    let monitor = world.settled().await;
    probes[1].set_direct(&id("a"), Answer::refused());
    // Clients are not served by it either; else that would veto.
    world.probe.set_floating(&id("a"), Some(Answer::refused()));
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn with_require_any_a_node_is_down_only_when_no_check_is_left() {
    let (world, probes) = with(&[("two", Role::Decides)], Require::Any);
    let monitor = world.settled().await;
    probes[0].set_direct(&id("a"), Answer::refused());
    monitor.event("the news", 10 * S, |kind| matches!(kind, EventKind::CheckWentDown { probe: "two", .. })).await;
    sleep(30 * S).await;
    assert!(!monitor.has(went_down) && !monitor.moved());
    assert_eq!(monitor.status().await.state, State::Serving, "it is not even suspect");
    world.refuse("a");
    let bound = health().worst_case_detection();
    let died = Instant::now();
    let told = monitor.event("its end", 10 * S, went_down).await;
    assert!(told.duration_since(died) <= bound, "{:?}", told.duration_since(died));
    monitor.finished(20 * S).await;
    probes[0].set_direct(&id("a"), Answer::Healthy);
    monitor.event("the end", 10 * S, |kind| matches!(kind, EventKind::CheckCameUp { probe: "two", .. })).await;
}

#[tokio::test(start_paused = true)]
async fn of_three_checks_two_suffice_where_two_are_required() {
    let (world, probes) = with(&[("two", Role::Decides), ("three", Role::Decides)], Require::AtLeast(2));
    let monitor = world.settled().await;
    probes[0].set_direct(&id("a"), Answer::Hang);
    sleep(30 * S).await;
    assert!(!monitor.has(went_down));
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_informs_is_shown_and_never_counts() {
    let (world, probes) = with(&[("info", Role::Informs)], Require::All);
    let monitor = world.settled().await;
    probes[0].set_direct(&id("a"), Answer::Conclusive(Reason::Refused));
    let told = |kind: &EventKind| matches!(kind, EventKind::CheckWentDown { role: Role::Informs, .. });
    monitor.event("the news", 10 * S, told).await;
    sleep(60 * S).await;
    assert!(!monitor.has(went_down) && !monitor.moved());
    let status = monitor.status().await;
    assert_eq!((status.state, status.nodes[0].health), (State::Serving, Health::Healthy));
    let shown = &status.nodes[0].probes[1];
    assert_eq!((shown.kind, shown.health, shown.reason.is_some()), ("info", Health::Unhealthy, true));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_corroborates_counts_only_when_it_is_conclusive() {
    for require in [Require::All, Require::Any] {
        let (world, probes) = with(&[("state", Role::Corroborates)], require);
        let monitor = world.settled().await;
        probes[0].set_direct(&id("a"), Answer::refused());
        sleep(30 * S).await;
        assert!(!monitor.has(went_down) && !monitor.moved());
        world.probe.set_floating(&id("a"), Some(Answer::refused()));
        let terminated = Instant::now();
        probes[0].set_direct(&id("a"), Answer::Conclusive(Reason::Refused));
        let told = monitor.event("its end", 5 * S, went_down).await;
        assert!(told.duration_since(terminated) <= health().interval, "it needs no `fall`");
        monitor.finished(20 * S).await;
        assert_eq!(world.provider.holder(), Some(id("b")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_does_not_decide_is_no_sign_that_the_network_works() {
    let (world, _probes) = with(&[("local", Role::Corroborates), ("info", Role::Informs)], Require::All);
    let monitor = world.settled().await;
    for node in ["a", "b"] {
        world.hang(node);
    }
    world.probe.set_floating(&id("a"), Some(Answer::Hang));
    monitor.state(State::AllNodesDown, 20 * S).await;
    sleep(60 * S).await;
    assert_eq!((monitor.status().await.state, monitor.moved()), (State::AllNodesDown, false));
}

#[tokio::test(start_paused = true)]
async fn the_address_leaves_a_node_that_is_being_maintained_and_does_not_come_to_one() {
    let (world, probes) = with(&[("file", Role::Corroborates)], Require::All);
    let monitor = world.settled().await;
    probes[0].set_direct(&id("a"), Answer::Maintained);
    monitor.finished(20 * S).await;
    assert_eq!((world.provider.holder(), monitor.receipt().cause), (Some(id("b")), Cause::Drain));
    let status = monitor.status().await;
    assert_eq!((status.nodes[0].health, status.nodes[0].maintenance.as_deref()), (Health::Healthy, Some("scripted")));
    let to_a = Command::Switchover(Switchover::to(id("a")));
    let refused = monitor.handle.command("ftp", to_a).await;
    assert!(matches!(&refused, Err(CommandError::Refused { reason }) if reason.contains("maintained")), "{refused:?}");
    world.refuse("b");
    monitor.state(State::NoCandidate, 20 * S).await;
    probes[0].set_direct(&id("a"), Answer::Healthy);
    monitor.event("its end", 10 * S, |kind| matches!(kind, EventKind::MaintenanceEnded { .. })).await;
    sleep(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("a")));
}

#[tokio::test(start_paused = true)]
async fn a_busy_node_is_healthy_and_counted_apart() {
    let world = World::two();
    let monitor = world.settled().await;
    world.probe.set_direct(&id("a"), Answer::Busy);
    sleep(10 * S).await;
    let node = &monitor.status().await.nodes[0];
    assert_eq!((node.health, monitor.moved()), (Health::Healthy, false));
    assert!((9..=11).contains(&node.probes[0].busy), "{}", node.probes[0].busy);
    let warned = |kind: &EventKind| matches!(kind, EventKind::ProbeWarned { warning, .. } if warning.contains("busy"));
    assert!(monitor.has(warned));
    world.heal("a");
    sleep(3 * S).await;
    assert_eq!(monitor.status().await.nodes[0].probes[0].busy, 0);
}

#[test]
fn a_setup_needs_a_check_that_decides() {
    let probe = Arc::new(ScriptedProbe::new());
    let mut world = World::two();
    world.setup.checks = vec![Check::new(probe).role(Role::Informs)];
    let error = Orchestrator::builder().floating_ip(world.setup).build().unwrap_err();
    assert!(error.to_string().contains("that decides"), "{error}");
}
