//! 10 000 TCP checks a second on one core, side by side with HAProxy doing the same ones.
//!
//! 5 000 floating IPs of two nodes each, `interval` 1 s, in one orchestrator on one thread, with the real `TcpProbe`. The
//! monitor and HAProxy (one thread) are pinned to the first core, one after the other; what they connect to is pinned to
//! the second. CPU is that of the whole process, as Linux accounts it: what the kernel does for both ends of a connection
//! over loopback is in it, because it is done by whoever connects. Checks a second are the connections that the kernel
//! counts, of the whole network namespace. Lateness is that of a check's start against its own grid; HAProxy tells none.
//!
//! On a machine that is not idle others take the core for milliseconds; `chrt -r 5 cargo bench …`, as root, keeps them off.
//!
//!     cargo bench -p floatip-probes --features full --bench tcp_fleet       (Linux, two cores; about a minute)
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "../../floatip-core/benches/figures/mod.rs"]
mod figures;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use figures::{Sample, kept, millis};
use floatip_core::engine::{CheckSettings, Engine, Settings};
use floatip_core::{
    Accepted, AddressMover, Capabilities, Check, FloatingIp, HealthProbe, HealthSettings, MoveError, Node, NodeId,
    Orchestrator, Placement, Policy, ProbeError, ReleaseMode, Setup, Strategy, Target, Token, Verdict,
};
use floatip_probes::TcpProbe;
use tokio::net::TcpSocket;

const FLOATING_IPS: usize = 5000;
const NODES: usize = 2 * FLOATING_IPS;
const RUNS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(10);
const SEED: u64 = 1;

/// How late the latest check may start.
const LATE_BOUND_MS: f64 = 50.0;

/// Which part a process plays: the targets, or the monitor of the targets at a port.
const ROLE: &str = "FLOATIP_BENCH_ROLE";

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

fn index(ip: Option<IpAddr>) -> usize {
    match ip {
        Some(IpAddr::V4(ip)) => (ip.to_bits() - host(0).to_bits()) as usize,
        Some(IpAddr::V6(_)) | None => unreachable!("every host of this benchmark is an IPv4 address"),
    }
}

/// The real probe; notes when checks start, and what was not healthy.
#[derive(Debug)]
struct Noting {
    probe: TcpProbe,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    starts: Vec<(usize, Instant)>,
    failed: usize,
}

impl Noting {
    fn noted(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HealthProbe for Noting {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        self.noted().starts.push((index(target.host.ip()), Instant::now()));
        let verdict = self.probe.probe(target).await;
        if !verdict.as_ref().is_ok_and(Verdict::is_healthy) {
            self.noted().failed += 1;
        }
        verdict
    }
}

/// The address is always on the first node.
#[derive(Debug)]
struct Still(NodeId);

#[async_trait]
impl AddressMover for Still {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Strategy::ReleaseFirst)
    }

    fn serves(&self, _: &NodeId) -> bool {
        true
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        Ok(Placement::held(self.0.clone(), Token::generation("attachment")))
    }

    async fn release(&self, _: &Placement, _: ReleaseMode) -> Result<Accepted, MoveError> {
        unreachable!("nothing moves here")
    }

    async fn claim(&self, _: &NodeId, _: &Placement) -> Result<Accepted, MoveError> {
        unreachable!("nothing moves here")
    }
}

