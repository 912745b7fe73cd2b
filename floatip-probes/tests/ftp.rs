//! The FTP probe against scripted servers on loopback.
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::net::SocketAddr;
use std::sync::{Mutex, Once};
use std::time::Duration;

use floatip_core::{HealthProbe, Host, NodeId, ProbeError, Reason, Target, Verdict, Via};
use floatip_probes::{FtpProbe, ListPath, PassiveMismatch, Secret};
use ports::{closed_port, listener, mute_port};
use script::{Session, server};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

mod ports;
mod script;

const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(1500);

fn ftp() -> FtpProbe {
    FtpProbe::new("monitor", Secret::new("s3cret")).unwrap()
}

fn listing() -> FtpProbe {
    ftp().list(ListPath::login_directory())
}

fn target(address: SocketAddr, timeout: Duration) -> Target {
    Target::new(NodeId::new("ftp-1").unwrap(), address.to_string().parse::<Host>().unwrap(), Via::Direct, timeout)
}

async fn check(probe: FtpProbe, address: SocketAddr) -> Verdict {
    probe.probe(&target(address, AMPLE)).await.unwrap()
}

/// The reason of a check that ends at its deadline, and not much later.
async fn expire(probe: FtpProbe, address: SocketAddr) -> Option<Reason> {
    let started = Instant::now();
    let verdict = probe.probe(&target(address, SHORT)).await.unwrap();
    assert!((SHORT..AMPLE / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    verdict.reason
}

fn timed_out(stage: &'static str) -> Option<Reason> {
    Some(Reason::TimedOut { stage: stage.into() })
}

/// Plays the good server up to a listing over the data connection: these bytes, in one go.
async fn list(session: &mut Session, command: &str, bytes: &[u8]) {
    let (data, address) = listener().await;
    session.passive(address).await;
    let (mut stream, _) = data.accept().await.unwrap();
    session.expect(command).await;
    session.say("150 here it comes").await;
    stream.write_all(bytes).await.unwrap();
    drop(stream);
    session.say("226 done").await;
}

#[tokio::test]
async fn a_server_that_lets_the_monitor_in_is_healthy_and_is_left_politely() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        session.quit().await;
    })
    .await;
    assert_eq!(check(ftp(), address).await, Verdict::healthy());
    played.await.unwrap();
}

#[tokio::test]
async fn a_server_that_asks_for_no_password_is_sent_none() {
    let (address, played) = server(|mut session| async move {
        session.say("220-welcome").await;
        session.say("220 ready").await;
        session.expect("USER monitor").await;
        session.say("230 come in").await;
        session.quit().await;
    })
    .await;
    assert!(check(ftp(), address).await.is_healthy());
    played.await.unwrap();
}

#[tokio::test]
async fn a_port_that_nobody_has_open_is_refused() {
    let (address, _closed) = closed_port();
    assert_eq!(check(ftp(), address).await.reason, Some(Reason::Refused));
}

