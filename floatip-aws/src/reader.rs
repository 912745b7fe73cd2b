//! Reads of EC2. Each is one call that is sent when it is asked for.
//!
//! Resources are asked for by filter, not by id: one missing id fails a whole call, a filter leaves it out.

use std::net::IpAddr;

use aws_sdk_ec2::types::{Address, Filter, Instance, InstanceType, NetworkInfo, NetworkInterface, RouteTable};
use floatip_core::MoveError;

use crate::client::Ec2;
use crate::error::Call;
use crate::route::RouteTables;

const MISSING: &str = "no such resource in this account and Region, or not one that these credentials may see";

fn by_id(name: &str, id: &str) -> Filter {
    Filter::builder().name(name).values(id).build()
}

impl Ec2 {
    pub(crate) async fn network_interface(&self, id: &str) -> Result<NetworkInterface, MoveError> {
        let call = Call::read("DescribeNetworkInterfaces", id);
        let request = self.sdk().describe_network_interfaces().filters(by_id("network-interface-id", id));
        let answer = request.send().await.map_err(|error| call.failed(error))?;
        let found = answer.network_interfaces.unwrap_or_default().into_iter();
        found.into_iter().find(|it| it.network_interface_id() == Some(id)).ok_or_else(|| call.not_found(MISSING))
    }

    /// The interfaces that have an address, of all VPCs.
    pub(crate) async fn interfaces_with(&self, ip: IpAddr) -> Result<Vec<NetworkInterface>, MoveError> {
        let text = ip.to_string();
        let call = Call::read("DescribeNetworkInterfaces", &text);
        let name = if ip.is_ipv4() { "addresses.private-ip-address" } else { "ipv6-addresses.ipv6-address" };
        let request = self.sdk().describe_network_interfaces().filters(by_id(name, &text));
        let answer = request.send().await.map_err(|error| call.failed(error))?;
        Ok(answer.network_interfaces.unwrap_or_default())
    }

    /// Those of the route tables that are there.
    pub(crate) async fn route_tables(&self, tables: &RouteTables) -> Result<Vec<RouteTable>, MoveError> {
        let (filter, resource) = match tables {
            RouteTables::Ids(ids) => {
                let filter = Filter::builder().name("route-table-id").set_values(Some(ids.clone())).build();
                (filter, ids.join(", "))
            }
            RouteTables::Tag { key, value } => (by_id(&format!("tag:{key}"), value), format!("{key} = {value:?}")),
        };
        let call = Call::read("DescribeRouteTables", &resource);
        let mut pages = self.sdk().describe_route_tables().filters(filter).max_results(100).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            found.extend(page.map_err(|error| call.failed(error))?.route_tables.unwrap_or_default());
        }
        Ok(found)
    }

    pub(crate) async fn instance(&self, id: &str) -> Result<Instance, MoveError> {
        let call = Call::read("DescribeInstances", id);
        let request = self.sdk().describe_instances().filters(by_id("instance-id", id));
        let answer = request.send().await.map_err(|error| call.failed(error))?;
        let mut found = answer.reservations.unwrap_or_default().into_iter().filter_map(|it| it.instances).flatten();
        found.find(|it| it.instance_id() == Some(id)).ok_or_else(|| call.not_found(MISSING))
    }

    pub(crate) async fn address(&self, allocation: &str) -> Result<Address, MoveError> {
        let call = Call::read("DescribeAddresses", allocation);
        let request = self.sdk().describe_addresses().filters(by_id("allocation-id", allocation));
        let answer = request.send().await.map_err(|error| call.failed(error))?;
        let mut found = answer.addresses.unwrap_or_default().into_iter();
        found.find(|it| it.allocation_id() == Some(allocation)).ok_or_else(|| call.not_found(MISSING))
    }

    /// The Elastic IP addresses that lead to a private address of a network interface: one or none.
    pub(crate) async fn addresses_at(&self, network_interface: &str, ip: &str) -> Result<Vec<Address>, MoveError> {
        let call = Call::read("DescribeAddresses", network_interface);
        let filters = [by_id("network-interface-id", network_interface), by_id("private-ip-address", ip)];
        let request = self.sdk().describe_addresses().set_filters(Some(filters.into()));
        let answer = request.send().await.map_err(|error| call.failed(error))?;
        Ok(answer.addresses.unwrap_or_default())
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
        let call = Call::read("DescribeInstanceTypes", kind.as_str());
        let request = self.sdk().describe_instance_types().instance_types(kind.clone());
        let answer = request.send().await.map_err(|error| call.failed(error))?;
        Ok(answer.instance_types().first().and_then(|it| it.network_info()).cloned())
    }
}
