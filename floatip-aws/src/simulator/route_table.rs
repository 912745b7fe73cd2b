use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use tokio::time::Instant;

use super::building::WorldError;
use super::data_plane::Change;
use super::error::ApiError;
use super::instance::InstanceState;
use super::world::{World, id_body};

/// A route table as it really is. The local routes of its VPC are not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteTable {
    /// Its id.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Where it leads what, by destination.
    pub(super) routes: BTreeMap<IpNet, Route>,
    /// The subnets that use it. Those of no table use none here: there is no main one.
    pub subnets: BTreeSet<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A route that leads to a network interface, whether or not that still is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The network interface.
    pub network_interface: String,
}

impl RouteTable {
    /// The route to a destination such as `10.99.0.1/32`.
    pub fn route(&self, destination: &str) -> Option<&Route> {
        self.routes.get(&destination.parse().ok()?)
    }
}

pub(super) fn parse_destination(destination: &str) -> Result<IpNet, WorldError> {
    let parsed = destination.parse::<IpNet>().ok().filter(|range| range.trunc() == *range);
    parsed.ok_or_else(|| WorldError::Range(destination.to_owned()))
}

/// # Source
/// Amazon EC2 API Reference: CreateRoute, ReplaceRoute, DeleteRoute, DescribeRouteTables. Amazon VPC User Guide, "Route
/// tables": a destination within the VPC must be the whole range of a subnet; a route whose target is not there is a
/// black hole.
impl World {
    /// The instance that a route of a table leads to, by the API; traffic follows later, as
    /// [`Timings::route_propagation`](super::Timings::route_propagation) says. `None` if it leads nowhere.
    pub fn carrier_of_route(&self, table: &str, destination: &str) -> Option<&str> {
        let route = self.find_route_table(table)?.route(destination)?;
        self.is_active(route).then_some(())?;
        self.interfaces.get(&route.network_interface)?.carrier()
    }

    /// Whether the target of a route is there, and its instance neither stopped nor ended.
    pub(super) fn is_active(&self, route: &Route) -> bool {
        let attachment = self.interfaces.get(&route.network_interface).and_then(|it| it.attachment.as_ref());
        let instance = attachment.and_then(|attachment| self.instances.get(&attachment.instance));
        instance.is_some_and(|instance| match instance.state {
            InstanceState::Pending | InstanceState::Running | InstanceState::Stopping => true,
            InstanceState::ShuttingDown | InstanceState::Terminated | InstanceState::Stopped => false,
        })
    }

    /// The ranges that the local routes of a VPC lead to.
    pub(super) fn local_ranges(&self, vpc: &str) -> Vec<IpNet> {
        self.subnets.values().filter(|subnet| subnet.vpc == vpc).flat_map(|subnet| subnet.ranges()).collect()
    }

    pub(super) fn table(&self, id: &str) -> Result<&RouteTable, ApiError> {
        if id_body(id, "rtb-").is_none() {
            return Err(ApiError::refused("InvalidRouteTableId.Malformed", format!("Invalid id: \"{id}\"")));
        }
        self.route_tables.get(id).ok_or_else(|| {
            let message = format!("The routeTable ID '{id}' does not exist");
            ApiError::refused("InvalidRouteTableID.NotFound", message)
        })
    }

    /// Adds a route, unless the table has one that leads elsewhere.
    pub(super) fn create_route(
        &mut self,
        table: &str,
        destination: IpNet,
        network_interface: &str,
        now: Instant,
    ) -> Result<(), ApiError> {
        self.check_create_route(table, destination, network_interface)?;
        self.set_route(table, destination, network_interface, now);
        Ok(())
    }

    /// Whether a route could be added.
    pub(super) fn check_create_route(
        &self,
        table: &str,
        destination: IpNet,
        network_interface: &str,
    ) -> Result<(), ApiError> {
        self.check_target(table, destination, network_interface)?;
        match self.table(table)?.routes.get(&destination) {
            Some(route) if route.network_interface != network_interface => {
                let message = format!("The route identified by {destination} already exists.");
                Err(ApiError::refused("RouteAlreadyExists", message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Leads a route elsewhere, whatever it leads to.
    pub(super) fn replace_route(
        &mut self,
        table: &str,
        destination: IpNet,
        network_interface: &str,
        now: Instant,
    ) -> Result<(), ApiError> {
        self.check_replace_route(table, destination, network_interface)?;
        self.set_route(table, destination, network_interface, now);
        Ok(())
    }

    /// Whether a route could be led elsewhere.
    pub(super) fn check_replace_route(
        &self,
        table: &str,
        destination: IpNet,
        network_interface: &str,
    ) -> Result<(), ApiError> {
        self.check_target(table, destination, network_interface)?;
        if self.table(table)?.routes.contains_key(&destination) {
            return Ok(());
        }
        let message =
            format!("There is no route defined for '{destination}' in the route table. Use CreateRoute instead.");
        Err(ApiError::refused("InvalidParameterValue", message))
    }

    /// Removes a route.
    pub(super) fn delete_route(&mut self, table: &str, destination: IpNet, now: Instant) -> Result<(), ApiError> {
        self.check_delete_route(table, destination)?;
        if let Some(found) = self.route_tables.get_mut(table) {
            found.routes.remove(&destination);
        }
        let change = Change::Unrouted { table: table.to_owned(), destination: destination.to_string() };
        self.outbox.push((now + self.timings.route_propagation, change));
        Ok(())
    }

    /// Whether a route could be removed.
    pub(super) fn check_delete_route(&self, table: &str, destination: IpNet) -> Result<(), ApiError> {
        if self.table(table)?.routes.contains_key(&destination) {
            return Ok(());
        }
        let message = format!("no route with destination-cidr-block {destination} in route table {table}");
        Err(ApiError::refused("InvalidRoute.NotFound", message))
    }

    fn check_target(&self, table: &str, destination: IpNet, network_interface: &str) -> Result<(), ApiError> {
        let table = self.table(table)?;
        let interface = self.interface(network_interface)?;
        if self.subnets[&interface.subnet].vpc != table.vpc {
            let message =
                format!("route table {} and interface {network_interface} belong to different networks", table.id);
            return Err(ApiError::refused("InvalidParameterValue", message));
        }
        let local = self.local_ranges(&table.vpc);
        if local.iter().any(|range| range.contains(&destination) && *range != destination) {
            let message = format!(
                "The destination CIDR block {destination} is more specific than one of this VPC's CIDR blocks, and \
                 matches none of its subnets."
            );
            return Err(ApiError::refused("InvalidParameterValue", message));
        }
        Ok(())
    }

    fn set_route(&mut self, table: &str, destination: IpNet, network_interface: &str, now: Instant) {
        let attachment = self.interfaces.get(network_interface).and_then(|interface| interface.attachment.as_ref());
        let instance = attachment.map(|attachment| attachment.instance.clone());
        let route = Route { network_interface: network_interface.to_owned() };
        let Some(found) = self.route_tables.get_mut(table) else { return };
        if found.routes.insert(destination, route).is_some_and(|old| old.network_interface == network_interface) {
            return;
        }
        let change = Change::Routed {
            table: table.to_owned(),
            destination: destination.to_string(),
            network_interface: network_interface.to_owned(),
            instance,
        };
        self.outbox.push((now + self.timings.route_propagation, change));
    }
}
