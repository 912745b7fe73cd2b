//! Nodes that report themselves, over the control socket and over the network.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Desk, Ended, Monitor, Site, VALID};

const TOKEN: &str = "a-token-of-forty-characters-0123456789ab";

/// Two nodes whose own services are checked, and who report themselves as well.
async fn site(push: &str) -> Site {
    let site = Site::new().await;
    let config = std::fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    let config = config.replace(
        "[floating_ip.health]",
        "[[floating_ip.probe]]\nkind = \"push\"\nstale_after = \"3s\"\n[floating_ip.health]",
    );
    std::fs::write(site.desk.path("floatip.toml"), format!("{config}{push}")).unwrap();
    std::fs::write(site.desk.path("push.token"), format!("{TOKEN}\n")).unwrap();
    site
}

const LISTEN: &str = "[push]\nlisten = \"127.0.0.1:0\"\ntoken = { file = \"push.token\" }\n";

/// What `status` says of a node by its reports.
fn pushed(status: &Value, node: usize) -> &Value {
    let probes = status["nodes"][node]["probes"].as_array().unwrap();
    probes.iter().find(|probe| probe["kind"] == "push").unwrap()
}

/// The address at which a monitor takes reports.
fn listening(monitor: &mut Monitor) -> String {
    let log = monitor.read_until("taking reports of nodes");
    let (_, address) = log.split_once("taking reports of nodes address=").unwrap();
    address.split_whitespace().next().unwrap().to_owned()
}

