//! What the policy says of moves that nobody asked for, each once on a running monitor.

use std::fs;
use std::time::Duration;

use floatip_aws::simulator::{Action, Entry};
use serde_json::json;

use crate::brakes::{POLICY, all_healthy, events, happened, monitored, site};
use crate::rig::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_its_reason_and_what_is_left_of_it_survive_a_restart() {
    let mut site = site("control = \"control.sock\"\n", "state_dir = \".\"\n").await;
    let monitor = monitored(&site).await;
    assert_eq!(site.ask(&["pause", "ftp", "--for", "1h", "--reason", "disks"]).code, Some(0));
    assert_eq!(monitor.end("-TERM").code, Some(0));
    let _monitor = site.monitor(&[]);
    let status = site.status_until(all_healthy).await;
    assert_eq!((&status["state"], &status["pause_reason"]), (&json!("paused"), &json!("disks")), "{status:#}");
    let left = status["pause_left_ms"].as_u64().unwrap();
    assert!((3_500_000..3_600_000).contains(&left), "{left}");
    site.kill(0).await;
    site.status_until(|status| status["nodes"][0]["health"] == "unhealthy").await;
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60011"));
    assert_eq!(site.ask(&["resume", "ftp"]).code, Some(0));
    site.status_until(|status| status["holder"] == "ftp-2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_maintenance_is_left_and_is_no_candidate_while_the_file_is_there() {
    let probe = "[[floating_ip.probe]]\nkind = \"file\"\npath = \"maintained-{node}\"\n";
    let mut site = site(POLICY, probe).await;
    let config = fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    let folder = site.desk.path("maintained-").display().to_string();
    fs::write(site.desk.path("floatip.toml"), config.replace("maintained-", &folder)).unwrap();
    let _monitor = monitored(&site).await;
    let file = site.desk.path("maintained-ftp-1");
    fs::write(&file, "new disks").unwrap();
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    let began = happened(&site, "maintenance_began");
    assert!(began["node"] == "ftp-1" && began["reason"].as_str().unwrap().contains("new disks"), "{began}");
    assert_eq!(happened(&site, "move_started")["cause"], json!("drain"));
    site.kill(1).await;
    site.status_until(|status| status["state"] == "no_candidate").await;
    fs::remove_file(file).unwrap();
    site.status_until(|status| status["holder"] == "ftp-1").await;
    assert_eq!(happened(&site, "maintenance_ended")["node"], json!("ftp-1"));
}

/// Somebody moves the interface to the other node.
fn drift(site: &Site) {
    let console = site.simulator.console();
    console.detach("eni-0a1b2c3d4e5f60001", false).unwrap();
    console.attach("eni-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60012", 1).unwrap();
    console.delete_on_termination("eni-0a1b2c3d4e5f60001", false).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_drifted_stays_or_is_moved_back_as_the_policy_has_it() {
    for (policy, restored) in [("adopt", false), ("restore", true)] {
        let site = site(POLICY, &format!("[floating_ip.policy]\ncooldown = \"0s\"\ndrift = \"{policy}\"\n")).await;
        let file = site.desk.path("floatip.toml");
        let config = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("sweep = \"1s\"\n{config}")).unwrap();
        let _monitor = monitored(&site).await;
        drift(&site);
        let told = |site: &Site| events(site).iter().any(|logged| logged["event"] == "address_drifted");
        site.status_until(|_| told(&site)).await;
        let drifted = happened(&site, "address_drifted");
        assert_eq!((&drifted["from"], &drifted["to"]), (&json!("ftp-1"), &json!("ftp-2")));
        assert_eq!(drifted["restored"], json!(restored));
        let holder = if restored { "ftp-1" } else { "ftp-2" };
        site.status_until(|status| status["holder"] == holder && status["state"] == "serving").await;
        if restored {
            assert_eq!(happened(&site, "move_started")["cause"], json!("restore"));
        } else {
            assert!(!events(&site).iter().any(|logged| logged["event"] == "move_started"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failback_waits_for_the_cool_down() {
    let policy = "[floating_ip.policy]\nprefer = [\"ftp-1\"]\ncooldown = \"4s\"\nfailback = { after = \"1s\" }\n\
                  flap_window = \"0s\"\n";
    let mut site = site(POLICY, policy).await;
    let _monitor = monitored(&site).await;
    site.kill(0).await;
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    site.revive(0);
    site.status_until(|status| status["holder"] == "ftp-1" && status["state"] == "serving").await;
    let entries = site.simulator.journal().entries();
    let requests = |action: Action| {
        let of = move |entry: &&Entry| entry.action == action.name() && entry.parameter("DryRun") != Some("true");
        entries.iter().filter(of)
    };
    // The first move ends after its claim has arrived, and the failback begins before its release does.
    let released = requests(Action::DetachNetworkInterface).nth(1).unwrap().at;
    let claimed = requests(Action::AttachNetworkInterface).take_while(|entry| entry.at < released).last().unwrap().at;
    assert!(released - claimed >= Duration::from_secs(4), "{:?}", released - claimed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_does_not_wait_for_the_cool_down() {
    let policy = "[floating_ip.policy]\nprefer = [\"ftp-1\"]\ncooldown = \"1h\"\nfailback = { after = \"1s\" }\n";
    let mut site = site(POLICY, policy).await;
    let _monitor = monitored(&site).await;
    site.kill(0).await;
    site.status_until(|status| status["holder"] == "ftp-2" && status["state"] == "serving").await;
    site.revive(0);
    site.status_until(all_healthy).await;
    site.kill(1).await;
    site.status_until(|status| status["holder"] == "ftp-1").await;
    let started = events(&site).into_iter().filter(|logged| logged["event"] == "move_started");
    assert_eq!(started.map(|logged| logged["cause"].clone()).collect::<Vec<_>>(), ["failover", "failover"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_on_a_stranger_is_left_there_unless_the_policy_takes_it() {
    for take in [false, true] {
        let site = site(POLICY, &format!("[floating_ip.policy]\ntake_from_strangers = {take}\n")).await;
        let file = site.desk.path("floatip.toml");
        let config = fs::read_to_string(&file).unwrap();
        // The node is no longer the instance that has the interface.
        fs::write(
            &file,
            format!("sweep = \"1s\"\n{}", config.replace("\"i-0a1b2c3d4e5f60012\"", "\"i-0a1b2c3d4e5f60013\"")),
        )
        .unwrap();
        drift(&site);
        let _monitor = site.monitor(&["--event-log", "events.jsonl"]);
        if take {
            site.status_until(|status| status["holder"] == "ftp-1" && status["state"] == "serving").await;
        } else {
            site.status_until(|status| status["state"] == "held_by_stranger" && all_healthy(status)).await;
            assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60012"));
        }
        let told = happened(&site, "address_held_by_stranger");
        assert!(told["description"].as_str().unwrap().contains("i-0a1b2c3d4e5f60012"), "{told}");
    }
}
