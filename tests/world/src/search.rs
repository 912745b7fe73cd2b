//! Lives through many scenarios, on all cores, and shrinks the first that fails.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use proptest::strategy::ValueTree;

use crate::generate::tree;
use crate::plan::Plan;
use crate::world::live;

/// How many shrunk plans are tried.
const SHRINKS: u32 = 150;

/// The plan of one seed.
pub fn plan(seed: u64) -> Plan {
    tree(seed).current()
}

/// Seeds that have failed once: `tests/regressions.txt`, one a line, with what they found behind a `#`.
pub fn regressions() -> impl Iterator<Item = u64> {
    let seeds = include_str!("../tests/regressions.txt").lines().filter(|line| !line.trim().is_empty());
    seeds.map(|line| {
        let seed = line.split('#').next().unwrap_or_default().trim();
        seed.parse().unwrap_or_else(|_| panic!("regressions.txt: {line:?} does not begin with a seed"))
    })
}

/// What many scenarios amount to.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Scenarios that were lived through.
    pub scenarios: u64,
    /// The time that passed in them.
    pub lived: Duration,
    /// Inputs to engines.
    pub turns: u64,
    /// Moves that were started.
    pub moves: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.scenarios += other.scenarios;
        self.lived += other.lived;
        self.turns += other.turns;
        self.moves += other.moves;
    }
}

/// A scenario that broke a rule.
#[derive(Debug)]
pub struct Violation {
    /// The seed that brings it again.
    pub seed: u64,
    /// What was broken.
    pub broken: Vec<String>,
}

/// A search for violations.
#[derive(Debug, Clone)]
pub struct Search {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How many threads share them.
    pub threads: usize,
}

fn broken_by(plan: &Plan) -> Vec<String> {
    catch_unwind(AssertUnwindSafe(|| live(plan, false).broken)).unwrap_or_else(|_| vec!["it panicked".to_owned()])
}

impl Search {
    /// Every violation among the scenarios, and what all of them amount to.
    pub fn survey(mut self, mut told: impl FnMut(&Violation)) -> Tally {
        let mut total = Tally::default();
        loop {
            let (tally, violation) = self.run();
            total.add(&tally);
            let Some(violation) = violation else { return total };
            told(&violation);
            self.seeds.start = violation.seed + 1;
        }
    }

    /// Lives through the scenarios until one breaks a rule: of those found, the one with the smallest seed.
    pub fn run(&self) -> (Tally, Option<Violation>) {
        let (next, found) = (AtomicU64::new(self.seeds.start), AtomicBool::new(false));
        let worker = || {
            let (mut tally, mut violation) = (Tally::default(), None);
            while !found.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    break;
                }
                let plan = plan(seed);
                let outcome = catch_unwind(AssertUnwindSafe(|| live(&plan, false)));
                tally.scenarios += 1;
                let broken = match outcome {
                    Ok(outcome) => {
                        tally.lived += outcome.lived;
                        tally.turns += outcome.turns;
                        tally.moves += u64::from(outcome.moves);
                        outcome.broken
                    }
                    Err(_) => vec!["it panicked".to_owned()],
                };
                if !broken.is_empty() {
                    found.store(true, Ordering::Relaxed);
                    violation = Some(Violation { seed, broken });
                }
            }
            (tally, violation)
        };
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(worker)).collect();
            threads.into_iter().map(|thread| thread.join().expect("workers catch panics")).collect()
        });
        let mut total = Tally::default();
        let mut violations = Vec::new();
        for (tally, violation) in results {
            total.add(&tally);
            violations.extend(violation);
        }
        (total, violations.into_iter().min_by_key(|violation| violation.seed))
    }
}

/// Lives through the scenario of `seed` once more and tells its story; if it breaks a rule, the story of the smallest
/// plan that does. Gives back what is broken.
pub fn replay(seed: u64) -> (String, Vec<String>) {
    let mut tree = tree(seed);
    let mut best = tree.current();
    if !broken_by(&best).is_empty() {
        let mut tries = 0;
        let mut more = tree.simplify();
        while more && tries < SHRINKS {
            tries += 1;
            let smaller = tree.current();
            more = if broken_by(&smaller).is_empty() {
                tree.complicate()
            } else {
                best = smaller;
                tree.simplify()
            };
        }
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&best, true)));
    match outcome {
        Ok(outcome) => (outcome.story.unwrap_or_default(), outcome.broken),
        Err(_) => (format!("{best:#?}"), vec!["it panicked".to_owned()]),
    }
}
