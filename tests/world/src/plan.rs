//! What one scenario consists of: the shape of the world, and the troubles that befall it one after the other.

use std::time::Duration;

use floatip_core::{HealthSettings, Strategy, Verify};

use crate::trouble::Trouble;

/// One scenario. The same plan brings the same trace, bit for bit.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The shape of the world.
    pub shape: Shape,
    /// The seed of everything that the plan leaves open: latencies, jitter, lost packets.
    pub luck: u64,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One trouble, and how long after the one before it comes.
#[derive(Debug, Clone)]
pub struct Step {
    /// How long after the step before, or after the world has come to rest.
    pub after: Duration,
    /// What happens.
    pub trouble: Trouble,
}

/// The shape of the world.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How many nodes there are, 2 to 4.
    pub nodes: usize,
    /// How many monitors there are, 1 or 2.
    pub monitors: usize,
    /// Whether the monitors share a lease.
    pub leased: bool,
    /// How the mover moves.
    pub strategy: Strategy,
    /// Generation tokens, which the provider compares; otherwise snapshots, which the mover reads again before it sends.
    pub enforced: bool,
    /// Nobody interferes and no read is stale; in exchange the provider refuses no claim of an address that is held, and
    /// two holders are a violation.
    pub strict: bool,
    /// Whether a monitor finds its durable state again after it was killed.
    pub keeps_state: bool,
    /// How many checks each node has, 1 or 2.
    pub checks: usize,
    /// Their timing.
    pub health: HealthSettings,
    /// What must be seen through the floating address.
    pub verify: Verify,
    /// After how long the address returns to a preferred node, if it does.
    pub failback: Option<Duration>,
    /// The least time between a move and a failback.
    pub cooldown: Duration,
    /// The most unplanned moves.
    pub max_moves: u32,
    /// The deadlines of releases and claims derive from it.
    pub patience: Duration,
    /// How long verification may take.
    pub verify_timeout: Duration,
    /// How long the provider takes to release.
    pub release_takes: Duration,
    /// How long the provider takes to give the address to a node.
    pub claim_takes: Duration,
    /// How long a call is on the wire, there and back.
    pub latency: Duration,
    /// How many more claims a placement needs until it is settled.
    pub claims_to_settle: u32,
    /// Where the address is at first; nowhere if it is beyond the nodes.
    pub begins_on: usize,
    /// How many witnesses there are, and how many of them must answer.
    pub witnesses: usize,
    /// See `witnesses`.
    pub quorum: usize,
    /// How long the hooks may take that are asked before a move; `None` if there are none.
    pub pre_move: Option<Duration>,
    /// An address that does not answer, while its holder does, is claimed anew.
    pub reclaims: bool,
    /// Of how many parts the address consists, each of which may be elsewhere; 1 if it is whole.
    pub parts: usize,
    /// There is a second mover, which takes the address over where the first one fails.
    pub chain: bool,
    /// For how long a planned move waits for the node that it leaves to be idle; `None` if no check tells.
    pub wait_for_idle: Option<Duration>,
    /// What somebody outside moves from one healthy node to another is moved back.
    pub restores: bool,
    /// The node that the address is to leave at the end is maintained, and not drained.
    pub maintains: bool,
    /// Within which time `max_moves` are the most.
    pub window: Duration,
}

impl Shape {
    /// The timing of a witness: one answer is enough.
    pub fn witness_health(&self) -> HealthSettings {
        let mut health = self.health;
        health.rise = 1;
        health
    }

    /// True if at most one monitor may send requests.
    pub fn one_mover(&self) -> bool {
        self.monitors == 1 || self.leased
    }
}
