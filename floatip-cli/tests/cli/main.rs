//! The `floatip` command as a process: what it prints, and how it exits.

mod check;
mod command_line;
mod monitor;
mod probe;
mod readme;
mod rig;
