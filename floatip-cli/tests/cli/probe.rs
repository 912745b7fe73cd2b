use std::net::Ipv4Addr;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{Desk, Site, VALID};

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
    site.kill(1).await;
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

/// An FTP server that lets nobody in, and says aloud what was tried.
async fn refuse_login(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let reply = match line.trim().split_once(' ') {
            Some(("PASS", password)) => format!("530 {password} is wrong\r\n"),
            Some(_) | None => "331 go on\r\n".to_owned(),
        };
        stream.write_all(reply.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_never_shown_not_even_by_a_server_that_repeats_it() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(refuse_login(stream));
        }
    });
    let config = ["30", "10", "20"].into_iter().fold(VALID.to_owned(), |config, last| {
        config.replace(&format!("172.16.11.{last}"), &format!("127.0.0.{last}:{port}"))
    });
    let desk = Desk::new(&config.replace("127.0.0.10", "127.0.0.1"));
    for arguments in [
        &["probe", "-vv", "-c", "floatip.toml"][..],
        &["probe", "--json", "-c", "floatip.toml"],
        &["probe", "--explain", "-vv", "-c", "floatip.toml"],
        &["probe", "--explain", "--json", "-c", "floatip.toml"],
    ] {
        let ended = desk.run(arguments);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stdout.contains("login rejected with 530"), "{}", ended.stdout);
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
        let explained = arguments.contains(&"--explain");
        for said in ["-> USER monitor", "-> PASS ***", "<- 530 *** is wrong"] {
            assert_eq!(ended.stdout.contains(said), explained, "{said}: {}", ended.stdout);
        }
    }
    serving.abort();
}
