use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::ACCOUNT;
use super::address::{Association, ElasticIp};
use super::error::ApiError;
use super::interface::{Attachment, NetworkInterface};
use super::parameters::Parameters;
use super::reply::{Items, Reply, Tag};
use super::selection::{Described, page};
use super::world::World;

/// A network interface in its world.
pub(super) struct Seen<'a> {
    interface: &'a NetworkInterface,
    world: &'a World,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkInterfaceXml<'a> {
    network_interface_id: &'a str,
    subnet_id: &'a str,
    vpc_id: &'a str,
    availability_zone: &'a str,
    description: &'a str,
    owner_id: &'a str,
    requester_managed: bool,
    status: &'a str,
    mac_address: String,
    private_ip_address: String,
    source_dest_check: bool,
    interface_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<AttachmentXml<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    association: Option<AssociationXml<'a>>,
    private_ip_addresses_set: Items<PrivateIpXml<'a>>,
    ipv6_addresses_set: Items<Ipv6Xml>,
    tag_set: Items<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttachmentXml<'a> {
    attachment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_owner_id: Option<&'a str>,
    device_index: u32,
    network_card_index: u32,
    status: &'a str,
    delete_on_termination: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssociationXml<'a> {
    public_ip: String,
    ip_owner_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    association_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PrivateIpXml<'a> {
    private_ip_address: String,
    primary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    association: Option<AssociationXml<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ipv6Xml {
    ipv6_address: String,
}

impl<'a> AttachmentXml<'a> {
    pub(super) fn new(attachment: &'a Attachment, with_instance: bool) -> Self {
        Self {
            attachment_id: &attachment.id,
            instance_id: with_instance.then_some(&attachment.instance),
            instance_owner_id: with_instance.then_some(ACCOUNT),
            device_index: attachment.device_index,
            network_card_index: attachment.network_card_index,
            status: attachment.state.as_str(),
            delete_on_termination: attachment.delete_on_termination,
        }
    }
}

impl<'a> AssociationXml<'a> {
    fn new(address: &'a ElasticIp, association: &'a Association) -> Self {
        Self {
            public_ip: address.public_ip.to_string(),
            ip_owner_id: ACCOUNT,
            allocation_id: Some(&address.allocation),
            association_id: Some(&association.id),
        }
    }

    fn automatic(interface: &NetworkInterface, ip: Ipv4Addr) -> Option<Self> {
        let public_ip = interface.automatic_public_ip.filter(|_| interface.primary_ip() == ip)?.to_string();
        Some(Self { public_ip, ip_owner_id: "amazon", allocation_id: None, association_id: None })
    }
}

impl NetworkInterface {
    /// The word on the wire. An interface is `in-use` from the attach's acceptance to the detach's end; how far it is
    /// says its attachment.
    pub(super) fn status(&self) -> &'static str {
        if self.attachment.is_some() { "in-use" } else { "available" }
    }

    /// An address that is made from the primary private one.
    pub(super) fn mac_address(&self) -> String {
        let [a, b, c, d] = self.primary_ip().octets();
        format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }

    /// Its private addresses with the Elastic IP addresses that lead to them.
    pub(super) fn private_ips_xml<'a>(&'a self, world: &'a World) -> Items<PrivateIpXml<'a>> {
        let xml = self.private_ips.iter().map(|ip| PrivateIpXml {
            private_ip_address: ip.to_string(),
            primary: *ip == self.primary_ip(),
            association: self.association_xml(world, *ip),
        });
        xml.collect()
    }

    /// The public address that leads to a private one.
    fn association_xml<'a>(&'a self, world: &'a World, ip: Ipv4Addr) -> Option<AssociationXml<'a>> {
        let elastic = world.addresses.values().find_map(|address| {
            let association = address.association.as_ref()?;
            let leads_here = association.network_interface == self.id && association.private_ip == ip;
            leads_here.then(|| AssociationXml::new(address, association))
        });
        elastic.or_else(|| AssociationXml::automatic(self, ip))
    }

    /// Its IPv6 addresses.
    pub(super) fn ipv6_xml(&self) -> Items<Ipv6Xml> {
        self.ipv6_addresses.iter().map(|ip| Ipv6Xml { ipv6_address: ip.to_string() }).collect()
    }
}

