use floatip_aws::simulator::{Action, Fault, InstanceState, Scope, Simulator, When, World};
use floatip_aws::{Ec2, EipMover, EipNode, Fencing, SetupError};
use floatip_core::{AddressMover, Placement, Precondition, Readiness, ReleaseMode, Strategy, Token};
use tokio::time::timeout;

use super::*;

fn mover(ec2: &Ec2, fencing: Fencing) -> EipMover {
    EipMover::builder(ec2.clone(), ALLOCATION)
        .instance(node("ftp-1"), INSTANCE_1)
        .instance(node("ftp-2"), INSTANCE_2)
        .fencing(fencing)
        .build()
        .unwrap()
}

fn one_node(ec2: &Ec2, target: EipNode) -> EipMover {
    EipMover::builder(ec2.clone(), ALLOCATION).node(node("ftp-1"), target).build().unwrap()
}

fn on_ftp_1() -> World {
    world().associate(ALLOCATION, &primary_of(INSTANCE_1))
}

fn association(simulator: &Simulator) -> Option<floatip_aws::simulator::Association> {
    simulator.world().find_address(ALLOCATION).unwrap().association.clone()
}

fn token(simulator: &Simulator) -> Token {
    Token::generation(association(simulator).unwrap().id)
}

fn holder(simulator: &Simulator) -> Option<String> {
    simulator.world().carrier_of_address(ALLOCATION).map(str::to_owned)
}

async fn impossible(mover: &EipMover) -> String {
    let readiness = mover.ready(&node("ftp-1")).await.unwrap();
    let Readiness::Impossible { reason } = readiness else { panic!("{readiness:?}") };
    reason
}

#[tokio::test]
async fn an_address_is_held_by_the_node_that_it_leads_to_however_the_node_is_given() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let interface = primary_of(INSTANCE_1);
    let ip = "172.16.11.10".parse().unwrap();
    for target in [
        EipNode::new().instance(INSTANCE_1),
        EipNode::new().instance(INSTANCE_1).private_ip(ip),
        EipNode::new().network_interface(&interface),
        EipNode::new().network_interface(&interface).private_ip(ip),
        EipNode::new().instance(INSTANCE_1).network_interface(&interface).private_ip(ip),
    ] {
        let placement = one_node(&ec2, target.clone()).locate().await.unwrap();
        assert_eq!(placement, Placement::held(node("ftp-1"), token(&simulator)), "{target:?}");
    }
}

#[tokio::test]
async fn an_address_that_leads_elsewhere_is_on_a_stranger() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let elsewhere = [
        EipNode::new().instance(INSTANCE_2),
        EipNode::new().network_interface(INTERFACE),
        EipNode::new().instance(INSTANCE_1).private_ip("172.16.11.99".parse().unwrap()),
    ];
    for target in elsewhere {
        let placement = one_node(&ec2, target).locate().await.unwrap();
        let Placement::Stranger { description, token: seen } = placement else { panic!("{placement}") };
        assert!(description.contains(INSTANCE_1) && description.contains("172.16.11.10"), "{description}");
        assert_eq!(seen, token(&simulator));
    }
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_free_and_one_that_is_not_there_not_found() {
    let (_simulator, ec2) = instant(world()).await;
    assert_eq!(mover(&ec2, Fencing::Overwrite).locate().await.unwrap(), Placement::Free);
    let builder = EipMover::builder(ec2, "eipalloc-0000000000000dead").instance(node("ftp-1"), INSTANCE_1);
    assert_eq!(class(builder.build().unwrap().locate().await), "not found");
}

#[tokio::test]
async fn a_free_address_is_put_on_the_primary_interface_and_ip_only_if_it_still_is_free() {
    for fencing in [Fencing::Overwrite, Fencing::Strict] {
        let (simulator, ec2) = instant(world()).await;
        let mover = mover(&ec2, fencing);
        let accepted = mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
        let sent = only(&simulator, Action::AssociateAddress);
        assert_eq!(sent.parameter("AllowReassociation"), Some("false"));
        assert_eq!(sent.parameter("NetworkInterfaceId"), Some(primary_of(INSTANCE_2).as_str()));
        assert_eq!(sent.parameter("PrivateIpAddress"), Some("172.16.11.20"));
        assert_eq!(sent.parameter("InstanceId"), None);
        assert_eq!(accepted.token, Some(token(&simulator)));
        assert_eq!(mover.locate().await.unwrap(), Placement::held(node("ftp-2"), token(&simulator)));

        simulator.console().associate(ALLOCATION, &primary_of(INSTANCE_1), None).unwrap();
        assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "conflict", "{fencing:?}");
        assert_eq!(holder(&simulator).as_deref(), Some(INSTANCE_1));
    }
}

