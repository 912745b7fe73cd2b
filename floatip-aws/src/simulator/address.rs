use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use tokio::time::Instant;

use super::data_plane::Change;
use super::error::ApiError;
use super::instance::InstanceState;
use super::world::World;

/// An Elastic IP address as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElasticIp {
    /// Its allocation id.
    pub allocation: String,
    /// The address.
    pub public_ip: Ipv4Addr,
    /// The network border group whose zones it can be used in. Default: the Region.
    pub border_group: String,
    /// Where it leads to; `None` if nowhere.
    pub association: Option<Association>,
    /// Whether another AWS service manages it. Default: none.
    pub service_managed: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// One association of an Elastic IP address with a private address. Its id is never used again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Association {
    /// Its id.
    pub id: String,
    /// The network interface.
    pub network_interface: String,
    /// The private address on it.
    pub private_ip: Ipv4Addr,
}

/// # Source
/// Amazon EC2 API Reference: AssociateAddress, DisassociateAddress, "Error codes for the Amazon EC2 API".
impl World {
    pub(super) fn address(&self, allocation: &str) -> Result<&ElasticIp, ApiError> {
        self.addresses.get(allocation).ok_or_else(|| {
            let message = format!("The allocation ID '{allocation}' does not exist");
            ApiError::refused("InvalidAllocationID.NotFound", message)
        })
    }

    /// The network interface that an address goes to if only the instance is named.
    pub(super) fn only_interface_of(&self, instance: &str) -> Result<String, ApiError> {
        let state = self.instance_of_id(instance)?.state;
        match self.attachments_of(instance).map(|(interface, _)| &interface.id).collect::<Vec<_>>()[..] {
            [only] => Ok(only.clone()),
            [] => {
                let state = state.as_str();
                let message = format!("The {state} instance '{instance}' is not in a valid state for this operation.");
                Err(ApiError::refused("InvalidInstanceID", message))
            }
            [..] => {
                let message = format!(
                    "There are multiple interfaces attached to instance '{instance}'. Please specify an interface ID \
                     for the operation instead."
                );
                Err(ApiError::refused("InvalidInstanceID", message))
            }
        }
    }

    /// Accepts an association, and gives back its id.
    pub(super) fn begin_associate(
        &mut self,
        allocation: &str,
        network_interface: &str,
        private_ip: Ipv4Addr,
        allow_reassociation: bool,
        now: Instant,
    ) -> Result<String, ApiError> {
        self.check_associate(allocation, network_interface, private_ip, allow_reassociation)?;
        let leads_there = |address: &ElasticIp| {
            let association = address.association.as_ref()?;
            let there = association.network_interface == network_interface && association.private_ip == private_ip;
            there.then(|| association.id.clone())
        };
        if let Some(id) = self.addresses.get(allocation).and_then(leads_there) {
            return Ok(id);
        }
        let displaced = self.addresses.values().filter(|address| leads_there(address).is_some());
        let leaving: Vec<String> = displaced.map(|address| address.allocation.clone()).collect();
        for left in leaving.iter().map(String::as_str).chain([allocation]) {
            self.end_association(left, now);
        }
        let id = self.next_id("eipassoc-");
        let instance = self.interfaces[network_interface].attachment.as_ref().map(|at| at.instance.clone());
        if let Some(address) = self.addresses.get_mut(allocation) {
            let network_interface = network_interface.to_owned();
            let change = Change::Associated {
                public_ip: address.public_ip,
                network_interface: network_interface.clone(),
                instance,
                private_ip,
            };
            if let Some(interface) = self.interfaces.get_mut(&network_interface)
                && interface.primary_ip() == private_ip
            {
                interface.automatic_public_ip = None;
            }
            address.association = Some(Association { id: id.clone(), network_interface, private_ip });
            self.outbox.push((now + self.timings.address_propagation, change));
        }
        Ok(id)
    }

    /// Whether an association would be accepted.
    pub(super) fn check_associate(
        &self,
        allocation: &str,
        network_interface: &str,
        private_ip: Ipv4Addr,
        allow_reassociation: bool,
    ) -> Result<(), ApiError> {
        let address = self.address(allocation)?;
        let interface = self.interface(network_interface)?;
        if !interface.private_ips.contains(&private_ip) {
            let message = format!("The private IP address {private_ip} is not assigned to {network_interface}");
            return Err(ApiError::refused("InvalidParameterValue", message));
        }
        let attached = interface.attachment.as_ref().and_then(|attachment| self.instances.get(&attachment.instance));
        if let Some(instance) = attached {
            match instance.state {
                InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped => {}
                state @ (InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated) => {
                    let message = format!(
                        "The {} instance to which '{network_interface}' is attached is not in a valid state for this \
                         operation",
                        state.as_str()
                    );
                    return Err(ApiError::refused("IncorrectInstanceState", message));
                }
            }
        }
        let zone = &self.subnets[&interface.subnet].zone;
        if border_group(&self.region, zone) != address.border_group {
            let message = format!("The address {allocation} cannot be used in {zone}: it is not in its border group");
            return Err(ApiError::refused("InvalidParameterCombination", message));
        }
        match &address.association {
            Some(old) if !allow_reassociation => {
                if old.network_interface == network_interface && old.private_ip == private_ip {
                    return Ok(());
                }
                let message = format!("resource {allocation} is already associated with associate-id {}", old.id);
                Err(ApiError::refused("Resource.AlreadyAssociated", message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Accepts a disassociation.
    pub(super) fn begin_disassociate(&mut self, association: &str, now: Instant) -> Result<(), ApiError> {
        let allocation = self.check_disassociate(association)?;
        self.end_association(&allocation, now);
        Ok(())
    }

    /// Whether a disassociation would be accepted; gives back the allocation that the association is of.
    pub(super) fn check_disassociate(&self, association: &str) -> Result<String, ApiError> {
        let is_it = |address: &&ElasticIp| address.association.as_ref().is_some_and(|a| a.id == association);
        self.addresses.values().find(is_it).map(|address| address.allocation.clone()).ok_or_else(|| {
            let message = format!("The association ID '{association}' does not exist");
            ApiError::refused("InvalidAssociationID.NotFound", message)
        })
    }

    /// Takes an address off what it leads to, if it leads anywhere.
    pub(super) fn end_association(&mut self, allocation: &str, now: Instant) {
        let Some(address) = self.addresses.get_mut(allocation) else { return };
        if let Some(old) = address.association.take() {
            let change = Change::Disassociated {
                public_ip: address.public_ip,
                network_interface: old.network_interface,
                private_ip: old.private_ip,
            };
            self.outbox.push((now + self.timings.address_propagation, change));
        }
    }
}

fn border_group<'a>(region: &'a str, zone: &'a str) -> &'a str {
    match zone.strip_prefix(region) {
        Some(letter) if letter.len() == 1 => region,
        Some(_) | None => zone.get(..zone.len().saturating_sub(1)).unwrap_or(region),
    }
}
