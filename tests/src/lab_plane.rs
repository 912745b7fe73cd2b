//! The lab's interface follows the simulated one.

use std::sync::Arc;

use async_trait::async_trait;
use floatip_aws::simulator::{Change, DataPlane};
use tokio::task::spawn_blocking;

use crate::cloud::{INSTANCE1, INSTANCE2, INTERFACE};
use crate::lab::{FLOATING, Host, Lab};

/// Moves the lab's interface when [`INTERFACE`] is attached or detached, and the address alone when another interface takes
/// it over. The Elastic IP address is not in the lab.
#[derive(Debug)]
pub struct LabPlane(pub Arc<Lab>);

#[async_trait]
impl DataPlane for LabPlane {
    async fn follow(&self, change: &Change) {
        let lab = self.0.clone();
        let moved = match change {
            Change::Attached { network_interface, instance, .. } if network_interface == INTERFACE => {
                let host = host_of(instance);
                spawn_blocking(move || lab.attach(host)).await
            }
            // The interface loses the address in the same change.
            Change::Assigned { instance: Some(instance), ip, .. } if *ip == FLOATING => {
                let host = host_of(instance);
                spawn_blocking(move || lab.take_over(host)).await
            }
            Change::Detached { network_interface, .. } if network_interface == INTERFACE => {
                spawn_blocking(move || lab.detach()).await
            }
            Change::Attached { .. }
            | Change::Detached { .. }
            | Change::Associated { .. }
            | Change::Disassociated { .. }
            | Change::Assigned { .. }
            | Change::Unassigned { .. }
            | Change::Routed { .. }
            | Change::Unrouted { .. } => return,
        };
        moved.expect("nothing panics").expect("the lab's interface follows");
    }
}

fn host_of(instance: &str) -> Host {
    match instance {
        INSTANCE1 => Host::Ftp1,
        INSTANCE2 => Host::Ftp2,
        other => panic!("the lab has no instance {other}"),
    }
}