#[tokio::test]
async fn an_overwrite_reads_once_more_and_then_takes_the_address() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2, Fencing::Overwrite);
    assert_eq!(mover.capabilities().strategy, Strategy::Overwrite);
    assert_eq!(mover.capabilities().precondition, Precondition::BestEffort);
    let seen = mover.locate().await.unwrap();
    let accepted = mover.claim(&node("ftp-2"), &seen).await.unwrap();
    let actions = actions(&simulator);
    assert_eq!(actions[actions.len() - 2..], ["DescribeAddresses", "AssociateAddress"], "{actions:?}");
    assert_eq!(only(&simulator, Action::AssociateAddress).parameter("AllowReassociation"), Some("true"));
    assert_eq!(accepted.token, Some(token(&simulator)));
    assert_eq!(holder(&simulator).as_deref(), Some(INSTANCE_2));
}

#[tokio::test]
async fn an_overwrite_of_what_has_moved_meanwhile_is_a_conflict_and_not_sent() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2, Fencing::Overwrite);
    let seen = mover.locate().await.unwrap();
    simulator.console().disassociate(ALLOCATION).unwrap();
    simulator.console().associate(ALLOCATION, &primary_of(INSTANCE_1), None).unwrap();
    assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), "conflict", "the same node, but another association");
    assert_eq!(simulator.journal().count(Action::AssociateAddress), 0);
    assert_eq!(holder(&simulator).as_deref(), Some(INSTANCE_1));
}

#[tokio::test]
async fn an_overwrite_whose_reading_fails_is_not_sent_and_changes_nothing() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2, Fencing::Overwrite);
    let seen = mover.locate().await.unwrap();
    next(&simulator, Action::DescribeAddresses, Fault::InternalError);
    let error = mover.claim(&node("ftp-2"), &seen).await.unwrap_err();
    assert!(!error.may_have_changed(), "{error}");
    assert_eq!(simulator.journal().count(Action::AssociateAddress), 0);
}

#[tokio::test]
async fn an_overwrite_whose_readings_take_too_long_is_not_sent_and_the_next_one_needs_fewer() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2, Fencing::Overwrite);
    let seen = mover.locate().await.unwrap();
    simulator.faults().set(Scope::Describes, Fault::Latency(Duration::from_millis(1200)), When::Always);
    let claim = async || {
        let claim = async { mover.claim(&node("ftp-2"), &seen).await };
        timeout(mover.capabilities().call_timeout, claim).await.expect("too late")
    };
    let error = claim().await.unwrap_err();
    assert!(!error.may_have_changed(), "{error}");
    assert_eq!(simulator.journal().count(Action::AssociateAddress), 0);

    simulator.faults().clear();
    simulator.journal().clear();
    claim().await.unwrap();
    assert!(!actions(&simulator).contains(&"DescribeInstances".to_owned()), "{:?}", actions(&simulator));
}

#[tokio::test]
async fn a_claim_never_displaces_another_elastic_ip_not_even_one_that_came_after_readiness() {
    let other = "eipalloc-0a1b2c3d4e5f60099";
    for fencing in [Fencing::Overwrite, Fencing::Strict] {
        for world in [world(), on_ftp_1()] {
            let (simulator, ec2) = instant(world.elastic_ip(other, "203.0.113.99")).await;
            let mover = mover(&ec2, fencing);
            assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
            simulator.console().associate(other, &primary_of(INSTANCE_2), None).unwrap();
            let seen = mover.locate().await.unwrap();
            let refused = mover.claim(&node("ftp-2"), &seen).await;
            assert!(refused.is_err(), "{refused:?}");
            assert_eq!(simulator.world().carrier_of_address(other), Some(INSTANCE_2));
            assert_eq!(simulator.journal().count(Action::AssociateAddress), 0);
        }
    }
}

