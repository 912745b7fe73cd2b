//! What an operator meets who is in a hurry.

use floatip_aws::simulator::{Action, Fault, When};
use serde_json::json;

use crate::rig::{Desk, Site, VALID};

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_terminal_does_not_end_the_monitor() {
    let site = Site::new().await;
    let mut monitor = site.monitor(&[]);
    monitor.signal("-HUP");
    monitor.read_until("SIGHUP changes nothing");
    assert_eq!(site.ask(&["status"]).code, Some(0));
    assert_eq!(monitor.end("-TERM").code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_do_is_reported_in_json() {
    let site = Site::new().await;
    let monitor = site.monitor(&[]);
    for (arguments, result) in [(["pause", "--all", "--json"], "paused"), (["resume", "ftp", "--json"], "resumed")] {
        let ended = site.ask(&arguments);
        assert_eq!(ended.json(), json!({ "floating_ips": [{ "name": "ftp", "result": result }] }));
    }
    for (verb, result) in [("drain", "drained"), ("undrain", "undrained")] {
        let told = json!({ "name": "ftp", "node": "ftp-2", "result": result });
        assert_eq!(site.ask(&[verb, "ftp-2", "--json"]).json(), json!({ "floating_ips": [told] }));
    }
    monitor.end("-TERM");
    let ended = site.ask(&["run", "--once", "--json"]);
    let decision = json!({ "name": "ftp", "result": "healthy", "holder": "ftp-1", "reason": null });
    assert_eq!((ended.code, ended.json()), (Some(0), json!({ "floating_ips": [decision] })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_spoilt_since_does_not_hide_the_monitor() {
    let site = Site::new().await;
    let _monitor = site.monitor(&[]);
    let config = std::fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    std::fs::write(site.desk.path("floatip.toml"), format!("{config}\n[floating_ip.helth]\nfall = = 3\n")).unwrap();
    let ended = site.ask(&["status"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_whose_provider_is_dead_starts_says_so_and_recovers() {
    let site = Site::new().await;
    site.simulator.faults().set(Action::DescribeNetworkInterfaces, Fault::InternalError, When::Always);
    let mut monitor = site.monitor(&[]);
    monitor.read_until("the provider could not be read, so the holder is unknown and nothing moves");
    site.status_until(|status| status["state"] == "unreadable").await;
    site.simulator.faults().clear();
    monitor.read_until("the provider could be read again");
    site.status_until(|status| status["state"] == "serving").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_monitor_can_know_is_refused_in_words() {
    let site = Site::new().await;
    let _monitor = site.monitor(&[]);
    for (name, words) in [("..", "is the name right"), ("ftq", "; known: ftp")] {
        let ended = site.ask(&["pause", name]);
        assert_eq!(ended.code, Some(6), "{ended:?}");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_told_so() {
    let desk = Desk::new(VALID);
    let socket = format!("{}.sock", "x".repeat(200));
    let ended = desk.run(&["status", "--control", &socket]);
    assert!(ended.stderr.contains("choose a shorter one"), "{}", ended.stderr);
    let ended = desk
        .command(&["run", "-c", "floatip.toml", "--control", &socket])
        .env("AWS_REGION", "eu-test-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && stderr.contains("choose a shorter one"), "{stderr}");
}
