//! What is checked of an Elastic IP address that moves.

use tokio::join;

use super::finding::{CheckId, Finding};
use super::{Candidate, elastic_ip};
use crate::client::Ec2;
use crate::eip::Fencing;
use crate::interface;

/// What concerns every candidate.
pub(super) async fn shared(ec2: &Ec2, allocation: &str, fencing: Fencing) -> Vec<Finding> {
    let address = match ec2.address(allocation).await {
        Ok(address) => address,
        Err(error) => return vec![Finding::unread(CheckId::Resource, &error)],
    };
    let mut findings = vec![elastic_ip::own(&address)];
    match (fencing, address.association_id()) {
        (Fencing::Strict, Some(association)) => findings.push(ec2.may_disassociate(allocation, association).await),
        (Fencing::Strict, None) => findings.push(Finding::warn(
            CheckId::Permission,
            format!("{allocation} leads nowhere, so DisassociateAddress cannot be tried"),
            "run this again while a node holds it",
        )),
        (Fencing::Overwrite, _) => {}
    }
    findings
}

pub(super) async fn candidate(ec2: &Ec2, allocation: &str, node: &Candidate) -> Vec<Finding> {
    let landing = match ec2.landing(node).await {
        Ok(landing) => landing,
        Err(finding) => return vec![finding],
    };
    let own = interface::id(&landing.interface);
    let private_ip = node.private_ip.map(|ip| ip.to_string());
    let Some(ip) = private_ip.as_deref().or(landing.interface.private_ip_address()) else {
        let detail = format!("{own} has no private IPv4 address");
        return vec![landing.alive(), Finding::fail(CheckId::PrivateAddress, detail, "assign one")];
    };
    let (there, address, permission) =
        join!(ec2.addresses_at(own, ip), ec2.address(allocation), ec2.may_associate(allocation, own, ip));
    vec![
        landing.alive(),
        elastic_ip::has_private_address(&landing.interface, ip),
        match there {
            Ok(there) => elastic_ip::displaces_nothing(allocation, own, ip, &there),
            Err(error) => Finding::unread(CheckId::DisplacedAddress, &error),
        },
        match address {
            Ok(address) => elastic_ip::in_border_group(ec2.region(), &address, &landing.interface),
            Err(error) => Finding::unread(CheckId::BorderGroup, &error),
        },
        elastic_ip::keeps_public_address(&landing.interface, ip, landing.instance.as_ref()),
        permission,
    ]
}
