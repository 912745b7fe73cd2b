//! What the FTP probe transfers, keeps, counts and explains, against scripted servers on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use floatip_core::{HealthProbe, Host, NodeId, ProbeError, Reason, Target, Verdict, Via};
use floatip_probes::{Canary, DataMode, FtpProbe, ListPath, Secret, Speaker};
use ports::listener;
use script::{Session, server, session};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

mod ports;
mod script;

const AMPLE: Duration = Duration::from_secs(10);
const CONTENT: &[u8] = b"chirp\n";

fn ftp() -> FtpProbe {
    FtpProbe::new("monitor", Secret::new("s3cret")).unwrap()
}

fn canary() -> Canary {
    Canary::new("canary.txt").unwrap()
}

fn target(address: SocketAddr, via: Via) -> Target {
    Target::new(NodeId::new("ftp-1").unwrap(), address.to_string().parse::<Host>().unwrap(), via, AMPLE)
}

async fn check(probe: &FtpProbe, address: SocketAddr) -> Verdict {
    probe.probe(&target(address, Via::Direct)).await.unwrap()
}

fn failed(detail: &str) -> Option<Reason> {
    Some(Reason::Failed { detail: detail.to_owned() })
}

/// Plays a server that opens a data connection for `command` and sends these bytes.
async fn send(session: &mut Session, command: &str, bytes: &[u8]) {
    let (data, address) = listener().await;
    session.passive(address).await;
    session.expect(command).await;
    session.say("150 here it comes").await;
    let (mut stream, _) = data.accept().await.unwrap();
    stream.write_all(bytes).await.unwrap();
    drop(stream);
    session.say("226 done").await;
}

