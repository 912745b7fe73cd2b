//! The TLS probe, and HTTP by TLS, against servers on loopback with certificates of their own.
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use floatip_core::{HealthProbe, NodeId, Reason, Target, Verdict, Via};
use floatip_probes::{HttpProbe, TlsProbe, TlsSettings};
use rcgen::{CertificateParams, DnType, KeyPair};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

mod ports;

const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A web server by TLS that says `hello` to everybody, its self-signed certificate as a file, and its fingerprint.
struct Server {
    address: SocketAddr,
    file: NamedTempFile,
    fingerprint: String,
}

impl Server {
    /// With a certificate for this name that begins to be valid and ends at these distances from now.
    async fn start(name: &str, from: i64, until: i64) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        let at = |days: i64| {
            let distance = DAY * u32::try_from(days.abs()).unwrap() + Duration::from_secs(3600);
            let now = SystemTime::now();
            if days < 0 { now - distance } else { now + distance }
        };
        (params.not_before, params.not_after) = (at(from).into(), at(until).into());
        params.distinguished_name.push(DnType::CommonName, format!("{:?}", key.public_key_raw()));
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (listener, address) = ports::listener().await;
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut heard = [0; 1024];
                if stream.read(&mut heard).await.is_ok() {
                    // A client that only shakes hands is gone.
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.ok();
                    stream.shutdown().await.ok();
                }
            }
        });
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificate.pem()).unwrap();
        let fingerprint = Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { address, file, fingerprint }
    }

    fn client(&self) -> TlsSettings {
        TlsSettings::new().ca_file(self.file.path())
    }

    async fn probe(&self, client: TlsSettings) -> Verdict {
        check(&TlsProbe::new(1, &client).unwrap(), self.address, AMPLE).await
    }
}

async fn check(probe: &dyn HealthProbe, address: SocketAddr, timeout: Duration) -> Verdict {
    let host = address.to_string().parse().unwrap();
    probe.probe(&Target::new(NodeId::new("web-1").unwrap(), host, Via::Direct, timeout)).await.unwrap()
}

#[tokio::test]
async fn a_certificate_that_is_trusted_valid_and_for_the_host_is_healthy() {
    let server = Server::start("127.0.0.1", -1, 90).await;
    assert_eq!(server.probe(server.client()).await, Verdict::healthy());
    let named = Server::start("www.example.com", -1, 90).await;
    assert_eq!(named.probe(named.client().server_name("www.example.com")).await, Verdict::healthy());
}

#[tokio::test]
async fn a_certificate_that_expires_soon_is_a_warning() {
    let server = Server::start("127.0.0.1", -1, 5).await;
    let verdict = server.probe(server.client()).await;
    assert!(verdict.is_healthy() && verdict.warnings.len() == 1, "{verdict:?}");
    assert!(verdict.warnings[0].starts_with("the certificate expires in 5 days"), "{verdict:?}");
    for days in [0, 4] {
        assert_eq!(server.probe(server.client().warn_days(days)).await, Verdict::healthy());
    }
}

#[tokio::test]
async fn a_certificate_that_clients_refuse_is_unhealthy_and_says_why() {
    let (expired, early) = (Server::start("127.0.0.1", -10, -1).await, Server::start("127.0.0.1", 1, 10).await);
    let other = Server::start("127.0.0.1", -1, 90).await;
    for (server, client, said) in [
        (&expired, expired.client(), "expired"),
        (&early, early.client(), "valid"),
        (&other, other.client().server_name("www.example.com"), "www.example.com"),
        (&other, expired.client(), "trust"),
    ] {
        let reason = server.probe(client).await.reason.unwrap();
        let Reason::Failed { detail } = &reason else { panic!("{reason:?}") };
        assert!(detail.contains("certificate") && detail.contains(said), "{said}: {detail}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_pinned_needs_no_authority_and_no_other_will_do() {
    let server = Server::start("www.example.com", -1, 90).await;
    let pinned = TlsSettings::new().pin(server.fingerprint.to_ascii_uppercase().parse().unwrap());
    assert_eq!(server.probe(pinned).await, Verdict::healthy());
    let other = TlsSettings::new().pin("0".repeat(64).parse().unwrap());
    assert!(!server.probe(other).await.is_healthy());
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_hangs() {
    let server = Server::start("127.0.0.1", -1, 90).await;
    let (plain, address) = ports::listener().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"220 ready\r\n").await.unwrap();
        drop(stream.read(&mut [0; 1024]).await);
    });
    let probe = TlsProbe::new(1, &server.client()).unwrap();
    let reason = check(&probe, address, AMPLE).await.reason.unwrap();
    assert!(matches!(&reason, Reason::Unexpected { stage, .. } if stage == "TLS handshake"), "{reason:?}");
    serving.await.unwrap();
    let (_hanging, address) = ports::listener().await;
    let reason = check(&probe, address, SHORT).await.reason.unwrap();
    assert_eq!(reason, Reason::TimedOut { stage: "TLS handshake".into() });
    let (mute, _mute) = ports::mute_port().await;
    let reason = check(&probe, mute, SHORT).await.reason.unwrap();
    assert_eq!(reason, Reason::TimedOut { stage: "connect".into() });
}

#[tokio::test]
async fn http_by_tls_checks_the_certificate_and_then_the_response() {
    let server = Server::start("www.example.com", -1, 5).await;
    let http = HttpProbe::new("/").unwrap().body("^hello$").unwrap().tls(&server.client()).unwrap();
    let named = http.clone().host("www.example.com").unwrap();
    let verdict = check(&named, server.address, AMPLE).await;
    assert!(verdict.is_healthy() && verdict.warnings.len() == 1, "{verdict:?}");
    assert_eq!(named.kind(), "https");
    let reason = check(&http, server.address, AMPLE).await.reason.unwrap().to_string();
    assert!(reason.contains("certificate"), "{reason}");
    let reason = check(&named.body("bye").unwrap(), server.address, AMPLE).await.reason.unwrap().to_string();
    assert!(reason.starts_with("unexpected answer at body"), "{reason}");
}

#[tokio::test]
async fn every_check_looks_at_the_certificate_anew() {
    let server = Server::start("127.0.0.1", -1, 5).await;
    let probe = TlsProbe::new(1, &server.client()).unwrap();
    for _ in 0..3 {
        assert_eq!(check(&probe, server.address, AMPLE).await.warnings.len(), 1);
    }
}

#[test]
fn what_nobody_can_be_trusted_by_is_refused() {
    assert!(TlsProbe::new(1, &TlsSettings::new().ca_file("/no/such/file")).is_err());
    assert!(TlsProbe::new(0, &TlsSettings::new()).is_err());
}
