//! One monitor on one core: 10 000 nodes probed every second. CPU, lateness, start-up time, and memory a floating IP.
//!
//! 5 000 floating IPs of two nodes, `interval` 1 s, `fast_interval` 250 ms, in one orchestrator on one thread. They are
//! probed by a probe that answers at once, and by a real TCP connect to loopback, each with the nodes' own hosts alone
//! (10 000 checks a second) and with the floating addresses too (15 000). CPU is that of the monitor's thread, as
//! Linux accounts it; the listener has a thread of its own. Lateness is that of a probe's start against its own grid.
//!
//!     cargo bench -p floatip-core --features testing --bench fleet          (Linux; about 3 minutes, on an idle machine)
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod figures;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use figures::{Sample, kept, millis};
use floatip_core::engine::{CheckSettings, Engine, Settings};
use floatip_core::{
    Accepted, AddressMover, Capabilities, Check, FloatingIp, HealthProbe, HealthSettings, Host, MoveError, Node,
    NodeId, Orchestrator, Placement, Policy, ProbeError, Reason, ReleaseMode, Setup, Strategy, Target, Token, Verdict,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

const FLOATING_IPS: usize = 5000;
const RUNS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(10);
const SEED: u64 = 1;

/// What one core may do in a second.
const CPU_BOUND_PERCENT: f64 = 100.0;
const MEMORY_BOUND_KIB: f64 = 50.0;

/// Set in the child processes whose memory is measured: how many floating IPs they drive.
const MEMORY_CHILD: &str = "FLOATIP_BENCH_MEMORY_OF";

fn health() -> HealthSettings {
    let mut health = HealthSettings::default();
    health.interval = Duration::from_secs(1);
    health.fast_interval = Duration::from_millis(250);
    health.timeout = Duration::from_millis(500);
    health
}

/// All addresses are of the loopback range, so that a connect to any of them is answered here.
fn host(index: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + index as u32)
}

fn index(host: &Host) -> usize {
    match host.ip() {
        Some(IpAddr::V4(ip)) => (ip.to_bits() - host_base()) as usize,
        Some(IpAddr::V6(_)) | None => unreachable!("every host of this benchmark is an IPv4 address"),
    }
}

fn host_base() -> u32 {
    host(0).to_bits()
}

/// Notes when checks start, then answers at once or by connecting.
#[derive(Debug)]
struct Noting {
    port: Option<u16>,
    starts: Mutex<Vec<(usize, Instant)>>,
    failed: AtomicUsize,
}

impl Noting {
    fn new(port: Option<u16>, capacity: usize) -> Self {
        Self { port, starts: Mutex::new(Vec::with_capacity(capacity)), failed: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl HealthProbe for Noting {
    fn kind(&self) -> &'static str {
        "bench"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let now = Instant::now();
        {
            let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
            if starts.len() < starts.capacity() {
                starts.push((index(&target.host), now));
            }
        }
        let Some(port) = self.port else { return Ok(Verdict::healthy()) };
        let Some(ip) = target.host.ip() else { unreachable!("every host of this benchmark is an address") };
        match timeout(target.timeout, TcpStream::connect((ip, port))).await {
            Ok(Ok(stream)) => {
                // A reset leaves no TIME_WAIT behind; the verdict does not hang on it.
                stream.set_zero_linger().ok();
                Ok(Verdict::healthy())
            }
            Ok(Err(_)) | Err(_) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                Ok(Verdict::unhealthy(Reason::Refused))
            }
        }
    }
}

/// The address is always on the first node; notes when it is read.
#[derive(Debug)]
struct Still {
    holder: NodeId,
    token: Token,
    reads: Arc<Mutex<Vec<Instant>>>,
}

#[async_trait]
impl AddressMover for Still {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Strategy::ReleaseFirst)
    }

    fn serves(&self, _: &NodeId) -> bool {
        true
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        Ok(Placement::held(self.holder.clone(), self.token.clone()))
    }

    async fn release(&self, _: &Placement, _: ReleaseMode) -> Result<Accepted, MoveError> {
        unreachable!("nothing moves here")
    }

    async fn claim(&self, _: &NodeId, _: &Placement) -> Result<Accepted, MoveError> {
        unreachable!("nothing moves here")
    }
}

fn fleet(n: usize, probe: &Arc<Noting>, through_address: bool, reads: &Arc<Mutex<Vec<Instant>>>) -> Orchestrator {
    let mut builder = Orchestrator::builder().seed(SEED);
    for ip in 0..n {
        let nodes = [0, 1].map(|which| {
            let node = 2 * ip + which;
            Node::new(&format!("node-{node}"), &host(node).to_string()).expect("a node")
        });
        let mover = Still {
            holder: nodes[0].id.clone(),
            token: Token::generation(format!("attachment-{ip}")),
            reads: reads.clone(),
        };
        let address = host(2 * n + ip).to_string();
        let mut setup = Setup::new(FloatingIp::new(&format!("ip-{ip}"), &address).expect("an address"))
            .check(Check::new(probe.clone()).health(health()).verifies(through_address))
            .mover(Arc::new(mover));
        setup.nodes.extend(nodes);
        builder = builder.floating_ip(setup);
    }
    builder.build().expect("sound setups")
}

