//! Everything that one floating IP needs: its nodes, checks, movers, lease and policy.

use std::sync::Arc;

use crate::combination::Role;
use crate::health::HealthSettings;
use crate::hook::MoveHook;
use crate::lease::Lease;
use crate::mover::AddressMover;
use crate::node::{FloatingIp, Node};
use crate::policy::Policy;
use crate::probe::HealthProbe;

/// One probe with its timing, run against every node of a floating IP.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// The probe. Share one `Arc` among floating IPs to have a probe of the same target run once.
    pub probe: Arc<dyn HealthProbe>,
    /// What its verdicts are good for. Default: [`HealthProbe::role`].
    pub role: Role,
    /// Its timing and thresholds.
    pub health: HealthSettings,
    /// Whether it runs against the nodes' own hosts and counts for their health. Default: true.
    pub direct: bool,
    /// Whether it runs through the floating address and verifies moves.
    /// Default: [`HealthProbe::runs_through_address`].
    pub verifies: bool,
}

impl Check {
    /// A check with the default timing.
    pub fn new(probe: Arc<dyn HealthProbe>) -> Self {
        let (verifies, role) = (probe.runs_through_address(), probe.role());
        Self { probe, role, health: HealthSettings::default(), direct: true, verifies }
    }

    /// Sets the timing and thresholds.
    #[must_use]
    pub fn health(mut self, health: HealthSettings) -> Self {
        self.health = health;
        self
    }

    /// Sets what its verdicts are good for.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Sets whether it runs against the nodes' own hosts.
    #[must_use]
    pub fn direct(mut self, direct: bool) -> Self {
        self.direct = direct;
        self
    }

    /// Sets whether it runs through the floating address.
    #[must_use]
    pub fn verifies(mut self, verifies: bool) -> Self {
        self.verifies = verifies;
        self
    }
}

/// Everything that one floating IP needs. Checked when the orchestrator is built.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Setup {
    /// The name and the address.
    pub floating_ip: FloatingIp,
    /// The nodes, in the order of preference. At least one.
    pub nodes: Vec<Node>,
    /// The checks. At least one that is direct.
    pub checks: Vec<Check>,
    /// The movers, the preferred one first. At least one.
    pub movers: Vec<Arc<dyn AddressMover>>,
    /// The lease, where several monitors share the floating IP.
    pub lease: Option<Arc<dyn Lease>>,
    /// What is asked before a move, and told of what happened.
    pub hooks: Vec<Arc<dyn MoveHook>>,
    /// The policy.
    pub policy: Policy,
}

impl Setup {
    /// A setup that lacks nodes, checks and movers.
    pub fn new(floating_ip: FloatingIp) -> Self {
        Self {
            floating_ip,
            nodes: Vec::new(),
            checks: Vec::new(),
            movers: Vec::new(),
            lease: None,
            hooks: Vec::new(),
            policy: Policy::default(),
        }
    }

    /// Adds a node, less preferred than those before it.
    #[must_use]
    pub fn node(mut self, node: Node) -> Self {
        self.nodes.push(node);
        self
    }

    /// Adds a check.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Adds a mover, less preferred than those before it.
    #[must_use]
    pub fn mover(mut self, mover: Arc<dyn AddressMover>) -> Self {
        self.movers.push(mover);
        self
    }

    /// Sets the lease.
    #[must_use]
    pub fn lease(mut self, lease: Arc<dyn Lease>) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Adds a hook.
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn MoveHook>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Sets the policy.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}
