//! What paused time on one thread cannot show: tasks that run at once, in any order.

use super::*;

/// Forty floating IPs of two nodes under one monitor on two threads, for some seconds of real time.
async fn fleet(prepare: impl Fn(&World), kill: impl Fn(&World), seconds: u64) -> Vec<(Instant, Event)> {
    let quick = HealthSettings { interval: 400 * MS, fast_interval: 100 * MS, timeout: 3 * S, fall: 3, rise: 2 };
    let mut builder = Orchestrator::builder();
    let mut worlds = Vec::new();
    for index in 0..40 {
        let mut world = World::two();
        world.setup.floating_ip = FloatingIp::new(&format!("ftp-{index}"), "10.0.0.30").unwrap();
        world.setup.checks[0].health = quick;
        prepare(&world);
        builder = builder.floating_ip(world.setup.clone());
        worlds.push(world);
    }
    let orchestrator = builder.build().unwrap();
    let mut subscription = orchestrator.handle().subscribe();
    let task = tokio::spawn(orchestrator.run(std::future::pending()));
    sleep(S).await;
    worlds.iter().for_each(kill);
    let mut events = Vec::new();
    let recording = async {
        while let Some(notice) = subscription.next().await {
            match notice {
                Notice::Event(event) => events.push((Instant::now(), (*event).clone())),
                Notice::Lagged { .. } => panic!("the recorder was too slow"),
            }
        }
    };
    assert!(timeout(Duration::from_secs(seconds), recording).await.is_err(), "the monitor ended");
    task.abort();
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_the_veto_of_rule_3_holds() {
    let prepare = |world: &World| world.probe.set_floating(&id("a"), Some(Answer::Healthy));
    let events = fleet(prepare, |world| world.refuse("a"), 4).await;
    let count = |wanted: fn(&EventKind) -> bool| events.iter().filter(|(_, event)| wanted(&event.kind)).count();
    assert_eq!(count(|kind| matches!(kind, EventKind::HolderUnreachableButServing { .. })), 40);
    assert_eq!(count(|kind| matches!(kind, EventKind::MoveStarted { .. })), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_every_dead_holder_is_left_once() {
    let events = fleet(|_| {}, |world| world.refuse("a"), 4).await;
    let count = |wanted: fn(&EventKind) -> bool| events.iter().filter(|(_, event)| wanted(&event.kind)).count();
    assert_eq!(count(|kind| matches!(kind, EventKind::MoveStarted { cause: Cause::Failover, .. })), 40);
    assert_eq!(count(|kind| matches!(kind, EventKind::MoveFailed { .. })), 0);
}
