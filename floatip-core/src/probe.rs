//! The first seam: one health check of one target.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Serialize, Serializer};

use crate::BoxError;
use crate::combination::Role;
use crate::node::{Host, NodeId};

/// One way to find out whether a server does its work.
///
/// # Guarantees that an implementation gives
/// - It answers within [`Target::timeout`], which it enforces itself so that it can name the stage that took too
///   long. The orchestrator's own, later deadline is a backstop, and counts as an unhealthy verdict without a stage.
/// - `Ok` is evidence about the *target*. `Err` says that the *prober* could not do its work (no socket to be had,
///   an unreadable password file) and is never counted towards `fall`.
/// - Nothing it does changes the target in a way that a repetition would make worse.
///
/// # Cancel safety
/// Dropping the future at any await point is harmless and leaks nothing: the orchestrator does so whenever another
/// verdict has made this one superfluous. Several calls for one target may overlap.
#[async_trait]
pub trait HealthProbe: fmt::Debug + Send + Sync + 'static {
    /// A short name of the kind of check, as in `ftp` or `ping`, for events and tables.
    fn kind(&self) -> &'static str;

    /// One check of `target`.
    ///
    /// # Errors
    /// [`ProbeError`] if the prober itself could not run. The target's health stays what it was.
    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError>;

    /// Whether this check makes sense through the floating address, and so may verify a move. Default: true.
    fn runs_through_address(&self) -> bool {
        true
    }

    /// What its verdicts are good for, unless the [`Check`](crate::Check) says otherwise. Default: [`Role::Decides`]; one
    /// that asks somebody else than the node should corroborate.
    fn role(&self) -> Role {
        Role::Decides
    }
}

/// Which way a probe reaches its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// By the node's own host: is this server well?
    Direct,
    /// By the floating address: are clients served, by whoever holds it?
    Floating,
}

/// What one probe is asked to check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Target {
    /// The node that the verdict is about; through the floating address, the node believed to hold it.
    pub node: NodeId,
    /// Where to connect. Its port, if it has one, overrides the probe's.
    pub host: Host,
    /// Which way the probe goes.
    pub via: Via,
    /// How long the whole check may take, name resolution included.
    pub timeout: Duration,
}

impl Target {
    /// A target of the given parts.
    pub fn new(node: NodeId, host: Host, via: Via, timeout: Duration) -> Self {
        Self { node, host, via, timeout }
    }
}

/// The evidence that one probe brought about its target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Why the target is unhealthy; `None` if it is healthy.
    pub reason: Option<Reason>,
    /// What is worth an operator's attention though it does not change the verdict.
    pub warnings: Vec<String>,
    /// True if this one verdict is enough and no `fall` is needed, as for an instance that is terminated.
    pub conclusive: bool,
    /// Why the target wishes to be left, if it does: somebody maintains it. It is no candidate then, and if it is the
    /// holder, the address leaves it as gently as it leaves a drained node, until a later verdict no longer says so.
    pub maintenance: Option<String>,
    /// True if the target is at its limit, so that it could not be checked to the end: it lives and serves others. This
    /// counts as healthy, is counted apart and shown, and never moves anything.
    pub busy: bool,
}

impl Verdict {
    /// The target does its work.
    pub fn healthy() -> Self {
        Self { reason: None, warnings: Vec::new(), conclusive: false, maintenance: None, busy: false }
    }

    /// The target is at its limit, as an FTP server that answers 421 because it has too many sessions: healthy, with
    /// `detail` as a warning, and counted apart.
    pub fn busy(detail: impl Into<String>) -> Self {
        let warning = format!("busy: {}", detail.into());
        Self { busy: true, ..Self::healthy().with_warning(warning) }
    }

    /// The target does not do its work, for this reason.
    pub fn unhealthy(reason: Reason) -> Self {
        Self { reason: Some(reason), ..Self::healthy() }
    }

    /// Says that somebody maintains the target, and why.
    #[must_use]
    pub fn in_maintenance(mut self, why: impl Into<String>) -> Self {
        self.maintenance = Some(why.into());
        self
    }

    /// Adds a warning.
    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Makes this one verdict enough. It has a meaning for unhealthy verdicts only.
    #[must_use]
    pub fn conclusive(mut self) -> Self {
        self.conclusive = true;
        self
    }

    /// True if the target does its work.
    pub fn is_healthy(&self) -> bool {
        self.reason.is_none()
    }
}

/// The part of a check that was under way when it failed, as in `connect`, `banner` or `login`.
pub type Stage = Cow<'static, str>;

/// Why a target is unhealthy. Prints as a sentence fragment that an operator understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The host answered that nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The network answered that the host cannot be reached.
    #[error("unreachable: {detail}")]
    Unreachable {
        /// What the network answered.
        detail: String,
    },
    /// No answer within the deadline.
    #[error("timed out at {stage}")]
    TimedOut {
        /// What was being waited for.
        stage: Stage,
    },
    /// The server closed or reset the connection.
    #[error("connection lost at {stage}: {detail}")]
    Disconnected {
        /// What was being done.
        stage: Stage,
        /// What the operating system said.
        detail: String,
    },
    /// The server answered with a refusal of its protocol.
    #[error("{stage} rejected with {code}: {detail}")]
    Rejected {
        /// What was refused.
        stage: Stage,
        /// The protocol's reply code, such as 530 of FTP.
        code: u32,
        /// The server's words, without secrets.
        detail: String,
    },
    /// The server answered something that the protocol does not allow there.
    #[error("unexpected answer at {stage}: {detail}")]
    Unexpected {
        /// What was being done.
        stage: Stage,
        /// What came instead.
        detail: String,
    },
    /// A check of another kind found the target unfit.
    #[error("{detail}")]
    Failed {
        /// What the check found.
        detail: String,
    },
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The prober could not do its work. It says nothing about the target, and is never counted towards `fall`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The operating system refused what the probe needs; the hint says what to set.
    #[error("not permitted to {action}: {hint}")]
    NotPermitted {
        /// What was refused, as in "open an ICMP socket".
        action: &'static str,
        /// The sysctl, capability or file mode that would allow it.
        hint: String,
        /// What the operating system said.
        source: BoxError,
    },
    /// The host's name could not be resolved, so the target was never contacted.
    #[error("could not resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: BoxError,
    },
    /// Something the prober needs ran out, such as file descriptors.
    #[error("the prober lacks {what}")]
    Exhausted {
        /// What ran out.
        what: &'static str,
        /// What the operating system said.
        source: BoxError,
    },
    /// A local prerequisite is missing or unreadable, such as a password file.
    #[error("the probe is not usable: {what}")]
    Unusable {
        /// What is wrong, without secrets.
        what: String,
        /// The cause.
        source: BoxError,
    },
}