/// A point of the grid of `host`. An engine of that node alone wants to be woken for its first probe, which has the same
/// place in a fast interval as the grid has in an interval.
fn grid_of(origin: Instant, host: Ipv4Addr) -> Instant {
    let settings = Settings {
        floating_ip: FloatingIp::new("ip", "127.0.0.1").expect("an address"),
        nodes: vec![Node::new("node", &host.to_string()).expect("a node")],
        checks: vec![CheckSettings {
            kind: "bench",
            role: floatip_core::Role::Decides,
            health: health(),
            direct: true,
            verifies: false,
        }],
        witnesses: Vec::new(),
        witness_quorum: 0,
        pre_move: None,
        movers: vec![Capabilities::new(Strategy::ReleaseFirst)],
        policy: Policy::default(),
        leased: false,
        sweep: Duration::from_secs(10),
        origin,
        seed: SEED,
    };
    let first = Engine::new(origin, settings, &floatip_core::Durable::default()).poll_timeout().unwrap_or(origin);
    let HealthSettings { interval, fast_interval, .. } = health();
    origin + (first - origin).mul_f64(interval.as_secs_f64() / fast_interval.as_secs_f64())
}

/// CPU time of the calling thread, user and system, in the kernel's ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    let behind_the_name = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = behind_the_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

fn memory_kib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().expect("VmRSS in kB")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What one run measured.
struct Run {
    built: Duration,
    /// From the start until every node had begun its first probe, and its second: then it is known to be healthy.
    first: Duration,
    second: Duration,
    cpu_percent: f64,
    lateness: Sample,
    started: usize,
    expected: usize,
    failed: usize,
    sweep_spread: Duration,
}

fn run(port: Option<u16>, through_address: bool) -> Run {
    let targets = FLOATING_IPS * if through_address { 3 } else { 2 };
    let probe = Arc::new(Noting::new(port, targets * 20));
    let reads = Arc::new(Mutex::new(Vec::with_capacity(FLOATING_IPS * 4)));
    let building = Instant::now();
    let orchestrator = fleet(FLOATING_IPS, &probe, through_address, &reads);
    let built = building.elapsed();
    let (origin, from, until, cpu) = runtime().block_on(async {
        let origin = Instant::now();
        let window = async {
            sleep(WARM_UP).await;
            let (cpu, from) = (cpu_time(), Instant::now());
            sleep(WINDOW).await;
            (origin, from, Instant::now(), cpu_time() - cpu)
        };
        tokio::select! {
            () = orchestrator.run(std::future::pending()) => unreachable!("it runs for ever"),
            measured = window => measured,
        }
    });
    let starts = std::mem::take(&mut *probe.starts.lock().unwrap_or_else(PoisonError::into_inner));
    let reads = std::mem::take(&mut *reads.lock().unwrap_or_else(PoisonError::into_inner));
    let grid: Vec<_> = (0..targets).map(|index| grid_of(origin, host(index))).collect();
    let interval = health().interval;
    let late = |(index, start): &(usize, Instant)| {
        let since = start.saturating_duration_since(grid[*index]);
        millis(since) % millis(interval)
    };
    let mut by_target = vec![Vec::new(); targets];
    for (index, start) in &starts {
        by_target[*index].push(*start - origin);
    }
    let nth = |n: usize| by_target.iter().filter_map(|starts| starts.get(n)).max().copied().unwrap_or_default();
    let second_sweep: Vec<_> = reads.iter().filter(|read| **read - origin > Duration::from_secs(5)).collect();
    let sweep_spread = match (second_sweep.iter().min(), second_sweep.iter().max()) {
        (Some(first), Some(last)) => **last - **first,
        (None, _) | (_, None) => Duration::ZERO,
    };
    let within = |(_, start): &&(usize, Instant)| *start >= from && *start < until;
    Run {
        built,
        first: nth(0),
        second: nth(1),
        cpu_percent: 100.0 * cpu.as_secs_f64() / (until - from).as_secs_f64(),
        lateness: Sample::new(starts.iter().filter(within).map(late)),
        started: starts.iter().filter(within).count(),
        expected: (targets as f64 * (until - from).as_secs_f64() / interval.as_secs_f64()).round() as usize,
        failed: probe.failed.load(Ordering::Relaxed),
        sweep_spread,
    }
}

/// Accepts on all addresses of the loopback range, and closes.
fn listen() -> u16 {
    let (port, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).expect("a port");
            let listener = socket.listen(4096).expect("a listener");
            port.send(listener.local_addr().expect("an address").port()).expect("somebody waits for it");
            loop {
                // A connection that was reset before it was accepted is no reason to stop.
                drop(listener.accept().await);
            }
        });
    });
    told.recv().expect("a listener")
}

