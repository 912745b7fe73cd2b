//! The operator's brakes, each once on a running monitor.

use std::fs;

use serde_json::{Value, json};

use crate::rig::{Monitor, Service, Site};

/// A site with more in its configuration: behind `at`, which stands there already.
pub(crate) async fn site(at: &str, more: &str) -> Site {
    let site = Site::new().await;
    let file = site.desk.path("floatip.toml");
    let config = fs::read_to_string(&file).unwrap();
    assert!(config.contains(at));
    let config = config.replacen(at, &format!("{at}{more}"), 1);
    // One listener stands for the floating address whoever holds it: it would veto every failover.
    fs::write(file, config.replace("port = 21\n", "port = 21\nverify = false\n")).unwrap();
    site
}

pub(crate) async fn monitored(site: &Site) -> Monitor {
    let monitor = site.monitor(&["--event-log", "events.jsonl"]);
    site.status_until(|status| status["state"] == "serving" && all_healthy(status)).await;
    monitor
}

pub(crate) fn all_healthy(status: &Value) -> bool {
    status["nodes"].as_array().unwrap().iter().all(|node| node["health"] == "healthy")
}

pub(crate) fn events(site: &Site) -> Vec<Value> {
    let log = fs::read_to_string(site.desk.path("events.jsonl")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(site: &Site, event: &str) -> usize {
    events(site).iter().filter(|logged| logged["event"] == event).count()
}

/// The first such event, once it is logged: the status that shows it may be asked for before.
pub(crate) fn happened(site: &Site, event: &str) -> Value {
    for _ in 0..600 {
        if let Some(found) = events(site).into_iter().find(|logged| logged["event"] == event) {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("no {event} in {:#?}", events(site));
}

pub(crate) const POLICY: &str = "timeout = \"2s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_with_a_duration_is_shown_and_ends_by_itself() {
    let mut site = site("", "").await;
    let _monitor = monitored(&site).await;
    assert_eq!(site.ask(&["pause", "ftp", "--for", "3s", "--reason", "disks"]).code, Some(0));
    let status = site.status_until(|status| status["paused"] == true).await;
    assert!((1..=3000).contains(&status["pause_left_ms"].as_u64().unwrap()), "{status:#}");
    assert!(site.ask(&["status"]).stdout.contains(" more: disks\n"));
    site.kill(0).await;
    site.status_until(|status| status["holder"] == "ftp-2").await;
    assert_eq!(happened(&site, "paused")["for_ms"], json!(3000.0));
    happened(&site, "resumed");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_bound_on_moves_it_is_frozen_until_acknowledged() {
    let mut site = site(POLICY, "[floating_ip.policy]\nmax_moves = 1\n").await;
    let _monitor = monitored(&site).await;
    site.kill(0).await;
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    site.revive(0);
    site.status_until(all_healthy).await;
    site.kill(1).await;
    site.status_until(|status| status["state"] == "frozen").await;
    assert_eq!(happened(&site, "frozen")["moves"], json!(1));
    let acknowledged = site.ask(&["ack", "ftp"]);
    assert_eq!((acknowledged.code, acknowledged.stdout.as_str()), (Some(0), "ftp: acknowledged\n"));
    site.status_until(|status| status["holder"] == "ftp-1" && status["state"] == "serving").await;
    happened(&site, "acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_holder_is_left_and_a_drained_node_is_no_candidate_until_undrained() {
    let mut site = site("control = \"control.sock\"\n", "state_dir = \".\"\n").await;
    let monitor = monitored(&site).await;
    let drained = site.ask(&["drain", "ftp-1"]);
    assert_eq!(drained.code, Some(0), "{drained:?}");
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    assert_eq!(happened(&site, "node_drained")["node"], json!("ftp-1"));
    assert_eq!(happened(&site, "move_started")["cause"], json!("drain"));
    assert_eq!(monitor.end("-TERM").code, Some(0));
    let _monitor = monitored(&site).await;
    site.kill(1).await;
    site.status_until(|status| status["state"] == "no_candidate").await;
    assert!(site.ask(&["status"]).stdout.contains("drained"));
    assert_eq!(site.ask(&["undrain", "ftp-1"]).code, Some(0));
    site.status_until(|status| status["holder"] == "ftp-1").await;
    assert_eq!(site.ask(&["drain", "ftp-9"]).code, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_move_waits_until_the_node_is_idle_or_the_wait_is_over_and_force_does_not() {
    let probe = "[[floating_ip.probe]]\nkind = \"exec\"\ntells_idle = true\ncommand = [\"/bin/sh\", \"-c\", \"test -e idle-$0 && \
                 echo idle || { echo 3 sessions; exit 2; }\", \"{node}\"]\n";
    let site = site("timeout = \"2s\"\n", &format!("[floating_ip.policy]\nwait_for_idle = \"4s\"\n{probe}")).await;
    let monitor = monitored(&site).await;
    assert_eq!(site.ask(&["drain", "ftp-1"]).code, Some(0));
    let busy = |probe: &Value| {
        probe["role"] == "tells_idle" && probe["reason"].as_str().is_some_and(|reason| reason.contains("3 sessions"))
    };
    let waits = |status: &Value| {
        let probes = status["nodes"][0]["probes"].as_array().unwrap();
        status["state"] == "waiting_for_idle" && probes.iter().any(busy)
    };
    let status = site.status_until(waits).await;
    assert_eq!((&status["holder"], &status["nodes"][0]["health"]), (&json!("ftp-1"), &json!("healthy")));
    let waiting = happened(&site, "move_waiting");
    assert_eq!(
        (&waiting["from"], &waiting["to"], &waiting["cause"]),
        (&json!("ftp-1"), &json!("ftp-2"), &json!("drain"))
    );
    assert_eq!(waiting["at_most_ms"], json!(4000.0));
    // Nobody leaves, and the wait is over.
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    assert_eq!(happened(&site, "idle_wait_expired")["node"], json!("ftp-1"));
    // The last one leaves.
    assert_eq!(site.ask(&["drain", "ftp-2"]).code, Some(0));
    assert_eq!(site.ask(&["undrain", "ftp-1"]).code, Some(0));
    // It is told when the check has found somebody.
    site.status_until(|_| count(&site, "move_waiting") == 2).await;
    fs::write(site.desk.path("idle-ftp-2"), "").unwrap();
    site.status_until(|status| status["holder"] == "ftp-1" && status["state"] == "serving").await;
    assert_eq!(count(&site, "idle_wait_expired"), 1);
    // An operator who insists does not wait.
    let forced = site.ask(&["move", "ftp", "--to", "ftp-2", "--force"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert_eq!(count(&site, "move_waiting"), 2);
    assert_eq!(monitor.end("-TERM").code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_keeps_changing_is_shown_to_flap_and_no_failback_goes_to_it() {
    let policy = "[floating_ip.policy]\nprefer = [\"ftp-1\"]\ncooldown = \"0s\"\nfailback = { after = \"1s\" }\n\
                  flap_window = \"1h\"\n";
    let mut site = site(POLICY, policy).await;
    let _monitor = monitored(&site).await;
    // The first time it comes back, so does the address.
    site.kill(0).await;
    site.status_until(|status| status["holder"] == "ftp-2").await;
    site.revive(0);
    site.status_until(|status| status["holder"] == "ftp-1" && status["state"] == "serving").await;
    site.kill(0).await;
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    site.revive(0);
    let status = site.status_until(|status| all_healthy(status) && status["nodes"][0]["flapping"] == true).await;
    assert_eq!(status["nodes"][1]["flapping"], false, "{status:#}");
    assert!(site.ask(&["status"]).stdout.contains("flapping"));
    // It is due a second after that; three pass, by the answers of the monitor.
    let came_up = events(&site).len();
    let since = std::time::Instant::now();
    let status = site.status_until(|_| since.elapsed().as_secs() >= 3).await;
    assert_eq!(status["holder"], "ftp-2", "{:#?}", &events(&site)[came_up..]);
    // It is the last choice, and better than none.
    site.kill(1).await;
    site.status_until(|status| status["holder"] == "ftp-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_recoveries_off_an_operator_decides() {
    let mut site = site("control = \"control.sock\"\n", "recoveries = false\n").await;
    let _monitor = monitored(&site).await;
    site.kill(0).await;
    site.status_until(|status| status["state"] == "recoveries_off").await;
    assert_eq!(happened(&site, "recovery_suppressed")["to"], json!("ftp-2"));
    assert_eq!(site.ask(&["move", "ftp", "--to", "ftp-2"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failback_is_made_to_the_preferred_node_or_told() {
    let policy = "[floating_ip.policy]\nprefer = [\"ftp-2\"]\ncooldown = \"0s\"\n";
    for (failback, event) in [("\"manual\"", "failback_due"), ("{ after = \"1s\" }", "move_finished")] {
        let site = site(POLICY, &format!("{policy}failback = {failback}\n")).await;
        let _monitor = monitored(&site).await;
        let holder = if event == "move_finished" { "ftp-2" } else { "ftp-1" };
        let told = || events(&site).iter().any(|logged| logged["event"] == event);
        // A status may have been asked for just before the event was told.
        site.status_until(|status| told() && status["holder"] == json!(holder)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_was_stopped_says_so_and_trusts_nothing_from_before() {
    let site = site("", "").await;
    let mut monitor = monitored(&site).await;
    monitor.signal("-STOP");
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    monitor.signal("-CONT");
    monitor.read_until("stood still");
    // The event log is written after the log; new verdicts come after both.
    site.status_until(|status| status["state"] == "serving").await;
    let by = happened(&site, "clock_jumped")["by_ms"].as_f64().unwrap();
    assert!(by > 5000.0, "{by}");
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60011"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_serves_though_its_own_host_fails_keeps_its_address() {
    let mut site = Site::new().await;
    let _monitor = monitored(&site).await;
    site.kill(0).await;
    // The floating address of this site is a service of its own, which goes on answering.
    site.status_until(|status| status["state"] == "unreachable_but_serving").await;
    happened(&site, "holder_unreachable_but_serving");
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60011"));
}

/// A second listener stands for a gateway; the monitor runs on the standby.
async fn standby(witness: Option<&Service>) -> Site {
    let local = "name = \"ftp-2\"\n";
    let witness = witness.map_or_else(String::new, |witness| {
        format!("[[witness]]\nname = \"gateway\"\nkind = \"tcp\"\nport = 7\nhost = \"{}\"\n", witness.address)
    });
    let site = site(local, "local = true\n").await;
    let file = site.desk.path("floatip.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{config}{witness}")).unwrap();
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_whose_witness_is_silent_takes_itself_for_cut_off_and_moves_nothing() {
    let gateway = Service::start();
    let mut site = standby(Some(&gateway)).await;
    let _monitor = monitored(&site).await;
    let gateway = gateway.end().await;
    site.kill(0).await;
    let status = site.status_until(|status| status["state"] == "isolated").await;
    assert_eq!((&status["holder"], &status["witnesses"][0]["name"]), (&json!("ftp-1"), &json!("gateway")));
    let told = happened(&site, "monitor_isolated");
    assert_eq!((&told["reachable"], &told["quorum"]), (&json!(0), &json!(1)));
    let _gateway = gateway.open();
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    happened(&site, "isolation_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_on_the_standby_without_a_witness_is_warned_of_and_moves_nothing() {
    let mut site = standby(None).await;
    let checked = site.ask(&["check"]);
    assert!(checked.stderr.contains("the monitor runs on ftp-2 and has no witness"), "{}", checked.stderr);
    let _monitor = monitored(&site).await;
    site.kill(0).await;
    let status = site.status_until(|status| status["state"] == "no_witness").await;
    assert_eq!(status["holder"], json!("ftp-1"));
    assert_eq!(happened(&site, "no_witness")["holder"], json!("ftp-1"));
}

/// What a hook has written into the file, once it has.
async fn written(site: &Site, file: &str) -> String {
    for _ in 0..600 {
        if let Ok(text) = fs::read_to_string(site.desk.path(file))
            && text.ends_with('\n')
        {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{file} was not written: {:#?}", events(site));
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_veto_a_failover_and_are_told_of_its_end_without_secrets() {
    let mut site = Site::new().await;
    let (veto, told, all) = ("veto", "told", "all");
    let [veto_path, told_path, all_path] = [veto, told, all].map(|name| site.desk.path(name).display().to_string());
    let hooks = [
        ("pre_move", format!("test ! -e {veto_path} || {{ echo not $1 now; exit 1; }}")),
        (
            "post_move",
            format!(
                "echo $FLOATIP_RESULT $FLOATIP_TO $FLOATIP_CAUSE $1 $FLOATIP_ADDRESS. > {told_path}.new; env >> {told_path}.new; mv {told_path}.new {told_path}"
            ),
        ),
        ("on_event", format!("echo $FLOATIP_EVENT >> {all_path}; sleep 600")),
    ];
    let hooks: String = hooks
        .iter()
        .map(|(on, script)| {
            let command = ["/bin/sh", "-c", script, "hook", "{to}"];
            let arguments = if *on == "on_event" { &command[..3] } else { &command[..] };
            let timeout = if *on == "on_event" { "1s" } else { "10s" };
            format!("[[hook]]\nname = \"{on}\"\non = \"{on}\"\ntimeout = \"{timeout}\"\ncommand = {arguments:?}\n")
        })
        .collect();
    let file = site.desk.path("floatip.toml");
    let config = fs::read_to_string(&file).unwrap().replace("port = 21\n", "port = 21\nverify = false\n");
    fs::write(&file, format!("{config}{hooks}")).unwrap();
    fs::write(site.desk.path(veto), "").unwrap();
    let _monitor = monitored(&site).await;
    site.kill(0).await;
    site.status_until(|status| status["state"] == "vetoed").await;
    assert_eq!(happened(&site, "move_vetoed")["reason"], json!("pre_move: not ftp-2 now"));
    fs::remove_file(site.desk.path(veto)).unwrap();
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    let told = written(&site, told).await;
    assert!(told.starts_with("finished ftp-2 failover ftp-2 127."), "{told}");
    assert!(!told.contains("AWS_SECRET") && !told.contains("hunter2"), "{told}");
    // The hook of events hangs each time, and is killed.
    assert!(!written(&site, all).await.is_empty());
    site.status_until(|_| {
        let ended = |logged: &Value| logged["hook"] == "on_event" && logged["result"] == "timed_out";
        events(&site).iter().any(ended)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_says_why_it_moved_and_why_it_did_not_also_after_a_restart() {
    let mut site = site("control = \"control.sock\"\n", "state_dir = \"state\"\n").await;
    fs::create_dir_all(site.desk.path("state")).unwrap();
    let monitor = monitored(&site).await;
    assert_eq!(site.ask(&["history"]).stdout, "ftp: nothing was decided yet\n");
    assert_eq!(site.ask(&["pause", "ftp", "--reason", "disks"]).code, Some(0));
    site.kill(0).await;
    let held = |_: &Value| events(&site).iter().any(|logged| logged["event"] == "move_held");
    site.status_until(held).await;
    assert_eq!(site.ask(&["resume", "ftp"]).code, Some(0));
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    assert_eq!(monitor.end("-TERM").code, Some(0));
    let _monitor = site.monitor(&[]);
    let shown = site.ask(&["history", "ftp"]).stdout;
    for expected in [
        " ftp order: paused by an operator: disks\n",
        " ftp hold: a failover from ftp-1 to ftp-2 is held: it is paused\n  known then: ftp-1 unhealthy (connection refused), ftp-2 healthy, on ftp-1\n",
        " ftp move: move 1 started from ftp-1 to ftp-2 (failover)\n",
        "  await_released ",
        "  move finished after ",
    ] {
        assert!(shown.contains(expected), "{expected} is missing in\n{shown}");
    }
    let json = site.ask(&["history", "--json", "--last", "1"]).json();
    let [decision] = &json["floating_ips"][0]["decisions"].as_array().unwrap()[..] else { panic!("{json:#}") };
    assert_eq!((&decision["decision"], &decision["end"]["event"]), (&json!("move"), &json!("move_finished")));
    assert_eq!(site.ask(&["history", "www"]).code, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_does_not_answer_though_its_holder_does_is_told_or_claimed_anew() {
    for (setting, reclaims) in [("alert", false), ("reclaim", true)] {
        let mut site = Site::new().await;
        let file = site.desk.path("floatip.toml");
        let policy = format!("[floating_ip.policy]\ncooldown = \"0s\"\naddress_unreachable = \"{setting}\"\n");
        fs::write(&file, fs::read_to_string(&file).unwrap() + &policy).unwrap();
        let _monitor = monitored(&site).await;
        // Verified, so that the address is known to answer from here.
        assert_eq!(site.ask(&["move", "ftp", "--to", "ftp-2"]).code, Some(0));
        site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
        let finished = |cause: &str| {
            let of = |logged: &&Value| logged["event"] == "move_finished" && logged["cause"] == cause;
            events(&site).iter().find(of).cloned()
        };
        assert_eq!(finished("switchover").expect("the move is logged")["verification"], json!("verified"));
        let attachment = site.attachment();
        site.silence().await;
        let told = || events(&site).iter().any(|logged| logged["event"] == "address_unreachable");
        let anew = || site.attachment().is_some() && site.attachment() != attachment;
        site.status_until(|_| told() && (anew() || !reclaims)).await;
        site.end_silence();
        let well = || events(&site).iter().any(|logged| logged["event"] == "address_reachable");
        let cause = |cause: &str| {
            events(&site).iter().any(|logged| logged["cause"] == cause && logged["event"] == "move_finished")
        };
        site.status_until(|status| status["state"] == "serving" && well() && cause("reclaim") == reclaims).await;
        assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60012"), "{setting}");
        assert_eq!(site.attachment() == attachment, !reclaims, "{setting}");
    }
}
