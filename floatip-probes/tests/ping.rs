//! The ping probe against this machine's own loopback.

use std::time::Duration;

use floatip_core::{HealthProbe, Host, NodeId, ProbeError, Target, Verdict, Via};
use floatip_probes::PingProbe;

fn target(host: &str) -> Target {
    let host = host.parse::<Host>().unwrap();
    Target::new(NodeId::new("ftp-1").unwrap(), host, Via::Direct, Duration::from_secs(10))
}

/// Whether the kernel lets this process open an ICMP socket, read from what the kernel itself says and not from the probe.
fn permitted() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    const CAP_NET_RAW: u32 = 13;
    let raw = u64::from_str_radix(&field("CapEff:")[0], 16).unwrap() & (1 << CAP_NET_RAW) != 0;
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap();
    let range: Vec<u64> = range.split_whitespace().map(|id| id.parse().unwrap()).collect();
    let effective = field("Gid:").swap_remove(1);
    let groups = field("Groups:").into_iter().chain([effective]);
    let datagram = groups.map(|id| id.parse().unwrap()).any(|id: u64| (range[0]..=range[1]).contains(&id));
    raw || datagram
}

/// What must come of pinging a machine that answers, here.
fn assert_answered(outcome: Result<Verdict, ProbeError>) {
    match (permitted(), outcome) {
        (true, Ok(verdict)) => assert_eq!(verdict, Verdict::healthy()),
        (false, Err(ProbeError::NotPermitted { hint, .. })) => {
            assert!(hint.contains("net.ipv4.ping_group_range") && hint.contains("CAP_NET_RAW"), "{hint}");
        }
        (permitted, outcome) => panic!("permitted: {permitted}, yet {outcome:?}"),
    }
}

#[tokio::test]
async fn a_machine_that_answers_is_healthy_or_the_missing_permission_is_named() {
    assert_answered(PingProbe::new().probe(&target("127.0.0.1")).await);
}

#[tokio::test]
async fn a_name_is_pinged_by_its_address() {
    assert_answered(PingProbe::new().probe(&target("localhost")).await);
}

#[tokio::test]
async fn ipv6_is_pinged_where_the_machine_has_it() {
    let has_ipv6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
    let outcome = PingProbe::new().probe(&target("::1")).await;
    if has_ipv6 {
        assert_answered(outcome);
    } else {
        assert!(!outcome.is_ok_and(|verdict| verdict.is_healthy()));
    }
}

#[tokio::test]
async fn concurrent_checks_of_one_machine_each_get_their_own_reply() {
    let probe = PingProbe::new();
    let checks: Vec<_> = (0..64u8)
        .flat_map(|host| [format!("127.0.0.{}", 1 + host % 4), "127.0.0.1".to_owned()])
        .map(|host| {
            let probe = probe.clone();
            tokio::spawn(async move { probe.probe(&target(&host)).await })
        })
        .collect();
    for check in checks {
        assert_answered(check.await.unwrap());
    }
}

#[tokio::test]
async fn a_machine_that_answers_every_echo_keeps_every_bound_on_loss() {
    assert_answered(PingProbe::new().count(5).unwrap().max_loss(0).unwrap().probe(&target("127.0.0.1")).await);
}

#[tokio::test]
async fn a_round_trip_beyond_its_bound_is_unhealthy_or_a_warning() {
    let nothing = Duration::from_nanos(1);
    let bounded = PingProbe::new().max_round_trip(nothing).unwrap().probe(&target("127.0.0.1")).await;
    let warned = PingProbe::new().count(2).unwrap().warn_round_trip(nothing).unwrap().probe(&target("127.0.0.1")).await;
    if permitted() {
        let reason = bounded.unwrap().reason.unwrap().to_string();
        assert!(reason.starts_with("a round trip takes "), "{reason}");
        let warned = warned.unwrap();
        assert!(warned.is_healthy() && warned.warnings[0].starts_with("a round trip takes "), "{warned:?}");
    } else {
        assert!(bounded.is_err() && warned.is_err());
    }
}
