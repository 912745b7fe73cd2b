use floatip_core::{MoveError, NodeId};

use super::{ATTACH, EniMover};
use crate::error::Call;
use crate::{instance, interface};

impl EniMover {
    /// Whether the interface could be attached to a node; learns on the way which device indexes are taken there.
    pub(super) async fn check(&self, to: &NodeId) -> Result<(), MoveError> {
        let own = &self.network_interface;
        let call = Call::request(ATTACH, own);
        let id = self.instance(call, to)?;

        let interface = self.ec2.network_interface(own).await?;
        interface::plain(call, &interface)?;
        if let Some(ip) = self.carries.filter(|ip| !interface::has(&interface, *ip)) {
            return Err(call.impossible(format!("{own} does not have {ip} (any more); assign it there")));
        }
        if interface.attachment().is_some_and(|attachment| attachment.device_index() == Some(0)) {
            let reason = format!("{own} is a primary interface, which cannot be detached; use a secondary one");
            return Err(call.impossible(reason));
        }

        let instance = self.ec2.living_instance(call, id).await?;
        if let (Some(here), Some(there)) = (interface.availability_zone(), instance::zone(&instance))
            && here != there
        {
            return Err(call.impossible(format!(
                "{own} is in {here} and {id} in {there}: an interface cannot leave its zone; choose an instance in {here}"
            )));
        }
        let taken = instance::taken_indexes(&instance, own);
        let used = taken.len();
        self.indexes().described(to, taken, instance.launch_time().copied());
        let Some(kind) = instance.instance_type() else { return Ok(()) };
        match self.ec2.interface_limit(kind).await?.and_then(|limit| usize::try_from(limit).ok()) {
            Some(limit) if used >= limit => Err(call.impossible(format!(
                "{id} has {used} other interfaces and its type {kind} allows {limit}; detach one or choose a larger type"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}
