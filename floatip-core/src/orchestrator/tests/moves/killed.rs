//! A monitor is killed at every await point of a move, one after the other, and the next one finishes the move.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::super::*;

/// Counts how often the futures of one process go on; after the last time, none does.
#[derive(Debug, Clone)]
struct Process {
    polls: Arc<AtomicUsize>,
    last: Arc<AtomicUsize>,
    dead: Arc<Notify>,
}

impl Process {
    fn new() -> Self {
        Self { polls: Arc::default(), last: Arc::new(AtomicUsize::new(usize::MAX)), dead: Arc::default() }
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }

    fn goes_on(&self) -> bool {
        let alive = self.polls.fetch_add(1, Ordering::Relaxed) < self.last.load(Ordering::Relaxed);
        if !alive {
            self.dead.notify_one();
        }
        alive
    }

    async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| if self.goes_on() { future.as_mut().poll(context) } else { Poll::Pending }).await
    }
}

/// A mover whose calls end with their process, between any two of their own await points.
#[derive(Debug)]
struct Mortal {
    inner: InMemoryMover,
    process: Process,
}

#[async_trait]
impl AddressMover for Mortal {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.inner.serves(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        self.process.run(self.inner.locate()).await
    }

    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        self.process.run(self.inner.release(seen, mode)).await
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        self.process.run(self.inner.claim(to, seen)).await
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        self.process.run(self.inner.ready(to)).await
    }
}

/// The holder dies, and the monitor at its so-many-th poll from then on; another one is started. Gives back how many
/// polls the whole move has taken, if it came to its end.
async fn killed_at(poll: usize, overwrites: bool) -> Option<usize> {
    let mut world = World::two();
    world.provider.set_latency(40 * MS);
    if overwrites {
        world.mover = InMemoryMover::overwrite(&world.provider);
    }
    let process = Process::new();
    let mut mortal = world.setup.clone();
    mortal.movers = vec![Arc::new(Mortal { inner: world.mover.clone(), process: process.clone() })];
    world.setup.movers = vec![Arc::new(world.mover.clone())];
    let orchestrator = Orchestrator::builder().floating_ip(mortal).seed(7).build().unwrap();
    let handle = orchestrator.handle();
    let life = process.clone();
    let task = tokio::spawn(async move { life.run(orchestrator.run(std::future::pending())).await });
    sleep(5 * S).await;
    assert_eq!(handle.status().await.unwrap()[0].state, State::Serving);
    let began = process.polls();
    process.last.store(began.saturating_add(poll), Ordering::Relaxed);
    world.refuse("a");
    let finished = async {
        loop {
            let status = handle.status().await.unwrap().remove(0);
            if status.state == State::Serving && status.holder == Some(id("b")) {
                break;
            }
            sleep(50 * MS).await;
        }
    };
    tokio::select! {
        () = process.dead.notified() => {}
        () = finished => return Some(process.polls() - began),
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    sleep(S).await;
    let next = world.monitor();
    next.state(State::Serving, 90 * S).await;
    assert_eq!(world.provider.path(), [id("a"), id("b")], "killed at poll {poll}: {:#?}", next.seen());
    world.provider.assert_never_two_holders();
    None
}

#[tokio::test(start_paused = true)]
async fn a_monitor_killed_at_any_moment_of_a_move_is_followed_by_one_that_finishes_it() {
    for overwrites in [false, true] {
        let polls = killed_at(usize::MAX, overwrites).await.expect("a move that nobody disturbs comes to its end");
        assert!(polls > 60, "{polls} polls are too few to be a whole move");
        for poll in 0..polls {
            killed_at(poll, overwrites).await;
        }
    }
}
