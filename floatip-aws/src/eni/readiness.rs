use floatip_core::{MoveError, NodeId};

use super::{ATTACH, EniMover};
use crate::error::Call;
use crate::preflight::{self, CheckId};
use crate::{instance, interface};

impl EniMover {
    /// Whether the interface could be attached to a node; learns on the way which device indexes are taken there.
    pub(super) async fn check(&self, to: &NodeId) -> Result<(), MoveError> {
        let own = &self.network_interface;
        let call = Call::request(ATTACH, own);
        let id = self.instance(call, to)?;

        let interface = self.ec2.network_interface(own).await?;
        preflight::movable(CheckId::Resource, &interface).or_impossible(call)?;
        if let Some(ip) = self.carries.filter(|ip| !interface::has(&interface, *ip)) {
            return Err(call.impossible(format!("{own} does not have {ip} (any more); assign it there")));
        }
        preflight::not_primary(&interface).or_impossible(call)?;

        let instance = self.ec2.living_instance(call, id).await?;
        preflight::same_zone(&interface, &instance).or_impossible(call)?;
        let taken = instance::taken_indexes(&instance, own);
        self.indexes().described(to, taken, instance.launch_time().copied());
        let Some(kind) = instance.instance_type() else { return Ok(()) };
        let limit = self.ec2.interface_limit(kind).await?;
        preflight::interface_limit(&interface, &instance, limit).or_impossible(call)
    }
}
