//! Two monitors without a lease that both want to move the address, each to another node.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::monitor::{Broken, LOOK, Monitor, look};
use super::{Pace, Stage};
use crate::event::EventKind;
use crate::mover::Precondition;
use crate::node::NodeId;

/// How long a loser of a race may take to notice it, beyond the newest sweep.
const NOTICE: Duration = Duration::from_secs(5);

/// How a row of races ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Races {
    /// Races that were run.
    pub races: usize,
    /// Those in which both monitors sent a request.
    pub contended: usize,
    /// Moves that ended because another monitor was first, and said so.
    pub lost: usize,
    /// What went wrong, each with its seed.
    pub broken: Vec<String>,
}

impl Races {
    /// # Panics
    /// If anything went wrong, or if no race was run.
    #[track_caller]
    pub fn assert_sound(&self) {
        assert!(self.broken.is_empty(), "{self}: {:#?}", self.broken);
        assert!(self.races > 0, "{self}");
    }
}

impl fmt::Display for Races {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { races, contended, lost, broken } = self;
        write!(f, "{races} races: {contended} contended, {lost} moves lost to the other, {} broken", broken.len())
    }
}

/// Runs one race for each seed, each on a stage of its own that `make` makes; `at_once` of them side by side. The seed
/// decides how far apart the two monitors were started, and so how far apart they are convinced.
///
/// Checked is, in every race: never two holders; at the end one holder, healthy, of which both monitors say that it
/// serves; and no request after that. Beyond that, where the provider refuses stale tokens: moves finish on exactly
/// one node, and the other monitor's, if it had begun one, fails because it lost the race, and sends nothing after that.
/// Where it does not: whoever lost has read it back and says so.
///
/// # Panics
/// If a stage has fewer than three nodes.
pub async fn races<S, F>(make: impl Fn(u64) -> F, seeds: Range<u64>, at_once: usize) -> Races
where
    S: Stage,
    F: Future<Output = S> + Send + 'static,
{
    let mut seeds = seeds;
    let mut ended = Races::default();
    let mut running = JoinSet::new();
    loop {
        while running.len() < at_once.max(1) {
            let Some(seed) = seeds.next() else { break };
            let stage = make(seed);
            running.spawn(async move { (seed, race(stage, seed).await) });
        }
        match running.join_next().await {
            Some(Ok((_, Ok(race)))) => {
                ended.races += 1;
                ended.contended += usize::from(race.contended);
                ended.lost += race.lost;
            }
            Some(Ok((seed, Err(broken)))) => {
                ended.races += 1;
                ended.broken.push(format!("seed {seed}: {broken}"));
            }
            Some(Err(panic)) => ended.broken.push(format!("a race panicked: {panic}")),
            None => return ended,
        }
    }
}

struct Ended {
    contended: bool,
    lost: usize,
}

