//! What is checked of a secondary private address that moves.

use std::net::IpAddr;

use aws_sdk_ec2::types::{Filter, InstanceType, NetworkInterface, Subnet};
use floatip_core::MoveError;
use ipnet::IpNet;
use tokio::join;

use super::finding::{CheckId, Finding};
use super::permission::untried;
use super::{Candidate, movable};
use crate::client::Ec2;
use crate::error::Call;
use crate::interface;

/// What concerns every candidate: whoever has the address now must be able to give it away.
pub(super) async fn shared(ec2: &Ec2, address: IpAddr, candidates: &[Candidate]) -> Vec<Finding> {
    let untried = untried(match address {
        IpAddr::V4(_) => "AssignPrivateIpAddresses",
        IpAddr::V6(_) => "AssignIpv6Addresses and UnassignIpv6Addresses",
    });
    let mut vpc = None;
    for candidate in candidates {
        if let Ok(landing) = ec2.landing(candidate).await {
            vpc = landing.interface.vpc_id;
            break;
        }
    }
    let owner = match ec2.owner_of(address, vpc.as_deref()).await {
        Ok(Some(owner)) => owner,
        Ok(None) => {
            let detail = format!("no interface has {address}: it goes to the first healthy node");
            return vec![Finding::pass(CheckId::Resource, detail), untried];
        }
        Err(error) => return vec![Finding::unread(CheckId::Resource, &error), untried],
    };
    let detail = format!("{} has {address}", interface::id(&owner));
    vec![Finding::pass(CheckId::Resource, detail), secondary(&owner, address), untried]
}

pub(super) async fn candidate(ec2: &Ec2, address: IpAddr, node: &Candidate) -> Vec<Finding> {
    let landing = match ec2.landing(node).await {
        Ok(landing) => landing,
        Err(finding) => return vec![finding],
    };
    let target = &landing.interface;
    let kind = landing.instance.as_ref().and_then(|instance| instance.instance_type());
    let limit = async {
        match kind {
            Some(kind) => ec2.address_limit(kind, address).await,
            None => Ok(None),
        }
    };
    let (subnet, limit) = join!(ec2.subnet(target.subnet_id().unwrap_or_default()), limit);
    let mut findings = vec![
        landing.alive(),
        movable(CheckId::Interface, target),
        match subnet {
            Ok(subnet) => in_subnet(target, &subnet, address),
            Err(error) => Finding::unread(CheckId::Subnet, &error),
        },
    ];
    findings.extend(kind.map(|kind| match limit {
        Ok(limit) => address_limit(target, kind, limit, address),
        Err(error) => Finding::unread(CheckId::AddressLimit, &error),
    }));
    findings
}

/// Whether the address can leave the interface that has it.
///
/// # Source
/// Amazon EC2 User Guide, "Secondary IP addresses for your EC2 instances": the primary private address of an interface
/// cannot be reassigned. IPv6 addresses can be, unless one is the interface's primary IPv6 address.
pub(crate) fn secondary(owner: &NetworkInterface, address: IpAddr) -> Finding {
    let own = interface::id(owner);
    if !interface::is_primary(owner, address) {
        return Finding::pass(CheckId::PrimaryAddress, format!("{address} is a secondary address of {own}"));
    }
    Finding::fail(
        CheckId::PrimaryAddress,
        format!("{address} is the primary address of {own}, which cannot leave it"),
        "only a secondary address can be reassigned: use one, or move the whole interface (kind = \"eni\")",
    )
}

