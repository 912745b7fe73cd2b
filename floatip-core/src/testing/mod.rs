//! Parts for tests: an in-memory provider with its mover, a scripted probe, a shared lease, a wrapper that makes any
//! mover fail, a contract suite that any [`AddressMover`](crate::AddressMover) can be run through, and trials of whole
//! failovers and races on it.
//!
//! Everything keeps tokio's time, so tests that pause it run at once. Nothing here opens a socket.

pub mod contract;
mod fault;
mod faulty;
mod lease;
mod mover;
mod probe;
mod provider;
pub mod trial;
mod world;

pub use fault::{Call, Fault, Faults};
pub use faulty::FaultyMover;
pub use lease::{InMemoryLease, InMemoryLeaseStore, Outage};
pub use mover::InMemoryMover;
pub use probe::{Answer, ScriptedProbe};
pub use provider::{Answered, Holding, InMemoryProvider, Record, Request};
pub use world::{Occupant, Stuck, Tokens};
