//! The `floatip` command as a process: what it prints, and how it exits.
#![allow(clippy::disallowed_methods, reason = "what takes time is measured")]

mod brakes;
mod check;
mod command_line;
mod descriptors;
mod discover;
mod iam_policy;
mod monitor;
mod operator;
mod policies;
mod preflight;
mod probe;
mod push;
mod readme;
mod rig;
mod secrets;
