use std::time::Duration;

use aws_sdk_ec2::types::{
    AttachmentStatus, AttributeBooleanValue, NetworkInterfaceAttachmentChanges, NetworkInterfaceStatus,
};
use floatip_aws::simulator::{AttachmentState, InstanceState, Timings, World};
use tokio::time::Instant;

use crate::{LONG, Lab, code, code_and_message, soon, two_servers};

impl Lab {
    async fn try_attach(&self, interface: &str, instance: &str, index: i32) -> Result<String, (String, String)> {
        let call = self.ec2.attach_network_interface().network_interface_id(interface).instance_id(instance);
        match call.device_index(index).network_card_index(0).send().await {
            Ok(reply) => Ok(reply.attachment_id.expect("an attachment id")),
            refused @ Err(_) => Err(code_and_message(refused)),
        }
    }

    async fn attach_refused(&self, interface: &str, instance: &str, index: i32) -> String {
        self.try_attach(interface, instance, index).await.expect_err("refused").0
    }
}

#[tokio::test]
async fn an_attached_interface_shows_its_attachment() {
    let lab = Lab::two_servers(Timings::default()).await;
    let interface = lab.interface("eni-float").await;
    assert_eq!(interface.status, Some(NetworkInterfaceStatus::InUse));
    assert_eq!(interface.subnet_id.as_deref(), Some("subnet-a"));
    assert_eq!(interface.vpc_id.as_deref(), Some("vpc-1"));
    assert_eq!(interface.availability_zone.as_deref(), Some("ap-northeast-1a"));
    assert_eq!(interface.private_ip_address.as_deref(), Some("172.16.11.30"));
    assert_eq!(interface.interface_type.as_ref().map(|one| one.as_str()), Some("interface"));
    assert_eq!(interface.requester_managed, Some(false));
    assert_eq!(interface.source_dest_check, Some(true));
    let attachment = interface.attachment.expect("attached");
    assert_eq!(attachment.attachment_id, Some(lab.attachment("eni-float")));
    assert_eq!(attachment.instance_id.as_deref(), Some("i-1"));
    assert_eq!(attachment.device_index, Some(1));
    assert_eq!(attachment.network_card_index, Some(0));
    assert_eq!(attachment.status, Some(AttachmentStatus::Attached));
    assert_eq!(attachment.delete_on_termination, Some(false));
}

#[tokio::test]
async fn an_attach_is_attaching_until_its_time_is_over() {
    let lab = Lab::two_servers(Timings::default().attach(LONG)).await;
    lab.free_float().await;
    let id = lab.try_attach("eni-float", "i-2", 1).await.expect("accepted");
    let attachment = lab.interface("eni-float").await.attachment.expect("attaching");
    assert_eq!(attachment.attachment_id, Some(id));
    assert_eq!(attachment.status, Some(AttachmentStatus::Attaching));
    assert_eq!(lab.simulator.world().carrier_of([172, 16, 11, 30].into()), None);
    lab.simulator.console().complete("eni-float").expect("ended");
    let attachment = lab.interface("eni-float").await.attachment.expect("attached");
    assert_eq!(attachment.status, Some(AttachmentStatus::Attached));
    assert_eq!(lab.simulator.world().carrier_of([172, 16, 11, 30].into()), Some("i-2"));
}

#[tokio::test]
async fn a_detach_is_detaching_until_its_time_is_over_and_then_the_attachment_is_absent() {
    let lab = Lab::two_servers(Timings::default().detach(LONG)).await;
    lab.ec2.detach_network_interface().attachment_id(lab.attachment("eni-float")).send().await.expect("accepted");
    let attachment = lab.interface("eni-float").await.attachment.expect("detaching");
    assert_eq!(attachment.status, Some(AttachmentStatus::Detaching));
    assert_eq!(lab.simulator.world().carrier_of([172, 16, 11, 30].into()), Some("i-1"));
    lab.simulator.console().complete("eni-float").expect("ended");
    let interface = lab.interface("eni-float").await;
    assert_eq!(interface.attachment, None);
    assert_eq!(interface.status, Some(NetworkInterfaceStatus::Available));
}

