//! What is kept of every decision, and where.

use super::*;

async fn decisions(monitor: &Monitor) -> Vec<Decision> {
    monitor.handle.history("ftp").await.unwrap()
}

/// The moves among them. Paused time runs on while files are written, which a busy machine makes look like a standstill.
async fn moves(monitor: &Monitor) -> Vec<Decision> {
    decisions(monitor).await.into_iter().filter(|made| made.decision == DecisionKind::Move).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_kept_with_its_evidence_its_steps_and_its_end_also_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::two();
    world.state_dir = Some(dir.path().to_owned());
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    let before = moves(&monitor).await;
    let [made] = &before[..] else { panic!("{before:#?}") };
    assert_eq!((made.decision, &made.event["cause"]), (DecisionKind::Move, &serde_json::json!("failover")));
    let holder = &made.evidence["nodes"][0];
    assert_eq!((&holder["health"], &holder["reason"]), (&"unhealthy".into(), &"connection refused".into()));
    let steps: Vec<_> = made.steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["release", "await_released", "claim", "await_claimed", "verify"]);
    assert_eq!(made.steps[1]["duration_ms"], 2500.0);
    assert_eq!(made.end.as_ref().unwrap()["event"], "move_finished");
    monitor.stop().await;
    let monitor = world.settled().await;
    assert_eq!(moves(&monitor).await, before);
}

#[tokio::test(start_paused = true)]
async fn why_nothing_was_moved_is_kept_once() {
    let world = World::two();
    let monitor = world.settled().await;
    monitor.handle.command("ftp", Command::Pause { reason: Some("works".into()), duration: None }).await.unwrap();
    world.refuse("a");
    sleep(60 * S).await;
    let kept: Vec<_> = decisions(&monitor).await.into_iter().map(|made| (made.decision, made.summary)).collect();
    let expected = [
        (DecisionKind::Order, "paused by an operator: works".to_owned()),
        (DecisionKind::Hold, "a failover from a to b is held: it is paused".to_owned()),
    ];
    assert_eq!(kept, expected);
}

#[tokio::test(start_paused = true)]
async fn the_history_is_bounded() {
    let world = World::two();
    let monitor = world.settled().await;
    for _ in 0..80 {
        monitor.handle.command("ftp", Command::Pause { reason: None, duration: None }).await.unwrap();
        monitor.handle.command("ftp", Command::Resume).await.unwrap();
    }
    assert_eq!(decisions(&monitor).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_cannot_be_read_or_written_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ftp.history.json");
    std::fs::write(&file, "{").unwrap();
    let mut world = World::two();
    world.state_dir = Some(dir.path().to_owned());
    let monitor = world.settled().await;
    assert_eq!(std::fs::read_to_string(dir.path().join("ftp.history.json.unreadable")).unwrap(), "{");
    drop(dir);
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert_eq!(moves(&monitor).await.len(), 1);
    assert_eq!(monitor.count(|kind| matches!(kind, EventKind::StateNotSaved { .. })), 1);
    let unknown = monitor.handle.history("www").await;
    assert!(matches!(unknown, Err(CommandError::UnknownFloatingIp { .. })));
}
