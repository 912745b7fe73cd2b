//! How often a healthy fleet reads its provider.
//!
//! Design: one process-wide tick, so that n interfaces cost ceil(n / 200) describes a sweep. The core's part, measured
//! here on paused time, is that each floating IP reads once a sweep and all of them at the same instant: a reader that
//! shares calls not yet sent can then put 200 into one.
//!
//!     cargo bench -p floatip-core --features testing --bench quiet
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod figures;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use figures::{Sample, kept};
use floatip_core::testing::{Answered, Call, InMemoryMover, InMemoryProvider, ScriptedProbe};
use floatip_core::{Check, FloatingIp, HealthSettings, Node, NodeId, Orchestrator, Setup};
use tokio::time::{Instant, sleep};

const SWEEP: Duration = Duration::from_secs(10);
const SWEEPS: u32 = 30;
const A_DESCRIBE: usize = 200;

/// The reads of each instant, and the requests, of `n` floating IPs over `SWEEPS` sweeps, from the third one on.
async fn watch(n: usize) -> (BTreeMap<Instant, usize>, usize) {
    let mut health = HealthSettings::default();
    health.interval = Duration::from_secs(5);
    let mut builder = Orchestrator::builder().sweep(SWEEP).seed(1);
    let mut providers = Vec::with_capacity(n);
    for index in 0..n {
        let provider = InMemoryProvider::new(["a", "b"].map(|name| NodeId::new(name).expect("a name")));
        provider.put_on(&NodeId::new("a").expect("a name"));
        provider.set_latency(Duration::from_millis(20 + index as u64 % 60));
        let host = |net: usize| format!("10.{net}.{}.{}", index / 250, index % 250);
        builder = builder.floating_ip(
            Setup::new(FloatingIp::new(&format!("ip-{index}"), &host(0)).expect("an address"))
                .node(Node::new("a", &host(1)).expect("a node"))
                .node(Node::new("b", &host(2)).expect("a node"))
                .check(Check::new(Arc::new(ScriptedProbe::new().following(&provider))).health(health))
                .mover(Arc::new(InMemoryMover::release_first(&provider))),
        );
        providers.push(provider);
    }
    let begun = Instant::now();
    let orchestrator = builder.build().expect("sound setups");
    tokio::select! {
        () = orchestrator.run(std::future::pending()) => {}
        () = sleep(SWEEP * (SWEEPS + 3) - SWEEP / 2) => {}
    }
    let mut reads = BTreeMap::new();
    let mut requests = 0;
    for record in providers.iter().flat_map(InMemoryProvider::journal) {
        let late_enough = record.at >= begun + SWEEP * 2 + SWEEP / 2;
        match record.request.call() {
            Call::Locate if late_enough && record.answered == Answered::Ok => *reads.entry(record.at).or_default() += 1,
            Call::Locate | Call::Ready => {}
            Call::Release | Call::Claim => requests += 1,
        }
    }
    (reads, requests)
}

fn main() {
    println!("quiet: reads of a healthy fleet over {SWEEPS} sweeps of {SWEEP:?}; calls take 20 to 79 ms");
    println!(
        "{:>12} | {:>14} {:>16} {:>18} | {:>22} {:>8}",
        "floating IPs", "reads a sweep", "instants a sweep", "requests in all", "describes of 200 / bound", ""
    );
    let mut all_kept = true;
    for n in [1, 200, 201, 2000] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (reads, requests) = runtime.expect("a runtime").block_on(watch(n));
        let sweeps = f64::from(SWEEPS);
        let sample = Sample::new(reads.values().map(|reads| *reads as f64));
        let a_sweep = reads.values().sum::<usize>() as f64 / sweeps;
        let describes = reads.values().map(|reads| reads.div_ceil(A_DESCRIBE)).sum::<usize>() as f64 / sweeps;
        let bound = n.div_ceil(A_DESCRIBE) as f64;
        let is_kept = describes <= bound && sample.max() <= n as f64 && requests == 0;
        all_kept &= is_kept;
        println!(
            "{n:>12} | {a_sweep:>14.2} {:>16.2} {requests:>18} | {:>24} {:>8}",
            reads.len() as f64 / sweeps,
            format!("{describes:.2} / {bound:.0}"),
            kept(is_kept)
        );
    }
    println!("quiet, all of the above: {}", kept(all_kept));
}
