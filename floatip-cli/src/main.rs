//! `floatip` moves a floating IP address between servers when the one that holds it fails.
#![allow(clippy::disallowed_methods, reason = "only the engine is handed its time")]

mod cli;
mod command;
mod config;
mod control;
#[cfg(feature = "demo")]
mod demo;
mod descriptors;
mod event_log;
mod exit;
mod journal;
mod lock;
mod logging;
mod output;
mod own_addresses;
mod program_hook;
mod reports;
mod subject;
mod wiring;

fn main() -> std::process::ExitCode {
    cli::main()
}
