//! Events in words, for logs, and which of them an operator should look at.

use std::fmt;

use super::EventKind;
use crate::hook::HookResult;
use crate::node::NodeId;

impl EventKind {
    /// True if an operator should look at it.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::HookFinished { result, .. } => *result != HookResult::Done,
            Self::NodeWentDown { .. }
            | Self::NodeBecameUnknown { .. }
            | Self::CheckWentDown { .. }
            | Self::ProbeErrored { .. }
            | Self::ProbeWarned { .. }
            | Self::AddressFoundFree {}
            | Self::AddressHeldByStranger { .. }
            | Self::ProviderUnreadable { .. }
            | Self::AddressUnreachable { .. }
            | Self::MoveRetargeted { .. }
            | Self::ReleaseForced { .. }
            | Self::MoverChanged { .. }
            | Self::AddressDrifted { .. }
            | Self::MoveFailed { .. }
            | Self::VerificationFailed { .. }
            | Self::VerificationImpossible { .. }
            | Self::FloatingIpStuck { .. }
            | Self::PlacementUnsettled { .. }
            | Self::CandidateNotReady { .. }
            | Self::ReadinessUnknown { .. }
            | Self::AllNodesDown {}
            | Self::NoCandidate { .. }
            | Self::WitnessWentDown { .. }
            | Self::WitnessErrored { .. }
            | Self::MonitorIsolated { .. }
            | Self::NoWitness { .. }
            | Self::HolderUnreachableButServing { .. }
            | Self::Frozen { .. }
            | Self::LeaseLost {}
            | Self::RecoverySuppressed { .. }
            | Self::ClockJumped { .. }
            | Self::MoveVetoed { .. }
            | Self::MoveHeld { .. }
            | Self::IdleWaitExpired { .. }
            | Self::HookMissed { .. }
            | Self::StateNotSaved { .. } => true,
            Self::NodeCameUp { .. }
            | Self::CheckCameUp { .. }
            | Self::MaintenanceBegan { .. }
            | Self::MaintenanceEnded { .. }
            | Self::HolderChanged { .. }
            | Self::ProviderReadable {}
            | Self::AddressReachable {}
            | Self::MoveStarted { .. }
            | Self::StepFinished { .. }
            | Self::MoveFinished(_)
            | Self::PlacementSettled { .. }
            | Self::CandidateReady { .. }
            | Self::AllNodesDownEnded {}
            | Self::WitnessCameUp { .. }
            | Self::IsolationEnded {}
            | Self::Paused { .. }
            | Self::Resumed {}
            | Self::Acknowledged {}
            | Self::NodeDrained { .. }
            | Self::NodeUndrained { .. }
            | Self::FailbackDue { .. }
            | Self::MoveWaiting { .. }
            | Self::LeaseAcquired { .. } => false,
        }
    }
}

/// A node, or the word for its absence.
struct OrNobody<'a>(&'a Option<NodeId>);

impl fmt::Display for OrNobody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("no node", NodeId::as_str))
    }
}

