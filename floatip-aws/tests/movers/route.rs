use floatip_aws::simulator::{Action, Fault, Simulator, World};
use floatip_aws::{Ec2, NodeInterface, RouteMover, RouteTables, SetupError};
use floatip_core::{AddressMover, MoveError, Placement, Readiness, Strategy, chain};

use super::*;

const TABLES: [&str; 3] = ["rtb-0a1b2c3d4e5f60021", "rtb-0a1b2c3d4e5f60022", "rtb-0a1b2c3d4e5f60023"];
const OVERLAY: &str = "10.99.0.1";
const DESTINATION: &str = "10.99.0.1/32";

fn tables() -> RouteTables {
    RouteTables::Ids(TABLES.map(str::to_owned).to_vec())
}

fn mover_of(ec2: &Ec2, address: &str, tables: RouteTables) -> RouteMover {
    let builder = RouteMover::builder(ec2.clone(), address.parse().unwrap(), tables);
    let nodes = [("ftp-1", INSTANCE_1), ("ftp-2", INSTANCE_2), ("far", FAR_AWAY)];
    let builder = nodes
        .into_iter()
        .fold(builder, |builder, (name, instance)| builder.node(node(name), NodeInterface::new().instance(instance)));
    builder.build().unwrap()
}

fn mover(ec2: &Ec2) -> RouteMover {
    mover_of(ec2, OVERLAY, tables())
}

/// Three tables without the route, and nodes that could take it.
fn without_routes() -> World {
    let world =
        TABLES.into_iter().fold(world(), |world, table| world.route_table(table, "vpc-1").tag(table, "ha", "ftp"));
    let nodes = [INSTANCE_1, INSTANCE_2, FAR_AWAY];
    nodes.into_iter().fold(world, |world, instance| world.source_dest_check(&primary_of(instance), false))
}

fn to_ftp_1() -> World {
    let interface = primary_of(INSTANCE_1);
    TABLES.into_iter().fold(without_routes(), |world, table| world.route(table, DESTINATION, &interface))
}

fn carriers(simulator: &Simulator) -> Vec<Option<String>> {
    let world = simulator.world();
    TABLES.map(|table| world.carrier_of_route(table, DESTINATION).map(str::to_owned)).to_vec()
}

fn all_on(instance: &str) -> Vec<Option<String>> {
    vec![Some(instance.to_owned()); TABLES.len()]
}

async fn impossible(mover: &RouteMover, name: &str) -> String {
    let readiness = mover.ready(&node(name)).await.unwrap();
    let Readiness::Impossible { reason } = readiness else { panic!("{readiness:?}") };
    reason
}

#[tokio::test]
async fn a_claim_leads_every_table_to_a_node_in_another_zone() {
    let (simulator, ec2) = instant(to_ftp_1()).await;
    let mover = mover(&ec2);
    assert_eq!(mover.capabilities().strategy, Strategy::Overwrite);
    let seen = mover.locate().await.unwrap();
    assert_eq!(seen.holder(), Some(&node("ftp-1")));
    assert_eq!(mover.ready(&node("far")).await.unwrap(), Readiness::Ready);
    let accepted = mover.claim(&node("far"), &seen).await.unwrap();
    assert_eq!(carriers(&simulator), all_on(FAR_AWAY));
    assert_eq!(simulator.journal().count(Action::ReplaceRoute), 3);
    let now = mover.locate().await.unwrap();
    assert_eq!(now.holder(), Some(&node("far")));
    assert_eq!(accepted.token.as_ref(), now.token());
}

#[tokio::test]
async fn a_free_address_gets_its_route_in_every_table_and_of_two_claims_one_wins_as_a_whole() {
    for _ in 0..8 {
        let (simulator, ec2) = instant(without_routes()).await;
        let (one, two) = (mover(&ec2), mover(&ec2));
        assert_eq!(one.locate().await.unwrap(), Placement::Free);
        let (far, near) = (node("far"), node("ftp-2"));
        let (far, near) = tokio::join!(one.claim(&far, &Placement::Free), two.claim(&near, &Placement::Free));
        let winner = match (class(far), class(near)) {
            ("ok", "conflict") => FAR_AWAY,
            ("conflict", "ok") => INSTANCE_2,
            others => panic!("{others:?}"),
        };
        assert_eq!(carriers(&simulator), all_on(winner));
    }
}