#[tokio::test]
async fn a_server_that_does_not_accept_is_unhealthy_at_the_deadline() {
    let (address, _mute) = mute_port().await;
    assert_eq!(expire(ftp(), address).await, timed_out("connect"));
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_unhealthy_at_the_deadline() {
    // The kernel accepts on behalf of a stopped process.
    let (_listener, address) = listener().await;
    assert_eq!(expire(ftp(), address).await, timed_out("banner"));
}

#[tokio::test]
async fn a_banner_that_never_ends_a_line_is_unhealthy_at_the_deadline() {
    let (address, _played) = server(|mut session| async move {
        session.raw(b"220 almost").await;
        session.until_closed().await
    })
    .await;
    assert_eq!(expire(ftp(), address).await, timed_out("banner"));
}

#[tokio::test]
async fn a_connection_closed_before_the_banner_is_lost_there() {
    let (address, _played) = server(|session| async move { drop(session) }).await;
    let reason = check(ftp(), address).await.reason;
    assert!(matches!(&reason, Some(Reason::Disconnected { stage, .. }) if stage == "banner"), "{reason:?}");
}

#[tokio::test]
async fn a_connection_reset_during_the_login_is_lost_there() {
    let (address, _played) = server(|mut session| async move {
        session.say("220 ready").await;
        session.expect("USER monitor").await;
        session.reset();
    })
    .await;
    let reason = check(ftp(), address).await.reason;
    assert!(matches!(&reason, Some(Reason::Disconnected { stage, .. }) if stage == "login"), "{reason:?}");
}

#[tokio::test]
async fn a_server_at_its_limit_is_busy_and_not_down() {
    let (address, _played) = server(|mut session| async move { session.say("421 Too many users.").await }).await;
    let verdict = check(ftp(), address).await;
    assert!(verdict.is_healthy() && verdict.busy, "{verdict:?}");
    assert_eq!(verdict.warnings, ["busy: Too many users."]);
}

#[tokio::test]
async fn a_server_that_shuts_down_rejects_with_its_code_and_words() {
    let (address, _played) = server(|mut session| async move { session.say("421 Shutting down.").await }).await;
    let expected = Reason::Rejected { stage: "banner".into(), code: 421, detail: "Shutting down.".into() };
    assert_eq!(check(ftp(), address).await.reason, Some(expected));
}

#[tokio::test]
async fn another_protocol_on_the_port_is_shown_as_it_is() {
    let (address, _played) = server(|mut session| async move { session.say("SSH-2.0-OpenSSH_9.6").await }).await;
    let expected = Reason::Unexpected { stage: "banner".into(), detail: "SSH-2.0-OpenSSH_9.6".into() };
    assert_eq!(check(ftp(), address).await.reason, Some(expected));
}

#[tokio::test]
async fn a_reply_out_of_order_is_unexpected() {
    let (address, _played) = server(|mut session| async move {
        session.say("220 ready").await;
        session.expect("USER monitor").await;
        session.say("226 done").await;
    })
    .await;
    let expected = Reason::Unexpected { stage: "login".into(), detail: "226 done".into() };
    assert_eq!(check(ftp(), address).await.reason, Some(expected));
}

#[tokio::test]
async fn a_banner_without_end_is_cut_off_before_the_deadline() {
    let (address, played) = server(|mut session| async move {
        session.raw(b"220-").await;
        let mut sent = 0u64;
        while session.raw(&[b'x'; 4096]).await {
            sent += 4096;
        }
        sent
    })
    .await;
    let reason = check(ftp(), address).await.reason;
    assert!(matches!(&reason, Some(Reason::Unexpected { stage, .. }) if stage == "banner"), "{reason:?}");
    // What the socket buffers of both sides hold comes on top of what the probe reads.
    assert!(played.await.unwrap() < 32 * 1024 * 1024);
}

#[tokio::test]
async fn a_rejected_login_carries_the_code_and_never_the_password() {
    let (address, _played) = server(|mut session| async move {
        session.say("220 ready").await;
        session.expect("USER monitor").await;
        session.say("331 password, please").await;
        session.expect("PASS s3cret").await;
        session.say("530-No:\x07 s3cret is wrong,").await;
        session.say("530 monitor.").await;
    })
    .await;
    let reason = check(ftp(), address).await.reason.unwrap();
    let expected = Reason::Rejected { stage: "login".into(), code: 530, detail: "No: *** is wrong, monitor.".into() };
    assert_eq!(reason, expected);
    assert_eq!(reason.to_string(), "login rejected with 530: No: *** is wrong, monitor.");
}

#[tokio::test]
async fn a_login_that_takes_too_long_is_unhealthy_at_the_deadline() {
    let (address, played) = server(|mut session| async move {
        session.say("220 ready").await;
        session.expect("USER monitor").await;
        session.say("331 password, please").await;
        session.until_closed().await
    })
    .await;
    assert_eq!(expire(ftp(), address).await, timed_out("login"));
    assert_eq!(played.await.unwrap(), ["PASS s3cret"]);
}

#[tokio::test]
async fn the_deadline_spans_all_stages() {
    let (address, _played) = server(|mut session| async move {
        tokio::time::sleep(SHORT * 2 / 3).await;
        session.say("220 ready").await;
        session.expect("USER monitor").await;
        tokio::time::sleep(SHORT * 2 / 3).await;
        session.say("230 come in").await;
        session.until_closed().await
    })
    .await;
    assert_eq!(expire(ftp(), address).await, timed_out("login"));
}

#[tokio::test]
async fn a_server_that_ignores_quit_is_healthy_before_the_deadline() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        session.until_closed().await
    })
    .await;
    let started = Instant::now();
    assert!(check(ftp(), address).await.is_healthy());
    assert!(started.elapsed() < AMPLE / 2, "{:?}", started.elapsed());
    assert_eq!(played.await.unwrap(), ["QUIT"]);
}

