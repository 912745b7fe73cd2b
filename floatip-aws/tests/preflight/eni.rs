use floatip_aws::simulator::{Action, Fault, InstanceState, When};

use super::*;

async fn findings(world: World, candidates: Vec<Candidate>) -> Vec<Finding> {
    let (simulator, ec2) = start(world).await;
    let before = simulator.world();
    let found = preflight(&ec2, mechanism(INTERFACE), candidates).findings().await;
    let after = simulator.world();
    assert_eq!(after.find_interface(INTERFACE), before.find_interface(INTERFACE), "a preflight changes nothing");
    found
}

fn mechanism(network_interface: &str) -> Mechanism {
    Mechanism::Eni { network_interface: network_interface.to_owned(), device_index: 1 }
}

#[tokio::test]
async fn an_account_in_which_all_is_well_passes_every_check() {
    let found = findings(world(), both()).await;
    assert_eq!(troubles(&found), [""; 0], "{found:#?}");
    for check in [CheckId::Zone, CheckId::InterfaceLimit, CheckId::DeviceIndex, CheckId::Permission, CheckId::Vpc] {
        assert_eq!(only(&found, check, "ftp-2").status, Status::Pass);
    }
}

#[tokio::test]
async fn a_node_in_another_zone_fails_with_what_to_do_instead() {
    let found = findings(world(), candidates(&[("ftp-1", INSTANCE_1), ("far", FAR_AWAY)])).await;
    let zone = only(&found, CheckId::Zone, "far");
    assert_eq!(zone.status, Status::Fail);
    assert!(zone.detail.contains("cannot leave its zone"), "{zone:?}");
    assert!(zone.remedy.unwrap().contains("choose an instance in ap-northeast-1a, or move the address by a route"));
    assert_eq!(only(&found, CheckId::Zone, "ftp-1").status, Status::Pass);
}

#[tokio::test]
async fn an_attachment_that_is_deleted_with_its_instance_fails_and_rules_no_node_out() {
    let world = World::new("ap-northeast-1")
        .subnet("subnet-a", "ap-northeast-1a", "172.16.11.0/24", "vpc-1")
        .instance(INSTANCE_1, "subnet-a", "172.16.11.10")
        .instance(INSTANCE_2, "subnet-a", "172.16.11.20")
        .network_interface(INTERFACE, "subnet-a", "172.16.11.30")
        .delete_on_termination(true)
        .attach(INTERFACE, INSTANCE_1, 1);
    let found = findings(world, both()).await;
    assert_eq!(troubles(&found), ["delete_on_termination: fail"]);
    assert!(found.iter().all(|finding| finding.obstacle().is_none()));
    let remedy = found.iter().find(|it| it.status == Status::Fail).unwrap().remedy.clone().unwrap();
    assert!(remedy.contains(INTERFACE) && remedy.contains("DeleteOnTermination=false"), "{remedy}");
}

#[tokio::test]
async fn an_instance_without_a_free_slot_fails_and_a_taken_index_is_warned_of() {
    let world = world()
        .instance_type(INSTANCE_2, "t3.micro")
        .network_interface("eni-other", "subnet-a", "172.16.11.40")
        .attach("eni-other", INSTANCE_2, 1);
    let found = findings(world, both()).await;
    assert_eq!(troubles(&found), ["interface_limit of ftp-2: fail", "device_index of ftp-2: warn"]);
    assert!(only(&found, CheckId::DeviceIndex, "ftp-2").remedy.unwrap().contains("device_index = 2"));
}

#[tokio::test]
async fn what_a_service_manages_or_is_primary_or_of_a_special_type_cannot_move() {
    let found = findings(world().requester_managed(INTERFACE), both()).await;
    assert_eq!(troubles(&found)[0], "resource: fail");
    let found = findings(world().interface_type(INTERFACE, "trunk"), both()).await;
    assert_eq!(troubles(&found), ["resource: fail"]);
    let (_simulator, ec2) = start(world()).await;
    let found = preflight(&ec2, mechanism(&primary_of(INSTANCE_2)), both()).findings().await;
    assert!(troubles(&found).contains(&"primary_interface: fail".to_owned()), "{found:#?}");
}

#[tokio::test]
async fn an_ended_instance_fails_a_stopped_one_is_warned_of_and_an_unknown_one_is_named() {
    let world =
        world().instance_state(INSTANCE_2, InstanceState::Stopped).instance_state(FAR_AWAY, InstanceState::Terminated);
    let nodes = [("ftp-1", INSTANCE_1), ("stopped", INSTANCE_2), ("ended", FAR_AWAY), ("gone", "i-0000000000000dead")];
    let found = findings(world, candidates(&nodes)).await;
    assert_eq!(only(&found, CheckId::Instance, "stopped").status, Status::Warn);
    assert_eq!(only(&found, CheckId::Instance, "ended").status, Status::Fail);
    let gone = only(&found, CheckId::Instance, "gone");
    assert!(gone.status == Status::Fail && gone.detail.contains("i-0000000000000dead"), "{gone:?}");
}

#[tokio::test]
async fn another_vpc_is_warned_of() {
    let world =
        world().subnet("subnet-v", "ap-northeast-1a", "10.9.0.0/24", "vpc-2").instance("i-v", "subnet-v", "10.9.0.9");
    let found = findings(world, candidates(&[("ftp-1", INSTANCE_1), ("abroad", "i-v")])).await;
    assert_eq!(troubles(&found), ["vpc of abroad: warn"]);
}

#[tokio::test]
async fn each_missing_permission_is_named() {
    let denied = [
        (Action::AttachNetworkInterface, vec!["permission of ftp-1: fail", "permission of ftp-2: fail"]),
        (Action::DetachNetworkInterface, vec!["permission: fail"]),
        (Action::ModifyNetworkInterfaceAttribute, vec!["delete_on_termination: fail"]),
    ];
    for (action, troubled) in denied {
        let (simulator, ec2) = start(world()).await;
        simulator.faults().set(action, Fault::Denied, When::Always);
        let found = preflight(&ec2, mechanism(INTERFACE), both()).findings().await;
        assert_eq!(troubles(&found), troubled);
        let failed = found.iter().find(|it| it.status == Status::Fail).unwrap();
        assert!(failed.remedy.as_ref().unwrap().contains(&format!("ec2:{action}")), "{failed:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown_and_no_obstacle() {
    for action in [Action::DescribeNetworkInterfaces, Action::DescribeInstances, Action::DescribeInstanceTypes] {
        for fault in [Fault::InternalError, Fault::Throttled, Fault::Denied] {
            let (simulator, ec2) = start(world()).await;
            simulator.faults().set(action, fault, When::Always);
            let found = preflight(&ec2, mechanism(INTERFACE), both()).findings().await;
            assert!(found.iter().any(|it| it.status == Status::Unknown), "{action}: {found:#?}");
            assert!(found.iter().all(|it| it.obstacle().is_none()), "{action}: {found:#?}");
        }
    }
}
