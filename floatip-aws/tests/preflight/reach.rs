use std::time::Duration;

use floatip_aws::preflight::reach;
use floatip_aws::simulator::{Fault, Scope, When};

use super::*;

async fn statuses(simulator: &Simulator, ec2: &Ec2) -> Vec<(CheckId, Status)> {
    simulator.journal().clear();
    reach(ec2).await.iter().map(|finding| (finding.check, finding.status)).collect()
}

#[tokio::test]
async fn the_way_to_ec2_and_its_clock_are_checked() {
    let (simulator, ec2) = start(world()).await;
    let well = [(CheckId::RoundTrip, Status::Pass), (CheckId::Clock, Status::Pass)];
    assert_eq!(statuses(&simulator, &ec2).await, well);

    simulator.clock_ahead(90);
    let slow = [(CheckId::RoundTrip, Status::Pass), (CheckId::Clock, Status::Warn)];
    assert_eq!(statuses(&simulator, &ec2).await, slow);

    simulator.clock_ahead(0);
    simulator.faults().set(Scope::Every, Fault::Latency(Duration::from_millis(700)), When::Always);
    assert_eq!(statuses(&simulator, &ec2).await[0], (CheckId::RoundTrip, Status::Warn));
}

#[tokio::test]
async fn a_clock_so_wrong_that_requests_are_refused_is_told_from_the_refusal() {
    let (simulator, ec2) = start(world()).await;
    simulator.clock_ahead(-900);
    let found = reach(&ec2).await;
    assert_eq!(found[0].status, Status::Unknown, "{found:#?}");
    assert!(found[0].detail.contains("RequestExpired"), "{found:#?}");
    assert_eq!(found[1].status, Status::Fail);
    assert!(found[1].detail.contains("s ahead of EC2's"), "{found:#?}");
}

#[tokio::test]
async fn a_silent_api_is_unknown_in_time() {
    let (simulator, ec2) = start(world()).await;
    simulator.faults().black_hole();
    let unknown = [(CheckId::RoundTrip, Status::Unknown), (CheckId::Clock, Status::Unknown)];
    assert_eq!(statuses(&simulator, &ec2).await, unknown);
}
