use aws_sdk_ec2::types::Filter;
use floatip_aws::simulator::{Timings, World};

use crate::{Lab, code, filter, two_servers};

fn many(count: u8) -> World {
    let world = World::new("ap-northeast-1").subnet("subnet-a", "ap-northeast-1a", "172.16.0.0/16", "vpc-1");
    (0..count)
        .fold(world, |world, n| world.network_interface(&format!("eni-{n:02}"), "subnet-a", &format!("172.16.1.{n}")))
}

impl Lab {
    async fn interfaces_by(&self, filter: Filter) -> Vec<String> {
        let reply = self.ec2.describe_network_interfaces().filters(filter).send().await.expect("described");
        reply.network_interfaces().iter().filter_map(|one| one.network_interface_id()).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn interfaces_are_found_by_id() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let reply = lab.ec2.describe_network_interfaces().network_interface_ids("eni-float").send().await;
    assert_eq!(reply.expect("described").network_interfaces().len(), 1);
}

#[tokio::test]
async fn one_unknown_id_fails_the_whole_describe() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let describe = |id: &str| {
        lab.ec2.describe_network_interfaces().network_interface_ids("eni-float").network_interface_ids(id).send()
    };
    assert_eq!(code(describe("eni-none").await), "InvalidNetworkInterfaceID.NotFound");
    assert_eq!(code(describe("float").await), "InvalidNetworkInterfaceID.Malformed");
}

#[tokio::test]
async fn an_unknown_id_in_a_filter_is_only_not_found() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let filter = Filter::builder().name("network-interface-id").values("eni-float").values("eni-none").build();
    assert_eq!(lab.interfaces_by(filter).await, ["eni-float"]);
}

#[tokio::test]
async fn interfaces_are_found_by_filters() {
    let world = two_servers().tag("eni-float", "role", "floating ip").secondary_private_ip("eni-float", "172.16.11.31");
    let lab = Lab::start(world, Timings::instant()).await;
    for (name, value, wanted) in [
        ("network-interface-id", "eni-float", vec!["eni-float"]),
        ("attachment.instance-id", "i-1", vec!["eni-1-primary", "eni-float"]),
        ("attachment.attachment-id", &lab.attachment("eni-float"), vec!["eni-float"]),
        ("attachment.device-index", "1", vec!["eni-float"]),
        ("attachment.status", "attaching", vec![]),
        ("attachment.delete-on-termination", "false", vec!["eni-float"]),
        ("addresses.private-ip-address", "172.16.11.31", vec!["eni-float"]),
        ("private-ip-address", "172.16.11.31", vec![]),
        ("private-ip-address", "172.16.11.30", vec!["eni-float"]),
        ("subnet-id", "subnet-c", vec!["eni-3-primary"]),
        ("availability-zone", "ap-northeast-1c", vec!["eni-3-primary"]),
        ("vpc-id", "vpc-2", vec![]),
        ("status", "available", vec![]),
        ("tag:role", "floating ip", vec!["eni-float"]),
        ("tag:role", "other", vec![]),
        ("tag-key", "role", vec!["eni-float"]),
        ("network-interface-id", "eni-?-prim*", vec!["eni-1-primary", "eni-2-primary", "eni-3-primary"]),
    ] {
        assert_eq!(lab.interfaces_by(filter(name, value)).await, wanted, "{name} = {value}");
    }
}

#[tokio::test]
async fn filters_narrow_each_other() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let reply = lab
        .ec2
        .describe_network_interfaces()
        .filters(filter("attachment.instance-id", "i-1"))
        .filters(filter("attachment.device-index", "1"))
        .send()
        .await
        .expect("described");
    assert_eq!(reply.network_interfaces().len(), 1);
}

#[tokio::test]
async fn a_filter_that_does_not_exist_is_refused() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let call = lab.ec2.describe_network_interfaces().filters(filter("attachment.instance", "i-1"));
    assert_eq!(code(call.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn a_call_takes_two_hundred_filter_values() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let describe = |count: usize| {
        let values = (0..count).map(|n| format!("eni-{n}")).collect();
        let filter = Filter::builder().name("network-interface-id").set_values(Some(values)).build();
        lab.ec2.describe_network_interfaces().filters(filter).send()
    };
    describe(200).await.expect("described");
    assert_eq!(code(describe(201).await), "FilterLimitExceeded");
}

#[tokio::test]
async fn pages_show_everything_once() {
    let lab = Lab::start(many(12), Timings::instant()).await;
    let mut pages = Vec::new();
    let mut token = None;
    loop {
        let call = lab.ec2.describe_network_interfaces().max_results(5).set_next_token(token);
        let reply = call.send().await.expect("described");
        let ids = reply.network_interfaces().iter().filter_map(|one| one.network_interface_id());
        pages.push(ids.map(str::to_owned).collect::<Vec<_>>());
        token = reply.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 2]);
    assert_eq!(pages.concat(), (0..12).map(|n| format!("eni-{n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_last_page_has_no_token_even_if_it_is_full() {
    let lab = Lab::start(many(5), Timings::instant()).await;
    let reply = lab.ec2.describe_network_interfaces().max_results(5).send().await.expect("described");
    assert_eq!((reply.network_interfaces().len(), reply.next_token()), (5, None));
}

#[tokio::test]
async fn page_sizes_have_bounds_and_do_not_go_with_ids() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let call = || lab.ec2.describe_network_interfaces();
    assert_eq!(code(call().max_results(4).send().await), "InvalidParameterValue");
    assert_eq!(code(call().max_results(1001).send().await), "InvalidParameterValue");
    assert_eq!(code(call().next_token("nonsense").send().await), "InvalidParameterValue");
    let with_ids = call().max_results(5).network_interface_ids("eni-float").send().await;
    assert_eq!(code(with_ids), "InvalidParameterCombination");
}

#[tokio::test]
async fn a_describe_can_be_run_dry() {
    let lab = Lab::two_servers(Timings::instant()).await;
    assert_eq!(code(lab.ec2.describe_network_interfaces().dry_run(true).send().await), "DryRunOperation");
    assert_eq!(code(lab.ec2.describe_addresses().dry_run(true).send().await), "DryRunOperation");
    assert_eq!(code(lab.ec2.describe_instances().dry_run(true).send().await), "DryRunOperation");
}
