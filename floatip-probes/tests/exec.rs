//! The exec probe with real programs.
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::path::Path;
use std::time::Duration;

use floatip_core::{HealthProbe, NodeId, ProbeError, Reason, Target, Verdict, Via};
use floatip_probes::ExecProbe;
use tokio::time::{Instant, sleep, timeout};

const AMPLE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(2);

fn target(timeout: Duration) -> Target {
    Target::new(NodeId::new("ftp-1").unwrap(), "10.0.0.5:2121".parse().unwrap(), Via::Direct, timeout)
}

/// A program that is a script, with these arguments.
fn script(script: &str, arguments: &[&str]) -> ExecProbe {
    ExecProbe::new("/bin/sh", ["-c", script, "script"].iter().chain(arguments).copied()).unwrap()
}

async fn run(text: &str) -> Result<Verdict, ProbeError> {
    script(text, &[]).probe(&target(AMPLE)).await
}

/// Waits until no process of this number runs any more.
async fn is_gone(pid: &str) -> bool {
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next().map(str::to_owned));
        state.is_some_and(|state| state != "Z" && state != "X")
    };
    let gone = async {
        while alive() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(AMPLE, gone).await.is_ok()
}

async fn pid_in(file: &Path) -> String {
    let written = async {
        loop {
            match std::fs::read_to_string(file) {
                Ok(pid) if pid.ends_with('\n') => return pid.trim().to_owned(),
                Ok(_) | Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(AMPLE, written).await.unwrap()
}

#[tokio::test]
async fn exit_codes_mean_what_they_mean_to_nagios() {
    assert_eq!(run("echo 'DISK OK - 9 GB free|free=9GB'; exit 0").await.unwrap(), Verdict::healthy());
    let warned = Verdict::healthy().with_warning("DISK WARNING - 1 GB");
    assert_eq!(run("echo 'DISK WARNING - 1 GB | free=1GB'; echo more; exit 1").await.unwrap(), warned);
    let critical = Verdict::unhealthy(Reason::Failed { detail: "DISK CRITICAL".into() });
    assert_eq!(run("echo; echo 'DISK CRITICAL'; exit 2").await.unwrap(), critical);
    for (script, said) in [
        ("echo 'no such disk'; exit 3", "could not do its work (exit code 3)"),
        ("exit 127", "ended with code 127"),
        ("kill -SEGV $$", "was killed by signal 11"),
    ] {
        let error = run(script).await.unwrap_err();
        assert!(matches!(&error, ProbeError::Unusable { what, .. } if what.contains(said)), "{error:?}");
    }
}

#[tokio::test]
async fn standard_error_speaks_where_standard_output_is_silent() {
    let verdict = run("echo 'cannot connect' >&2; exit 2").await.unwrap();
    assert_eq!(verdict.reason.unwrap().to_string(), "cannot connect");
    assert_eq!(run("exit 2").await.unwrap().reason.unwrap().to_string(), "(no words)");
}

#[tokio::test]
async fn arguments_are_filled_in_and_touched_by_no_shell() {
    let arguments = ["{node}", "{host}:{port}", "{via}", "{timeout}", "$(echo x); `y` *"];
    let verdict = script(r#"echo "$#" "$@"; exit 1"#, &arguments).probe(&target(AMPLE)).await.unwrap();
    assert_eq!(verdict.warnings, ["5 ftp-1 10.0.0.5:2121 direct 20 $(echo x); `y` *"]);
}

#[tokio::test]
async fn the_environment_says_whom_to_check_and_keeps_the_monitors_secrets() {
    let told = r#"echo "$FLOATIP_NODE $FLOATIP_HOST $FLOATIP_PORT $FLOATIP_VIA $FLOATIP_TIMEOUT"; exit 1"#;
    assert_eq!(run(told).await.unwrap().warnings, ["ftp-1 10.0.0.5 2121 direct 20"]);
    // Cargo sets it for tests: it stands for a password.
    let secret = r#"echo "${CARGO_MANIFEST_DIR-not passed}"; exit 1"#;
    assert_eq!(run(secret).await.unwrap().warnings, ["not passed"]);
    let passed = script(secret, &[]).pass(["CARGO_MANIFEST_DIR"]).probe(&target(AMPLE)).await.unwrap();
    assert_eq!(passed.warnings, [env!("CARGO_MANIFEST_DIR")]);
}

#[tokio::test]
async fn a_program_that_hangs_is_unhealthy_at_the_timeout_and_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let probe = script(r#"sleep 1000 & echo $! >"$1"; wait"#, &[file.to_str().unwrap()]);
    let started = Instant::now();
    let verdict = probe.probe(&target(SHORT)).await.unwrap();
    assert_eq!(verdict.reason, Some(Reason::TimedOut { stage: "the program".into() }));
    assert!((SHORT..AMPLE / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert!(is_gone(&pid_in(&file).await).await);
}

#[tokio::test]
async fn a_check_that_is_dropped_kills_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let probe = script(r#"sleep 1000 & echo $! >"$1"; wait"#, &[file.to_str().unwrap()]);
    let check = tokio::spawn(async move { probe.probe(&target(AMPLE)).await });
    let pid = pid_in(&file).await;
    check.abort();
    assert!(check.await.unwrap_err().is_cancelled());
    assert!(is_gone(&pid).await);
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed_and_does_not_delay_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let probe = script(r#"sleep 1000 & echo $! >"$1"; echo done; exit 1"#, &[file.to_str().unwrap()]);
    let started = Instant::now();
    assert_eq!(probe.probe(&target(AMPLE)).await.unwrap().warnings, ["done"]);
    assert!(started.elapsed() < AMPLE / 2, "{:?}", started.elapsed());
    assert!(is_gone(&pid_in(&file).await).await);
}

#[tokio::test]
async fn endless_output_is_cut_and_a_program_is_never_blocked_by_what_it_says() {
    let verdict = run("head -c 3000000 /dev/zero | tr '\\0' x; exit 2").await.unwrap();
    let reason = verdict.reason.unwrap().to_string();
    assert!(reason.starts_with("xxx") && reason.chars().count() <= 201, "{reason}");
    let verdict = script("while :; do echo x; done", &[]).probe(&target(SHORT)).await.unwrap();
    assert_eq!(verdict.reason, Some(Reason::TimedOut { stage: "the program".into() }));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_no_verdict() {
    let nothing: [&str; 0] = [];
    let missing = ExecProbe::new("/no/such/program", nothing).unwrap().probe(&target(AMPLE)).await.unwrap_err();
    assert_eq!(missing.to_string(), "the probe is not usable: /no/such/program does not exist");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, "no program").unwrap();
    let refused = ExecProbe::new(file.to_str().unwrap(), nothing).unwrap().probe(&target(AMPLE)).await.unwrap_err();
    assert!(matches!(refused, ProbeError::NotPermitted { .. }), "{refused:?}");
    assert!(ExecProbe::new("sh", nothing).is_err(), "nothing is searched for in PATH");
}
