mod readiness;

use floatip_aws::simulator::{Action, Fault, InstanceState, Simulator, When, World};
use floatip_aws::{AwsSettings, Ec2, EniMover, Refusal, SetupError};
use floatip_core::{AddressMover, MoveError, Placement, Readiness, ReleaseMode, Token, chain};

use tokio::time::timeout;

use super::*;

fn mover(ec2: &Ec2) -> EniMover {
    let nodes = [(node("ftp-1"), INSTANCE_1), (node("ftp-2"), INSTANCE_2), (node("far"), FAR_AWAY)];
    EniMover::new(ec2.clone(), INTERFACE, EniMover::DEFAULT_DEVICE_INDEX, nodes).unwrap()
}

fn on_ftp_1() -> World {
    world().attach(INTERFACE, INSTANCE_1, 1)
}

fn attachment(simulator: &Simulator) -> Option<floatip_aws::simulator::Attachment> {
    simulator.world().find_interface(INTERFACE).unwrap().attachment.clone()
}

fn token(simulator: &Simulator) -> Token {
    Token::generation(attachment(simulator).unwrap().id)
}

fn holder(simulator: &Simulator) -> Option<String> {
    attachment(simulator).map(|attachment| attachment.instance)
}

async fn impossible(mover: &EniMover, name: &str) -> String {
    let readiness = mover.ready(&node(name)).await.unwrap();
    let Readiness::Impossible { reason } = readiness else { panic!("{readiness:?}") };
    reason
}

#[tokio::test]
async fn an_attached_interface_is_held_by_the_node_of_its_instance() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let placement = mover(&ec2).locate().await.unwrap();
    assert_eq!(placement, Placement::held(node("ftp-1"), token(&simulator)));
}

#[tokio::test]
async fn an_interface_that_is_attached_to_nothing_is_free() {
    let (_simulator, ec2) = instant(world()).await;
    assert_eq!(mover(&ec2).locate().await.unwrap(), Placement::Free);
}

#[tokio::test]
async fn an_interface_on_an_instance_of_no_node_is_on_a_stranger() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = EniMover::new(ec2, INTERFACE, 1, [(node("ftp-2"), INSTANCE_2)]).unwrap();
    let Placement::Stranger { description, token: seen } = mover.locate().await.unwrap() else { panic!("no stranger") };
    assert!(description.contains(INSTANCE_1), "{description}");
    assert_eq!(seen, token(&simulator));
}

#[tokio::test]
async fn accepted_is_not_done_a_move_reads_as_transitions_until_it_is_over() {
    let (simulator, ec2) = slow(on_ftp_1()).await;
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();

    mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
    let leaving = Placement::Transition { from: Some(node("ftp-1")), to: None, token: token(&simulator) };
    assert_eq!(mover.locate().await.unwrap(), leaving);

    simulator.console().complete(INTERFACE).unwrap();
    let free = mover.locate().await.unwrap();
    assert_eq!(free, Placement::Free);

    let accepted = mover.claim(&node("ftp-2"), &free).await.unwrap();
    let token = accepted.token.unwrap();
    let coming = Placement::Transition { from: None, to: Some(node("ftp-2")), token: token.clone() };
    assert_eq!(mover.locate().await.unwrap(), coming);

    simulator.console().complete(INTERFACE).unwrap();
    assert_eq!(mover.locate().await.unwrap(), Placement::held(node("ftp-2"), token));
}

#[tokio::test]
async fn a_release_names_the_attachment_and_forces_only_when_told_to() {
    for (mode, force) in [(ReleaseMode::Graceful, "false"), (ReleaseMode::Forced, "true")] {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        let (mover, token) = (mover(&ec2), token(&simulator));
        mover.release(&mover.locate().await.unwrap(), mode).await.unwrap();
        let sent = only(&simulator, Action::DetachNetworkInterface);
        assert_eq!(sent.parameter("AttachmentId"), Some(token.as_str()));
        assert_eq!(sent.parameter("Force"), Some(force));
        assert_eq!(holder(&simulator), None);
    }
}

