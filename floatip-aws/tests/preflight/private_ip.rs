use std::net::IpAddr;

use super::*;

fn mechanism(address: &str) -> Mechanism {
    Mechanism::PrivateIp { address: address.parse::<IpAddr>().unwrap() }
}

/// Assigning has no dry run, which is always told.
const UNTRIED: &str = "permission: warn";

#[tokio::test]
async fn a_secondary_address_of_the_subnet_can_move_and_that_the_permission_is_untried_is_said() {
    let (_simulator, ec2) = start(world().secondary_private_ip(&primary_of(INSTANCE_1), "172.16.11.77")).await;
    let found = preflight(&ec2, mechanism("172.16.11.77"), both()).findings().await;
    assert_eq!(troubles(&found), [UNTRIED], "{found:#?}");
    let untried = found.iter().find(|it| it.check == CheckId::Permission).unwrap();
    assert!(untried.detail.contains("no dry run of AssignPrivateIpAddresses"), "{untried:?}");
}

#[tokio::test]
async fn a_primary_address_cannot_be_taken() {
    let (_simulator, ec2) = start(world()).await;
    let found = preflight(&ec2, mechanism("172.16.11.30"), both()).findings().await;
    assert_eq!(troubles(&found), ["primary_address: fail", UNTRIED]);
    let primary = found.iter().find(|it| it.check == CheckId::PrimaryAddress).unwrap();
    assert!(primary.remedy.as_ref().unwrap().contains("kind = \"eni\""), "{primary:?}");
}

#[tokio::test]
async fn a_node_in_another_subnet_fails_with_the_way_out() {
    let (_simulator, ec2) = start(world().secondary_private_ip(&primary_of(INSTANCE_1), "172.16.11.77")).await;
    let nodes = candidates(&[("ftp-1", INSTANCE_1), ("far", FAR_AWAY)]);
    let found = preflight(&ec2, mechanism("172.16.11.77"), nodes).findings().await;
    assert_eq!(troubles(&found), [UNTRIED, "subnet of far: fail"]);
    assert!(only(&found, CheckId::Subnet, "far").remedy.unwrap().contains("kind = \"route\""));
}

#[tokio::test]
async fn an_interface_that_is_full_or_managed_fails() {
    let full =
        world().instance_type(INSTANCE_2, "t3.micro").secondary_private_ip(&primary_of(INSTANCE_2), "172.16.11.78");
    let (_simulator, ec2) = start(full).await;
    let found = preflight(&ec2, mechanism("172.16.11.77"), both()).findings().await;
    assert_eq!(troubles(&found), [UNTRIED, "address_limit of ftp-2: fail"]);
    let (_simulator, ec2) = start(world().requester_managed(&primary_of(INSTANCE_2))).await;
    let found = preflight(&ec2, mechanism("172.16.11.77"), both()).findings().await;
    assert_eq!(troubles(&found), [UNTRIED, "interface of ftp-2: fail"]);
}
