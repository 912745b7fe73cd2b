//! Planned moves that wait until nobody is disturbed by them.

use super::*;

const BOUND: Duration = Duration::from_secs(120);

fn in_use() -> Answer {
    Answer::Unhealthy(Reason::Failed { detail: "3 sessions".to_owned() })
}

/// Nodes a and b, with a check that tells whether they are idle.
fn world() -> (World, ScriptedProbe) {
    let mut world = World::two().policy(|policy| policy.wait_for_idle = BOUND);
    let sessions = ScriptedProbe::new().named("sessions");
    let check = Check::new(Arc::new(sessions.clone())).health(health()).role(Role::TellsIdle);
    world.setup = world.setup.check(check);
    (world, sessions)
}

fn waits(kind: &EventKind) -> bool {
    matches!(kind, EventKind::MoveWaiting { from, to, reason, at_most, .. }
        if (from, to, *at_most) == (&id("a"), &id("b"), BOUND) && reason.to_string() == "3 sessions")
}

fn expired(kind: &EventKind) -> bool {
    matches!(kind, EventKind::IdleWaitExpired { node, .. } if *node == id("a"))
}

async fn drain(monitor: &Monitor, node: &str) {
    monitor.handle.command("ftp", Command::Drain { node: id(node) }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_until_the_node_is_idle() {
    let (world, sessions) = world();
    sessions.set_direct(&id("a"), in_use());
    let monitor = world.settled().await;
    drain(&monitor, "a").await;
    monitor.event("the wait", S, waits).await;
    assert_eq!(monitor.status().await.state, State::WaitingForIdle);
    sleep(100 * S).await;
    assert!(!monitor.moved());
    sessions.set_direct(&id("a"), Answer::Healthy);
    let idle = Instant::now();
    let started = monitor.event("the move", 10 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    assert!(started - idle <= health().fast_interval, "it is asked at the fast interval: {:?}", started - idle);
    monitor.finished(20 * S).await;
    assert_eq!((world.provider.holder(), monitor.count(waits)), (Some(id("b")), 1));
    assert!(!monitor.has(expired));
}

#[tokio::test(start_paused = true)]
async fn an_idle_node_is_left_at_once() {
    let (world, _sessions) = world();
    let monitor = world.settled().await;
    let asked = Instant::now();
    drain(&monitor, "a").await;
    let started = monitor.event("the move", S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    assert!(started - asked <= 10 * MS, "{:?}", started - asked);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_become_idle_or_cannot_be_asked_is_left_when_the_bound_is_over() {
    for answer in [in_use(), Answer::Hang, Answer::Broken] {
        let (world, sessions) = world();
        sessions.set_direct(&id("a"), answer.clone());
        let monitor = world.settled().await;
        let asked = Instant::now();
        drain(&monitor, "a").await;
        let over = monitor.event("the end of the wait", 2 * BOUND, expired).await;
        assert_eq!((over - asked).as_secs(), BOUND.as_secs(), "{answer:?}");
        monitor.finished(20 * S).await;
        assert_eq!(monitor.count(expired), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_waits_for_nobody() {
    let (world, sessions) = world();
    sessions.set_direct(&id("a"), in_use());
    let monitor = world.settled().await;
    drain(&monitor, "a").await;
    monitor.event("the wait", S, waits).await;
    world.refuse("a");
    monitor.finished(health().worst_case_detection() + 5 * S).await;
    assert_eq!(monitor.receipt().cause, Cause::Failover);
}

#[tokio::test(start_paused = true)]
async fn whether_a_node_is_idle_counts_for_nothing_else() {
    let (world, sessions) = world();
    sessions.set_direct(&id("a"), Answer::Conclusive(Reason::Failed { detail: "3 sessions".to_owned() }));
    sessions.set_direct(&id("b"), in_use());
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")), "a busy node takes over from a dead one");
    assert!(!monitor.has(|kind| matches!(kind, EventKind::CheckWentDown { .. })));
    let floating = [id("a"), id("b")].map(|node| sessions.starts(&node, Via::Floating).len());
    assert_eq!(floating, [0, 0], "it is never asked through the floating address");
}

#[tokio::test(start_paused = true)]
async fn a_switchover_waits_and_force_does_not() {
    for force in [false, true] {
        let (world, sessions) = world();
        sessions.set_direct(&id("a"), in_use());
        let monitor = world.settled().await;
        let handle = monitor.handle.clone();
        let command = Command::Switchover(Switchover::to(id("b")).force(force));
        let asked = Instant::now();
        let answer = tokio::spawn(async move { handle.command("ftp", command).await });
        if !force {
            monitor.event("the wait", S, waits).await;
            sleep(30 * S).await;
            assert!(!monitor.moved());
            sessions.set_direct(&id("a"), Answer::Healthy);
        }
        assert!(matches!(answer.await.unwrap(), Ok(Done::Moved(_))));
        assert_eq!(asked.elapsed() > 30 * S, !force);
    }
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_waits_is_refused_when_something_comes_to_speak_against_it() {
    type End = fn(&World) -> Option<Command>;
    let ends: [(&str, End); 3] = [
        ("it is paused", |_| Some(Command::Pause { reason: None, duration: None })),
        ("another move was asked for", |_| Some(Command::Switchover(Switchover::to(id("b"))))),
        ("b is down", |world| {
            world.refuse("b");
            None
        }),
    ];
    for (expected, end) in ends {
        let (world, sessions) = world();
        sessions.set_direct(&id("a"), in_use());
        let monitor = world.settled().await;
        let handle = monitor.handle.clone();
        let command = Command::Switchover(Switchover::to(id("b")));
        let first = tokio::spawn(async move { handle.command("ftp", command).await });
        monitor.event("the wait", S, waits).await;
        if let Some(command) = end(&world) {
            let handle = monitor.handle.clone();
            tokio::spawn(async move { handle.command("ftp", command).await });
        }
        let Err(CommandError::Refused { reason }) = timeout(20 * S, first).await.unwrap().unwrap() else {
            panic!("not refused: {expected}")
        };
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_waits_is_made_at_once_when_the_holder_fails() {
    let (world, sessions) = world();
    sessions.set_direct(&id("a"), in_use());
    let monitor = world.settled().await;
    let handle = monitor.handle.clone();
    let command = Command::Switchover(Switchover::to(id("b")));
    let answer = tokio::spawn(async move { handle.command("ftp", command).await });
    monitor.event("the wait", S, waits).await;
    world.refuse("a");
    let answer = timeout(health().worst_case_detection() + 5 * S, answer).await.unwrap().unwrap();
    assert!(matches!(answer, Ok(Done::Moved(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_drained_no_more_is_not_waited_for() {
    let (world, sessions) = world();
    sessions.set_direct(&id("a"), in_use());
    let monitor = world.settled().await;
    drain(&monitor, "a").await;
    monitor.event("the wait", S, waits).await;
    monitor.handle.command("ftp", Command::Undrain { node: id("a") }).await.unwrap();
    monitor.state(State::Serving, S).await;
    sleep(2 * BOUND).await;
    assert!(!monitor.moved() && !monitor.has(expired));
}
