//! The engine lives through many scenarios, and breaks no rule.
//!
//!     FLOATIP_WORLD=N cargo test -p floatip-world          N scenarios instead of 10 000
//!     FLOATIP_WORLD_SEED=S cargo test -p floatip-world     scenario S alone; tells the story of the smallest that fails

use floatip_world::{Search, live, plan, regressions, replay};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[track_caller]
fn fails(seed: u64) -> ! {
    let (story, broken) = replay(seed);
    panic!("{story}\nFLOATIP_WORLD_SEED={seed} cargo test -p floatip-world\n{broken:#?}");
}

#[test]
fn no_scenario_breaks_a_rule_and_after_each_the_best_node_serves() {
    if let Some(seed) = number("FLOATIP_WORLD_SEED") {
        let (story, broken) = replay(seed);
        println!("{story}");
        assert!(broken.is_empty(), "seed {seed}: {broken:#?}");
        return;
    }
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let end = number("FLOATIP_WORLD").unwrap_or(10_000);
    let (tally, violation) = Search { seeds: 0..end, threads }.run();
    println!("{tally:?}");
    if let Some(violation) = violation {
        fails(violation.seed);
    }
    assert!(tally.moves > tally.scenarios / 2, "the world is too quiet to prove anything: {tally:?}");
}

#[test]
fn what_has_failed_once_fails_no_more() {
    assert!(regressions().count() > 30);
    if let Some(seed) = regressions().find(|seed| !live(&plan(*seed), false).broken.is_empty()) {
        fails(seed);
    }
}

#[test]
fn one_seed_brings_one_trace_bit_for_bit() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let (first, again) = (live(&plan(seed), true), live(&plan(seed), true));
        assert_eq!(first.story, again.story, "seed {seed}");
        assert_eq!(first.trace, again.trace, "seed {seed}");
        assert_eq!(first.trace, live(&plan(seed), false).trace, "a story that is told does not change it: seed {seed}");
        traces.insert(first.trace);
    }
    assert_eq!(traces.len(), 60, "different seeds bring different traces");
}