async fn hand_out(size: &'static str, bytes: &'static [u8]) -> SocketAddr {
    let (address, _played) = server(move |mut session| async move {
        session.log_in().await;
        session.expect("TYPE I").await;
        session.say("200 binary").await;
        session.expect("SIZE canary.txt").await;
        session.say(size).await;
        send(&mut session, "RETR canary.txt", bytes).await;
        session.until_closed().await
    })
    .await;
    address
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_known_file_that_arrives_whole_is_healthy() {
    let known = canary().sha256(&hash(CONTENT)).unwrap();
    let address = hand_out("213 6", CONTENT).await;
    assert_eq!(check(&ftp().retrieve(known), address).await, Verdict::healthy());
}

#[tokio::test]
async fn a_server_that_does_not_know_size_is_believed() {
    let address = hand_out("502 what?", CONTENT).await;
    assert_eq!(check(&ftp().retrieve(canary()), address).await, Verdict::healthy());
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_unhealthy() {
    let address = hand_out("213 10", CONTENT).await;
    let reason = check(&ftp().retrieve(canary()), address).await.reason;
    assert_eq!(reason, failed("6 of the 10 bytes of canary.txt arrived"));
}

#[tokio::test]
async fn a_file_that_is_longer_than_it_says_is_unhealthy_at_once() {
    let address = hand_out("213 3", CONTENT).await;
    let reason = check(&ftp().retrieve(canary()), address).await.reason;
    assert_eq!(reason, failed("canary.txt has more than 3 bytes"));
}

#[tokio::test]
async fn another_content_is_unhealthy() {
    let known = canary().sha256(&hash(b"tweet\n")).unwrap();
    let address = hand_out("213 6", CONTENT).await;
    let reason = check(&ftp().retrieve(known), address).await.reason;
    assert_eq!(reason, failed("the content of canary.txt is not the expected one: its SHA-256 differs"));
}

/// Plays a server that takes a file, up to its last reply; returns the name and the content.
async fn take(session: &mut Session, last: &str) -> (String, Vec<u8>) {
    session.log_in().await;
    session.expect("TYPE I").await;
    session.say("200 binary").await;
    let (data, address) = listener().await;
    session.passive(address).await;
    let name = session.hear().await.unwrap().strip_prefix("STOR ").unwrap().to_owned();
    session.say("150 go on").await;
    let (mut stream, _) = data.accept().await.unwrap();
    let mut content = Vec::new();
    stream.read_to_end(&mut content).await.unwrap();
    session.say(last).await;
    (name, content)
}

#[tokio::test]
async fn a_file_is_stored_and_deleted_again() {
    let (address, played) = server(|mut session| async move {
        let (name, content) = take(&mut session, "226 stored").await;
        session.expect(&format!("DELE {name}")).await;
        session.say("250 gone").await;
        session.quit().await;
        (name, content)
    })
    .await;
    let probe = ftp().store(ListPath::new("/in/").unwrap());
    assert_eq!(check(&probe, address).await, Verdict::healthy());
    let (name, content) = played.await.unwrap();
    assert!(name.starts_with("/in/.floatip-") && !content.is_empty(), "{name}");
}

#[tokio::test]
async fn a_disk_that_is_full_is_unhealthy_and_what_was_begun_is_deleted() {
    let (address, played) = server(|mut session| async move {
        let (name, _) = take(&mut session, "452 no space").await;
        session.expect(&format!("DELE {name}")).await;
        session.say("250 gone").await;
    })
    .await;
    let reason = check(&ftp().store(ListPath::login_directory()), address).await.reason;
    let expected = Reason::Rejected { stage: "store".into(), code: 452, detail: "no space".to_owned() };
    assert_eq!(reason, Some(expected));
    played.await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_deleted_is_a_warning() {
    let (address, _played) = server(|mut session| async move {
        take(&mut session, "226 stored").await;
        session.hear().await;
        session.say("550 not yours").await;
        session.quit().await;
    })
    .await;
    let verdict = check(&ftp().store(ListPath::login_directory()), address).await;
    assert!(verdict.is_healthy());
    let [warning] = &verdict.warnings[..] else { panic!("{verdict:?}") };
    assert!(warning.contains("could not be deleted") && warning.contains("not yours"), "{warning}");
}

#[tokio::test]
async fn in_active_mode_the_server_connects() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        let command = session.hear().await.unwrap();
        let numbers = command.strip_prefix("PORT 127,0,0,1,").unwrap();
        let (high, low) = numbers.split_once(',').unwrap();
        let port = u16::from_be_bytes([high.parse().unwrap(), low.parse().unwrap()]);
        session.say("200 noted").await;
        session.expect("LIST").await;
        session.say("150 here it comes").await;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"-rw-r--r-- file\r\n").await.unwrap();
        drop(stream);
        session.say("226 done").await;
        session.quit().await;
    })
    .await;
    let probe = ftp().list(ListPath::login_directory()).mode(DataMode::Active);
    assert_eq!(check(&probe, address).await, Verdict::healthy());
    played.await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_open_a_data_connection_fails_at_the_data_channel() {
    let (address, _played) = server(|mut session| async move {
        session.log_in().await;
        session.hear().await;
        session.say("200 noted").await;
        session.expect("LIST").await;
        session.say("425 cannot connect").await;
        session.until_closed().await
    })
    .await;
    let reason = check(&ftp().list(ListPath::login_directory()).mode(DataMode::Active), address).await.reason;
    let expected = Reason::Rejected { stage: "data channel".into(), code: 425, detail: "cannot connect".to_owned() };
    assert_eq!(reason, Some(expected));
}

#[tokio::test]
async fn where_epsv_is_asked_for_pasv_is_not_sent() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        let (data, at) = listener().await;
        session.expect("EPSV").await;
        session.say(&format!("229 Extended Passive (|||{}|)", at.port())).await;
        session.expect("LIST").await;
        session.say("150 here it comes").await;
        drop(data.accept().await.unwrap());
        session.say("226 done").await;
        session.quit().await;
    })
    .await;
    let probe = ftp().list(ListPath::login_directory()).mode(DataMode::Epsv);
    assert_eq!(check(&probe, address).await, Verdict::healthy());
    played.await.unwrap();
}

#[tokio::test]
async fn a_kept_session_is_asked_by_noop_and_a_lost_one_is_opened_anew() {
    let (listener, address) = listener().await;
    let played = tokio::spawn(async move {
        let mut first = session(&listener).await;
        first.log_in().await;
        first.expect("NOOP").await;
        first.say("200 still here").await;
        first.expect("NOOP").await;
        first.say("421 Timeout.").await;
        let mut second = session(&listener).await;
        second.log_in().await;
        second.expect("NOOP").await;
        second.say("200 still here").await;
        (first, second)
    });
    let probe = ftp().keep_session(AMPLE).unwrap();
    for _ in 0..4 {
        assert_eq!(check(&probe, address).await, Verdict::healthy());
    }
    played.await.unwrap();
}

