use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use aws_sdk_ec2::types::{Address, Instance, InstanceNetworkInterface, NetworkInterface};
use floatip_core::{MoveError, NodeId};

use super::{ASSOCIATE, EipMover, EipNode};
use crate::error::Call;
use crate::instance;

/// What the address is associated with to be on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) network_interface: String,
    pub(super) private_ip: String,
}

impl Target {
    pub(super) fn is_of(&self, address: &Address) -> bool {
        address.network_interface_id() == Some(&self.network_interface)
            && address.private_ip_address() == Some(&self.private_ip)
    }
}

impl EipMover {
    /// What to associate with. Looked up once, and again when EC2 says that it is not there; [`check`](Self::check) does it ahead.
    pub(super) async fn target(&self, to: &NodeId) -> Result<Target, MoveError> {
        if let Some(target) = self.targets().get(to) {
            return Ok(target.clone());
        }
        if let Some(EipNode { network_interface: Some(own), private_ip: Some(ip), .. }) = self.nodes.get(to) {
            return Ok(Target { network_interface: own.clone(), private_ip: ip.to_string() });
        }
        self.look_up(to).await
    }

    /// Whether the address could be put on a node, and nothing else be lost by it.
    pub(super) async fn check(&self, to: &NodeId) -> Result<(), MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        let target = self.look_up(to).await?;
        let Target { network_interface, private_ip } = &target;
        let interface = self.interface(network_interface).await?;
        let mut addresses = interface.private_ip_addresses().iter();
        if !addresses.any(|it| it.private_ip_address() == Some(private_ip)) {
            let reason = format!("{network_interface} has no private address {private_ip}; assign it there");
            return Err(call.impossible(reason));
        }
        self.displaces_nothing(&target).await?;
        let address = self.ec2.address(&self.allocation).await?;
        if let Some(service) = address.service_managed() {
            let reason = format!("{} is managed by the service {}", self.allocation, service.as_str());
            return Err(call.impossible(reason));
        }
        match (address.network_border_group(), interface.availability_zone()) {
            (Some(group), Some(zone)) if outside_border_group(self.ec2.region(), group, zone) => {
                let reason = format!("{} belongs to {group}, and {network_interface} is in {zone}", self.allocation);
                Err(call.impossible(reason))
            }
            _ => Ok(()),
        }
    }

    /// EC2 would take another Elastic IP address off the target without a word.
    pub(super) async fn displaces_nothing(&self, target: &Target) -> Result<(), MoveError> {
        let Target { network_interface, private_ip } = target;
        let there = self.ec2.addresses_at(network_interface, private_ip).await?;
        match there.iter().find(|it| it.allocation_id() != Some(&self.allocation)) {
            None => Ok(()),
            Some(other) => Err(Call::request(ASSOCIATE, &self.allocation).impossible(format!(
                "{private_ip} of {network_interface} has {} ({}), which would be displaced; disassociate it, or give \
                 the node another private_ip",
                other.public_ip().unwrap_or("another Elastic IP address"),
                other.allocation_id().unwrap_or("without an allocation id")
            ))),
        }
    }

    /// Finds out what to associate with, by one call, and remembers it.
    async fn look_up(&self, to: &NodeId) -> Result<Target, MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        let node = self.nodes.get(to).ok_or_else(|| call.impossible(format!("{to} is no node of this mover")))?;
        let (network_interface, primary_ip) = match (&node.instance, &node.network_interface) {
            (Some(id), _) => {
                let instance = self.ec2.living_instance(call, id).await?;
                let missing = || call.impossible(format!("{id} has no such interface: {node}"));
                let found = interface_of(&instance, node).ok_or_else(missing)?;
                let id = found.network_interface_id().ok_or_else(missing)?;
                (id.to_owned(), found.private_ip_address().map(str::to_owned))
            }
            (None, Some(id)) => (id.clone(), self.interface(id).await?.private_ip_address),
            (None, None) => return Err(call.impossible(format!("{to} has neither an instance nor an interface"))),
        };
        let private_ip =
            node.private_ip.map(|ip| ip.to_string()).or(primary_ip).ok_or_else(|| {
                call.impossible(format!("{network_interface} has no private IPv4 address; assign one"))
            })?;
        let target = Target { network_interface, private_ip };
        self.targets().insert(to.clone(), target.clone());
        Ok(target)
    }

    async fn interface(&self, id: &str) -> Result<NetworkInterface, MoveError> {
        match self.ec2.network_interface(id).await {
            Err(MoveError::NotFound { .. }) => {
                let reason = format!("{id} is not in {} and this account; give the node another", self.ec2.region());
                Err(Call::request(ASSOCIATE, &self.allocation).impossible(reason))
            }
            interface => interface,
        }
    }

    pub(super) fn targets(&self) -> MutexGuard<'_, BTreeMap<NodeId, Target>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interface_of<'a>(instance: &'a Instance, node: &EipNode) -> Option<&'a InstanceNetworkInterface> {
    let mut interfaces = instance.network_interfaces().iter();
    match (&node.network_interface, node.private_ip.map(|ip| ip.to_string())) {
        (Some(wanted), _) => interfaces.find(|it| it.network_interface_id() == Some(wanted)),
        (None, Some(ip)) => interfaces
            .find(|it| it.private_ip_addresses().iter().any(|it| it.private_ip_address() == Some(ip.as_str()))),
        (None, None) => instance::primary_interface(instance),
    }
}

/// Whether a zone is certainly outside an address's border group. That of an ordinary zone, named as the Region with one
/// letter, is the Region; what belongs to a local or Wavelength zone cannot be told from its name.
fn outside_border_group(region: &str, group: &str, zone: &str) -> bool {
    let letter = zone.strip_prefix(region).filter(|_| !region.is_empty());
    letter.is_some_and(|letter| letter.len() == 1) && group != region
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ordinary_zone_is_known_to_be_outside_a_border_group() {
        let outside = |group, zone| outside_border_group("us-east-1", group, zone);
        assert!(!outside("us-east-1", "us-east-1a"));
        assert!(outside("us-east-1-bos-1", "us-east-1a"));
        assert!(!outside("us-east-1-bos-1", "us-east-1-bos-1a"));
        assert!(!outside("us-east-1", "us-east-1-bos-1a"), "a local zone may belong to the Region's own group");
        assert!(!outside("us-east-1", "eu-west-1a"));
    }
}