#[tokio::test]
async fn a_deadline_that_strikes_during_quit_spoils_nothing() {
    // The login ends just before the deadline, or on a machine that is busy just after it: then it is tried again.
    for _ in 0..20 {
        let (address, _played) = server(|mut session| async move {
            session.say("220 ready").await;
            session.expect("USER monitor").await;
            tokio::time::sleep(SHORT - Duration::from_millis(50)).await;
            session.say("230 come in").await;
            session.until_closed().await
        })
        .await;
        let reason = expire(ftp(), address).await;
        if reason.is_none() {
            return;
        }
        assert_eq!(reason, timed_out("login"));
    }
    panic!("the login never ended before the deadline");
}

#[tokio::test]
async fn a_listing_is_fetched_over_the_data_connection() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        list(&mut session, "LIST /pub", b"-rw-r--r-- 1 ftp ftp 5 Jan 1 2026 a\r\n").await;
        session.quit().await;
    })
    .await;
    let probe = ftp().list(ListPath::new("/pub").unwrap());
    assert_eq!(check(probe, address).await, Verdict::healthy());
    played.await.unwrap();
}

#[tokio::test]
async fn an_empty_listing_is_healthy() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        list(&mut session, "LIST", b"").await;
        session.quit().await;
    })
    .await;
    assert_eq!(check(listing(), address).await, Verdict::healthy());
    played.await.unwrap();
}

#[tokio::test]
async fn a_server_without_pasv_is_asked_by_epsv() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        let (data, address) = listener().await;
        session.expect("PASV").await;
        session.say("502 not here").await;
        session.expect("EPSV").await;
        session.say(&format!("229 Entering Extended Passive Mode (|||{}|)", address.port())).await;
        drop(data.accept().await.unwrap());
        session.expect("LIST").await;
        session.say("125 open already").await;
        session.say("250 done").await;
        session.quit().await;
    })
    .await;
    assert_eq!(check(listing(), address).await, Verdict::healthy());
    played.await.unwrap();
}

/// A server on 127.0.0.1 whose data port is open there, though its PASV reply names another address.
async fn leads_away() -> SocketAddr {
    let (address, _played) = server(|mut session| async move {
        session.log_in().await;
        let (data, address) = listener().await;
        session.passive(SocketAddr::new([127, 9, 9, 9].into(), address.port())).await;
        drop(data.accept().await.unwrap());
        session.expect("LIST").await;
        session.say("150 here it comes").await;
        session.say("226 done").await;
        session.quit().await;
    })
    .await;
    address
}

const ELSEWHERE: &str =
    "the server advertises 127.9.9.9 for data connections: clients through the floating address will hang";

#[tokio::test]
async fn the_data_connection_goes_to_the_server_that_is_checked() {
    let node_names_floating = listing().expect_passive([[127, 9, 9, 9].into()]);
    assert_eq!(check(node_names_floating, leads_away().await).await, Verdict::healthy());
}

