//! What is to be checked, or permitted: one address, its mechanism, and the nodes that may hold it.

use std::net::{IpAddr, Ipv4Addr};

use floatip_core::NodeId;

use crate::eip::Fencing;
use crate::route::RouteTables;

/// How the address moves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// A network interface is detached and attached.
    Eni {
        /// The interface.
        network_interface: String,
        /// The device index that it is to get.
        device_index: u8,
    },
    /// An Elastic IP address is associated anew.
    Eip {
        /// Its allocation id.
        allocation: String,
        /// Whether it is released first.
        fencing: Fencing,
    },
    /// A secondary private address is assigned to another interface.
    PrivateIp {
        /// The address.
        address: IpAddr,
    },
    /// Routes to an overlay address are replaced.
    Route {
        /// The overlay address, of which each table has a route.
        address: IpAddr,
        /// The route tables.
        tables: RouteTables,
    },
}

impl Mechanism {
    /// The word of a configuration's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Eni { .. } => "eni",
            Self::Eip { .. } => "eip",
            Self::PrivateIp { .. } => "private-ip",
            Self::Route { .. } => "route",
        }
    }
}

/// A node that may hold the address, by its ids: an instance, an interface, or both. Without an interface the address
/// goes to the instance's primary one, or to the one that has `private_ip`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Its instance.
    pub instance: Option<String>,
    /// Its interface.
    pub network_interface: Option<String>,
    /// The private address there that an Elastic IP address leads to.
    pub private_ip: Option<Ipv4Addr>,
}

impl Candidate {
    /// A candidate that needs an instance or an interface yet.
    pub fn new(node: NodeId) -> Self {
        Self { node, instance: None, network_interface: None, private_ip: None }
    }

    /// Sets the instance.
    #[must_use]
    pub fn instance(self, instance: impl Into<String>) -> Self {
        Self { instance: Some(instance.into()), ..self }
    }

    /// Sets the interface.
    #[must_use]
    pub fn network_interface(self, network_interface: impl Into<String>) -> Self {
        Self { network_interface: Some(network_interface.into()), ..self }
    }

    /// Sets the private address.
    #[must_use]
    pub fn private_ip(self, private_ip: Ipv4Addr) -> Self {
        Self { private_ip: Some(private_ip), ..self }
    }
}

/// One address, how it moves, and the nodes that may hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subject {
    /// How it moves.
    pub mechanism: Mechanism,
    /// The nodes.
    pub candidates: Vec<Candidate>,
}

impl Subject {
    /// An address and its nodes.
    pub fn new(mechanism: Mechanism, candidates: impl IntoIterator<Item = Candidate>) -> Self {
        Self { mechanism, candidates: candidates.into_iter().collect() }
    }

    pub(crate) fn candidate(&self, node: &NodeId) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.node == *node)
    }
}
