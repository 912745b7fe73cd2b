//! Moves an Elastic IP address between private addresses of network interfaces.

mod builder;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_ec2::types::{Address, Instance, InstanceNetworkInterface, NetworkInterface};
use floatip_core::{
    Accepted, AddressMover, Capabilities, MoveError, NodeId, Placement, Precondition, Readiness, ReleaseMode, Strategy,
    Token,
};

use crate::client::Ec2;
use crate::error::Call;
use crate::instance;
pub use builder::{EipBuilder, EipNode, Fencing};

const ASSOCIATE: &str = "AssociateAddress";
const DISASSOCIATE: &str = "DisassociateAddress";

/// Moves an Elastic IP address (EIP). It is always associated with a network interface *and* a private address of it;
/// the token is the association id, a [`Token::Generation`].
///
/// # Guarantees
/// Seen free, the address is associated only if it still is free. Seen on another node, the default overwrites: it reads
/// once more that the association is the one that was seen, and then takes the address from whoever has it. That narrows
/// the race with another monitor and does not close it. With [`Fencing::Strict`] the address is released first, by its
/// association id, and taken only while free: EC2 itself refuses the loser, at the price of a moment on no node.
///
/// # What it changes besides
/// An instance that receives the address loses its automatic public IP address, and does not always get one back. A
/// private address that has another Elastic IP address would lose it silently: [`ready`](AddressMover::ready) refuses
/// such a node.
///
/// # Source
/// Amazon EC2 API Reference: AssociateAddress, DisassociateAddress, DescribeAddresses.
pub struct EipMover {
    ec2: Ec2,
    allocation: String,
    fencing: Fencing,
    nodes: BTreeMap<NodeId, EipNode>,
    targets: Mutex<BTreeMap<NodeId, Target>>,
}

/// What the address is associated with to be on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    network_interface: String,
    private_ip: String,
}

impl EipMover {
    /// A mover of the address with this allocation id, without nodes.
    pub fn builder(ec2: Ec2, allocation: &str) -> EipBuilder {
        EipBuilder::new(ec2, allocation)
    }

    fn placement(&self, address: &Address) -> Placement {
        let Some(association) = address.association_id() else { return Placement::Free };
        let token = Token::generation(association);
        if let Some((node, _)) = self.nodes.iter().find(|(_, node)| node.holds(address)) {
            return Placement::held(node.clone(), token);
        }
        let parts = [address.network_interface_id(), address.private_ip_address(), address.instance_id()];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        Placement::Stranger { description: format!("{}, by {token}", parts.join(" / ")), token }
    }

    async fn associate(&self, to: &NodeId, overwrite: bool) -> Result<Accepted, MoveError> {
        let target = self.target(to).await?;
        let request = self.ec2.sdk().associate_address().allocation_id(&self.allocation);
        let request = request.network_interface_id(target.network_interface).private_ip_address(target.private_ip);
        match request.allow_reassociation(overwrite).send().await {
            Ok(answer) => Ok(answer
                .association_id()
                .map_or_else(Accepted::without_token, |id| Accepted::with_token(Token::generation(id)))),
            Err(error) => {
                self.targets.lock().unwrap_or_else(PoisonError::into_inner).remove(to);
                Err(Call::request(ASSOCIATE, &self.allocation).failed(error))
            }
        }
    }

    /// What to associate with. Looked up at most once between refusals; [`ready`](AddressMover::ready) does it ahead.
    async fn target(&self, to: &NodeId) -> Result<Target, MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        let node = self.nodes.get(to).ok_or_else(|| call.impossible(format!("{to} is no node of this mover")))?;
        if let Some(target) = self.targets.lock().unwrap_or_else(PoisonError::into_inner).get(to) {
            return Ok(target.clone());
        }
        if let (Some(network_interface), Some(private_ip)) = (&node.network_interface, node.private_ip) {
            return Ok(Target { network_interface: network_interface.clone(), private_ip: private_ip.to_string() });
        }
        let (target, _) = self.look_up(to, node).await?.map_err(|obstacle| call.impossible(obstacle))?;
        Ok(target)
    }

    /// Finds out what to associate with, and remembers it; or says why there is nothing.
    async fn look_up(
        &self,
        to: &NodeId,
        node: &EipNode,
    ) -> Result<Result<(Target, NetworkInterface), String>, MoveError> {
        let network_interface = match (&node.instance, &node.network_interface) {
            (Some(id), _) => match self.ec2.living_instance(id).await? {
                Ok(instance) => match interface_of(&instance, node) {
                    Some(found) => found.to_owned(),
                    None => return Ok(Err(format!("{id} has no such interface: {node}"))),
                },
                Err(obstacle) => return Ok(Err(obstacle)),
            },
            (None, Some(network_interface)) => network_interface.clone(),
            (None, None) => return Ok(Err(format!("{to} has neither an instance nor an interface"))),
        };
        let interface = match self.ec2.network_interface(&network_interface).await {
            Err(MoveError::NotFound { .. }) => {
                return Ok(Err(format!(
                    "{network_interface} is not in {}; give the node another one",
                    self.ec2.region()
                )));
            }
            interface => interface?,
        };
        let private_ip = node.private_ip.map(|ip| ip.to_string());
        let Some(private_ip) = private_ip.or_else(|| interface.private_ip_address().map(str::to_owned)) else {
            return Ok(Err(format!("{network_interface} has no private IPv4 address; assign one")));
        };
        let target = Target { network_interface, private_ip };
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).insert(to.clone(), target.clone());
        Ok(Ok((target, interface)))
    }

    async fn obstacle(&self, to: &NodeId, node: &EipNode) -> Result<Option<String>, MoveError> {
        let address = self.ec2.address(&self.allocation).await?;
        if let Some(service) = address.service_managed() {
            return Ok(Some(format!("{} is managed by the service {}", self.allocation, service.as_str())));
        }
        let (target, interface) = match self.look_up(to, node).await? {
            Ok(found) => found,
            Err(obstacle) => return Ok(Some(obstacle)),
        };
        let Target { network_interface, private_ip } = target;
        let Some(private) =
            interface.private_ip_addresses().iter().find(|it| it.private_ip_address() == Some(private_ip.as_str()))
        else {
            return Ok(Some(format!("{network_interface} has no private address {private_ip}; assign it there")));
        };
        if let Some(other) = private.association().filter(|it| it.allocation_id() != Some(self.allocation.as_str()))
            && let Some(allocation) = other.allocation_id()
        {
            let public_ip = other.public_ip().unwrap_or("another Elastic IP address");
            return Ok(Some(format!(
                "{private_ip} of {network_interface} has {public_ip} ({allocation}), which would be displaced; \
                 disassociate it, or give the node another private_ip"
            )));
        }
        if let (Some(group), Some(zone)) = (address.network_border_group(), interface.availability_zone())
            && outside_border_group(self.ec2.region(), group, zone)
        {
            return Ok(Some(format!("{} belongs to {group}, and {network_interface} is in {zone}", self.allocation)));
        }
        Ok(None)
    }
}

