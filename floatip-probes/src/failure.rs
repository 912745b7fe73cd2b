//! Whose fault a failed check is, and what the operating system's errors say about that.

use std::io::{self, ErrorKind};

use floatip_core::{ProbeError, Reason, Stage};

/// The errors that the standard library has no name for. Their numbers are those of the platforms' `errno.h`.
mod errno {
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    mod platform {
        pub(in super::super) const EAFNOSUPPORT: i32 = 97;
        pub(in super::super) const ENOBUFS: i32 = 105;
        /// Of an ICMP Destination Unreachable: protocol unreachable, host unknown, host isolated.
        pub(in super::super) const UNREACHABLE: &[i32] = &[92, 112, 64];
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    mod platform {
        pub(in super::super) const EAFNOSUPPORT: i32 = 47;
        pub(in super::super) const ENOBUFS: i32 = 55;
        /// Of an ICMP Destination Unreachable: protocol unreachable, host down.
        pub(in super::super) const UNREACHABLE: &[i32] = &[42, 64];
    }
    pub(super) use platform::*;
}

/// Why a check has no healthy verdict.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The target is at fault: a verdict.
    Target(Reason),
    /// The prober is: no verdict.
    Prober(ProbeError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Target(reason) => reason.fmt(f),
            Self::Prober(error) => error.fmt(f),
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Target(reason)
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        Self::Prober(error)
    }
}

impl Failure {
    /// Of two failures at two addresses of one host, the one that says something about the host.
    pub(crate) fn or(self, later: Failure) -> Failure {
        match (&self, &later) {
            (Self::Prober(_), Self::Target(_)) => later,
            (Self::Target(_), _) | (Self::Prober(_), Self::Prober(_)) => self,
        }
    }

    /// What an error of `connect(2)`, or of sending the first packet, says. An error that neither the target nor the
    /// network between can cause is the prober's: a guess must not turn a node down.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of errors are an open set")]
    pub(crate) fn of_contact(action: &'static str, stage: Stage, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Reason::Refused.into(),
            ErrorKind::TimedOut => Reason::TimedOut { stage }.into(),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
                Reason::Disconnected { stage, detail: error.to_string() }.into()
            }
            _ if is_unreachable(&error) => Reason::Unreachable { detail: error.to_string() }.into(),
            ErrorKind::PermissionDenied => ProbeError::NotPermitted {
                action,
                hint: "a firewall rule or security policy of this machine forbids it".to_owned(),
                source: error.into(),
            }
            .into(),
            _ => Self::of_prober(action, error),
        }
    }

    /// What an error says that only the prober's own machine can cause.
    pub(crate) fn of_prober(action: &'static str, error: io::Error) -> Self {
        match lacking(&error) {
            Some(what) => ProbeError::Exhausted { what, source: error.into() },
            None if error.raw_os_error() == Some(errno::EAFNOSUPPORT) => {
                ProbeError::Unusable { what: "this machine lacks that IP version".to_owned(), source: error.into() }
            }
            None => ProbeError::Unusable { what: format!("cannot {action}"), source: error.into() },
        }
        .into()
    }

    /// What an error on an established connection says.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of errors are an open set")]
    pub(crate) fn of_conversation(stage: Stage, error: &io::Error) -> Self {
        let detail = error.to_string();
        match error.kind() {
            ErrorKind::TimedOut => Reason::TimedOut { stage },
            ErrorKind::InvalidData => Reason::Unexpected { stage, detail },
            ErrorKind::UnexpectedEof => Reason::Disconnected { stage, detail: "closed by the server".to_owned() },
            _ if is_unreachable(error) => Reason::Unreachable { detail },
            _ => Reason::Disconnected { stage, detail },
        }
        .into()
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown)
        || error.raw_os_error().is_some_and(|number| errno::UNREACHABLE.contains(&number))
}

/// What the prober has run out of, if that is what the error says.
pub(crate) fn lacking(error: &io::Error) -> Option<&'static str> {
    match (error.kind(), error.raw_os_error()) {
        (_, Some(errno::EMFILE)) => {
            Some("file descriptors (give the process more: LimitNOFILE= of the service, or `ulimit -n`)")
        }
        (_, Some(errno::ENFILE)) => Some("file descriptors of the whole system (raise the sysctl fs.file-max)"),
        (_, Some(errno::ENOBUFS)) | (ErrorKind::OutOfMemory, _) => Some("memory for sockets"),
        (ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse, _) => Some("local ports"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(error: impl Into<io::Error>) -> Failure {
        Failure::of_contact("connect", "connect".into(), error.into())
    }

    #[test]
    fn what_the_prober_runs_out_of_is_no_verdict() {
        for number in [errno::EMFILE, errno::ENFILE, errno::ENOBUFS] {
            let failure = contact(io::Error::from_raw_os_error(number));
            assert!(matches!(failure, Failure::Prober(ProbeError::Exhausted { .. })), "{number}: {failure:?}");
        }
        let failure = contact(ErrorKind::AddrNotAvailable);
        assert!(matches!(failure, Failure::Prober(ProbeError::Exhausted { what: "local ports", .. })), "{failure:?}");
    }

    #[test]
    fn what_a_local_rule_forbids_is_no_verdict() {
        let failure = contact(ErrorKind::PermissionDenied);
        assert!(matches!(failure, Failure::Prober(ProbeError::NotPermitted { .. })), "{failure:?}");
    }

    #[test]
    fn an_error_that_no_target_can_cause_is_no_verdict() {
        for error in [io::Error::from_raw_os_error(errno::EAFNOSUPPORT), ErrorKind::InvalidInput.into()] {
            let failure = contact(error);
            assert!(matches!(failure, Failure::Prober(ProbeError::Unusable { .. })), "{failure:?}");
        }
    }

    #[test]
    fn what_the_network_answers_is_a_verdict() {
        let unreachable = errno::UNREACHABLE.iter().map(|number| io::Error::from_raw_os_error(*number));
        for error in unreachable.chain([ErrorKind::HostUnreachable.into(), ErrorKind::NetworkUnreachable.into()]) {
            let failure = contact(error);
            assert!(matches!(failure, Failure::Target(Reason::Unreachable { .. })), "{failure:?}");
        }
        assert!(matches!(contact(ErrorKind::ConnectionRefused), Failure::Target(Reason::Refused)));
    }

    #[test]
    fn of_two_addresses_the_one_that_blames_the_target_is_reported() {
        let prober = || contact(ErrorKind::InvalidInput);
        let target = || contact(ErrorKind::ConnectionRefused);
        assert!(matches!(prober().or(target()), Failure::Target(_)));
        assert!(matches!(target().or(prober()), Failure::Target(_)));
    }
}