#[tokio::test]
async fn attach_and_detach_take_the_times_that_were_set() {
    let detach = Duration::from_millis(300);
    let attach = Duration::from_millis(200);
    let lab = Lab::two_servers(Timings::default().detach(detach).attach(attach)).await;
    let begin = Instant::now();
    lab.ec2.detach_network_interface().attachment_id(lab.attachment("eni-float")).send().await.expect("accepted");
    soon(lab.simulator.wait_until(|world| world.find_interface("eni-float").unwrap().attachment.is_none())).await;
    assert!(begin.elapsed() >= detach, "{:?}", begin.elapsed());
    let begin = Instant::now();
    lab.try_attach("eni-float", "i-2", 1).await.expect("accepted");
    let attached = |world: &World| world.carrier_of([172, 16, 11, 30].into()) == Some("i-2");
    soon(lab.simulator.wait_until(attached)).await;
    assert!(begin.elapsed() >= attach, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_attached_interface_cannot_be_attached_elsewhere() {
    let lab = Lab::two_servers(Timings::instant()).await;
    assert_eq!(lab.attach_refused("eni-float", "i-2", 1).await, "InvalidNetworkInterface.InUse");
}

#[tokio::test]
async fn an_interface_that_is_detaching_cannot_be_attached_yet() {
    let lab = Lab::two_servers(Timings::instant().detach(LONG)).await;
    lab.simulator.console().detach("eni-float", false).expect("accepted");
    assert_eq!(lab.attach_refused("eni-float", "i-2", 1).await, "InvalidNetworkInterface.InUse");
}

#[tokio::test]
async fn of_two_attaches_at_once_one_wins() {
    let lab = Lab::two_servers(Timings::default()).await;
    lab.free_float().await;
    let (first, second) = tokio::join!(lab.try_attach("eni-float", "i-1", 1), lab.try_attach("eni-float", "i-2", 1));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert_eq!(first.or(second.clone()).ok(), Some(lab.attachment("eni-float")));
}

#[tokio::test]
async fn an_interface_cannot_leave_its_zone() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.free_float().await;
    let (code, message) = lab.try_attach("eni-float", "i-3", 1).await.expect_err("refused");
    assert_eq!(code, "InvalidParameterCombination");
    assert!(message.contains("if they are not in the same availability zone"), "{message}");
}

#[tokio::test]
async fn an_interface_goes_to_an_instance_of_another_vpc_in_its_zone() {
    let world = two_servers().subnet("subnet-other", "ap-northeast-1a", "172.16.11.0/24", "vpc-2").instance(
        "i-other",
        "subnet-other",
        "172.16.11.10",
    );
    let lab = Lab::start(world, Timings::instant()).await;
    lab.free_float().await;
    lab.try_attach("eni-float", "i-other", 1).await.expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of("172.16.11.30".parse().unwrap()), Some("i-other"));
}

#[tokio::test]
async fn a_device_index_takes_one_interface() {
    let world = two_servers().network_interface("eni-second", "subnet-a", "172.16.11.31");
    let lab = Lab::start(world, Timings::instant()).await;
    let (code, message) = lab.try_attach("eni-second", "i-1", 1).await.expect_err("refused");
    assert_eq!(code, "InvalidParameterValue");
    assert!(
        message.contains("Instance 'i-1' already has an interface attached at device index '1'"),
        "the message that movers match: {message}"
    );
    lab.try_attach("eni-second", "i-1", 2).await.expect("another index is free");
}

#[tokio::test]
async fn a_detaching_interface_still_takes_its_device_index() {
    let world = two_servers().network_interface("eni-second", "subnet-a", "172.16.11.31");
    let lab = Lab::start(world, Timings::instant().detach(LONG)).await;
    lab.simulator.console().detach("eni-float", false).expect("accepted");
    assert_eq!(lab.attach_refused("eni-second", "i-1", 1).await, "InvalidParameterValue");
}

#[tokio::test]
async fn an_instance_takes_no_more_interfaces_than_its_type() {
    let world = two_servers().instance_type("i-1", "t3.micro").network_interface("eni-2", "subnet-a", "172.16.11.31");
    let lab = Lab::start(world, Timings::instant()).await;
    let (code, message) = lab.try_attach("eni-2", "i-1", 2).await.expect_err("refused");
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("AttachmentLimitExceeded", "Interface count 3 exceeds the limit for t3.micro")
    );
}

#[tokio::test]
async fn an_interface_attaches_to_a_stopped_instance() {
    let lab = Lab::start(two_servers().instance_state("i-2", InstanceState::Stopped), Timings::instant()).await;
    lab.free_float().await;
    lab.try_attach("eni-float", "i-2", 1).await.expect("accepted");
}

#[tokio::test]
async fn an_interface_attaches_to_no_instance_that_is_pending_or_on_its_way_out() {
    for state in
        [InstanceState::Pending, InstanceState::Stopping, InstanceState::ShuttingDown, InstanceState::Terminated]
    {
        let lab = Lab::start(two_servers().instance_state("i-2", state), Timings::instant()).await;
        lab.free_float().await;
        assert_eq!(lab.attach_refused("eni-float", "i-2", 1).await, "IncorrectState", "{state:?}");
    }
}