#[tokio::test]
async fn strict_fencing_releases_by_association_and_takes_only_what_is_free() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2, Fencing::Strict);
    assert_eq!(mover.capabilities().strategy, Strategy::ReleaseFirst);
    assert_eq!(mover.capabilities().precondition, Precondition::Enforced);
    let seen = mover.locate().await.unwrap();
    assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), "conflict");
    assert_eq!(simulator.journal().count(Action::AssociateAddress), 0);

    mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
    let sent = only(&simulator, Action::DisassociateAddress);
    assert_eq!(sent.parameter("AssociationId"), seen.token().map(Token::as_str));
    let free = mover.locate().await.unwrap();
    assert_eq!(free, Placement::Free);
    mover.claim(&node("ftp-2"), &free).await.unwrap();
    assert_eq!(holder(&simulator).as_deref(), Some(INSTANCE_2));
}

#[tokio::test]
async fn a_stale_token_cannot_release_a_newer_association() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2, Fencing::Strict);
    let seen = mover.locate().await.unwrap();
    simulator.console().associate(ALLOCATION, &primary_of(INSTANCE_2), None).unwrap();
    assert_eq!(class(mover.release(&seen, ReleaseMode::Graceful).await), "conflict");
    assert_eq!(class(mover.release(&Placement::Free, ReleaseMode::Graceful).await), "conflict");
    assert_eq!(holder(&simulator).as_deref(), Some(INSTANCE_2));
}

#[tokio::test]
async fn a_claim_for_the_holder_only_reads() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2, Fencing::Overwrite);
    let seen = mover.locate().await.unwrap();
    let accepted = mover.claim(&node("ftp-1"), &seen).await.unwrap();
    assert_eq!(accepted.token.as_ref(), seen.token());
    assert_eq!(actions(&simulator), ["DescribeAddresses", "DescribeAddresses"]);
    simulator.console().associate(ALLOCATION, &primary_of(INSTANCE_2), None).unwrap();
    assert_eq!(class(mover.claim(&node("ftp-1"), &seen).await), "conflict");
}

#[tokio::test]
async fn readiness_resolves_ids_so_that_a_move_need_not() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2, Fencing::Overwrite);
    assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
    let seen = mover.locate().await.unwrap();
    simulator.journal().clear();
    mover.claim(&node("ftp-2"), &seen).await.unwrap();
    assert_eq!(actions(&simulator), ["DescribeAddresses", "DescribeAddresses", "AssociateAddress"]);
}

#[tokio::test]
async fn a_node_with_interface_and_address_needs_no_resolving_and_is_taken_at_its_word() {
    let (simulator, ec2) = instant(world().secondary_private_ip(INTERFACE, "172.16.11.31")).await;
    let target = EipNode::new().network_interface(INTERFACE).private_ip("172.16.11.31".parse().unwrap());
    let mover = one_node(&ec2, target);
    mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap();
    assert_eq!(actions(&simulator), ["DescribeAddresses", "AssociateAddress"]);
    assert_eq!(association(&simulator).unwrap().private_ip.to_string(), "172.16.11.31");
}

#[tokio::test]
async fn a_private_ip_finds_the_interface_of_its_instance() {
    let (simulator, ec2) = instant(world().attach(INTERFACE, INSTANCE_1, 1)).await;
    let mover = one_node(&ec2, EipNode::new().instance(INSTANCE_1).private_ip("172.16.11.30".parse().unwrap()));
    mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap();
    assert_eq!(association(&simulator).unwrap().network_interface, INTERFACE);
}

#[tokio::test]
async fn an_association_that_names_no_instance_is_known_by_its_interface() {
    let (simulator, ec2) = instant(world().attach(INTERFACE, INSTANCE_1, 1)).await;
    let mover = one_node(&ec2, EipNode::new().instance(INSTANCE_1).private_ip("172.16.11.30".parse().unwrap()));
    let token = mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap().token.unwrap();
    simulator.console().detach(INTERFACE, false).unwrap();
    assert_eq!(mover.locate().await.unwrap(), Placement::held(node("ftp-1"), token));
    let stranger = one_node(&ec2, EipNode::new().instance(INSTANCE_1)).locate().await.unwrap();
    assert!(matches!(stranger, Placement::Stranger { .. }), "{stranger}");
}

