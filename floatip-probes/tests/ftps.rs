//! The FTP probe by TLS, against a server on loopback with certificates of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use floatip_core::{HealthProbe, Host, NodeId, Reason, Target, Verdict, Via};
use floatip_probes::{FtpProbe, ListPath, Secret, TlsMode, TlsSettings};
use ports::listener;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

mod ports;

const NAME: &str = "ftp.example.com";

/// A server's certificate, and who signed it.
struct Identity {
    authority: NamedTempFile,
    fingerprint: String,
    acceptor: TlsAcceptor,
}

/// A certificate for `NAME` that ends on 1 January of this year.
fn identity(end: i32) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(end, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let mut authority = NamedTempFile::new().unwrap();
    authority.write_all(issuer.pem().as_bytes()).unwrap();
    let fingerprint = Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Identity { authority, fingerprint, acceptor: TlsAcceptor::from(Arc::new(config)) }
}

struct Lines<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    async fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
    }

    async fn expect(&mut self, line: &str) {
        let mut heard = String::new();
        self.0.read_line(&mut heard).await.unwrap();
        assert_eq!(heard.trim_end(), line);
    }
}

/// Serves one session up to a listing, all of it by TLS.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, mode: TlsMode) {
    let (stream, _) = listener.accept().await.unwrap();
    let stream = match mode {
        TlsMode::Explicit => {
            let mut plain = Lines(BufReader::new(stream));
            plain.say("220 ready").await;
            plain.expect("AUTH TLS").await;
            plain.say("234 go on").await;
            plain.0.into_inner()
        }
        TlsMode::Implicit => stream,
    };
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let mut session = Lines(BufReader::new(stream));
    if mode == TlsMode::Implicit {
        session.say("220 ready").await;
    }
    for (command, reply) in [
        ("PBSZ 0", "200 ok"),
        ("PROT P", "200 ok"),
        ("USER monitor", "331 password, please"),
        ("PASS s3cret", "230 welcome"),
    ] {
        session.expect(command).await;
        session.say(reply).await;
    }
    let (data, at) = ports::listener().await;
    let [high, low] = at.port().to_be_bytes();
    session.expect("PASV").await;
    session.say(&format!("227 Entering Passive Mode (127,0,0,1,{high},{low})")).await;
    session.expect("LIST").await;
    session.say("150 here it comes").await;
    let (stream, _) = data.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    stream.write_all(b"-rw-r--r-- file\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    session.say("226 done").await;
    session.expect("QUIT").await;
    session.say("221 bye").await;
}

async fn check(identity: &Identity, mode: TlsMode, settings: TlsSettings) -> Verdict {
    let (listener, address): (_, SocketAddr) = listener().await;
    let serving = tokio::spawn(serve(listener, identity.acceptor.clone(), mode));
    let host = address.to_string().parse::<Host>().unwrap();
    let target = Target::new(NodeId::new("ftp-1").unwrap(), host, Via::Direct, Duration::from_secs(10));
    let probe = FtpProbe::new("monitor", Secret::new("s3cret")).unwrap().list(ListPath::login_directory());
    let verdict = probe.tls(mode, &settings).unwrap().probe(&target).await.unwrap();
    if verdict.is_healthy() {
        serving.await.unwrap();
    }
    verdict
}

fn trusting(identity: &Identity) -> TlsSettings {
    TlsSettings::new().ca_file(identity.authority.path()).server_name(NAME)
}

fn words(verdict: &Verdict) -> String {
    verdict.reason.as_ref().map(Reason::to_string).unwrap_or_default()
}

#[tokio::test]
async fn a_session_and_its_data_are_protected_in_either_mode() {
    let identity = identity(2999);
    for mode in [TlsMode::Explicit, TlsMode::Implicit] {
        assert_eq!(check(&identity, mode, trusting(&identity)).await, Verdict::healthy(), "{mode:?}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_unhealthy_in_plain_words() {
    let identity = identity(2021);
    for mode in [TlsMode::Explicit, TlsMode::Implicit] {
        let verdict = check(&identity, mode, trusting(&identity)).await;
        assert!(words(&verdict).contains("the certificate expired"), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_unhealthy() {
    let identity = identity(2999);
    let verdict = check(&identity, TlsMode::Explicit, trusting(&identity).server_name("other.example.com")).await;
    assert!(words(&verdict).contains("not made out for other.example.com"), "{verdict:?}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_unhealthy() {
    let (identity, other) = (identity(2999), identity(2999));
    let verdict = check(&identity, TlsMode::Explicit, trusting(&other)).await;
    assert!(words(&verdict).contains("not signed by a trusted authority"), "{verdict:?}");
}

#[tokio::test]
async fn a_pinned_certificate_is_trusted_alone_and_whoever_signed_it() {
    let (identity, other) = (identity(2999), identity(2999));
    let pinned = TlsSettings::new().pin(identity.fingerprint.parse().unwrap());
    assert_eq!(check(&identity, TlsMode::Explicit, pinned.clone()).await, Verdict::healthy());
    let verdict = check(&other, TlsMode::Explicit, pinned).await;
    assert!(words(&verdict).contains("not the pinned one"), "{verdict:?}");
}

#[tokio::test]
async fn a_pinned_certificate_still_expires() {
    let identity = identity(2021);
    let pinned = TlsSettings::new().pin(identity.fingerprint.parse().unwrap());
    let verdict = check(&identity, TlsMode::Explicit, pinned).await;
    assert!(words(&verdict).contains("the certificate expired"), "{verdict:?}");
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let identity = identity(2999);
    // Within a u16 of days every certificate of the next century ends soon; this one does not end within 14 days.
    assert!(check(&identity, TlsMode::Explicit, trusting(&identity)).await.warnings.is_empty());
    let near = self::identity(2100);
    let verdict = check(&near, TlsMode::Implicit, trusting(&near).warn_days(u16::MAX)).await;
    assert!(verdict.is_healthy());
    assert!(verdict.warnings[0].contains("the certificate expires in"), "{verdict:?}");
}

#[tokio::test]
async fn a_server_that_refuses_tls_is_unhealthy_and_is_not_spoken_to_in_clear_text() {
    let identity = identity(2999);
    let (listener, address) = listener().await;
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut plain = Lines(BufReader::new(stream));
        plain.say("220 ready").await;
        plain.expect("AUTH TLS").await;
        plain.say("502 what?").await;
        let mut rest = String::new();
        plain.0.read_line(&mut rest).await.ok();
        rest
    });
    let host = address.to_string().parse::<Host>().unwrap();
    let target = Target::new(NodeId::new("ftp-1").unwrap(), host, Via::Direct, Duration::from_secs(10));
    let probe = FtpProbe::new("monitor", Secret::new("s3cret")).unwrap();
    let verdict = probe.tls(TlsMode::Explicit, &trusting(&identity)).unwrap().probe(&target).await.unwrap();
    let expected = Reason::Rejected { stage: "TLS handshake".into(), code: 502, detail: "what?".to_owned() };
    assert_eq!(verdict.reason, Some(expected));
    assert_eq!(heard.await.unwrap(), "");
}
