//! A day of probing, at full speed: memory, descriptors, tasks and child processes do not grow. A file of its own,
//! because the whole process is counted.
//!
//! The short form runs with the other tests. `FLOATIP_SOAK_ROUNDS=43200` makes it a day of checks every 2 s.
#![cfg(all(target_os = "linux", feature = "full"))]
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::sync::Arc;
use std::time::Duration;

use floatip_core::{HealthProbe, NodeId, ProbeError, Target, Verdict, Via};
use floatip_probes::{
    Canary, DataMode, DnsProbe, ExecProbe, FileProbe, FtpProbe, HttpProbe, ListPath, Mailbox, PingProbe, PushProbe,
    Report, Secret, TcpProbe, TlsMode, TlsProbe, TlsSettings,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use well::{ftp, web};

mod well;

const SHORT_FORM: usize = 400;
/// How many rounds run side by side: most of a round is waiting for what is mute.
const AT_ONCE: usize = 8;
/// How much the resident memory may grow after the warm-up: allocators keep some of what was freed.
const GROWTH_KIB: usize = 8 * 1024;
/// How much of that may come in the second half, if less did in the first.
const SLACK_KIB: usize = 1024;
/// Both ends of the one session that is kept, if it is open just then, and the task that serves it.
const KEPT_DESCRIPTORS: usize = 2;
const KEPT_TASKS: usize = 1;
/// How often it is looked what there is.
const QUARTERS: usize = 4;
const TIMEOUT: Duration = Duration::from_millis(100);

/// What the process has.
#[derive(Debug, Clone, Copy)]
struct Usage {
    memory_kib: usize,
    descriptors: usize,
    tasks: usize,
    children: usize,
}

impl Usage {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let children =
            threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
        Self {
            memory_kib: line.trim().trim_end_matches("kB").trim().parse().unwrap(),
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            children: children.map(|children| children.split_whitespace().count()).sum(),
        }
    }

    /// What is there once everything that is ending has ended: no more than `before`, or it has grown.
    async fn settled(before: Option<Self>) -> Self {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let now = Self::now();
            let is_settled = before.is_none_or(|before| {
                now.descriptors <= before.descriptors + KEPT_DESCRIPTORS
                    && now.tasks <= before.tasks + KEPT_TASKS
                    && now.children <= before.children
            });
            if is_settled && now.children == 0 || Instant::now() > deadline {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Serves each connection by its number: well, mute, reset, nonsense and well again.
async fn serve<F, S>(serve_well: F) -> String
where
    F: Fn(TcpStream) -> S + Send + Sync + 'static,
    S: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            match number % 5 {
                1 => {
                    tokio::spawn(async move { while let Ok(1..) = stream.read(&mut [0; 512]).await {} });
                }
                2 => stream.set_zero_linger().unwrap(),
                3 => drop(stream.write_all(&[0xff; 3000]).await),
                _ => {
                    let well = serve_well(stream);
                    tokio::spawn(async move {
                        // Whatever a check leaves half done, its end is the end.
                        timeout(Duration::from_secs(5), well).await.ok();
                    });
                }
            }
        }
    });
    host
}

async fn name_server() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let host = socket.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut datagram = [0; 1500];
        for number in 0.. {
            let Ok((length, client)) = socket.recv_from(&mut datagram).await else { continue };
            // An empty answer, silence, or nonsense.
            datagram[2] |= 0x80;
            let answer = if number % 3 == 2 { &[0xff; 40][..] } else { &datagram[..length] };
            if number % 3 != 1 {
                socket.send_to(answer, client).await.ok();
            }
        }
    });
    host
}

fn tls(folder: &std::path::Path) -> (TlsAcceptor, TlsSettings) {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let chain = vec![certified.cert.der().clone()];
    let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(chain, key).unwrap();
    let file = folder.join("ca.pem");
    std::fs::write(&file, certified.cert.pem()).unwrap();
    (TlsAcceptor::from(Arc::new(config)), TlsSettings::new().ca_file(file))
}

/// A node that reports itself before each check.
#[derive(Debug)]
struct Reporting(PushProbe, Mailbox);

#[async_trait::async_trait]
impl HealthProbe for Reporting {
    fn kind(&self) -> &'static str {
        "push"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let Self(probe, mailbox) = self;
        mailbox.take(target.node.clone(), Report::unhealthy("the disk is full"));
        probe.probe(target).await
    }
}

