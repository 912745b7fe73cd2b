//! How a command can end, and the exit code of each end: the one table that scripts rely on.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use floatip_core::{BuildError, chain};

use crate::config::{ConfigError, Missing};

/// Everything went well; for `probe`, every target is healthy; for `run --once`, a healthy node holds each address.
pub(crate) const OK: u8 = 0;
/// What was asked for did not succeed: a move failed, `preflight` found something to mend, `run --once` left an address
/// without a healthy holder, or the operating system refused something.
pub(crate) const FAILED: u8 = 1;
/// The command line or the configuration cannot be used. Nothing was done.
pub(crate) const CONFIG: u8 = 2;
/// `probe`: at least one target is unhealthy.
pub(crate) const UNHEALTHY: u8 = 3;
/// `probe`: at least one check could not be made at all, so nothing is known about its target.
pub(crate) const PROBER: u8 = 4;
/// No monitor listens at the control socket.
pub(crate) const NO_MONITOR: u8 = 5;
/// The monitor refused the command. Nothing changed.
pub(crate) const REFUSED: u8 = 6;
/// Another monitor is running: it holds the lock or the control socket.
pub(crate) const BUSY: u8 = 7;
/// `run --once`: an address was moved, and a healthy node holds each one.
pub(crate) const MOVED: u8 = 10;

/// The table for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
   0  well; probe: everything is healthy; run --once: healthy
   1  failed: a move, preflight, run --once, or a call of the operating system
   2  the command line or the configuration cannot be used
   3  probe: something is unhealthy
   4  probe: a check could not be made
   5  no monitor listens at the control socket
   6  the monitor refused the command; nothing changed
   7  another monitor is running
  10  run --once: moved";

/// A command did its work, and this is what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Unhealthy,
    ProberFailed,
    Moved,
    NotServing,
    NotReady,
}

/// A command could not do its work, or it did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the configuration cannot work")]
    Build(#[from] BuildError),
    #[error("the mover of {floating_ip} cannot work")]
    Mover { floating_ip: String, source: floatip_aws::SetupError },
    #[error("a probe cannot work")]
    Probe(#[from] floatip_probes::SettingError),
    #[error("EC2 cannot be reached")]
    Aws(#[from] floatip_aws::ConnectError),
    #[error(
        "no monitor listens at {socket}: start one with `floatip run`, or say with --control (or FLOATIP_CONTROL) \
         where the running one listens", socket = socket.display()
    )]
    NoMonitor { socket: PathBuf, source: io::Error },
    #[error("the monitor did not answer; whether the command took effect is unknown: look with `floatip status`")]
    NoAnswer(#[from] reqwest::Error),
    #[error("no monitor takes reports at {address}: is it running, and is that the `listen` of its [push]?")]
    NoListener { address: String, source: reqwest::Error },
    #[error("there is no token to report with")]
    Token(#[from] Missing),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    MoveFailed(String),
    #[error("{0}")]
    NothingFound(String),
    #[error("EC2 could not be read")]
    Unread(#[from] floatip_core::MoveError),
    #[error("another monitor is running: {holds}")]
    Busy { holds: String },
    #[error("cannot {action} {path}{hint}", path = path.display())]
    File { action: &'static str, path: PathBuf, hint: &'static str, source: io::Error },
    #[error("cannot {action}")]
    System { action: &'static str, source: io::Error },
    #[cfg(feature = "demo")]
    #[error("the demo failed")]
    Demo(#[from] anyhow::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Build(_) | Self::Mover { .. } | Self::Probe(_) | Self::Aws(_) | Self::Token(_) => {
                CONFIG
            }
            Self::NoMonitor { .. } | Self::NoListener { .. } => NO_MONITOR,
            Self::Refused(_) => REFUSED,
            Self::Busy { .. } => BUSY,
            Self::NothingFound(_)
            | Self::Unread(_)
            | Self::MoveFailed(_)
            | Self::NoAnswer(_)
            | Self::File { .. }
            | Self::System { .. } => FAILED,
            #[cfg(feature = "demo")]
            Self::Demo(_) => FAILED,
        }
    }
}

/// Tells on stderr what failed, and gives the exit code: the only way from an end to a code.
pub(crate) fn conclude(end: &Result<Outcome, Failure>) -> ExitCode {
    let code = match end {
        Ok(Outcome::Done) => OK,
        Ok(Outcome::Unhealthy) => UNHEALTHY,
        Ok(Outcome::ProberFailed) => PROBER,
        Ok(Outcome::Moved) => MOVED,
        Ok(Outcome::NotServing | Outcome::NotReady) => FAILED,
        Err(failure) => {
            if let Failure::Config(ConfigError::Invalid { found, .. }) = failure {
                found.iter().for_each(|diagnostic| anstream::eprintln!("{diagnostic}\n"));
            }
            let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
            anstream::eprintln!("{red}error{red:#}: {}", chain(failure));
            failure.code()
        }
    };
    ExitCode::from(code)
}
