//! What a monitor knows at one moment about one floating IP.

use std::sync::Arc;

use serde::Serialize;

use crate::combination::Role;
use crate::event::{Cause, MoveId};
use crate::mover::Part;
use crate::node::{Host, NodeId};

/// The health of one node, all its probes combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Every probe has answered `rise` times in a row, and recently.
    Healthy,
    /// A probe has failed `fall` times in a row.
    Unhealthy,
    /// Too little is known, or it is too old.
    Unknown,
}

/// What a floating IP is doing, as operators see it. The first that applies, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A move is past its point of no return and found no way on; it is retried.
    Stuck,
    /// A move is in flight.
    Moving,
    /// An operator paused automatic moves.
    Paused,
    /// Too many moves: nothing moves until an operator resumes.
    Frozen,
    /// A planned move waits until the node that it leaves is idle.
    WaitingForIdle,
    /// The provider cannot be read (or was not read yet), so the holder is unknown.
    Unreadable,
    /// The provider shows the address on its way, but by no move of this monitor.
    InTransition,
    /// Something that is no node holds the address. It is left alone.
    HeldByStranger,
    /// Nobody holds the address; it goes to the first healthy node.
    Free,
    /// Too few witnesses answer: the monitor takes itself for cut off and holds.
    Isolated,
    /// The monitor runs on the only node beside the holder, and no witness can tell whether it is its own network: it
    /// holds.
    NoWitness,
    /// A hook vetoed the move that would be made; it is asked again.
    Vetoed,
    /// Every node went down at once: the monitor suspects itself and holds.
    AllNodesDown,
    /// The holder is down by its own host, but serves through the floating address: no move.
    UnreachableButServing,
    /// The holder is down (or the address is free) and no node may receive the address.
    NoCandidate,
    /// A move would have been made, but recoveries are switched off.
    RecoveriesOff,
    /// The holder has failed lately, but not `fall` times yet; or it is down and a decision is being made.
    Suspect,
    /// The holder's health is not known yet.
    Starting,
    /// A healthy node holds the address.
    Serving,
}

/// One node of a floating IP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NodeStatus {
    /// The node.
    pub name: NodeId,
    /// What direct probes connect to.
    pub host: Host,
    /// Its health.
    pub health: Health,
    /// Why it is unhealthy, or what its newest failure was.
    pub reason: Option<String>,
    /// What makes it impossible as a candidate, if something does.
    pub not_ready: Option<String>,
    /// True if an operator has drained it.
    pub drained: bool,
    /// Why somebody maintains it, if a check says so: it is no candidate.
    pub maintenance: Option<String>,
    /// Each of its checks.
    pub probes: Vec<ProbeStatus>,
    /// True if it has gone down too often lately, and is the last choice.
    pub flapping: bool,
}

/// One witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WitnessStatus {
    /// The witness.
    pub name: NodeId,
    /// What is probed.
    pub host: Host,
    /// Whether it answers.
    pub health: Health,
    /// Why it does not, or what its newest failure was.
    pub reason: Option<String>,
}

/// One check of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProbeStatus {
    /// The kind of probe.
    pub kind: &'static str,
    /// What its verdicts are good for.
    pub role: Role,
    /// What it says of the node.
    pub health: Health,
    /// Its newest failure, while that counts.
    pub reason: Option<String>,
    /// In how many verdicts in a row the node was at its limit.
    pub busy: u32,
}

/// A move in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MoveStatus {
    /// The move.
    pub id: MoveId,
    /// Where the address was.
    pub from: Option<NodeId>,
    /// Where it goes.
    pub to: NodeId,
    /// Why.
    pub cause: Cause,
    /// What is in the way, if the move is stuck.
    pub stuck: Option<String>,
}

/// What a claim has left undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unsettled {
    /// The parts that the holder does not have, of an address that is split.
    pub parts: Vec<Part>,
    /// What the provider said to the newest repair, with its causes, if it refused.
    pub error: Option<String>,
}

/// One floating IP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The name of the floating IP.
    pub name: Arc<str>,
    /// What clients connect to.
    pub address: Host,
    /// What it is doing.
    pub state: State,
    /// The node that holds the address by the newest reading; absent if none does or it is not known.
    pub holder: Option<NodeId>,
    /// The placement by the newest reading in words, or why it is not known.
    pub placement: String,
    /// What is left to do of the claim for the holder, and is being repaired.
    pub unsettled: Option<Unsettled>,
    /// The kind of the mover by which it is held, or moved now: the first of the chain, unless a fallback took it over.
    pub mover: String,
    /// True while an operator's pause is in force.
    pub paused: bool,
    /// The operator's reason for the pause.
    pub pause_reason: Option<String>,
    /// In how many milliseconds the pause ends by itself.
    pub pause_left_ms: Option<u64>,
    /// True while the bound on moves is exceeded.
    pub frozen: bool,
    /// The move in flight, if there is one.
    #[serde(rename = "move")]
    pub moving: Option<MoveStatus>,
    /// The nodes, in the order of preference.
    pub nodes: Vec<NodeStatus>,
    /// The witnesses.
    pub witnesses: Vec<WitnessStatus>,
}
