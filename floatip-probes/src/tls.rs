//! Does TLS work, and for how long will it?

use std::fmt;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Target, Verdict};
use tokio::time::timeout;

use crate::SettingError;
use crate::connection::connect;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::setting;
use crate::tls_client::{HANDSHAKE, TlsClient, TlsSettings};

/// A handshake of TLS: healthy if it succeeds with a certificate that clients accept. One that expires soon is a warning.
///
/// The stages that a verdict can name are `connect` and `TLS handshake`. What is spoken over TLS is not asked; for HTTP
/// use [`HttpProbe`](crate::HttpProbe) with [`tls`](crate::HttpProbe::tls).
#[derive(Debug, Clone)]
pub struct TlsProbe {
    port: u16,
    client: TlsClient,
}

impl TlsProbe {
    /// Connects to this port of each target whose host does not name another.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`] if the port is zero, [`SettingError::Unusable`] if the settings are.
    pub fn new(port: u16, settings: &TlsSettings) -> Result<Self, SettingError> {
        Ok(Self { port: setting::port(port)?, client: settings.build()?.afresh() })
    }

    async fn check(&self, target: &Target, progress: &mut Progress) -> Result<Verdict, Failure> {
        let stream = connect(target, self.port, progress).await?;
        // Worth a TIME_WAIT entry, not a verdict.
        stream.set_zero_linger().ok();
        progress.stage = HANDSHAKE;
        let stream = self.client.connect(&target.host, stream).await?;
        Ok(self.client.warning(&stream).into_iter().fold(Verdict::healthy(), Verdict::with_warning))
    }
}

impl fmt::Display for TlsProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS handshake on port {}", self.port)
    }
}

#[async_trait]
impl HealthProbe for TlsProbe {
    fn kind(&self) -> &'static str {
        "tls"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let mut progress = Progress::new();
        let outcome = timeout(target.timeout, self.check(target, &mut progress)).await;
        progress.conclude(target, outcome)
    }
}
