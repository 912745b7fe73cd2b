use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;

use super::ACCOUNT;
use super::error::ApiError;
use super::parameters::Parameters;
use super::reply::{Items, Reply, Tag};
use super::route_table::{Route, RouteTable};
use super::selection::{Described, page};
use super::world::World;

/// A route table in its world.
struct Seen<'a> {
    table: &'a RouteTable,
    world: &'a World,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteTableXml<'a> {
    route_table_id: &'a str,
    vpc_id: &'a str,
    owner_id: &'a str,
    route_set: Items<RouteXml<'a>>,
    association_set: Items<TableAssociationXml<'a>>,
    tag_set: Items<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TableAssociationXml<'a> {
    route_table_association_id: String,
    route_table_id: &'a str,
    subnet_id: &'a str,
    main: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteXml<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_cidr_block: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_ipv6_cidr_block: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_interface_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_owner_id: Option<&'a str>,
    state: &'a str,
    origin: &'a str,
}

impl<'a> RouteXml<'a> {
    fn to(destination: IpNet, state: &'a str, origin: &'a str) -> Self {
        let text = Some(destination.to_string());
        let (destination_cidr_block, destination_ipv6_cidr_block) = match destination {
            IpNet::V4(_) => (text, None),
            IpNet::V6(_) => (None, text),
        };
        Self {
            destination_cidr_block,
            destination_ipv6_cidr_block,
            gateway_id: None,
            network_interface_id: None,
            instance_id: None,
            instance_owner_id: None,
            state,
            origin,
        }
    }
}

impl<'a> Seen<'a> {
    /// A black hole still names its interface, and no instance.
    fn route_xml(&self, destination: IpNet, route: &'a Route) -> RouteXml<'a> {
        let active = self.world.is_active(route);
        let attachment = self.world.interfaces.get(&route.network_interface).and_then(|it| it.attachment.as_ref());
        let instance = attachment.filter(|_| active).map(|attachment| attachment.instance.as_str());
        RouteXml {
            network_interface_id: Some(&route.network_interface),
            instance_id: instance,
            instance_owner_id: instance.map(|_| ACCOUNT),
            ..RouteXml::to(destination, if active { "active" } else { "blackhole" }, "CreateRoute")
        }
    }

    fn xml(&self) -> RouteTableXml<'a> {
        let table = self.table;
        let local = self.world.local_ranges(&table.vpc).into_iter();
        let local = local
            .map(|range| RouteXml { gateway_id: Some("local"), ..RouteXml::to(range, "active", "CreateRouteTable") });
        let routes = table.routes.iter().map(|(destination, route)| self.route_xml(*destination, route));
        RouteTableXml {
            route_table_id: &table.id,
            vpc_id: &table.vpc,
            owner_id: ACCOUNT,
            route_set: local.chain(routes).collect(),
            association_set: table
                .subnets
                .iter()
                .map(|subnet| TableAssociationXml {
                    route_table_association_id: subnet.replacen("subnet-", "rtbassoc-", 1),
                    route_table_id: &table.id,
                    subnet_id: subnet,
                    main: false,
                })
                .collect(),
            tag_set: Tag::all(&table.tags),
        }
    }
}

impl Described for Seen<'_> {
    fn id(&self) -> &str {
        &self.table.id
    }

    fn tags(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.table.tags)
    }

    fn values(&self, filter: &str) -> Option<Vec<String>> {
        let destinations = |v6: bool| {
            let of_kind = self.table.routes.keys().filter(|range| matches!(range, IpNet::V6(_)) == v6);
            of_kind.map(IpNet::to_string).collect()
        };
        Some(match filter {
            "route-table-id" => vec![self.table.id.clone()],
            "vpc-id" => vec![self.table.vpc.clone()],
            "association.subnet-id" => self.table.subnets.iter().cloned().collect(),
            "route.destination-cidr-block" => destinations(false),
            "route.destination-ipv6-cidr-block" => destinations(true),
            _ => return None,
        })
    }
}

impl World {
    pub(super) fn describe_route_tables(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        if parameters.parsed::<usize>("MaxResults")?.is_some_and(|most| most > 100) {
            let message = "Value for parameter MaxResults is invalid. Expecting a value from 5 to 100.";
            return Err(ApiError::refused("InvalidParameterValue", message));
        }
        let ids = parameters.list("RouteTableId");
        ids.iter().try_for_each(|id| self.table(id).map(drop))?;
        let filters = parameters.filters()?;
        let mut found = Vec::new();
        for table in self.route_tables.values() {
            let seen = Seen { table, world: self };
            if (ids.is_empty() || ids.contains(&table.id.as_str())) && seen.passes(&filters)? {
                found.push(seen);
            }
        }
        let (found, next) = page(parameters, "RouteTableId", found)?;
        let items: Items<_> = found.iter().map(Seen::xml).collect();
        Reply::default().with("routeTableSet", &items)?.with_some("nextToken", next.as_ref())
    }
}
