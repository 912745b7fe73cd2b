//! What is checked of a network interface that moves.

use tokio::join;

use super::finding::{CheckId, Finding};
use super::{Candidate, alive, interface};
use crate::client::Ec2;
use crate::instance;

/// What concerns every candidate.
pub(super) async fn shared(ec2: &Ec2, own: &str) -> Vec<Finding> {
    let interface = match ec2.network_interface(own).await {
        Ok(interface) => interface,
        Err(error) => return vec![Finding::unread(CheckId::Resource, &error)],
    };
    let mut findings = vec![
        interface::movable(CheckId::Resource, &interface),
        interface::not_primary(&interface),
        interface::survives(&interface),
    ];
    match interface.attachment().and_then(|attachment| attachment.attachment_id()) {
        Some(attachment) => {
            let (detach, keep) = join!(ec2.may_detach(own, attachment), ec2.may_keep(own, attachment));
            // Without it the interface moves all the same, and only what happens at the end of an instance is in danger.
            findings.extend([detach, Finding { check: CheckId::DeleteOnTermination, ..keep }]);
        }
        None => findings.push(Finding::warn(
            CheckId::Permission,
            format!("{own} is attached to nothing, so DetachNetworkInterface cannot be tried"),
            "run this again while a node holds it",
        )),
    }
    findings
}

pub(super) async fn candidate(ec2: &Ec2, own: &str, device_index: u8, node: &Candidate) -> Vec<Finding> {
    let Some(id) = &node.instance else {
        return vec![Finding::fail(CheckId::Instance, "no instance is given", "add `instance` to the node")];
    };
    let (interface, instance) = join!(ec2.network_interface(own), ec2.instance(id));
    let (interface, instance) = match (interface, instance) {
        (Ok(interface), Ok(instance)) => (interface, instance),
        (Err(error), _) => return vec![Finding::unread(CheckId::Resource, &error)],
        (_, Err(error)) => return vec![Finding::unread(CheckId::Instance, &error)],
    };
    let limit = async {
        match instance.instance_type() {
            Some(kind) => ec2.interface_limit(kind).await,
            None => Ok(None),
        }
    };
    let (limit, permission) = join!(limit, ec2.may_attach(own, instance::id(&instance), device_index));
    vec![
        alive(&instance),
        interface::same_zone(&interface, &instance),
        interface::same_vpc(&interface, &instance),
        interface::subnet(&interface, &instance),
        match limit {
            Ok(limit) => interface::interface_limit(&interface, &instance, limit),
            Err(error) => Finding::unread(CheckId::InterfaceLimit, &error),
        },
        interface::device_index(&interface, &instance, device_index),
        permission,
    ]
}
