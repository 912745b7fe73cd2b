//! The harness of floatip's whole-system tests: network namespaces, real FTP daemons, moto, the `floatip` binary as a
//! process, and clients that watch an address.
//!
//! Everything that a test makes outside its own memory is [owned](reaper): it goes when its guard is dropped, on a
//! panic, and on SIGINT or SIGTERM; what a killed run left behind, the next run removes.
#![allow(clippy::disallowed_methods, reason = "what takes time is measured")]
#![deny(missing_docs)]

pub mod client;
pub mod cloud;
pub mod daemon;
pub mod floatip;
pub mod ftpd;
pub mod lab;
pub mod lab_plane;
pub mod loopback;
pub mod moto;
pub mod need;
pub mod netns;
pub mod overlay;
pub mod process;
pub mod reaper;
pub mod suite;
