use floatip_core::{MoveError, NodeId};

use super::PrivateIpMover;
use crate::interface;
use crate::preflight::{self, CheckId};

impl PrivateIpMover {
    /// Whether the address could be put on a node's interface.
    pub(super) async fn check(&self, to: &NodeId) -> Result<(), MoveError> {
        let (call, ip) = (self.call(), self.ip);
        let target = self.nodes.describe(&self.ec2, call, to).await?;
        preflight::movable(CheckId::Interface, &target).or_impossible(call)?;
        preflight::attached(&target).or_impossible(call)?;
        let Some(instance) = interface::instance(&target) else { return Ok(()) };
        let instance = self.ec2.living_instance(call, instance).await?;
        if interface::has(&target, ip) {
            return Ok(());
        }
        if let Some(owner) = self.owner().await? {
            preflight::secondary(&owner, ip).or_impossible(call)?;
            preflight::same_subnet(&owner, &target, ip).or_impossible(call)?;
        }
        let Some(kind) = instance.instance_type() else { return Ok(()) };
        let limit = self.ec2.address_limit(kind, ip).await?;
        preflight::address_limit(&target, kind, limit, ip).or_impossible(call)
    }
}
