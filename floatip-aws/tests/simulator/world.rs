use std::error::Error;

use floatip_aws::simulator::{InstanceState, Simulator, StartError, Timings, World, WorldError};

use crate::two_servers;

async fn mistake(world: World) -> WorldError {
    let error = Simulator::start(world, Timings::instant()).await.expect_err("a mistake");
    let StartError::World(mistake) = error else { panic!("{error}") };
    mistake
}

#[tokio::test]
async fn a_world_refers_only_to_what_it_has() {
    let unknown = |what: &str| WorldError::Unknown(what.to_owned());
    assert_eq!(mistake(two_servers().instance("i-9", "subnet-none", "172.16.11.90")).await, unknown("subnet-none"));
    assert_eq!(mistake(two_servers().instance_type("i-none", "m5.large")).await, unknown("i-none"));
    assert_eq!(mistake(two_servers().tag("eipalloc-none", "a", "b")).await, unknown("eipalloc-none"));
}

#[tokio::test]
async fn a_world_has_nothing_twice() {
    let twice = |what: &str| WorldError::Twice(what.to_owned());
    let again = two_servers().network_interface("eni-float", "subnet-a", "172.16.11.31");
    assert_eq!(mistake(again).await, twice("eni-float"));
    assert_eq!(
        mistake(two_servers().network_interface("eni-2", "subnet-a", "172.16.11.30")).await,
        twice("172.16.11.30")
    );
    assert_eq!(mistake(two_servers().elastic_ip("eipalloc-2", "203.0.113.10")).await, twice("203.0.113.10"));
}

#[tokio::test]
async fn a_world_has_well_formed_ids_and_addresses() {
    assert_eq!(mistake(two_servers().elastic_ip("eip-1", "203.0.113.1")).await, WorldError::Malformed("eip-1".into()));
    assert_eq!(
        mistake(two_servers().network_interface("eni-", "subnet-a", "172.16.11.31")).await,
        WorldError::Malformed("eni-".into())
    );
    let outside = two_servers().network_interface("eni-2", "subnet-a", "172.16.12.31");
    assert_eq!(mistake(outside).await, WorldError::Address("172.16.12.31".into(), "172.16.11.0/24".into()));
    let range = World::new("ap-northeast-1").subnet("subnet-a", "ap-northeast-1a", "172.16.11.1/24", "vpc-1");
    assert_eq!(mistake(range).await, WorldError::Range("172.16.11.1/24".into()));
    assert_eq!(
        mistake(two_servers().instance_type("i-1", "m5.tiny")).await,
        WorldError::InstanceType("m5.tiny".into())
    );
}

#[tokio::test]
async fn a_world_begins_with_nothing_that_ec2_would_refuse() {
    let world = two_servers().network_interface("eni-2", "subnet-a", "172.16.11.31").attach("eni-2", "i-3", 1);
    let error = Simulator::start(world, Timings::instant()).await.expect_err("another zone");
    let refused = error.source().and_then(|mistake| mistake.source()).expect("what EC2 would say").to_string();
    assert!(refused.starts_with("InvalidParameterCombination"), "{refused}");
}

#[tokio::test]
async fn a_world_shows_how_it_was_built() {
    let simulator = Simulator::start(two_servers().instance_state("i-3", InstanceState::Stopped), Timings::instant())
        .await
        .expect("starts");
    let world = simulator.world();
    assert_eq!(world.region(), "ap-northeast-1");
    assert_eq!(world.find_instance("i-3").map(|instance| instance.state), Some(InstanceState::Stopped));
    assert_eq!(world.carrier_of([172, 16, 11, 30].into()), Some("i-1"));
    assert_eq!(world.carrier_of_address("eipalloc-1"), Some("i-1"));
    assert_eq!(world.find_interface("eni-1-primary").map(|one| one.primary_ip()), Some([172, 16, 11, 10].into()));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let first = Simulator::start(two_servers(), Timings::instant()).await.expect("starts");
    let port = first.endpoint_url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let error = Simulator::start_on(port, two_servers(), Timings::instant()).await.expect_err("taken");
    assert!(matches!(error, StartError::Listen { address, .. } if address.port() == port), "{error}");
    drop(first);
}