/// A report over the network by the holder of this token.
fn report_to(site: &Site, address: &str, token: &str, arguments: &[&str]) -> Ended {
    let arguments = [&["report", "--monitor", address], arguments].concat();
    Ended::of(site.desk.command(&arguments).env("FLOATIP_PUSH_TOKEN", token).output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_unknown_until_it_reports_and_unhealthy_once_it_is_silent() {
    let site = site("").await;
    let _monitor = site.monitor(&[]);
    let status = site.status_until(|status| status["nodes"][0]["probes"][0]["health"] == "healthy").await;
    assert_eq!(pushed(&status, 0)["health"], "unknown", "{status:#}");
    let told = site.ask(&["report", "--node", "ftp-1", "--healthy"]);
    assert_eq!((told.code, &*told.stdout), (Some(0), "ftp: ftp-1 has reported that it is healthy\n"), "{told:?}");
    site.status_until(|status| pushed(status, 0)["health"] == "healthy").await;
    let silent = site.status_until(|status| pushed(status, 0)["health"] == "unhealthy").await;
    let reason = pushed(&silent, 0)["reason"].as_str().unwrap();
    assert!(reason.starts_with("no report for ") && reason.ends_with(" s"), "{reason}");
    assert_eq!(pushed(&silent, 1)["health"], "unknown", "{silent:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_reports_itself_unhealthy_loses_the_address() {
    let site = site(LISTEN).await;
    // The service of the floating address, which never moves here, would veto it.
    let config = std::fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    std::fs::write(site.desk.path("floatip.toml"), config.replace("port = 21", "port = 21\nverify = false")).unwrap();
    let mut monitor = site.monitor(&[]);
    let address = listening(&mut monitor);
    let well = Reporting::start(&site, &address, "ftp-2");
    let told = report_to(&site, &address, TOKEN, &["--node", "ftp-1", "--unhealthy", "disk\nfull", "--json"]);
    assert_eq!((told.code, told.json()), (Some(0), json!({ "floating_ips": ["ftp"] })), "{told:?}");
    let log = monitor.read_until("ftp-1 went down");
    assert!(log.contains("it says: disk full"), "{log}");
    site.status_until(|status| status["holder"] == "ftp-2").await;
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60012"));
    drop(well);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_without_the_token_changes_nothing() {
    let site = site(LISTEN).await;
    let mut monitor = site.monitor(&[]);
    let address = listening(&mut monitor);
    let almost = TOKEN.replace('f', "g");
    for wrong in ["x", &almost, &format!("{TOKEN}x"), &TOKEN[1..]] {
        let refused = report_to(&site, &address, wrong, &["--node", "ftp-1", "--healthy"]);
        assert_eq!(refused.code, Some(6), "{refused:?}");
        assert!(refused.stderr.contains("the token is missing or wrong"), "{}", refused.stderr);
    }
    monitor.read_until("a report without the right token was refused");
    let status = site.status_until(|_| true).await;
    assert_eq!(pushed(&status, 0)["health"], "unknown");
    assert_eq!(report_to(&site, &address, TOKEN, &["--node", "ftp-1", "--healthy"]).code, Some(0));
}

/// A node that is well and says so every 200 ms, until this is dropped.
struct Reporting(Child);

impl Reporting {
    fn start(site: &Site, address: &str, node: &str) -> Self {
        let report = site.desk.command(&["report", "--monitor", address, "--node", node, "--healthy"]);
        let arguments: Vec<_> = report.get_args().map(|argument| argument.to_str().unwrap()).collect();
        let program = report.get_program().to_str().unwrap();
        let line = format!("while {program} {} >&2; do sleep 0.2; done", arguments.join(" "));
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).env("FLOATIP_PUSH_TOKEN", TOKEN).stderr(Stdio::null());
        Self(shell.spawn().unwrap())
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What the listener answers to these bytes.
fn say(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // It may have hung up before it has read all.
    stream.write_all(bytes).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_listener_get_nothing_and_hold_nothing() {
    let site = site(LISTEN).await;
    let mut monitor = site.monitor(&[]);
    let address = listening(&mut monitor);
    let post = |path: &str, body: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n");
        let head = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        say(&address, format!("{head}{body}").as_bytes())
    };
    // With the token: what is too long, what is no report, what is no path.
    let long = format!("{{\"node\": \"ftp-1\", \"healthy\": false, \"reason\": \"{}\"}}", "x".repeat(5000));
    assert!(post("/v1/report", &long).starts_with("HTTP/1.1 413"), "{}", post("/v1/report", &long));
    let odd = "{\"node\": \"ftp-1\", \"healthy\": true, \"reason\": \"well\"}";
    assert!(post("/v1/report", odd).contains("without a `reason`"));
    assert!(post("/v1/status", "{}").starts_with("HTTP/1.1 404"));
    // Without: not even the status, and not whether there is one.
    let answer = say(&address, b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // Whoever holds many connections without a word loses them, and then others have their turn.
    let mute: Vec<_> = (0..64).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let told = report_to(&site, &address, TOKEN, &["--node", "ftp-1", "--healthy"]);
    let told =
        if told.code == Some(0) { told } else { report_to(&site, &address, TOKEN, &["--node", "ftp-1", "--healthy"]) };
    assert_eq!(told.code, Some(0), "{told:?}");
    drop(mute);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_reach_nobody_are_told_with_what_to_do() {
    let site = site(LISTEN).await;
    let unread = report_to(&site, "127.0.0.1:1", TOKEN, &["--node", "ftp-1", "--healthy"]);
    assert_eq!(unread.code, Some(5), "{unread:?}");
    assert!(unread.stderr.contains("no monitor takes reports at 127.0.0.1:1"), "{}", unread.stderr);
    let without = site.desk.run(&["report", "--monitor", "127.0.0.1:1", "--node", "ftp-1", "--healthy"]);
    assert_eq!(without.code, Some(2), "{without:?}");
    assert!(without.stderr.contains("FLOATIP_PUSH_TOKEN is not set"), "{}", without.stderr);
    let undecided = site.desk.run(&["report", "--node", "ftp-1"]);
    assert_eq!(undecided.code, Some(2), "{undecided:?}");
    let mut monitor = site.monitor(&[]);
    listening(&mut monitor);
    for arguments in [&["--node", "ftp-3"][..], &["--node", "ftp-1", "--floating-ip", "web"]] {
        let unknown = site.ask(&[&["report", "--healthy"], arguments].concat());
        assert_eq!(unknown.code, Some(6), "{unknown:?}");
        assert!(unknown.stderr.contains("no floating IP with a probe of kind \"push\""), "{}", unknown.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configured_listener_there_is_none_and_a_probe_elsewhere_says_so() {
    let site = site("").await;
    let monitor = site.monitor(&[]);
    let probed = site.ask(&["probe", "--json"]);
    assert_eq!(probed.code, Some(0), "{probed:?}");
    let probed = probed.json();
    let points = |warning: &&serde_json::Value| warning.as_str().unwrap().contains("see `floatip status`");
    assert_eq!(probed["warnings"].as_array().unwrap().iter().filter(points).count(), 1, "{probed:#}");
    let log = monitor.end("-TERM").stderr;
    assert!(!log.contains("taking reports"), "{log}");
}

#[test]
fn a_listener_without_a_token_is_refused_with_its_line() {
    let listen = "[[floating_ip.probe]]\nkind = \"push\"\n[push]\nlisten = \"10.0.0.5:9110\"\n";
    let ended = Desk::new(&format!("{VALID}{listen}")).run(&["check", "-c", "floatip.toml"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.starts_with("error: [push] listens without a `token`\n  --> floatip.toml:21:1\n"),
        "{}",
        ended.stderr
    );
}
