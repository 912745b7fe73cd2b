use std::collections::BTreeMap;

use serde::Serialize;

use super::ACCOUNT;
use super::describe_interfaces::{AttachmentXml, Ipv6Xml, PrivateIpXml};
use super::error::ApiError;
use super::instance::{CheckStatus, Instance, InstanceState, StatusChecks};
use super::interface::NetworkInterface;
use super::parameters::Parameters;
use super::reply::{Items, Reply, Tag};
use super::selection::{Described, page};
use super::world::{Subnet, World};

/// An instance in its world.
struct Seen<'a> {
    instance: &'a Instance,
    world: &'a World,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReservationXml<'a> {
    reservation_id: String,
    owner_id: &'a str,
    instances_set: Items<InstanceXml<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceXml<'a> {
    instance_id: &'a str,
    instance_state: StateXml,
    instance_type: &'a str,
    placement: PlacementXml<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_ip_address: Option<String>,
    subnet_id: &'a str,
    vpc_id: &'a str,
    network_interface_set: Items<InstanceInterfaceXml<'a>>,
    tag_set: Items<Tag>,
}

#[derive(Serialize)]
struct StateXml {
    code: i32,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlacementXml<'a> {
    availability_zone: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceInterfaceXml<'a> {
    network_interface_id: &'a str,
    subnet_id: &'a str,
    vpc_id: &'a str,
    owner_id: &'a str,
    status: &'a str,
    mac_address: String,
    private_ip_address: String,
    source_dest_check: bool,
    interface_type: &'a str,
    attachment: AttachmentXml<'a>,
    private_ip_addresses_set: Items<PrivateIpXml<'a>>,
    ipv6_addresses_set: Items<Ipv6Xml>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceStatusXml<'a> {
    instance_id: &'a str,
    availability_zone: &'a str,
    instance_state: StateXml,
    system_status: StatusXml,
    instance_status: StatusXml,
    attached_ebs_status: StatusXml,
    events_set: Items<EventXml<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventXml<'a> {
    instance_event_id: String,
    code: &'a str,
    description: &'a str,
    not_before: &'a str,
}

#[derive(Serialize)]
struct StatusXml {
    status: &'static str,
}

impl InstanceState {
    fn xml(self) -> StateXml {
        StateXml { code: self.code(), name: self.as_str() }
    }
}

impl<'a> Seen<'a> {
    fn subnet(&self) -> &'a Subnet {
        &self.world.subnets[&self.instance.subnet]
    }

    fn interfaces(&self) -> Vec<&'a NetworkInterface> {
        let mut attached: Vec<_> = self.world.attachments_of(&self.instance.id).collect();
        attached.sort_by_key(|(_, attachment)| attachment.device_index);
        attached.into_iter().map(|(interface, _)| interface).collect()
    }

    fn private_ip(&self) -> Option<String> {
        Some(self.interfaces().first()?.primary_ip().to_string())
    }

    fn xml(&self) -> InstanceXml<'a> {
        let (instance, subnet, world) = (self.instance, self.subnet(), self.world);
        let interfaces = self.interfaces().into_iter().filter_map(|interface| {
            Some(InstanceInterfaceXml {
                network_interface_id: &interface.id,
                subnet_id: &interface.subnet,
                vpc_id: &world.subnets[&interface.subnet].vpc,
                owner_id: ACCOUNT,
                status: interface.status(),
                mac_address: interface.mac_address(),
                private_ip_address: interface.primary_ip().to_string(),
                source_dest_check: interface.source_dest_check,
                interface_type: &interface.interface_type,
                attachment: AttachmentXml::new(interface.attachment.as_ref()?, false),
                private_ip_addresses_set: interface.private_ips_xml(world),
                ipv6_addresses_set: interface.ipv6_xml(),
            })
        });
        InstanceXml {
            instance_id: &instance.id,
            instance_state: instance.state.xml(),
            instance_type: &instance.instance_type,
            placement: PlacementXml { availability_zone: &subnet.zone },
            private_ip_address: self.private_ip(),
            subnet_id: &instance.subnet,
            vpc_id: &subnet.vpc,
            network_interface_set: interfaces.collect(),
            tag_set: Tag::all(&instance.tags),
        }
    }

    /// Only a running instance has status checks that say something.
    fn status_xml(&self) -> InstanceStatusXml<'a> {
        let checks = match self.instance.state {
            InstanceState::Running => self.instance.checks,
            InstanceState::Pending => StatusChecks::all(CheckStatus::Initializing),
            InstanceState::ShuttingDown
            | InstanceState::Terminated
            | InstanceState::Stopping
            | InstanceState::Stopped => StatusChecks::all(CheckStatus::NotApplicable),
        };
        let events = self.instance.events.iter().enumerate().map(|(number, event)| EventXml {
            instance_event_id: format!("instance-event-{number}"),
            code: &event.code,
            description: &event.description,
            not_before: &event.not_before,
        });
        let xml = |check: CheckStatus| StatusXml { status: check.as_str() };
        InstanceStatusXml {
            instance_id: &self.instance.id,
            availability_zone: &self.subnet().zone,
            instance_state: self.instance.state.xml(),
            system_status: xml(checks.system),
            instance_status: xml(checks.instance),
            attached_ebs_status: xml(checks.ebs),
            events_set: events.collect(),
        }
    }
}

