//! What is checked of an overlay address that moves by routes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aws_sdk_ec2::types::{NetworkInterface, Route, RouteTable};
use ipnet::IpNet;

use super::finding::{CheckId, Finding};
use super::permission::judge;
use super::{Candidate, forwards, movable};
use crate::client::Ec2;
use crate::interface;
use crate::route::RouteTables;

/// What concerns every candidate.
pub(super) async fn shared(ec2: &Ec2, address: IpAddr, wanted: &RouteTables) -> Vec<Finding> {
    let tables = match ec2.route_tables(wanted).await {
        Ok(tables) => tables,
        Err(error) => return vec![Finding::unread(CheckId::RouteTable, &error)],
    };
    let destination = IpNet::from(address);
    let mut findings = missing(&tables, wanted);
    for table in &tables {
        findings.push(has_route(table, destination));
        findings.push(overlay(table, destination));
        if let Some(target) = route_to(table, destination).and_then(|route| route.network_interface_id()) {
            findings.push(ec2.may_replace(id(table), destination, target).await);
        }
    }
    let vpcs: BTreeSet<_> = tables.iter().filter_map(RouteTable::vpc_id).collect();
    for vpc in vpcs {
        findings.push(match ec2.route_tables_of(vpc).await {
            Ok(all) => every_subnet(&all, destination),
            Err(error) => Finding::unread(CheckId::Subnets, &error),
        });
    }
    findings
}

pub(super) async fn candidate(ec2: &Ec2, address: IpAddr, wanted: &RouteTables, node: &Candidate) -> Vec<Finding> {
    let landing = match ec2.landing(node).await {
        Ok(landing) => landing,
        Err(finding) => return vec![finding],
    };
    let target = &landing.interface;
    let mut findings =
        vec![landing.alive(), movable(CheckId::Interface, target), forwards(target, &IpNet::from(address).to_string())];
    match ec2.route_tables(wanted).await {
        Ok(tables) => {
            let all = tables.iter().map(|table| reachable(table, target));
            let worst = all.max_by_key(|finding| finding.status == super::Status::Fail);
            findings.extend(worst);
        }
        Err(error) => findings.push(Finding::unread(CheckId::Vpc, &error)),
    }
    findings
}

fn id(table: &RouteTable) -> &str {
    table.route_table_id().unwrap_or("a route table")
}

fn route_to(table: &RouteTable, destination: IpNet) -> Option<&Route> {
    let leads_there = |route: &&Route| {
        let given = [route.destination_cidr_block(), route.destination_ipv6_cidr_block()];
        given.into_iter().flatten().any(|range| range.parse::<IpNet>().ok() == Some(destination))
    };
    table.routes().iter().find(leads_there)
}

fn missing(tables: &[RouteTable], wanted: &RouteTables) -> Vec<Finding> {
    let fail = |detail: String| Finding::fail(CheckId::RouteTable, detail, "correct `route_tables`");
    match wanted {
        RouteTables::Ids(ids) => {
            let is_there = |id: &&String| tables.iter().any(|table| table.route_table_id() == Some(id));
            let missing = ids.iter().filter(|id| !is_there(id));
            missing.map(|id| fail(format!("{id} is not in this account and Region"))).collect()
        }
        RouteTables::Tag { key, value } if tables.is_empty() => {
            vec![fail(format!("no route table has the tag {key} = {value:?}"))]
        }
        RouteTables::Tag { .. } => Vec::new(),
    }
}

fn has_route(table: &RouteTable, destination: IpNet) -> Finding {
    let own = id(table);
    match route_to(table, destination) {
        Some(route) => {
            let target = route.network_interface_id().or(route.gateway_id()).unwrap_or("something else");
            Finding::pass(CheckId::RouteTable, format!("{own} routes {destination} to {target}"))
        }
        None => Finding::warn(
            CheckId::RouteTable,
            format!("{own} has no route to {destination} yet"),
            "it is created with the first claim, for which ec2:CreateRoute is needed",
        ),
    }
}

/// Whether the destination is outside of the VPC's own ranges: every table has a local route for each of them.
///
/// # Source
/// Amazon VPC User Guide, "Route table concepts": within the VPC's own ranges only whole subnets can be routed elsewhere.
pub(crate) fn overlay(table: &RouteTable, destination: IpNet) -> Finding {
    let local = table.routes().iter().filter(|route| route.gateway_id() == Some("local"));
    let ranges = local.flat_map(|route| [route.destination_cidr_block(), route.destination_ipv6_cidr_block()]);
    let mut ranges = ranges.flatten().filter_map(|range| range.parse::<IpNet>().ok());
    match ranges.find(|range| range.contains(&destination)) {
        Some(local) => Finding::fail(
            CheckId::Overlay,
            format!("{destination} lies within {local} of the VPC, where EC2 allows no such route"),
            "choose an address outside of it, or move it by kind = \"eni\" or \"private-ip\"",
        ),
        None => Finding::pass(CheckId::Overlay, format!("{destination} is outside of the VPC of {}", id(table))),
    }
}

/// Whether a route of the table could lead to the interface.
pub(crate) fn reachable(table: &RouteTable, target: &NetworkInterface) -> Finding {
    let (own, to) = (id(table), interface::id(target));
    match (table.vpc_id(), target.vpc_id()) {
        (Some(here), Some(there)) if here != there => {
            Finding::fail(CheckId::Vpc, format!("{own} is in {here} and {to} in {there}"), "choose one VPC")
        }
        (Some(_) | None, _) => Finding::pass(CheckId::Vpc, format!("{to} is in the VPC of the route tables")),
    }
}

/// Whether traffic from every subnet would find the address.
fn every_subnet(tables: &[RouteTable], destination: IpNet) -> Finding {
    let without = tables.iter().filter(|table| route_to(table, destination).is_none());
    let used = without.filter_map(|table| {
        let associations = table.associations().iter();
        let main = |is_main: bool| is_main.then_some("subnets without a table of their own");
        let users = associations.filter_map(|it| it.subnet_id().or(main(it.main() == Some(true))));
        let users: Vec<_> = users.collect();
        (!users.is_empty()).then(|| format!("{} ({})", id(table), users.join(", ")))
    });
    let used: Vec<_> = used.collect();
    if used.is_empty() {
        return Finding::pass(CheckId::Subnets, format!("every route table in use has {destination}"));
    }
    Finding::warn(
        CheckId::Subnets,
        format!("there is no route to {destination} in {}", used.join(", ")),
        "add these tables to `route_tables` if clients or nodes are there",
    )
}

impl Ec2 {
    /// A dry run of the route as it is.
    async fn may_replace(&self, table: &str, destination: IpNet, target: &str) -> Finding {
        let request = self.sdk().replace_route().route_table_id(table).network_interface_id(target);
        let request = match destination {
            IpNet::V4(_) => request.destination_cidr_block(destination.to_string()),
            IpNet::V6(_) => request.destination_ipv6_cidr_block(destination.to_string()),
        };
        judge("ReplaceRoute", table, request.dry_run(true).send().await)
    }
}