#[tokio::test]
async fn a_network_card_that_the_instance_lacks_is_refused() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.free_float().await;
    let call = lab.ec2.attach_network_interface().network_interface_id("eni-float").instance_id("i-2");
    assert_eq!(code(call.device_index(1).network_card_index(1).send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn attach_names_what_does_not_exist() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.free_float().await;
    assert_eq!(lab.attach_refused("eni-none", "i-1", 1).await, "InvalidNetworkInterfaceID.NotFound");
    assert_eq!(lab.attach_refused("eni-float", "i-none", 1).await, "InvalidInstanceID.NotFound");
    assert_eq!(lab.attach_refused("i-1", "i-1", 1).await, "InvalidNetworkInterfaceID.Malformed");
    assert_eq!(lab.attach_refused("eni-float", "eni-float", 1).await, "InvalidInstanceID.Malformed");
}

#[tokio::test]
async fn attach_names_what_is_missing() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let call = || lab.ec2.attach_network_interface();
    assert_eq!(code(call().instance_id("i-1").device_index(1).send().await), "MissingParameter");
    assert_eq!(code(call().network_interface_id("eni-float").device_index(1).send().await), "MissingParameter");
    let (code, message) = code_and_message(call().network_interface_id("eni-float").instance_id("i-1").send().await);
    assert_eq!(code, "MissingParameter");
    assert!(message.contains("DeviceIndex"), "{message}");
}

#[tokio::test]
async fn a_stale_attachment_id_does_not_detach_a_newer_attachment() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let stale = lab.attachment("eni-float");
    lab.free_float().await;
    lab.simulator.console().attach("eni-float", "i-2", 1).expect("accepted");
    assert_eq!(
        code(lab.ec2.detach_network_interface().attachment_id(stale).send().await),
        "InvalidAttachmentID.NotFound"
    );
    assert!(!lab.is_free("eni-float"));
}

#[tokio::test]
async fn a_malformed_attachment_id_is_refused() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let detach = |id: &str| lab.ec2.detach_network_interface().attachment_id(id).send();
    assert_eq!(code(detach("eni-float").await), "InvalidNetworkInterfaceAttachmentId.Malformed");
    assert_eq!(code(lab.ec2.detach_network_interface().send().await), "MissingParameter");
}

#[tokio::test]
async fn the_primary_interface_cannot_be_detached() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let primary = lab.attachment("eni-1-primary");
    let detach = lab.ec2.detach_network_interface().attachment_id(primary).force(true).send().await;
    assert_eq!(code(detach), "OperationNotPermitted");
    assert!(!lab.is_free("eni-1-primary"));
}

#[tokio::test]
async fn an_interface_of_another_service_cannot_be_detached() {
    let lab = Lab::start(two_servers().requester_managed("eni-float"), Timings::instant()).await;
    let detach = lab.ec2.detach_network_interface().attachment_id(lab.attachment("eni-float")).send().await;
    assert_eq!(code(detach), "OperationNotPermitted");
    assert_eq!(lab.interface("eni-float").await.requester_managed, Some(true));
}

#[tokio::test]
async fn a_second_graceful_detach_is_refused_while_the_first_is_under_way() {
    let lab = Lab::two_servers(Timings::instant().detach(LONG)).await;
    let detach = || lab.ec2.detach_network_interface().attachment_id(lab.attachment("eni-float")).send();
    detach().await.expect("accepted");
    assert_eq!(code(detach().await), "IncorrectState");
}

#[tokio::test]
async fn a_forced_detach_shortens_a_graceful_one() {
    let timings = Timings::instant().detach(LONG).force_detach(Duration::from_millis(20));
    let lab = Lab::two_servers(timings).await;
    let attachment = lab.attachment("eni-float");
    lab.ec2.detach_network_interface().attachment_id(&attachment).send().await.expect("accepted");
    lab.ec2.detach_network_interface().attachment_id(&attachment).force(true).send().await.expect("accepted");
    soon(lab.simulator.wait_until(|world| world.find_interface("eni-float").unwrap().attachment.is_none())).await;
}

#[tokio::test]
async fn a_forced_detach_never_lengthens_a_graceful_one() {
    let timings = Timings::instant().detach(Duration::from_millis(20)).force_detach(LONG);
    let lab = Lab::two_servers(timings).await;
    let console = lab.simulator.console();
    console.detach("eni-float", false).expect("accepted");
    console.detach("eni-float", true).expect("accepted");
    soon(lab.simulator.wait_until(|world| world.find_interface("eni-float").unwrap().attachment.is_none())).await;
}

