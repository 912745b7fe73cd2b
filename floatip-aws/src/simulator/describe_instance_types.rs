use std::collections::BTreeMap;

use serde::Serialize;

use super::error::ApiError;
use super::instance::InstanceType;
use super::parameters::Parameters;
use super::reply::{Items, Reply};
use super::selection::{Described, page};
use super::world::World;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceTypeXml {
    instance_type: &'static str,
    network_info: NetworkInfoXml,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkInfoXml {
    maximum_network_interfaces: u32,
    maximum_network_cards: u32,
    default_network_card_index: u32,
    ipv4_addresses_per_interface: u32,
    ipv6_addresses_per_interface: u32,
}

impl Described for InstanceType {
    fn id(&self) -> &str {
        self.name
    }

    fn tags(&self) -> Option<&BTreeMap<String, String>> {
        None
    }

    fn values(&self, filter: &str) -> Option<Vec<String>> {
        Some(match filter {
            "instance-type" => vec![self.name.to_owned()],
            "network-info.maximum-network-interfaces" => vec![self.network_interfaces.to_string()],
            "network-info.ipv4-addresses-per-interface" => vec![self.ipv4_addresses.to_string()],
            _ => return None,
        })
    }
}

impl World {
    pub(super) fn describe_instance_types(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let names = parameters.list("InstanceType");
        if let Some(unknown) = names.iter().find(|name| InstanceType::named(name).is_none()) {
            let message = format!("The following supplied instance types do not exist: [{unknown}]");
            return Err(ApiError::refused("InvalidInstanceType", message));
        }
        let filters = parameters.filters()?;
        let mut found = Vec::new();
        for known in InstanceType::known() {
            if (names.is_empty() || names.contains(&known.name)) && known.passes(&filters)? {
                found.push(*known);
            }
        }
        found.sort_by_key(|known| known.name);
        let (found, next) = page(parameters, "InstanceType", found)?;
        let types = found.into_iter().map(|known| InstanceTypeXml {
            instance_type: known.name,
            network_info: NetworkInfoXml {
                maximum_network_interfaces: known.network_interfaces,
                maximum_network_cards: 1,
                default_network_card_index: 0,
                ipv4_addresses_per_interface: known.ipv4_addresses,
                ipv6_addresses_per_interface: known.ipv4_addresses,
            },
        });
        Reply::default().with("instanceTypeSet", &types.collect::<Items<_>>())?.with_some("nextToken", next.as_ref())
    }
}