#[tokio::test]
async fn an_interface_alone_is_used_with_its_primary_address() {
    let (simulator, ec2) = instant(world().attach(INTERFACE, INSTANCE_1, 1)).await;
    let mover = one_node(&ec2, EipNode::new().network_interface(INTERFACE));
    mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap();
    assert_eq!(association(&simulator).unwrap().private_ip.to_string(), "172.16.11.30");
}

#[tokio::test]
async fn a_failed_claim_is_called_what_it_is_and_is_sent_once() {
    for (fault, called, applied) in REQUEST_FAULTS {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        let mover = mover(&ec2, Fencing::Overwrite);
        let seen = mover.locate().await.unwrap();
        next(&simulator, Action::AssociateAddress, fault);
        assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), called, "{fault:?}");
        assert_eq!(mover.locate().await.unwrap().holder() == Some(&node("ftp-2")), applied, "{fault:?}");
        only(&simulator, Action::AssociateAddress);
    }
}

#[tokio::test]
async fn a_failed_release_is_called_what_it_is_and_is_sent_once() {
    for (fault, called, applied) in REQUEST_FAULTS {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        let mover = mover(&ec2, Fencing::Strict);
        let seen = mover.locate().await.unwrap();
        next(&simulator, Action::DisassociateAddress, fault);
        assert_eq!(class(mover.release(&seen, ReleaseMode::Graceful).await), called, "{fault:?}");
        assert_eq!(mover.locate().await.unwrap() == Placement::Free, applied, "{fault:?}");
        only(&simulator, Action::DisassociateAddress);
    }
}

#[tokio::test]
async fn a_failed_read_is_unknown_and_is_sent_once() {
    for (fault, called) in READ_FAULTS {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        next(&simulator, Action::DescribeAddresses, fault);
        assert_eq!(class(mover(&ec2, Fencing::Overwrite).locate().await), called, "{fault:?}");
        only(&simulator, Action::DescribeAddresses);
    }
}

#[tokio::test]
async fn a_private_address_that_would_lose_its_own_elastic_ip_is_impossible() {
    let other = "eipalloc-0a1b2c3d4e5f60099";
    let world = on_ftp_1().elastic_ip(other, "203.0.113.99").associate(other, &primary_of(INSTANCE_2));
    let (_simulator, ec2) = instant(world).await;
    let mover = one_node(&ec2, EipNode::new().instance(INSTANCE_2));
    let reason = impossible(&mover).await;
    assert!(reason.contains("203.0.113.99") && reason.contains("would be displaced"), "{reason}");
}