#[tokio::test]
async fn a_kept_session_is_checked_in_full_when_that_is_due() {
    let (listener, address) = listener().await;
    let played = tokio::spawn(async move {
        for _ in 0..2 {
            let mut new = session(&listener).await;
            new.log_in().await;
            tokio::spawn(async move { new.until_closed().await });
        }
    });
    let probe = ftp().keep_session(Duration::from_nanos(1)).unwrap();
    for _ in 0..2 {
        assert_eq!(check(&probe, address).await, Verdict::healthy());
    }
    played.await.unwrap();
}

#[tokio::test]
async fn through_the_floating_address_no_session_is_kept() {
    let (listener, address) = listener().await;
    let played = tokio::spawn(async move {
        for _ in 0..2 {
            let mut new = session(&listener).await;
            new.log_in().await;
            new.quit().await;
        }
    });
    let probe = ftp().keep_session(AMPLE).unwrap();
    for _ in 0..2 {
        assert_eq!(probe.probe(&target(address, Via::Floating)).await.unwrap(), Verdict::healthy());
    }
    played.await.unwrap();
}

#[tokio::test]
async fn an_explanation_tells_what_was_said_and_never_the_password() {
    let (address, _played) = server(|mut session| async move {
        session.say("220 ready").await;
        session.expect("USER monitor").await;
        session.say("331 password, please").await;
        session.expect("PASS s3cret").await;
        session.say("530 s3cret is wrong").await;
        session.until_closed().await
    })
    .await;
    let (outcome, lines) = ftp().explain(&target(address, Via::Direct)).await;
    assert!(!outcome.unwrap().is_healthy());
    let said: Vec<_> = lines.iter().filter(|line| line.speaker != Speaker::Remark).collect();
    let said: Vec<_> = said.iter().map(|line| line.words.as_str()).collect();
    let expected = ["220 ready", "USER monitor", "331 password, please", "PASS ***", "530 *** is wrong"];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn an_explanation_of_a_check_that_timed_out_tells_how_far_it_came() {
    let (address, _played) = server(|mut session| async move {
        session.say("220 ready").await;
        session.until_closed().await
    })
    .await;
    let mut target = target(address, Via::Direct);
    target.timeout = Duration::from_secs(2);
    let (outcome, lines) = ftp().explain(&target).await;
    assert_eq!(outcome.unwrap().reason, Some(Reason::TimedOut { stage: "login".into() }));
    assert_eq!(lines.last().map(|line| line.words.as_str()), Some("USER monitor"));
}

#[tokio::test]
async fn the_sessions_of_others_are_counted_by_the_greeting() {
    for (number, reason) in [(1, None), (3, None), (4, Some("3 other sessions are open, and at most 2 may be"))] {
        let (address, played) = server(move |mut session| async move {
            session.say(&format!("220-You are user number {number} of 50 allowed.")).await;
            session.say("220 ready").await;
            session.expect("USER monitor").await;
            session.say("230 come in").await;
            session.until_closed().await
        })
        .await;
        let verdict = check(&ftp().max_sessions(2), address).await;
        assert_eq!(verdict.reason.map(|reason| reason.to_string()).as_deref(), reason);
        played.await.unwrap();
    }
}

#[tokio::test]
async fn the_sessions_of_others_are_counted_by_the_answer_to_stat() {
    let (address, played) = server(|mut session| async move {
        session.log_in().await;
        session.expect("STAT").await;
        session.say("211-FTP server status:").await;
        session.say("     At session startup, client count was 2").await;
        session.say("211 End of status").await;
        session.until_closed().await
    })
    .await;
    let reason = check(&ftp().max_sessions(0), address).await.reason.unwrap().to_string();
    assert_eq!(reason, "1 other sessions are open, and at most 0 may be");
    played.await.unwrap();
}

#[tokio::test]
async fn a_server_that_tells_no_number_of_sessions_gives_no_verdict() {
    for answer in ["502 what?", "211 all is well"] {
        let (address, played) = server(move |mut session| async move {
            session.log_in().await;
            session.expect("STAT").await;
            session.say(answer).await;
            session.until_closed().await
        })
        .await;
        let error = ftp().max_sessions(0).probe(&target(address, Via::Direct)).await.unwrap_err();
        assert!(matches!(error, ProbeError::Unusable { .. }), "{error}");
        played.await.unwrap();
    }
}
