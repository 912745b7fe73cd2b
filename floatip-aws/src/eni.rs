//! Moves a network interface, and with it all its private addresses, between instances of one Availability Zone.

mod index;
mod readiness;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::types::{NetworkInterface, NetworkInterfaceAttachmentChanges};
use floatip_core::{
    Accepted, AddressMover, Capabilities, MoveError, NodeId, Placement, Precondition, Readiness, ReleaseMode, Strategy,
    Token,
};

use crate::client::Ec2;
use crate::error::{Call, is_index_taken, readiness};
use crate::id::{self, SetupError};
use crate::interface;
use index::DeviceIndexes;

const DESCRIBE: &str = "DescribeNetworkInterfaces";
const ATTACH: &str = "AttachNetworkInterface";
const DETACH: &str = "DetachNetworkInterface";
const MODIFY: &str = "ModifyNetworkInterfaceAttribute";

/// Moves a network interface (ENI): detach by attachment id, wait until it is really free, attach.
///
/// # Guarantees
/// A true compare-and-swap. EC2 refuses to detach by an attachment id that is no longer current, and to attach an
/// interface that is anywhere else. The token is the attachment id, a [`Token::Generation`].
///
/// A placement is settled once DeleteOnTermination of the attachment is off: until then the interface, and the address
/// with it, would be deleted together with its instance. It belongs to the attachment, so EC2 forgets it with every
/// move. A claim switches it off right after the attach was accepted, for as long as that takes less than
/// 400 ms; if it is refused or too slow, the claim stands all the same and the placement reads as not settled.
///
/// # Device index
/// The interface goes to the configured index, or to the next one that is not known to be taken: [`ready`] learns which
/// are, and a refusal teaches one more. A forced detach may leave the index that the interface had unusable until the
/// instance is stopped and started: until [`ready`] sees that it was, or the process ends, it is not used again there.
///
/// # What goes with it
/// Its addresses, security groups and Elastic IP addresses. ENA Express and queue settings belong to the attachment, and
/// are lost.
///
/// # Zones, VPCs and accounts
/// The instances must be in the interface's Availability Zone and account. EC2 has attached secondary interfaces to
/// instances of another VPC of the same zone since October 2023, so [`ready`] leaves it to EC2 to refuse that.
///
/// [`ready`]: AddressMover::ready
///
/// # Source
/// Amazon EC2 API Reference: AttachNetworkInterface, DetachNetworkInterface, ModifyNetworkInterfaceAttribute. AWS
/// What's New, 26 October 2023, "Multi-VPC ENI attachments".
pub struct EniMover {
    ec2: Ec2,
    network_interface: String,
    device_index: u8,
    carries: Option<IpAddr>,
    nodes: BTreeMap<NodeId, String>,
    indexes: Mutex<DeviceIndexes>,
}

impl EniMover {
    /// The device index that is used where nothing else is asked for: 1, the guest's second interface.
    pub const DEFAULT_DEVICE_INDEX: u8 = 1;
    const SETTLE_TIMEOUT: Duration = Duration::from_millis(400);

    /// A mover of `network_interface` among the instances of `nodes`, preferably at `device_index`.
    ///
    /// # Errors
    /// [`SetupError`] if an id is malformed, the index is 0, or the nodes are none, not distinct, or share an instance.
    pub fn new<I, S>(ec2: Ec2, network_interface: &str, device_index: u8, nodes: I) -> Result<Self, SetupError>
    where
        I: IntoIterator<Item = (NodeId, S)>,
        S: AsRef<str>,
    {
        let network_interface = id::network_interface(network_interface)?;
        if device_index == 0 {
            return Err(SetupError::PrimaryIndex);
        }
        let mut instances = BTreeMap::<NodeId, String>::new();
        for (node, instance) in nodes {
            let instance = id::instance(instance.as_ref())?;
            if let Some((first, _)) = instances.iter().find(|(first, other)| **other == instance && **first != node) {
                return Err(SetupError::SameHolder { first: first.clone(), second: node, resource: instance });
            }
            if instances.insert(node.clone(), instance).is_some() {
                return Err(SetupError::DuplicateNode(node));
            }
        }
        if instances.is_empty() {
            return Err(SetupError::NoNodes);
        }
        Ok(Self { ec2, network_interface, device_index, carries: None, nodes: instances, indexes: Mutex::default() })
    }

    /// Says which address clients use: a private or IPv6 address of the interface. While the interface does not have it,
    /// as after a [`PrivateIpMover`](crate::PrivateIpMover) of the same address has taken it over, the address is on a
    /// stranger, wherever the interface is. Default: not said, and the interface is all that counts.
    #[must_use]
    pub fn carries(mut self, ip: IpAddr) -> Self {
        self.carries = Some(ip);
        self
    }

