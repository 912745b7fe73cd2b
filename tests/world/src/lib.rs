//! A simulated world on virtual time that the [`Engine`](floatip_core::Engine) has to live through.
//!
//! Nodes fail, hang, flap and are slow; monitors are cut off, stand still, are killed at any call and started again; the
//! provider is slow, stale, throttled, stuck or refuses; somebody outside interferes; operators use every brake. After
//! each step, what the monitors do is held against what they were told and against the truth; at the end, when all is
//! quiet, the address must come to rest on the best allowed node, and one more failover must keep its bound.
//!
//! A [`Plan`] is generated from one number by proptest, which also shrinks what fails. The same number brings the same
//! trace, bit for bit.
#![allow(missing_docs, reason = "not published")]

mod evidence;
mod generate;
mod judge;
mod lease_store;
mod monitor;
mod network;
mod plan;
mod provider;
pub mod sabotage;
mod search;
mod server;
mod trace;
mod trouble;
mod world;

pub use plan::{Plan, Shape, Step};
pub use search::{Search, Tally, Violation, plan, regressions, replay};
pub use world::{Outcome, live};
