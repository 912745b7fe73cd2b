//! Failover of floating IP addresses: the decision, every step of a move, and its confirmation.
//!
//! Two traits are the seams at which other teams plug in: [`HealthProbe`] finds out whether a server does its work,
//! and [`AddressMover`] reads and requests the place of an address. Everything between them is here: the [`Engine`]
//! decides, as a pure state machine, and the [`Orchestrator`] runs probes, movers and timers for it.
//!
//! This crate knows no provider, opens no socket and depends on nothing that does.
#![deny(missing_docs)]
#![warn(clippy::disallowed_methods)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests own the time"))]

mod combination;
mod command;
mod durable;
pub mod engine;
mod event;
mod health;
mod history;
mod hook;
mod lease;
mod mover;
mod node;
mod orchestrator;
mod policy;
mod probe;
mod setup;
mod status;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::disallowed_methods, reason = "a world for tests, outside the monitor, on tokio's clock")]
pub mod testing;
mod urgency;
mod witness;

pub use combination::{Require, Role};
pub use command::{Command, CommandError, Done, Switchover};
pub use durable::Durable;
pub use engine::Engine;
pub use event::{Cause, Event, EventKind, MoveId, Receipt, Step, StepRecord, Verification};
pub use health::HealthSettings;
pub use history::{Decision, DecisionKind};
pub use hook::{HookCall, HookError, HookReply, HookResult, MoveHook, Occasion, Plan};
pub use lease::{Epoch, Grant, Lease, LeaseError};
pub use mover::{
    Accepted, AddressMover, Capabilities, MoveError, Part, PartError, Placement, Precondition, Readiness, ReleaseMode,
    Strategy, Token,
};
pub use node::{FloatingIp, Host, NameError, Node, NodeId};
pub use orchestrator::{BuildError, Builder, Handle, Notice, Orchestrator, Subscription};
pub use policy::{AddressUnreachable, Drift, Failback, Policy, Verify};
pub use probe::{HealthProbe, ProbeError, Reason, Stage, Target, Verdict, Via};
pub use setup::{Check, Setup};
pub use status::{Health, MoveStatus, NodeStatus, ProbeStatus, State, Status, Unsettled, WitnessStatus};
pub use urgency::Urgency;
pub use witness::Witness;

/// An error of any kind, as the cause of one of this crate's errors.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error with all its causes, on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
