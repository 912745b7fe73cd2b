//! A monitor runs for years: checks must not leave descriptors behind. A file of its own, because the whole process is
//! counted.
#![cfg(all(target_os = "linux", feature = "ftp", feature = "tcp"))]
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::net::SocketAddr;
use std::time::Duration;

use floatip_core::{HealthProbe, Host, NodeId, Target, Via};
use floatip_probes::{FtpProbe, ListPath, Secret, TcpProbe};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const CHECKS: usize = 300;

/// Plays a session to its end, is mute in the next, and hangs up in the middle of the third.
async fn play(number: usize, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if number % 3 == 1 {
        stream.read_line(&mut line).await?;
        return Ok(());
    }
    stream.write_all(b"220 ready\r\n").await?;
    while stream.read_line(&mut line).await? > 0 {
        let data = TcpListener::bind("127.0.0.1:0").await?;
        let [high, low] = data.local_addr()?.port().to_be_bytes();
        match line.trim() {
            "PASV" if number % 3 == 2 => return Ok(()),
            "PASV" => {
                let passive = format!("227 =127,0,0,1,{high},{low}\r\n");
                stream.write_all(passive.as_bytes()).await?;
                // Whoever has run out of time does not come.
                let Ok(accepted) = timeout(Duration::from_secs(2), data.accept()).await else { return Ok(()) };
                let (transfer, _) = accepted?;
                line.clear();
                stream.read_line(&mut line).await?;
                stream.write_all(b"150 here it comes\r\n").await?;
                drop(transfer);
                stream.write_all(b"226 done\r\n").await?;
            }
            "QUIT" => stream.write_all(b"221 bye\r\n").await?,
            command if command.starts_with("USER") => stream.write_all(b"331 password\r\n").await?,
            _ => stream.write_all(b"230 welcome\r\n").await?,
        }
        line.clear();
    }
    Ok(())
}

fn target(address: SocketAddr) -> Target {
    let host = address.to_string().parse::<Host>().unwrap();
    Target::new(NodeId::new("ftp-1").unwrap(), host, Via::Direct, Duration::from_millis(50))
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_succeed_fail_time_out_or_are_dropped_leave_no_descriptor_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(play(number, stream));
        }
    });
    let ftp = FtpProbe::new("monitor", Secret::new("s3cret")).unwrap().list(ListPath::login_directory());
    let tcp = TcpProbe::new(1).unwrap();
    let target = target(address);
    let before = open_descriptors();
    let mut healthy = 0;
    for number in 0..CHECKS {
        tcp.probe(&target).await.unwrap();
        if number % 10 == 0 {
            timeout(Duration::from_millis(1), ftp.probe(&target)).await.ok();
        }
        healthy += usize::from(ftp.probe(&target).await.unwrap().is_healthy());
    }
    assert!((1..CHECKS).contains(&healthy), "{healthy} of {CHECKS}: the server did not play all its parts");
    let settled = async {
        while open_descriptors() > before {
            tokio::task::yield_now().await;
        }
    };
    let settled = timeout(Duration::from_secs(10), settled).await;
    assert!(settled.is_ok(), "{before} descriptors before, {} after", open_descriptors());
    serving.abort();
}
