//! The client's side of TLS: whom it trusts, and what it says about a certificate.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use floatip_core::{Host, ProbeError, Reason};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::SettingError;
use crate::failure::Failure;

/// The stage of a check that agrees on TLS.
pub(crate) const HANDSHAKE: &str = "TLS handshake";

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Whom a check by TLS trusts.
///
/// By default, the machine's own store of authorities, and the name by which the target is reached. Through a floating
/// address, and wherever hosts are written as addresses, a certificate is rarely made out for that: set
/// [`server_name`](Self::server_name).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsSettings {
    ca_file: Option<PathBuf>,
    server_name: Option<String>,
    pin: Option<Fingerprint>,
    warn_days: u16,
}

impl TlsSettings {
    /// How long before its end a certificate is warned about, in days.
    pub const WARN_DAYS: u16 = 14;

    /// The defaults.
    pub fn new() -> Self {
        Self { ca_file: None, server_name: None, pin: None, warn_days: Self::WARN_DAYS }
    }

    /// Trusts the authorities in this PEM file, and no others. Default: those of the machine.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// The name that the certificate must be made out for, and that is sent to the server (SNI). Default: the host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Trusts the certificate with this fingerprint, whoever has signed it and whatever it is made out for, and no other.
    /// That it has not expired is still checked. Default: no pin.
    #[must_use]
    pub fn pin(mut self, pin: Fingerprint) -> Self {
        self.pin = Some(pin);
        self
    }

    /// Warns when a certificate ends within this many days; zero never warns. Default: 14.
    #[must_use]
    pub fn warn_days(mut self, days: u16) -> Self {
        self.warn_days = days;
        self
    }

    /// Reads the authorities.
    pub(crate) fn build(&self) -> Result<TlsClient, SettingError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trust = match &self.pin {
            Some(pin) => Trust::Pinned(*pin),
            None => Trust::Authorities(self.authorities(&provider)?),
        };
        let server_name = self.server_name.as_deref().map(|name| {
            ServerName::try_from(name.to_owned())
                .map_err(|error| unusable("the server name", format!("{name:?}: {error}")))
        });
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("TLS", error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { trust, provider }))
            .with_no_client_auth();
        Ok(TlsClient {
            config: Arc::new(config),
            server_name: server_name.transpose()?,
            warn_days: self.warn_days.into(),
        })
    }

    fn authorities(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, SettingError> {
        let mut roots = RootCertStore::empty();
        match &self.ca_file {
            Some(path) => add_file(&mut roots, path)?,
            None => {
                let native = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(native.certs);
                if roots.is_empty() {
                    let detail = "the machine has none (Debian: ca-certificates); name a file of your own".to_owned();
                    return Err(unusable("the trusted authorities", detail));
                }
            }
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| unusable("the trusted authorities", error.to_string()))
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self::new()
    }
}

fn unusable(setting: &'static str, detail: String) -> SettingError {
    SettingError::Unusable { setting, detail }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), SettingError> {
    let refused =
        |error: &dyn fmt::Display| unusable("the file of authorities", format!("{}: {error}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| refused(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refused(&error))?;
        roots.add(certificate).map_err(|error| refused(&error))?;
    }
    if roots.is_empty() {
        return Err(refused(&"it holds no certificate in PEM"));
    }
    Ok(())
}

/// The SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` prints it: 64 hexadecimal digits, with
/// or without colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        crate::hex::decode(&digits)
            .map(Self)
            .ok_or_else(|| unusable("a fingerprint", "64 hexadecimal digits were expected".to_owned()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hex::encode(&self.0))
    }
}

/// Opens TLS on connections. Sessions are resumed between connections of one client, as data connections of FTP need it.
#[derive(Debug, Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    warn_days: u64,
}

impl TlsClient {
    /// The same, without resuming sessions: a certificate is looked at in a full handshake only.
    pub(crate) fn afresh(mut self) -> Self {
        Arc::make_mut(&mut self.config).resumption = Resumption::disabled();
        self
    }