impl Described for Seen<'_> {
    fn id(&self) -> &str {
        &self.instance.id
    }

    fn tags(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.instance.tags)
    }

    fn values(&self, filter: &str) -> Option<Vec<String>> {
        let instance = self.instance;
        Some(match filter {
            "instance-id" => vec![instance.id.clone()],
            "instance-type" => vec![instance.instance_type.clone()],
            "instance-state-name" => vec![instance.state.as_str().to_owned()],
            "instance-state-code" => vec![instance.state.code().to_string()],
            "subnet-id" => vec![instance.subnet.clone()],
            "vpc-id" => vec![self.subnet().vpc.clone()],
            "availability-zone" => vec![self.subnet().zone.clone()],
            "private-ip-address" => self.private_ip().into_iter().collect(),
            "network-interface.network-interface-id" => {
                self.interfaces().into_iter().map(|interface| interface.id.clone()).collect()
            }
            "network-interface.addresses.private-ip-address" => {
                self.interfaces().into_iter().flat_map(|one| one.private_ips.iter().map(ToString::to_string)).collect()
            }
            _ => return None,
        })
    }
}

impl World {
    fn select_instances<'a>(&'a self, parameters: &Parameters) -> Result<Vec<Seen<'a>>, ApiError> {
        let ids = parameters.list("InstanceId");
        ids.iter().try_for_each(|id| self.instance_of_id(id).map(drop))?;
        let filters = parameters.filters()?;
        let mut found = Vec::new();
        for instance in self.instances.values() {
            let seen = Seen { instance, world: self };
            if (ids.is_empty() || ids.contains(&instance.id.as_str())) && seen.passes(&filters)? {
                found.push(seen);
            }
        }
        if let Some(dark) = found.iter().find(|seen| self.dark_zones.contains(&seen.subnet().zone)) {
            return Err(ApiError::unavailable(&dark.subnet().zone));
        }
        Ok(found)
    }

    pub(super) fn describe_instances(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let (found, next) = page(parameters, "InstanceId", self.select_instances(parameters)?)?;
        let reservations: Items<_> = found
            .iter()
            .map(|seen| ReservationXml {
                reservation_id: seen.instance.id.replacen("i-", "r-", 1),
                owner_id: ACCOUNT,
                instances_set: [seen.xml()].into_iter().collect(),
            })
            .collect();
        Reply::default().with("reservationSet", &reservations)?.with_some("nextToken", next.as_ref())
    }

    /// Shows only running instances, unless all are asked for.
    pub(super) fn describe_instance_status(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let all = parameters.flag("IncludeAllInstances")?;
        let mut found = self.select_instances(parameters)?;
        found.retain(|seen| all || seen.instance.state == InstanceState::Running);
        let (found, next) = page(parameters, "InstanceId", found)?;
        let statuses: Items<_> = found.iter().map(Seen::status_xml).collect();
        Reply::default().with("instanceStatusSet", &statuses)?.with_some("nextToken", next.as_ref())
    }
}
