use std::collections::BTreeMap;

use serde::Serialize;

use super::ACCOUNT;
use super::address::{Association, ElasticIp};
use super::error::ApiError;
use super::parameters::Parameters;
use super::reply::{Items, Reply, Tag};
use super::selection::Described;
use super::world::World;

/// An Elastic IP address in its world.
struct Seen<'a> {
    address: &'a ElasticIp,
    world: &'a World,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AddressXml<'a> {
    public_ip: String,
    allocation_id: &'a str,
    domain: &'a str,
    network_border_group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    association_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_interface_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_interface_owner_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_ip_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_managed: Option<&'a str>,
    tag_set: Items<Tag>,
}

impl<'a> Seen<'a> {
    fn instance(&self) -> Option<&'a str> {
        let association = self.address.association.as_ref()?;
        let attachment = self.world.interfaces.get(&association.network_interface)?.attachment.as_ref()?;
        Some(&attachment.instance)
    }

    fn xml(&self) -> AddressXml<'a> {
        let address = self.address;
        let association = address.association.as_ref();
        AddressXml {
            public_ip: address.public_ip.to_string(),
            allocation_id: &address.allocation,
            domain: "vpc",
            network_border_group: &address.border_group,
            association_id: association.map(|association| association.id.as_str()),
            network_interface_id: association.map(|association| association.network_interface.as_str()),
            network_interface_owner_id: association.map(|_| ACCOUNT),
            private_ip_address: association.map(|association| association.private_ip.to_string()),
            instance_id: self.instance(),
            service_managed: address.service_managed.as_deref(),
            tag_set: Tag::all(&address.tags),
        }
    }
}

impl Described for Seen<'_> {
    fn id(&self) -> &str {
        &self.address.allocation
    }

    fn tags(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.address.tags)
    }

    fn values(&self, filter: &str) -> Option<Vec<String>> {
        let of_association = |value: fn(&Association) -> String| self.address.association.iter().map(value).collect();
        Some(match filter {
            "allocation-id" => vec![self.address.allocation.clone()],
            "public-ip" => vec![self.address.public_ip.to_string()],
            "domain" => vec!["vpc".to_owned()],
            "network-border-group" => vec![self.address.border_group.clone()],
            "association-id" => of_association(|association| association.id.clone()),
            "network-interface-id" => of_association(|association| association.network_interface.clone()),
            "private-ip-address" => of_association(|association| association.private_ip.to_string()),
            "instance-id" => self.instance().map(str::to_owned).into_iter().collect(),
            _ => return None,
        })
    }
}

impl World {
    /// Not paginated, as in EC2.
    pub(super) fn describe_addresses(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let allocations = parameters.list("AllocationId");
        allocations.iter().try_for_each(|allocation| self.address(allocation).map(drop))?;
        let public_ips = parameters.list("PublicIp");
        if let Some(unknown) =
            public_ips.iter().find(|ip| !self.addresses.values().any(|a| a.public_ip.to_string() == **ip))
        {
            return Err(ApiError::refused("InvalidAddress.NotFound", format!("Address '{unknown}' not found.")));
        }
        let filters = parameters.filters()?;
        let mut items = Vec::new();
        for address in self.addresses.values() {
            let seen = Seen { address, world: self };
            let asked_for = (allocations.is_empty() || allocations.contains(&address.allocation.as_str()))
                && (public_ips.is_empty() || public_ips.contains(&address.public_ip.to_string().as_str()));
            if asked_for && seen.passes(&filters)? {
                items.push(seen.xml());
            }
        }
        Reply::default().with("addressesSet", &items.into_iter().collect::<Items<_>>())
    }
}
