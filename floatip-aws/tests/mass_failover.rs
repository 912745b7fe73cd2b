//! Many failovers at once, under the token buckets that EC2 documents: how long they take beside what the buckets alone
//! would allow, and whether EC2 had to throttle.
//!
//! Real time, the real SDK over loopback, the simulator with its buckets on. By itself it runs a small form and only
//! makes sure that all addresses arrive and nothing is throttled. The benchmark prints the figures, and fails if one
//! misses its bound:
//!
//!     cargo test --workspace --test mass_failover -- --bench
//!
//! It is no `cargo bench` so that aws-sdk-ec2 need not be compiled once more in release mode; the work of this process
//! is a small part of the time in any case.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod rig;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use floatip_aws::CallMetrics;
use floatip_aws::simulator::Timings;
use floatip_core::testing::Answer;
use floatip_core::{EventKind, HealthSettings, Notice, Reason};
use rig::{Fleet, instance, interface, node};

/// Burst and tokens a second of AttachNetworkInterface and of DetachNetworkInterface.
const BUCKET: (usize, f64) = (50, 5.0);
const DETACH: Duration = Duration::from_millis(2500);
const ATTACH: Duration = Duration::from_millis(1500);

struct Outcome {
    /// From the first start of a move to the last end of one.
    took: Duration,
    throttled: usize,
    astray: usize,
    metrics: Vec<CallMetrics>,
}

async fn fail_over(size: usize, timings: Timings) -> Outcome {
    let mut health = HealthSettings::default();
    health.interval = Duration::from_secs(1);
    let fleet = Fleet::start(size, timings, Duration::from_secs(10), health, false).await;
    fleet.simulator.faults().token_buckets();
    let mut events = fleet.orchestrator.handle().subscribe();
    let running = tokio::spawn(fleet.orchestrator.run(std::future::pending()));
    let (mut begun, mut ended, mut up) = (None, 0, 0);
    let moving = async {
        loop {
            let Some(Notice::Event(event)) = events.next().await else {
                panic!("events were missed, or the orchestrator has ended");
            };
            if let EventKind::NodeCameUp { .. } = &event.kind {
                up += 1;
                if up == 2 * size {
                    let refused = || Answer::Unhealthy(Reason::Refused);
                    fleet.probes.iter().for_each(|probe| probe.set_direct(&node("a"), refused()));
                }
            } else if let EventKind::MoveStarted { .. } = &event.kind {
                begun.get_or_insert_with(Instant::now);
            } else if let EventKind::MoveFinished(_) = &event.kind {
                ended += 1;
                if ended == size {
                    return begun.map_or(Duration::ZERO, |begun| begun.elapsed());
                }
            } else if let EventKind::MoveFailed { .. } = &event.kind {
                eprintln!("{}: {}", event.floating_ip, event.kind);
            }
        }
    };
    let took = tokio::time::timeout(Duration::from_secs(180), moving).await.expect("all moves end");
    running.abort();
    let world = fleet.simulator.world();
    let carrier =
        |n| world.find_interface(&interface(n)).and_then(|it| it.attachment.as_ref()).map(|it| it.instance.clone());
    let entries = fleet.simulator.journal().entries();
    let throttled = entries.iter().filter(|entry| entry.outcome.code() == Some("RequestLimitExceeded")).count();
    Outcome {
        took,
        throttled,
        astray: (0..size).filter(|n| carrier(*n) != Some(instance(*n, "b"))).count(),
        metrics: fleet.ec2.metrics(),
    }
}

/// What the bucket of one action allows at the earliest.
fn bound(size: usize) -> Duration {
    Duration::from_secs_f64(size.saturating_sub(BUCKET.0) as f64 / BUCKET.1)
}

/// One line of figures. The bound holds only where the buckets are what takes the time.
async fn report(what: &str, size: usize, timings: Timings, transitions: Duration, bounded: bool) -> bool {
    let outcome = fail_over(size, timings).await;
    let bound = bound(size) + transitions;
    let over = 100.0 * (outcome.took.as_secs_f64() / bound.as_secs_f64() - 1.0);
    let kept = outcome.throttled == 0 && outcome.astray == 0 && (!bounded || over <= 10.0);
    println!("{size} failovers at once, {what}");
    println!("  bound of the buckets        {:>7.2} s", bound.as_secs_f64());
    println!("  all moves finished after    {:>7.2} s ({over:+.1} %)", outcome.took.as_secs_f64());
    println!("  throttled by EC2            {:>7}", outcome.throttled);
    println!("  addresses not on the target {:>7}", outcome.astray);
    for CallMetrics { call, sent, joined, held_back, waited, .. } in &outcome.metrics {
        println!("  {call:<32} sent {sent:>5}, joined {joined:>6}, held back {held_back:>5}, waited {waited:.1?}");
    }
    println!("  {}", if kept { "kept" } else { "MISSED" });
    kept
}

fn main() -> ExitCode {
    let bench = std::env::args().any(|argument| argument == "--bench");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let kept = runtime.block_on(async {
        let slow = Timings::default().detach(DETACH).attach(ATTACH);
        if bench {
            let alone = report("EC2's own changes done at once", 200, Timings::instant(), Duration::ZERO, true).await;
            let with = "EC2's changes taking 2.5 s and 1.5 s, which are in the bound";
            alone & report(with, 200, slow, DETACH + ATTACH, true).await
        } else {
            report("the small form", 60, Timings::instant(), Duration::ZERO, false).await
        }
    });
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
