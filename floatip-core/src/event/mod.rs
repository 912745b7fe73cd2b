//! What happened: facts in the past tense, from which logs, metrics and notices derive.

mod receipt;
mod words;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::combination::Role;
use crate::hook::{HookResult, Occasion};
use crate::lease::Epoch;
use crate::mover::Part;
use crate::node::NodeId;
use crate::probe::{Reason, Via};
pub use receipt::{Cause, MoveId, Receipt, Step, StepRecord, Verification};

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
    /// A check of a node is down while the node is not: it does not count, or others suffice.
    CheckWentDown {
        /// The node.
        node: NodeId,
        /// The kind of probe.
        probe: &'static str,
        /// What its verdicts are good for.
        role: Role,
        /// The newest reason.
        reason: Reason,
    },
    /// That check is healthy again.
    CheckCameUp {
        /// The node.
        node: NodeId,
        /// The kind of probe.
        probe: &'static str,
    },
    /// A check says that somebody maintains the node: it is no candidate, and the address leaves it.
    MaintenanceBegan {
        /// The node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// No check says any more that somebody maintains the node.
    MaintenanceEnded {
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
    /// The address was read on something that is no node. It is left alone, unless the policy says otherwise.
    AddressHeldByStranger {
        /// What holds it.
        description: String,
    },
    /// While both nodes were well, somebody moved the address from one to the other, and it was not this monitor. It stays
    /// there, or is moved back, as the policy has it.
    AddressDrifted {
        /// The node that held the address.
        from: NodeId,
        /// The node that holds it now.
        to: NodeId,
        /// True if it will be moved back.
        restored: bool,
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
    /// The present mechanism cannot bring the address to the target, so that another one tries. After the last one, the
    /// first is tried to the end.
    MoverChanged {
        /// The move.
        id: MoveId,
        /// The kind of the mover that could not.
        from: &'static str,
        /// The kind of the mover that tries now.
        to: &'static str,
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
    /// A claim was complete but for something that belongs to it; it is being repaired in the background. Said again once
    /// a repair is refused for good, if it was not known before why.
    PlacementUnsettled {
        /// The holder.
        node: NodeId,
        /// The parts that it does not have, of an address that is split.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Part>,
        /// What the provider said to the claim of the rest, with its causes, if it was asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
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
    /// It could not be found out whether a node could take the address, so it stays what it was. Said once until it
    /// can be found out again.
    ReadinessUnknown {
        /// The node.
        node: NodeId,
        /// What is wrong, with its causes.
        error: String,
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
    /// A witness failed `fall` times in a row.
    WitnessWentDown {
        /// The witness.
        witness: NodeId,
        /// The newest reason.
        reason: Reason,
    },
    /// A witness answers again.
    WitnessCameUp {
        /// The witness.
        witness: NodeId,
    },
    /// The prober itself could not work, which says nothing of the witness. Said once until a probe works again.
    WitnessErrored {
        /// The witness.
        witness: NodeId,
        /// The kind of probe.
        probe: &'static str,
        /// What is wrong, with its causes.
        error: String,
    },
    /// Fewer witnesses answer than must: the monitor takes itself for cut off, and makes no unplanned move.
    MonitorIsolated {
        /// How many answer.
        reachable: usize,
        /// How many must.
        quorum: usize,
    },
    /// Enough witnesses answer again; a holder must fail anew before anything moves.
    IsolationEnded {},
    /// The holder is down for a monitor that runs on the only other node, and no witness tells whether it is the
    /// monitor's own network: no move.
    NoWitness {
        /// The holder.
        holder: Option<NodeId>,
    },
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
    /// A move would have been made, but something forbids it: it is said once.
    MoveHeld {
        /// The node that holds the address; absent if nobody does.
        from: Option<NodeId>,
        /// The node that would have received it.
        to: NodeId,
        /// Why it would have been moved.
        cause: Cause,
        /// What forbids it.
        reason: &'static str,
    },
    /// A planned move waits until the node that it leaves is idle. Said once a wait.
    MoveWaiting {
        /// The node that holds the address.
        from: NodeId,
        /// The node that shall receive it.
        to: NodeId,
        /// Why it shall be moved.
        cause: Cause,
        /// What the node is in use by.
        reason: Reason,
        /// How long it waits at most, in milliseconds.
        #[serde(rename = "at_most_ms", serialize_with = "millis")]
        at_most: Duration,
    },
    /// The node has not become idle in time: the move is made all the same.
    IdleWaitExpired {
        /// The node that holds the address.
        node: NodeId,
        /// How long the move has waited, in milliseconds.
        #[serde(rename = "waited_ms", serialize_with = "millis")]
        waited: Duration,
        /// What the node is in use by; absent if no check could tell.
        reason: Option<Reason>,
    },
    /// A hook did not allow a move. An unplanned one is asked about again, ever more rarely, up to once a minute.
    MoveVetoed {
        /// The node that holds the address; absent if nobody does.
        from: Option<NodeId>,
        /// The node that should have received it.
        to: NodeId,
        /// Why it should have been moved.
        cause: Cause,
        /// The hook and its words.
        reason: String,
    },
    /// A hook was called before or after a move; or one that is told of events failed.
    HookFinished {
        /// The hook.
        hook: String,
        /// When it was called.
        occasion: Occasion,
        /// How it ended.
        result: HookResult,
        /// What it said, or what is wrong with it; at most 1000 characters.
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        /// How long it took.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
    },
    /// Events came faster than a hook could be told of them, and some were left out.
    HookMissed {
        /// The hook.
        hook: String,
        /// How many.
        missed: u64,
    },
    /// State that should survive a restart could not be written. Failover goes on.
    StateNotSaved {
        /// What is wrong, with its causes.
        error: String,
    },
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
    fn a_forced_release_is_trouble_and_names_what_it_may_leave_behind() {
        let forced = EventKind::ReleaseForced { id: 1, node: Some(NodeId::new("ftp-1").unwrap()) };
        let words = forced.to_string();
        assert!(forced.is_trouble());
        for effect in ["ftp-1", "device index may stay unusable", "instance metadata stale", "stopped and started"] {
            assert!(words.contains(effect), "{words}");
        }
    }

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
