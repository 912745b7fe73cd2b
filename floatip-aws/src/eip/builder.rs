use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use aws_sdk_ec2::types::Address;
use floatip_core::NodeId;

use super::EipMover;
use crate::client::Ec2;
use crate::id::{self, SetupError};

/// How two monitors are kept from taking the address from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fencing {
    /// Read again immediately before, then overwrite: one step, with a narrow race.
    #[default]
    Overwrite,
    /// Release by the association id, then take it only while free: two steps, no race.
    Strict,
}

/// What the address leads to while a node holds it: a private address of a network interface.
///
/// Without a network interface it is the instance's primary one (or the one that has `private_ip`), without a
/// private address the interface's primary one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EipNode {
    /// The instance. Needed if there is no network interface.
    pub instance: Option<String>,
    /// The network interface.
    pub network_interface: Option<String>,
    /// The private address.
    pub private_ip: Option<Ipv4Addr>,
}

impl EipNode {
    /// A node that needs an instance or a network interface yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the instance.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// Sets the network interface.
    #[must_use]
    pub fn network_interface(mut self, network_interface: impl Into<String>) -> Self {
        self.network_interface = Some(network_interface.into());
        self
    }

    /// Sets the private address.
    #[must_use]
    pub fn private_ip(mut self, private_ip: Ipv4Addr) -> Self {
        self.private_ip = Some(private_ip);
        self
    }

    /// Whether an address that is associated this way is on this node.
    pub(super) fn holds(&self, address: &Address) -> bool {
        let there = match (&self.network_interface, &self.instance) {
            (Some(own), _) => address.network_interface_id() == Some(own),
            (None, Some(own)) => address.instance_id() == Some(own),
            (None, None) => false,
        };
        there && self.private_ip.is_none_or(|own| address.private_ip_address() == Some(own.to_string().as_str()))
    }

    /// Whether one association could be on both.
    fn overlaps(&self, other: &Self) -> bool {
        let same_place = match (&self.network_interface, &other.network_interface) {
            (Some(own), Some(others)) => own == others,
            (Some(_), None) | (None, Some(_)) | (None, None) => {
                self.instance.is_some() && self.instance == other.instance
            }
        };
        same_place && (self.private_ip.is_none() || other.private_ip.is_none() || self.private_ip == other.private_ip)
    }

    fn check(&self, id: &NodeId) -> Result<(), SetupError> {
        self.instance.as_deref().map(id::instance).transpose()?;
        self.network_interface.as_deref().map(id::network_interface).transpose()?;
        if self.instance.is_none() && self.network_interface.is_none() {
            return Err(SetupError::NoTarget(id.clone()));
        }
        Ok(())
    }
}

impl fmt::Display for EipNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, network_interface, private_ip } = self;
        let private_ip = private_ip.map(|ip| ip.to_string());
        let parts: Vec<_> =
            [instance, network_interface, &private_ip].into_iter().flatten().map(String::as_str).collect();
        f.write_str(&parts.join(" / "))
    }
}

/// Builds an [`EipMover`].
#[derive(Debug, Clone)]
pub struct EipBuilder {
    ec2: Ec2,
    allocation: String,
    fencing: Fencing,
    nodes: Vec<(NodeId, EipNode)>,
}

impl EipBuilder {
    pub(super) fn new(ec2: Ec2, allocation: &str) -> Self {
        Self { ec2, allocation: allocation.to_owned(), fencing: Fencing::default(), nodes: Vec::new() }
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, id: NodeId, node: EipNode) -> Self {
        self.nodes.push((id, node));
        self
    }

    /// Adds a node whose address leads to the primary private address of an instance.
    #[must_use]
    pub fn instance(self, id: NodeId, instance: impl Into<String>) -> Self {
        self.node(id, EipNode::new().instance(instance))
    }

    /// Sets how two monitors are kept from taking the address from each other. Default: [`Fencing::Overwrite`].
    #[must_use]
    pub fn fencing(mut self, fencing: Fencing) -> Self {
        self.fencing = fencing;
        self
    }

    /// # Errors
    /// [`SetupError`] if an id is malformed, or the nodes are none, not distinct, or share a private address.
    pub fn build(self) -> Result<EipMover, SetupError> {
        let allocation = id::allocation(&self.allocation)?;
        let mut nodes = BTreeMap::new();
        for (id, node) in self.nodes {
            node.check(&id)?;
            if nodes.contains_key(&id) {
                return Err(SetupError::DuplicateNode(id));
            }
            if let Some((first, _)) = nodes.iter().find(|(_, other)| node.overlaps(other)) {
                let resource = node.to_string();
                return Err(SetupError::SameHolder { first: NodeId::clone(first), second: id, resource });
            }
            nodes.insert(id, node);
        }
        if nodes.is_empty() {
            return Err(SetupError::NoNodes);
        }
        Ok(EipMover { ec2: self.ec2, allocation, fencing: self.fencing, nodes, targets: Mutex::default() })
    }
}
