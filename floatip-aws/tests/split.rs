//! A monitor with the real route mover on the simulated EC2, where one of three tables may not be changed.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::config::Credentials;
use floatip_aws::simulator::{Simulator, Timings, World};
use floatip_aws::{AwsSettings, NodeInterface, RouteMover, RouteTables};
use floatip_core::testing::{Answer, ScriptedProbe};
use floatip_core::{
    Check, EventKind, FloatingIp, HealthSettings, Node, NodeId, Notice, Orchestrator, Setup, State, Subscription,
    Verification,
};
use tokio::time::timeout;

const TABLES: [&str; 3] = ["rtb-0a1b2c3d4e5f60021", "rtb-0a1b2c3d4e5f60022", "rtb-0a1b2c3d4e5f60023"];
const DESTINATION: &str = "10.99.0.1/32";
const NODES: [(&str, &str, &str); 2] = [("a", "i-a", "10.0.0.1"), ("b", "i-b", "10.0.0.2")];

/// The next event of the kind that is wanted.
async fn next<T>(events: &mut Subscription, wanted: impl Fn(&EventKind) -> Option<T>) -> T {
    let waiting = async {
        loop {
            let notice = events.next().await.expect("the monitor runs");
            let Notice::Event(event) = notice else { panic!("{notice:?}") };
            if let Some(found) = wanted(&event.kind) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(60), waiting).await.expect("it happens")
}

#[tokio::test]
async fn a_failover_with_one_table_denied_is_served_told_by_table_and_repaired_later() {
    let world = World::new("eu-test-1").subnet("subnet-a", "eu-test-1a", "10.0.0.0/24", "vpc-1");
    let world = NODES.into_iter().fold(world, |world, (_, instance, ip)| {
        let primary = instance.replacen("i-", "eni-", 1) + "-primary";
        world.instance(instance, "subnet-a", ip).source_dest_check(&primary, false)
    });
    let world = TABLES
        .into_iter()
        .fold(world, |world, table| world.route_table(table, "vpc-1").route(table, DESTINATION, "eni-a-primary"));
    let simulator = Simulator::start(world, Timings::instant()).await.unwrap();
    let settings = AwsSettings::new().region("eu-test-1").endpoint_url(simulator.endpoint_url());
    let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
    let ec2 = settings.credentials_provider(credentials).connect().await.unwrap();
    let tables = RouteTables::Ids(TABLES.map(str::to_owned).to_vec());
    let mover = NODES
        .into_iter()
        .fold(RouteMover::builder(ec2, "10.99.0.1".parse().unwrap(), tables), |mover, (name, instance, _)| {
            mover.node(NodeId::new(name).unwrap(), NodeInterface::new().instance(instance))
        });
    let probe = ScriptedProbe::new();
    let ms = Duration::from_millis;
    let mut health = HealthSettings::default();
    (health.interval, health.fast_interval, health.timeout) = (ms(300), ms(100), ms(3000));
    (health.fall, health.rise) = (2, 1);
    let setup =
        NODES.into_iter().fold(Setup::new(FloatingIp::new("ftp", "10.99.0.1").unwrap()), |setup, (name, _, ip)| {
            setup.node(Node::new(name, ip).unwrap())
        });
    let setup = setup.check(Check::new(Arc::new(probe.clone())).health(health)).mover(Arc::new(mover.build().unwrap()));
    let monitor = Orchestrator::builder().floating_ip(setup).sweep(ms(500)).seed(1).build().unwrap();
    let handle = monitor.handle();
    let mut events = handle.subscribe();
    let running = tokio::spawn(monitor.run(std::future::pending()));
    next(&mut events, |kind| matches!(kind, EventKind::NodeCameUp { node } if node.as_str() == "b").then_some(()))
        .await;
    while handle.status().await.unwrap()[0].state != State::Serving {
        tokio::time::sleep(ms(10)).await;
    }

    simulator.faults().deny_route_table(TABLES[1]);
    probe.set_direct(&NodeId::new("a").unwrap(), Answer::refused());
    let told = |kind: &EventKind| {
        let EventKind::PlacementUnsettled { parts, error, .. } = kind else { return None };
        Some((parts.clone(), error.clone()))
    };
    let (parts, error) = next(&mut events, told).await;
    let finished = |kind: &EventKind| {
        let EventKind::MoveFinished(receipt) = kind else { return None };
        Some(receipt.clone())
    };
    let receipt = next(&mut events, finished).await;
    assert_eq!((receipt.to.as_str(), receipt.verification), ("b", Verification::Verified));
    assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), [TABLES[1]]);
    let error = error.expect("the refusal");
    assert!(error.contains("ReplaceRoute") && error.contains(TABLES[1]), "{error}");
    let carrier = |table| simulator.world().carrier_of_route(table, DESTINATION).map(str::to_owned);
    assert_eq!(TABLES.map(carrier), [Some("i-b".into()), Some("i-a".into()), Some("i-b".into())]);
    let status = handle.status().await.unwrap().remove(0);
    assert_eq!((status.state, status.holder), (State::Serving, Some(NodeId::new("b").unwrap())));
    assert_eq!(status.unsettled.expect("it is shown").parts, parts);

    simulator.faults().clear();
    next(&mut events, |kind| matches!(kind, EventKind::PlacementSettled { .. }).then_some(())).await;
    assert_eq!(TABLES.map(carrier), [Some("i-b".into()), Some("i-b".into()), Some("i-b".into())]);
    running.abort();
}