#[tokio::test]
async fn a_detach_that_is_stuck_can_be_forced_from_what_is_seen_of_it() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    next(&simulator, Action::DetachNetworkInterface, Fault::StuckDetach);
    mover.release(&mover.locate().await.unwrap(), ReleaseMode::Graceful).await.unwrap();
    let stuck = mover.locate().await.unwrap();
    assert!(matches!(stuck, Placement::Transition { .. }), "{stuck}");
    mover.release(&stuck, ReleaseMode::Forced).await.unwrap();
    assert_eq!(mover.locate().await.unwrap(), Placement::Free);
}

#[tokio::test]
async fn a_stale_token_cannot_release_a_newer_attachment() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();
    simulator.console().detach(INTERFACE, false).unwrap();
    simulator.console().attach(INTERFACE, INSTANCE_2, 1).unwrap();
    assert_eq!(class(mover.release(&seen, ReleaseMode::Forced).await), "conflict");
    assert_eq!(holder(&simulator).as_deref(), Some(INSTANCE_2));
}

#[tokio::test]
async fn a_claim_names_the_index_and_the_card_and_gives_back_the_new_token() {
    let (simulator, ec2) = instant(world()).await;
    let mover = mover(&ec2);
    let accepted = mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
    let sent = only(&simulator, Action::AttachNetworkInterface);
    assert_eq!(sent.parameter("InstanceId"), Some(INSTANCE_2));
    assert_eq!(sent.parameter("DeviceIndex"), Some("1"));
    assert_eq!(sent.parameter("NetworkCardIndex"), Some("0"));
    assert_eq!(accepted.token, Some(token(&simulator)));
}

#[tokio::test]
async fn a_claim_of_what_was_seen_free_and_is_not_is_a_conflict() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    assert_eq!(class(mover(&ec2).claim(&node("ftp-2"), &Placement::Free).await), "conflict");
    assert_eq!(holder(&simulator).as_deref(), Some(INSTANCE_1));
}

#[tokio::test]
async fn what_another_node_holds_is_not_claimed_before_it_is_released() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();
    assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), "conflict");
    assert_eq!(actions(&simulator), ["DescribeNetworkInterfaces"]);
}

#[tokio::test]
async fn what_is_free_or_not_there_cannot_be_released() {
    let (simulator, ec2) = instant(world()).await;
    assert_eq!(class(mover(&ec2).release(&Placement::Free, ReleaseMode::Graceful).await), "conflict");
    assert!(actions(&simulator).is_empty());
}

#[tokio::test]
async fn a_taken_device_index_makes_the_next_claim_use_the_next_one() {
    let (simulator, ec2) = instant(world().network_interface("eni-other", "subnet-a", "172.16.11.40")).await;
    simulator.console().attach("eni-other", INSTANCE_2, 1).unwrap();
    let mover = mover(&ec2);
    assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "not yet");
    assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "ok");
    assert_eq!(attachment(&simulator).unwrap().device_index, 2);
    simulator.console().detach(INTERFACE, false).unwrap();
    assert_eq!(class(mover.claim(&node("ftp-1"), &Placement::Free).await), "ok");
    assert_eq!(attachment(&simulator).unwrap().device_index, 1, "another node's index is its own affair");
}

#[tokio::test]
async fn an_index_that_is_refused_though_nothing_shows_there_is_left_too() {
    let (simulator, ec2) = instant(world()).await;
    let mover = mover(&ec2);
    assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
    next(&simulator, Action::AttachNetworkInterface, Fault::DeviceIndexTaken);
    assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "not yet");
    assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "ok");
    assert_eq!(attachment(&simulator).unwrap().device_index, 2);
}