#[tokio::test]
async fn a_passive_reply_that_leads_clients_elsewhere_is_a_warning() {
    for via in [Via::Direct, Via::Floating] {
        let mut target = target(leads_away().await, AMPLE);
        target.via = via;
        let verdict = listing().probe(&target).await.unwrap();
        assert!(verdict.is_healthy());
        assert_eq!(verdict.warnings, [ELSEWHERE]);
    }
}

#[tokio::test]
async fn a_passive_reply_that_leads_clients_elsewhere_is_unhealthy_where_that_is_asked_for() {
    let strict = listing().passive_mismatch(PassiveMismatch::Unhealthy);
    let verdict = check(strict, leads_away().await).await;
    assert_eq!(verdict.reason, Some(Reason::Failed { detail: ELSEWHERE.to_owned() }));
}

#[tokio::test]
async fn a_data_port_that_does_not_accept_is_unhealthy_at_the_deadline() {
    let (mute, _kept) = mute_port().await;
    let (address, _played) = server(move |mut session| async move {
        session.log_in().await;
        session.passive(mute).await;
        session.until_closed().await
    })
    .await;
    assert_eq!(expire(listing(), address).await, timed_out("data channel"));
}

#[tokio::test]
async fn a_data_port_that_refuses_is_told_from_a_service_that_refuses() {
    let (address, _played) = server(|mut session| async move {
        session.log_in().await;
        let (address, _closed) = closed_port();
        session.passive(address).await;
        session.until_closed().await
    })
    .await;
    let reason = check(listing(), address).await.reason.unwrap().to_string();
    assert!(reason.starts_with("data channel to port ") && reason.ends_with(": connection refused"), "{reason}");
}

#[tokio::test]
async fn a_data_connection_that_stays_silent_is_unhealthy_at_the_deadline() {
    let (address, _played) = server(|mut session| async move {
        session.log_in().await;
        let (data, address) = listener().await;
        session.passive(address).await;
        let _silent = data.accept().await.unwrap();
        session.expect("LIST").await;
        session.say("150 here it comes").await;
        session.until_closed().await
    })
    .await;
    assert_eq!(expire(listing(), address).await, timed_out("data channel"));
}

#[tokio::test]
async fn a_listing_that_is_never_confirmed_is_unhealthy_at_the_deadline() {
    let (address, _played) = server(|mut session| async move {
        session.log_in().await;
        let (data, address) = listener().await;
        session.passive(address).await;
        drop(data.accept().await.unwrap());
        session.expect("LIST").await;
        session.say("150 here it comes").await;
        session.until_closed().await
    })
    .await;
    assert_eq!(expire(listing(), address).await, timed_out("list"));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_rejected_at_list() {
    let (address, _played) = server(|mut session| async move {
        session.log_in().await;
        let (data, address) = listener().await;
        session.passive(address).await;
        let _idle = data.accept().await.unwrap();
        session.expect("LIST /nowhere").await;
        session.say("550 No such directory.").await;
    })
    .await;
    let expected = Reason::Rejected { stage: "list".into(), code: 550, detail: "No such directory.".into() };
    assert_eq!(check(ftp().list(ListPath::new("/nowhere").unwrap()), address).await.reason, Some(expected));
}

#[tokio::test]
async fn a_passive_reply_without_a_port_is_unexpected() {
    let (address, _played) = server(|mut session| async move {
        session.log_in().await;
        session.expect("PASV").await;
        session.say("227 somewhere").await;
    })
    .await;
    let expected = Reason::Unexpected { stage: "data channel".into(), detail: "somewhere".into() };
    assert_eq!(check(listing(), address).await.reason, Some(expected));
}

#[tokio::test]
async fn a_listing_without_end_is_cut_off_as_proof_enough() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        let (data, address) = listener().await;
        session.passive(address).await;
        let (mut stream, _) = data.accept().await.unwrap();
        session.expect("LIST").await;
        session.say("150 here it comes").await;
        let mut sent = 0u64;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {
            sent += 4096;
        }
        session.say("426 connection closed").await;
        session.expect("QUIT").await;
        sent
    })
    .await;
    assert_eq!(check(listing(), address).await, Verdict::healthy());
    assert!(played.await.unwrap() < 32 * 1024 * 1024);
}