/// What connects alone cost, one after the other on one thread: the part that is the kernel's, not floatip's.
fn bare_connects(port: u16) -> f64 {
    const CONNECTS: usize = 30_000;
    let before = cpu_time();
    runtime().block_on(async {
        for index in 0..CONNECTS {
            let stream = TcpStream::connect((host(index % 10_000), port)).await.expect("loopback answers");
            stream.set_zero_linger().ok();
        }
    });
    (cpu_time() - before).as_secs_f64() * 1e6 / CONNECTS as f64
}

fn median_of(runs: &[Run], what: impl Fn(&Run) -> f64) -> f64 {
    Sample::new(runs.iter().map(what)).median()
}

/// Drives `n` floating IPs for a while and prints its own resident memory.
fn be_measured(n: usize) {
    let probe = Arc::new(Noting::new(None, 0));
    let reads = Arc::new(Mutex::new(Vec::with_capacity(n * 4)));
    let orchestrator = fleet(n, &probe, true, &reads);
    runtime().block_on(async {
        tokio::select! {
            () = orchestrator.run(std::future::pending()) => {}
            () = sleep(Duration::from_secs(4)) => println!("{}", memory_kib()),
        }
    });
}

fn memory_of(n: usize) -> f64 {
    let me = std::env::current_exe().expect("a program");
    let output = Command::new(me).env(MEMORY_CHILD, n.to_string()).output().expect("a child");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the child's memory")
}

fn main() {
    if let Ok(n) = std::env::var(MEMORY_CHILD) {
        return be_measured(n.parse().expect("a number"));
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "fleet: {FLOATING_IPS} floating IPs of two nodes, interval 1 s, one thread, medians of {RUNS} runs of {WINDOW:?}"
    );
    println!("load of the machine before: {}", load.trim());

    let memory = Sample::new((0..RUNS).map(|_| {
        let (n, twice) = (memory_of(FLOATING_IPS / 2), memory_of(FLOATING_IPS));
        (twice - n) / (FLOATING_IPS / 2) as f64
    }));
    println!(
        "memory a floating IP: {:.1} KiB (most {:.1}), bound {MEMORY_BOUND_KIB:.0}: {}",
        memory.median(),
        memory.max(),
        kept(memory.max() < MEMORY_BOUND_KIB)
    );

    let port = listen();
    println!("bare TCP connects to loopback: {:.1} us of CPU each", bare_connects(port));
    println!(
        "{:>22} {:>9} | {:>6} {:>6} | {:>8} {:>8} {:>8} | {:>15} {:>6} | {:>6} {:>7} {:>8} | {:>7}",
        "probe",
        "checks/s",
        "CPU %",
        "most",
        "late ms",
        "p99",
        "max",
        "started/due",
        "failed",
        "build",
        "probed",
        "healthy",
        "sweep"
    );
    let mut all_kept = true;
    for (name, port, through_address) in [
        ("at once, nodes", None, false),
        ("at once, + addresses", None, true),
        ("connect, nodes", Some(port), false),
        ("connect, + addresses", Some(port), true),
    ] {
        let runs: Vec<_> = (0..RUNS).map(|_| run(port, through_address)).collect();
        let cpu = Sample::new(runs.iter().map(|run| run.cpu_percent));
        let share = median_of(&runs, |run| run.started as f64 / run.expected as f64);
        let is_kept = cpu.max() < CPU_BOUND_PERCENT && (share - 1.0).abs() < 0.001;
        all_kept &= is_kept;
        println!(
            "{name:>22} {:>9.0} | {:>6.1} {:>6.1} | {:>8.2} {:>8.2} {:>8.2} | {:>15} {:>6} | {:>6.0} {:>7.0} {:>8.0} | {:>7.1}  {}",
            median_of(&runs, |run| run.started as f64 / WINDOW.as_secs_f64()),
            cpu.median(),
            cpu.max(),
            median_of(&runs, |run| run.lateness.median()),
            median_of(&runs, |run| run.lateness.quantile(0.99)),
            median_of(&runs, |run| run.lateness.max()),
            format!("{:.3} %", 100.0 * share),
            runs.iter().map(|run| run.failed).sum::<usize>(),
            median_of(&runs, |run| millis(run.built)),
            median_of(&runs, |run| millis(run.first)),
            median_of(&runs, |run| millis(run.second)),
            median_of(&runs, |run| millis(run.sweep_spread)),
            kept(is_kept),
        );
    }
    println!(
        "late, build, probed (every target once), healthy (twice) and sweep (from its first read to its last): ms"
    );
    println!("10 000 nodes probed every second on one core (HAProxy's TCP checks: 13 %): {}", kept(all_kept));
}
