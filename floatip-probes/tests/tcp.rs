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
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_port_that_is_open_is_healthy() {
    let (_listener, address) = ports::listener().await;
    assert_eq!(probe(address, AMPLE).await.unwrap(), Verdict::healthy());
}

#[tokio::test]
async fn a_port_that_nobody_has_open_is_refused() {
    let (listener, address) = ports::listener().await;
    drop(listener);
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
    let (closed, refusing) = ports::listener().await;
    drop(closed);
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
    probe(address, AMPLE).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let end = stream.read(&mut [0]).await;
    assert!(matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset), "{end:?}");
}

#[test]
fn port_zero_is_refused() {
    assert_eq!(TcpProbe::new(0).unwrap_err().to_string(), "port must lie between 1 and 65535");
}