    /// Agrees on TLS, with the server's certificate verified.
    pub(crate) async fn connect(&self, host: &Host, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.name().to_owned()).map_err(|error| ProbeError::Unusable {
                what: format!("{} cannot stand in a certificate; set a server name", host.name()),
                source: error.into(),
            })?,
        };
        let connected = TlsConnector::from(self.config.clone()).connect(name, stream).await;
        connected.map_err(|error| failure(&error))
    }

    /// What is worth an operator's attention about the server's certificate.
    pub(crate) fn warning<S>(&self, stream: &TlsStream<S>) -> Option<String> {
        let certificate = stream.get_ref().1.peer_certificates()?.first()?;
        let seconds = not_after(certificate)?.checked_sub(now())?;
        let days = seconds / SECONDS_A_DAY;
        (days < self.warn_days).then(|| format!("the certificate expires in {days} days"))
    }
}

#[allow(clippy::disallowed_methods, reason = "a certificate's end is a date of the calendar")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// When the certificate ends, in seconds of Unix time.
fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    u64::try_from(parsed.validity().not_after.timestamp()).ok()
}

/// What an error while agreeing on TLS, or while using it, says about the server.
pub(crate) fn failure(error: &io::Error) -> Failure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return Failure::of_conversation(HANDSHAKE.into(), error);
    };
    if let Error::InvalidCertificate(fault) = error {
        return Reason::Failed { detail: certificate_fault(fault) }.into();
    }
    let detail = crate::excerpt::excerpt(error.to_string().as_bytes());
    Reason::Unexpected { stage: HANDSHAKE.into(), detail }.into()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is rare, and its own words will do")]
fn certificate_fault(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired => "the certificate has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / SECONDS_A_DAY;
            format!("the certificate expired {days} days ago")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet (or this machine's clock is slow)".to_owned()
        }
        CertificateError::NotValidForName => "the certificate is made out for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let mut detail = format!("the certificate is not made out for {}", expected.to_str());
            if !presented.is_empty() {
                write!(detail, " but for {}", presented.join(", ")).ok();
            }
            crate::excerpt::excerpt(detail.as_bytes())
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate was not signed by a trusted authority".to_owned()
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<NotPinned>() {
            Some(not_pinned) => not_pinned.to_string(),
            None => format!("the certificate was refused: {}", other.0),
        },
        other => format!("the certificate was refused: {other}"),
    }
}

/// The server has another certificate than the one that is pinned.
#[derive(Debug, thiserror::Error)]
#[error("the certificate's fingerprint is {0}, which is not the pinned one")]
struct NotPinned(Fingerprint);

#[derive(Debug)]
enum Trust {
    Authorities(Arc<WebPkiServerVerifier>),
    Pinned(Fingerprint),
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Authorities(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            Trust::Pinned(pin) => {
                let found = Fingerprint::of(end_entity);
                if found != *pin {
                    let other = tokio_rustls::rustls::OtherError(Arc::new(NotPinned(found)));
                    return Err(CertificateError::Other(other).into());
                }
                let ends = not_after(end_entity).ok_or(CertificateError::BadEncoding)?;
                if ends < now.as_secs() {
                    let not_after = UnixTime::since_unix_epoch(std::time::Duration::from_secs(ends));
                    return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
                }
                Ok(ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons() {
        let plain = "a".repeat(64);
        let colons = ["AA"; 32].join(":");
        assert_eq!(plain.parse::<Fingerprint>(), colons.parse());
        assert_eq!(plain.parse::<Fingerprint>().unwrap().to_string(), plain);
        for wrong in ["", "aa", &"g".repeat(64), &"a".repeat(66)] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_missing_or_empty_file_of_authorities_is_named() {
        let error = TlsSettings::new().ca_file("/nowhere/ca.pem").build().unwrap_err().to_string();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let error = TlsSettings::new().ca_file(empty.path()).build().unwrap_err().to_string();
        assert!(error.contains("no certificate"), "{error}");
    }
}