#[tokio::test]
async fn a_partial_change_is_known_told_by_table_and_repaired_by_the_next_claim() {
    let (simulator, ec2) = instant(to_ftp_1()).await;
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();
    simulator.faults().deny_route_table(TABLES[1]);
    let error = mover.claim(&node("ftp-2"), &seen).await.unwrap_err();
    assert!(error.may_have_changed(), "some were changed: {error}");
    let story = chain(&error);
    assert_eq!(TABLES.map(|table| story.contains(table)), [false, true, false], "{story}");
    let MoveError::Partly { left, .. } = error else { panic!("{story}") };
    let [left] = &left[..] else { panic!("{story}") };
    assert!(left.part == TABLES[1] && matches!(left.error, MoveError::Denied { .. }), "{story}");

    let split = mover.locate().await.unwrap();
    let Placement::Split { parts, .. } = &split else { panic!("{split}") };
    assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), TABLES);
    assert_eq!(parts.iter().filter(|part| part.node == Some(node("ftp-2"))).count(), 2, "{split}");
    assert_eq!(parts.iter().filter(|part| part.node == Some(node("ftp-1"))).count(), 1, "{split}");

    let answer = mover.claim(&node("ftp-2"), &split).await;
    assert!(matches!(answer, Err(MoveError::Denied { .. })), "nothing else is left: {answer:?}");
    simulator.faults().clear();
    let before = simulator.journal().count(Action::ReplaceRoute);
    mover.claim(&node("ftp-2"), &split).await.unwrap();
    assert_eq!(simulator.journal().count(Action::ReplaceRoute), before + 1, "only what was left");
    assert_eq!(carriers(&simulator), all_on(INSTANCE_2));
}

#[tokio::test]
async fn a_free_address_gets_its_route_in_the_tables_that_allow_it() {
    for denied in 0..TABLES.len() {
        let (simulator, ec2) = instant(without_routes()).await;
        let mover = mover(&ec2);
        simulator.faults().deny_route_table(TABLES[denied]);
        let error = mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap_err();
        let MoveError::Partly { left, .. } = &error else { panic!("{error:?}") };
        assert_eq!(left.iter().map(|left| left.part.as_str()).collect::<Vec<_>>(), [TABLES[denied]]);
        let mut wanted = all_on(INSTANCE_2);
        wanted[denied] = None;
        assert_eq!(carriers(&simulator), wanted);
    }
}

#[tokio::test]
async fn a_refusal_of_the_last_table_is_told_as_what_it_is() {
    let (simulator, ec2) = instant(to_ftp_1()).await;
    let mover = mover(&ec2);
    simulator.console().route(TABLES[1], DESTINATION, &primary_of(INSTANCE_2)).unwrap();
    simulator.console().route(TABLES[2], DESTINATION, &primary_of(INSTANCE_2)).unwrap();
    let split = mover.locate().await.unwrap();
    next(&simulator, Action::ReplaceRoute, Fault::Denied);
    let error = mover.claim(&node("ftp-2"), &split).await.unwrap_err();
    assert!(matches!(&error, MoveError::Denied { resource, .. } if resource.contains(TABLES[0])), "{error}");
}

#[tokio::test]
async fn a_table_without_the_route_is_a_part_that_a_claim_creates() {
    let (simulator, ec2) = instant(to_ftp_1()).await;
    let mover = mover(&ec2);
    simulator.console().delete_route(TABLES[1], DESTINATION).unwrap();
    let split = mover.locate().await.unwrap();
    assert!(split.to_string().contains(&format!("{} on no node (no route)", TABLES[1])), "{split}");
    mover.claim(&node("ftp-1"), &split).await.unwrap();
    assert_eq!(simulator.journal().count(Action::CreateRoute), 1);
    assert_eq!(simulator.journal().count(Action::ReplaceRoute), 0);
    assert_eq!(carriers(&simulator), all_on(INSTANCE_1));
}