impl Described for Seen<'_> {
    fn id(&self) -> &str {
        &self.interface.id
    }

    fn tags(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.interface.tags)
    }

    fn values(&self, filter: &str) -> Option<Vec<String>> {
        let Self { interface, world } = self;
        let subnet = &world.subnets[&interface.subnet];
        let of_attachment = |value: fn(&Attachment) -> String| interface.attachment.iter().map(value).collect();
        Some(match filter {
            "network-interface-id" => vec![interface.id.clone()],
            "subnet-id" => vec![interface.subnet.clone()],
            "vpc-id" => vec![subnet.vpc.clone()],
            "availability-zone" => vec![subnet.zone.clone()],
            "status" => vec![interface.status().to_owned()],
            "interface-type" => vec![interface.interface_type.clone()],
            "mac-address" => vec![interface.mac_address()],
            "requester-managed" => vec![interface.requester_managed.to_string()],
            "source-dest-check" => vec![interface.source_dest_check.to_string()],
            "private-ip-address" => vec![interface.primary_ip().to_string()],
            "addresses.private-ip-address" => interface.private_ips.iter().map(ToString::to_string).collect(),
            "ipv6-addresses.ipv6-address" => interface.ipv6_addresses.iter().map(ToString::to_string).collect(),
            "attachment.attachment-id" => of_attachment(|attachment| attachment.id.clone()),
            "attachment.instance-id" => of_attachment(|attachment| attachment.instance.clone()),
            "attachment.device-index" => of_attachment(|attachment| attachment.device_index.to_string()),
            "attachment.status" => of_attachment(|attachment| attachment.state.as_str().to_owned()),
            "attachment.delete-on-termination" => {
                of_attachment(|attachment| attachment.delete_on_termination.to_string())
            }
            _ => return None,
        })
    }
}

impl World {
    pub(super) fn describe_network_interfaces(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let ids = parameters.list("NetworkInterfaceId");
        ids.iter().try_for_each(|id| self.interface(id).map(drop))?;
        let filters = parameters.filters()?;
        let mut found = Vec::new();
        for interface in self.interfaces.values() {
            let seen = Seen { interface, world: self };
            if (ids.is_empty() || ids.contains(&interface.id.as_str())) && seen.passes(&filters)? {
                found.push(seen);
            }
        }
        let (found, next) = page(parameters, "NetworkInterfaceId", found)?;
        let items: Items<_> = found.iter().map(Seen::xml).collect();
        Reply::default().with("networkInterfaceSet", &items)?.with_some("nextToken", next.as_ref())
    }
}

impl Seen<'_> {
    fn xml(&self) -> NetworkInterfaceXml<'_> {
        let Self { interface, world } = self;
        let subnet = &world.subnets[&interface.subnet];
        NetworkInterfaceXml {
            network_interface_id: &interface.id,
            subnet_id: &interface.subnet,
            vpc_id: &subnet.vpc,
            availability_zone: &subnet.zone,
            description: "",
            owner_id: ACCOUNT,
            requester_managed: interface.requester_managed,
            status: interface.status(),
            mac_address: interface.mac_address(),
            private_ip_address: interface.primary_ip().to_string(),
            source_dest_check: interface.source_dest_check,
            interface_type: &interface.interface_type,
            attachment: interface.attachment.as_ref().map(|attachment| AttachmentXml::new(attachment, true)),
            association: interface.association_xml(world, interface.primary_ip()),
            private_ip_addresses_set: interface.private_ips_xml(world),
            ipv6_addresses_set: interface.ipv6_xml(),
            tag_set: Tag::all(&interface.tags),
        }
    }
}
