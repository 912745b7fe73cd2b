//! What an engine wants done.

use std::time::Instant;

use crate::command::{CommandError, Done};
use crate::durable::Durable;
use crate::engine::track::ProbeId;
use crate::hook::Plan;
use crate::mover::{Placement, ReleaseMode};
use crate::node::NodeId;
use crate::probe::Via;
use crate::urgency::Urgency;

/// The number of one call to a mover, unique within one engine.
pub type CallId = u64;

/// The number that the driver gives to a command, so that its answer finds the one who asked.
pub type CommandId = u64;

/// What the driver shall do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Run a probe and bring its result to [`Engine::handle_probe`](super::Engine::handle_probe).
    Probe {
        /// To be handed back.
        id: ProbeId,
        /// The engine's time at which it begins; probes of the same instant are in step.
        at: Instant,
        /// The index of the check.
        check: usize,
        /// The node that it is about; through the address, the one believed to hold it.
        node: Option<NodeId>,
        /// By the node's own host or through the floating address.
        via: Via,
    },
    /// Probe a witness and bring its result to [`Engine::handle_probe`](super::Engine::handle_probe).
    ProbeWitness {
        /// To be handed back.
        id: ProbeId,
        /// The engine's time at which it begins; probes of the same instant are in step.
        at: Instant,
        /// The index of the witness.
        witness: usize,
    },
    /// Drop a probe: nobody waits for its result.
    DropProbe {
        /// The probe.
        id: ProbeId,
    },
    /// Read the placement and bring it to [`Engine::handle_reading`](super::Engine::handle_reading).
    Locate {
        /// To be handed back.
        call: CallId,
        /// The index of the mover.
        mover: usize,
        /// How soon the answer is needed.
        urgency: Urgency,
    },
    /// Request a release and bring the reply to [`Engine::handle_reply`](super::Engine::handle_reply).
    Release {
        /// To be handed back.
        call: CallId,
        /// The index of the mover.
        mover: usize,
        /// The reading that it relies on.
        seen: Placement,
        /// How hard.
        mode: ReleaseMode,
    },
    /// Request a claim and bring the reply to [`Engine::handle_reply`](super::Engine::handle_reply).
    Claim {
        /// To be handed back.
        call: CallId,
        /// The index of the mover.
        mover: usize,
        /// The node that shall hold the address.
        to: NodeId,
        /// Whether it is part of a move, or a repair.
        urgency: Urgency,
        /// The reading that it relies on.
        seen: Placement,
    },
    /// Ask whether a node could take the address and bring it to [`Engine::handle_readiness`](super::Engine::handle_readiness).
    Ready {
        /// To be handed back.
        call: CallId,
        /// The index of the mover.
        mover: usize,
        /// The node.
        node: NodeId,
    },
    /// Ask the hooks about a move and bring their answer to [`Engine::handle_hooks`](super::Engine::handle_hooks).
    AskHooks {
        /// To be handed back.
        call: CallId,
        /// The move.
        plan: Plan,
    },
    /// Answer a command.
    Answer {
        /// The command.
        command: CommandId,
        /// How it ended.
        result: Result<Done, CommandError>,
    },
    /// Write this where it survives a restart. Failing to do so stops nothing.
    Save(Durable),
}
