use std::time::Duration;

use aws_sdk_ec2::types::Route;
use floatip_aws::simulator::{Change, Timings, World};
use tokio::time::Instant;

use crate::{Lab, code, code_and_message, filter, soon, two_servers};

const OVERLAY: &str = "10.99.0.1/32";

fn routed() -> World {
    let world = two_servers().route_table("rtb-1", "vpc-1").route_table("rtb-2", "vpc-1").tag("rtb-2", "tier", "ftp");
    world.route("rtb-1", OVERLAY, "eni-1-primary")
}

impl Lab {
    async fn route(&self, table: &str, destination: &str) -> Option<Route> {
        let reply = self.ec2.describe_route_tables().filters(filter("route-table-id", table)).send().await;
        let tables = reply.expect("described").route_tables.unwrap_or_default();
        let routes = tables.into_iter().next().expect("one table").routes.unwrap_or_default();
        let named =
            |it: &Route| [it.destination_cidr_block(), it.destination_ipv6_cidr_block()].contains(&Some(destination));
        routes.into_iter().find(named)
    }

    async fn create(&self, table: &str, destination: &str, interface: &str) -> Result<(), (String, String)> {
        let call = self.ec2.create_route().route_table_id(table).network_interface_id(interface);
        let call = if destination.contains("::") {
            call.destination_ipv6_cidr_block(destination)
        } else {
            call.destination_cidr_block(destination)
        };
        match call.send().await {
            Ok(_) => Ok(()),
            refused @ Err(_) => Err(code_and_message(refused)),
        }
    }

    async fn replace(&self, table: &str, interface: &str) -> Result<(), (String, String)> {
        let call = self.ec2.replace_route().route_table_id(table).destination_cidr_block(OVERLAY);
        match call.network_interface_id(interface).send().await {
            Ok(_) => Ok(()),
            refused @ Err(_) => Err(code_and_message(refused)),
        }
    }
}

#[tokio::test]
async fn a_route_leads_to_an_interface_and_is_a_black_hole_without_its_instance() {
    let lab = Lab::start(routed(), Timings::instant()).await;
    let route = lab.route("rtb-1", OVERLAY).await.expect("a route");
    assert_eq!(route.network_interface_id(), Some("eni-1-primary"));
    assert_eq!(route.instance_id(), Some("i-1"));
    assert_eq!(route.state().map(|state| state.as_str()), Some("active"));
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-1", OVERLAY), Some("i-1"));
    lab.simulator.console().terminate("i-1").expect("accepted");
    let route = lab.route("rtb-1", OVERLAY).await.expect("a route");
    assert_eq!((route.network_interface_id(), route.instance_id()), (Some("eni-1-primary"), None));
    assert_eq!(route.state().map(|state| state.as_str()), Some("blackhole"));
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-1", OVERLAY), None);
}

#[tokio::test]
async fn a_table_shows_the_local_routes_of_its_vpc() {
    let lab = Lab::start(routed(), Timings::instant()).await;
    let local = lab.route("rtb-2", "172.16.11.0/24").await.expect("a local route");
    assert_eq!(local.gateway_id(), Some("local"));
}

#[tokio::test]
async fn a_route_is_created_once_and_replaced_only_where_it_is() {
    let lab = Lab::start(routed(), Timings::instant()).await;
    assert_eq!(lab.create("rtb-1", OVERLAY, "eni-2-primary").await.expect_err("it is there").0, "RouteAlreadyExists");
    lab.create("rtb-1", OVERLAY, "eni-1-primary").await.expect("the same route");
    lab.replace("rtb-1", "eni-3-primary").await.expect("another zone is no obstacle");
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-1", OVERLAY), Some("i-3"));
    let (code, message) = lab.replace("rtb-2", "eni-2-primary").await.expect_err("none is there");
    assert_eq!(code, "InvalidParameterValue");
    assert!(message.starts_with("There is no route defined for '10.99.0.1/32'"), "{message}");
    lab.create("rtb-2", OVERLAY, "eni-2-primary").await.expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-2", OVERLAY), Some("i-2"));
}

#[tokio::test]
async fn a_deleted_route_is_gone() {
    let lab = Lab::start(routed(), Timings::instant()).await;
    let delete = || lab.ec2.delete_route().route_table_id("rtb-1").destination_cidr_block(OVERLAY);
    delete().send().await.expect("accepted");
    assert_eq!(lab.route("rtb-1", OVERLAY).await, None);
    assert_eq!(code(delete().send().await), "InvalidRoute.NotFound");
}

#[tokio::test]
async fn routes_of_ipv6_are_apart() {
    let lab = Lab::start(routed(), Timings::instant()).await;
    lab.create("rtb-1", "fd99::1/128", "eni-2-primary").await.expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-1", "fd99::1/128"), Some("i-2"));
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-1", OVERLAY), Some("i-1"));
}

