//! `[floating_ip.mover]` and its fallbacks.

use super::*;

/// The mover of the file with another one in its place.
fn mover(written: &str) -> Mover {
    let config = parse(&WHOLE.replacen(ENI, written, 1)).unwrap_or_else(|found| panic!("{found:?}"));
    config.floating_ips[0].mover.clone()
}

#[test]
fn a_private_ip_is_the_floating_address_unless_another_is_named() {
    let at = |ip: &str| Mover::PrivateIp { private_ip: ip.parse().unwrap() };
    assert_eq!(mover("kind = \"private-ip\""), at("172.16.11.30"));
    assert_eq!(mover("kind = \"private-ip\"\nprivate_ip = \"172.16.11.50\""), at("172.16.11.50"));
    assert_eq!(mover("kind = \"private-ip\"\nprivate_ip = \"fd00::50\""), at("fd00::50"));
}

#[test]
fn a_route_has_its_tables_by_id_or_by_tag() {
    let destination = "172.16.11.30".parse().unwrap();
    let by = |route_tables| Mover::Route { destination, route_tables };
    let ids = vec!["rtb-0a1b2c3d".to_owned(), "rtb-0a1b2c3e".to_owned()];
    let written = "kind = \"route\"\nroute_tables = [\"rtb-0a1b2c3d\", \"rtb-0a1b2c3e\"]";
    assert_eq!(mover(written), by(floatip_aws::RouteTables::Ids(ids)));
    let tag = floatip_aws::RouteTables::Tag { key: "ha".to_owned(), value: "ftp".to_owned() };
    assert_eq!(mover("kind = \"route\"\nroute_tables = { tag = \"ha\", value = \"ftp\" }"), by(tag));
}

#[test]
fn route_tables_that_cannot_be_are_told_with_what_to_write() {
    for (written, finding) in [
        (
            "",
            "[floating_ip.mover] lacks `route_tables`; add `route_tables = [\"rtb-…\"]`, or { tag = \"ha\", value = \"ftp\" }",
        ),
        (
            "route_tables = []",
            "`route_tables`: there are 0 route tables; write 1 to 200 tables, or select them by a tag",
        ),
        (
            "route_tables = [\"rtb-0a1b2c3d\", \"rtb-0a1b2c3d\"]",
            "`route_tables`: rtb-0a1b2c3d is named twice; leave one of them out",
        ),
        (
            "route_tables = [\"eni-0a1b2c3d\"]",
            "`route_tables`: \"eni-0a1b2c3d\" is not the id of a route table; write rtb- and 8 or 17 hexadecimal digits, as EC2 shows it",
        ),
        (
            "route_tables = { tag = \"ha\" }",
            "`route_tables`: it takes the keys `tag` and `value`, and nothing else; write `route_tables = [\"rtb-…\"]`, or { tag = \"ha\", value = \"ftp\" }",
        ),
    ] {
        let found = faults(ENI, &format!("kind = \"route\"\n{written}"));
        assert!(matches!(&found[..], [only] if only.ends_with(finding)), "{written}: {found:?}");
    }
}

#[test]
fn settings_of_another_mover_are_told_whose_they_are() {
    finds(
        ENI,
        "kind = \"private-ip\"\nfencing = \"strict\"",
        "x.toml:7:1: `fencing` is not a setting of kind \"private-ip\"; it belongs to kind \"eip\": leave it out, or change `kind`",
    );
    let found = faults(
        "kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"\n[[floating_ip.node]]\nname = \"ftp-1\"\n",
        "kind = \"route\"\nroute_tables = [\"rtb-0a1b2c3d\"]\n[[floating_ip.node]]\nname = \"ftp-1\"\nprivate_ip = \"172.16.11.10\"\n",
    );
    assert_eq!(
        found,
        [
            "x.toml:10:1: `private_ip` is not a setting of kind \"route\"; it belongs to kind \"eip\": leave it out, or change `kind`"
        ]
    );
}