#[tokio::test]
async fn a_repeated_forced_detach_does_not_begin_anew() {
    let lab = Lab::two_servers(Timings::instant().detach(LONG).force_detach(Duration::from_millis(100))).await;
    let repeat = async {
        while lab.simulator.console().detach("eni-float", true).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(repeat).await;
    assert!(lab.is_free("eni-float"));
}

#[tokio::test]
async fn what_is_still_attaching_can_only_be_detached_by_force() {
    let lab = Lab::two_servers(Timings::instant().attach(LONG)).await;
    lab.free_float().await;
    let attachment = lab.try_attach("eni-float", "i-2", 1).await.expect("accepted");
    let detach = || lab.ec2.detach_network_interface().attachment_id(&attachment);
    assert_eq!(code(detach().send().await), "IncorrectState");
    detach().force(true).send().await.expect("accepted");
    assert!(lab.is_free("eni-float"));
}

#[tokio::test]
async fn delete_on_termination_belongs_to_the_attachment() {
    let lab = Lab::start(two_servers().delete_on_termination(true), Timings::instant()).await;
    lab.free_float().await;
    let attachment = lab.try_attach("eni-float", "i-2", 1).await.expect("accepted");
    assert_eq!(lab.interface("eni-float").await.attachment.unwrap().delete_on_termination, Some(true));
    let changes = |id: &str| {
        let changes = NetworkInterfaceAttachmentChanges::builder().attachment_id(id).delete_on_termination(false);
        lab.ec2
            .modify_network_interface_attribute()
            .network_interface_id("eni-float")
            .attachment(changes.build())
            .send()
    };
    assert_eq!(code(changes("eni-attach-old").await), "InvalidAttachmentID.NotFound");
    changes(&attachment).await.expect("accepted");
    assert_eq!(lab.interface("eni-float").await.attachment.unwrap().delete_on_termination, Some(false));
    lab.free_float().await;
    lab.try_attach("eni-float", "i-2", 1).await.expect("accepted");
    assert_eq!(lab.interface("eni-float").await.attachment.unwrap().delete_on_termination, Some(true));
}

#[tokio::test]
async fn the_source_and_destination_check_can_be_turned_off() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let off = AttributeBooleanValue::builder().value(false).build();
    let call = lab.ec2.modify_network_interface_attribute().network_interface_id("eni-float");
    call.source_dest_check(off).send().await.expect("accepted");
    assert_eq!(lab.interface("eni-float").await.source_dest_check, Some(false));
}

#[tokio::test]
async fn a_modification_of_nothing_is_refused() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let call = lab.ec2.modify_network_interface_attribute().network_interface_id("eni-float");
    assert_eq!(code(call.send().await), "InvalidParameterCombination");
}

#[tokio::test]
async fn a_dry_run_answers_what_would_happen_and_changes_nothing() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let attachment = lab.attachment("eni-float");
    let detach = |id: &str| lab.ec2.detach_network_interface().attachment_id(id).dry_run(true).send();
    let reply = detach(&attachment).await;
    let status = reply.as_ref().err().and_then(|error| error.raw_response()).map(|raw| raw.status().as_u16());
    assert_eq!(status, Some(412));
    assert_eq!(code(reply), "DryRunOperation");
    assert_eq!(code(detach("eni-attach-none").await), "InvalidAttachmentID.NotFound");
    assert_eq!(lab.attachment("eni-float"), attachment);

    let attach = lab.ec2.attach_network_interface().network_interface_id("eni-float").instance_id("i-2");
    assert_eq!(code(attach.clone().device_index(1).dry_run(true).send().await), "InvalidNetworkInterface.InUse");
    lab.free_float().await;
    assert_eq!(code(attach.device_index(1).dry_run(true).send().await), "DryRunOperation");
    assert!(lab.is_free("eni-float"));
}

#[tokio::test]
async fn a_dry_run_of_a_modification_changes_nothing() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let attachment = lab.attachment("eni-float");
    let changes = NetworkInterfaceAttachmentChanges::builder().attachment_id(attachment).delete_on_termination(true);
    let call = lab.ec2.modify_network_interface_attribute().network_interface_id("eni-float");
    assert_eq!(code(call.attachment(changes.build()).dry_run(true).send().await), "DryRunOperation");
    let world = lab.simulator.world();
    let attachment = world.find_interface("eni-float").unwrap().attachment.as_ref().unwrap();
    assert!(!attachment.delete_on_termination);
    assert_eq!(attachment.state, AttachmentState::Attached);
}
