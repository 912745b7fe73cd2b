//! Where an address lands on a candidate: its interface, and the private address there.

use aws_sdk_ec2::types::{Instance, NetworkInterface};

use super::Candidate;
use super::finding::{CheckId, Finding};
use crate::client::Ec2;
use crate::instance;

#[derive(Debug)]
pub(super) struct Landing {
    /// Known where the node is given by its instance, or the interface is attached to one.
    pub(super) instance: Option<Instance>,
    pub(super) interface: NetworkInterface,
}

impl Ec2 {
    /// The interface that a candidate would receive the address on.
    pub(super) async fn landing(&self, node: &Candidate) -> Result<Landing, Finding> {
        let unread = |check| move |error| Finding::unread(check, &error);
        let attached_to = |interface: &NetworkInterface| {
            interface.attachment().and_then(|attachment| attachment.instance_id()).map(str::to_owned)
        };
        let (id, known) = match (&node.network_interface, &node.instance) {
            (Some(id), None) => (id.clone(), None),
            (own, Some(id)) => {
                let instance = self.instance(id).await.map_err(unread(CheckId::Instance))?;
                let found = instance::interface_of(&instance, own.as_deref(), node.private_ip);
                let id = found.and_then(|it| it.network_interface_id()).map(str::to_owned).ok_or_else(|| {
                    let wanted = own.clone().or_else(|| node.private_ip.map(|ip| format!("an interface with {ip}")));
                    let wanted = wanted.unwrap_or_else(|| "a primary interface".to_owned());
                    Finding::fail(
                        CheckId::Interface,
                        format!("{id} does not have {wanted}"),
                        "correct the node's `network_interface` or `private_ip`",
                    )
                })?;
                (id, Some(instance))
            }
            (None, None) => {
                let remedy = "add `instance` or `network_interface` to the node";
                return Err(Finding::fail(CheckId::Instance, "neither instance nor interface is given", remedy));
            }
        };
        let interface = self.network_interface(&id).await.map_err(unread(CheckId::Interface))?;
        let instance = match (known, attached_to(&interface)) {
            (Some(instance), _) => Some(instance),
            (None, Some(id)) => Some(self.instance(&id).await.map_err(unread(CheckId::Instance))?),
            (None, None) => None,
        };
        Ok(Landing { instance, interface })
    }
}

impl Landing {
    /// Whether there is an instance behind the interface that could serve.
    pub(super) fn alive(&self) -> Finding {
        match &self.instance {
            Some(instance) => super::alive(instance),
            None => super::attached(&self.interface),
        }
    }
}