#[tokio::test]
async fn an_index_that_it_was_forced_from_is_not_used_again() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    mover.release(&mover.locate().await.unwrap(), ReleaseMode::Forced).await.unwrap();
    mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
    assert_eq!(attachment(&simulator).unwrap().device_index, 1, "another node's index is its own affair");

    assert_eq!(mover.ready(&node("ftp-1")).await.unwrap(), Readiness::Ready);
    mover.release(&mover.locate().await.unwrap(), ReleaseMode::Graceful).await.unwrap();
    mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap();
    assert_eq!(attachment(&simulator).unwrap().device_index, 2);

    mover.release(&mover.locate().await.unwrap(), ReleaseMode::Graceful).await.unwrap();
    mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
    assert_eq!(attachment(&simulator).unwrap().device_index, 1, "it left this one gracefully");
}

#[tokio::test]
async fn an_index_that_a_refused_force_did_not_touch_is_used_again() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();
    next(&simulator, Action::DetachNetworkInterface, Fault::Denied);
    assert_eq!(class(mover.release(&seen, ReleaseMode::Forced).await), "denied");
    mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
    mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap();
    assert_eq!(attachment(&simulator).unwrap().device_index, 1);
}

#[tokio::test]
async fn readiness_learns_the_taken_indexes_so_that_the_first_claim_succeeds() {
    let (simulator, ec2) = instant(world().network_interface("eni-other", "subnet-a", "172.16.11.40")).await;
    simulator.console().attach("eni-other", INSTANCE_2, 1).unwrap();
    let mover = mover(&ec2);
    assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
    assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "ok");
    assert_eq!(attachment(&simulator).unwrap().device_index, 2);
}

#[tokio::test]
async fn a_claim_switches_delete_on_termination_off() {
    let (simulator, ec2) = slow(world().delete_on_termination(true)).await;
    let mover = mover(&ec2);
    let token = mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap().token.unwrap();
    let sent = only(&simulator, Action::ModifyNetworkInterfaceAttribute);
    assert_eq!(sent.parameter("Attachment.AttachmentId"), Some(token.as_str()));
    assert!(!attachment(&simulator).unwrap().delete_on_termination);
    simulator.console().complete(INTERFACE).unwrap();
    assert_eq!(mover.locate().await.unwrap(), Placement::held(node("ftp-2"), token));
}

#[tokio::test]
async fn what_is_left_to_settle_fails_no_claim_and_is_all_that_the_next_claim_does() {
    for fault in [Fault::InternalError, Fault::Denied, Fault::RequestLost, Fault::Hang] {
        let (simulator, ec2) = instant(world().delete_on_termination(true)).await;
        let mover = mover(&ec2);
        next(&simulator, Action::ModifyNetworkInterfaceAttribute, fault);
        let token = mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap().token.unwrap();
        let seen = mover.locate().await.unwrap();
        assert_eq!(seen, Placement::Held { node: node("ftp-2"), token: token.clone(), settled: false }, "{fault:?}");

        simulator.journal().clear();
        let accepted = mover.claim(&node("ftp-2"), &seen).await.unwrap();
        assert_eq!(accepted.token.as_ref(), Some(&token));
        assert_eq!(actions(&simulator), ["ModifyNetworkInterfaceAttribute"]);
        assert_eq!(mover.locate().await.unwrap(), Placement::held(node("ftp-2"), token));
    }
}

#[tokio::test]
async fn settling_an_attachment_that_is_gone_is_a_conflict() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    simulator.console().delete_on_termination(INTERFACE, true).unwrap();
    let seen = mover.locate().await.unwrap();
    simulator.console().detach(INTERFACE, false).unwrap();
    assert_eq!(class(mover.claim(&node("ftp-1"), &seen).await), "conflict");
}

#[tokio::test]
async fn a_failed_release_is_called_what_it_is_and_is_sent_once() {
    for (fault, called, applied) in REQUEST_FAULTS {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        let mover = mover(&ec2);
        let seen = mover.locate().await.unwrap();
        next(&simulator, Action::DetachNetworkInterface, fault);
        assert_eq!(class(mover.release(&seen, ReleaseMode::Graceful).await), called, "{fault:?}");
        assert_eq!(mover.locate().await.unwrap() == Placement::Free, applied, "{fault:?}");
        only(&simulator, Action::DetachNetworkInterface);
    }
}

