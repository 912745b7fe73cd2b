//! Does something listen?

use std::fmt;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Target, Verdict};
use tokio::time::timeout;

use crate::SettingError;
use crate::connection::connect;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::setting;

/// A TCP connection to a port: healthy if it is accepted.
///
/// It proves that the kernel of the target answers and that a program has the port open. A program that hangs passes
/// this check for as long as the kernel has room in its accept queue: where that matters, speak the protocol.
///
/// The connection is reset rather than closed, so that checks of thousands of targets leave nothing in TIME_WAIT on the
/// prober's side.
///
/// # Source
/// RFC 9293, section 3.10.7.4 (a reset aborts without TIME_WAIT); RFC 792 and RFC 4443 for what "unreachable" is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProbe {
    port: u16,
}

impl TcpProbe {
    /// Connects to this port of each target whose host does not name another.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`] if the port is zero.
    pub fn new(port: u16) -> Result<Self, SettingError> {
        Ok(Self { port: setting::port(port)? })
    }

    async fn check(&self, target: &Target, progress: &mut Progress) -> Result<Verdict, Failure> {
        let stream = connect(target, self.port, progress).await?;
        // Worth a TIME_WAIT entry, not a verdict.
        stream.set_zero_linger().ok();
        Ok(Verdict::healthy())
    }
}

impl fmt::Display for TcpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TCP connect to port {}", self.port)
    }
}

#[async_trait]
impl HealthProbe for TcpProbe {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let mut progress = Progress::new();
        let outcome = timeout(target.timeout, self.check(target, &mut progress)).await;
        progress.conclude(target, outcome)
    }
}