#[test]
fn a_mover_that_does_not_exist_is_told_with_the_one_that_was_meant() {
    finds(
        ENI,
        "kind = \"private_ip\"",
        "x.toml:6:8: `kind`: there is no mover \"private_ip\"; did you mean \"private-ip\"?",
    );
}

#[test]
fn two_floating_ips_do_not_move_one_private_ip() {
    let one = WHOLE.replacen(ENI, "kind = \"private-ip\"\nprivate_ip = \"172.16.11.50\"", 1);
    let two = one.replace("name = \"ftp\"", "name = \"web\"").replace("172.16.11.30", "172.16.11.31");
    let found = parse(&format!("{one}{two}")).expect_err("two for one");
    assert!(found.iter().any(|it| it.line().contains("two floating IPs move 172.16.11.50")), "{found:?}");
}

#[test]
fn a_fallback_that_can_never_bring_the_address_is_refused_with_the_reason() {
    let eni = "network_interface = \"eni-0a1b2c3d\"\n";
    let fallback = |lines: &str| faults(eni, &format!("{eni}[[floating_ip.mover.fallback]]\n{lines}\n"));
    let config = parse(&WHOLE.replacen(
        eni,
        &format!("{eni}force_detach = false\n[[floating_ip.mover.fallback]]\nkind = \"private-ip\"\n"),
        1,
    ));
    let ip = &config.unwrap().floating_ips[0];
    assert_eq!(ip.fallbacks, [Mover::PrivateIp { private_ip: "172.16.11.30".parse().unwrap() }]);
    assert!(!ip.policy.force_release);
    for (lines, reason) in [
        ("kind = \"route\"\nroute_tables = [\"rtb-0a1b2c3d\"]", "outside of the VPC's CIDR"),
        ("kind = \"eip\"\nallocation = \"eipalloc-0a1b2c3d\"", "is public"),
        ("kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3e\"", "the same mechanism again"),
        ("kind = \"private-ip\"\nprivate_ip = \"172.16.11.31\"", "and clients use 172.16.11.30"),
    ] {
        let found = fallback(lines);
        assert!(found.len() == 1 && found[0].starts_with("x.toml:8:1: ") && found[0].contains(reason), "{found:?}");
    }
}

#[test]
fn reclaiming_an_address_takes_a_mover_that_releases_it() {
    let policy = "[floating_ip.policy]\naddress_unreachable = \"reclaim\"\n";
    let config = parse(&format!("{WHOLE}{policy}")).unwrap();
    assert_eq!(config.floating_ips[0].policy.address_unreachable, AddressUnreachable::Reclaim);
    assert_eq!(config.warnings, []);
    let eip = "kind = \"eip\"\nallocation = \"eipalloc-0a1b2c3d\"";
    let eip = format!("{WHOLE}{policy}").replace("kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"", eip);
    let warnings = parse(&eip).unwrap().warnings;
    assert!(warnings[0].message.contains("does nothing here: this mover overwrites"), "{warnings:?}");
    let found = parse(&format!("{WHOLE}{policy}").replace("\"reclaim\"", "\"reclam\"")).unwrap_err();
    assert!(found[0].line().contains("did you mean \"reclaim\"?"), "{found:?}");
}

#[test]
fn force_detach_is_a_word_for_force_release_where_something_is_detached() {
    let text = WHOLE.replace("kind = \"eni\"\n", "kind = \"eni\"\nforce_detach = true\n");
    let found = parse(&format!("{text}[floating_ip.policy]\nforce_release = false\n")).unwrap_err();
    assert!(found[0].message.contains("says the opposite of `force_release`"), "{found:?}");
    let eip = "kind = \"eip\"\nallocation = \"eipalloc-0a1b2c3d\"\nforce_detach = true\n";
    let found = faults("kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"\n", eip);
    assert!(found[0].contains("nothing else is detached"), "{found:?}");
}
