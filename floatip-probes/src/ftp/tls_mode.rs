//! When a session changes to TLS.

/// When a session changes to TLS.
///
/// # Source
/// RFC 4217 (explicit); implicit was never standardized, and is still in use on port 990.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// At the command `AUTH TLS`, on the ordinary port.
    Explicit,
    /// Before the first word, on a port of its own.
    Implicit,
}
