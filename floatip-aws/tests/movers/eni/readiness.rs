use super::*;

#[tokio::test]
async fn a_node_in_another_zone_is_impossible_with_what_to_do() {
    let (_simulator, ec2) = instant(world()).await;
    let mover = mover(&ec2);
    let reason = impossible(&mover, "far").await;
    for part in ["ap-northeast-1a", "ap-northeast-1c", "choose an instance in ap-northeast-1a"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(class(mover.claim(&node("far"), &Placement::Free).await), "impossible");
}

#[tokio::test]
async fn a_node_in_another_vpc_of_the_zone_can_take_the_interface() {
    let world =
        world().subnet("subnet-v", "ap-northeast-1a", "10.9.0.0/24", "vpc-2").instance("i-v", "subnet-v", "10.9.0.9");
    let (simulator, ec2) = instant(world).await;
    let mover = EniMover::new(ec2, INTERFACE, 1, [(node("ftp-1"), "i-v")]).unwrap();
    assert_eq!(mover.ready(&node("ftp-1")).await.unwrap(), Readiness::Ready);
    mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap();
    assert_eq!(holder(&simulator).as_deref(), Some("i-v"));
}

#[tokio::test]
async fn an_instance_without_a_free_slot_is_impossible_and_the_one_that_holds_the_interface_is_not() {
    let world = world()
        .instance_type(INSTANCE_1, "t3.micro")
        .instance_type(INSTANCE_2, "t3.micro")
        .network_interface("eni-other", "subnet-a", "172.16.11.40")
        .attach("eni-other", INSTANCE_2, 1)
        .attach(INTERFACE, INSTANCE_1, 1);
    let (simulator, ec2) = instant(world).await;
    let mover = mover(&ec2);
    assert_eq!(mover.ready(&node("ftp-1")).await.unwrap(), Readiness::Ready);
    let reason = impossible(&mover, "ftp-2").await;
    assert!(reason.contains("t3.micro allows 2"), "{reason}");
    simulator.console().detach(INTERFACE, false).unwrap();
    assert_eq!(class(mover.claim(&node("ftp-2"), &Placement::Free).await), "impossible");
}

#[tokio::test]
async fn an_ended_or_unknown_instance_is_impossible_and_a_stopped_one_is_not() {
    let world = world()
        .instance_state(INSTANCE_1, InstanceState::Terminated)
        .instance_state(INSTANCE_2, InstanceState::Stopped);
    let (_simulator, ec2) = instant(world).await;
    let nodes = [(node("ended"), INSTANCE_1), (node("stopped"), INSTANCE_2), (node("unknown"), "i-0000000000000dead")];
    let mover = EniMover::new(ec2, INTERFACE, 1, nodes).unwrap();
    assert!(impossible(&mover, "ended").await.contains("is terminated"));
    assert!(impossible(&mover, "unknown").await.contains("is not in ap-northeast-1"));
    assert_eq!(mover.ready(&node("stopped")).await.unwrap(), Readiness::Ready);
    assert_eq!(class(mover.claim(&node("ended"), &Placement::Free).await), "impossible");
}

#[tokio::test]
async fn an_interface_that_a_service_manages_or_that_is_primary_cannot_move_at_all() {
    let (_simulator, ec2) = instant(world().requester_managed(INTERFACE)).await;
    assert!(impossible(&mover(&ec2), "ftp-1").await.contains("managed by an AWS service"));
    let mover = EniMover::new(ec2, &primary_of(INSTANCE_2), 1, [(node("ftp-1"), INSTANCE_1)]).unwrap();
    assert!(impossible(&mover, "ftp-1").await.contains("primary interface"));
    assert_eq!(class(mover.release(&mover.locate().await.unwrap(), ReleaseMode::Graceful).await), "impossible");
}

#[tokio::test]
async fn readiness_that_cannot_be_read_is_unknown_not_impossible() {
    for action in [Action::DescribeNetworkInterfaces, Action::DescribeInstances, Action::DescribeInstanceTypes] {
        let (simulator, ec2) = instant(world()).await;
        next(&simulator, action, Fault::InternalError);
        assert_eq!(class(mover(&ec2).ready(&node("ftp-1")).await), "timed out", "{action}");
    }
}
