//! Reads of EC2. Each is answered from a call that is sent after it was asked for, and shared by whoever asks for
//! something of the same kind in the meantime.
//!
//! Resources are asked for by filter, not by id: one missing id fails a whole call, a filter leaves it out.

mod desk;
mod queue;
mod resource;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use aws_sdk_ec2::types::{
    Address, Instance, InstanceType, InstanceTypeInfo, NetworkInfo, NetworkInterface, RouteTable,
};
use floatip_core::MoveError;

use crate::client::Ec2;
use crate::error::Call;
use crate::route::RouteTables;
use desk::Desk;
pub(crate) use desk::{FleetTag, Line};
use resource::{Resource, address_filter};

const MISSING: &str = "no such resource in this account and Region, or not one that these credentials may see";

/// What all movers of a process read through.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    interfaces: Desk<NetworkInterface>,
    instances: Desk<Instance>,
    addresses: Desk<Address>,
    route_tables: Desk<RouteTable>,
    instance_types: Desk<InstanceTypeInfo>,
}

fn call<R: Resource>(resource: &str) -> Call<'_> {
    Call::read(R::CALL, resource)
}

async fn one<R: Resource>(desk: &Desk<R>, line: &Line, id: &str) -> Result<R, MoveError> {
    let found = desk.read(line, call::<R>(id), R::ID, id).await?;
    found.into_iter().next().ok_or_else(|| call::<R>(id).not_found(MISSING))
}

impl Ec2 {
    pub(crate) async fn network_interface(&self, id: &str) -> Result<NetworkInterface, MoveError> {
        one(&self.reader().interfaces, self.line(), id).await
    }

    /// The interfaces that have an address, of all VPCs.
    pub(crate) async fn interfaces_with(&self, ip: IpAddr) -> Result<Vec<NetworkInterface>, MoveError> {
        let text = ip.to_string();
        let call = call::<NetworkInterface>(&text);
        self.reader().interfaces.read(self.line(), call, address_filter(ip), &text).await
    }

    /// Those of the route tables that are there.
    pub(crate) async fn route_tables(&self, tables: &RouteTables) -> Result<Vec<RouteTable>, MoveError> {
        let desk = &self.reader().route_tables;
        match tables {
            RouteTables::Ids(ids) => {
                let resource = ids.join(", ");
                desk.read_all(self.line(), call::<RouteTable>(&resource), RouteTable::ID, ids).await
            }
            RouteTables::Tag { key, value } => {
                let resource = format!("{key} = {value:?}");
                desk.read(self.line(), call::<RouteTable>(&resource), format!("tag:{key}"), value).await
            }
        }
    }

    pub(crate) async fn route_tables_of(&self, vpc: &str) -> Result<Vec<RouteTable>, MoveError> {
        self.reader().route_tables.read(self.line(), call::<RouteTable>(vpc), "vpc-id", vpc).await
    }

    pub(crate) async fn instance(&self, id: &str) -> Result<Instance, MoveError> {
        one(&self.reader().instances, self.line(), id).await
    }

    pub(crate) async fn address(&self, allocation: &str) -> Result<Address, MoveError> {
        one(&self.reader().addresses, self.line(), allocation).await
    }

    /// The Elastic IP addresses that lead to a private address of a network interface: one or none.
    pub(crate) async fn addresses_at(&self, network_interface: &str, ip: &str) -> Result<Vec<Address>, MoveError> {
        let (desk, call) = (&self.reader().addresses, call::<Address>(network_interface));
        let mut found = desk.read(self.line(), call, "network-interface-id", network_interface).await?;
        found.retain(|address| address.private_ip_address() == Some(ip));
        Ok(found)
    }

    /// How many interfaces an instance of this type may have on its first network card, if EC2 says so.
    pub(crate) async fn interface_limit(&self, kind: &InstanceType) -> Result<Option<i32>, MoveError> {
        let network = self.network_info(kind).await?;
        let network = network.as_ref();
        let first_card =
            network.and_then(|it| it.network_cards().iter().find(|card| card.network_card_index() == Some(0)));
        Ok(first_card
            .and_then(|card| card.maximum_network_interfaces())
            .or_else(|| network.and_then(|it| it.maximum_network_interfaces())))
    }

    /// How many addresses of the family of `ip` an interface of an instance of this type may have, if EC2 says so.
    pub(crate) async fn address_limit(&self, kind: &InstanceType, ip: IpAddr) -> Result<Option<i32>, MoveError> {
        let network = self.network_info(kind).await?;
        Ok(network.and_then(|it| match ip {
            IpAddr::V4(_) => it.ipv4_addresses_per_interface(),
            IpAddr::V6(_) => it.ipv6_addresses_per_interface(),
        }))
    }

    async fn network_info(&self, kind: &InstanceType) -> Result<Option<NetworkInfo>, MoveError> {
        let (desk, kind) = (&self.reader().instance_types, kind.as_str());
        let found = desk.read(self.line(), call::<InstanceTypeInfo>(kind), InstanceTypeInfo::ID, kind).await?;
        Ok(found.into_iter().next().and_then(|it| it.network_info))
    }
}
