use std::collections::BTreeMap;

use tokio::time::Instant;

use super::error::ApiError;
use super::world::{World, id_body};

/// An instance as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// The subnet of its primary interface, which says its zone.
    pub subnet: String,
    /// Its type, which says how many interfaces it takes.
    pub instance_type: String,
    /// Whether it runs.
    pub state: InstanceState,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What its status checks say while it runs.
    pub checks: StatusChecks,
    /// What EC2 has scheduled for it.
    pub events: Vec<ScheduledEvent>,
    pub(super) due: Option<Instant>,
}

/// What the status checks of a running instance say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusChecks {
    /// The host and its network.
    pub system: CheckStatus,
    /// The instance itself.
    pub instance: CheckStatus,
    /// Its EBS volumes.
    pub ebs: CheckStatus,
}

impl Default for StatusChecks {
    /// All pass.
    fn default() -> Self {
        Self::all(CheckStatus::Ok)
    }
}

impl StatusChecks {
    /// All say the same.
    pub fn all(status: CheckStatus) -> Self {
        Self { system: status, instance: status, ebs: status }
    }
}

/// What one status check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckStatus {
    /// It passes.
    Ok,
    /// It fails.
    Impaired,
    /// It cannot tell.
    InsufficientData,
    /// It has not run yet.
    Initializing,
    /// There is nothing to check.
    NotApplicable,
}

impl CheckStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Impaired => "impaired",
            Self::InsufficientData => "insufficient-data",
            Self::Initializing => "initializing",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// What EC2 has scheduled for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledEvent {
    /// Such as `instance-stop`.
    pub code: String,
    /// EC2's words; `[Completed]` at their beginning when it is over.
    pub description: String,
    /// When it may begin, as in `2026-12-01T10:00:00Z`.
    pub not_before: String,
}

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It is starting.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated.
    ShuttingDown,
    /// It is gone for good.
    Terminated,
    /// It is being stopped.
    Stopping,
    /// It is stopped; its interfaces stay attached.
    Stopped,
}

impl InstanceState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The number on the wire.
    pub fn code(self) -> i32 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }
}

/// What an instance type takes.
///
/// # Source
/// Amazon EC2 User Guide, "Maximum IP addresses per network interface". Only some types are known to the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceType {
    /// Its name.
    pub name: &'static str,
    /// How many network interfaces it takes.
    pub network_interfaces: u32,
    /// How many IPv4 addresses each of them takes.
    pub ipv4_addresses: u32,
}

impl InstanceType {
    const KNOWN: [Self; 12] = [
        Self::new("t2.micro", 2, 2),
        Self::new("t3.nano", 2, 2),
        Self::new("t3.micro", 2, 2),
        Self::new("t3.small", 3, 4),
        Self::new("t3.medium", 3, 6),
        Self::new("t3.large", 3, 12),
        Self::new("m5.large", 3, 10),
        Self::new("m5.xlarge", 4, 15),
        Self::new("m6i.large", 3, 10),
        Self::new("m6i.xlarge", 4, 15),
        Self::new("c5.large", 3, 10),
        Self::new("c6i.large", 3, 10),
    ];

    const fn new(name: &'static str, network_interfaces: u32, ipv4_addresses: u32) -> Self {
        Self { name, network_interfaces, ipv4_addresses }
    }

    /// The types that the simulator knows.
    pub fn known() -> &'static [Self] {
        &Self::KNOWN
    }

    /// The type of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::KNOWN.into_iter().find(|known| known.name == name)
    }
}

/// # Source
/// Amazon EC2 User Guide, "Amazon EC2 instance state changes" and "Terminate Amazon EC2 instances".
impl World {
    pub(super) fn instance_of_id(&self, id: &str) -> Result<&Instance, ApiError> {
        if id_body(id, "i-").is_none() {
            return Err(ApiError::refused("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")));
        }
        self.instances.get(id).ok_or_else(|| {
            ApiError::refused("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
        })
    }

    /// Begins to stop, start or terminate an instance: `state` is one of the three states on the way.
    pub(super) fn begin_instance(&mut self, id: &str, state: InstanceState, now: Instant) -> Result<(), ApiError> {
        let from = self.instance_of_id(id)?.state;
        let possible = match state {
            InstanceState::Pending => from == InstanceState::Stopped,
            InstanceState::Stopping => from == InstanceState::Running,
            InstanceState::ShuttingDown => from != InstanceState::Terminated,
            InstanceState::Running | InstanceState::Stopped | InstanceState::Terminated => false,
        };
        if !possible {
            let message = format!("The instance '{id}' is {}.", from.as_str());
            return Err(ApiError::refused("IncorrectInstanceState", message));
        }
        let due = now + self.timings.instance;
        if let Some(instance) = self.instances.get_mut(id) {
            (instance.state, instance.due) = (state, Some(due));
        }
        Ok(())
    }

    /// Ends what an instance is on its way to.
    pub(super) fn finish_instance(&mut self, id: &str, at: Instant) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.due = None;
        instance.state = match instance.state {
            InstanceState::Pending => InstanceState::Running,
            InstanceState::Stopping => InstanceState::Stopped,
            InstanceState::ShuttingDown => InstanceState::Terminated,
            state @ (InstanceState::Running | InstanceState::Stopped | InstanceState::Terminated) => state,
        };
        if instance.state != InstanceState::Terminated {
            return;
        }
        let attached = self.attachments_of(id);
        let left: Vec<(String, bool)> =
            attached.map(|(interface, attachment)| (interface.id.clone(), attachment.delete_on_termination)).collect();
        for (network_interface, delete) in left {
            self.remove_attachment(&network_interface, at);
            if delete {
                self.delete_interface(&network_interface, at);
            }
        }
    }

    fn delete_interface(&mut self, network_interface: &str, at: Instant) {
        let leads_there = self.addresses.values().filter(|address| {
            address.association.as_ref().is_some_and(|association| association.network_interface == network_interface)
        });
        let leaving: Vec<String> = leads_there.map(|address| address.allocation.clone()).collect();
        leaving.iter().for_each(|allocation| self.end_association(allocation, at));
        self.interfaces.remove(network_interface);
    }
}
