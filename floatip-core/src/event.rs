//! What happened: facts in the past tense, from which logs, metrics and notices derive.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::lease::Epoch;
use crate::mover::Token;
use crate::node::NodeId;
use crate::probe::{Reason, Via};

/// One fact about one floating IP. Serialises as one flat JSON object: `at`, `floating_ip`, `event`, and the fields of
/// the kind; durations are in milliseconds and say so in their names.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// Wall time, stamped by the driver (RFC 3339 in JSON).
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// The name of the floating IP.
    pub floating_ip: Arc<str>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event of the given parts.
    pub fn new(at: SystemTime, floating_ip: Arc<str>, kind: EventKind) -> Self {
        Self { at, floating_ip, kind }
    }
}

fn rfc3339<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let at = jiff::Timestamp::try_from(*at).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&format_args!("{at:.6}"))
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// The number of a move, unique within one floating IP and one run of a monitor.
pub type MoveId = u64;

/// Why a move was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The holder was down.
    Failover,
    /// An operator asked for it.
    Switchover,
    /// A preferred node has been well for long enough.
    Failback,
    /// An operator drained the holder.
    Drain,
    /// Nobody held the address, or a move of an earlier run was left half done.
    Rescue,
}

/// One confirmed stage of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The release was requested and accepted.
    Release,
    /// The release was seen to be complete.
    AwaitReleased,
    /// The claim was requested and accepted.
    Claim,
    /// The claim was seen to be complete.
    AwaitClaimed,
    /// The service answered through the floating address.
    Verify,
}

/// How long one step took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepRecord {
    /// The step.
    pub step: Step,
    /// From the end of the step before (or the start of the move) to its confirmation.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
}

impl StepRecord {
    pub(crate) fn new(step: Step, duration: Duration) -> Self {
        Self { step, duration }
    }
}

/// How a finished move was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// The service answered through the floating address after the claim was complete.
    Verified,
    /// It did not within the time, and the policy is to warn.
    Unverified,
    /// The policy is not to look, or no probe can run through the address.
    Skipped,
}

/// What a finished move proves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The move.
    pub id: MoveId,
    /// The node that held the address before; `None` if nobody did.
    pub from: Option<NodeId>,
    /// The node that holds it now.
    pub to: NodeId,
    /// Why it was moved.
    pub cause: Cause,
    /// From the decision to the end of the last step.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// Each step, in order.
    pub steps: Vec<StepRecord>,
    /// What the provider calls the new assignment.
    pub token: Option<Token>,
    /// How it was verified.
    pub verification: Verification,
}

impl Receipt {
    /// A receipt of a move that needed no step, as when the address was already there.
    pub(crate) fn new(id: MoveId, from: Option<NodeId>, to: NodeId, cause: Cause) -> Self {
        Self {
            id,
            from,
            to,
            cause,
            duration: Duration::ZERO,
            steps: Vec::new(),
            token: None,
            verification: Verification::Skipped,
        }
    }
}

