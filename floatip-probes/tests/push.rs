//! What the reports of nodes are worth, on paused time.

use std::time::Duration;

use floatip_core::{HealthProbe, NodeId, ProbeError, Target, Verdict, Via};
use floatip_probes::{Mailbox, PushProbe, Report, SettingError};
use tokio::time::advance;

const STALE_AFTER: Duration = Duration::from_secs(12);
/// From report to report.
const PERIOD: Duration = Duration::from_secs(3);

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn probe() -> (Mailbox, PushProbe) {
    let mailbox = Mailbox::new();
    (mailbox.clone(), PushProbe::new(mailbox, STALE_AFTER).unwrap())
}

async fn ask(probe: &PushProbe, name: &str) -> Result<Verdict, ProbeError> {
    let target = Target::new(node(name), "172.16.11.10".parse().unwrap(), Via::Direct, Duration::from_secs(2));
    probe.probe(&target).await
}

async fn reason(probe: &PushProbe, name: &str) -> String {
    ask(probe, name).await.unwrap().reason.expect("unhealthy").to_string()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_not_reported_yet_is_unknown_however_long_that_is() {
    let (mailbox, probe) = probe();
    mailbox.take(node("ftp-2"), Report::healthy());
    for _ in 0..2 {
        let error = ask(&probe, "ftp-1").await.unwrap_err();
        assert!(error.to_string().contains("ftp-1 has not reported since the monitor started"), "{error}");
        advance(10 * STALE_AFTER).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_is_the_verdict_until_the_next_one_or_until_it_is_stale() {
    let (mailbox, probe) = probe();
    mailbox.take(node("ftp-1"), Report::healthy());
    advance(STALE_AFTER).await;
    assert!(ask(&probe, "ftp-1").await.unwrap().is_healthy());
    mailbox.take(node("ftp-1"), Report::unhealthy("the disk\n\x1b[31mis full"));
    assert_eq!(reason(&probe, "ftp-1").await, "it says: the disk [31mis full");
    mailbox.take(node("ftp-1"), Report::healthy());
    assert!(ask(&probe, "ftp-1").await.unwrap().is_healthy());
    advance(STALE_AFTER + Duration::from_millis(1)).await;
    assert_eq!(reason(&probe, "ftp-1").await, "no report for 12 s");
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_unhealthy_in_time_while_another_one_reports() {
    let (mailbox, probe) = probe();
    mailbox.take(node("ftp-1"), Report::healthy());
    advance(Duration::from_secs(1)).await;
    for _ in 0..4 {
        mailbox.take(node("ftp-2"), Report::healthy());
        advance(PERIOD).await;
    }
    assert_eq!(reason(&probe, "ftp-1").await, "no report for 13 s");
    assert!(ask(&probe, "ftp-2").await.unwrap().is_healthy());
}

/// The monitor's network is cut from 1 s to 52 s; both nodes report every 3 s, the second one a second after the first.
#[tokio::test(start_paused = true)]
async fn a_cut_of_the_monitors_own_network_is_held_against_no_single_node() {
    let (mailbox, probe) = probe();
    mailbox.take(node("ftp-1"), Report::healthy());
    advance(Duration::from_secs(1)).await;
    mailbox.take(node("ftp-2"), Report::healthy());
    // The first is stale, the second not yet: it might be the monitor.
    advance(Duration::from_millis(11_500)).await;
    assert!(ask(&probe, "ftp-1").await.is_err());
    assert!(ask(&probe, "ftp-2").await.unwrap().is_healthy());
    // All are silent: the engine suspects the monitor.
    advance(Duration::from_secs(40)).await;
    assert!(!ask(&probe, "ftp-1").await.unwrap().is_healthy() && !ask(&probe, "ftp-2").await.unwrap().is_healthy());
    // The cut ends. The second reports up to twice before the first has its turn.
    for _ in 0..2 {
        mailbox.take(node("ftp-2"), Report::healthy());
        assert!(ask(&probe, "ftp-1").await.is_err());
        advance(PERIOD).await;
    }
    // A third time: by now the first one has missed its turn.
    mailbox.take(node("ftp-2"), Report::healthy());
    assert_eq!(reason(&probe, "ftp-1").await, "no report for 58 s");
}

#[tokio::test(start_paused = true)]
async fn mailboxes_are_apart_and_their_clones_are_not() {
    let (mailbox, probe) = probe();
    let other = PushProbe::new(Mailbox::new(), STALE_AFTER).unwrap();
    mailbox.take(node("ftp-1"), Report::healthy());
    assert!(ask(&probe, "ftp-1").await.is_ok() && ask(&other, "ftp-1").await.is_err());
}

#[test]
fn a_report_that_would_be_stale_on_arrival_is_refused() {
    let refused = PushProbe::new(Mailbox::new(), Duration::from_millis(999));
    assert!(matches!(refused, Err(SettingError::Unusable { .. })), "{refused:?}");
}