#[tokio::test]
async fn a_black_hole_is_the_nodes_while_its_interface_is_known_and_else_counts_as_no_route() {
    let (simulator, ec2) = instant(to_ftp_1()).await;
    let mover = mover(&ec2);
    assert_eq!(mover.ready(&node("ftp-1")).await.unwrap(), Readiness::Ready);
    simulator.console().terminate(INSTANCE_1).unwrap();
    assert_eq!(mover.locate().await.unwrap().holder(), Some(&node("ftp-1")), "it was looked up before");

    let mover = self::mover(&ec2);
    assert_eq!(mover.locate().await.unwrap(), Placement::Free);
    mover.claim(&node("ftp-2"), &Placement::Free).await.unwrap();
    assert_eq!(carriers(&simulator), all_on(INSTANCE_2));
    assert_eq!(simulator.journal().count(Action::CreateRoute), 0);
}

#[tokio::test]
async fn a_route_to_what_is_no_node_is_a_strangers_in_whichever_table() {
    let (simulator, ec2) = instant(to_ftp_1().attach(INTERFACE, INSTANCE_2, 1)).await;
    simulator.console().route(TABLES[2], DESTINATION, INTERFACE).unwrap();
    let placement = mover(&ec2).locate().await.unwrap();
    // The instance is a node's, but not by this interface: it may not even take what comes that way.
    let Placement::Split { .. } = placement else { panic!("{placement}") };

    let mover = RouteMover::builder(ec2, OVERLAY.parse().unwrap(), tables());
    let mover = mover.node(node("ftp-1"), NodeInterface::new().network_interface(primary_of(INSTANCE_1)));
    let placement = mover.build().unwrap().locate().await.unwrap();
    let Placement::Stranger { description, .. } = placement else { panic!("{placement}") };
    assert_eq!(description, format!("{} leads to {INTERFACE}", TABLES[2]));
}

#[tokio::test]
async fn a_claim_of_what_has_moved_meanwhile_is_a_conflict_and_not_sent() {
    let (simulator, ec2) = instant(to_ftp_1()).await;
    let mover = mover(&ec2);
    let seen = mover.locate().await.unwrap();
    simulator.console().route(TABLES[1], DESTINATION, &primary_of(FAR_AWAY)).unwrap();
    assert_eq!(class(mover.claim(&node("ftp-2"), &seen).await), "conflict");
    assert_eq!(simulator.journal().count(Action::ReplaceRoute), 0);
}

#[tokio::test]
async fn tables_are_found_by_their_tag_and_a_new_one_is_noticed() {
    let (simulator, ec2) = instant(to_ftp_1().route_table("rtb-late", "vpc-1")).await;
    let by = |value: &str| RouteTables::Tag { key: "ha".into(), value: value.into() };
    let mover = mover_of(&ec2, OVERLAY, by("ftp"));
    let seen = mover.locate().await.unwrap();
    assert_eq!(seen.holder(), Some(&node("ftp-1")));
    mover.claim(&node("ftp-2"), &seen).await.unwrap();
    assert_eq!(carriers(&simulator), all_on(INSTANCE_2));
    assert_eq!(class(mover_of(&ec2, OVERLAY, by("none")).locate().await), "not found");
}

#[tokio::test]
async fn a_table_that_is_missing_makes_the_placement_unknown() {
    let (_simulator, ec2) = instant(to_ftp_1()).await;
    let ids = vec![TABLES[0].to_owned(), "rtb-0000000000000dead".to_owned()];
    let error = mover_of(&ec2, OVERLAY, RouteTables::Ids(ids)).locate().await.unwrap_err();
    assert!(chain(&error).contains("rtb-0000000000000dead is not in"), "{}", chain(&error));
}

