//! What a healthy fleet costs: the real orchestrator, movers and SDK, against the simulator.

mod rig;

use std::time::Duration;

use floatip_aws::simulator::{Action, Entry, Timings};
use floatip_core::HealthSettings;
use rig::{Fleet, TAG};

const SIZE: usize = 1000;
const SWEEP: Duration = Duration::from_secs(4);

/// The describes of interfaces, sweep by sweep: they come together, and then nothing does.
fn sweeps(entries: &[Entry]) -> Vec<Vec<Entry>> {
    let mut sweeps = Vec::<Vec<Entry>>::new();
    for entry in entries.iter().filter(|entry| entry.action == Action::DescribeNetworkInterfaces.name()) {
        match sweeps.last_mut() {
            Some(sweep) if sweep.last().is_some_and(|last| entry.at - last.at < SWEEP / 4) => sweep.push(entry.clone()),
            Some(_) | None => sweeps.push(vec![entry.clone()]),
        }
    }
    sweeps
}

/// The sweeps of a healthy fleet, from the second one on, and everything else that was called meanwhile.
async fn watch(tagged: bool) -> (Vec<Vec<Entry>>, Vec<Entry>) {
    let mut health = HealthSettings::default();
    health.interval = Duration::from_secs(30);
    let fleet = Fleet::start(SIZE, Timings::default(), SWEEP, health, tagged).await;
    let journal = fleet.simulator.journal();
    let watched = async {
        journal.wait_until(|entries| sweeps(entries).len() >= 5).await;
        journal.entries()
    };
    let entries = tokio::select! {
        entries = watched => entries,
        () = fleet.orchestrator.run(std::future::pending()) => unreachable!("it is not asked to end"),
        () = tokio::time::sleep(Duration::from_secs(120)) => panic!("{} requests", journal.entries().len()),
    };
    let sweeps = sweeps(&entries);
    let (first, last) = (sweeps[2][0].at, sweeps[4][0].at);
    let others = entries.into_iter().filter(|entry| entry.at >= first && entry.at < last);
    let others = others.filter(|entry| entry.action != Action::DescribeNetworkInterfaces.name()).collect();
    // The last one may have only begun.
    (sweeps[2..4].to_vec(), others)
}

fn values(entry: &Entry) -> usize {
    entry.parameters.keys().filter(|name| name.starts_with("Filter.1.Value.")).count()
}

#[tokio::test]
async fn a_healthy_fleet_of_a_thousand_interfaces_costs_five_calls_a_sweep() {
    let (sweeps, others) = watch(false).await;
    for sweep in &sweeps {
        let calls: Vec<_> =
            sweep.iter().map(|entry| (entry.parameter("Filter.1.Name").unwrap(), values(entry))).collect();
        assert_eq!(calls, [("network-interface-id", 200); 5]);
    }
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn a_healthy_fleet_with_a_tag_costs_one_call_a_sweep() {
    let (sweeps, others) = watch(true).await;
    for sweep in &sweeps {
        let calls: Vec<_> = sweep.iter().map(|entry| entry.parameter("Filter.1.Name").unwrap()).collect();
        assert_eq!(calls, [format!("tag:{}", TAG.0)]);
    }
    assert!(others.is_empty(), "{others:?}");
}
