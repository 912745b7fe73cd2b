//! The network interfaces of the nodes, for movers that lead an address to one that stays attached.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_ec2::types::NetworkInterface;
use floatip_core::{MoveError, NodeId};

use crate::client::Ec2;
use crate::error::Call;
use crate::id::{self, SetupError};
use crate::instance;

/// The network interface that receives the address on a node. Without one it is the instance's primary one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeInterface {
    /// The instance. Needed if there is no network interface.
    pub instance: Option<String>,
    /// The network interface.
    pub network_interface: Option<String>,
}

impl NodeInterface {
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

    /// What both would stand for, if they could be one holder.
    fn shares(&self, other: &Self) -> Option<String> {
        match (&self.network_interface, &other.network_interface) {
            (Some(own), Some(others)) => (own == others).then(|| own.clone()),
            (Some(_), None) | (None, Some(_)) | (None, None) => {
                self.instance.clone().filter(|own| other.instance.as_ref() == Some(own))
            }
        }
    }
}

/// Those of all nodes, with what has been looked up of them.
#[derive(Debug)]
pub(crate) struct NodeInterfaces {
    nodes: BTreeMap<NodeId, NodeInterface>,
    found: Mutex<BTreeMap<NodeId, String>>,
}

impl NodeInterfaces {
    pub(crate) fn new(given: Vec<(NodeId, NodeInterface)>) -> Result<Self, SetupError> {
        let mut nodes = BTreeMap::<NodeId, NodeInterface>::new();
        for (id, node) in given {
            node.instance.as_deref().map(id::instance).transpose()?;
            node.network_interface.as_deref().map(id::network_interface).transpose()?;
            if node.instance.is_none() && node.network_interface.is_none() {
                return Err(SetupError::NoTarget(id));
            }
            if nodes.contains_key(&id) {
                return Err(SetupError::DuplicateNode(id));
            }
            let shared = nodes.iter().find_map(|(other, it)| Some((other.clone(), node.shares(it)?)));
            if let Some((first, resource)) = shared {
                return Err(SetupError::SameHolder { first, second: id, resource });
            }
            nodes.insert(id, node);
        }
        if nodes.is_empty() {
            return Err(SetupError::NoNodes);
        }
        Ok(Self { nodes, found: Mutex::default() })
    }

    pub(crate) fn contain(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }

    /// The node whose interface this is. `primary_of` is the instance whose primary interface it is, as far as is known.
    pub(crate) fn node_of(&self, interface: &str, primary_of: Option<&str>) -> Option<&NodeId> {
        let found = self.found();
        let is_it = |(id, node): &(&NodeId, &NodeInterface)| match &node.network_interface {
            Some(own) => own == interface,
            None => {
                found.get(*id).is_some_and(|own| own == interface)
                    || primary_of.is_some() && node.instance.as_deref() == primary_of
            }
        };
        self.nodes.iter().find(is_it).map(|(id, _)| id)
    }

    /// The interface of a node. Looked up once, and again after [`forget`](Self::forget).
    pub(crate) async fn of(&self, ec2: &Ec2, call: Call<'_>, to: &NodeId) -> Result<String, MoveError> {
        let node = self.known(call, to)?;
        if let Some(own) = &node.network_interface {
            return Ok(own.clone());
        }
        if let Some(found) = self.found().get(to) {
            return Ok(found.clone());
        }
        self.look_up(ec2, call, to, node).await
    }

    /// Describes the interface of a node anew; impossible if its instance has ended or the interface is not there.
    pub(crate) async fn describe(&self, ec2: &Ec2, call: Call<'_>, to: &NodeId) -> Result<NetworkInterface, MoveError> {
        let node = self.known(call, to)?;
        let id = match &node.network_interface {
            Some(own) => own.clone(),
            None => self.look_up(ec2, call, to, node).await?,
        };
        match ec2.network_interface(&id).await {
            Err(MoveError::NotFound { .. }) => {
                Err(call.impossible(format!("{id} is not in {} and this account; give {to} another", ec2.region())))
            }
            interface => interface,
        }
    }

    /// Looks the interface of a node up anew the next time: EC2 does not know what was found.
    pub(crate) fn forget(&self, node: &NodeId) {
        self.found().remove(node);
    }

    fn known(&self, call: Call<'_>, to: &NodeId) -> Result<&NodeInterface, MoveError> {
        self.nodes.get(to).ok_or_else(|| call.impossible(format!("{to} is no node of this mover")))
    }

    async fn look_up(&self, ec2: &Ec2, call: Call<'_>, to: &NodeId, node: &NodeInterface) -> Result<String, MoveError> {
        let missing = || call.impossible(format!("{to} has neither an instance nor a network interface"));
        let id = node.instance.as_deref().ok_or_else(missing)?;
        let instance = ec2.living_instance(call, id).await?;
        let primary = instance::primary_interface(&instance).and_then(|it| it.network_interface_id());
        let primary = primary.ok_or_else(|| call.impossible(format!("{id} has no primary network interface")))?;
        self.found().insert(to.clone(), primary.to_owned());
        Ok(primary.to_owned())
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<NodeId, String>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
