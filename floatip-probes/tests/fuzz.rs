//! Whatever a server sends, in whatever pieces: no panic, never past the deadline, no verdict that grows with it.
#![cfg(feature = "full")]
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use floatip_core::{HealthProbe, NodeId, ProbeError, Target, Verdict, Via};
use floatip_probes::{DnsProbe, ExecProbe, HttpProbe, TcpProbe, TlsProbe, TlsSettings};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_millis(150);
/// How much later than its deadline a check may end on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(3);

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

fn target(host: &str) -> Target {
    Target::new(NodeId::new("node-1").unwrap(), host.parse().unwrap(), Via::Direct, TIMEOUT)
}

/// Checks, and holds what must always be true against the outcome.
async fn check(probe: &dyn HealthProbe, host: &str) -> Result<Verdict, ProbeError> {
    let started = Instant::now();
    let outcome = probe.probe(&target(host)).await;
    assert!(started.elapsed() < TIMEOUT + LATE, "{:?}", started.elapsed());
    if let Ok(verdict) = &outcome {
        let texts = verdict.reason.iter().map(ToString::to_string).chain(verdict.warnings.iter().cloned());
        for text in texts {
            assert!(text.len() < 4096 && !text.contains(char::is_control), "{text:?}");
        }
    }
    outcome
}

/// What a server sends, in pieces, and whether it then closes or is silent.
type Saying = (Vec<Vec<u8>>, bool);

/// The outcome of a check of a server that sends this to everybody, at once or after it has heard something.
fn against(probe: impl HealthProbe, (pieces, closes): Saying) -> Result<Verdict, ProbeError> {
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let pieces = pieces.clone();
                tokio::spawn(async move {
                    for piece in pieces {
                        // The client may have seen enough.
                        if stream.write_all(&piece).await.is_err() {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                    if !closes {
                        while let Ok(1..) = stream.read(&mut [0; 1024]).await {}
                    }
                });
            }
        });
        let outcome = check(&probe, &host).await;
        serving.abort();
        outcome
    })
}

/// Random bytes between pieces that a protocol has.
fn pieces(words: &'static [&'static [u8]]) -> impl Strategy<Value = Saying> {
    let word = (0..words.len()).prop_map(move |index| words[index].to_vec());
    let large = (any::<u8>(), 1usize..200_000).prop_map(|(byte, length)| vec![byte; length]);
    let piece = prop_oneof![6 => word, 3 => vec(any::<u8>(), 0..64), 1 => large];
    (vec(piece, 0..12), prop::bool::weighted(0.8))
}

const TCP: &[&[u8]] = &[b"+PO", b"NG", b"+PONG"];

const HTTP: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 302 Found\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Location: /\r\n",
    b"Location: //[::1]:0/\x80\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\n\r\n",
];

const TLS: &[&[u8]] = &[
    b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03",
    b"\x16\x03\x03\xff\xff",
    b"\x15\x03\x03\x00\x02\x02\x28",
    b"\x14\x03\x03\x00\x01\x01",
    b"\x17\x03\x03\x40\x00",
    b"\x0b\x00\xff\xff",
];

