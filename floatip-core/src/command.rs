//! What an operator may ask of a floating IP, and how it ends.

use std::time::Duration;

use serde::Serialize;

use crate::event::{MoveId, Receipt};
use crate::node::NodeId;

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Move the address to a node.
    Switchover(Switchover),
    /// Start no automatic move until resumed. A move past its point of no return still lands.
    Pause {
        /// Shown in status and events; `None` keeps the reason of a pause that is in force.
        reason: Option<String>,
        /// After how long it ends by itself; `None`: not before it is resumed.
        duration: Option<Duration>,
    },
    /// End a pause and a freeze, and forget the moves that count towards the next freeze.
    Resume,
    /// End a freeze, and forget the moves that count towards the next one: an operator has seen what happened. A pause
    /// stays.
    Acknowledge,
    /// Make a node no candidate, and move the address away from it if it is the holder, as soon as another node is well.
    /// An operator's switchover with force may still go there, and ends the draining.
    Drain {
        /// The node.
        node: NodeId,
    },
    /// End the draining of a node.
    Undrain {
        /// The node.
        node: NodeId,
    },
}

/// An operator's move.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switchover {
    /// The node that shall hold the address.
    pub to: NodeId,
    /// Move even if the node is not known to be healthy, is drained or known to be impossible, or the floating IP is paused,
    /// and without waiting for the holder to be idle. Default: false.
    pub force: bool,
    /// Only say what would happen. Default: false.
    pub dry_run: bool,
    /// Answer when the move has ended, not when it has started; it starts when the holder is idle, where a check tells that
    /// (see [`Policy::wait_for_idle`](crate::Policy::wait_for_idle)). Default: true.
    pub wait: bool,
}

impl Switchover {
    /// A switchover to `to` that is waited for.
    pub fn to(to: NodeId) -> Self {
        Self { to, force: false, dry_run: false, wait: true }
    }

    /// Sets [`force`](Self::force).
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Sets [`dry_run`](Self::dry_run).
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets [`wait`](Self::wait).
    #[must_use]
    pub fn wait(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }
}

/// How a command ended well.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Done {
    /// The move is finished.
    Moved(Receipt),
    /// The move was started, and nobody waits for its end.
    MoveStarted {
        /// The move.
        id: MoveId,
    },
    /// What a move would do.
    WouldMove {
        /// The node that holds the address; absent if nobody does.
        from: Option<NodeId>,
        /// The node that would hold it.
        to: NodeId,
    },
    /// The node holds the address already.
    AlreadyThere {
        /// The node.
        node: NodeId,
    },
    /// Automatic moves are paused.
    Paused,
    /// Automatic moves are resumed.
    Resumed,
    /// The freeze is ended.
    Acknowledged,
    /// The node is drained: it is no candidate, and the address leaves it as soon as another node is well.
    Drained,
    /// The node is a candidate again.
    Undrained,
}

/// A command did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CommandError {
    /// There is no floating IP of this name. Nothing changed.
    #[error("there is no floating IP named {name:?}")]
    UnknownFloatingIp {
        /// The name that was asked for.
        name: String,
    },
    /// The floating IP has no node of this name. Nothing changed.
    #[error("{floating_ip} has no node named {node:?}")]
    UnknownNode {
        /// The floating IP.
        floating_ip: String,
        /// The name that was asked for.
        node: String,
    },
    /// The command may not be carried out now. Nothing changed.
    #[error("refused: {reason}")]
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// The move ended without its address on the target.
    #[error("the move failed: {reason}")]
    MoveFailed {
        /// Why.
        reason: String,
        /// True if nothing had been changed.
        unchanged: bool,
    },
    /// The monitor stops, or has stopped. A move that was in flight is resumed by the next start.
    #[error("the monitor has stopped")]
    Stopped,
}
