//! What the examples share, none of which an embedder needs: a small AWS Region on loopback, a few network namespaces,
//! services that can be killed, and a narrator.

mod lab;
mod narrator;
mod rehearsal;
mod service;

pub use lab::{Lab, ip};
pub use narrator::{Narrator, watch};
pub use rehearsal::Rehearsal;
pub use service::{Service, greeting};

/// The README's Rust, compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
