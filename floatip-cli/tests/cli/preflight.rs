use floatip_aws::simulator::{Action, Fault, When};
use serde_json::{Value, json};

use crate::rig::Site;

/// The checks of a report that are not a pass.
fn troubles(report: &Value) -> Vec<(Value, Value, Value)> {
    let findings = report["findings"].as_array().unwrap().iter();
    let troubled = findings.filter(|finding| finding["status"] != "pass");
    troubled.map(|it| (it["check"].clone(), it["node"].clone(), it["status"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_it_exits_0_and_has_changed_nothing() {
    let site = Site::new().await;
    let ended = site.ask(&["preflight", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = ended.json();
    assert_eq!(troubles(&report), []);
    let of = |check: &str| report["findings"].as_array().unwrap().iter().filter(|it| it["check"] == check).count();
    assert_eq!([of("clock"), of("round_trip"), of("zone"), of("probe")], [1, 1, 2, 2]);
    assert_eq!(site.carrier().as_deref(), Some("i-0a1b2c3d4e5f60011"));
    let mutations =
        site.simulator.journal().entries().into_iter().filter(|entry| !entry.action.starts_with("Describe"));
    assert!(mutations.into_iter().all(|entry| entry.parameter("DryRun") == Some("true")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_mended_is_told_with_what_to_do_and_exits_1() {
    let mut site = Site::new().await;
    site.simulator.console().delete_on_termination("eni-0a1b2c3d4e5f60001", true).unwrap();
    site.simulator.faults().set(Action::AttachNetworkInterface, Fault::Denied, When::Always);
    site.kill(1).await;
    let ended = site.ask(&["preflight"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let row = |check: &str, node: &str| {
        let mut rows = ended.stdout.lines().filter(|line| line.contains(check) && line.contains(node));
        rows.next().unwrap_or_else(|| panic!("no {check} of {node}: {}", ended.stdout)).to_owned()
    };
    assert!(row("delete_on_termination", "fail").contains("DeleteOnTermination=false"));
    assert!(row("permission", "ftp-2").contains("allow ec2:AttachNetworkInterface"));
    assert!(row("probe", "ftp-2").contains("connection refused"));
    let troubled = troubles(&site.ask(&["preflight", "--json"]).json());
    assert!(troubled.contains(&(json!("probe"), json!("ftp-2"), json!("fail"))), "{troubled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_ec2_does_not_answer_it_says_so_once_and_in_time() {
    let site = Site::new().await;
    site.simulator.faults().black_hole();
    let ended = site.ask(&["preflight", "--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let unknown = |check: &str| (json!(check), json!(null), json!("unknown"));
    assert_eq!(troubles(&ended.json()), [unknown("round_trip"), unknown("clock")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_monitor_tells_a_candidate_that_lacks_a_permission() {
    let site = Site::new().await;
    site.simulator.faults().set(Action::AttachNetworkInterface, Fault::Denied, When::Always);
    let mut monitor = site.monitor(&["--event-log", "events.jsonl"]);
    monitor.read_until("allow ec2:AttachNetworkInterface");
    assert_eq!(monitor.end("-TERM").code, Some(0));
    let events = std::fs::read_to_string(site.desk.path("events.jsonl")).unwrap();
    assert!(events.contains("candidate_not_ready"), "{events}");
}