fn interface_of<'a>(instance: &'a Instance, node: &EipNode) -> Option<&'a str> {
    let fits = |it: &InstanceNetworkInterface| match (&node.network_interface, node.private_ip) {
        (Some(wanted), _) => it.network_interface_id() == Some(wanted),
        (None, Some(ip)) => {
            let ip = ip.to_string();
            it.private_ip_addresses().iter().any(|it| it.private_ip_address() == Some(ip.as_str()))
        }
        (None, None) => false,
    };
    let wanted = instance.network_interfaces().iter().find(|it| fits(it));
    let primary = || instance::primary_interface(instance).filter(|_| node.is_primary_of_instance());
    wanted.or_else(primary).and_then(|it| it.network_interface_id())
}

/// Whether a zone is certainly outside an address's border group. That of an ordinary zone, named as the Region with one
/// letter, is the Region; what belongs to a local or Wavelength zone cannot be told from its name.
fn outside_border_group(region: &str, group: &str, zone: &str) -> bool {
    let letter = zone.strip_prefix(region).filter(|_| !region.is_empty());
    letter.is_some_and(|letter| letter.len() == 1) && group != region
}

impl fmt::Debug for EipMover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EipMover")
            .field("allocation", &self.allocation)
            .field("fencing", &self.fencing)
            .field("nodes", &self.nodes)
            .field("ec2", &self.ec2)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl AddressMover for EipMover {
    /// A claim is up to two calls: the read that comes immediately before an overwrite, and the association.
    fn capabilities(&self) -> Capabilities {
        let (strategy, precondition) = match self.fencing {
            Fencing::Overwrite => (Strategy::Overwrite, Precondition::BestEffort),
            Fencing::Strict => (Strategy::ReleaseFirst, Precondition::Enforced),
        };
        Capabilities::new(strategy).call_timeout(2 * Ec2::CALL_TIMEOUT).precondition(precondition)
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        Ok(self.placement(&self.ec2.address(&self.allocation).await?))
    }

    async fn release(&self, seen: &Placement, _mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let call = Call::request(DISASSOCIATE, &self.allocation);
        let association = seen.token().ok_or_else(|| call.conflict("nothing is associated with it"))?;
        let answer = self.ec2.sdk().disassociate_address().association_id(association.as_str()).send().await;
        answer.map(|_| Accepted::without_token()).map_err(|error| call.failed(error))
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        match (seen, self.fencing) {
            (Placement::Free, _) => self.associate(to, false).await,
            (Placement::Held { node, token, .. }, _) if node == to => Ok(Accepted::with_token(token.clone())),
            (Placement::Held { token, .. } | Placement::Stranger { token, .. }, Fencing::Overwrite) => {
                self.target(to).await?;
                let now = self.locate().await?;
                if now.token() == Some(token) {
                    self.associate(to, true).await
                } else {
                    Err(call.conflict(format!("it was {seen}, and is {now} by now")))
                }
            }
            (Placement::Held { .. } | Placement::Stranger { .. }, Fencing::Strict)
            | (Placement::Transition { .. } | Placement::Split { .. }, _) => {
                Err(call.conflict(format!("it is {seen}, and must be released first")))
            }
        }
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        let obstacle = match self.nodes.get(to) {
            Some(node) => self.obstacle(to, node).await?,
            None => Some(format!("{to} is no node of this mover")),
        };
        Ok(obstacle.map_or(Readiness::Ready, |reason| Readiness::Impossible { reason }))
    }
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
