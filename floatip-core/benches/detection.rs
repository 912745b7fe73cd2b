//! How long a failure takes to be found: from the instant at which a server fails to the start of the move.
//!
//! Design: at most `interval + (fall - 1) x fast_interval + timeout`, for a server that refuses and for one that hangs.
//! On paused time, so the figures are the program's own, to tokio's resolution of 1 ms a timer. The server fails at 120
//! phases of the interval under each of three seeds; a check under way at that instant fails with it.
//!
//!     cargo bench -p floatip-core --features testing --bench detection
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod figures;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use figures::{Sample, kept, millis};
use floatip_core::testing::{InMemoryMover, InMemoryProvider};
use floatip_core::{
    Check, EventKind, FloatingIp, HealthProbe, HealthSettings, Node, NodeId, Notice, Orchestrator, ProbeError, Reason,
    Setup, Target, Verdict, Via,
};
use tokio::time::{Instant, sleep_until, timeout};

const PHASES: u32 = 120;
const SEEDS: [u64; 3] = [1, 2, 3];

#[derive(Debug, Clone, Copy)]
enum Fault {
    Refuses,
    Hangs,
}

/// A probe of servers that answer after `check`, until the first of them fails at `at`.
#[derive(Debug)]
struct Servers {
    check: Duration,
    at: Instant,
    fault: Fault,
}

#[async_trait]
impl HealthProbe for Servers {
    fn kind(&self) -> &'static str {
        "bench"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let started = Instant::now();
        let answer = started + self.check;
        let fails = (target.via == Via::Floating || target.node.as_str() == "a") && self.at <= answer;
        let (end, verdict) = match self.fault {
            _ if !fails => (answer, Verdict::healthy()),
            Fault::Refuses => (answer, Verdict::unhealthy(Reason::Refused)),
            Fault::Hangs => {
                (started + target.timeout, Verdict::unhealthy(Reason::TimedOut { stage: "connect".into() }))
            }
        };
        sleep_until(end).await;
        Ok(verdict)
    }
}

fn settings(interval: u64, fast_interval: u64, timeout: u64, fall: u32) -> HealthSettings {
    let mut settings = HealthSettings::default();
    settings.interval = Duration::from_millis(interval);
    settings.fast_interval = Duration::from_millis(fast_interval);
    settings.timeout = Duration::from_millis(timeout);
    settings.fall = fall;
    settings
}

/// From the failure to the start of the move; `None` if nothing moved in ten times the bound.
async fn detect(health: HealthSettings, fault: Fault, check: Duration, phase: f64, seed: u64) -> Option<Duration> {
    let names = ["a", "b", "c"];
    let provider = InMemoryProvider::new(names.map(|name| NodeId::new(name).expect("a name")));
    provider.put_on(&NodeId::new("a").expect("a name"));
    let at = Instant::now() + 4 * health.interval + health.interval.mul_f64(phase);
    let mut setup = Setup::new(FloatingIp::new("ftp", "10.0.0.30").expect("an address"))
        .check(Check::new(Arc::new(Servers { check, at, fault })).health(health))
        .mover(Arc::new(InMemoryMover::release_first(&provider)));
    for (index, name) in names.iter().enumerate() {
        setup = setup.node(Node::new(name, &format!("10.0.0.{}", index + 1)).expect("a node"));
    }
    let orchestrator = Orchestrator::builder().floating_ip(setup).seed(seed).build().expect("a sound setup");
    let mut events = orchestrator.handle().subscribe();
    let started = async {
        while let Some(notice) = events.next().await {
            if let Notice::Event(event) = notice
                && let EventKind::MoveStarted { .. } = event.kind
            {
                return Instant::now();
            }
        }
        unreachable!("the orchestrator runs for ever")
    };
    tokio::select! {
        () = orchestrator.run(std::future::pending()) => None,
        started = timeout(4 * health.interval + health.interval + 10 * health.worst_case_detection(), started) => {
            started.ok().and_then(|started| started.checked_duration_since(at))
        }
    }
}

fn main() {
    println!("detection: from the failure to the start of the move, {PHASES} phases x {} seeds, ms", SEEDS.len());
    println!(
        "{:>8} {:>6} {:>8} {:>5} {:>6} {:>8} | {:>8} {:>8} {:>8} | {:>8} {:>8}",
        "interval", "fast", "timeout", "fall", "check", "server", "min", "median", "max", "bound", "margin"
    );
    let cases = [
        (settings(1000, 250, 500, 3), [0, 10, 200]),
        (HealthSettings::default(), [0, 10, 400]),
        (settings(1000, 1000, 1000, 2), [0, 10, 500]),
        (settings(5000, 500, 3000, 1), [0, 10, 1500]),
        (settings(1000, 500, 500, 1), [0, 10, 200]),
        (settings(10_000, 200, 5000, 5), [0, 10, 1000]),
        (settings(500, 50, 100, 10), [0, 10, 40]),
    ];
    let mut all_kept = true;
    for (health, checks) in cases {
        for (check, fault) in checks.into_iter().flat_map(|check| [(check, Fault::Refuses), (check, Fault::Hangs)]) {
            let check_time = Duration::from_millis(check);
            let runs = SEEDS.iter().flat_map(|seed| (0..PHASES).map(move |phase| (*seed, phase)));
            let found: Vec<_> = runs
                .map(|(seed, phase)| {
                    let phase = f64::from(phase) / f64::from(PHASES);
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                    runtime.expect("a runtime").block_on(detect(health, fault, check_time, phase, seed))
                })
                .collect();
            let never = found.iter().filter(|found| found.is_none()).count();
            let sample = Sample::new(found.into_iter().map(|found| found.map_or(f64::INFINITY, millis)));
            let bound = millis(health.worst_case_detection());
            let is_kept = sample.max() <= bound;
            all_kept &= is_kept;
            println!(
                "{:>8} {:>6} {:>8} {:>5} {:>6} {:>8} | {:>8.1} {:>8.1} {:>8.1} | {:>8.1} {:>8.1}  {}{}",
                health.interval.as_millis(),
                health.fast_interval.as_millis(),
                health.timeout.as_millis(),
                health.fall,
                check,
                format!("{fault:?}").to_lowercase(),
                sample.quantile(0.0),
                sample.median(),
                sample.max(),
                bound,
                bound - sample.max(),
                kept(is_kept),
                if never == 0 { String::new() } else { format!(" ({never} never moved)") },
            );
        }
    }
    println!("detection, all of the above: {}", kept(all_kept));
}
