//! Moves a private or IPv6 address between network interfaces that stay attached.

mod readiness;

use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;

use async_trait::async_trait;
use aws_sdk_ec2::types::NetworkInterface;
use floatip_core::{
    Accepted, AddressMover, Capabilities, MoveError, NodeId, Placement, Precondition, Readiness, ReleaseMode, Strategy,
    Token,
};

use crate::client::Ec2;
use crate::error::{Call, readiness};
use crate::id::SetupError;
use crate::interface;
use crate::node_interface::{NodeInterface, NodeInterfaces};

const DESCRIBE: &str = "DescribeNetworkInterfaces";

/// Moves a secondary private IPv4 address, or an IPv6 address, between interfaces of one subnet.
///
/// # Guarantees
/// The token is the interface that has the address, a [`Token::Snapshot`]. An IPv4 address is taken over by one call; who
/// has it is read once more just before, which narrows the race with another monitor and does not close it. Seen free, it
/// is assigned only if it still is free: EC2 refuses the loser.
///
/// EC2 has no such call for IPv6: that address is taken off its interface first, by a call that EC2 refuses if another
/// one has it, and then assigned while it is free. In between nobody has it.
///
/// # What goes with it
/// An Elastic IP address that leads to the private address. The security groups are those of the interface that receives
/// it. The guest must be configured for the address beforehand, on every node.
///
/// # In a chain
/// An address that is on another interface than the nodes' own, as on one that an [`EniMover`](crate::EniMover) moves, is
/// on a stranger; a claim takes it over from there. A primary address cannot be taken from its interface by any call:
/// [`ready`](AddressMover::ready) says so.
///
/// # Source
/// Amazon EC2 API Reference: AssignPrivateIpAddresses, AssignIpv6Addresses, UnassignIpv6Addresses. Amazon EC2 User Guide,
/// "Secondary IP addresses for your EC2 instances".
pub struct PrivateIpMover {
    ec2: Ec2,
    ip: IpAddr,
    /// The address in words, for errors.
    name: String,
    nodes: NodeInterfaces,
    vpc: OnceLock<String>,
}

impl PrivateIpMover {
    /// A mover of this address among the interfaces of `nodes`.
    ///
    /// # Errors
    /// [`SetupError`] if an id is malformed, or the nodes are none, not distinct, or share an interface.
    pub fn new<I>(ec2: Ec2, ip: IpAddr, nodes: I) -> Result<Self, SetupError>
    where
        I: IntoIterator<Item = (NodeId, NodeInterface)>,
    {
        let nodes = NodeInterfaces::new(nodes.into_iter().collect())?;
        Ok(Self { ec2, ip, name: ip.to_string(), nodes, vpc: OnceLock::new() })
    }