    fn placement(&self, interface: &NetworkInterface) -> Result<Placement, MoveError> {
        let call = Call::read(DESCRIBE, &self.network_interface);
        if let Some(ip) = self.carries.filter(|ip| !interface::has(interface, *ip)) {
            let description = format!("{ip} has left {}", self.network_interface);
            return Ok(Placement::Stranger { description, token: Token::snapshot(self.network_interface.as_str()) });
        }
        let Some(attachment) = interface.attachment() else {
            return match interface.status().map_or("unknown", |status| status.as_str()) {
                "available" => Ok(Placement::Free),
                status => Err(call.unclear(format!("the interface is {status}, and yet without an attachment"))),
            };
        };
        let token = attachment.attachment_id().ok_or_else(|| call.unclear("the attachment has no id"))?;
        let token = Token::generation(token);
        let instance = attachment.instance_id();
        let node = self.nodes.iter().find(|(_, own)| Some(own.as_str()) == instance).map(|(node, _)| node.clone());
        if let (Some(node), Some(index)) = (&node, attachment.device_index()) {
            self.indexes().seen(&token, node, index);
        }
        let settled = attachment.delete_on_termination() == Some(false);
        match (attachment.status().map_or("unknown", |status| status.as_str()), node) {
            ("attached", Some(node)) => Ok(Placement::Held { node, token, settled }),
            ("attaching", Some(node)) => Ok(Placement::Transition { from: None, to: Some(node), token }),
            ("attached" | "attaching", None) => {
                let holder = instance.or(attachment.instance_owner_id()).unwrap_or("something unnamed");
                Ok(Placement::Stranger { description: format!("{holder}, by {token}"), token })
            }
            ("detaching", from) => Ok(Placement::Transition { from, to: None, token }),
            ("detached", _) => Ok(Placement::Free),
            (status, _) => Err(call.unclear(format!("the attachment {token} is {status}"))),
        }
    }

    async fn attach(&self, to: &NodeId, instance: &str) -> Result<Accepted, MoveError> {
        let call = Call::request(ATTACH, &self.network_interface);
        self.ec2.turn(call, 1).await?;
        let index = self.indexes().next(to, i32::from(self.device_index));
        let request = self.ec2.sdk().attach_network_interface().network_interface_id(&self.network_interface);
        let request = request.instance_id(instance).device_index(index).network_card_index(0);
        let answer = self.ec2.send(call, request.send()).await.inspect_err(|error| {
            if is_index_taken(error) {
                self.indexes().refused(to, index);
            }
        })?;
        let Some(attachment) = answer.attachment_id() else { return Ok(Accepted::without_token()) };
        match tokio::time::timeout(Self::SETTLE_TIMEOUT, self.keep_on_termination(attachment)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(node = %to, attachment, error = %floatip_core::chain(&error), "not settled")
            }
            Err(_) => tracing::debug!(node = %to, attachment, "not settled in time"),
        }
        Ok(Accepted::with_token(Token::generation(attachment)))
    }

    async fn keep_on_termination(&self, attachment: &str) -> Result<(), MoveError> {
        let change =
            NetworkInterfaceAttachmentChanges::builder().attachment_id(attachment).delete_on_termination(false);
        let request = self.ec2.sdk().modify_network_interface_attribute().network_interface_id(&self.network_interface);
        let call = Call::request(MODIFY, &self.network_interface);
        self.ec2.turn(call, 1).await?;
        self.ec2.send(call, request.attachment(change.build()).send()).await.map(drop)
    }

    fn instance(&self, call: Call<'_>, node: &NodeId) -> Result<&str, MoveError> {
        let instance = self.nodes.get(node).map(String::as_str);
        instance.ok_or_else(|| call.impossible(format!("{node} is no node of this mover")))
    }

    fn indexes(&self) -> MutexGuard<'_, DeviceIndexes> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EniMover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EniMover")
            .field("network_interface", &self.network_interface)
            .field("device_index", &self.device_index)
            .field("nodes", &self.nodes)
            .field("ec2", &self.ec2)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl AddressMover for EniMover {
    /// A claim is up to two calls: the attach, after the wait for its turn, and what settles it.
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Strategy::ReleaseFirst)
            .kind("eni")
            .can_force(true)
            .call_timeout(Ec2::TURN_TIMEOUT + Ec2::CALL_TIMEOUT + Self::SETTLE_TIMEOUT)
            .precondition(Precondition::Enforced)
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        self.placement(&self.ec2.network_interface(&self.network_interface).await?)
    }

    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let call = Call::request(DETACH, &self.network_interface);
        let attachment = seen.token().ok_or_else(|| call.conflict("nothing is attached that could be detached"))?;
        let request = self.ec2.sdk().detach_network_interface().attachment_id(attachment.as_str());
        self.ec2.turn(call, 1).await?;
        let answer = self.ec2.send(call, request.force(mode == ReleaseMode::Forced).send()).await;
        let answer = answer.map(|_| Accepted::without_token());
        if mode == ReleaseMode::Forced && answer.as_ref().err().is_none_or(MoveError::may_have_changed) {
            self.indexes().forced(attachment);
        }
        answer
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let call = Call::request(ATTACH, &self.network_interface);
        let instance = self.instance(call, to)?;
        match seen {
            Placement::Free => self.attach(to, instance).await,
            Placement::Held { node, token, .. } if node == to => {
                self.keep_on_termination(token.as_str()).await?;
                Ok(Accepted::with_token(token.clone()))
            }
            Placement::Held { .. }
            | Placement::Transition { .. }
            | Placement::Stranger { .. }
            | Placement::Split { .. } => Err(call.conflict(format!("it is {seen}, and must be released first"))),
        }
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        readiness(self.check(to).await)
    }
}
