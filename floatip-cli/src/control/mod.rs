//! The control socket: HTTP and JSON on a Unix socket, for owner and group only.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | `{"floating_ips": [status…]}` |
//! | `GET /v1/floating-ips/NAME/history` | | `{"decisions": [decision…]}`, oldest first |
//! | `POST /v1/floating-ips/NAME/move` | [`MoveRequest`] | how the command ended |
//! | `POST /v1/floating-ips/NAME/pause` | [`PauseRequest`], or none | how the command ended |
//! | `POST /v1/floating-ips/NAME/resume` | | how the command ended |
//! | `POST /v1/floating-ips/NAME/ack` | | how the command ended |
//! | `POST /v1/floating-ips/NAME/drain` | [`DrainRequest`] | how the command ended |
//! | `POST /v1/floating-ips/NAME/undrain` | [`DrainRequest`] | how the command ended |
//! | `POST /v1/report` | [`ReportRequest`] | `{"floating_ips": [name…]}`, those that took it |
//!
//! The last one is also what the TCP listener of `[push]` takes, and all that it takes.

mod client;
mod push_listener;
mod report;
mod server;

use std::io;

use serde::{Deserialize, Serialize};

pub(crate) use client::Client;
pub(crate) use push_listener::PushListener;
pub(crate) use report::ReportRequest;
pub(crate) use server::Server;

/// Where a monitor listens, and where commands look for it, if nobody says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/floatip/control.sock";

/// What an error of a Unix socket means for its path.
fn socket_hint(error: &io::Error, otherwise: &'static str) -> &'static str {
    if error.kind() == io::ErrorKind::InvalidInput {
        return " (a Unix socket's path has about 100 bytes at most: choose a shorter one)";
    }
    otherwise
}

/// An operator's move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveRequest {
    pub(crate) to: String,
    #[serde(default)]
    pub(crate) force: bool,
    #[serde(default)]
    pub(crate) dry_run: bool,
    #[serde(default = "yes")]
    pub(crate) wait: bool,
}

fn yes() -> bool {
    true
}

/// An operator's pause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseRequest {
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// After how many milliseconds it ends by itself.
    #[serde(default)]
    pub(crate) for_ms: Option<u64>,
}

/// An operator's drain of a node, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainRequest {
    pub(crate) node: String,
}