    fn call(&self) -> Call<'_> {
        Call::request(if self.ip.is_ipv4() { "AssignPrivateIpAddresses" } else { "AssignIpv6Addresses" }, &self.name)
    }

    /// The interface that has the address, of those in the nodes' VPC: the same address may be used in another one.
    async fn owner(&self) -> Result<Option<NetworkInterface>, MoveError> {
        let call = Call::read(DESCRIBE, &self.name);
        let mut found = self.ec2.interfaces_with(self.ip).await?;
        found.retain(|it| interface::has(it, self.ip));
        if !found.is_empty() {
            let vpc = match found.iter().find(|it| self.node_of(it).is_some()).and_then(|it| it.vpc_id()) {
                Some(vpc) => vpc.to_owned(),
                None => self.vpc(call).await?,
            };
            found.retain(|it| it.vpc_id() == Some(&vpc));
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            many => Err(call.unclear(format!("{many} interfaces show {} at once", self.name))),
        }
    }

    /// The VPC of the nodes. An interface never leaves its own.
    async fn vpc(&self, call: Call<'_>) -> Result<String, MoveError> {
        if let Some(vpc) = self.vpc.get() {
            return Ok(vpc.clone());
        }
        for node in self.nodes.ids() {
            match self.nodes.describe(&self.ec2, call, node).await {
                Ok(NetworkInterface { vpc_id: Some(vpc), .. }) => return Ok(self.vpc.get_or_init(|| vpc).clone()),
                Ok(_) | Err(MoveError::Impossible { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(call.unclear("no interface of any node is there, so nobody can tell which VPC is meant"))
    }

    fn node_of(&self, owner: &NetworkInterface) -> Option<&NodeId> {
        self.nodes.node_of(owner.network_interface_id()?, interface::primary_of(owner))
    }

    fn placement(&self, owner: Option<&NetworkInterface>) -> Result<Placement, MoveError> {
        let Some(owner) = owner else { return Ok(Placement::Free) };
        let missing = || Call::read(DESCRIBE, &self.name).unclear("the interface that has it has no id");
        let id = owner.network_interface_id().ok_or_else(missing)?;
        let token = Token::snapshot(id);
        Ok(match self.node_of(owner) {
            Some(node) => Placement::held(node.clone(), token),
            None => {
                let attached =
                    interface::instance(owner).map_or("attached to nothing".to_owned(), |it| format!("in {it}"));
                Placement::Stranger { description: format!("{id}, {attached}"), token }
            }
        })
    }

    /// Reads once more that it is where `seen` says.
    async fn still(&self, seen: &Placement) -> Result<(), MoveError> {
        let now = self.placement(self.owner().await?.as_ref())?;
        if now.token() == seen.token() {
            return Ok(());
        }
        Err(self.call().conflict(format!("it was {seen}, and is {now} by now")))
    }

    async fn assign(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let call = self.call();
        self.ec2.turn(call, 1).await?;
        let target = Ec2::within_a_call(Call::read(DESCRIBE, &self.name), async {
            let target = self.nodes.of(&self.ec2, call, to).await?;
            if *seen != Placement::Free {
                self.still(seen).await?;
            }
            Ok(target)
        });
        let target = target.await?;
        let sdk = self.ec2.sdk();
        let answer = match self.ip {
            IpAddr::V4(_) => {
                let request = sdk.assign_private_ip_addresses().network_interface_id(&target);
                let request = request.private_ip_addresses(&self.name).allow_reassignment(*seen != Placement::Free);
                self.ec2.send(call, request.send()).await.map(drop)
            }
            IpAddr::V6(_) => {
                let request = sdk.assign_ipv6_addresses().network_interface_id(&target).ipv6_addresses(&self.name);
                self.ec2.send(call, request.send()).await.map(drop)
            }
        };
        if matches!(answer, Err(MoveError::NotFound { .. })) {
            self.nodes.forget(to);
        }
        answer.map(|()| Accepted::with_token(Token::snapshot(target)))
    }
}

impl fmt::Debug for PrivateIpMover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateIpMover")
            .field("ip", &self.ip)
            .field("nodes", &self.nodes)
            .field("ec2", &self.ec2)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl AddressMover for PrivateIpMover {
    /// A claim is the wait for its turn, what is then read, which together takes no longer than one call, and the
    /// assignment.
    fn capabilities(&self) -> Capabilities {
        let strategy = if self.ip.is_ipv4() { Strategy::Overwrite } else { Strategy::ReleaseFirst };
        let call_timeout = Ec2::TURN_TIMEOUT + 2 * Ec2::CALL_TIMEOUT;
        let capabilities = Capabilities::new(strategy).kind("private-ip").call_timeout(call_timeout);
        capabilities.precondition(Precondition::BestEffort)
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.nodes.contain(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        let owner = Ec2::within_a_call(Call::read(DESCRIBE, &self.name), self.owner()).await?;
        self.placement(owner.as_ref())
    }

    async fn release(&self, seen: &Placement, _mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let call = Call::request("UnassignIpv6Addresses", &self.name);
        if self.ip.is_ipv4() {
            return Err(call.impossible("a private IPv4 address is reassigned, and never released before"));
        }
        let owner = seen.token().ok_or_else(|| call.conflict("no interface has it"))?;
        let request = self.ec2.sdk().unassign_ipv6_addresses().network_interface_id(owner.as_str());
        self.ec2.turn(call, 1).await?;
        self.ec2.send(call, request.ipv6_addresses(&self.name).send()).await.map(|_| Accepted::without_token())
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        match seen {
            Placement::Held { node, token, .. } if node == to => {
                Ec2::within_a_call(Call::read(DESCRIBE, &self.name), self.still(seen)).await?;
                Ok(Accepted::with_token(token.clone()))
            }
            Placement::Free => self.assign(to, seen).await,
            Placement::Held { .. } | Placement::Stranger { .. } if self.ip.is_ipv4() => self.assign(to, seen).await,
            Placement::Held { .. }
            | Placement::Stranger { .. }
            | Placement::Transition { .. }
            | Placement::Split { .. } => {
                Err(self.call().conflict(format!("it is {seen}, and must be unassigned first")))
            }
        }
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        readiness(self.check(to).await)
    }
}
