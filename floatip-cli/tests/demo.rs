//! `floatip demo`, as a process.
#![cfg(feature = "demo")]
#![allow(clippy::disallowed_methods, reason = "whatever the demo does, the test ends")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// What the demo promises is 20 s; that it ends at all is what is bounded here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A demo that is under way, with a folder of its own for temporary files.
struct Demo {
    child: Child,
    lines: mpsc::Receiver<String>,
    temporary: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let temporary = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_floatip"))
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", temporary.path())
            // What a user may have set for other purposes must not lead the demo astray.
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            .env("AWS_PROFILE", "nobody")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines, temporary }
    }

    /// Waits for a line that `wanted` accepts.
    fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).expect("the line comes before the demo ends");
            if wanted(&line) {
                return line;
            }
        }
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    /// The exit status, the rest of stdout and all of stderr. Nothing may be left in the temporary folder.
    fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        let end = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            lines.push(line);
        }
        if Instant::now() >= end {
            self.child.kill().unwrap();
            panic!("the demo did not end; it had said {lines:#?}");
        }
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(entries(self.temporary.path()), [""; 0], "left behind");
        (status, lines, stderr)
    }
}

fn entries(folder: &Path) -> Vec<String> {
    folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// The events of a demo that succeeded, and its last line.
fn success(demo: Demo) -> (Vec<Value>, Value) {
    let (status, lines, stderr) = demo.end();
    assert!(status.success(), "{status}\n{}\n{stderr}", lines.join("\n"));
    assert_eq!(stderr, "");
    let mut events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    let last = events.pop().expect("a last line");
    (events, last)
}

fn millis(last: &Value, key: &str) -> f64 {
    last[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {last}"))
}

/// Checks what every mover has in common.
fn check(events: &[Value], last: &Value, mover: &str) {
    let mut keys: Vec<_> = last.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = ["claim_ms", "detect_ms", "event", "mover", "outage_ms", "release_ms", "verified", "verify_ms"];
    assert_eq!(keys, expected);
    assert_eq!(
        (&last["event"], &last["mover"], &last["verified"]),
        (&"demo_finished".into(), &mover.into(), &true.into())
    );

    let [detect, release, claim] = ["detect_ms", "release_ms", "claim_ms"].map(|key| millis(last, key));
    let outage = millis(last, "outage_ms");
    assert!(detect > 0.0 && claim > 0.0 && millis(last, "verify_ms") > 0.0, "{last}");
    // A client is without service from the kill until EC2 has moved the address: at least that long.
    assert!(outage >= detect + release + claim - 100.0, "{last}");

    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    let [finished] = of("move_finished")[..] else { panic!("not one move: {events:#?}") };
    assert_eq!((&finished["from"], &finished["to"]), (&"ftp-1".into(), &"ftp-2".into()));
    assert_eq!(of("node_went_down").iter().map(|event| &event["node"]).collect::<Vec<_>>(), ["ftp-1"]);
}

#[test]
fn a_network_interface_fails_over_and_a_client_is_served_again() {
    let (events, last) = success(Demo::start(&["--json"]));
    check(&events, &last, "eni");
    // The simulator takes 2.5 s to detach and 1.5 s to attach.
    assert!(millis(&last, "release_ms") >= 2500.0 && millis(&last, "claim_ms") >= 1500.0, "{last}");
}

#[test]
fn an_elastic_ip_fails_over_without_a_release() {
    let (events, last) = success(Demo::start(&["--mover", "eip", "--json"]));
    check(&events, &last, "eip");
    assert_eq!(millis(&last, "release_ms"), 0.0);
}

#[test]
fn a_failover_comes_through_a_fault_while_another_demo_runs() {
    let faulty = Demo::start(&["--fault", "stuck-detach", "--json"]);
    let other = Demo::start(&["--fault", "reply-lost", "--json"]);
    let (events, last) = success(faulty);
    check(&events, &last, "eni");
    assert!(events.iter().any(|event| event["event"] == "release_forced"), "{events:#?}");
    let (events, last) = success(other);
    check(&events, &last, "eni");
}

#[test]
fn a_reader_without_a_terminal_gets_plain_lines_and_the_timeline() {
    let (status, lines, stderr) = Demo::start(&["--mover", "eip"]).end();
    assert!(status.success(), "{stderr}");
    let text = lines.join("\n");
    assert!(!text.contains('\x1b'), "{text}");
    for part in ["killing ftp-1", "ftp-2 answered", "ftp-2 serves the floating address."] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    // The outage may begin before the kill, with the last answer: where a bar begins depends on the run.
    for row in ["detect", "outage"] {
        let drawn = |line: &String| line.trim_start().starts_with(row) && line.contains('█');
        assert!(lines.iter().any(drawn), "{row:?} has no bar in\n{text}");
    }
}

#[test]
fn an_interrupt_ends_it_at_once_and_leaves_nothing_behind() {
    let demo = Demo::start(&["--json"]);
    demo.line(|line| line.contains("move_started"));
    demo.interrupt();
    let (status, lines, stderr) = demo.end();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert!(!lines.iter().any(|line| line.contains("move_finished")), "{lines:#?}");
}

#[test]
fn a_fault_that_cannot_strike_the_mover_is_refused() {
    let (status, lines, stderr) = Demo::start(&["--mover", "eip", "--fault", "stuck-detach"]).end();
    assert_eq!((status.code(), lines), (Some(2), vec![]));
    assert!(stderr.contains("stuck-detach") && stderr.contains("Elastic IP"), "{stderr}");
}