#[tokio::test]
async fn dropping_a_check_closes_its_connection() {
    let (greeted, heard) = tokio::sync::oneshot::channel();
    let (address, played) = server(|mut session| async move {
        session.say("220 ready").await;
        session.expect("USER monitor").await;
        greeted.send(()).unwrap();
        session.until_closed().await
    })
    .await;
    let check = tokio::spawn(async move { ftp().probe(&target(address, AMPLE)).await });
    timeout(AMPLE, heard).await.expect("the server was not reached").unwrap();
    check.abort();
    let said = timeout(AMPLE / 2, played).await.expect("the connection outlives its check").unwrap();
    assert_eq!(said, Vec::<String>::new());
}

#[tokio::test]
async fn a_deadline_closes_the_connection() {
    let (address, played) = server(|mut session| async move { session.until_closed().await }).await;
    assert_eq!(expire(ftp(), address).await, timed_out("banner"));
    timeout(AMPLE / 2, played).await.expect("the connection outlives its check").unwrap();
}

#[tokio::test]
async fn one_probe_serves_many_targets_at_once() {
    let probe = listing();
    let mut checks = Vec::new();
    for _ in 0..20 {
        let (address, _played) = server(|mut session| async move {
            session.log_in().await;
            list(&mut session, "LIST", b"a\r\n").await;
            session.quit().await;
        })
        .await;
        let probe = probe.clone();
        checks.push(tokio::spawn(async move { check(probe, address).await }));
    }
    for check in checks {
        assert_eq!(check.await.unwrap(), Verdict::healthy());
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_no_verdict() {
    let target = Target::new(NodeId::new("ftp-1").unwrap(), "a..b".parse().unwrap(), Via::Direct, AMPLE);
    let error = ftp().probe(&target).await.unwrap_err();
    assert!(matches!(error, ProbeError::Resolve { .. }), "{error:?}");
}

#[test]
fn a_probe_shows_its_settings_and_never_its_password() {
    let probe = ftp().port(2121).unwrap().list(ListPath::new("/pub").unwrap());
    assert_eq!(probe.to_string(), "FTP login as monitor on port 2121, listing /pub");
    let debug = format!("{probe:?}");
    assert!(debug.contains("monitor") && debug.contains("2121") && !debug.contains("s3cret"), "{debug}");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    assert!(FtpProbe::new("", Secret::new("x")).is_err());
    assert!(FtpProbe::new("a\r\nDELE b", Secret::new("x")).is_err());
    assert!(FtpProbe::new("a", Secret::new("x\nDELE b")).is_err());
    assert!(ftp().port(0).is_err());
    assert!(ListPath::new("").is_err());
    assert!("/a\r\nDELE b".parse::<ListPath>().is_err());
}

/// Everything that any crate logs in this process.
struct Log(Mutex<Vec<String>>);

static LOG: Log = Log(Mutex::new(Vec::new()));

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn no_log_line_holds_the_password() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| log::set_logger(&LOG).unwrap());
    log::set_max_level(log::LevelFilter::Trace);
    let (address, played) = server(|mut session| async move {
        session.say("220 ready").await;
        session.expect("USER logged").await;
        session.say("331 password, please").await;
        session.expect("PASS never-logged").await;
        session.say("230 welcome").await;
        session.quit().await;
    })
    .await;
    let probe = FtpProbe::new("logged", Secret::new("never-logged")).unwrap();
    assert!(check(probe, address).await.is_healthy());
    played.await.unwrap();
    let lines = LOG.0.lock().unwrap().clone();
    assert!(lines.iter().any(|line| line.contains("USER logged")), "the client's log was not seen");
    assert!(!lines.iter().any(|line| line.contains("never-logged")), "{lines:?}");
}
