use floatip_aws::Fencing;
use floatip_aws::simulator::{Action, Fault, When};

use super::*;

fn mechanism(fencing: Fencing) -> Mechanism {
    Mechanism::Eip { allocation: ALLOCATION.to_owned(), fencing }
}

async fn findings(world: World, candidates: Vec<Candidate>) -> Vec<Finding> {
    let (simulator, ec2) = start(world).await;
    let before = simulator.world();
    let found = preflight(&ec2, mechanism(Fencing::Overwrite), candidates).findings().await;
    assert_eq!(simulator.world().find_address(ALLOCATION), before.find_address(ALLOCATION), "it changes nothing");
    found
}

fn far() -> Vec<Candidate> {
    candidates(&[("ftp-1", INSTANCE_1), ("far", FAR_AWAY)])
}

#[tokio::test]
async fn an_account_in_which_all_is_well_passes_every_check_across_zones_too() {
    let found = findings(world(), far()).await;
    assert_eq!(troubles(&found), [""; 0], "{found:#?}");
    for check in [CheckId::PrivateAddress, CheckId::DisplacedAddress, CheckId::BorderGroup, CheckId::Permission] {
        assert_eq!(only(&found, check, "far").status, Status::Pass);
    }
}

#[tokio::test]
async fn an_address_that_would_be_displaced_fails() {
    let world = world().elastic_ip("eipalloc-other", "203.0.113.11").associate("eipalloc-other", &primary_of(FAR_AWAY));
    let found = findings(world, far()).await;
    assert_eq!(troubles(&found), ["displaced_address of far: fail"]);
    assert!(only(&found, CheckId::DisplacedAddress, "far").obstacle().unwrap().contains("203.0.113.11"));
}

#[tokio::test]
async fn an_automatic_public_address_is_a_trap_only_where_it_does_not_come_back() {
    let one = world().automatic_public_ip(&primary_of(FAR_AWAY), "203.0.113.99");
    assert_eq!(troubles(&findings(one, far()).await), ["public_address of far: warn"]);

    let several = world()
        .automatic_public_ip(&primary_of(FAR_AWAY), "203.0.113.99")
        .network_interface("eni-second", "subnet-c", "172.16.12.11")
        .attach("eni-second", FAR_AWAY, 1);
    let found = findings(several, far()).await;
    assert_eq!(troubles(&found), ["public_address of far: fail"]);
    assert!(only(&found, CheckId::PublicAddress, "far").obstacle().unwrap().contains("it gets none back"));
}

#[tokio::test]
async fn an_address_of_another_border_group_fails() {
    let found = findings(World::border_group(unassociated(), ALLOCATION, "ap-northeast-1-tpe-1"), both()).await;
    assert_eq!(troubles(&found), ["border_group of ftp-1: fail", "border_group of ftp-2: fail"]);
}

fn unassociated() -> World {
    World::new("ap-northeast-1")
        .subnet("subnet-a", "ap-northeast-1a", "172.16.11.0/24", "vpc-1")
        .instance(INSTANCE_1, "subnet-a", "172.16.11.10")
        .instance(INSTANCE_2, "subnet-a", "172.16.11.20")
        .elastic_ip(ALLOCATION, "203.0.113.10")
}

#[tokio::test]
async fn an_address_that_a_service_manages_fails() {
    let found = findings(unassociated().service_managed(ALLOCATION, "nlb"), both()).await;
    assert_eq!(troubles(&found), ["resource: fail"]);
}

#[tokio::test]
async fn a_private_address_that_is_not_there_fails() {
    let ip = "172.16.11.99".parse().unwrap();
    let node = Candidate::new(node("ftp-1")).network_interface(primary_of(INSTANCE_1)).private_ip(ip);
    let found = findings(world(), vec![node]).await;
    assert_eq!(troubles(&found)[0], "private_address of ftp-1: fail", "{found:#?}");
    let wanting = Candidate::new(super::node("ftp-1")).instance(INSTANCE_1).private_ip(ip);
    assert_eq!(troubles(&findings(world(), vec![wanting]).await), ["interface of ftp-1: fail"]);
}

#[tokio::test]
async fn an_interface_on_no_instance_could_not_serve() {
    let world = world().network_interface("eni-idle", "subnet-a", "172.16.11.50");
    let node = Candidate::new(node("ftp-1")).network_interface("eni-idle");
    assert_eq!(troubles(&findings(world, vec![node]).await), ["instance of ftp-1: fail"]);
}

#[tokio::test]
async fn each_missing_permission_is_named_and_releasing_is_asked_for_only_with_strict_fencing() {
    for (action, fencing, troubled) in [
        (Action::AssociateAddress, Fencing::Overwrite, vec!["permission of ftp-1: fail", "permission of ftp-2: fail"]),
        (Action::DisassociateAddress, Fencing::Overwrite, vec![]),
        (Action::DisassociateAddress, Fencing::Strict, vec!["permission: fail"]),
    ] {
        let (simulator, ec2) = start(world()).await;
        simulator.faults().set(action, Fault::Denied, When::Always);
        let found = preflight(&ec2, mechanism(fencing), both()).findings().await;
        assert_eq!(troubles(&found), troubled, "{action} {fencing:?}");
    }
}