#[tokio::test]
async fn a_route_within_the_vpc_or_to_another_vpc_is_refused() {
    let world = routed().subnet("subnet-x", "ap-northeast-1a", "192.168.0.0/24", "vpc-2").instance(
        "i-x",
        "subnet-x",
        "192.168.0.1",
    );
    let lab = Lab::start(world, Timings::instant()).await;
    let (code, message) = lab.create("rtb-2", "172.16.11.99/32", "eni-1-primary").await.expect_err("within the VPC");
    assert_eq!(code, "InvalidParameterValue");
    assert!(message.contains("is more specific than one of this VPC's CIDR blocks"), "{message}");
    let (_, message) = lab.create("rtb-2", OVERLAY, "eni-x-primary").await.expect_err("another VPC");
    assert!(message.contains("belong to different networks"), "{message}");
    assert_eq!(
        lab.create("rtb-none", OVERLAY, "eni-1-primary").await.expect_err("no table").0,
        "InvalidRouteTableID.NotFound"
    );
    assert_eq!(
        lab.create("rtb-2", OVERLAY, "eni-none").await.expect_err("no interface").0,
        "InvalidNetworkInterfaceID.NotFound"
    );
}

#[tokio::test]
async fn a_dry_run_of_a_route_changes_nothing() {
    let lab = Lab::start(routed(), Timings::instant()).await;
    let call = lab.ec2.replace_route().route_table_id("rtb-1").destination_cidr_block(OVERLAY).dry_run(true);
    assert_eq!(code(call.network_interface_id("eni-2-primary").send().await), "DryRunOperation");
    let call = lab.ec2.create_route().route_table_id("rtb-2").destination_cidr_block(OVERLAY).dry_run(true);
    assert_eq!(code(call.network_interface_id("eni-2-primary").send().await), "DryRunOperation");
    let call = lab.ec2.delete_route().route_table_id("rtb-1").destination_cidr_block(OVERLAY).dry_run(true);
    assert_eq!(code(call.send().await), "DryRunOperation");
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-1", OVERLAY), Some("i-1"));
    assert_eq!(lab.simulator.changes(), []);
}

#[tokio::test]
async fn route_tables_are_found_by_filters_in_pages_of_a_hundred() {
    let lab = Lab::start(routed(), Timings::instant()).await;
    let found = async |name, value| {
        let reply = lab.ec2.describe_route_tables().filters(filter(name, value)).send().await.expect("described");
        reply.route_tables().iter().map(|it| it.route_table_id().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("tag:tier", "ftp").await, ["rtb-2"]);
    assert_eq!(found("vpc-id", "vpc-1").await, ["rtb-1", "rtb-2"]);
    assert_eq!(found("route.destination-cidr-block", OVERLAY).await, ["rtb-1"]);
    assert_eq!(code(lab.ec2.describe_route_tables().max_results(101).send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn the_data_plane_follows_a_route_after_its_propagation() {
    let delay = Duration::from_millis(200);
    let lab = Lab::start(routed(), Timings::instant().route_propagation(delay)).await;
    let sent = Instant::now();
    lab.replace("rtb-1", "eni-2-primary").await.expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-1", OVERLAY), Some("i-2"), "the API shows it at once");
    let told = async {
        while lab.simulator.changes().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon(told).await;
    let (at, change) = lab.simulator.changes().remove(0);
    assert!(at.duration_since(sent) >= delay);
    let led = Change::Routed {
        table: "rtb-1".into(),
        destination: OVERLAY.into(),
        network_interface: "eni-2-primary".into(),
        instance: Some("i-2".into()),
    };
    assert_eq!(change, led);
}

#[tokio::test]
async fn a_table_that_is_denied_keeps_its_routes_and_the_others_do_not() {
    let lab = Lab::start(routed(), Timings::instant()).await;
    lab.simulator.faults().deny_route_table("rtb-1");
    assert_eq!(lab.replace("rtb-1", "eni-2-primary").await.expect_err("denied").0, "UnauthorizedOperation");
    let dry_run = lab.ec2.replace_route().route_table_id("rtb-1").destination_cidr_block(OVERLAY);
    let dry_run = dry_run.network_interface_id("eni-2-primary").dry_run(true).send().await;
    assert_eq!(code_and_message(dry_run).0, "UnauthorizedOperation");
    lab.create("rtb-2", OVERLAY, "eni-2-primary").await.expect("another table");
    assert_eq!(lab.simulator.world().carrier_of_route("rtb-1", OVERLAY), Some("i-1"));
    lab.simulator.faults().clear();
    lab.replace("rtb-1", "eni-2-primary").await.expect("permitted again");
}