fn bytes_of(pieces: &[Vec<u8>]) -> Vec<u8> {
    pieces.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tcp_finds_what_is_expected_if_and_only_if_it_comes(saying in pieces(TCP)) {
        let said = bytes_of(&saying.0);
        let seen = &said[..said.len().min(64 * 1024)];
        let there = seen.windows(5).any(|window| window == b"+PONG");
        let probe = TcpProbe::new(1).unwrap().exchange("PING\r\n", "+PONG").unwrap();
        let verdict = against(probe, saying).unwrap();
        // A server that closes without reading resets, which may take away what it had said. Beyond 64 KiB all is allowed.
        prop_assert!(!verdict.is_healthy() || there || said.len() > 64 * 1024, "{verdict:?}");
    }

    #[test]
    fn http_is_healthy_only_by_a_response_that_is_one(saying in pieces(HTTP)) {
        let said = bytes_of(&saying.0);
        let has = |words: &[u8]| said.windows(words.len()).any(|window| window == words);
        let probe = HttpProbe::new("/").unwrap().body("hello").unwrap().follow(2).unwrap();
        if let Ok(verdict) = against(probe, saying) {
            prop_assert!(!verdict.is_healthy() || (has(b"HTTP/1.") && has(b"hello")), "{verdict:?}");
        }
    }

    #[test]
    fn tls_is_never_healthy_without_a_certificate(saying in pieces(TLS)) {
        static PROBE: LazyLock<TlsProbe> = LazyLock::new(tls_probe);
        let verdict = against(PROBE.clone(), saying).unwrap();
        prop_assert!(!verdict.is_healthy(), "{verdict:?}");
    }

    #[test]
    fn dns_reads_any_datagram(
        answers in vec((any::<bool>(), vec(any::<u8>(), 0..600)), 0..6),
        flips in vec((0usize..64, any::<u8>()), 0..8),
    ) {
        let asked = DnsProbe::new("www.example.com", "A").unwrap().expect(["192.0.2.1"]).unwrap();
        let outcome = serving_datagrams(&asked, move |question| {
            let mut echoed = question.to_vec();
            for (at, byte) in &flips {
                let at = 2 + at % (echoed.len() - 2);
                echoed[at] ^= byte;
            }
            let random = answers.iter().map(|(with_id, bytes)| {
                if *with_id { [&question[..2], &bytes[..]].concat() } else { bytes.clone() }
            });
            random.chain([echoed.clone()]).collect()
        });
        if let Ok(verdict) = outcome {
            prop_assert!(!verdict.is_healthy(), "{verdict:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exec_shows_a_bounded_line_of_any_output(output in vec(any::<u8>(), 0..20_000)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("output");
        std::fs::write(&file, &output).unwrap();
        let probe = ExecProbe::new("/bin/sh", ["-c", "cat \"$1\"; exit 2", "x", file.to_str().unwrap()]).unwrap();
        let outcome = RUNTIME.block_on(check(&probe, "127.0.0.1"));
        prop_assert!(!outcome.unwrap().is_healthy());
    }
}

/// One that trusts a certificate that no server here has.
fn tls_probe() -> TlsProbe {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate.cert.pem()).unwrap();
    TlsProbe::new(1, &TlsSettings::new().ca_file(file.path())).unwrap()
}

/// The outcome of a check of a name server that answers with these datagrams.
fn serving_datagrams(
    probe: &dyn HealthProbe,
    answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> Result<Verdict, ProbeError> {
    RUNTIME.block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let host = socket.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let mut question = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut question).await {
                for answer in answers(&question[..length]) {
                    // Whoever asked may be gone.
                    socket.send_to(&answer, client).await.ok();
                }
            }
        });
        let outcome = check(probe, &host).await;
        serving.abort();
        outcome
    })
}

/// Sends for ever, and is told how much was taken.
async fn endless(piece: &'static [u8]) -> (String, tokio::sync::oneshot::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = 0;
        while let Ok(length @ 1..) = stream.write(piece).await {
            taken += length;
        }
        tell.send(taken).ok();
    });
    (host, told)
}

#[test]
fn a_server_that_sends_for_ever_is_left_after_a_bounded_number_of_bytes() {
    fn run<T>(future: impl Future<Output = T>) -> T {
        RUNTIME.block_on(future)
    }
    /// What the sockets of both sides may hold, beside what a check reads.
    const BUFFERS: usize = 8 << 20;
    let tcp = TcpProbe::new(1).unwrap().exchange("", "never").unwrap();
    let http = HttpProbe::new("/").unwrap().body("never").unwrap();
    let tls = tls_probe();
    let cases: [(&dyn HealthProbe, &'static [u8]); 3] = [
        (&tcp, &[b'x'; 65536]),
        (&http, b"HTTP/1.1 200 OK\r\nX: y\r\nX: y\r\nX: y\r\n"),
        (&tls, b"\x16\x03\x03\x40\x00"),
    ];
    for (probe, piece) in cases {
        let (host, taken) = run(endless(piece));
        let verdict = run(check(probe, &host)).unwrap();
        assert!(!verdict.is_healthy());
        let taken = run(taken).unwrap();
        assert!(taken < BUFFERS, "{}: {taken} bytes of {piece:?}", probe.kind());
    }
}
