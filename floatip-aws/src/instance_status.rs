//! What EC2 itself says about the instances of nodes: a check that corroborates, and is sure only of the end.

mod reader;
mod reading;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use async_trait::async_trait;
use floatip_core::{HealthProbe, MoveError, NodeId, ProbeError, Role, Target, Verdict};
use tokio::time::timeout;

use crate::client::Ec2;
use crate::id::{self, SetupError};
pub(crate) use reader::CALL;
pub use reader::InstanceStatusReader;

/// The status checks, state and scheduled events of the instances that nodes are.
///
/// | EC2 says | verdict |
/// |---|---|
/// | stopping, stopped, shutting-down, terminated | unhealthy, and conclusive: no `fall` is needed |
/// | a system, instance or attached EBS status check is impaired | unhealthy |
/// | the checks are initializing or lack data, the instance is pending or not known | no verdict |
/// | EC2 cannot be read | no verdict |
/// | running, and the checks pass | healthy |
///
/// A stop, retirement, reboot or maintenance that EC2 has scheduled is a warning in each of these, until it is completed
/// or cancelled: time to `drain` the node.
///
/// It corroborates ([`Role::Corroborates`]): EC2's checks run once a minute and say little about now, so that a failed one is
/// shown beside what other checks find, and moves nothing by itself. That an instance has ended does, at once. It says
/// nothing about the floating address.
///
/// # Calls
/// Probes of one [`InstanceStatusReader`] that are begun within 200 ms share one DescribeInstanceStatus of up to 100
/// instances, which is sent after all of them have begun.
///
/// # Source
/// Amazon EC2 User Guide, "Status checks for Amazon EC2 instances" and "Scheduled events for your instances"; Amazon EC2
/// API Reference, DescribeInstanceStatus (IncludeAllInstances, 100 ids; `[Completed]` and `[Canceled]` in descriptions).
#[derive(Clone)]
pub struct InstanceStatusProbe {
    reader: InstanceStatusReader,
    instances: BTreeMap<NodeId, String>,
}

impl InstanceStatusProbe {
    /// Checks the instances of these nodes. Give all probes of a process one reader.
    ///
    /// # Errors
    /// [`SetupError`] if there is no node, one is named twice, or an id is no instance's.
    pub fn new<I, S>(reader: InstanceStatusReader, nodes: I) -> Result<Self, SetupError>
    where
        I: IntoIterator<Item = (NodeId, S)>,
        S: AsRef<str>,
    {
        let mut instances = BTreeMap::new();
        for (node, instance) in nodes {
            let instance = id::instance(instance.as_ref())?;
            if instances.insert(node.clone(), instance).is_some() {
                return Err(SetupError::DuplicateNode(node));
            }
        }
        if instances.is_empty() {
            return Err(SetupError::NoNodes);
        }
        Ok(Self { reader, instances })
    }
}

impl fmt::Debug for InstanceStatusProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceStatusProbe").field("instances", &self.instances).finish_non_exhaustive()
    }
}

#[async_trait]
impl HealthProbe for InstanceStatusProbe {
    fn kind(&self) -> &'static str {
        "ec2-status"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let unusable = |what: String, source| ProbeError::Unusable { what, source };
        let Some(instance) = self.instances.get(&target.node) else {
            let source = io::Error::from(io::ErrorKind::NotFound).into();
            return Err(unusable(format!("the node {} has no instance", target.node), source));
        };
        match timeout(target.timeout, self.reader.read(instance)).await {
            Ok(Ok(Some(status))) => reading::verdict(instance, &status),
            Ok(Ok(None)) => {
                let source = io::Error::from(io::ErrorKind::NotFound).into();
                Err(unusable(format!("EC2 does not know {instance} in this Region and account"), source))
            }
            Ok(Err(denied)) if matches!(*denied, MoveError::Denied { .. }) => Err(ProbeError::NotPermitted {
                action: "read the status of instances",
                hint: "allow ec2:DescribeInstanceStatus".to_owned(),
                source: denied.into(),
            }),
            Ok(Err(error)) => Err(unusable("EC2 cannot be read".to_owned(), error.into())),
            Err(elapsed) => Err(unusable("EC2 did not answer in time".to_owned(), elapsed.into())),
        }
    }

    /// EC2 speaks about an instance, not about what answers at an address.
    fn runs_through_address(&self) -> bool {
        false
    }

    /// EC2 is asked, not the node: only the end of an instance counts by itself.
    fn role(&self) -> Role {
        Role::Corroborates
    }
}

impl Ec2 {
    /// A reader of instance statuses. Clones share their calls.
    pub fn instance_statuses(&self) -> InstanceStatusReader {
        InstanceStatusReader::new(self.clone())
    }
}