#[tokio::test]
async fn an_ipv6_overlay_address_moves_as_well() {
    let (simulator, ec2) = instant(without_routes()).await;
    let mover = mover_of(&ec2, "fd99::1", tables());
    mover.claim(&node("ftp-1"), &Placement::Free).await.unwrap();
    let seen = mover.locate().await.unwrap();
    mover.claim(&node("far"), &seen).await.unwrap();
    let world = simulator.world();
    assert_eq!(TABLES.map(|table| world.carrier_of_route(table, "fd99::1/128")), [Some(FAR_AWAY); 3]);
}

#[tokio::test]
async fn a_node_is_not_ready_that_would_drop_the_packets_or_has_no_instance() {
    let (simulator, ec2) = instant(to_ftp_1()).await;
    let mover = mover(&ec2);
    simulator.console().source_dest_check(&primary_of(INSTANCE_2), true).unwrap();
    let reason = impossible(&mover, "ftp-2").await;
    assert!(reason.contains("checks source and destination") && reason.contains("--no-source-dest-check"), "{reason}");
    simulator.console().terminate(FAR_AWAY).unwrap();
    assert!(impossible(&mover, "far").await.contains("is terminated"));
}

#[tokio::test]
async fn an_address_within_the_vpc_cannot_be_an_overlay() {
    let (_simulator, ec2) = instant(without_routes()).await;
    let mover = mover_of(&ec2, "172.16.11.99", tables());
    let reason = impossible(&mover, "ftp-1").await;
    assert!(reason.contains("lies within 172.16.11.0/24"), "{reason}");
    assert_eq!(class(mover.claim(&node("ftp-1"), &Placement::Free).await), "impossible");
}

#[tokio::test]
async fn tables_and_nodes_of_two_vpcs_do_not_go_together() {
    let world =
        without_routes().subnet("subnet-x", "ap-northeast-1a", "192.168.0.0/24", "vpc-2").route_table("rtb-x", "vpc-2");
    let (_simulator, ec2) = instant(world).await;
    let mover = mover_of(&ec2, OVERLAY, RouteTables::Ids(vec!["rtb-x".to_owned()]));
    assert!(impossible(&mover, "ftp-1").await.contains("rtb-x is in vpc-2"));
    assert_eq!(class(mover.claim(&node("ftp-1"), &Placement::Free).await), "impossible");
}

#[tokio::test]
async fn every_failure_of_a_reading_is_unknown_and_stops_a_claim_before_its_first_request() {
    for (fault, what) in READ_FAULTS {
        let (simulator, ec2) = instant(to_ftp_1()).await;
        let mover = mover(&ec2);
        let seen = mover.locate().await.unwrap();
        next(&simulator, Action::DescribeRouteTables, fault);
        assert_eq!(class(mover.locate().await), what, "{fault:?}");
        next(&simulator, Action::DescribeRouteTables, fault);
        let error = mover.claim(&node("ftp-2"), &seen).await.unwrap_err();
        assert!(!error.may_have_changed(), "{fault:?}: {error}");
        assert_eq!(simulator.journal().count(Action::ReplaceRoute), 0);
    }
}

#[tokio::test]
async fn route_tables_that_are_none_or_double_are_refused() {
    let (_simulator, ec2) = instant(world()).await;
    let build = |ids: &[&str]| {
        let tables = RouteTables::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        let builder = RouteMover::builder(ec2.clone(), OVERLAY.parse().unwrap(), tables);
        builder.node(node("a"), NodeInterface::new().instance(INSTANCE_1)).build().map(drop)
    };
    assert_eq!(build(&[]), Err(SetupError::RouteTables));
    assert_eq!(build(&["rtb-1", "rtb-1"]), Err(SetupError::RouteTables));
    assert!(matches!(build(&["eni-1"]), Err(SetupError::Id { .. })));
    assert_eq!(build(&["rtb-1"]), Ok(()));
}