/// What happened, in the past tense.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A node failed `fall` times in a row, or once conclusively.
    NodeWentDown {
        /// The node.
        node: NodeId,
        /// Failed verdicts in a row of the probe that decided it.
        failures: u32,
        /// The newest reason.
        reason: Reason,
    },
    /// A node answered `rise` times in a row.
    NodeCameUp {
        /// The node.
        node: NodeId,
    },
    /// Nothing recent enough is known about a node any more.
    NodeBecameUnknown {
        /// The node.
        node: NodeId,
    },
    /// The prober itself could not work; the node's health stays what it was. Said once until a probe works again.
    ProbeErrored {
        /// The node; absent through the floating address while the holder is not known.
        node: Option<NodeId>,
        /// The kind of probe.
        probe: &'static str,
        /// Which way it went.
        via: Via,
        /// What is wrong, with its causes.
        error: String,
    },
    /// A probe brought a warning that it had not brought the last time.
    ProbeWarned {
        /// The node; absent through the floating address while the holder is not known.
        node: Option<NodeId>,
        /// The kind of probe.
        probe: &'static str,
        /// The warning.
        warning: String,
    },
    /// A reading showed another holder than the one before. At the first reading, `from` is absent.
    HolderChanged {
        /// The node that held the address before.
        from: Option<NodeId>,
        /// The node that holds it now; absent if nobody or a stranger does.
        to: Option<NodeId>,
    },
    /// Agreeing reads showed that nobody holds the address.
    AddressFoundFree {},
    /// The address was read on something that is no node. It is left alone.
    AddressHeldByStranger {
        /// What holds it.
        description: String,
    },
    /// The provider could not be read: the holder is unknown. Said once until a reading works again.
    ProviderUnreadable {
        /// What is wrong, with its causes.
        error: String,
    },
    /// The provider could be read again.
    ProviderReadable {},
    /// The holder answers, but the floating address does not.
    AddressUnreachable {
        /// The holder.
        node: NodeId,
        /// The newest reason.
        reason: Reason,
    },
    /// The floating address answers again.
    AddressReachable {},
    /// A move was begun.
    MoveStarted {
        /// The move.
        id: MoveId,
        /// The node that holds the address; absent if nobody does.
        from: Option<NodeId>,
        /// The node that shall hold it.
        to: NodeId,
        /// Why.
        cause: Cause,
        /// How long the holder had been failing when the move was decided: from its first failed probe's start.
        #[serde(rename = "detect_ms", serialize_with = "optional_millis", skip_serializing_if = "Option::is_none")]
        detect: Option<Duration>,
    },
    /// A step of the move was confirmed.
    StepFinished {
        /// The move.
        id: MoveId,
        /// The step.
        step: Step,
        /// From the end of the step before to its confirmation.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
    },
    /// The move goes to another node than it started for.
    MoveRetargeted {
        /// The move.
        id: MoveId,
        /// The node that it was for.
        from: NodeId,
        /// The node that it is for now.
        to: NodeId,
        /// Why.
        reason: String,
    },
    /// A release was forced. The old holder may keep an unusable device index and stale instance metadata until it
    /// is stopped and started.
    ReleaseForced {
        /// The move.
        id: MoveId,
        /// The node that the address was taken from; absent if the provider does not say.
        node: Option<NodeId>,
    },
    /// The address is on the target, confirmed by reading back.
    MoveFinished(Receipt),
    /// The move ended without its address on the target.
    MoveFailed {
        /// The move.
        id: MoveId,
        /// Where it started.
        from: Option<NodeId>,
        /// Where it was to go.
        to: NodeId,
        /// Why it ended.
        error: String,
        /// True if nothing had been changed, so that the holder is the one from before.
        unchanged: bool,
    },
    /// The service did not answer through the floating address in time.
    VerificationFailed {
        /// The move.
        id: MoveId,
        /// The node that holds the address.
        node: NodeId,
        /// The newest reason.
        reason: Option<Reason>,
    },
    /// The floating address was never healthy from here, so `require` acts as `warn`.
    VerificationImpossible {
        /// The move.
        id: MoveId,
    },
    /// A move past its point of no return found no way on. It is retried within bounds; somebody should look.
    FloatingIpStuck {
        /// The move.
        id: MoveId,
        /// What is in the way.
        error: String,
    },
    /// A claim was complete but for something that belongs to it; it is being repaired in the background.
    PlacementUnsettled {
        /// The holder.
        node: NodeId,
    },
    /// What was left to do after a claim is done.
    PlacementSettled {
        /// The holder.
        node: NodeId,
    },
    /// A node could not take the address, says the provider: it is no candidate.
    CandidateNotReady {
        /// The node.
        node: NodeId,
        /// What prevents it, and what to do.
        reason: String,
    },
    /// A node that could not take the address can now.
    CandidateReady {
        /// The node.
        node: NodeId,
    },
    /// Every node went down at once: the monitor suspects itself and holds.
    AllNodesDown {},
    /// Another node answered again; the holder must fail anew before anything moves.
    AllNodesDownEnded {},
    /// The holder is down and no node may receive the address.
    NoCandidate {
        /// The holder; absent if the address is free.
        holder: Option<NodeId>,
    },
    /// The holder does not answer by its own host, but clients are served through the floating address: no move.
    HolderUnreachableButServing {
        /// The holder.
        node: NodeId,
    },
    /// Too many moves in the window: nothing moves until an operator resumes.
    Frozen {
        /// Moves within the window.
        moves: u32,
    },
    /// An operator paused automatic moves.
    Paused {
        /// The operator's reason, if one was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// After how long the pause ends by itself, if it does.
        #[serde(rename = "for_ms", serialize_with = "optional_millis", skip_serializing_if = "Option::is_none")]
        duration: Option<Duration>,
    },
    /// An operator resumed automatic moves, or the time of the pause was over.
    Resumed {},
    /// An operator acknowledged a freeze.
    Acknowledged {},
    /// An operator drained a node: it is no candidate.
    NodeDrained {
        /// The node.
        node: NodeId,
    },
    /// An operator ended the draining of a node.
    NodeUndrained {
        /// The node.
        node: NodeId,
    },
    /// A preferred node has been well for long enough; an operator may move the address there.
    FailbackDue {
        /// The node.
        node: NodeId,
    },
    /// A move would have been made, but recoveries are switched off.
    RecoverySuppressed {
        /// The node that holds the address; absent if nobody does.
        from: Option<NodeId>,
        /// The node that would have received it.
        to: NodeId,
        /// Why.
        cause: Cause,
    },
    /// The monitor itself stood still, or its clock was set: what it saw before says nothing.
    ClockJumped {
        /// By how much, in milliseconds.
        #[serde(rename = "by_ms", serialize_with = "millis")]
        by: Duration,
    },
    /// The lease was acquired: this monitor may move the address.
    LeaseAcquired {
        /// The fencing number.
        epoch: Epoch,
    },
    /// The lease was lost, or could not be renewed in time: this monitor moves nothing.
    LeaseLost {},
    /// State that should survive a restart could not be written. Failover goes on.
    StateNotSaved {
        /// What is wrong, with its causes.
        error: String,
    },
}

