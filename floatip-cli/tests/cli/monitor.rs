use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use floatip_aws::simulator::{Action, Entry, Fault, Timings, When};
use serde_json::{Value, json};

use crate::rig::Site;

fn serving(status: &Value) -> bool {
    let healthy = |node: &Value| node["health"] == "healthy";
    status["state"] == "serving" && status["nodes"].as_array().unwrap().iter().all(healthy)
}

#[tokio::test(flavor = "multi_thread")]
async fn status_has_the_documented_shape_and_the_socket_the_documented_mode() {
    let site = Site::new().await;
    let _monitor = site.monitor(&[]);
    let status = site.status_until(serving).await;
    assert_eq!(
        (&status["name"], &status["holder"], &status["paused"]),
        (&json!("ftp"), &json!("ftp-1"), &json!(false))
    );
    assert!(status["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let node = &status["nodes"][1];
    assert_eq!((&node["name"], &node["health"], &node["reason"]), (&json!("ftp-2"), &json!("healthy"), &Value::Null));
    let mode = std::fs::metadata(site.desk.path("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let shown = site.ask(&["status"]).stdout;
    assert!(shown.starts_with("ftp 127.0.0.1:") && shown.contains(": serving, on ftp-1\n"), "{shown}");
    assert!(shown.contains("│ ftp-2 ") && shown.contains("  last event 2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_move_is_tried_refused_made_and_repeated() {
    let site = Site::new().await;
    let _monitor = site.monitor(&[]);
    site.status_until(serving).await;
    let dry = site.ask(&["move", "ftp", "--to", "ftp-2", "--dry-run"]);
    assert_eq!((dry.code, dry.stdout.as_str()), (Some(0), "ftp: would move from ftp-1 to ftp-2\n"));
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60011"));
    for (arguments, reason) in [
        (["move", "ftp", "--to", "ftp-3"], "error: ftp has no node named \"ftp-3\"; known: ftp-1, ftp-2\n"),
        (["move", "a b/?", "--to", "ftp-2"], "error: there is no floating IP named \"a b/?\"; known: ftp\n"),
    ] {
        let refused = site.ask(&arguments);
        assert_eq!((refused.code, refused.stderr.as_str()), (Some(6), reason));
    }
    let moved = site.ask(&["move", "ftp", "--to", "ftp-2", "--json"]);
    assert_eq!(moved.code, Some(0), "{moved:?}");
    assert_eq!((&moved.json()["result"], &moved.json()["to"]), (&json!("moved"), &json!("ftp-2")));
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60012"));
    let again = site.ask(&["move", "ftp", "--to", "ftp-2"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "ftp: ftp-2 holds the address already\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_the_provider_denies_exits_1_with_the_reason() {
    let site = Site::new().await;
    let _monitor = site.monitor(&[]);
    // It has found out who could receive the address: what is denied from here on makes no node impossible beforehand.
    let tried = |entry: &Entry| {
        entry.action == Action::DetachNetworkInterface.name() && entry.parameter("DryRun") == Some("true")
    };
    site.status_until(|status| serving(status) && site.simulator.journal().entries().iter().any(tried)).await;
    site.simulator.faults().set(Action::DetachNetworkInterface, Fault::Denied, When::Always);
    let failed = site.ask(&["move", "ftp", "--to", "ftp-2"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.starts_with("error: the move failed: "), "{}", failed.stderr);
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60011"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signal_lets_a_move_land_and_a_second_one_ends_at_once() {
    let site = Site::with(Timings::instant().detach(Duration::from_secs(600))).await;
    let mut monitor = site.monitor(&[]);
    site.status_until(serving).await;
    let started = site.ask(&["move", "ftp", "--to", "ftp-2", "--no-wait"]);
    assert_eq!(started.code, Some(0), "{started:?}");
    assert!(started.stdout.starts_with("ftp: the move has started"), "{}", started.stdout);
    site.status_until(|status| status["placement"].as_str().unwrap().starts_with("leaving")).await;
    monitor.signal("-TERM");
    monitor.read_until("ending; a second signal ends at once");
    assert_eq!(site.ask(&["status"]).code, Some(0), "the move is under way, so the monitor is");
    assert_eq!(monitor.end("-TERM").code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_with_its_reason_shows_until_it_is_resumed() {
    let site = Site::new().await;
    let _monitor = site.monitor(&[]);
    site.status_until(serving).await;
    let paused = site.ask(&["pause", "--all", "--reason", "new disks"]);
    assert_eq!((paused.code, paused.stdout.as_str()), (Some(0), "ftp: paused\n"));
    let status = site.status_until(|status| status["paused"] == true).await;
    assert_eq!((&status["state"], &status["pause_reason"]), (&json!("paused"), &json!("new disks")));
    assert!(site.ask(&["status"]).stdout.contains("  paused: new disks\n"));
    let resumed = site.ask(&["resume", "ftp"]);
    assert_eq!((resumed.code, resumed.stdout.as_str()), (Some(0), "ftp: resumed\n"));
    site.status_until(serving).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_monitor_cleanly_and_takes_the_socket_away() {
    for signal in ["-TERM", "-INT"] {
        let site = Site::new().await;
        let monitor = site.monitor(&["--event-log", "events.jsonl"]);
        site.status_until(serving).await;
        let ended = monitor.end(signal);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!site.desk.path("control.sock").exists());
        let log = std::fs::read_to_string(site.desk.path("events.jsonl")).unwrap();
        let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let changed = events.iter().find(|event| event["event"] == "holder_changed").unwrap();
        assert_eq!((&changed["floating_ip"], &changed["to"]), (&json!("ftp"), &json!("ftp-1")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_monitors_are_kept_apart_and_a_killed_one_is_replaced() {
    let site = Site::new().await;
    let monitor = site.monitor(&[]);
    for arguments in [&["run"][..], &["run", "--once"]] {
        let refused = site.ask(arguments);
        assert_eq!(refused.code, Some(7), "{refused:?}");
        assert!(refused.stderr.contains("error: another monitor is running: process "), "{}", refused.stderr);
    }
    assert_eq!(monitor.end("-KILL").code, None);
    assert!(site.desk.path("control.sock").exists());
    let monitor = site.monitor(&[]);
    assert_eq!(site.ask(&["status"]).code, Some(0));
    assert_eq!(monitor.end("-TERM").code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn once_leaves_a_healthy_holder_alone_and_exits_0() {
    let site = Site::new().await;
    let ended = site.ask(&["run", "--once"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "ftp: healthy on ftp-1\n"), "{}", ended.stderr);
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60011"));
}

#[tokio::test(flavor = "multi_thread")]
async fn once_moves_from_a_dead_holder_and_exits_10() {
    let mut site = Site::new().await;
    site.kill(0).await;
    let config = std::fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    // One listener stands for the floating address whoever holds it: it would veto the move.
    let config = config.replace("port = 21\n", "port = 21\nverify = false\n");
    std::fs::write(site.desk.path("floatip.toml"), config).unwrap();
    let ended = site.ask(&["run", "--once", "--event-log", "events.jsonl"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(10), "ftp: moved to ftp-2\n"), "{}", ended.stderr);
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60012"));
    let log = std::fs::read_to_string(site.desk.path("events.jsonl")).unwrap();
    assert!(log.contains("\"event\":\"move_finished\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_exits_1_if_no_node_is_well_and_moves_nothing() {
    let mut site = Site::new().await;
    site.kill(0).await;
    site.kill(1).await;
    let ended = site.ask(&["run", "--once"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.starts_with("ftp: failed: "), "{}", ended.stdout);
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60011"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_can_be_json() {
    let site = Site::new().await;
    let monitor = site.monitor(&["-vv", "--log-format", "json"]);
    site.status_until(serving).await;
    let ended = monitor.end("-TERM");
    for line in ended.stderr.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(record["timestamp"].is_string() && record["level"].is_string(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_on_a_paused_floating_ip_does_not_wait_for_a_provider_that_cannot_be_read() {
    let site = Site::new().await;
    let file = site.desk.path("floatip.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("state_dir = \".\"\n{config}")).unwrap();
    let monitor = site.monitor(&[]);
    site.status_until(serving).await;
    assert_eq!(site.ask(&["pause", "ftp"]).code, Some(0));
    assert_eq!(monitor.end("-TERM").code, Some(0));
    site.simulator.faults().set(Action::DescribeNetworkInterfaces, Fault::Denied, When::Always);
    let begun = std::time::Instant::now();
    let ended = site.ask(&["run", "--once"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.starts_with("ftp: failed: paused: unknown: "), "{}", ended.stdout);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