async fn race<S: Stage>(stage: impl Future<Output = S>, seed: u64) -> Result<Ended, Broken> {
    let stage = Arc::new(stage.await);
    let pace = stage.pace();
    let [dead, b, c] = stage.nodes().try_into().unwrap_or_else(|_| panic!("a race needs three nodes"));
    let mut rng = fastrand::Rng::with_seed(seed);
    // Both probe at the phase that the common seed decides, counted from their starts. Most races are close ones.
    let phase = rng.u64(..);
    let one = Monitor::start(&stage, &pace, Some(&b), phase)?;
    sleep(pace.health.interval.mul_f64(rng.f64().powi(4))).await;
    let two = Monitor::start(&stage, &pace, Some(&c), phase)?;
    one.settle(&stage, &pace).await?;
    two.settle(&stage, &pace).await?;
    sleep(pace.health.interval.mul_f64(rng.f64())).await;
    one.kill_holder();
    two.kill_holder();
    let holder = rest(&*stage, [&one, &two], &pace, &dead).await?;
    let rested = Instant::now();
    while rested.elapsed() < pace.aftermath {
        look(&*stage)?;
        sleep(LOOK).await;
    }
    let told = async || format!("first {}; second {}", one.told().await, two.told().await);
    let deadline = Instant::now() + NOTICE;
    // Said once is enough: on a loaded machine a probe may be late, and then a healthy node is suspect for a moment.
    let mut said = both_say([&one, &two], &holder).await?;
    while !said && Instant::now() < deadline {
        sleep(LOOK).await;
        said = both_say([&one, &two], &holder).await?;
    }
    if stage.holders() != [holder.clone()] || !said {
        return Err(format!("it came to rest on {holder} and then went on to {:?}: {}", stage.holders(), told().await));
    }
    if one.requests.after(rested) + two.requests.after(rested) > 0 {
        return Err(format!("requests went on after both had come to rest: {}", told().await));
    }
    let (finished, lost) = (ends([&one, &two], is_finish), ends([&one, &two], is_loss));
    if enforced(&*stage) {
        let targets = targets([&one, &two]);
        if targets.len() != 1 {
            return Err(format!("moves to {} nodes finished instead of one: {}", targets.len(), told().await));
        }
        for (monitor, at) in &lost {
            let more = [&one, &two][*monitor].requests.after(*at);
            if more > 0 && finished.iter().all(|(winner, _)| winner != monitor) {
                return Err(format!("the loser sent {more} requests after it had lost: {}", told().await));
            }
        }
        let failed = ends([&one, &two], |kind| matches!(kind, EventKind::MoveFailed { .. }));
        if failed.len() != lost.len() {
            return Err(format!("a move failed for another reason than the race: {}", told().await));
        }
    }
    let ended = Ended { contended: one.requests.count() > 0 && two.requests.count() > 0, lost: lost.len() };
    one.stop().await;
    two.stop().await;
    Ok(ended)
}

/// Waits until both monitors say that one healthy node serves which truly does.
async fn rest<S: Stage>(stage: &S, monitors: [&Monitor<S>; 2], pace: &Pace, dead: &NodeId) -> Result<NodeId, Broken> {
    let deadline = Instant::now() + pace.patience + NOTICE;
    loop {
        look(stage)?;
        let holders = stage.holders();
        if let [holder] = &holders[..]
            && holder != dead
            && both_say(monitors, holder).await?
        {
            return Ok(holder.clone());
        }
        if Instant::now() > deadline {
            let (one, two) = (monitors[0].told().await, monitors[1].told().await);
            return Err(format!("no end, and it is on {holders:?}: first {one}; second {two}"));
        }
        sleep(LOOK).await;
    }
}

async fn both_say<S: Stage>(monitors: [&Monitor<S>; 2], holder: &NodeId) -> Result<bool, Broken> {
    Ok(monitors[0].says_serving(holder).await? && monitors[1].says_serving(holder).await?)
}

/// When moves of the two ended so, and of which of them.
fn ends<S: Stage>(monitors: [&Monitor<S>; 2], so: impl Fn(&EventKind) -> bool) -> Vec<(usize, Instant)> {
    let of = |(index, monitor): (usize, &Monitor<S>)| {
        monitor.events().into_iter().filter(|(_, kind)| so(kind)).map(move |(at, _)| (index, at)).collect::<Vec<_>>()
    };
    monitors.into_iter().enumerate().flat_map(of).collect()
}

fn is_finish(kind: &EventKind) -> bool {
    matches!(kind, EventKind::MoveFinished(_))
}

fn is_loss(kind: &EventKind) -> bool {
    matches!(kind, EventKind::MoveFailed { error, .. } if error.contains("lost a race"))
}

/// The nodes to which moves finished. A monitor whose own target was not fit may have chosen the other's, and then finds
/// the address there.
fn targets<S: Stage>(monitors: [&Monitor<S>; 2]) -> BTreeSet<NodeId> {
    let events = monitors.into_iter().flat_map(Monitor::events);
    let finished = events
        .filter_map(|(_, kind)| if let EventKind::MoveFinished(receipt) = kind { Some(receipt.to) } else { None });
    finished.collect()
}

/// Whether the provider refuses stale tokens.
fn enforced(stage: &impl Stage) -> bool {
    stage.movers().iter().all(|mover| mover.capabilities().precondition == Precondition::Enforced)
}