/// Whether both interfaces are in one subnet, which an address cannot leave.
pub(crate) fn same_subnet(owner: &NetworkInterface, target: &NetworkInterface, address: IpAddr) -> Finding {
    let to = interface::id(target);
    let place = |it: &NetworkInterface| {
        let [subnet, zone] = [it.subnet_id(), it.availability_zone()].map(|part| part.unwrap_or("unknown").to_owned());
        format!("{subnet} ({zone})")
    };
    match (owner.subnet_id(), target.subnet_id()) {
        (Some(here), Some(there)) if here != there => Finding::fail(
            CheckId::Subnet,
            format!(
                "{address} belongs to the subnet {} and {to} is in {}: an address cannot leave its subnet",
                place(owner),
                place(target)
            ),
            "give the node an interface there, or use kind = \"route\" across zones",
        ),
        (Some(_) | None, _) => Finding::pass(CheckId::Subnet, format!("{to} is in the subnet of {address}")),
    }
}

/// Whether the address is of the subnet's range.
///
/// # Source
/// Amazon EC2 API Reference, AssignPrivateIpAddresses.
fn in_subnet(target: &NetworkInterface, subnet: &Subnet, address: IpAddr) -> Finding {
    let (to, id) = (interface::id(target), subnet.subnet_id().unwrap_or("its subnet"));
    let zone = subnet.availability_zone().unwrap_or("its zone");
    let ipv6 = subnet.ipv6_cidr_block_association_set().iter().filter_map(|it| it.ipv6_cidr_block());
    let ranges: Vec<_> = subnet.cidr_block().into_iter().chain(ipv6).collect();
    if ranges.iter().filter_map(|range| range.parse::<IpNet>().ok()).any(|range| range.contains(&address)) {
        return Finding::pass(CheckId::Subnet, format!("{address} is in {id} ({zone}), as is {to}"));
    }
    Finding::fail(
        CheckId::Subnet,
        format!(
            "{to} is in {id} ({}, {zone}), and {address} is not: an address cannot leave its subnet",
            ranges.join(", ")
        ),
        "give the node an interface in the subnet of the address, or use kind = \"route\" across zones",
    )
}

/// Whether the interface takes one more address; `limit` is what EC2 says that its instance's type allows.
///
/// # Source
/// Amazon EC2 User Guide, "Maximum IP addresses per network interface".
pub(crate) fn address_limit(
    target: &NetworkInterface,
    kind: &InstanceType,
    limit: Option<i32>,
    address: IpAddr,
) -> Finding {
    let id = interface::id(target);
    let all = if address.is_ipv4() { target.private_ip_addresses().len() } else { target.ipv6_addresses().len() };
    let used = all - usize::from(interface::has(target, address));
    match limit.and_then(|limit| usize::try_from(limit).ok()) {
        Some(limit) if used >= limit => Finding::fail(
            CheckId::AddressLimit,
            format!("{id} has {used} addresses and the type {kind} allows {limit} on an interface"),
            "unassign one or choose a larger type",
        ),
        Some(limit) => Finding::pass(CheckId::AddressLimit, format!("{id} uses {used} of {limit} addresses")),
        None => Finding::warn(
            CheckId::AddressLimit,
            format!("EC2 does not say how many addresses {kind} allows on an interface"),
            format!("see that {id} takes one more"),
        ),
    }
}

impl Ec2 {
    /// The interface that has a private address: addresses are unique in a VPC, not beyond.
    async fn owner_of(&self, address: IpAddr, vpc: Option<&str>) -> Result<Option<NetworkInterface>, MoveError> {
        let found = self.interfaces_with(address).await?;
        let here = |it: &NetworkInterface| interface::has(it, address) && (vpc.is_none() || it.vpc_id() == vpc);
        Ok(found.into_iter().find(here))
    }

    async fn subnet(&self, id: &str) -> Result<Subnet, MoveError> {
        let call = Call::read("DescribeSubnets", id);
        let filter = Filter::builder().name("subnet-id").values(id).build();
        let answer = self.sdk().describe_subnets().filters(filter).send().await.map_err(|error| call.failed(error))?;
        let mut found = answer.subnets.unwrap_or_default().into_iter();
        found.find(|it| it.subnet_id() == Some(id)).ok_or_else(|| call.not_found("no such subnet"))
    }
}
