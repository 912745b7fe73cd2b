use std::net::IpAddr;

use floatip_aws::simulator::{Action, Simulator, World};
use floatip_aws::{Ec2, EniMover, NodeInterface, PrivateIpMover, SetupError};
use floatip_core::{AddressMover, Placement, Readiness, ReleaseMode, Strategy, Token};

use super::*;

const PRIVATE_IP: &str = "172.16.11.50";
const IPV6: &str = "fd00:11::50";

fn ip(ip: &str) -> IpAddr {
    ip.parse().unwrap()
}

fn mover_of(ec2: &Ec2, address: &str) -> PrivateIpMover {
    let nodes = [("ftp-1", INSTANCE_1), ("ftp-2", INSTANCE_2), ("far", FAR_AWAY)];
    let nodes = nodes.map(|(name, instance)| (node(name), NodeInterface::new().instance(instance)));
    PrivateIpMover::new(ec2.clone(), ip(address), nodes).unwrap()
}

fn mover(ec2: &Ec2) -> PrivateIpMover {
    mover_of(ec2, PRIVATE_IP)
}

fn on_ftp_1() -> World {
    world().secondary_private_ip(&primary_of(INSTANCE_1), PRIVATE_IP)
}

fn with_ipv6() -> World {
    world().subnet_ipv6("subnet-a", "fd00:11::/64").ipv6_address(&primary_of(INSTANCE_1), IPV6)
}

/// The address is a secondary one of the interface that moves, which is on the first instance.
fn on_moving_interface() -> World {
    world().secondary_private_ip(INTERFACE, PRIVATE_IP).attach(INTERFACE, INSTANCE_1, 1)
}

fn on(name: &str, instance: &str) -> Placement {
    Placement::held(node(name), Token::snapshot(primary_of(instance)))
}

fn carrier(simulator: &Simulator, address: &str) -> Option<String> {
    simulator.world().carrier_of(ip(address)).map(str::to_owned)
}

async fn impossible(mover: &dyn AddressMover, name: &str) -> String {
    let readiness = mover.ready(&node(name)).await.unwrap();
    let Readiness::Impossible { reason } = readiness else { panic!("{readiness:?}") };
    reason
}

#[tokio::test]
async fn an_address_is_held_by_the_node_whose_interface_has_it_however_the_node_is_given() {
    let (_simulator, ec2) = instant(on_ftp_1()).await;
    assert_eq!(mover(&ec2).locate().await.unwrap(), on("ftp-1", INSTANCE_1));
    let named = NodeInterface::new().network_interface(primary_of(INSTANCE_1));
    let mover = PrivateIpMover::new(ec2, ip(PRIVATE_IP), [(node("ftp-1"), named)]).unwrap();
    assert_eq!(mover.locate().await.unwrap(), on("ftp-1", INSTANCE_1));
}

#[tokio::test]
async fn an_overwrite_moves_the_address_by_one_call() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    assert_eq!(mover.capabilities().strategy, Strategy::Overwrite);
    let seen = mover.locate().await.unwrap();
    let accepted = mover.claim(&node("ftp-2"), &seen).await.unwrap();
    let sent = only(&simulator, Action::AssignPrivateIpAddresses);
    assert_eq!(sent.parameter("NetworkInterfaceId"), Some(primary_of(INSTANCE_2).as_str()));
    assert_eq!(sent.parameter("PrivateIpAddress.1"), Some(PRIVATE_IP));
    assert_eq!(sent.parameter("AllowReassignment"), Some("true"));
    assert_eq!(carrier(&simulator, PRIVATE_IP).as_deref(), Some(INSTANCE_2));
    let now = mover.locate().await.unwrap();
    assert_eq!(now, on("ftp-2", INSTANCE_2));
    assert_eq!(accepted.token.as_ref(), now.token());
}

#[tokio::test]
async fn a_free_address_is_assigned_only_if_it_still_is_free() {
    let (simulator, ec2) = instant(world()).await;
    let mover = mover(&ec2);
    assert_eq!(mover.locate().await.unwrap(), Placement::Free);
    mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
    assert_eq!(only(&simulator, Action::AssignPrivateIpAddresses).parameter("AllowReassignment"), Some("false"));
    assert_eq!(class(mover.claim(&node("ftp-1"), &Placement::Free).await), "conflict");
    assert_eq!(carrier(&simulator, PRIVATE_IP).as_deref(), Some(INSTANCE_2));
}

