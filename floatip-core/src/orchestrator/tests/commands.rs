//! What operators may ask, and what survives a restart.

use super::*;

fn to(node: &str) -> Command {
    Command::Switchover(Switchover::to(id(node)))
}

#[tokio::test(start_paused = true)]
async fn a_switchover_is_answered_when_the_move_has_ended() {
    let world = World::two();
    let monitor = world.settled().await;
    let began = Instant::now();
    let done = monitor.handle.command("ftp", to("b")).await.unwrap();
    assert!(
        matches!(&done, Done::Moved(receipt) if receipt.to == id("b") && receipt.cause == Cause::Switchover),
        "{done:?}"
    );
    assert!(began.elapsed() >= 4 * S);
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_nobody_waits_for_is_answered_at_its_start() {
    let world = World::two();
    let monitor = world.settled().await;
    let began = Instant::now();
    let command = Command::Switchover(Switchover::to(id("b")).wait(false));
    assert!(matches!(monitor.handle.command("ftp", command).await, Ok(Done::MoveStarted { .. })));
    assert!(began.elapsed() < S);
    monitor.finished(20 * S).await;
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let world = World::two();
    let monitor = world.settled().await;
    let command = Command::Switchover(Switchover::to(id("b")).dry_run(true));
    let done = monitor.handle.command("ftp", command).await.unwrap();
    assert_eq!(done, Done::WouldMove { from: Some(id("a")), to: id("b") });
    sleep(20 * S).await;
    assert_eq!(world.provider.requests(), []);
}

#[tokio::test(start_paused = true)]
async fn commands_that_make_no_sense_are_refused_and_say_why() {
    let world = World::two();
    let monitor = world.settled().await;
    let unknown = monitor.handle.command("www", Command::Resume).await;
    assert!(matches!(unknown, Err(CommandError::UnknownFloatingIp { .. })));
    assert!(matches!(monitor.handle.command("ftp", to("z")).await, Err(CommandError::UnknownNode { .. })));
    assert!(matches!(monitor.handle.command("ftp", to("a")).await, Ok(Done::AlreadyThere { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_switchover_to_a_drained_node_takes_force_and_ends_the_draining() {
    let world = World::two();
    let monitor = world.settled().await;
    monitor.handle.command("ftp", Command::Drain { node: id("b") }).await.unwrap();
    let Err(CommandError::Refused { reason }) = monitor.handle.command("ftp", to("b")).await else { panic!() };
    assert!(reason.contains("drained"), "{reason}");
    monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("b")).force(true))).await.unwrap();
    sleep(60 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_second_switchover_is_refused_while_one_is_in_flight() {
    let world = World::of(&["a", "b", "c"]);
    let monitor = world.settled().await;
    let command = Command::Switchover(Switchover::to(id("b")).wait(false));
    monitor.handle.command("ftp", command).await.unwrap();
    assert!(matches!(monitor.handle.command("ftp", to("c")).await, Err(CommandError::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_pause_keeps_the_address_on_a_dead_holder_until_resumed() {
    let world = World::two();
    let monitor = world.settled().await;
    monitor.handle.command("ftp", Command::Pause { reason: Some("works".into()), duration: None }).await.unwrap();
    world.refuse("a");
    sleep(60 * S).await;
    let status = monitor.status().await;
    assert_eq!((status.state, status.paused, status.pause_reason.as_deref()), (State::Paused, true, Some("works")));
    assert_eq!(world.provider.path(), [id("a")]);
    monitor.handle.command("ftp", Command::Resume).await.unwrap();
    monitor.finished(20 * S).await;
}

#[tokio::test(start_paused = true)]
async fn pause_and_freeze_and_move_budget_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::two().policy(|policy| policy.max_moves = 1);
    world.state_dir = Some(dir.path().to_owned());
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    world.heal("a");
    monitor.handle.command("ftp", Command::Pause { reason: None, duration: None }).await.unwrap();
    monitor.stop().await;
    let monitor = world.monitor();
    monitor.state(State::Paused, S).await;
    monitor.stop().await;
    // The budget of one move is spent: without the pause, the next failover freezes.
    let file = dir.path().join("ftp.json");
    let text = std::fs::read_to_string(&file).unwrap().replace(r#""paused":true"#, r#""paused":false"#);
    std::fs::write(&file, text).unwrap();
    let monitor = world.settled().await;
    world.refuse("b");
    monitor.state(State::Frozen, 20 * S).await;
    monitor.stop().await;
    let monitor = world.monitor();
    monitor.state(State::Frozen, S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_state_file_is_refused_at_building_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ftp.json"), "{").unwrap();
    let world = World::two();
    let error = Orchestrator::builder().floating_ip(world.setup).state_dir(dir.path()).build().unwrap_err();
    assert!(error.to_string().contains("ftp.json"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn state_that_cannot_be_written_is_told_and_stops_nothing() {
    let mut world = World::two();
    world.state_dir = Some("/nonexistent/floatip".into());
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::StateNotSaved { .. })));
}

#[test]
fn building_refuses_what_cannot_work() {
    type Spoil = fn(&mut Setup);
    let cases: [(Spoil, &str); 7] = [
        (|setup| setup.nodes.clear(), "no node"),
        (|setup| setup.checks.clear(), "no check"),
        (|setup| setup.movers.clear(), "no mover"),
        (|setup| setup.nodes.push(Node::new("a", "10.0.0.9").unwrap()), "two nodes"),
        (|setup| setup.nodes.push(Node::new("z", "10.0.0.9").unwrap()), "does not serve"),
        (|setup| setup.nodes[0].host = setup.floating_ip.address.clone(), "floating address"),
        (|setup| setup.policy.max_moves = 0, "max_moves"),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    for (spoil, expected) in cases {
        let mut setup = World::two().setup;
        spoil(&mut setup);
        let error = Orchestrator::builder().floating_ip(setup).build().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_is_slow_is_told_how_many_it_missed_and_how_things_stand() {
    let world = World::two();
    let monitor = world.settled().await;
    let mut slow = monitor.handle.subscribe();
    for _ in 0..600 {
        monitor.handle.command("ftp", Command::Pause { reason: None, duration: None }).await.unwrap();
        monitor.handle.command("ftp", Command::Resume).await.unwrap();
    }
    match slow.next().await {
        Some(Notice::Lagged { missed, snapshot }) => {
            assert!(missed >= 176, "{missed}");
            assert_eq!(snapshot.len(), 1);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_with_a_duration_ends_by_itself_also_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::two();
    world.state_dir = Some(dir.path().to_owned());
    let monitor = world.settled().await;
    monitor.handle.command("ftp", Command::Pause { reason: None, duration: Some(600 * S) }).await.unwrap();
    world.refuse("a");
    sleep(300 * S).await;
    monitor.stop().await;
    let monitor = world.monitor();
    monitor.state(State::Paused, S).await;
    assert!(monitor.status().await.pause_left_ms.unwrap() <= 600_000);
    sleep(700 * S).await;
    assert!(monitor.has(|kind| matches!(kind, EventKind::Resumed {})));
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_ends_a_freeze_and_leaves_a_pause() {
    let world = World::two().policy(|policy| policy.max_moves = 1);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    world.heal("a");
    sleep(5 * S).await;
    world.refuse("b");
    monitor.state(State::Frozen, 20 * S).await;
    monitor.handle.command("ftp", Command::Pause { reason: None, duration: None }).await.unwrap();
    assert_eq!(monitor.handle.command("ftp", Command::Acknowledge).await, Ok(Done::Acknowledged));
    let status = monitor.status().await;
    assert_eq!((status.state, status.frozen), (State::Paused, false));
    monitor.handle.command("ftp", Command::Resume).await.unwrap();
    monitor.state(State::Serving, 20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("a")));
}

#[tokio::test(start_paused = true)]
async fn a_drained_holder_is_left_gently_and_a_drained_node_is_no_candidate_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::two();
    world.state_dir = Some(dir.path().to_owned());
    let monitor = world.settled().await;
    assert_eq!(monitor.handle.command("ftp", Command::Drain { node: id("a") }).await, Ok(Done::Drained));
    monitor.finished(20 * S).await;
    assert_eq!(monitor.receipt().cause, Cause::Drain);
    monitor.stop().await;
    let monitor = world.settled().await;
    assert!(monitor.status().await.nodes[0].drained);
    world.refuse("b");
    monitor.state(State::NoCandidate, 20 * S).await;
    monitor.handle.command("ftp", Command::Undrain { node: id("a") }).await.unwrap();
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b"), id("a")]);
}

#[tokio::test(start_paused = true)]
async fn a_drained_holder_stays_while_no_other_node_is_well() {
    let world = World::two();
    world.refuse("b");
    let monitor = world.settled().await;
    monitor.handle.command("ftp", Command::Drain { node: id("a") }).await.unwrap();
    sleep(60 * S).await;
    assert_eq!(world.provider.path(), [id("a")]);
    world.heal("b");
    monitor.finished(20 * S).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_pause_without_a_reason_keeps_the_first_ones() {
    let world = World::two();
    let monitor = world.settled().await;
    let pause = |reason: Option<&str>| Command::Pause { reason: reason.map(str::to_owned), duration: Some(600 * S) };
    for (reason, kept) in [(Some("works"), "works"), (None, "works"), (Some("more works"), "more works")] {
        monitor.handle.command("ftp", pause(reason)).await.unwrap();
        assert_eq!(monitor.status().await.pause_reason.as_deref(), Some(kept));
    }
    monitor.handle.command("ftp", Command::Resume).await.unwrap();
    monitor.handle.command("ftp", pause(None)).await.unwrap();
    assert_eq!(monitor.status().await.pause_reason, None, "that pause was over");
}