#[tokio::test]
async fn a_failed_claim_is_called_what_it_is_and_is_sent_once() {
    for (fault, called, applied) in REQUEST_FAULTS {
        let (simulator, ec2) = instant(world()).await;
        let mover = mover(&ec2);
        next(&simulator, Action::AttachNetworkInterface, fault);
        assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), called, "{fault:?}");
        assert_eq!(mover.locate().await.unwrap().holder().is_some(), applied, "{fault:?}");
        only(&simulator, Action::AttachNetworkInterface);
    }
}

#[tokio::test]
async fn a_failed_read_is_unknown_and_is_sent_once() {
    for (fault, called) in READ_FAULTS {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        next(&simulator, Action::DescribeNetworkInterfaces, fault);
        assert_eq!(class(mover(&ec2).locate().await), called, "{fault:?}");
        only(&simulator, Action::DescribeNetworkInterfaces);
    }
}

#[tokio::test]
async fn a_call_that_is_never_answered_ends_in_two_seconds() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();
    simulator.faults().set(Scope::Every, Fault::Hang, When::Always);
    let mut call = std::pin::pin!(mover.release(&seen, ReleaseMode::Graceful));
    assert!(timeout(Ec2::CALL_TIMEOUT - Duration::from_millis(100), &mut call).await.is_err(), "too early");
    let answer = timeout(Duration::from_millis(500), call).await.expect("too late");
    assert_eq!(class(answer), "outcome unknown");
}

#[tokio::test]
async fn a_claim_whose_settling_hangs_ends_within_its_time() {
    let (simulator, ec2) = instant(world()).await;
    let mover = mover(&ec2);
    simulator.faults().set(Action::AttachNetworkInterface, Fault::Latency(Duration::from_millis(1700)), When::Next(1));
    next(&simulator, Action::ModifyNetworkInterfaceAttribute, Fault::Hang);
    let claim =
        timeout(mover.capabilities().call_timeout, async { mover.claim(&node("ftp-2"), &Placement::Free).await });
    assert_eq!(claim.await.expect("too late").unwrap().token, Some(token(&simulator)));
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_at_says_so_in_the_causes() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mover = mover(&ec2(format!("http://127.0.0.1:{port}")).await);
    let error = mover.locate().await.unwrap_err();
    assert!(chain(&error).contains("onnection refused"), "{}", chain(&error));
    assert_eq!(class::<()>(Err(error)), "timed out");
    assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "outcome unknown");
}

#[tokio::test]
async fn missing_credentials_are_denied_before_anything_is_sent() {
    let (simulator, _) = instant(on_ftp_1()).await;
    let settings = AwsSettings::new().region("ap-northeast-1").endpoint_url(simulator.endpoint_url());
    let mover = mover(&settings.credentials_provider(NoCredentials).connect().await.unwrap());
    let error = mover.locate().await.unwrap_err();
    assert!(chain(&error).contains("none are set"), "{}", chain(&error));
    assert_eq!(class::<()>(Err(error)), "denied");
    assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "denied");
    assert!(actions(&simulator).is_empty());
}

#[tokio::test]
async fn a_refusal_carries_the_code_and_the_request_id() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    next(&simulator, Action::DescribeNetworkInterfaces, Fault::Denied);
    let error = mover(&ec2).locate().await.unwrap_err();
    let MoveError::Denied { call: "DescribeNetworkInterfaces", source, .. } = &error else { panic!("{error}") };
    let refusal = source.downcast_ref::<Refusal>().unwrap();
    assert_eq!((refusal.code.as_str(), refusal.status), ("UnauthorizedOperation", 403));
    let sent = only(&simulator, Action::DescribeNetworkInterfaces);
    assert_eq!(refusal.request_id.as_deref(), Some(sent.request_id.as_str()));
}

