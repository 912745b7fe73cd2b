//! What a move costs beyond the provider's own time: from the decision until the address is seen on its new node.
//!
//! Design: at most 5 % of the provider's own time and 4 round trips. On paused time, so the figures are the program's
//! own. Each provider time is stretched in 30 steps by up to 4 %, a whole poll, so that the worst alignment with the
//! polls is among them.
//!
//!     cargo bench -p floatip-core --features testing --bench move_cost
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod figures;

use std::sync::Arc;
use std::time::Duration;

use figures::{Sample, kept, millis};
use floatip_core::testing::{InMemoryMover, InMemoryProvider, ScriptedProbe};
use floatip_core::{
    Check, Command, Done, FloatingIp, Health, Node, NodeId, Orchestrator, Policy, Receipt, Setup, Step, Strategy,
    Switchover,
};
use tokio::time::sleep;

const STEPS: u32 = 30;
const PROVIDER_SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 4.0, 10.0, 30.0, 60.0, 120.0, 200.0];
const ROUND_TRIPS_MS: [u64; 5] = [0, 1, 10, 50, 100];

/// The shortest time between two looks: half of it is what an even spread of endings waits for the next look.
const POLL_FLOOR: Duration = Duration::from_millis(100);

/// How the provider's time divides into a release and a claim, as EC2's do for a network interface.
fn shares(strategy: Strategy) -> (f64, f64) {
    match strategy {
        Strategy::ReleaseFirst => (0.625, 0.375),
        Strategy::Overwrite => (0.0, 1.0),
    }
}

/// Waits between a request and its effect.
fn waits(strategy: Strategy) -> u32 {
    match strategy {
        Strategy::ReleaseFirst => 2,
        Strategy::Overwrite => 1,
    }
}

async fn switch(strategy: Strategy, own: Duration, round_trip: Duration) -> Receipt {
    let [a, b] = ["a", "b"].map(|name| NodeId::new(name).expect("a name"));
    let provider = InMemoryProvider::new([a.clone(), b.clone()]);
    let (release, claim) = shares(strategy);
    provider.set_release_duration(own.mul_f64(release));
    provider.set_claim_duration(own.mul_f64(claim));
    provider.set_latency(round_trip);
    provider.put_on(&a);
    let mover = match strategy {
        Strategy::ReleaseFirst => InMemoryMover::release_first(&provider),
        Strategy::Overwrite => InMemoryMover::overwrite(&provider),
    };
    let mut policy = Policy::default();
    policy.release_timeout = Duration::from_secs(600);
    policy.claim_timeout = Duration::from_secs(600);
    let setup = Setup::new(FloatingIp::new("ftp", "10.0.0.30").expect("an address"))
        .node(Node::new("a", "10.0.0.1").expect("a node"))
        .node(Node::new("b", "10.0.0.2").expect("a node"))
        .check(Check::new(Arc::new(ScriptedProbe::new().following(&provider))))
        .mover(Arc::new(mover))
        .policy(policy);
    let orchestrator = Orchestrator::builder().floating_ip(setup).seed(1).build().expect("a sound setup");
    let handle = orchestrator.handle();
    let command = async {
        while handle.status().await.expect("it runs")[0].nodes.iter().any(|node| node.health != Health::Healthy) {
            sleep(Duration::from_millis(100)).await;
        }
        handle.command("ftp", Command::Switchover(Switchover::to(b))).await
    };
    tokio::select! {
        () = orchestrator.run(std::future::pending()) => unreachable!("it runs for ever"),
        done = command => match done {
            Ok(Done::Moved(receipt)) => receipt,
            other => panic!("the move was to finish: {other:?}"),
        },
    }
}

/// What the placed part of a move took beyond the provider's own time.
fn overhead(strategy: Strategy, own: Duration, round_trip: Duration) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let receipt = runtime.expect("a runtime").block_on(switch(strategy, own, round_trip));
    let placed = receipt.steps.iter().filter(|record| record.step != Step::Verify).map(|record| record.duration);
    placed.sum::<Duration>().saturating_sub(own)
}

fn main() {
    println!("move_cost: what a move takes beyond the provider's own time, {STEPS} alignments each, ms");
    println!(
        "{:>13} {:>9} {:>10} | {:>8} {:>8} {:>8} | {:>8} | with a poll of 100 ms a wait",
        "strategy", "own", "round trip", "median", "max", "% of own", "bound"
    );
    let (mut all, mut all_kept, mut all_kept_with_floor) = (0, 0, 0);
    for strategy in [Strategy::ReleaseFirst, Strategy::Overwrite] {
        for (seconds, round_trip) in
            PROVIDER_SECONDS.iter().flat_map(|seconds| ROUND_TRIPS_MS.iter().map(move |ms| (*seconds, *ms)))
        {
            let round_trip = Duration::from_millis(round_trip);
            let own = |step: u32| Duration::from_secs_f64(seconds * (1.0 + 0.04 * f64::from(step) / f64::from(STEPS)));
            let sample = Sample::new((0..STEPS).map(|step| millis(overhead(strategy, own(step), round_trip))));
            let bound = millis(own(0)) * 0.05 + 4.0 * millis(round_trip);
            let with_floor = bound + millis(POLL_FLOOR * waits(strategy));
            all += 1;
            all_kept += u32::from(sample.max() <= bound);
            all_kept_with_floor += u32::from(sample.max() <= with_floor);
            println!(
                "{:>13} {:>9.0} {:>10.0} | {:>8.1} {:>8.1} {:>8.1} | {:>8.1} | {:>8.1}  {:>6} / {}",
                format!("{strategy:?}"),
                millis(own(0)),
                millis(round_trip),
                sample.median(),
                sample.max(),
                100.0 * sample.max() / millis(own(0)),
                bound,
                with_floor,
                kept(sample.max() <= bound),
                kept(sample.max() <= with_floor),
            );
        }
    }
    println!(
        "move_cost: 5 % + 4 round trips {} ({all_kept} of {all}); with the shortest poll of 100 ms for each wait {} \
         ({all_kept_with_floor} of {all})",
        kept(all_kept == all),
        kept(all_kept_with_floor == all)
    );
}
