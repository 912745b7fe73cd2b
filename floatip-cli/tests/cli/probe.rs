use serde_json::json;

use crate::rig::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_round_of_healthy_targets_exits_0_with_a_row_for_each() {
    let site = Site::new().await;
    let ended = site.ask(&["probe", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let json = ended.json();
    let rows: Vec<_> = json["probes"].as_array().unwrap().iter().map(|row| (&row["node"], &row["result"])).collect();
    let healthy = json!("healthy");
    assert_eq!(rows, [(&json!("ftp-1"), &healthy), (&json!("ftp-2"), &healthy), (&json!(null), &healthy)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_target_exits_3_and_says_why() {
    let mut site = Site::new().await;
    site.kill(1);
    // A listener that is closed takes a moment to be gone: its task is aborted, not awaited.
    tokio::task::yield_now().await;
    let ended = site.ask(&["probe"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let row = ended.stdout.lines().find(|line| line.contains("ftp-2")).unwrap();
    assert!(row.contains("unhealthy") && row.contains("connection refused"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_resolved_exits_4_because_nothing_is_known() {
    let site = Site::new().await;
    let config = std::fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    let first = site.nodes[0].as_ref().unwrap().address.to_string();
    std::fs::write(site.desk.path("floatip.toml"), config.replace(&first, "no-such-host.invalid")).unwrap();
    let ended = site.ask(&["probe"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains("could not resolve no-such-host.invalid"), "{}", ended.stdout);
}