/// Each kind of check with a host to run it against.
async fn checks(folder: &std::path::Path) -> Vec<(Arc<dyn HealthProbe>, String)> {
    let (acceptor, settings) = tls(folder);
    let for_ftp = acceptor.clone();
    let secure_ftp = serve(move |stream| {
        let acceptor = for_ftp.clone();
        async move { ftp(acceptor.accept(stream).await?, Some(acceptor)).await }
    })
    .await;
    let secure = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move { web(acceptor.accept(stream).await?).await }
    })
    .await;
    let plain = serve(web).await;
    let ftp_server = serve(|stream| ftp(stream, None)).await;
    let ftp = FtpProbe::new("monitor", Secret::new("s3cret")).unwrap();
    let listing = ftp.clone().list(ListPath::login_directory());
    let canary = Canary::new("canary.txt").unwrap().size(5).unwrap();
    let retrieving = ftp.clone().retrieve(canary.clone()).store(ListPath::login_directory());
    let kept = listing.clone().keep_session(Duration::from_secs(1)).unwrap();
    let by_tls = listing.clone().retrieve(canary).tls(TlsMode::Implicit, &settings).unwrap();
    let mailbox = Mailbox::new();
    let http = HttpProbe::new("/").unwrap().body("hello").unwrap();
    let program = "echo words; exit 1";
    let file = folder.join("maintenance").display().to_string();
    vec![
        (Arc::new(TcpProbe::new(1).unwrap()), plain.clone()),
        (Arc::new(TcpProbe::new(1).unwrap().exchange("x\r\n", "hello").unwrap()), plain.clone()),
        (Arc::new(http.clone()), plain),
        (Arc::new(http.tls(&settings).unwrap()), secure.clone()),
        (Arc::new(TlsProbe::new(1, &settings).unwrap()), secure),
        (Arc::new(listing.clone()), ftp_server.clone()),
        (Arc::new(listing.mode(DataMode::Active)), ftp_server.clone()),
        (Arc::new(retrieving), ftp_server.clone()),
        (Arc::new(kept), ftp_server),
        (Arc::new(by_tls), secure_ftp),
        (
            Arc::new(Reporting(PushProbe::new(mailbox.clone(), Duration::from_secs(1)).unwrap(), mailbox)),
            "127.0.0.1".to_owned(),
        ),
        (Arc::new(DnsProbe::new("www.example.com", "A").unwrap()), name_server().await),
        (Arc::new(PingProbe::new()), "127.0.0.1".to_owned()),
        (Arc::new(ExecProbe::new("/bin/sh", ["-c", program]).unwrap()), "127.0.0.1".to_owned()),
        (Arc::new(FileProbe::new(&file).unwrap()), "127.0.0.1".to_owned()),
    ]
}

/// Some rounds side by side, the first of them of this number.
async fn rounds(checks: &[(Arc<dyn HealthProbe>, String)], first: usize) {
    let mut running = JoinSet::new();
    for number in first..first + AT_ONCE {
        for (index, (probe, host)) in checks.iter().enumerate() {
            let probe = probe.clone();
            let target = Target::new(NodeId::new("node-1").unwrap(), host.parse().unwrap(), Via::Direct, TIMEOUT);
            // Now and then one is dropped in its midst, as the orchestrator does.
            let drops = (number + index).is_multiple_of(7);
            running.spawn(async move {
                if drops {
                    timeout(Duration::from_millis(1), probe.probe(&target)).await.ok();
                } else {
                    drop(probe.probe(&target).await);
                }
            });
        }
    }
    running.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probing_for_a_day_leaves_nothing_behind() {
    let all = std::env::var("FLOATIP_SOAK_ROUNDS").ok().and_then(|all| all.parse().ok()).unwrap_or(SHORT_FORM);
    let folder = tempfile::tempdir().unwrap();
    let checks = checks(folder.path()).await;
    for number in (0..(all / 10).max(100)).step_by(AT_ONCE) {
        rounds(&checks, number).await;
    }
    let before = Usage::settled(None).await;
    let started = Instant::now();
    let mut usages = vec![before];
    for quarter in 0..QUARTERS {
        for number in (quarter * all / QUARTERS..(quarter + 1) * all / QUARTERS).step_by(AT_ONCE) {
            rounds(&checks, number).await;
        }
        usages.push(Usage::settled(Some(before)).await);
        println!("{} rounds in {:?}: {:?}", (quarter + 1) * all / QUARTERS, started.elapsed(), usages[quarter + 1]);
    }
    let took = started.elapsed();
    let [_, _, middle, _, after] = usages[..] else { panic!("{usages:?}") };
    println!("{all} rounds of {} checks in {took:?}: from {before:?} to {after:?}", checks.len());
    assert!(after.descriptors <= before.descriptors + KEPT_DESCRIPTORS, "descriptors grew: {usages:?}");
    assert!(after.tasks <= before.tasks + KEPT_TASKS, "tasks grew: {usages:?}");
    assert_eq!(after.children, 0, "programs were left: {after:?}");
    assert!(after.memory_kib < before.memory_kib + GROWTH_KIB, "memory grew: {usages:?}");
    // What leaks goes on leaking; what an allocator keeps it takes from the system once.
    let of_half = |from: Usage, to: Usage| to.memory_kib.saturating_sub(from.memory_kib);
    let slack = SLACK_KIB.max(of_half(before, middle));
    assert!(of_half(middle, after) <= slack, "memory goes on growing: {usages:?}");
}
