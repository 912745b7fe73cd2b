use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::clock::WallClock;
use super::data_plane::{Change, DataPlane};
use super::fault::FaultPlan;
use super::journal::Journal;
use super::timings::Timings;
use super::token_bucket::TokenBuckets;
use super::world::World;

/// The simulator's clock: tokio's, so that tests can pause it.
#[allow(clippy::disallowed_methods, reason = "the simulator is a world of its own, with tokio's clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The running world, shared by the server, the timers and the handles that tests hold.
///
/// A lock, not an owner task: tests read and change the world synchronously, and nothing awaits under it.
#[derive(Debug)]
pub(super) struct Cloud {
    live: Mutex<Live>,
    /// Wakes who waits for any change of the world.
    changed: watch::Sender<()>,
    wake: Notify,
    pub(super) faults: FaultPlan,
    pub(super) journal: Journal,
    pub(super) buckets: TokenBuckets,
    pub(super) wall: WallClock,
}

#[derive(Debug)]
struct Live {
    world: World,
    told: Vec<(Instant, Change)>,
    history: Option<History>,
}

/// What the world was like, as far back as reads are made to look.
#[derive(Debug)]
struct History {
    depth: Duration,
    worlds: VecDeque<(Instant, Arc<World>)>,
}

impl Cloud {
    pub(super) fn new(mut world: World, timings: Timings) -> Self {
        world.timings = timings;
        world.outbox.clear();
        Self {
            live: Mutex::new(Live { world, told: Vec::new(), history: None }),
            changed: watch::Sender::new(()),
            wake: Notify::new(),
            faults: FaultPlan::default(),
            journal: Journal::new(),
            buckets: TokenBuckets::default(),
            wall: WallClock::default(),
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world, brought up to date.
    fn up_to_date(&self, now: Instant) -> MutexGuard<'_, Live> {
        let mut live = self.live();
        if live.world.next_due().is_some_and(|due| due <= now) {
            live.catch_up(now);
            live.remember(now);
            self.changed.send_replace(());
        }
        live
    }

    /// Applies a change to the world.
    pub(super) fn apply<T>(&self, change: impl FnOnce(&mut World, Instant) -> T) -> T {
        let now = now();
        let mut live = self.up_to_date(now);
        let result = change(&mut live.world, now);
        live.catch_up(now);
        live.remember(now);
        self.wake.notify_one();
        self.changed.send_replace(());
        result
    }

    /// The world as it really is.
    pub(super) fn world(&self) -> World {
        self.read(World::clone)
    }

    /// Looks at the world as it really is.
    pub(super) fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.up_to_date(now()).world)
    }

    /// Waits until the world satisfies `condition`.
    pub(super) async fn wait_until(&self, mut condition: impl FnMut(&World) -> bool) {
        let mut changed = self.changed.subscribe();
        while !self.read(&mut condition) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// The changes that the data plane was told of.
    pub(super) fn told(&self) -> Vec<(Instant, Change)> {
        self.live().told.clone()
    }

    /// Keeps what the world was like from now on, this far back.
    pub(super) fn keep_history(&self, depth: Duration) {
        let now = now();
        let mut live = self.up_to_date(now);
        let history = live.history.get_or_insert_with(|| History { depth, worlds: VecDeque::new() });
        history.depth = history.depth.max(depth);
        live.remember(now);
    }

    pub(super) fn forget_history(&self) {
        self.live().history = None;
    }

    /// The world as it was `age` ago, or as long ago as is remembered.
    pub(super) fn past(&self, age: Duration) -> Arc<World> {
        let now = now();
        let live = self.up_to_date(now);
        let then = now.checked_sub(age);
        let worlds = live.history.iter().flat_map(|history| &history.worlds);
        let old = worlds.clone().take_while(|(at, _)| then.is_some_and(|then| *at <= then));
        let remembered = old.last().or_else(|| worlds.clone().next());
        remembered.map_or_else(|| Arc::new(live.world.clone()), |(_, world)| Arc::clone(world))
    }

    /// Makes changes take effect when their time has come, whether or not anybody reads.
    pub(super) async fn run_timers(&self) {
        loop {
            let woken = self.wake.notified();
            match self.read(World::next_due) {
                None => woken.await,
                Some(due) => tokio::select! {
                    () = woken => {}
                    () = sleep_until(due) => drop(self.up_to_date(now())),
                },
            }
        }
    }

    /// Tells a data plane of every change from the `next` one on.
    pub(super) async fn run_data_plane(&self, plane: Arc<dyn DataPlane>, mut next: usize) {
        let mut changed = self.changed.subscribe();
        loop {
            let change = self.live().told.get(next).map(|(_, change)| change.clone());
            match change {
                Some(change) => {
                    plane.follow(&change).await;
                    next += 1;
                }
                None => {
                    if changed.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Live {
    fn catch_up(&mut self, now: Instant) {
        self.world.settle(now);
        let told = self.world.take_changes(now);
        self.told.extend(told.into_iter().map(|change| (now, change)));
    }

    fn remember(&mut self, now: Instant) {
        let Some(history) = &mut self.history else { return };
        history.worlds.push_back((now, Arc::new(self.world.clone())));
        let looked_at = |at: Instant| now.saturating_duration_since(at) >= history.depth;
        while history.worlds.get(1).is_some_and(|(at, _)| looked_at(*at)) {
            history.worlds.pop_front();
        }
    }
}
