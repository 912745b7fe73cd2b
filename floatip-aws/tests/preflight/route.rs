use floatip_aws::RouteTables;
use floatip_aws::simulator::{Action, Fault, When};

use super::*;

const OVERLAY: &str = "10.99.0.1";

fn mechanism(address: &str, tables: &[&str]) -> Mechanism {
    let tables = RouteTables::Ids(tables.iter().map(|id| (*id).to_owned()).collect());
    Mechanism::Route { address: address.parse().unwrap(), tables }
}

fn overlay() -> World {
    [INSTANCE_1, FAR_AWAY]
        .iter()
        .fold(world(), |world, instance| world.source_dest_check(&primary_of(instance), false))
        .route_table("rtb-a", "vpc-1")
        .route_table("rtb-c", "vpc-1")
        .route_table_of("rtb-a", "subnet-a")
        .route_table_of("rtb-c", "subnet-c")
        .route("rtb-a", "10.99.0.1/32", &primary_of(INSTANCE_1))
        .route("rtb-c", "10.99.0.1/32", &primary_of(INSTANCE_1))
}

fn across() -> Vec<Candidate> {
    candidates(&[("ftp-1", INSTANCE_1), ("far", FAR_AWAY)])
}

async fn findings(world: World, mechanism: Mechanism, candidates: Vec<Candidate>) -> Vec<Finding> {
    let (_simulator, ec2) = start(world).await;
    preflight(&ec2, mechanism, candidates).findings().await
}

#[tokio::test]
async fn an_overlay_address_moves_across_zones() {
    let found = findings(overlay(), mechanism(OVERLAY, &["rtb-a", "rtb-c"]), across()).await;
    assert_eq!(troubles(&found), [""; 0], "{found:#?}");
    let permissions = found.iter().filter(|it| it.check == CheckId::Permission).count();
    assert_eq!(permissions, 2, "one for each table");
}

#[tokio::test]
async fn a_candidate_that_drops_foreign_traffic_fails() {
    let nodes = candidates(&[("ftp-1", INSTANCE_1), ("ftp-2", INSTANCE_2)]);
    let found = findings(overlay(), mechanism(OVERLAY, &["rtb-a", "rtb-c"]), nodes).await;
    assert_eq!(troubles(&found), ["source_dest_check of ftp-2: fail"]);
    assert!(only(&found, CheckId::SourceDestCheck, "ftp-2").remedy.unwrap().contains("--no-source-dest-check"));
}

#[tokio::test]
async fn an_address_inside_the_vpc_fails() {
    let found = findings(overlay(), mechanism("172.16.11.30", &["rtb-a", "rtb-c"]), across()).await;
    assert!(troubles(&found).contains(&"overlay: fail".to_owned()), "{found:#?}");
}

#[tokio::test]
async fn a_table_that_is_not_there_fails_and_one_without_the_route_or_left_out_is_warned_of() {
    let found = findings(overlay(), mechanism(OVERLAY, &["rtb-a", "rtb-c", "rtb-none"]), across()).await;
    assert_eq!(troubles(&found), ["route_table: fail"]);
    let more = overlay().subnet("subnet-d", "ap-northeast-1d", "172.16.13.0/24", "vpc-1").route_table("rtb-d", "vpc-1");
    let more = more.route_table_of("rtb-d", "subnet-d");
    let found = findings(more.clone(), mechanism(OVERLAY, &["rtb-a", "rtb-c"]), across()).await;
    assert_eq!(troubles(&found), ["subnets: warn"]);
    assert!(found.iter().any(|it| it.detail.contains("rtb-d (subnet-d)")), "{found:#?}");
    let found = findings(more, mechanism(OVERLAY, &["rtb-a", "rtb-c", "rtb-d"]), across()).await;
    assert_eq!(troubles(&found), ["route_table: warn", "subnets: warn"]);
}

#[tokio::test]
async fn nodes_and_tables_of_different_vpcs_fail() {
    let world =
        overlay().subnet("subnet-v", "ap-northeast-1a", "10.9.0.0/24", "vpc-2").instance("i-v", "subnet-v", "10.9.0.9");
    let world = world.source_dest_check("eni-v-primary", false);
    let found = findings(world, mechanism(OVERLAY, &["rtb-a", "rtb-c"]), candidates(&[("abroad", "i-v")])).await;
    assert_eq!(troubles(&found), ["vpc of abroad: fail"]);
}

#[tokio::test]
async fn the_missing_permission_is_named() {
    let (simulator, ec2) = start(overlay()).await;
    simulator.faults().set(Action::ReplaceRoute, Fault::Denied, When::Always);
    let found = preflight(&ec2, mechanism(OVERLAY, &["rtb-a"]), across()).findings().await;
    assert_eq!(troubles(&found), ["permission: fail"]);
}
