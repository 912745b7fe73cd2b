use std::net::IpAddr;

use floatip_aws::simulator::{Change, Timings};

use crate::{Lab, code, code_and_message, filter, soon, two_servers};

const FLOATING: &str = "172.16.11.50";

fn ip(ip: &str) -> IpAddr {
    ip.parse().expect("an address")
}

async fn floating_on_1(timings: Timings) -> Lab {
    Lab::start(two_servers().secondary_private_ip("eni-1-primary", FLOATING), timings).await
}

async fn v6(timings: Timings) -> Lab {
    let world = two_servers().subnet_ipv6("subnet-a", "fd00:11::/64").ipv6_address("eni-1-primary", "fd00:11::50");
    Lab::start(world, timings).await
}

impl Lab {
    async fn try_assign(&self, interface: &str, ip: &str, allow: bool) -> Result<(), (String, String)> {
        let call = self.ec2.assign_private_ip_addresses().network_interface_id(interface).private_ip_addresses(ip);
        match call.allow_reassignment(allow).send().await {
            Ok(_) => Ok(()),
            refused @ Err(_) => Err(code_and_message(refused)),
        }
    }

    fn carrier(&self, address: &str) -> Option<String> {
        self.simulator.world().carrier_of(ip(address)).map(str::to_owned)
    }
}

#[tokio::test]
async fn a_private_address_moves_between_interfaces_only_if_that_is_allowed() {
    let lab = floating_on_1(Timings::instant()).await;
    let (code, message) = lab.try_assign("eni-2-primary", FLOATING, false).await.expect_err("it is taken");
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("InvalidParameterValue", "[172.16.11.50] assigned, but move is not allowed.")
    );
    assert_eq!(lab.carrier(FLOATING).as_deref(), Some("i-1"));
    lab.try_assign("eni-2-primary", FLOATING, true).await.expect("accepted");
    assert_eq!(lab.carrier(FLOATING).as_deref(), Some("i-2"));
    let found = lab.ec2.describe_network_interfaces().filters(filter("addresses.private-ip-address", FLOATING));
    let found = soon(found.send()).await.expect("described");
    let ids: Vec<_> = found.network_interfaces().iter().filter_map(|it| it.network_interface_id()).collect();
    assert_eq!(ids, ["eni-2-primary"], "it is on one interface only");
}

#[tokio::test]
async fn a_free_private_address_is_given_without_reassignment() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.try_assign("eni-2-primary", FLOATING, false).await.expect("accepted");
    lab.try_assign("eni-2-primary", FLOATING, false).await.expect("it is there");
    assert_eq!(lab.carrier(FLOATING).as_deref(), Some("i-2"));
    let unassign = || lab.ec2.unassign_private_ip_addresses().private_ip_addresses(FLOATING);
    unassign().network_interface_id("eni-2-primary").send().await.expect("accepted");
    assert_eq!(lab.carrier(FLOATING), None);
    let (code, message) = code_and_message(unassign().network_interface_id("eni-2-primary").send().await);
    assert_eq!(code, "InvalidParameterValue");
    assert_eq!(message, "Some of the specified addresses are not assigned to interface eni-2-primary");
}

#[tokio::test]
async fn a_private_address_cannot_leave_its_subnet_and_a_primary_one_not_its_interface() {
    let lab = floating_on_1(Timings::instant()).await;
    let (_, message) = lab.try_assign("eni-3-primary", FLOATING, true).await.expect_err("another subnet");
    assert!(message.contains("does not fall within the subnet's address range"), "{message}");
    let (_, message) = lab.try_assign("eni-2-primary", "172.16.11.10", true).await.expect_err("a primary address");
    assert!(message.contains("primary"), "{message}");
    let unassign = lab.ec2.unassign_private_ip_addresses().network_interface_id("eni-1-primary");
    assert_eq!(code(unassign.private_ip_addresses("172.16.11.10").send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn an_interface_takes_as_many_addresses_as_the_instance_type_says() {
    let world = two_servers().instance_type("i-2", "t3.micro").secondary_private_ip("eni-2-primary", "172.16.11.51");
    let lab = Lab::start(world, Timings::instant()).await;
    let (code, _) = lab.try_assign("eni-2-primary", FLOATING, false).await.expect_err("two are the most");
    assert_eq!(code, "PrivateIpAddressLimitExceeded");
}

#[tokio::test]
async fn an_elastic_ip_travels_with_the_private_address_that_it_leads_to() {
    let lab = floating_on_1(Timings::instant()).await;
    let IpAddr::V4(private_ip) = ip(FLOATING) else { panic!("IPv4") };
    let association =
        lab.simulator.console().associate("eipalloc-1", "eni-1-primary", Some(private_ip)).expect("accepted");
    lab.try_assign("eni-2-primary", FLOATING, true).await.expect("accepted");
    assert_eq!(lab.association("eipalloc-1"), association);
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-2"));
    let unassign = lab.ec2.unassign_private_ip_addresses().network_interface_id("eni-2-primary");
    unassign.private_ip_addresses(FLOATING).send().await.expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), None, "it would have been lost");
}

#[tokio::test]
async fn an_ipv6_address_must_be_unassigned_before_it_can_be_assigned() {
    let lab = v6(Timings::instant()).await;
    let assign = || lab.ec2.assign_ipv6_addresses().network_interface_id("eni-2-primary").ipv6_addresses("fd00:11::50");
    assert_eq!(code(assign().send().await), "InvalidParameterValue");
    let unassign = lab.ec2.unassign_ipv6_addresses().network_interface_id("eni-1-primary");
    let reply = unassign.ipv6_addresses("fd00:11::50").send().await.expect("accepted");
    assert_eq!(reply.unassigned_ipv6_addresses(), ["fd00:11::50"]);
    assert_eq!(lab.carrier("fd00:11::50"), None);
    let reply = assign().send().await.expect("accepted");
    assert_eq!(reply.assigned_ipv6_addresses(), ["fd00:11::50"]);
    assert_eq!(lab.carrier("fd00:11::50").as_deref(), Some("i-2"));
    let shown = lab.interface("eni-2-primary").await.ipv6_addresses.unwrap_or_default();
    assert_eq!(shown.iter().filter_map(|it| it.ipv6_address()).collect::<Vec<_>>(), ["fd00:11::50"]);
    assert_eq!(code(assign().network_interface_id("eni-3-primary").send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn the_data_plane_follows_an_address_that_moves() {
    let lab = floating_on_1(Timings::instant()).await;
    lab.try_assign("eni-2-primary", FLOATING, true).await.expect("accepted");
    let changes: Vec<_> = lab.simulator.changes().into_iter().map(|(_, change)| change).collect();
    let on = |server: u8| (format!("eni-{server}-primary"), Some(format!("i-{server}")));
    let ((from, left), (to, reached)) = (on(1), on(2));
    assert_eq!(
        changes,
        [
            Change::Unassigned { network_interface: from, instance: left, ip: ip(FLOATING) },
            Change::Assigned { network_interface: to, instance: reached, ip: ip(FLOATING) },
        ]
    );
}

#[tokio::test]
async fn a_moving_interface_takes_its_ipv6_addresses_along() {
    let world = two_servers().subnet_ipv6("subnet-a", "fd00:11::/64").ipv6_address("eni-float", "fd00:11::30");
    let lab = Lab::start(world, Timings::instant()).await;
    lab.free_float().await;
    assert_eq!(lab.carrier("fd00:11::30"), None);
    lab.simulator.console().attach("eni-float", "i-2", 1).expect("accepted");
    assert_eq!(lab.carrier("fd00:11::30").as_deref(), Some("i-2"));
}