impl EventKind {
    /// True if an operator should look at it.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::NodeWentDown { .. }
            | Self::NodeBecameUnknown { .. }
            | Self::ProbeErrored { .. }
            | Self::ProbeWarned { .. }
            | Self::AddressFoundFree {}
            | Self::AddressHeldByStranger { .. }
            | Self::ProviderUnreadable { .. }
            | Self::AddressUnreachable { .. }
            | Self::MoveRetargeted { .. }
            | Self::ReleaseForced { .. }
            | Self::MoveFailed { .. }
            | Self::VerificationFailed { .. }
            | Self::VerificationImpossible { .. }
            | Self::FloatingIpStuck { .. }
            | Self::PlacementUnsettled { .. }
            | Self::CandidateNotReady { .. }
            | Self::AllNodesDown {}
            | Self::NoCandidate { .. }
            | Self::HolderUnreachableButServing { .. }
            | Self::Frozen { .. }
            | Self::LeaseLost {}
            | Self::RecoverySuppressed { .. }
            | Self::ClockJumped { .. }
            | Self::StateNotSaved { .. } => true,
            Self::NodeCameUp { .. }
            | Self::HolderChanged { .. }
            | Self::ProviderReadable {}
            | Self::AddressReachable {}
            | Self::MoveStarted { .. }
            | Self::StepFinished { .. }
            | Self::MoveFinished(_)
            | Self::PlacementSettled { .. }
            | Self::CandidateReady { .. }
            | Self::AllNodesDownEnded {}
            | Self::Paused { .. }
            | Self::Resumed {}
            | Self::Acknowledged {}
            | Self::NodeDrained { .. }
            | Self::NodeUndrained { .. }
            | Self::FailbackDue { .. }
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
                write!(f, "the address is on {description}, which is no node; it is left alone")
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
            Self::PlacementUnsettled { node } => {
                write!(f, "the claim for {node} is not settled yet; it is being repaired")
            }
            Self::PlacementSettled { node } => write!(f, "the claim for {node} is settled"),
            Self::CandidateNotReady { node, reason } => write!(f, "{node} cannot take the address: {reason}"),
            Self::CandidateReady { node } => write!(f, "{node} can take the address now"),
            Self::AllNodesDown {} => {
                write!(f, "every node went down at once: the monitor suspects its own network and holds")
            }
            Self::AllNodesDownEnded {} => write!(f, "a node answered again: older verdicts no longer count"),
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
            Self::StateNotSaved { error } => {
                write!(f, "the state could not be written, so a restart would forget pauses and moves: {error}")
            }
        }
    }
}

impl Cause {
    /// The word that events bear.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Switchover => "switchover",
            Self::Failback => "failback",
            Self::Drain => "drain",
            Self::Rescue => "rescue",
        }
    }
}

impl Step {
    /// The word that events bear.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::AwaitReleased => "await_released",
            Self::Claim => "claim",
            Self::AwaitClaimed => "await_claimed",
            Self::Verify => "verify",
        }
    }
}

fn optional_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => millis(duration, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object_with_wall_time_and_milliseconds() {
        let kind = EventKind::StepFinished { id: 3, step: Step::AwaitReleased, duration: Duration::from_micros(1500) };
        let event = Event::new(SystemTime::UNIX_EPOCH, "ftp".into(), kind);
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"at":"1970-01-01T00:00:00.000000Z","floating_ip":"ftp","event":"step_finished","id":3,"step":"await_released","duration_ms":1.5}"#
        );
    }
}
