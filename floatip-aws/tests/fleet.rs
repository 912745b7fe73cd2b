//! What a healthy fleet costs: the real orchestrator, movers and SDK, against the simulator.

mod rig;

use std::time::Duration;

use floatip_aws::simulator::{Action, Entry, Timings};
use floatip_core::HealthSettings;
use rig::{Fleet, TAG};

const SIZE: usize = 1000;
const SWEEP: Duration = Duration::from_secs(4);
/// Much longer than it takes, for machines that are busy: then readings fail at first, and are repeated after a minute.
const LIMIT: Duration = Duration::from_secs(240);

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

/// Whether two sweeps in a row, and all that was called between the first of them and the one after, are calls that
/// `expected` lists. Before, the fleet starts: every candidate is looked at once.
fn is_steady(entries: &[Entry], expected: &[Call]) -> bool {
    let sweeps = sweeps(entries);
    // The last one may have only begun.
    let [.., before_last, last_whole, begun] = &sweeps[..] else { return false };
    let during = entries.iter().filter(|entry| entry.at >= before_last[0].at && entry.at < begun[0].at);
    let calls: Vec<_> = during.map(Call::of).collect();
    before_last.len() == last_whole.len() && calls == [expected, expected].concat()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    action: String,
    filter: String,
    values: usize,
}

impl Call {
    fn interfaces_by(filter: &str, values: usize) -> Self {
        Self { action: Action::DescribeNetworkInterfaces.name().to_owned(), filter: filter.to_owned(), values }
    }

    fn of(entry: &Entry) -> Self {
        let filter = entry.parameter("Filter.1.Name").unwrap_or_default().to_owned();
        let values = entry.parameters.keys().filter(|name| name.starts_with("Filter.1.Value.")).count();
        Self { action: entry.action.clone(), filter, values }
    }
}

/// Runs a healthy fleet until its sweeps cost what is expected, and nothing else is called.
async fn watch(tagged: bool, expected: &[Call]) {
    let mut health = HealthSettings::default();
    health.interval = Duration::from_secs(30);
    let fleet = Fleet::start(SIZE, Timings::default(), SWEEP, health, tagged).await;
    let journal = fleet.simulator.journal();
    tokio::select! {
        () = journal.wait_until(|entries| is_steady(entries, expected)) => {
            let (calls, values) = (expected.len(), expected.iter().map(|call| call.values).max().unwrap_or(0));
            println!("a healthy fleet of {SIZE} interfaces: {calls} describes a sweep, of up to {values} values each");
        }
        () = fleet.orchestrator.run(std::future::pending()) => unreachable!("it is not asked to end"),
        () = tokio::time::sleep(LIMIT) => {
            let costs: Vec<_> = sweeps(&journal.entries()).iter().map(Vec::len).collect();
            panic!("the sweeps cost {costs:?}, and not twice in a row {expected:?} and nothing else");
        }
    }
}

#[tokio::test]
async fn a_healthy_fleet_of_a_thousand_interfaces_costs_five_calls_a_sweep() {
    watch(false, &vec![Call::interfaces_by("network-interface-id", 200); 5]).await;
}

#[tokio::test]
async fn a_healthy_fleet_with_a_tag_costs_one_call_a_sweep() {
    watch(true, &[Call::interfaces_by(&format!("tag:{}", TAG.0), 1)]).await;
}
