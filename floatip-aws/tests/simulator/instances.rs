use aws_sdk_ec2::types::{InstanceStateName, InstanceType, SummaryStatus};
use floatip_aws::simulator::{InstanceState, Timings, World};

use crate::{LONG, Lab, code, filter, soon, two_servers};

impl Lab {
    async fn instance(&self, id: &str) -> aws_sdk_ec2::types::Instance {
        let reply = self.ec2.describe_instances().instance_ids(id).send().await.expect("described");
        let mut reservation = reply.reservations.unwrap_or_default().pop().expect("one reservation");
        reservation.instances.take().unwrap_or_default().pop().expect("one instance")
    }

    fn instance_state(&self, id: &str) -> InstanceState {
        self.simulator.world().find_instance(id).expect("exists").state
    }
}

#[tokio::test]
async fn an_instance_shows_its_place_and_its_interfaces() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let instance = lab.instance("i-1").await;
    assert_eq!(instance.instance_id.as_deref(), Some("i-1"));
    assert_eq!(instance.instance_type, Some(InstanceType::M5Large));
    assert_eq!(instance.state.and_then(|state| state.name), Some(InstanceStateName::Running));
    assert_eq!(instance.placement.and_then(|place| place.availability_zone).as_deref(), Some("ap-northeast-1a"));
    assert_eq!(instance.private_ip_address.as_deref(), Some("172.16.11.10"));
    assert_eq!(instance.subnet_id.as_deref(), Some("subnet-a"));
    assert_eq!(instance.vpc_id.as_deref(), Some("vpc-1"));
    let interfaces = instance.network_interfaces.unwrap_or_default();
    let seen: Vec<_> = interfaces
        .iter()
        .map(|one| (one.network_interface_id().unwrap(), one.attachment().unwrap().device_index().unwrap()))
        .collect();
    assert_eq!(seen, [("eni-1-primary", 0), ("eni-float", 1)]);
    assert_eq!(interfaces[0].private_ip_addresses()[0].association().unwrap().public_ip(), Some("203.0.113.10"));
}

#[tokio::test]
async fn instances_are_found_by_filters() {
    let world = two_servers().tag("i-2", "role", "standby").instance_state("i-3", InstanceState::Stopped);
    let lab = Lab::start(world, Timings::instant()).await;
    for (name, value, wanted) in [
        ("instance-id", "i-2", "i-2"),
        ("instance-state-name", "stopped", "i-3"),
        ("private-ip-address", "172.16.11.20", "i-2"),
        ("network-interface.network-interface-id", "eni-float", "i-1"),
        ("network-interface.addresses.private-ip-address", "172.16.11.30", "i-1"),
        ("availability-zone", "ap-northeast-1c", "i-3"),
        ("tag:role", "standby", "i-2"),
    ] {
        let reply = lab.ec2.describe_instances().filters(filter(name, value)).send().await.expect("described");
        let found: Vec<_> =
            reply.reservations().iter().flat_map(|one| one.instances()).filter_map(|one| one.instance_id()).collect();
        assert_eq!(found, [wanted], "{name}");
    }
}

#[tokio::test]
async fn an_unknown_or_malformed_instance_is_named() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let describe = |id: &str| lab.ec2.describe_instances().instance_ids(id).send();
    assert_eq!(code(describe("i-none").await), "InvalidInstanceID.NotFound");
    assert_eq!(code(describe("server").await), "InvalidInstanceID.Malformed");
}

#[tokio::test]
async fn an_instance_type_shows_its_limits() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let reply =
        lab.ec2.describe_instance_types().instance_types(InstanceType::M5Large).send().await.expect("described");
    let network = reply.instance_types()[0].network_info().expect("network info");
    assert_eq!(reply.instance_types()[0].instance_type(), Some(&InstanceType::M5Large));
    assert_eq!(network.maximum_network_interfaces(), Some(3));
    assert_eq!(network.ipv4_addresses_per_interface(), Some(10));
    assert_eq!(network.maximum_network_cards(), Some(1));
}

