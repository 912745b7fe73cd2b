//! Checks of a candidate's instance.

use aws_sdk_ec2::types::Instance;

use super::finding::{CheckId, Finding};
use crate::instance;

/// A stopped instance can hold an address and will serve it when it runs; an ended one never.
pub(crate) fn alive(instance: &Instance) -> Finding {
    let id = instance::id(instance);
    match instance.state().and_then(|state| state.name()).map(|name| name.as_str()) {
        Some(state @ ("terminated" | "shutting-down")) => {
            Finding::fail(CheckId::Instance, format!("{id} is {state}"), "give the node another instance")
        }
        Some("running") => Finding::pass(CheckId::Instance, format!("{id} is running")),
        Some(state) => Finding::warn(CheckId::Instance, format!("{id} is {state}"), "start it"),
        None => Finding::unknown(CheckId::Instance, format!("EC2 names no state of {id}"), "look at it by hand"),
    }
}
