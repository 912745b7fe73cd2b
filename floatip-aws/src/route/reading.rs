use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Route, RouteState, RouteTable};
use floatip_core::{MoveError, NodeId, Part, Placement, Token};
use ipnet::IpNet;

use super::{DESCRIBE, RouteMover, RouteTables};
use crate::error::Call;

/// What one read says of the route in every table.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) tables: BTreeMap<String, Leads>,
}

/// Where the route of one table leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leads {
    /// There is none.
    Nowhere,
    /// To what is not there, or not in use, and not known to be of any node.
    BlackHole(String),
    ToNode {
        node: NodeId,
        interface: String,
    },
    /// To something that is of no node.
    Elsewhere(String),
}

impl Leads {
    pub(super) fn interface(&self) -> Option<&String> {
        match self {
            Self::ToNode { interface, .. } => Some(interface),
            Self::Nowhere | Self::BlackHole(_) | Self::Elsewhere(_) => None,
        }
    }

    fn part(&self, table: &str) -> Part {
        match self {
            Self::Nowhere => Part::on_no_node(table, "no route"),
            Self::BlackHole(target) => Part::on_no_node(table, format!("a black hole to {target}")),
            Self::ToNode { node, interface } => Part::on(table, node.clone()).detail(interface),
            Self::Elsewhere(target) => Part::on_no_node(table, format!("leads to {target}")),
        }
    }

    fn token(&self) -> &str {
        match self {
            Self::Nowhere => "nothing",
            Self::BlackHole(target) | Self::Elsewhere(target) => target,
            Self::ToNode { interface, .. } => interface,
        }
    }
}

impl RouteMover {
    pub(super) async fn read(&self) -> Result<Reading, MoveError> {
        let tables = self.describe().await?;
        let id = |table: &RouteTable| table.route_table_id().unwrap_or_default().to_owned();
        Ok(Reading { tables: tables.iter().map(|table| (id(table), self.leads(table))).collect() })
    }

    /// All of the tables; an error if one is missing.
    pub(super) async fn describe(&self) -> Result<Vec<RouteTable>, MoveError> {
        let found = self.ec2.route_tables(&self.tables).await?;
        let missing = |why: String| Call::read(DESCRIBE, &self.name).not_found(why);
        match &self.tables {
            RouteTables::Ids(ids) => {
                let is_there = |id: &&String| found.iter().any(|table| table.route_table_id() == Some(id));
                match ids.iter().find(|id| !is_there(id)) {
                    Some(id) => Err(missing(format!("{id} is not in {} and this account", self.ec2.region()))),
                    None => Ok(found),
                }
            }
            RouteTables::Tag { key, value } => {
                if found.is_empty() {
                    return Err(missing(format!("no route table has the tag {key} = {value:?}")));
                }
                Ok(found)
            }
        }
    }

    fn leads(&self, table: &RouteTable) -> Leads {
        let leads_there = |route: &&Route| {
            let given = [route.destination_cidr_block(), route.destination_ipv6_cidr_block()];
            given.into_iter().flatten().any(|range| range.parse::<IpNet>().ok() == Some(self.destination))
        };
        let Some(route) = table.routes().iter().find(leads_there) else { return Leads::Nowhere };
        let interface = route.network_interface_id();
        if let Some(interface) = interface
            && let Some(node) = self.nodes.node_of(interface, route.instance_id())
        {
            return Leads::ToNode { node: node.clone(), interface: interface.to_owned() };
        }
        let targets = [interface, route.instance_id(), route.gateway_id(), route.transit_gateway_id()];
        let others = [route.nat_gateway_id(), route.vpc_peering_connection_id(), route.local_gateway_id()];
        let target = targets.into_iter().chain(others).flatten().next().unwrap_or("something unnamed").to_owned();
        match route.state() {
            Some(RouteState::Blackhole) => Leads::BlackHole(target),
            Some(_) | None => Leads::Elsewhere(target),
        }
    }

    pub(super) fn placement(&self, reading: &Reading) -> Placement {
        let tables = &reading.tables;
        let each = || tables.iter().map(|(table, leads)| format!("{table}:{}", leads.token())).collect::<Vec<_>>();
        let strangers = tables.iter().filter_map(|(table, leads)| match leads {
            Leads::Elsewhere(target) => Some(format!("{table} leads to {target}")),
            Leads::Nowhere | Leads::BlackHole(_) | Leads::ToNode { .. } => None,
        });
        let strangers: Vec<_> = strangers.collect();
        if !strangers.is_empty() {
            let token = Token::snapshot(each().join(" "));
            return Placement::Stranger { description: strangers.join(", "), token };
        }
        let node = |leads: &Leads| match leads {
            Leads::ToNode { node, interface } => Some((node.clone(), interface.clone())),
            Leads::Nowhere | Leads::BlackHole(_) | Leads::Elsewhere(_) => None,
        };
        let mut held: Vec<_> = tables.values().map(node).collect();
        held.dedup();
        match &held[..] {
            [None] => Placement::Free,
            [Some((node, interface))] => Placement::held(node.clone(), Token::snapshot(interface.as_str())),
            [..] => {
                let parts = tables.iter().map(|(table, leads)| leads.part(table)).collect();
                Placement::Split { parts, token: Token::snapshot(each().join(" ")) }
            }
        }
    }
}
