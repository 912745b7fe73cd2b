use std::sync::Arc;
use std::time::Duration;

use floatip_aws::EniMover;
use floatip_aws::simulator::{Action, Fault, When};
use floatip_core::{AddressMover, Placement, Readiness, ReleaseMode};

use super::*;

fn guarded(ec2: &Ec2) -> Arc<dyn AddressMover> {
    let nodes = [(node("ftp-1"), INSTANCE_1), (node("ftp-2"), INSTANCE_2)];
    let mover = EniMover::new(ec2.clone(), INTERFACE, 1, nodes).unwrap();
    let mechanism = Mechanism::Eni { network_interface: INTERFACE.to_owned(), device_index: 1 };
    preflight(ec2, mechanism, both()).guard(Arc::new(mover))
}

#[tokio::test]
async fn a_missing_permission_makes_a_node_no_candidate_until_it_is_granted() {
    let (simulator, ec2) = start(world()).await;
    let mover = guarded(&ec2);
    assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
    simulator.faults().set(Action::AttachNetworkInterface, Fault::Denied, When::Always);
    let Readiness::Impossible { reason } = mover.ready(&node("ftp-2")).await.unwrap() else { panic!("it is ready") };
    assert!(reason.contains("allow ec2:AttachNetworkInterface"), "{reason}");
    simulator.faults().clear();
    assert_eq!(mover.ready(&node("ftp-2")).await.unwrap(), Readiness::Ready);
    assert_eq!(simulator.journal().count(Action::AttachNetworkInterface), 0, "only dry runs were made");
}

#[tokio::test]
async fn what_only_the_preflight_cannot_find_out_is_no_obstacle() {
    let (simulator, ec2) = start(world()).await;
    let mover = guarded(&ec2);
    let hang = Fault::Latency(Duration::from_secs(30));
    simulator.faults().set(Action::DescribeInstanceTypes, hang, When::Number(2));
    let limit = mover.capabilities().call_timeout + Duration::from_millis(400);
    let ready = tokio::time::timeout(limit, mover.ready(&node("ftp-2"))).await.expect("in time");
    // Whichever of the two asked second: the mover itself, which then does not know, or the preflight.
    assert!(!matches!(ready, Ok(Readiness::Impossible { .. })), "{ready:?}");
}

#[tokio::test]
async fn it_moves_as_the_mover_does() {
    let (simulator, ec2) = start(world()).await;
    let mover = guarded(&ec2);
    assert!(mover.serves(&node("ftp-1")) && !mover.serves(&node("nobody")));
    let seen = mover.locate().await.unwrap();
    assert_eq!(seen.holder(), Some(&node("ftp-1")));
    mover.release(&seen, ReleaseMode::Graceful).await.unwrap();
    mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
    assert_eq!(simulator.world().find_interface(INTERFACE).unwrap().carrier(), Some(INSTANCE_2));
}