#[tokio::test]
async fn the_same_address_in_another_vpc_is_another_address() {
    let elsewhere = world().subnet("subnet-x", "ap-northeast-1a", "172.16.11.0/24", "vpc-2");
    let elsewhere = elsewhere.network_interface("eni-x", "subnet-x", PRIVATE_IP);
    let (simulator, ec2) = instant(elsewhere).await;
    let mover = mover(&ec2);
    assert_eq!(mover.locate().await.unwrap(), Placement::Free);
    mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap();
    assert_eq!(mover.locate().await.unwrap(), on("ftp-1", INSTANCE_1));
    simulator.console().unassign(&primary_of(INSTANCE_1), ip(PRIVATE_IP)).unwrap();
    assert_eq!(mover.locate().await.unwrap(), Placement::Free);
}

#[tokio::test]
async fn an_elastic_ip_on_the_address_travels_with_it() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let IpAddr::V4(private_ip) = ip(PRIVATE_IP) else { panic!("IPv4") };
    simulator.console().associate(ALLOCATION, &primary_of(INSTANCE_1), Some(private_ip)).unwrap();
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();
    mover.claim(&node("ftp-2"), &seen).await.unwrap();
    assert_eq!(simulator.world().carrier_of_address(ALLOCATION), Some(INSTANCE_2));
}

#[tokio::test]
async fn an_ipv6_address_is_taken_off_and_then_assigned() {
    let (simulator, ec2) = instant(with_ipv6()).await;
    let mover = mover_of(&ec2, IPV6);
    assert_eq!(mover.capabilities().strategy, Strategy::ReleaseFirst);
    let seen = mover.locate().await.unwrap();
    assert_eq!(seen, on("ftp-1", INSTANCE_1));
    assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), "conflict", "EC2 could not do it at once");
    mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
    assert_eq!(mover.locate().await.unwrap(), Placement::Free);
    mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
    assert_eq!(carrier(&simulator, IPV6).as_deref(), Some(INSTANCE_2));
    assert_eq!(class(mover.release(&seen, ReleaseMode::Graceful).await), "conflict", "it is on another one");
    assert_eq!(carrier(&simulator, IPV6).as_deref(), Some(INSTANCE_2));
}

#[tokio::test]
async fn in_a_chain_the_address_of_the_moving_interface_is_taken_over_while_that_is_stuck() {
    let (simulator, ec2) = slow(on_moving_interface()).await;
    let nodes = [(node("ftp-1"), INSTANCE_1), (node("ftp-2"), INSTANCE_2)];
    let eni = EniMover::new(ec2.clone(), INTERFACE, 1, nodes).unwrap().carries(ip(PRIVATE_IP));
    let mover = mover(&ec2);
    let held = eni.locate().await.unwrap();
    eni.release(&held, ReleaseMode::Graceful).await.unwrap();
    assert!(matches!(eni.locate().await.unwrap(), Placement::Transition { .. }), "and there it stays");

    let seen = mover.locate().await.unwrap();
    let Placement::Stranger { description, token } = &seen else { panic!("{seen}") };
    assert!(description.contains(INTERFACE) && description.contains(INSTANCE_1), "{description}");
    assert_eq!(token.as_str(), INTERFACE);
    assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
    mover.claim(&node("ftp-2"), &seen).await.unwrap();
    assert_eq!(mover.locate().await.unwrap(), on("ftp-2", INSTANCE_2));
    assert_eq!(carrier(&simulator, PRIVATE_IP).as_deref(), Some(INSTANCE_2));

    let left = eni.locate().await.unwrap();
    assert!(matches!(left, Placement::Stranger { .. }), "{left}: the address is not on the interface any more");
    assert!(impossible(&eni, "ftp-2").await.contains("does not have 172.16.11.50"));
}

#[tokio::test]
async fn a_stranger_that_has_moved_meanwhile_is_a_conflict() {
    let (simulator, ec2) = instant(on_moving_interface()).await;
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();
    simulator.console().assign(&primary_of(INSTANCE_1), ip(PRIVATE_IP)).unwrap();
    assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), "conflict");
    assert_eq!(simulator.journal().count(Action::AssignPrivateIpAddresses), 0);
}

#[tokio::test]
async fn a_primary_address_cannot_be_taken_from_its_interface() {
    let (simulator, ec2) = instant(world().attach(INTERFACE, INSTANCE_1, 1)).await;
    let mover = mover_of(&ec2, "172.16.11.30");
    assert!(impossible(&mover, "ftp-2").await.contains("is the primary address of eni-0a1b2c3d4e5f60001"));
    let seen = mover.locate().await.unwrap();
    assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), "impossible");
    assert_eq!(carrier(&simulator, "172.16.11.30").as_deref(), Some(INSTANCE_1));
}

