use floatip_core::{MoveError, NodeId};

use super::RouteMover;
use crate::interface;
use crate::preflight::{self, CheckId};

impl RouteMover {
    /// Whether the routes could lead to a node's interface, and it would take what they bring.
    pub(super) async fn check(&self, to: &NodeId) -> Result<(), MoveError> {
        let call = self.call();
        let target = self.nodes.describe(&self.ec2, call, to).await?;
        preflight::movable(CheckId::Interface, &target).or_impossible(call)?;
        preflight::attached(&target).or_impossible(call)?;
        if let Some(instance) = interface::instance(&target) {
            self.ec2.living_instance(call, instance).await?;
        }
        preflight::forwards(&target, &self.name).or_impossible(call)?;
        for table in self.describe().await? {
            preflight::overlay(&table, self.destination).or_impossible(call)?;
            preflight::reachable(&table, &target).or_impossible(call)?;
        }
        Ok(())
    }
}
