//! One move: why it was made, its steps, and what it proves when it is finished.

use std::time::Duration;

use serde::Serialize;

use super::millis;
use crate::mover::Token;
use crate::node::NodeId;

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
    /// An operator drained the holder, or a check says that somebody maintains it.
    Drain,
    /// Nobody held the address, or a stranger did; or a move of an earlier run was left half done.
    Rescue,
    /// It was moved behind the monitor's back.
    Restore,
    /// The holder answered and the address did not: it is released and claimed for the same node again.
    Reclaim,
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
            Self::Restore => "restore",
            Self::Reclaim => "reclaim",
        }
    }
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
    /// The kind of the mover that brought it there.
    pub mover: &'static str,
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
            mover: "",
            verification: Verification::Skipped,
        }
    }
}
