//! The table of what each mover calls, against what the movers and their preflights are seen to call.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use floatip_aws::iam::{Policy, Scope};
use floatip_aws::simulator::Entry;
use floatip_aws::{EipMover, EipNode, EniMover, Fencing, NodeInterface, PrivateIpMover, RouteMover, RouteTables};
use floatip_core::{AddressMover, Placement, ReleaseMode, Strategy};

use super::*;

const PRIVATE_IP: &str = "172.16.11.77";
const IPV6: &str = "fd00::77";
const OVERLAY: &str = "10.99.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn interfaces() -> [(NodeId, NodeInterface); 2] {
    [("ftp-1", INSTANCE_1), ("ftp-2", INSTANCE_2)]
        .map(|(name, instance)| (node(name), NodeInterface::new().instance(instance)))
}

fn everything() -> World {
    world()
        .subnet_ipv6("subnet-a", "fd00::/64")
        .route_table("rtb-a", "vpc-1")
        .route_table("rtb-c", "vpc-1")
        .source_dest_check(&primary_of(INSTANCE_1), false)
        .source_dest_check(&primary_of(INSTANCE_2), false)
}

fn mechanisms() -> Vec<Mechanism> {
    let eip = |fencing| Mechanism::Eip { allocation: ALLOCATION.to_owned(), fencing };
    let tables = RouteTables::Ids(vec!["rtb-a".to_owned(), "rtb-c".to_owned()]);
    vec![
        Mechanism::Eni { network_interface: INTERFACE.to_owned(), device_index: 1 },
        eip(Fencing::Overwrite),
        eip(Fencing::Strict),
        Mechanism::PrivateIp { address: ip(PRIVATE_IP) },
        Mechanism::PrivateIp { address: ip(IPV6) },
        Mechanism::Route { address: ip(OVERLAY), tables },
    ]
}

fn mover(ec2: &Ec2, mechanism: &Mechanism) -> Arc<dyn AddressMover> {
    let instances = [(node("ftp-1"), INSTANCE_1), (node("ftp-2"), INSTANCE_2)];
    match mechanism {
        Mechanism::Eni { network_interface, device_index } => {
            Arc::new(EniMover::new(ec2.clone(), network_interface, *device_index, instances).unwrap())
        }
        Mechanism::Eip { allocation, fencing } => {
            let builder = EipMover::builder(ec2.clone(), allocation).fencing(*fencing);
            let add = |builder: floatip_aws::EipBuilder, (node, instance)| {
                builder.node(node, EipNode::new().instance(instance))
            };
            Arc::new(instances.into_iter().fold(builder, add).build().unwrap())
        }
        Mechanism::PrivateIp { address } => Arc::new(PrivateIpMover::new(ec2.clone(), *address, interfaces()).unwrap()),
        Mechanism::Route { address, tables } => {
            let builder = RouteMover::builder(ec2.clone(), *address, tables.clone());
            let add = |builder: floatip_aws::RouteBuilder, (node, place)| builder.node(node, place);
            Arc::new(interfaces().into_iter().fold(builder, add).build().unwrap())
        }
        new => panic!("{new:?} is new"),
    }
}

/// Everything that a monitor does: preflight, readiness, a claim of the free address, and a move to the other node.
async fn live(mover: &dyn AddressMover, preflight: &Preflight) {
    let [one, two] = ["ftp-1", "ftp-2"].map(node);
    for to in [&one, &two] {
        mover.ready(to).await.unwrap();
    }
    preflight.findings().await;
    for to in [&one, &two, &one] {
        let seen = mover.locate().await.unwrap();
        let release_first = mover.capabilities().strategy == Strategy::ReleaseFirst;
        let seen = if release_first && seen != Placement::Free {
            mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
            mover.locate().await.unwrap()
        } else {
            seen
        };
        mover.claim(to, &seen).await.unwrap();
        assert_eq!(mover.locate().await.unwrap().holder(), Some(to));
    }
    preflight.findings().await;
}

/// Whether one of the patterns of ARNs stands for this resource.
fn covered(policy: &Policy, action: &str, resource: &str) -> bool {
    let statement = policy.statements().iter().find(|it| it.action.contains(&format!("ec2:{action}"))).unwrap();
    let any = resource.rsplit_once('/').unwrap().0.to_owned() + "/*";
    statement.resource.iter().any(|arn| arn.ends_with(&format!(":{resource}")) || arn.ends_with(&format!(":{any}")))
}

/// What a request is about, as the last part of ARNs.
fn resources(entry: &Entry) -> Vec<String> {
    let kinds = [
        ("NetworkInterfaceId", "network-interface"),
        ("InstanceId", "instance"),
        ("AllocationId", "elastic-ip"),
        ("RouteTableId", "route-table"),
    ];
    let of = |(parameter, kind): (&str, &str)| Some(format!("{kind}/{}", entry.parameter(parameter)?));
    // The target of a route is no resource of the call.
    let routes = entry.action.ends_with("Route");
    kinds.into_iter().filter(|(parameter, _)| !routes || *parameter == "RouteTableId").filter_map(of).collect()
}

#[tokio::test]
async fn every_mover_and_its_preflight_call_what_the_table_says_and_all_of_it() {
    for mechanism in mechanisms() {
        let (simulator, ec2) = start(everything()).await;
        let subject = Subject::new(mechanism.clone(), both());
        let preflight = Preflight::new(ec2.clone(), subject.clone());
        live(&*mover(&ec2, &mechanism), &preflight).await;

        let calls = mechanism.calls();
        let requests = calls.requests.iter().map(|(action, _)| *action);
        let told: BTreeSet<_> = calls.reads.iter().copied().chain(requests).map(str::to_owned).collect();
        let entries = simulator.journal().entries();
        let made: BTreeSet<_> = entries.iter().map(|entry| entry.action.clone()).collect();
        assert_eq!(made, told, "{mechanism:?}");

        let policy = Policy::least([&subject], &Scope::new().region("ap-northeast-1").account("123456789012"));
        for entry in entries.iter().filter(|entry| !entry.action.starts_with("Describe")) {
            for resource in resources(entry) {
                assert!(covered(&policy, &entry.action, &resource), "{mechanism:?}: {} of {resource}", entry.action);
            }
        }
    }
}
