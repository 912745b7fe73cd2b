//! From the configuration to what preflight checks and IAM permits.

use floatip_aws::Ec2;
use floatip_aws::preflight::{Candidate, Mechanism, Preflight, Subject};

use crate::config::{FloatingIpConfig, Mover};

/// One of the mechanisms that move the address of a floating IP, and the nodes that may hold it.
pub(crate) fn subject(ip: &FloatingIpConfig, mover: &Mover) -> Subject {
    let candidates = ip.nodes.iter().map(|node| {
        let mut candidate = Candidate::new(node.node.id.clone());
        candidate.instance = node.instance.as_ref().map(|id| id.0.clone());
        candidate.network_interface = node.network_interface.as_ref().map(|id| id.0.clone());
        candidate.private_ip = node.private_ip;
        candidate
    });
    Subject::new(mechanism(mover), candidates)
}

fn mechanism(mover: &Mover) -> Mechanism {
    match mover {
        Mover::Eni { network_interface, device_index } => {
            Mechanism::Eni { network_interface: network_interface.0.clone(), device_index: device_index.0 }
        }
        Mover::Eip { allocation, fencing } => Mechanism::Eip { allocation: allocation.0.clone(), fencing: *fencing },
        Mover::PrivateIp { private_ip } => Mechanism::PrivateIp { address: *private_ip },
        Mover::Route { destination, route_tables } => {
            Mechanism::Route { address: *destination, tables: route_tables.clone() }
        }
    }
}

pub(crate) fn preflight(ip: &FloatingIpConfig, mover: &Mover, ec2: &Ec2) -> Preflight {
    Preflight::new(ec2.clone(), subject(ip, mover))
}
