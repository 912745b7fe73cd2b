use aws_sdk_ec2::types::NetworkInterface;
use floatip_core::{MoveError, NodeId};

use super::PrivateIpMover;
use crate::error::Call;
use crate::interface;

impl PrivateIpMover {
    /// Whether the address could be put on a node's interface.
    pub(super) async fn check(&self, to: &NodeId) -> Result<(), MoveError> {
        let (call, ip) = (self.call(), self.ip);
        let target = self.nodes.describe(&self.ec2, call, to).await?;
        let id = target.network_interface_id().unwrap_or("the interface");
        interface::plain(call, &target)?;
        let Some(instance) = interface::instance(&target) else {
            return Err(call.impossible(format!("{id} is attached to no instance; attach it to {to}")));
        };
        let instance = self.ec2.living_instance(call, instance).await?;
        if interface::has(&target, ip) {
            return Ok(());
        }
        if let Some(owner) = self.owner().await? {
            can_leave(call, &owner, &target, self)?;
        }
        let Some(kind) = instance.instance_type() else { return Ok(()) };
        let used = if ip.is_ipv4() { target.private_ip_addresses().len() } else { target.ipv6_addresses().len() };
        let limit = self.ec2.address_limit(kind, ip).await?;
        match limit.and_then(|limit| usize::try_from(limit).ok()) {
            Some(limit) if used >= limit => Err(call.impossible(format!(
                "{id} has {used} addresses and the type {kind} allows {limit} on an interface; unassign one or choose a \
                 larger type"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether the address can be moved from the interface that has it to another one.
fn can_leave(
    call: Call<'_>,
    owner: &NetworkInterface,
    target: &NetworkInterface,
    mover: &PrivateIpMover,
) -> Result<(), MoveError> {
    let ip = mover.ip;
    let [from, to] = [owner, target].map(|it| it.network_interface_id().unwrap_or("an interface"));
    if interface::is_primary(owner, ip) {
        return Err(call.impossible(format!(
            "{ip} is the primary address of {from}, which cannot leave it; only a secondary address can be reassigned"
        )));
    }
    let place = |it: &NetworkInterface| {
        let [subnet, zone] = [it.subnet_id(), it.availability_zone()].map(|part| part.unwrap_or("unknown").to_owned());
        format!("{subnet} ({zone})")
    };
    if owner.subnet_id().is_some() && target.subnet_id().is_some() && owner.subnet_id() != target.subnet_id() {
        return Err(call.impossible(format!(
            "{ip} belongs to the subnet {} and {to} is in {}: an address cannot leave its subnet; give the node an \
             interface there, or use kind = \"route\" across zones",
            place(owner),
            place(target)
        )));
    }
    Ok(())
}
