//! What is in the account that could float.

use std::net::Ipv4Addr;

use aws_sdk_ec2::types::{Address, Filter, Instance, InstanceNetworkInterface, NetworkInterface};
use floatip_core::MoveError;

use crate::client::Ec2;
use crate::error::Call;
use crate::instance;

/// Which instances are to share addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// Those with these ids.
    Instances(Vec<String>),
    /// Those that have this tag and have not ended; and interfaces and addresses that have it.
    Tag {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

/// An instance that may become a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Its id.
    pub instance: String,
    /// Its `Name` tag.
    pub name: Option<String>,
    /// Its primary private address.
    pub private_ip: Option<Ipv4Addr>,
    /// Its zone.
    pub zone: Option<String>,
}

/// An address that may float among the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Floater {
    /// The `Name` tag of what carries it.
    pub name: Option<String>,
    /// What clients use.
    pub address: Ipv4Addr,
    /// How it would move.
    pub means: Means,
    /// Where it is now, in words.
    pub place: String,
}

/// How an address that was found would move.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Means {
    /// With its secondary interface.
    Eni {
        /// The interface.
        network_interface: String,
    },
    /// As an Elastic IP address.
    Eip {
        /// Its allocation id.
        allocation: String,
    },
    /// As a secondary private address of a primary interface.
    PrivateIp,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovery {
    /// The instances.
    pub servers: Vec<Server>,
    /// The addresses.
    pub floaters: Vec<Floater>,
}

/// Looks for instances, and for what could float among them: secondary interfaces (attached to one of them; with a tag
/// also those that are attached to nothing), Elastic IP addresses, and secondary private addresses of primary interfaces.
/// What other services manage is left out, and so is an Elastic IP address that travels with a secondary interface.
///
/// # Errors
/// [`MoveError`] if one of the reads fails.
pub async fn discover(ec2: &Ec2, selection: &Selection) -> Result<Discovery, MoveError> {
    let instances = ec2.selected_instances(selection).await?;
    let servers: Vec<_> = instances.iter().filter_map(server).collect();
    let interfaces = ec2.interfaces_of(&servers, selection).await?;
    let addresses = ec2.own_addresses().await?;
    let mut floaters: Vec<_> = interfaces.iter().filter(|it| floats(it)).filter_map(eni).collect();
    let secondary = instances.iter().filter_map(|it| Some((it, instance::primary_interface(it)?)));
    floaters.extend(secondary.flat_map(|(instance, primary)| private_ips(instance, primary)));
    let with_the_interface = |address: &Address| {
        let carrier = address.network_interface_id();
        interfaces.iter().any(|it| floats(it) && carrier.is_some() && it.network_interface_id() == carrier)
    };
    let among = |address: &Address| {
        let here = servers.iter().any(|server| address.instance_id() == Some(&server.instance));
        here || interfaces.iter().any(|it| {
            address.network_interface_id().is_some() && it.network_interface_id() == address.network_interface_id()
        }) || tagged(address, selection)
    };
    let elastic = addresses.iter().filter(|it| it.service_managed().is_none());
    floaters.extend(elastic.filter(|it| among(it) && !with_the_interface(it)).filter_map(eip));
    Ok(Discovery { servers, floaters })
}

fn name_of(tags: &[aws_sdk_ec2::types::Tag]) -> Option<String> {
    tags.iter().find(|tag| tag.key() == Some("Name")).and_then(|tag| tag.value()).map(str::to_owned)
}

fn server(found: &Instance) -> Option<Server> {
    Some(Server {
        instance: found.instance_id()?.to_owned(),
        name: name_of(found.tags()),
        private_ip: found.private_ip_address().and_then(|ip| ip.parse().ok()),
        zone: instance::zone(found).map(str::to_owned),
    })
}

fn floats(interface: &NetworkInterface) -> bool {
    let operated = interface.operator().and_then(|operator| operator.managed()) == Some(true);
    let plain = interface.interface_type().is_none_or(|kind| kind.as_str() == "interface");
    let secondary = interface.attachment().is_none_or(|attachment| attachment.device_index() != Some(0));
    plain && secondary && !operated && interface.requester_managed() != Some(true)
}

fn eni(interface: &NetworkInterface) -> Option<Floater> {
    let network_interface = interface.network_interface_id()?.to_owned();
    let attachment = interface.attachment();
    let place = match attachment.and_then(|attachment| attachment.instance_id()) {
        Some(instance) => format!("{network_interface}, attached to {instance}"),
        None => format!("{network_interface}, attached to nothing"),
    };
    Some(Floater {
        name: name_of(interface.tag_set()),
        address: interface.private_ip_address()?.parse().ok()?,
        means: Means::Eni { network_interface },
        place,
    })
}

