use std::collections::BTreeMap;

use serde::Serialize;

use super::ACCOUNT;
use super::error::ApiError;
use super::parameters::Parameters;
use super::reply::{Items, Reply};
use super::selection::{Described, page};
use super::world::{Subnet, World};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubnetXml<'a> {
    subnet_id: &'a str,
    state: &'a str,
    vpc_id: &'a str,
    owner_id: &'a str,
    cidr_block: &'a str,
    availability_zone: &'a str,
    ipv6_cidr_block_association_set: Items<Ipv6RangeXml<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6RangeXml<'a> {
    ipv6_cidr_block: &'a str,
}

impl Described for &Subnet {
    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> Option<&BTreeMap<String, String>> {
        None
    }

    fn values(&self, filter: &str) -> Option<Vec<String>> {
        Some(match filter {
            "subnet-id" => vec![self.id.clone()],
            "vpc-id" => vec![self.vpc.clone()],
            "availability-zone" => vec![self.zone.clone()],
            "cidr-block" => vec![self.cidr.clone()],
            _ => return None,
        })
    }
}

impl World {
    pub(super) fn describe_subnets(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let ids = parameters.list("SubnetId");
        if let Some(unknown) = ids.iter().find(|id| !self.subnets.contains_key(**id)) {
            let message = format!("The subnet ID '{unknown}' does not exist");
            return Err(ApiError::refused("InvalidSubnetID.NotFound", message));
        }
        let filters = parameters.filters()?;
        let mut found = Vec::new();
        for subnet in self.subnets.values() {
            if (ids.is_empty() || ids.contains(&subnet.id.as_str())) && (&subnet).passes(&filters)? {
                found.push(subnet);
            }
        }
        let (found, next) = page(parameters, "SubnetId", found)?;
        let items: Items<_> = found
            .into_iter()
            .map(|subnet| SubnetXml {
                subnet_id: &subnet.id,
                state: "available",
                vpc_id: &subnet.vpc,
                owner_id: ACCOUNT,
                cidr_block: &subnet.cidr,
                availability_zone: &subnet.zone,
                ipv6_cidr_block_association_set: subnet
                    .ipv6_cidr
                    .iter()
                    .map(|range| Ipv6RangeXml { ipv6_cidr_block: range })
                    .collect(),
            })
            .collect();
        Reply::default().with("subnetSet", &items)?.with_some("nextToken", next.as_ref())
    }
}
