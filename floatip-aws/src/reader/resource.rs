//! What can be described, and by which filters it is found.

use std::net::IpAddr;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Address, Filter, Instance, InstanceTypeInfo, NetworkInterface, RouteTable, Tag};

use crate::error::Failure;

/// A page of what was found, and the token of the next one.
pub(super) type Page<R> = Result<(Vec<R>, Option<String>), Failure>;

/// Something that a describe finds.
pub(crate) trait Resource: Clone + Send + Sync + 'static {
    const CALL: &'static str;
    /// The filter that takes its id.
    const ID: &'static str;

    /// Its values for a filter. Not what EC2 takes for its wildcards: a value with an asterisk is found by itself only.
    fn values(&self, filter: &str) -> Vec<&str>;

    /// One call.
    fn page(client: &Client, filter: Filter, next: Option<String>) -> impl Future<Output = Page<Self>> + Send;
}

/// The filter that finds interfaces by one of their addresses.
pub(crate) fn address_filter(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(_) => "addresses.private-ip-address",
        IpAddr::V6(_) => "ipv6-addresses.ipv6-address",
    }
}

fn tagged<'a>(tags: &'a [Tag], filter: &str) -> Vec<&'a str> {
    let key = filter.strip_prefix("tag:");
    tags.iter().filter(|tag| key.is_some() && tag.key() == key).filter_map(Tag::value).collect()
}

impl Resource for NetworkInterface {
    const CALL: &'static str = "DescribeNetworkInterfaces";
    const ID: &'static str = "network-interface-id";

    fn values(&self, filter: &str) -> Vec<&str> {
        match filter {
            Self::ID => self.network_interface_id().into_iter().collect(),
            "addresses.private-ip-address" => {
                self.private_ip_addresses().iter().filter_map(|it| it.private_ip_address()).collect()
            }
            "ipv6-addresses.ipv6-address" => self.ipv6_addresses().iter().filter_map(|it| it.ipv6_address()).collect(),
            filter => tagged(self.tag_set(), filter),
        }
    }

    async fn page(client: &Client, filter: Filter, next: Option<String>) -> Page<Self> {
        let call = client.describe_network_interfaces().filters(filter).max_results(1000).set_next_token(next);
        let answer = call.send().await.map_err(Failure::of)?;
        Ok((answer.network_interfaces.unwrap_or_default(), answer.next_token))
    }
}

impl Resource for Instance {
    const CALL: &'static str = "DescribeInstances";
    const ID: &'static str = "instance-id";

    fn values(&self, filter: &str) -> Vec<&str> {
        match filter {
            Self::ID => self.instance_id().into_iter().collect(),
            filter => tagged(self.tags(), filter),
        }
    }

    async fn page(client: &Client, filter: Filter, next: Option<String>) -> Page<Self> {
        let call = client.describe_instances().filters(filter).max_results(1000).set_next_token(next);
        let answer = call.send().await.map_err(Failure::of)?;
        let reservations = answer.reservations.unwrap_or_default().into_iter();
        Ok((reservations.filter_map(|it| it.instances).flatten().collect(), answer.next_token))
    }
}

impl Resource for Address {
    const CALL: &'static str = "DescribeAddresses";
    const ID: &'static str = "allocation-id";

    fn values(&self, filter: &str) -> Vec<&str> {
        match filter {
            Self::ID => self.allocation_id().into_iter().collect(),
            "network-interface-id" => self.network_interface_id().into_iter().collect(),
            filter => tagged(self.tags(), filter),
        }
    }

    /// It has no pages.
    async fn page(client: &Client, filter: Filter, _next: Option<String>) -> Page<Self> {
        let answer = client.describe_addresses().filters(filter).send().await.map_err(Failure::of)?;
        Ok((answer.addresses.unwrap_or_default(), None))
    }
}

impl Resource for RouteTable {
    const CALL: &'static str = "DescribeRouteTables";
    const ID: &'static str = "route-table-id";

    fn values(&self, filter: &str) -> Vec<&str> {
        match filter {
            Self::ID => self.route_table_id().into_iter().collect(),
            "vpc-id" => self.vpc_id().into_iter().collect(),
            filter => tagged(self.tags(), filter),
        }
    }

    async fn page(client: &Client, filter: Filter, next: Option<String>) -> Page<Self> {
        let call = client.describe_route_tables().filters(filter).max_results(100).set_next_token(next);
        let answer = call.send().await.map_err(Failure::of)?;
        Ok((answer.route_tables.unwrap_or_default(), answer.next_token))
    }
}

impl Resource for InstanceTypeInfo {
    const CALL: &'static str = "DescribeInstanceTypes";
    const ID: &'static str = "instance-type";

    fn values(&self, _filter: &str) -> Vec<&str> {
        self.instance_type().map(|kind| kind.as_str()).into_iter().collect()
    }

    async fn page(client: &Client, filter: Filter, next: Option<String>) -> Page<Self> {
        let call = client.describe_instance_types().filters(filter).max_results(100).set_next_token(next);
        let answer = call.send().await.map_err(Failure::of)?;
        Ok((answer.instance_types.unwrap_or_default(), answer.next_token))
    }
}