/// One sentence for logs: what happened and, where it is not plain, what it means.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeWentDown { node, failures, reason } => {
                write!(f, "{node} went down after {failures} failed probes: {reason}")
            }
            Self::CheckWentDown { node, probe, reason, .. } => {
                write!(f, "the {probe} check of {node} went down, which does not turn the node down: {reason}")
            }
            Self::CheckCameUp { node, probe } => write!(f, "the {probe} check of {node} is well again"),
            Self::MaintenanceBegan { node, reason } => {
                write!(f, "{node} is being maintained, so it is no candidate: {reason}")
            }
            Self::MaintenanceEnded { node } => write!(f, "{node} is no longer being maintained"),
            Self::NodeCameUp { node } => write!(f, "{node} came up"),
            Self::NodeBecameUnknown { node } => write!(f, "{node} became unknown: no verdict is recent enough"),
            Self::ProbeErrored { node, probe, error, .. } => {
                write!(f, "the {probe} probe of {} could not work, which says nothing of it: {error}", OrNobody(node))
            }
            Self::ProbeWarned { node, probe, warning } => {
                write!(f, "the {probe} probe of {} warned: {warning}", OrNobody(node))
            }
            Self::HolderChanged { from: None, to: Some(to) } => write!(f, "the address is on {to}"),
            Self::HolderChanged { from, to } => {
                write!(f, "the holder changed from {} to {}", OrNobody(from), OrNobody(to))
            }
            Self::AddressFoundFree {} => write!(f, "nobody holds the address: agreeing reads show it free"),
            Self::AddressHeldByStranger { description } => {
                write!(f, "the address is on {description}, which is no node")
            }
            Self::ProviderUnreadable { error } => {
                write!(f, "the provider could not be read, so the holder is unknown and nothing moves: {error}")
            }
            Self::ProviderReadable {} => write!(f, "the provider could be read again"),
            Self::AddressUnreachable { node, reason } => {
                write!(f, "{node} answers, but the floating address does not: {reason}")
            }
            Self::AddressReachable {} => write!(f, "the floating address answers again"),
            Self::MoveStarted { id, from, to, cause, .. } => {
                write!(f, "move {id} started from {} to {to} ({})", OrNobody(from), cause.as_str())
            }
            Self::StepFinished { step, duration, .. } => write!(f, "step {} took {duration:.1?}", step.as_str()),
            Self::MoveRetargeted { from, to, reason, .. } => {
                write!(f, "the move goes to {to} instead of {from}: {reason}")
            }
            Self::MoverChanged { from, to, reason, .. } => {
                write!(f, "the move goes on by {to} instead of {from}: {reason}")
            }
            Self::AddressDrifted { from, to, restored } => {
                let then = if *restored { "it will be moved back" } else { "it stays there" };
                write!(f, "the address was moved from {from} to {to}, and not by this monitor; {then}")
            }
            Self::ReleaseForced { node, .. } => write!(
                f,
                "the release from {} is forced: its device index may stay unusable and its instance metadata stale \
                 until it is stopped and started",
                OrNobody(node)
            ),
            Self::MoveFinished(receipt) => {
                write!(
                    f,
                    "move {} finished: the address is on {} after {:.1?}",
                    receipt.id, receipt.to, receipt.duration
                )
            }
            Self::MoveFailed { id, error, unchanged, .. } => {
                let state = if *unchanged { "; nothing was changed" } else { "" };
                write!(f, "move {id} failed: {error}{state}")
            }
            Self::VerificationFailed { node, reason, .. } => {
                write!(f, "the service on {node} did not answer through the floating address in time")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::VerificationImpossible { .. } => {
                write!(f, "the floating address was never healthy from here, so the move could not be verified")
            }
            Self::FloatingIpStuck { id, error } => {
                write!(f, "move {id} is stuck past its point of no return and will be retried; please look: {error}")
            }
            Self::PlacementUnsettled { node, parts, error } => {
                write!(f, "the claim for {node} is not settled yet; it is being repaired")?;
                let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
                if !parts.is_empty() {
                    write!(f, "; {node} does not have all of the address: {}", parts.join(", "))?;
                }
                error.as_ref().map_or(Ok(()), |error| write!(f, "; {error}"))
            }
            Self::PlacementSettled { node } => write!(f, "the claim for {node} is settled"),
            Self::CandidateNotReady { node, reason } => write!(f, "{node} cannot take the address: {reason}"),
            Self::ReadinessUnknown { node, error } => {
                write!(f, "whether {node} could take the address is not known: {error}")
            }
            Self::CandidateReady { node } => write!(f, "{node} can take the address now"),
            Self::AllNodesDown {} => {
                write!(f, "every node went down at once: the monitor suspects its own network and holds")
            }
            Self::AllNodesDownEnded {} => write!(f, "a node answered again: older verdicts no longer count"),
            Self::WitnessWentDown { witness, reason } => write!(f, "the witness {witness} no longer answers: {reason}"),
            Self::WitnessCameUp { witness } => write!(f, "the witness {witness} answers again"),
            Self::WitnessErrored { witness, probe, error } => {
                write!(
                    f,
                    "the {probe} probe of the witness {witness} could not work, which says nothing of it: {error}"
                )
            }
            Self::MonitorIsolated { reachable, quorum } => write!(
                f,
                "only {reachable} witnesses answer and {quorum} must: the monitor takes itself for cut off, and makes no \
                 unplanned move"
            ),
            Self::IsolationEnded {} => write!(f, "enough witnesses answer again: older failures no longer count"),
            Self::NoWitness { holder } => write!(
                f,
                "{} is down for this monitor, which runs on the only other node and has no witness that its own network \
                 works: no move; add a [[witness]], or run the monitor elsewhere",
                OrNobody(holder)
            ),
            Self::NoCandidate { holder } => {
                write!(f, "the address stays on {}, because no other node may receive it", OrNobody(holder))
            }
            Self::HolderUnreachableButServing { node } => {
                write!(f, "{node} does not answer by its own host but serves through the floating address: no move")
            }
            Self::Frozen { moves } => {
                write!(f, "frozen after {moves} moves within the window: nothing moves until an operator resumes")
            }
            Self::Paused { reason, duration } => {
                write!(f, "paused by an operator")?;
                duration.map_or(Ok(()), |duration| write!(f, " for {duration:?}"))?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::Resumed {} => write!(f, "automatic moves are resumed"),
            Self::Acknowledged {} => write!(f, "the freeze was acknowledged by an operator"),
            Self::NodeDrained { node } => write!(f, "{node} was drained by an operator: it is no candidate"),
            Self::NodeUndrained { node } => write!(f, "the draining of {node} was ended by an operator"),
            Self::FailbackDue { node } => {
                write!(f, "{node} is preferred and well again: `floatip move` brings the address back")
            }
            Self::RecoverySuppressed { from, to, cause } => write!(
                f,
                "recoveries are switched off: a {} from {} to {to} was not made",
                cause.as_str(),
                OrNobody(from)
            ),
            Self::ClockJumped { by } => {
                write!(f, "the monitor stood still or its clock was set, by {by:.1?}: older verdicts no longer count")
            }
            Self::LeaseAcquired { epoch } => write!(f, "the lease was acquired with epoch {}", epoch.0),
            Self::LeaseLost {} => write!(f, "the lease was lost: this monitor moves nothing"),
            Self::MoveHeld { from, to, cause, reason } => {
                write!(f, "a {} from {} to {to} is held: {reason}", cause.as_str(), OrNobody(from))
            }
            Self::MoveWaiting { from, to, cause, reason, at_most } => write!(
                f,
                "a {} from {from} to {to} waits until {from} is idle, for {at_most:.1?} at most: {reason}",
                cause.as_str()
            ),
            Self::IdleWaitExpired { node, waited, reason } => {
                write!(f, "{node} has not become idle in {waited:.1?}, so the move is made all the same")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::MoveVetoed { from, to, cause, reason } => {
                write!(f, "a {} from {} to {to} was not made: {reason}", cause.as_str(), OrNobody(from))
            }
            Self::HookFinished { hook, occasion, result, output, duration } => {
                write!(f, "the hook {hook} ({}) {} after {duration:.1?}", occasion.as_str(), result.as_str())?;
                output.as_ref().map_or(Ok(()), |output| write!(f, ": {output}"))
            }
            Self::HookMissed { hook, missed } => write!(f, "{missed} events came too fast for the hook {hook}"),
            Self::StateNotSaved { error } => {
                write!(f, "the state could not be written, so a restart would forget pauses and moves: {error}")
            }
        }
    }
}
