//! The TCP probe against listeners on loopback.
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::net::SocketAddr;
use std::time::Duration;

use floatip_core::{HealthProbe, Host, NodeId, ProbeError, Reason, Target, Verdict, Via};
use floatip_probes::TcpProbe;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

mod ports;

fn target(host: &str, timeout: Duration) -> Target {
    Target::new(NodeId::new("ftp-1").unwrap(), host.parse::<Host>().unwrap(), Via::Direct, timeout)
}

async fn probe(address: SocketAddr, timeout: Duration) -> Result<Verdict, ProbeError> {
    TcpProbe::new(address.port()).unwrap().probe(&target(&address.ip().to_string(), timeout)).await
}

const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_port_that_is_open_is_healthy() {
    let (_listener, address) = ports::listener().await;
    assert_eq!(probe(address, AMPLE).await.unwrap(), Verdict::healthy());
}

#[tokio::test]
async fn a_port_that_nobody_has_open_is_refused() {
    let (address, _closed) = ports::closed_port();
    assert_eq!(probe(address, AMPLE).await.unwrap().reason, Some(Reason::Refused));
}

#[tokio::test]
async fn a_port_that_stays_silent_is_unhealthy_at_the_deadline() {
    let (address, _mute) = ports::mute_port().await;
    let started = tokio::time::Instant::now();
    assert_eq!(probe(address, SHORT).await.unwrap().reason, Some(Reason::TimedOut { stage: "connect".into() }));
    assert!((SHORT..AMPLE / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_port_of_the_host_overrides_that_of_the_probe() {
    let (_listener, open) = ports::listener().await;
    let (refusing, _closed) = ports::closed_port();
    let verdict = TcpProbe::new(refusing.port()).unwrap().probe(&target(&open.to_string(), AMPLE)).await;
    assert!(verdict.unwrap().is_healthy());
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    let (_listener, address) = ports::listener().await;
    let host = format!("localhost:{}", address.port());
    assert!(TcpProbe::new(1).unwrap().probe(&target(&host, AMPLE)).await.unwrap().is_healthy());
}

#[tokio::test]
async fn ipv6_is_spoken_where_the_machine_has_it() {
    match TcpListener::bind("[::1]:0").await {
        Ok(listener) => {
            let address = listener.local_addr().unwrap();
            assert!(probe(address, AMPLE).await.unwrap().is_healthy());
        }
        Err(_) => {
            let outcome = probe("[::1]:9".parse().unwrap(), AMPLE).await;
            assert!(!outcome.is_ok_and(|verdict| verdict.is_healthy()));
        }
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_no_verdict() {
    let error = TcpProbe::new(21).unwrap().probe(&target("a..b", AMPLE)).await.unwrap_err();
    assert!(matches!(error, ProbeError::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn a_check_leaves_no_connection_behind() {
    let (listener, address) = ports::listener().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 ready\r\n").await.unwrap();
        stream.read(&mut [0]).await
    });
    let talking = TcpProbe::new(address.port()).unwrap().exchange("", "220 ").unwrap();
    assert_eq!(talking.probe(&target("127.0.0.1", AMPLE)).await.unwrap(), Verdict::healthy());
    let end = serving.await.unwrap();
    assert!(matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset), "{end:?}");
}

#[test]
fn port_zero_is_refused() {
    assert_eq!(TcpProbe::new(0).unwrap_err().to_string(), "port must lie between 1 and 65535");
}

/// What a check with this exchange finds at a server that sends these bytes after it has heard `hears` bytes, and then
/// closes or waits.
async fn exchange(send: &str, expect: &str, says: Vec<u8>, closes: bool) -> Verdict {
    let (listener, address) = ports::listener().await;
    let hears = send.len();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; hears];
        stream.read_exact(&mut heard).await.unwrap();
        // The client may have heard enough.
        tokio::io::AsyncWriteExt::write_all(&mut stream, &says).await.ok();
        if !closes {
            drop(stream.read(&mut [0]).await);
        }
        String::from_utf8(heard).unwrap()
    });
    let probe = TcpProbe::new(address.port()).unwrap().exchange(send, expect).unwrap();
    let verdict = probe.probe(&target("127.0.0.1", if closes { AMPLE } else { SHORT })).await.unwrap();
    assert_eq!(serving.await.unwrap(), send);
    verdict
}

#[tokio::test]
async fn an_answer_that_holds_what_is_expected_is_healthy() {
    assert_eq!(exchange("PING\r\n", "+PONG", b"-x\r\n+PONG\r\n".to_vec(), false).await, Verdict::healthy());
    assert_eq!(exchange("", "220 ", b"220 ready\r\n".to_vec(), false).await, Verdict::healthy());
    let in_two_chunks = [vec![b'x'; 4094], b"expected".to_vec()].concat();
    assert_eq!(exchange("", "expected", in_two_chunks, true).await, Verdict::healthy());
}

#[tokio::test]
async fn an_answer_without_what_is_expected_is_shown() {
    let reason = exchange("PING\r\n", "+PONG", b"-LOADING\r\n".to_vec(), true).await.reason.unwrap();
    assert_eq!(reason.to_string(), "unexpected answer at answer: not \"+PONG\" but \"-LOADING\", and then the end");
    let reason = exchange("", "+PONG", Vec::new(), true).await.reason.unwrap();
    assert_eq!(reason.to_string(), "connection lost at answer: closed by the server without a word");
    let reason = exchange("", "+PONG", b"+PON".to_vec(), false).await.reason.unwrap();
    assert_eq!(reason, Reason::TimedOut { stage: "answer".into() });
}

#[tokio::test]
async fn an_answer_is_looked_through_for_64_kib_and_no_further() {
    let late = [vec![b'x'; 1 << 20], b"+PONG".to_vec()].concat();
    let reason = exchange("", "+PONG", late, true).await.reason.unwrap().to_string();
    assert!(reason.starts_with("unexpected answer at answer: no \"+PONG\" in 6") && reason.len() < 500, "{reason}");
}

#[test]
fn an_exchange_that_expects_nothing_is_refused() {
    assert!(TcpProbe::new(21).unwrap().exchange("x", "").is_err());
    assert!(TcpProbe::new(21).unwrap().exchange("x", "y".repeat(5000)).is_err());
}

/// The last packet of the handshake is put off for 40 ms by the kernel: a busy machine may be slower than that, but not
/// each time.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_check_that_only_connects_does_not_wake_the_program_that_listens() {
    let (listener, address) = ports::listener().await;
    let mut woken = 0;
    for _ in 0..50 {
        assert_eq!(probe(address, AMPLE).await.unwrap(), Verdict::healthy());
        let accepted = tokio::time::timeout(Duration::ZERO, listener.accept());
        woken += usize::from(accepted.await.is_ok());
    }
    assert!(woken < 50, "every check was accepted");
}
