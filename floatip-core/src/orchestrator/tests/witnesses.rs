//! Is it the holder, or is it the monitor? What witnesses decide.

use super::*;

/// The world with these witnesses, and a monitor that runs on the last node.
fn world(names: &[&str], witnesses: &[&str]) -> World {
    let mut world = World::of(names);
    for name in witnesses {
        let probe = Arc::new(world.probe.clone());
        let witness = Witness::new(name, &format!("{name}.example"), probe).unwrap();
        world.witnesses.push(witness.health(HealthSettings { rise: 1, ..health() }));
    }
    world.setup.nodes.last_mut().unwrap().local = true;
    world
}

fn said(monitor: &Monitor, wanted: impl Fn(&EventKind) -> bool) -> usize {
    monitor.count(wanted)
}

#[tokio::test(start_paused = true)]
async fn a_monitor_on_the_standby_holds_without_a_witness_and_says_so() {
    let world = world(&["a", "b"], &[]);
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.state(State::NoWitness, 20 * S).await;
    sleep(60 * S).await;
    assert_eq!(world.provider.path(), [id("a")]);
    assert_eq!(said(&monitor, |kind| *kind == EventKind::NoWitness { holder: Some(id("a")) }), 1);
    let moved = monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("b")))).await;
    assert!(matches!(moved, Ok(Done::Moved(_))), "an operator still may: {moved:?}");
}

#[tokio::test(start_paused = true)]
async fn with_a_witness_that_answers_it_fails_over_within_the_same_bound() {
    let world = world(&["a", "b"], &["gateway"]);
    let monitor = world.settled().await;
    let died = Instant::now();
    world.hang("a");
    let started = monitor.event("the move", 20 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    assert!(started - died <= health().worst_case_detection(), "{:?}", started - died);
    monitor.finished(20 * S).await;
}

#[tokio::test(start_paused = true)]
async fn fewer_answers_than_the_quorum_hold_every_unplanned_move_and_one_silent_witness_of_two_does_not() {
    let world = world(&["a", "b"], &["gateway", "dns"]);
    world.refuse("dns");
    let monitor = world.settled().await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
    world.heal("a");
    sleep(10 * S).await;
    world.refuse("gateway");
    world.refuse("b");
    monitor.state(State::Isolated, 20 * S).await;
    sleep(60 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
    assert_eq!(said(&monitor, |kind| *kind == EventKind::MonitorIsolated { reachable: 0, quorum: 1 }), 1);
    // Older failures no longer count: the holder must fail `fall` times anew.
    world.heal("gateway");
    let healed = Instant::now();
    let moved = |kind: &EventKind| matches!(kind, EventKind::MoveStarted { to, .. } if *to == id("a"));
    let started = monitor.event("the move", 20 * S, moved).await;
    assert!(started - healed >= health().shortest_outage(), "{:?}", started - healed);
    assert_eq!(said(&monitor, |kind| *kind == EventKind::IsolationEnded {}), 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_free_waits_for_the_witnesses_too() {
    let world = world(&["a", "b"], &["gateway"]);
    let monitor = world.settled().await;
    world.refuse("gateway");
    sleep(5 * S).await;
    world.provider.free();
    monitor.state(State::Isolated, 30 * S).await;
    sleep(60 * S).await;
    assert_eq!(world.provider.requests(), []);
    world.heal("gateway");
    monitor.finished(30 * S).await;
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_cannot_be_asked_is_not_down_and_holds_all_the_same() {
    let world = world(&["a", "b"], &["gateway"]);
    let monitor = world.settled().await;
    world.probe.set_direct(&id("gateway"), Answer::Broken);
    sleep(20 * S).await;
    assert_eq!(said(&monitor, |kind| matches!(kind, EventKind::WitnessErrored { .. })), 1);
    assert_eq!(said(&monitor, |kind| matches!(kind, EventKind::WitnessWentDown { .. })), 0);
    world.refuse("a");
    monitor.state(State::Isolated, 20 * S).await;
    world.heal("gateway");
    monitor.finished(20 * S).await;
}

/// The monitor on b is cut off from a and the gateway, for one before the other, and it heals in every order.
#[tokio::test(start_paused = true)]
async fn a_cut_that_comes_and_goes_in_any_order_moves_nothing() {
    for lasts in [300, 700, 1100, 2500, 6000_i64] {
        for lag in [-600, -250, 0, 250, 600_i64] {
            for heals in [-400, -150, 0, 150, 400_i64] {
                let mut world = world(&["a", "b"], &["gateway"]);
                world.setup.nodes[0].host = format!("a{lasts}{lag}{heals}.example").parse().unwrap();
                // Through the floating address nothing is to be seen from b.
                world.probe.set_floating(&id("a"), Some(Answer::Hang));
                let monitor = world.settled().await;
                let at = |ms: i64| Duration::from_millis(u64::try_from(1000 + ms).unwrap());
                let mut changes = [
                    (at(0), "a", Answer::Hang),
                    (at(lag), "gateway", Answer::Hang),
                    (at(lasts.max(lag)), "a", Answer::Healthy),
                    (at(lasts.max(lag) + heals), "gateway", Answer::Healthy),
                ];
                changes.sort_by_key(|(at, ..)| *at);
                let begun = Instant::now();
                for (at, name, answer) in changes {
                    tokio::time::sleep_until(begun + at).await;
                    world.probe.set_direct(&id(name), answer);
                }
                sleep(12 * S).await;
                assert!(!monitor.moved(), "{lasts} {lag} {heals}: {:#?}", monitor.seen());
                assert_eq!(monitor.status().await.state, State::Serving);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_probe_of_a_witness_serves_all_floating_ips() {
    let world = world(&["a", "b"], &["gateway"]);
    let mut builder = Orchestrator::builder().seed(7).witness(world.witnesses[0].clone());
    for name in ["ftp", "www", "dns"] {
        let mut setup = world.setup.clone();
        setup.floating_ip = FloatingIp::new(name, &format!("{name}.example")).unwrap();
        builder = builder.floating_ip(setup);
    }
    let running = tokio::spawn(builder.build().unwrap().run(sleep(30 * S)));
    sleep(20500 * MS).await;
    let probes = world.probe.count(&id("gateway"), Via::Direct);
    assert!((20..=22).contains(&probes), "{probes} in 20 s, at one a second");
    running.abort();
}

#[test]
fn building_refuses_witnesses_that_cannot_work() {
    let witness = |name: &str, host: &str| Witness::new(name, host, Arc::new(ScriptedProbe::new())).unwrap();
    type Spoil = fn(Builder) -> Builder;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let cases: [(Spoil, &str, &str); 5] = [
        (|builder| builder, "10.0.0.1", "is a node"),
        (|builder| builder, "10.0.0.30", "floating address"),
        (|builder| builder.witness_quorum(0), "10.0.0.254", "witness_quorum is 0"),
        (|builder| builder.witness_quorum(2), "10.0.0.254", "there are 1"),
        (
            |builder| {
                let health = HealthSettings { fall: 0, ..health() };
                let probe = Arc::new(ScriptedProbe::new());
                builder.witness(Witness::new("dns", "10.0.0.2:53", probe).unwrap().health(health))
            },
            "10.0.0.254",
            "fall",
        ),
    ];
    for (spoil, host, expected) in cases {
        let builder = Orchestrator::builder().floating_ip(World::two().setup).witness(witness("gateway", host));
        let error = spoil(builder).build().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
