use std::net::IpAddr;

use floatip_core::NodeId;
use ipnet::IpNet;

use super::RouteMover;
use crate::client::Ec2;
use crate::id::{self, SetupError};
use crate::node_interface::{NodeInterface, NodeInterfaces};

/// Which route tables lead to the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTables {
    /// Those with these ids: 1 to 200.
    Ids(Vec<String>),
    /// All that have this tag when they are read: 1 at least, and those of one VPC.
    Tag {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

impl RouteTables {
    /// EC2's limit of values in one filter.
    ///
    /// # Source
    /// Amazon EC2 API Reference, DescribeRouteTables, `Filters`.
    pub const MOST: usize = 200;
}

/// Builds a [`RouteMover`].
#[derive(Debug, Clone)]
pub struct RouteBuilder {
    ec2: Ec2,
    address: IpAddr,
    tables: RouteTables,
    nodes: Vec<(NodeId, NodeInterface)>,
}

impl RouteBuilder {
    pub(super) fn new(ec2: Ec2, address: IpAddr, tables: RouteTables) -> Self {
        Self { ec2, address, tables, nodes: Vec::new() }
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, id: NodeId, node: NodeInterface) -> Self {
        self.nodes.push((id, node));
        self
    }

    /// # Errors
    /// [`SetupError`] if an id is malformed, the tables are none, too many or not distinct, or the nodes are none, not
    /// distinct, or share an interface.
    pub fn build(self) -> Result<RouteMover, SetupError> {
        let tables = match self.tables {
            RouteTables::Ids(given) => {
                let mut ids = given.iter().map(|id| id::route_table(id)).collect::<Result<Vec<_>, _>>()?;
                ids.sort_unstable();
                ids.dedup();
                if ids.is_empty() || ids.len() > RouteTables::MOST || ids.len() < given.len() {
                    return Err(SetupError::RouteTables);
                }
                RouteTables::Ids(ids)
            }
            RouteTables::Tag { key, value } => {
                if key.is_empty() {
                    return Err(SetupError::RouteTables);
                }
                RouteTables::Tag { key, value }
            }
        };
        let nodes = NodeInterfaces::new(self.nodes)?;
        let destination = IpNet::from(self.address);
        Ok(RouteMover { ec2: self.ec2, destination, name: destination.to_string(), tables, nodes })
    }
}
