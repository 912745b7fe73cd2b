//! A monitor that may open few files.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::rig::Site;

/// How many nodes there are.
const NODES: usize = 60;

/// A site of many nodes, each of which takes its time to answer.
async fn slow_nodes() -> Site {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(1..) = stream.read(&mut [0; 64]).await {
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    stream.write_all(b"+PONG\r\n").await.ok();
                }
            });
        }
    });
    let site = Site::new().await;
    let config = std::fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    let (head, _) = config.split_once("[[floating_ip.node]]").unwrap();
    let node = |number| {
        let name = format!("name = \"n-{number}\"\ninstance = \"i-0a1b2c3d4e5f6{number:04}\"\n");
        format!("[[floating_ip.node]]\n{name}host = \"127.0.7.{number}:{port}\"\n")
    };
    let nodes: String = (11..11 + NODES).map(node).collect();
    let probe =
        "[[floating_ip.probe]]\nkind = \"tcp\"\nport = 21\nsend = \"PING\\r\\n\"\nexpect = \"+PONG\"\nverify = false\n";
    let health = "[floating_ip.health]\ninterval = \"2s\"\nfast_interval = \"1s\"\ntimeout = \"2s\"\n";
    let policy = "[floating_ip.policy]\nverify = \"off\"\n";
    std::fs::write(site.desk.path("floatip.toml"), format!("{head}{nodes}{probe}{health}{policy}")).unwrap();
    site
}

/// A monitor under this limit of the shell, which has seen every node twice.
async fn run_limited(site: &Site, limit: &str) -> String {
    let mut monitor = site.monitor_under(limit, &["-v", "--event-log", "events.jsonl"]);
    let healthy = |status: &Value| status["nodes"].as_array().unwrap().iter().all(|node| node["health"] == "healthy");
    site.status_until(healthy).await;
    let log = monitor.read_until("files").to_owned();
    assert_eq!(monitor.end("-TERM").code, Some(0));
    let events = std::fs::read_to_string(site.desk.path("events.jsonl")).unwrap();
    for trouble in ["probe_failed", "node_went_down", "probe_errored"] {
        assert!(!events.contains(&format!("\"{trouble}\"")), "{events}");
    }
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_low_limit_on_open_files_no_node_is_blamed_and_the_limit_is_told() {
    let site = slow_nodes().await;
    let log = run_limited(&site, "ulimit -n 64").await;
    assert!(log.contains("only 8 of 60 checks can run at once") && log.contains("LimitNOFILE="), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_on_open_files_is_raised_to_the_hard_one() {
    let site = slow_nodes().await;
    let log = run_limited(&site, "ulimit -Sn 40; ulimit -Hn 1000").await;
    assert!(log.contains("the limit on open files") && log.contains("limit=1000"), "{log}");
    assert!(!log.contains("checks can run at once"), "{log}");
}
