//! What an engine is made for.

use std::time::{Duration, Instant};

use super::WitnessSettings;
use crate::combination::Role;
use crate::health::HealthSettings;
use crate::mover::Capabilities;
use crate::node::{FloatingIp, Node};
use crate::policy::Policy;

/// The part of a [`Check`](crate::Check) that decides.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// The kind of probe, for events.
    pub kind: &'static str,
    /// What its verdicts are good for.
    pub role: Role,
    /// Timing and thresholds.
    pub health: HealthSettings,
    /// Whether it runs against the nodes' own hosts.
    pub direct: bool,
    /// Whether it runs through the floating address.
    pub verifies: bool,
}

/// What an engine is made for. [`Engine::new`](super::Engine::new) trusts it; the orchestrator's builder checks it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name and the address.
    pub floating_ip: FloatingIp,
    /// The nodes, in the order of preference.
    pub nodes: Vec<Node>,
    /// The checks.
    pub checks: Vec<CheckSettings>,
    /// The witnesses, which all floating IPs share.
    pub witnesses: Vec<WitnessSettings>,
    /// How many of them must answer for an unplanned move. Zero where there are none.
    pub witness_quorum: usize,
    /// How long the hooks may take that are asked before a move; `None` if there are none.
    pub pre_move: Option<Duration>,
    /// What each mover can do, the preferred one first.
    pub movers: Vec<Capabilities>,
    /// The policy.
    pub policy: Policy,
    /// True if requests may be sent only under a lease.
    pub leased: bool,
    /// How often the placement is read while nothing moves.
    pub sweep: Duration,
    /// The instant that the ticks of sweeps and probes are counted from: the same for all engines of a process.
    pub origin: Instant,
    /// Spreads probes and backs off with jitter.
    pub seed: u64,
}
