//! The third seam: what is asked before a move, and told after one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::BoxError;
use crate::event::{Cause, Event};
use crate::node::{Host, NodeId};

/// Something of the operator's own that may veto a move, or is told what happened.
///
/// # Guarantees that the orchestrator gives
/// - A hook never holds a failover up for longer than its [`timeout`](Self::timeout), all hooks running at once; twice that
///   where an operator's move was being asked about. What it says of any other planned move is not waited for.
/// - One that fails or does not answer *lets an unplanned move go on*, and refuses a planned one (switchover, drain,
///   failback).
/// - A veto of an unplanned move holds it (event `move_vetoed`), and the hook is asked again after 1 s, ever more rarely, up
///   to once a minute. An operator's move with force is asked about and made whatever the answer.
/// - After the answer the decision is made anew: what has changed meanwhile counts, and a permission is good for 5 s.
/// - Calls that only tell come one at a time for each hook, in the order in which things happened; past 64 that wait, events
///   are left out, and that is told (event `hook_missed`).
///
/// # Cancel safety
/// Dropping the future must end what was begun: the orchestrator does so at the timeout.
#[async_trait]
pub trait MoveHook: fmt::Debug + Send + Sync + 'static {
    /// The name, for events.
    fn name(&self) -> &str;

    /// How long one call may take. Default: 2 s. For [`Occasion::PreMove`] this is what a move can be delayed by.
    fn timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// Whether it is called at this occasion.
    fn wants(&self, occasion: Occasion) -> bool;

    /// Asks or tells it. A veto counts at [`Occasion::PreMove`] only.
    ///
    /// # Errors
    /// [`HookError`] if it could not do its work.
    async fn call(&self, call: &HookCall) -> Result<HookReply, HookError>;
}

/// When a hook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Before the first request of a move: it may veto.
    PreMove,
    /// After a move that has changed something ended, well or not.
    PostMove,
    /// After every event but those of hooks themselves.
    OnEvent,
}

impl Occasion {
    /// The word that events and the configuration bear.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreMove => "pre_move",
            Self::PostMove => "post_move",
            Self::OnEvent => "on_event",
        }
    }
}

/// What a hook is asked or told.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum HookCall {
    /// May this move be made?
    PreMove(Plan),
    /// This move ended: a `move_finished` or a `move_failed`.
    PostMove(Arc<Event>),
    /// This happened.
    OnEvent(Arc<Event>),
}

impl HookCall {
    /// When it is called.
    pub fn occasion(&self) -> Occasion {
        match self {
            Self::PreMove(_) => Occasion::PreMove,
            Self::PostMove(_) => Occasion::PostMove,
            Self::OnEvent(_) => Occasion::OnEvent,
        }
    }
}

/// A move that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The name of the floating IP.
    pub floating_ip: Arc<str>,
    /// What clients connect to.
    pub address: Host,
    /// The node that holds it; absent if nobody does.
    pub from: Option<NodeId>,
    /// The node that shall hold it.
    pub to: NodeId,
    /// Why.
    pub cause: Cause,
}

impl Plan {
    pub(crate) fn new(floating_ip: Arc<str>, address: Host, from: Option<NodeId>, to: NodeId, cause: Cause) -> Self {
        Self { floating_ip, address, from, to, cause }
    }
}

/// How a hook answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookReply {
    /// True if the move shall not be made.
    pub veto: bool,
    /// What it said, for the event. Keep it short.
    pub output: Option<String>,
}

impl HookReply {
    /// Nothing against it.
    pub fn done() -> Self {
        Self::default()
    }

    /// The move shall not be made.
    pub fn veto() -> Self {
        Self { veto: true, output: None }
    }

    /// Adds what it said.
    #[must_use]
    pub fn saying(mut self, output: impl Into<String>) -> Self {
        self.output = Some(output.into());
        self
    }
}

/// A hook could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct HookError {
    /// What went wrong, without secrets.
    pub what: String,
    /// The cause.
    pub source: Option<BoxError>,
}

impl HookError {
    /// An error of the given parts.
    pub fn new(what: impl Into<String>, source: Option<BoxError>) -> Self {
        Self { what: what.into(), source }
    }
}

/// How a call of a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HookResult {
    /// Well.
    Done,
    /// It vetoed.
    Vetoed,
    /// It could not do its work.
    Failed,
    /// It did not answer in time, and was ended.
    TimedOut,
}

impl HookResult {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Vetoed => "vetoed",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
        }
    }
}