fn fleet(probe: &Arc<Noting>) -> Orchestrator {
    let mut builder = Orchestrator::builder().seed(SEED);
    for ip in 0..FLOATING_IPS {
        let nodes = [0, 1].map(|which| {
            let node = 2 * ip + which;
            Node::new(&format!("node-{node}"), &host(node).to_string()).expect("a node")
        });
        let address = host(NODES + ip).to_string();
        let mut setup = Setup::new(FloatingIp::new(&format!("ip-{ip}"), &address).expect("an address"))
            .check(Check::new(probe.clone()).health(health()).verifies(false))
            .mover(Arc::new(Still(nodes[0].id.clone())));
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
            kind: "tcp",
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

/// User and system time of a process, in the kernel's ticks of 10 ms.
fn cpu_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    let behind_the_name = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = behind_the_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

fn memory_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().expect("VmRSS in kB")
}

/// The monitor: for each line that it reads, a line about the starts since the one before. Ends with its input.
fn be_monitor(port: u16) {
    let noted = Mutex::new(Noted { starts: Vec::with_capacity(NODES * 32), failed: 0 });
    let probe = Arc::new(Noting { probe: TcpProbe::new(port).expect("a port"), noted });
    let orchestrator = fleet(&probe);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let origin = Instant::now();
    let telling = probe.clone();
    std::thread::spawn(move || {
        let grid: Vec<_> = (0..NODES).map(|index| grid_of(origin, host(index))).collect();
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            let taken =
                std::mem::replace(&mut *telling.noted(), Noted { starts: Vec::with_capacity(NODES * 32), failed: 0 });
            let interval = millis(health().interval);
            // Rounding may put a start some microseconds before its point of the grid: that is not late.
            let late = |(index, start): &(usize, Instant)| {
                let since = millis(start.saturating_duration_since(grid[*index])) % interval;
                if since > interval - 1.0 { 0.0 } else { since }
            };
            let late = if taken.starts.is_empty() {
                Sample::new([f64::NAN])
            } else {
                Sample::new(taken.starts.iter().map(late))
            };
            let (started, failed) = (taken.starts.len(), taken.failed);
            println!("{started} {failed} {} {} {}", late.median(), late.quantile(0.99), late.max());
        }
        std::process::exit(0);
    });
    runtime.block_on(orchestrator.run(std::future::pending()));
}

/// The targets: accept on all addresses, until the input ends.
fn be_targets() {
    let listener = listen();
    println!("{}", listener.local_addr().expect("an address").port());
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {}
        std::process::exit(0);
    });
    loop {
        // A connection that was reset before it was accepted is no reason to stop.
        drop(listener.accept());
    }
}

/// With a longer backlog than the standard library asks for.
fn listen() -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).expect("a port");
    let listener = socket.listen(4096).expect("a listener").into_std().expect("a listener of its own");
    listener.set_nonblocking(false).expect("it may wait");
    listener
}

/// A process of this program on one core, which answers each line with one.
struct Part {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Part {
    fn start(core: &str, role: &str) -> Self {
        let me = std::env::current_exe().expect("a program");
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(me).env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("taskset, of util-linux");
        let from = BufReader::new(child.stdout.take().expect("its output"));
        let to = child.stdin.take();
        Self { child, to, from }
    }

    fn line(&mut self) -> Vec<f64> {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("a line");
        line.split_whitespace().map(|word| word.parse().expect("a number")).collect()
    }

