//! What an instance's description says about its fitness to hold an address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use aws_sdk_ec2::types::{Instance, InstanceNetworkInterface};
use floatip_core::MoveError;

use crate::client::Ec2;
use crate::error::Call;
use crate::preflight;

impl Ec2 {
    /// The instance that `call` is to give something to; impossible if it has ended or EC2 does not know it.
    pub(crate) async fn living_instance(&self, call: Call<'_>, id: &str) -> Result<Instance, MoveError> {
        let instance = match self.instance(id).await {
            Err(MoveError::NotFound { .. }) => {
                let reason = format!("{id} is not in {} and this account; give the node another", self.region());
                return Err(call.impossible(reason));
            }
            instance => instance?,
        };
        preflight::alive(&instance).or_impossible(call)?;
        Ok(instance)
    }
}

pub(crate) fn id(instance: &Instance) -> &str {
    instance.instance_id().unwrap_or("the instance")
}

/// The Availability Zone.
pub(crate) fn zone(instance: &Instance) -> Option<&str> {
    instance.placement().and_then(|placement| placement.availability_zone())
}

/// The interface that came with the instance and stays with it.
pub(crate) fn primary_interface(instance: &Instance) -> Option<&InstanceNetworkInterface> {
    instance.network_interfaces().iter().find(|it| place(it) == (0, 0))
}

/// The interface that is named, or that has this private address, or else the primary one.
pub(crate) fn interface_of<'a>(
    instance: &'a Instance,
    named: Option<&str>,
    private_ip: Option<Ipv4Addr>,
) -> Option<&'a InstanceNetworkInterface> {
    let mut interfaces = instance.network_interfaces().iter();
    match (named, private_ip.map(|ip| ip.to_string())) {
        (Some(named), _) => interfaces.find(|it| it.network_interface_id() == Some(named)),
        (None, Some(ip)) => interfaces
            .find(|it| it.private_ip_addresses().iter().any(|it| it.private_ip_address() == Some(ip.as_str()))),
        (None, None) => primary_interface(instance),
    }
}

/// The device indexes of the first network card that are taken by interfaces other than `except`.
pub(crate) fn taken_indexes(instance: &Instance, except: &str) -> BTreeSet<i32> {
    let others = instance.network_interfaces().iter().filter(|it| it.network_interface_id() != Some(except));
    others.map(place).filter(|(card, _)| *card == 0).map(|(_, index)| index).collect()
}

fn place(interface: &InstanceNetworkInterface) -> (i32, i32) {
    let attachment = interface.attachment();
    let card = attachment.and_then(|it| it.network_card_index()).unwrap_or(0);
    (card, attachment.and_then(|it| it.device_index()).unwrap_or(-1))
}