fn private_ips<'a>(
    instance: &'a Instance,
    primary: &'a InstanceNetworkInterface,
) -> impl Iterator<Item = Floater> + 'a {
    let addresses = primary.private_ip_addresses().iter().filter(|it| it.primary() == Some(false));
    addresses.filter_map(|it| {
        Some(Floater {
            name: None,
            address: it.private_ip_address()?.parse().ok()?,
            means: Means::PrivateIp,
            place: format!("a secondary address of {}", instance::id(instance)),
        })
    })
}

fn eip(address: &Address) -> Option<Floater> {
    let place = match (address.instance_id(), address.network_interface_id()) {
        (Some(id), _) | (None, Some(id)) if !id.is_empty() => format!("leads to {id}"),
        (Some(_) | None, _) => "leads nowhere".to_owned(),
    };
    Some(Floater {
        name: name_of(address.tags()),
        address: address.public_ip()?.parse().ok()?,
        means: Means::Eip { allocation: address.allocation_id()?.to_owned() },
        place,
    })
}

fn tagged(address: &Address, selection: &Selection) -> bool {
    match selection {
        Selection::Instances(_) => false,
        Selection::Tag { key, value } => {
            address.tags().iter().any(|tag| tag.key() == Some(key) && tag.value() == Some(value))
        }
    }
}

impl Selection {
    fn filter(&self, ids: &str) -> Filter {
        match self {
            Self::Instances(instances) => Filter::builder().name(ids).set_values(Some(instances.clone())).build(),
            Self::Tag { key, value } => Filter::builder().name(format!("tag:{key}")).values(value).build(),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Instances(instances) => instances.join(", "),
            Self::Tag { key, value } => format!("{key}={value}"),
        }
    }
}

impl Ec2 {
    async fn selected_instances(&self, selection: &Selection) -> Result<Vec<Instance>, MoveError> {
        let words = selection.words();
        let call = Call::read("DescribeInstances", &words);
        let request = self.sdk().describe_instances().filters(selection.filter("instance-id"));
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let reservations = page.map_err(|error| call.failed(error))?.reservations.unwrap_or_default();
            found.extend(reservations.into_iter().flat_map(|it| it.instances.unwrap_or_default()));
        }
        match selection {
            Selection::Instances(ids) => {
                let is_there = |id: &&String| found.iter().any(|it| it.instance_id() == Some(id));
                if let Some(missing) = ids.iter().find(|id| !is_there(id)) {
                    let why = format!("{missing} is not in {} and this account", self.region());
                    return Err(Call::read("DescribeInstances", missing).not_found(why));
                }
            }
            Selection::Tag { .. } => {
                let ended = |it: &Instance| {
                    let state = it.state().and_then(|state| state.name()).map(|name| name.as_str());
                    matches!(state, Some("terminated" | "shutting-down"))
                };
                found.retain(|it| !ended(it));
            }
        }
        Ok(found)
    }

    async fn interfaces_of(
        &self,
        servers: &[Server],
        selection: &Selection,
    ) -> Result<Vec<NetworkInterface>, MoveError> {
        let words = selection.words();
        let call = Call::read("DescribeNetworkInterfaces", &words);
        let ids: Vec<_> = servers.iter().map(|server| server.instance.clone()).collect();
        let mut filters = Vec::new();
        if !ids.is_empty() {
            filters.push(Filter::builder().name("attachment.instance-id").set_values(Some(ids)).build());
        }
        match selection {
            Selection::Instances(_) => {}
            Selection::Tag { .. } => filters.push(selection.filter("network-interface-id")),
        }
        let mut found: Vec<NetworkInterface> = Vec::new();
        for filter in filters {
            let mut pages = self.sdk().describe_network_interfaces().filters(filter).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| call.failed(error))?.network_interfaces.unwrap_or_default();
                let known = |it: &NetworkInterface| {
                    found.iter().any(|other| other.network_interface_id() == it.network_interface_id())
                };
                let fresh: Vec<_> = page.into_iter().filter(|it| !known(it)).collect();
                found.extend(fresh);
            }
        }
        Ok(found)
    }

    async fn own_addresses(&self) -> Result<Vec<Address>, MoveError> {
        let call = Call::read("DescribeAddresses", "the account");
        let answer = self.sdk().describe_addresses().send().await.map_err(|error| call.failed(error))?;
        Ok(answer.addresses.unwrap_or_default())
    }
}