#[tokio::test]
async fn an_interface_that_ec2_does_not_know_is_not_found() {
    let (_simulator, ec2) = instant(world()).await;
    let mover = EniMover::new(ec2, "eni-0000000000000dead", 1, [(node("ftp-1"), INSTANCE_1)]).unwrap();
    assert_eq!(class(mover.locate().await), "not found");
    assert_eq!(class(mover.claim(&node("ftp-1"), &Placement::Free).await), "not found");
    assert_eq!(class(mover.ready(&node("ftp-1")).await), "not found");
}

#[tokio::test]
async fn a_mover_serves_its_nodes_and_no_others() {
    let (simulator, ec2) = instant(world()).await;
    let mover = mover(&ec2);
    assert!(mover.serves(&node("ftp-1")) && !mover.serves(&node("ftp-9")));
    assert_eq!(class(mover.claim(&node("ftp-9"), &Placement::Free).await), "impossible");
    assert!(impossible(&mover, "ftp-9").await.contains("no node of this mover"));
    assert!(actions(&simulator).is_empty());
}

#[tokio::test]
async fn a_setup_that_cannot_work_is_refused() {
    let ec2 = ec2("http://127.0.0.1:9".to_owned()).await;
    let new = |interface: &str, index, nodes: &[(&str, &str)]| {
        let nodes: Vec<_> = nodes.iter().map(|(name, instance)| (node(name), (*instance).to_owned())).collect();
        EniMover::new(ec2.clone(), interface, index, nodes).map(drop)
    };
    assert!(matches!(new("i-1", 1, &[("a", INSTANCE_1)]), Err(SetupError::Id { kind: "network interface", .. })));
    assert!(matches!(new(INTERFACE, 1, &[("a", "eni-1")]), Err(SetupError::Id { kind: "instance", .. })));
    assert_eq!(new(INTERFACE, 0, &[("a", INSTANCE_1)]), Err(SetupError::PrimaryIndex));
    assert_eq!(new(INTERFACE, 1, &[]), Err(SetupError::NoNodes));
    assert_eq!(new(INTERFACE, 1, &[("a", INSTANCE_1), ("a", INSTANCE_2)]), Err(SetupError::DuplicateNode(node("a"))));
    assert!(matches!(new(INTERFACE, 1, &[("a", INSTANCE_1), ("b", INSTANCE_1)]), Err(SetupError::SameHolder { .. })));
}

#[tokio::test]
async fn a_stopped_instance_holds_the_interface_and_can_be_released_and_claimed_from() {
    let (simulator, ec2) = instant(on_ftp_1()).await;
    let mover = mover(&ec2);
    simulator.console().stop(INSTANCE_1).unwrap();
    let seen = mover.locate().await.unwrap();
    assert_eq!(seen.holder(), Some(&node("ftp-1")), "its health is the probes' matter");
    mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
    mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
    assert_eq!(holder(&simulator).as_deref(), Some(INSTANCE_2));
}

#[tokio::test]
async fn an_interface_that_has_outlived_its_instance_is_free_and_one_that_went_with_it_not_found() {
    for (delete, what) in [(false, "ok"), (true, "not found")] {
        let (simulator, ec2) = instant(on_ftp_1()).await;
        let mover = mover(&ec2);
        simulator.console().delete_on_termination(INTERFACE, delete).unwrap();
        simulator.console().terminate(INSTANCE_1).unwrap();
        let placement = mover.locate().await;
        assert!(delete || matches!(placement, Ok(Placement::Free)), "{placement:?}");
        assert_eq!(class(placement), what);
    }
}

#[tokio::test]
async fn an_interface_that_carries_an_address_moves_with_it_whatever_its_family() {
    for address in ["172.16.11.30", "fd00:11::30"] {
        let world = on_ftp_1().subnet_ipv6("subnet-a", "fd00:11::/64").ipv6_address(INTERFACE, "fd00:11::30");
        let (simulator, ec2) = instant(world).await;
        let address = address.parse().unwrap();
        let mover = mover(&ec2).carries(address);
        assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
        let seen = mover.locate().await.unwrap();
        assert_eq!(seen.holder(), Some(&node("ftp-1")));
        mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
        mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
        assert_eq!(simulator.world().carrier_of(address), Some(INSTANCE_2));
    }
}
