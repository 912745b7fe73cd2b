//! Whether the credentials may make a call, by a dry run of it.
//!
//! A dry run that would succeed is answered with the *error* DryRunOperation. Whether EC2 looks at the state of what a
//! call is about before it says so is not documented; another error than a refusal says that permission was not what
//! the call lacked.
//!
//! # Source
//! Amazon EC2 API Reference, "Common query parameters", `DryRun`. AssignPrivateIpAddresses and
//! UnassignPrivateIpAddresses have no such parameter.

use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::NetworkInterfaceAttachmentChanges;
use floatip_core::MoveError;

use super::finding::{CheckId, Finding};
use crate::client::Ec2;
use crate::error::Call;

impl Ec2 {
    pub(crate) async fn may_attach(&self, network_interface: &str, instance: &str, index: u8) -> Finding {
        let request = self.sdk().attach_network_interface().network_interface_id(network_interface);
        let request = request.instance_id(instance).device_index(index.into()).network_card_index(0).dry_run(true);
        judge("AttachNetworkInterface", network_interface, request.send().await)
    }

    pub(crate) async fn may_detach(&self, network_interface: &str, attachment: &str) -> Finding {
        let request = self.sdk().detach_network_interface().attachment_id(attachment).dry_run(true);
        judge("DetachNetworkInterface", network_interface, request.send().await)
    }

    pub(crate) async fn may_keep(&self, network_interface: &str, attachment: &str) -> Finding {
        let change =
            NetworkInterfaceAttachmentChanges::builder().attachment_id(attachment).delete_on_termination(false);
        let request = self.sdk().modify_network_interface_attribute().network_interface_id(network_interface);
        let request = request.attachment(change.build()).dry_run(true);
        judge("ModifyNetworkInterfaceAttribute", network_interface, request.send().await)
    }

    /// Asks for what would be refused if it were no dry run and the address were in use.
    pub(crate) async fn may_associate(&self, allocation: &str, network_interface: &str, private_ip: &str) -> Finding {
        let request = self.sdk().associate_address().allocation_id(allocation).network_interface_id(network_interface);
        let request = request.private_ip_address(private_ip).allow_reassociation(false).dry_run(true);
        judge("AssociateAddress", allocation, request.send().await)
    }

    pub(crate) async fn may_disassociate(&self, allocation: &str, association: &str) -> Finding {
        let request = self.sdk().disassociate_address().association_id(association).dry_run(true);
        judge("DisassociateAddress", allocation, request.send().await)
    }
}

/// What can be said of an action that has no dry run.
pub(crate) fn untried(actions: &str) -> Finding {
    Finding::warn(
        CheckId::Permission,
        format!("EC2 offers no dry run of {actions}, so whether it is permitted is seen only at the first move"),
        "compare the credentials' policy with `floatip iam-policy`",
    )
}

pub(super) fn judge<T, E>(action: &'static str, resource: &str, answer: Result<T, SdkError<E>>) -> Finding
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let what = format!("{action} of {resource}");
    let error = match answer {
        Err(error) => error,
        Ok(_) => {
            return Finding::warn(
                CheckId::Permission,
                format!("{what}: the dry run was answered as if it were none"),
                "this is not EC2: look at `endpoint_url`",
            );
        }
    };
    let code = error.code().unwrap_or_default().to_owned();
    let refused = error.raw_response().is_some_and(|answer| (400..500).contains(&answer.status().as_u16()));
    match code.as_str() {
        "DryRunOperation" => Finding::pass(CheckId::Permission, format!("{what} is permitted")),
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => Finding::fail(
            CheckId::Permission,
            floatip_core::chain(&Call::request(action, resource).failed(error)),
            format!("allow ec2:{action} (`floatip iam-policy` prints all that is needed)"),
        ),
        _ => {
            let failed = Call::request(action, resource).failed(error);
            if refused && !matches!(failed, MoveError::Denied { .. } | MoveError::Throttled { .. }) {
                let detail = format!("{what} is not refused for want of permission (but for now with {code})");
                return Finding::pass(CheckId::Permission, detail);
            }
            Finding::unknown(CheckId::Permission, floatip_core::chain(&failed), "see the reason, and try again")
        }
    }
}
