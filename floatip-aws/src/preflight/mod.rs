//! Whether every move that may be needed one night could be made, asked beforehand.

mod api;
mod eip;
mod elastic_ip;
mod eni;
mod finding;
mod guarded;
mod instance;
mod interface;
mod landing;
mod permission;
mod private_ip;
mod probes;
mod route;
mod subject;

use std::sync::Arc;

use floatip_core::{AddressMover, NodeId};
use tokio::join;

pub use finding::{CheckId, Finding, Status};
pub use probes::probe_once;
pub use subject::{Candidate, Mechanism, Subject};

pub(crate) use elastic_ip::{
    displaces_nothing, has_private_address, in_border_group, keeps_public_address, own as own_address,
};
pub(crate) use instance::alive;
pub(crate) use interface::{attached, forwards, interface_limit, movable, not_primary, same_zone};
pub(crate) use private_ip::{address_limit, same_subnet, secondary};
pub(crate) use route::{overlay, reachable};

use crate::client::Ec2;
use guarded::Guarded;

/// Checks one mover of one floating IP. It reads and makes dry runs; it changes nothing.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use floatip_aws::preflight::{Candidate, Mechanism, Preflight, Subject, reach};
/// use floatip_aws::AwsSettings;
/// use floatip_core::NodeId;
///
/// let ec2 = AwsSettings::new().connect().await?;
/// let mechanism = Mechanism::Eni { network_interface: "eni-0a1b2c3d4e5f60001".into(), device_index: 1 };
/// let candidates = [Candidate::new(NodeId::new("ftp-1")?).instance("i-0a1b2c3d4e5f60011")];
/// let preflight = Preflight::new(ec2.clone(), Subject::new(mechanism, candidates));
/// for finding in reach(&ec2).await.into_iter().chain(preflight.findings().await) {
///     println!("{} {}: {} {:?}", finding.status, finding.check, finding.detail, finding.remedy);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Preflight {
    ec2: Ec2,
    subject: Subject,
}

impl Preflight {
    /// A preflight of this.
    pub fn new(ec2: Ec2, subject: Subject) -> Self {
        Self { ec2, subject }
    }

    /// The word for the mechanism, as a configuration's `kind`.
    pub fn kind(&self) -> &'static str {
        self.subject.mechanism.kind()
    }

    /// Everything: what concerns all candidates, then each of them in order.
    pub async fn findings(&self) -> Vec<Finding> {
        let mut findings = self.shared().await;
        for candidate in &self.subject.candidates {
            findings.extend(self.of(candidate).await);
        }
        findings
    }

    /// What concerns one node, that which concerns all of them included.
    pub async fn findings_of(&self, node: &NodeId) -> Vec<Finding> {
        let Some(candidate) = self.subject.candidate(node) else { return Vec::new() };
        let (mut findings, own) = join!(self.shared(), self.of(candidate));
        findings.extend(own);
        findings
    }

    /// The same mover, whose [`ready`](AddressMover::ready) says everything that this preflight knows to make a node
    /// impossible, missing permissions included. An orchestrator asks it at the start and every hour, and tells changes
    /// as events.
    pub fn guard(self, mover: Arc<dyn AddressMover>) -> Arc<dyn AddressMover> {
        Arc::new(Guarded { mover, preflight: self })
    }

    async fn shared(&self) -> Vec<Finding> {
        match &self.subject.mechanism {
            Mechanism::Eni { network_interface, .. } => eni::shared(&self.ec2, network_interface).await,
            Mechanism::Eip { allocation, fencing } => eip::shared(&self.ec2, allocation, *fencing).await,
            Mechanism::PrivateIp { address } => private_ip::shared(&self.ec2, *address, &self.subject.candidates).await,
            Mechanism::Route { address, tables } => route::shared(&self.ec2, *address, tables).await,
        }
    }

    async fn of(&self, candidate: &Candidate) -> Vec<Finding> {
        let findings = match &self.subject.mechanism {
            Mechanism::Eni { network_interface, device_index } => {
                eni::candidate(&self.ec2, network_interface, *device_index, candidate).await
            }
            Mechanism::Eip { allocation, .. } => eip::candidate(&self.ec2, allocation, candidate).await,
            Mechanism::PrivateIp { address } => private_ip::candidate(&self.ec2, *address, candidate).await,
            Mechanism::Route { address, tables } => route::candidate(&self.ec2, *address, tables, candidate).await,
        };
        findings.into_iter().map(|finding| finding.of(&candidate.node)).collect()
    }
}

/// Whether EC2 answers these credentials, how soon, and whether its clock agrees with this machine's.
pub async fn reach(ec2: &Ec2) -> Vec<Finding> {
    api::check(ec2).await
}