#[tokio::test]
async fn instance_types_are_found_by_filter_and_unknown_ones_refused() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let call = || lab.ec2.describe_instance_types();
    let reply = call().filters(filter("instance-type", "m5.*")).send().await.expect("described");
    let found: Vec<_> = reply.instance_types().iter().filter_map(|one| one.instance_type()).collect();
    assert_eq!(found, [&InstanceType::M5Large, &InstanceType::M5Xlarge]);
    assert_eq!(code(call().instance_types(InstanceType::from("m5.tiny")).send().await), "InvalidInstanceType");
}

#[tokio::test]
async fn the_status_shows_running_instances_only_unless_all_are_asked_for() {
    let lab = Lab::start(two_servers().instance_state("i-2", InstanceState::Stopped), Timings::instant()).await;
    let reply = lab.ec2.describe_instance_status().send().await.expect("described");
    let found: Vec<_> = reply.instance_statuses().iter().filter_map(|one| one.instance_id()).collect();
    assert_eq!(found, ["i-1", "i-3"]);
    let one = &reply.instance_statuses()[0];
    assert_eq!(one.instance_status().and_then(|status| status.status()), Some(&SummaryStatus::Ok));
    assert_eq!(one.system_status().and_then(|status| status.status()), Some(&SummaryStatus::Ok));
    let reply = lab.ec2.describe_instance_status().include_all_instances(true).send().await.expect("described");
    let two = &reply.instance_statuses()[1];
    assert_eq!(two.instance_state().and_then(|state| state.name()), Some(&InstanceStateName::Stopped));
    assert_eq!(two.instance_status().and_then(|status| status.status()), Some(&SummaryStatus::NotApplicable));
}

#[tokio::test]
async fn a_stopped_instance_keeps_its_interfaces() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.simulator.console().stop("i-1").expect("accepted");
    assert_eq!(lab.instance_state("i-1"), InstanceState::Stopped);
    assert_eq!(lab.simulator.console().interfaces_of("i-1"), ["eni-1-primary", "eni-float"]);
    lab.simulator.console().start("i-1").expect("accepted");
    assert_eq!(lab.instance_state("i-1"), InstanceState::Running);
}

#[tokio::test]
async fn an_instance_is_stopping_until_its_time_is_over() {
    let lab = Lab::two_servers(Timings::instant().instance(LONG)).await;
    lab.simulator.console().stop("i-1").expect("accepted");
    let state = lab.instance("i-1").await.state.and_then(|state| state.name);
    assert_eq!(state, Some(InstanceStateName::Stopping));
    assert_eq!(lab.simulator.console().stop("i-1").unwrap_err().code, "IncorrectInstanceState");
    assert_eq!(lab.simulator.console().start("i-1").unwrap_err().code, "IncorrectInstanceState");
}

#[tokio::test]
async fn a_terminated_instance_deletes_or_frees_its_interfaces_by_delete_on_termination() {
    let timings = Timings::instant().instance(std::time::Duration::from_millis(500));
    let lab = Lab::two_servers(timings).await;
    lab.simulator.console().terminate("i-1").expect("accepted");
    assert_eq!(lab.instance_state("i-1"), InstanceState::ShuttingDown);
    let gone = |world: &World| world.find_instance("i-1").unwrap().state == InstanceState::Terminated;
    soon(lab.simulator.wait_until(gone)).await;
    let world = lab.simulator.world();
    assert_eq!(world.find_interface("eni-1-primary"), None);
    assert_eq!(world.find_interface("eni-float").unwrap().attachment, None);
    assert_eq!(world.find_address("eipalloc-1").unwrap().association, None);
}

#[tokio::test]
async fn a_floating_interface_with_delete_on_termination_dies_with_its_instance() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let console = lab.simulator.console();
    console.delete_on_termination("eni-float", true).expect("accepted");
    console.terminate("i-1").expect("accepted");
    assert_eq!(lab.simulator.world().find_interface("eni-float"), None);
    assert_eq!(console.attach("eni-float", "i-2", 1).unwrap_err().code, "InvalidNetworkInterfaceID.NotFound");
    assert_eq!(console.terminate("i-1").unwrap_err().code, "IncorrectInstanceState");
}
