//! A prober that has run out of descriptors knows nothing about its targets: that is an error, never a verdict against
//! them. A file of its own, because the whole process is limited; the servers are in a child process, which is not.
#![cfg(all(target_os = "linux", feature = "full"))]
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use floatip_core::{HealthProbe, NodeId, ProbeError, Target, Via};
use floatip_probes::{
    DataMode, DnsProbe, ExecProbe, FileProbe, FtpProbe, HttpProbe, ListPath, PingProbe, Secret, TcpProbe,
};
use nix::sys::resource::{Resource, setrlimit};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use well::{ftp, web};

mod well;

/// Set in the child process, which serves.
const SERVE: &str = "FLOATIP_TEST_SERVE";
/// How many descriptors the process may have at all.
const LIMIT: u64 = 64;
/// With so many to be had every check goes through.
const ENOUGH: usize = 16;

async fn listen<S: Future<Output = std::io::Result<()>> + Send + 'static>(serve: fn(TcpStream) -> S) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// An empty answer to every question.
async fn name_server() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut datagram = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut datagram).await {
            datagram[2] |= 0x80;
            datagram[3] = (datagram[3] & 0xf0) | 3;
            socket.send_to(&datagram[..length], client).await.ok();
        }
    });
    port
}

/// Serves until the parent has gone.
async fn serve() {
    println!("\nserving {} {} {}", listen(web).await, listen(|stream| ftp(stream, None)).await, name_server().await);
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        std::process::exit(0);
    });
    std::future::pending::<()>().await;
}

/// The servers, and their ports.
fn servers() -> (Child, Vec<u16>) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.arg("--nocapture").env(SERVE, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("serving ")).expect("the servers start");
    let ports = line.split_whitespace().skip(1).map(|port| port.parse().unwrap()).collect();
    (child, ports)
}

/// Takes every descriptor that there is, but so many.
fn take_all_but(free: usize) -> Vec<File> {
    let mut held: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    held.truncate(held.len().saturating_sub(free));
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prober_without_descriptors_blames_no_target() {
    if std::env::var_os(SERVE).is_some() {
        return serve().await;
    }
    let (mut child, ports) = servers();
    let [web, ftp, dns] = ports[..] else { panic!("{ports:?}") };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alive");
    std::fs::write(&file, "words\n").unwrap();
    let list = |mode| {
        let ftp = FtpProbe::new("monitor", Secret::new("s3cret")).unwrap();
        Arc::new(ftp.list(ListPath::login_directory()).mode(mode)) as Arc<dyn HealthProbe>
    };
    let exec = ExecProbe::new("/bin/sh", ["-c", "exit 0"]).unwrap();
    // A name that does not exist is this server's answer: a verdict that no lack of descriptors gives.
    let checks: Vec<(Arc<dyn HealthProbe>, u16, Option<&str>)> = vec![
        (Arc::new(TcpProbe::new(1).unwrap()), web, None),
        (Arc::new(HttpProbe::new("/").unwrap().body("hello").unwrap()), web, None),
        (list(DataMode::Passive), ftp, None),
        (list(DataMode::Active), ftp, None),
        (Arc::new(DnsProbe::new("www.example.com", "A").unwrap()), dns, Some("NXDOMAIN")),
        (Arc::new(exec), web, None),
        (Arc::new(FileProbe::new(&file.display().to_string()).unwrap()), web, None),
        (Arc::new(PingProbe::new()), 0, None),
    ];
    setrlimit(Resource::RLIMIT_NOFILE, LIMIT, LIMIT).unwrap();
    for free in 0..=ENOUGH {
        for (probe, port, known) in &checks {
            let host = format!("127.0.0.1:{port}");
            let host = if *port == 0 { "127.0.0.1".parse() } else { host.parse() }.unwrap();
            let target = Target::new(NodeId::new("node-1").unwrap(), host, Via::Direct, Duration::from_secs(20));
            let held = take_all_but(free);
            let result = probe.probe(&target).await;
            drop(held);
            let kind = probe.kind();
            match result {
                // A file that is there is maintenance; its first line is a courtesy.
                Ok(verdict) if verdict.is_healthy() => {
                    assert!(free > 0 || kind == "ping" || kind == "file", "{kind} without a descriptor: {verdict:?}");
                }
                Ok(verdict) => {
                    let reason = verdict.reason.unwrap().to_string();
                    let is_its_answer = known.is_some_and(|known| reason.contains(known));
                    assert!(free > 0 && is_its_answer, "{kind} with {free} descriptors blames its target: {reason}");
                }
                Err(ProbeError::NotPermitted { .. }) if kind == "ping" => (),
                Err(error) => {
                    let said = floatip_core::chain(&error);
                    assert!(free < ENOUGH, "{kind} with {free} descriptors: {said}");
                    assert!(said.contains("LimitNOFILE"), "{kind}: {said}");
                }
            }
        }
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}
