//! Moves an Elastic IP address between private addresses of network interfaces.

mod builder;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use aws_sdk_ec2::types::Address;
use floatip_core::{
    Accepted, AddressMover, Capabilities, MoveError, NodeId, Placement, Precondition, Readiness, ReleaseMode, Strategy,
    Token,
};

use crate::client::Ec2;
use crate::error::{Call, readiness};
pub use builder::{EipBuilder, EipNode, Fencing};
use target::Target;

const DESCRIBE: &str = "DescribeAddresses";
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
/// An instance that receives the address loses its automatic public IP address. One with several interfaces does not get
/// one back, and a monitor on it may lose its own way to EC2: [`ready`](AddressMover::ready) refuses such a node, unless the
/// address leads to another private address there. A private address that has another Elastic IP address would
/// lose it silently: [`ready`](AddressMover::ready) and every claim look first, and refuse such a node. The security
/// groups are those of the interface that receives it.
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

impl EipMover {
    /// A mover of the address with this allocation id, without nodes.
    pub fn builder(ec2: Ec2, allocation: &str) -> EipBuilder {
        EipBuilder::new(ec2, allocation)
    }

    async fn placement(&self, address: &Address) -> Result<Placement, MoveError> {
        let Some(association) = address.association_id() else { return Ok(Placement::Free) };
        let token = Token::generation(association);
        if let Some(node) = self.within_a_call(self.holder(address)).await? {
            return Ok(Placement::held(node.clone(), token));
        }
        let parts = [address.network_interface_id(), address.private_ip_address(), address.instance_id()];
        let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        Ok(Placement::Stranger { description: format!("{}, by {token}", parts.join(" / ")), token })
    }

    /// Where the answer names no instance, a node that is given by its instance is known by what it resolves to.
    async fn holder(&self, address: &Address) -> Result<Option<&NodeId>, MoveError> {
        let named = self.nodes.iter().find(|(_, node)| node.holds(address)).map(|(id, _)| id);
        if named.is_some() || address.instance_id().is_some_and(|id| !id.is_empty()) {
            return Ok(named);
        }
        for id in self.nodes.keys() {
            match self.target(id).await {
                Ok(target) if target.is_of(address) => return Ok(Some(id)),
                Ok(_) | Err(MoveError::Impossible { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads once more that the association is the one of `seen`.
    async fn still(&self, seen: &Placement) -> Result<(), MoveError> {
        let now = self.locate().await?;
        if now.token() == seen.token() {
            return Ok(());
        }
        let why = format!("it was {seen}, and is {now} by now");
        Err(Call::request(ASSOCIATE, &self.allocation).conflict(why))
    }

    /// What is to be known before the address is given to a node: what leads there, and that nothing is in the way.
    async fn prepare(&self, to: &NodeId, seen: &Placement) -> Result<Target, MoveError> {
        let target = self.target(to).await?;
        self.displaces_nothing(&target).await?;
        if *seen != Placement::Free {
            self.still(seen).await?;
        }
        Ok(target)
    }

    /// Bounds reads of several calls by the time that one may take.
    async fn within_a_call<T>(&self, reads: impl Future<Output = Result<T, MoveError>>) -> Result<T, MoveError> {
        Ec2::within_a_call(Call::read(DESCRIBE, &self.allocation), reads).await
    }

    async fn associate(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        self.ec2.turn(call, 1).await?;
        let target = self.within_a_call(self.prepare(to, seen)).await?;
        let request = self.ec2.sdk().associate_address().allocation_id(&self.allocation);
        let request = request.network_interface_id(target.network_interface).private_ip_address(target.private_ip);
        let request = request.allow_reassociation(*seen != Placement::Free).send();
        let answer = self.ec2.send(call, request).await.inspect_err(|error| {
            if matches!(error, MoveError::NotFound { .. } | MoveError::Impossible { .. }) {
                self.targets().remove(to);
            }
        })?;
        let token = answer.association_id().map(Token::generation);
        Ok(token.map_or_else(Accepted::without_token, Accepted::with_token))
    }
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
    /// A claim is the wait for its turn, what is then read, which together takes no longer than one call, and the
    /// association.
    fn capabilities(&self) -> Capabilities {
        let (strategy, precondition) = match self.fencing {
            Fencing::Overwrite => (Strategy::Overwrite, Precondition::BestEffort),
            Fencing::Strict => (Strategy::ReleaseFirst, Precondition::Enforced),
        };
        let call_timeout = Ec2::TURN_TIMEOUT + 2 * Ec2::CALL_TIMEOUT;
        Capabilities::new(strategy).kind("eip").call_timeout(call_timeout).precondition(precondition)
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        self.placement(&self.ec2.address(&self.allocation).await?).await
    }

    async fn release(&self, seen: &Placement, _mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let call = Call::request(DISASSOCIATE, &self.allocation);
        let association = seen.token().ok_or_else(|| call.conflict("nothing is associated with it"))?;
        self.ec2.turn(call, 1).await?;
        let request = self.ec2.sdk().disassociate_address().association_id(association.as_str());
        self.ec2.send(call, request.send()).await.map(|_| Accepted::without_token())
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let call = Call::request(ASSOCIATE, &self.allocation);
        match (seen, self.fencing) {
            (Placement::Held { node, token, .. }, _) if node == to => {
                self.still(seen).await?;
                Ok(Accepted::with_token(token.clone()))
            }
            (Placement::Free, _) | (Placement::Held { .. } | Placement::Stranger { .. }, Fencing::Overwrite) => {
                self.associate(to, seen).await
            }
            (Placement::Held { .. } | Placement::Stranger { .. }, Fencing::Strict)
            | (Placement::Transition { .. } | Placement::Split { .. }, _) => {
                Err(call.conflict(format!("it is {seen}, and must be released first")))
            }
        }
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        readiness(self.check(to).await)
    }
}
