use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use aws_sdk_ec2::types::{Address, NetworkInterface};
use floatip_core::{MoveError, NodeId};

use super::{ASSOCIATE, EipMover, EipNode};
use crate::error::Call;
use crate::{instance, interface, preflight};

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
        preflight::has_private_address(&interface, private_ip).or_impossible(call)?;
        self.displaces_nothing(&target).await?;
        let instance = match interface::instance(&interface) {
            Some(id) => Some(self.ec2.instance(id).await?),
            None => None,
        };
        preflight::keeps_public_address(&interface, private_ip, instance.as_ref()).or_impossible(call)?;
        let address = self.ec2.address(&self.allocation).await?;
        preflight::own_address(&address).or_impossible(call)?;
        preflight::in_border_group(self.ec2.region(), &address, &interface).or_impossible(call)
    }

    /// EC2 would take another Elastic IP address off the target without a word.
    pub(super) async fn displaces_nothing(&self, target: &Target) -> Result<(), MoveError> {
        let Target { network_interface, private_ip } = target;
        let there = self.ec2.addresses_at(network_interface, private_ip).await?;
        preflight::displaces_nothing(&self.allocation, network_interface, private_ip, &there)
            .or_impossible(Call::request(ASSOCIATE, &self.allocation))
    }

    /// Finds out what to associate with, by one call, and remembers it.
    async fn look_up(&self, to: &NodeId) -> Result<Target, MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        let node = self.nodes.get(to).ok_or_else(|| call.impossible(format!("{to} is no node of this mover")))?;
        let (network_interface, primary_ip) = match (&node.instance, &node.network_interface) {
            (Some(id), _) => {
                let instance = self.ec2.living_instance(call, id).await?;
                let missing = || call.impossible(format!("{id} has no such interface: {node}"));
                let found = instance::interface_of(&instance, node.network_interface.as_deref(), node.private_ip)
                    .ok_or_else(missing)?;
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