#[tokio::test]
async fn a_node_in_another_zone_is_not_ready_and_is_told_what_would_be() {
    let (_simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    let reason = impossible(&mover, "far").await;
    for part in ["subnet-a (ap-northeast-1a)", "subnet-c (ap-northeast-1c)", "kind = \"route\""] {
        assert!(reason.contains(part), "{reason}");
    }
    let seen = mover.locate().await.unwrap();
    assert_eq!(class(mover.claim(&node("far"), &seen).await), "impossible");
}

#[tokio::test]
async fn a_node_is_not_ready_whose_interface_or_instance_cannot_take_the_address() {
    let full = on_ftp_1().instance_type(INSTANCE_2, "t3.micro");
    let full = full.secondary_private_ip(&primary_of(INSTANCE_2), "172.16.11.51");
    let (simulator, ec2) = instant(full.requester_managed(INTERFACE)).await;
    let mover = mover(&ec2);
    assert_eq!(mover.ready(&node("ftp-1")).await.unwrap(), Readiness::Ready, "it has it");
    let reason = impossible(&mover, "ftp-2").await;
    assert!(reason.contains("has 2 addresses and the type t3.micro allows 2"), "{reason}");
    simulator.console().terminate(INSTANCE_2).unwrap();
    assert!(impossible(&mover, "ftp-2").await.contains("is terminated"));

    let named = |id: &str| [(node("ftp-1"), NodeInterface::new().network_interface(id))];
    let of = |id| PrivateIpMover::new(ec2.clone(), ip(PRIVATE_IP), named(id)).unwrap();
    assert!(impossible(&of(INTERFACE), "ftp-1").await.contains("managed by an AWS service"));
    assert!(impossible(&of("eni-0000000000000dead"), "ftp-1").await.contains("is not in ap-northeast-1"));
}

#[tokio::test]
async fn an_interface_that_has_outlived_its_instance_still_is_the_nodes() {
    let (simulator, ec2) = instant(world().attach(INTERFACE, INSTANCE_1, 1)).await;
    simulator.console().assign(INTERFACE, ip(PRIVATE_IP)).unwrap();
    let nodes = [("ftp-1", INTERFACE.to_owned()), ("ftp-2", primary_of(INSTANCE_2))];
    let nodes = nodes.map(|(name, id)| (node(name), NodeInterface::new().network_interface(id)));
    let mover = PrivateIpMover::new(ec2, ip(PRIVATE_IP), nodes).unwrap();
    simulator.console().terminate(INSTANCE_1).unwrap();
    let seen = mover.locate().await.unwrap();
    assert_eq!(seen, Placement::held(node("ftp-1"), Token::snapshot(INTERFACE)));
    mover.claim(&node("ftp-2"), &seen).await.unwrap();
    assert_eq!(carrier(&simulator, PRIVATE_IP).as_deref(), Some(INSTANCE_2));
}

#[tokio::test]
async fn every_failure_of_a_claim_and_of_a_reading_says_what_to_do_next() {
    for (fault, what, applied) in REQUEST_FAULTS {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        let mover = mover(&ec2);
        let seen = mover.locate().await.unwrap();
        next(&simulator, Action::AssignPrivateIpAddresses, fault);
        assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), what, "{fault:?}");
        let holder = if applied { INSTANCE_2 } else { INSTANCE_1 };
        assert_eq!(carrier(&simulator, PRIVATE_IP).as_deref(), Some(holder), "{fault:?}");
    }
    for (fault, what) in READ_FAULTS {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        let mover = mover(&ec2);
        let seen = mover.locate().await.unwrap();
        next(&simulator, Action::DescribeNetworkInterfaces, fault);
        assert_eq!(class(mover.locate().await), what, "{fault:?}");
        next(&simulator, Action::DescribeNetworkInterfaces, fault);
        let error = mover.claim(&node("ftp-2"), &seen).await.unwrap_err();
        assert!(!error.may_have_changed(), "{fault:?}: {error}");
        assert_eq!(simulator.journal().count(Action::AssignPrivateIpAddresses), 0);
    }
}

#[tokio::test]
async fn a_setup_that_could_not_tell_its_nodes_apart_is_refused() {
    let (_simulator, ec2) = instant(world()).await;
    let build =
        |nodes: Vec<(NodeId, NodeInterface)>| PrivateIpMover::new(ec2.clone(), ip(PRIVATE_IP), nodes).unwrap_err();
    let instance = || NodeInterface::new().instance(INSTANCE_1);
    assert_eq!(build(vec![]), SetupError::NoNodes);
    assert_eq!(build(vec![(node("a"), NodeInterface::new())]), SetupError::NoTarget(node("a")));
    assert_eq!(build(vec![(node("a"), instance()), (node("a"), instance())]), SetupError::DuplicateNode(node("a")));
    let same = build(vec![(node("a"), instance()), (node("b"), instance())]);
    assert!(matches!(same, SetupError::SameHolder { .. }), "{same}");
    let malformed = build(vec![(node("a"), NodeInterface::new().network_interface("i-1"))]);
    assert!(matches!(malformed, SetupError::Id { .. }), "{malformed}");
}