#[tokio::test]
async fn the_holder_itself_is_ready() {
    let (_simulator, ec2) = instant(on_ftp_1()).await;
    assert_eq!(mover(&ec2, Fencing::Overwrite).ready(&node("ftp-1")).await.unwrap(), Readiness::Ready);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_impossible_and_so_is_a_claim_for_it() {
    let world = world().instance_state(INSTANCE_2, InstanceState::Terminated);
    let (_simulator, ec2) = instant(world).await;
    for (target, why) in [
        (EipNode::new().instance("i-0000000000000dead"), "is not in ap-northeast-1"),
        (EipNode::new().instance(INSTANCE_2), "is terminated"),
        (EipNode::new().network_interface("eni-0000000000000dead"), "is not in ap-northeast-1"),
        (EipNode::new().instance(INSTANCE_1).network_interface(INTERFACE), "has no such interface"),
        (EipNode::new().instance(INSTANCE_1).private_ip("172.16.11.99".parse().unwrap()), "has no such interface"),
    ] {
        let mover = one_node(&ec2, target.clone());
        let reason = impossible(&mover).await;
        assert!(reason.contains(why), "{target:?}: {reason}");
        assert_eq!(class(mover.claim(&node("ftp-1"), &Placement::Free).await), "impossible", "{target:?}");
    }
    let target = EipNode::new().network_interface(INTERFACE).private_ip("172.16.11.99".parse().unwrap());
    let reason = impossible(&one_node(&ec2, target)).await;
    assert!(reason.contains("has no private address 172.16.11.99"), "{reason}");
}

#[tokio::test]
async fn a_setup_that_cannot_work_is_refused() {
    let ec2 = ec2("http://127.0.0.1:9".to_owned()).await;
    let build = |allocation: &str, nodes: &[(&str, EipNode)]| {
        let builder = EipMover::builder(ec2.clone(), allocation);
        let add = |builder: floatip_aws::EipBuilder, (name, target): &(&str, EipNode)| {
            builder.node(node(name), target.clone())
        };
        nodes.iter().fold(builder, add).build().map(drop)
    };
    let instance = || EipNode::new().instance(INSTANCE_1);
    let (ip, other_ip) = ("172.16.11.10".parse().unwrap(), "172.16.11.11".parse().unwrap());
    assert!(matches!(build("eni-1", &[("a", instance())]), Err(SetupError::Id { kind: "Elastic IP allocation", .. })));
    assert!(matches!(
        build(ALLOCATION, &[("a", EipNode::new().instance("x"))]),
        Err(SetupError::Id { kind: "instance", .. })
    ));
    assert_eq!(build(ALLOCATION, &[]), Err(SetupError::NoNodes));
    assert_eq!(build(ALLOCATION, &[("a", EipNode::new().private_ip(ip))]), Err(SetupError::NoTarget(node("a"))));
    let twice = [("a", instance()), ("a", EipNode::new().instance(INSTANCE_2))];
    assert_eq!(build(ALLOCATION, &twice), Err(SetupError::DuplicateNode(node("a"))));
    let shared = [("a", instance()), ("b", instance().private_ip(ip))];
    assert!(matches!(build(ALLOCATION, &shared), Err(SetupError::SameHolder { .. })));
    let apart = [("a", instance().private_ip(other_ip)), ("b", instance().private_ip(ip))];
    assert_eq!(build(ALLOCATION, &apart), Ok(()));
}

#[tokio::test]
async fn an_address_leads_to_a_secondary_private_address_of_its_node() {
    let second = "172.16.11.21".parse().unwrap();
    let (simulator, ec2) = instant(on_ftp_1().secondary_private_ip(&primary_of(INSTANCE_2), "172.16.11.21")).await;
    let builder = EipMover::builder(ec2, ALLOCATION).instance(node("ftp-1"), INSTANCE_1);
    let mover = builder.node(node("ftp-2"), EipNode::new().instance(INSTANCE_2).private_ip(second)).build().unwrap();
    assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
    let seen = mover.locate().await.unwrap();
    mover.claim(&node("ftp-2"), &seen).await.unwrap();
    assert_eq!(association(&simulator).unwrap().private_ip, second);
    assert_eq!(mover.locate().await.unwrap().holder(), Some(&node("ftp-2")));
}

#[tokio::test]
async fn a_node_that_would_lose_its_automatic_public_address_for_good_is_not_ready() {
    let automatic = || world().automatic_public_ip(&primary_of(INSTANCE_1), "203.0.113.99");
    let (_simulator, ec2) = instant(automatic()).await;
    let mover = one_node(&ec2, EipNode::new().instance(INSTANCE_1));
    assert_eq!(mover.ready(&node("ftp-1")).await.unwrap(), Readiness::Ready, "it gets another one back");

    let several = automatic().attach(INTERFACE, INSTANCE_1, 1);
    let several = several.secondary_private_ip(&primary_of(INSTANCE_1), "172.16.11.11");
    let (_simulator, ec2) = instant(several).await;
    let reason = impossible(&one_node(&ec2, EipNode::new().instance(INSTANCE_1))).await;
    assert!(reason.contains("203.0.113.99") && reason.contains("it gets none back"), "{reason}");
    let second = EipNode::new().instance(INSTANCE_1).private_ip("172.16.11.11".parse().unwrap());
    let mover = one_node(&ec2, second);
    assert_eq!(mover.ready(&node("ftp-1")).await.unwrap(), Readiness::Ready, "by another private address");
}
