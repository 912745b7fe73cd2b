//! What was decided about one floating IP, on what evidence, and how it went. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Event, EventKind};
use crate::status::Status;

/// What kind of decision it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// The address was to be moved.
    Move,
    /// Something was amiss, and nothing was moved.
    Hold,
    /// An operator asked for something.
    Order,
}

/// One decision. Everything is as it was serialised then, so that a later version can read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// What kind of decision it was.
    pub decision: DecisionKind,
    /// The event that announced it, with its time and fields.
    pub event: Value,
    /// The same in words.
    pub summary: String,
    /// What the monitor knew at that moment: the status of the floating IP, with the health of every node and witness, the
    /// placement, and the reasons.
    pub evidence: Value,
    /// How often the same was decided again right afterwards, as of a hook that goes on vetoing.
    #[serde(default)]
    pub repeated: u32,
    /// What happened during the move: each step with its duration, and every change of its course.
    #[serde(default)]
    pub steps: Vec<Value>,
    /// How the move ended; absent for a hold, and while it is under way.
    #[serde(default)]
    pub end: Option<Value>,
}

/// The newest decisions about one floating IP.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(VecDeque<Decision>);

impl History {
    /// How many decisions are kept.
    pub(crate) const MOST: usize = 100;

    /// How many events of one move are kept.
    const MOST_STEPS: usize = 100;

    pub(crate) fn new(decisions: Vec<Decision>) -> Self {
        let surplus = decisions.len().saturating_sub(Self::MOST);
        Self(decisions.into_iter().skip(surplus).collect())
    }

    /// The decisions, oldest first.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        self.0.iter().cloned().collect()
    }

    /// Notes what happened; `status` tells what is known now. True if it is worth writing down.
    pub(crate) fn note(&mut self, event: &Event, status: impl FnOnce() -> Status) -> bool {
        let told = serde_json::to_value(event).unwrap_or_default();
        match class(&event.kind) {
            Class::Opens(decision) => {
                let same = |last: &&mut Decision| {
                    decision == DecisionKind::Hold && last.decision == decision && alike(&last.event, &told)
                };
                if let Some(last) = self.0.back_mut().filter(same) {
                    last.repeated = last.repeated.saturating_add(1);
                    return true;
                }
                if self.0.len() == Self::MOST {
                    self.0.pop_front();
                }
                self.0.push_back(Decision {
                    decision,
                    event: told,
                    summary: event.kind.to_string(),
                    evidence: serde_json::to_value(status()).unwrap_or_default(),
                    repeated: 0,
                    steps: Vec::new(),
                    end: None,
                });
                true
            }
            Class::Continues(ends) => {
                let under_way = |last: &&mut Decision| last.decision == DecisionKind::Move && last.end.is_none();
                let Some(last) = self.0.iter_mut().rev().find(under_way) else { return false };
                if ends {
                    last.end = Some(told);
                } else if last.steps.len() < Self::MOST_STEPS {
                    last.steps.push(told);
                }
                true
            }
            Class::Else => false,
        }
    }
}

/// True if both tell the same but for the time.
fn alike(one: &Value, other: &Value) -> bool {
    let untimed = |event: &Value| {
        let mut event = event.clone();
        if let Some(fields) = event.as_object_mut() {
            fields.remove("at");
        }
        event
    };
    untimed(one) == untimed(other)
}

/// What an event means for the history.
enum Class {
    Opens(DecisionKind),
    /// It belongs to the move under way, and ends it if true.
    Continues(bool),
    Else,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other event is a decision")]
fn class(kind: &EventKind) -> Class {
    match kind {
        EventKind::MoveStarted { .. } => Class::Opens(DecisionKind::Move),
        EventKind::NoCandidate { .. }
        | EventKind::AllNodesDown {}
        | EventKind::HolderUnreachableButServing { .. }
        | EventKind::RecoverySuppressed { .. }
        | EventKind::Frozen { .. }
        | EventKind::MonitorIsolated { .. }
        | EventKind::NoWitness { .. }
        | EventKind::MoveVetoed { .. }
        | EventKind::MoveHeld { .. }
        | EventKind::MoveWaiting { .. }
        | EventKind::IdleWaitExpired { .. }
        | EventKind::ClockJumped { .. }
        | EventKind::AddressHeldByStranger { .. }
        | EventKind::ProviderUnreadable { .. }
        | EventKind::FailbackDue { .. } => Class::Opens(DecisionKind::Hold),
        EventKind::Paused { .. }
        | EventKind::Resumed {}
        | EventKind::Acknowledged {}
        | EventKind::NodeDrained { .. }
        | EventKind::NodeUndrained { .. } => Class::Opens(DecisionKind::Order),
        EventKind::StepFinished { .. }
        | EventKind::MoveRetargeted { .. }
        | EventKind::ReleaseForced { .. }
        | EventKind::VerificationFailed { .. }
        | EventKind::VerificationImpossible { .. }
        | EventKind::FloatingIpStuck { .. } => Class::Continues(false),
        EventKind::MoveFinished(_) | EventKind::MoveFailed { .. } => Class::Continues(true),
        _ => Class::Else,
    }
}