    fn ask(&mut self) -> Vec<f64> {
        self.to.as_mut().expect("its input").write_all(b"\n").expect("it listens");
        self.line()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.to = None;
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How many TCP connections this network namespace has begun.
fn connects() -> f64 {
    let snmp = fs::read_to_string("/proc/net/snmp").expect("Linux");
    let mut tcp = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (tcp.next().expect("names"), tcp.next().expect("values"));
    let named = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "ActiveOpens");
    named.and_then(|(_, value)| value.parse().ok()).expect("a number")
}

/// What one run of one monitor measured.
struct Run {
    cpu_percent: f64,
    memory_kib: u64,
    /// A second, of the whole network namespace.
    connects: f64,
}

fn measure(process: u32, mut begin: impl FnMut(), mut end: impl FnMut()) -> Run {
    std::thread::sleep(WARM_UP);
    begin();
    let (cpu, connects_before, from) = (cpu_time(process), connects(), Instant::now());
    std::thread::sleep(WINDOW);
    let took = from.elapsed().as_secs_f64();
    let run = Run {
        cpu_percent: 100.0 * (cpu_time(process) - cpu).as_secs_f64() / took,
        memory_kib: memory_kib(process),
        connects: (connects() - connects_before) / took,
    };
    end();
    run
}

fn floatip(core: &str, port: u16) -> (Run, Vec<f64>) {
    let monitor = std::cell::RefCell::new(Part::start(core, &port.to_string()));
    let process = monitor.borrow().child.id();
    let mut starts = Vec::new();
    let begin = || drop(monitor.borrow_mut().ask());
    let run = measure(process, begin, || starts = monitor.borrow_mut().ask());
    (run, starts)
}

/// HAProxy with a server a node; `None`, with the reason told, if it is not to be had.
fn haproxy(core: &str, port: u16) -> Option<Run> {
    let name = format!("floatip-bench-haproxy-{}", std::process::id());
    let [file, socket] = ["cfg", "sock"].map(|kind| std::env::temp_dir().join(format!("{name}.{kind}")));
    let mut config = format!(
        "global\n  nbthread 1\n  ulimit-n 19000\n  maxconn 100\n\
         defaults\n  mode tcp\n  timeout connect 500ms\n  timeout check 500ms\n  timeout client 1s\n  timeout server 1s\n\
         frontend none\n  bind unix@{}\n  default_backend fleet\n\
         backend fleet\n  default-server inter 1s fastinter 250ms fall 3 rise 2\n",
        socket.display()
    );
    for node in 0..NODES {
        writeln!(config, "  server node-{node} {}:{port} check", host(node)).expect("a line");
    }
    fs::write(&file, config).expect("a file");
    let mut command = Command::new("taskset");
    command.args(["-c", core, "haproxy", "-db", "-f"]).arg(&file).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("taskset, of util-linux");
    std::thread::sleep(Duration::from_millis(500));
    if let Ok(Some(status)) = child.try_wait() {
        let mut said = String::new();
        child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
        println!("haproxy: NOT MEASURED, it did not run ({status}): {}", said.trim());
        remove([&file, &socket]);
        return None;
    }
    let run = measure(child.id(), || (), || ());
    child.kill().ok();
    child.wait().ok();
    remove([&file, &socket]);
    Some(run)
}

fn remove(files: [&std::path::PathBuf; 2]) {
    for file in files {
        // The socket goes with HAProxy, if it ends in its own time.
        fs::remove_file(file).ok();
    }
}

fn median(runs: &[Run], what: impl Fn(&Run) -> f64) -> f64 {
    Sample::new(runs.iter().map(what)).median()
}

fn print(name: &str, runs: &[Run]) {
    let most = |of: fn(&Run) -> f64| runs.iter().map(of).fold(f64::MIN, f64::max);
    println!(
        "{name:>10} {:>9.0} | {:>6.1} {:>6.1} {:>8.1} | {:>8.1}",
        median(runs, |run| run.connects),
        median(runs, |run| run.cpu_percent),
        most(|run| run.cpu_percent),
        median(runs, |run| 1e4 * run.cpu_percent / run.connects),
        median(runs, |run| run.memory_kib as f64 / 1024.0),
    );
}

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("targets") => return be_targets(),
        Ok(port) => return be_monitor(port.parse().expect("a port")),
        Err(_) => (),
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("tcp_fleet: {NODES} nodes checked by TCP every second, one core, medians of {RUNS} runs of {WINDOW:?}");
    println!("load of the machine before: {}", load.trim());
    let mut targets = Part::start("1", "targets");
    let port = targets.line()[0] as u16;
    let (mut ours, mut starts, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (run, started) = floatip("0", port);
        ours.push(run);
        starts.push(started);
        theirs.extend(haproxy("0", port));
    }
    println!("{:>10} {:>9} | {:>6} {:>6} {:>8} | {:>8}", "", "checks/s", "CPU %", "most", "us each", "RSS MiB");
    print("floatip", &ours);
    match &theirs[..] {
        [] => println!("   haproxy: NOT MEASURED: install the Debian package haproxy to compare"),
        theirs => print("haproxy", theirs),
    }
    let all = |index: usize| Sample::new(starts.iter().map(move |run| run[index]));
    let (late, failed) = (all(4).max(), all(1).max());
    println!(
        "floatip's checks started late by {:.2} ms (median), {:.2} (99 of 100), {late:.2} (most of all runs); {failed} failed",
        all(2).median(),
        all(3).median(),
    );
    let rate = all(0).quantile(0.0) / WINDOW.as_secs_f64();
    let is_kept = late <= LATE_BOUND_MS && rate > 0.999 * NODES as f64 && failed == 0.0;
    println!("{NODES} checks a second on one core, none later than {LATE_BOUND_MS} ms: {}", kept(is_kept));
}
