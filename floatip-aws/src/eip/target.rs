use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use aws_sdk_ec2::types::{Address, Instance, NetworkInterface};
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
        self.look_up(to).await.map(|(target, _)| target)
    }

    /// Whether the address could be put on a node, and nothing else be lost by it.
    pub(super) async fn check(&self, to: &NodeId) -> Result<(), MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        let (Target { network_interface, private_ip }, interface) = self.look_up(to).await?;
        let mut addresses = interface.private_ip_addresses().iter();
        let Some(private) = addresses.find(|it| it.private_ip_address() == Some(&private_ip)) else {
            let reason = format!("{network_interface} has no private address {private_ip}; assign it there");
            return Err(call.impossible(reason));
        };
        let elastic = private.association().and_then(|it| Some((it.allocation_id()?, it.public_ip())));
        if let Some((other, public_ip)) = elastic.filter(|(allocation, _)| *allocation != self.allocation) {
            return Err(call.impossible(format!(
                "{private_ip} of {network_interface} has {} ({other}), which would be displaced; disassociate it, or \
                 give the node another private_ip",
                public_ip.unwrap_or("another Elastic IP address")
            )));
        }
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

    /// Finds out what to associate with, and remembers it.
    async fn look_up(&self, to: &NodeId) -> Result<(Target, NetworkInterface), MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        let node = self.nodes.get(to).ok_or_else(|| call.impossible(format!("{to} is no node of this mover")))?;
        let network_interface = match (&node.instance, &node.network_interface) {
            (Some(id), _) => {
                let instance = self.ec2.living_instance(call, id).await?;
                let found = interface_of(&instance, node).map(str::to_owned);
                found.ok_or_else(|| call.impossible(format!("{id} has no such interface: {node}")))?
            }
            (None, Some(network_interface)) => network_interface.clone(),
            (None, None) => return Err(call.impossible(format!("{to} has neither an instance nor an interface"))),
        };
        let interface = match self.ec2.network_interface(&network_interface).await {
            Err(MoveError::NotFound { .. }) => {
                let region = self.ec2.region();
                let reason = format!("{network_interface} is not in {region}; give the node another one");
                return Err(call.impossible(reason));
            }
            interface => interface?,
        };
        let private_ip = node.private_ip.map(|ip| ip.to_string());
        let private_ip = private_ip
            .or_else(|| interface.private_ip_address().map(str::to_owned))
            .ok_or_else(|| call.impossible(format!("{network_interface} has no private IPv4 address; assign one")))?;
        let target = Target { network_interface, private_ip };
        self.targets().insert(to.clone(), target.clone());
        Ok((target, interface))
    }

    pub(super) fn targets(&self) -> MutexGuard<'_, BTreeMap<NodeId, Target>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interface_of<'a>(instance: &'a Instance, node: &EipNode) -> Option<&'a str> {
    let mut interfaces = instance.network_interfaces().iter();
    let found = match (&node.network_interface, node.private_ip.map(|ip| ip.to_string())) {
        (Some(wanted), _) => interfaces.find(|it| it.network_interface_id() == Some(wanted)),
        (None, Some(ip)) => interfaces
            .find(|it| it.private_ip_addresses().iter().any(|it| it.private_ip_address() == Some(ip.as_str()))),
        (None, None) => instance::primary_interface(instance),
    };
    found.and_then(|it| it.network_interface_id())
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
