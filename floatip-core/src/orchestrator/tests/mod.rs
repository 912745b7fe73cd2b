//! Behaviour of the engine and its driver together, against the in-memory parts, on paused time.

mod calls;
mod combination;
mod commands;
mod drift;
mod fallback;
mod history;
mod hooks;
mod idle;
mod moves;
mod policy;
mod reclaim;
mod rules;
mod split;
mod storm;
mod threads;
mod turns;
mod witnesses;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::testing::{Answer, InMemoryMover, InMemoryProvider, ScriptedProbe};
use crate::*;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const S: Duration = Duration::from_secs(1);

pub(super) fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(super) fn health() -> HealthSettings {
    HealthSettings { interval: S, fast_interval: 250 * MS, timeout: 500 * MS, fall: 3, rise: 2 }
}

/// The world of one floating IP: what is true, and what the monitor says of it.
pub(super) struct World {
    pub(super) provider: InMemoryProvider,
    pub(super) probe: ScriptedProbe,
    pub(super) mover: InMemoryMover,
    pub(super) setup: Setup,
    pub(super) state_dir: Option<std::path::PathBuf>,
    pub(super) witnesses: Vec<Witness>,
}

impl World {
    /// Nodes a and b (and more), the address on a, a release of 2.5 s and a claim of 1.5 s.
    pub(super) fn of(names: &[&str]) -> Self {
        let provider = InMemoryProvider::new(names.iter().map(|name| id(name)));
        provider.set_release_duration(2500 * MS);
        provider.set_claim_duration(1500 * MS);
        provider.put_on(&id(names[0]));
        let probe = ScriptedProbe::new().following(&provider);
        let mover = InMemoryMover::release_first(&provider);
        let mut setup = Setup::new(FloatingIp::new("ftp", "10.0.0.30").unwrap());
        for (index, name) in names.iter().enumerate() {
            setup = setup.node(Node::new(name, &format!("10.0.0.{}", index + 1)).unwrap());
        }
        let setup = setup.check(Check::new(Arc::new(probe.clone())).health(health())).mover(Arc::new(mover.clone()));
        Self { provider, probe, mover, setup, state_dir: None, witnesses: Vec::new() }
    }

    pub(super) fn two() -> Self {
        Self::of(&["a", "b"])
    }

    pub(super) fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.setup.policy);
        self
    }

    pub(super) fn refuse(&self, node: &str) {
        self.probe.set_direct(&id(node), Answer::refused());
    }

    pub(super) fn hang(&self, node: &str) {
        self.probe.set_direct(&id(node), Answer::Hang);
    }

    pub(super) fn heal(&self, node: &str) {
        self.probe.set_direct(&id(node), Answer::Healthy);
    }

    /// A monitor of this world; it runs until dropped.
    pub(super) fn monitor(&self) -> Monitor {
        let mut builder = Orchestrator::builder().floating_ip(self.setup.clone()).seed(7);
        if let Some(dir) = &self.state_dir {
            builder = builder.state_dir(dir);
        }
        builder = self.witnesses.iter().cloned().fold(builder, Builder::witness);
        let orchestrator = builder.build().unwrap();
        let handle = orchestrator.handle();
        let mut subscription = handle.subscribe();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        let recorder = tokio::spawn(async move {
            while let Some(Notice::Event(event)) = subscription.next().await {
                seen.lock().unwrap().push((Instant::now(), event.kind.clone()));
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(orchestrator.run(async move {
            let _ = stopped.await;
        }));
        Monitor { handle, events, stop: Some(stop), task, recorder, provider: self.provider.clone() }
    }

    /// A monitor that has found everything well.
    pub(super) async fn settled(&self) -> Monitor {
        let monitor = self.monitor();
        monitor.state(State::Serving, 10 * S).await;
        sleep(3 * S).await;
        monitor
    }
}

pub(super) struct Monitor {
    pub(super) handle: Handle,
    pub(super) events: Arc<Mutex<Vec<(Instant, EventKind)>>>,
    stop: Option<oneshot::Sender<()>>,
    pub(super) task: JoinHandle<()>,
    recorder: JoinHandle<()>,
    provider: InMemoryProvider,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
        self.recorder.abort();
    }
}

impl Monitor {
    pub(super) async fn status(&self) -> Status {
        self.handle.status().await.unwrap().remove(0)
    }

    pub(super) fn seen(&self) -> Vec<EventKind> {
        self.events.lock().unwrap().iter().map(|(_, kind)| kind.clone()).collect()
    }

    pub(super) fn has(&self, wanted: impl Fn(&EventKind) -> bool) -> bool {
        self.seen().iter().any(wanted)
    }

    pub(super) fn count(&self, wanted: impl Fn(&EventKind) -> bool) -> usize {
        self.seen().iter().filter(|kind| wanted(kind)).count()
    }

    pub(super) fn moved(&self) -> bool {
        self.has(|kind| matches!(kind, EventKind::MoveStarted { .. }))
    }

    #[track_caller]
    fn late(&self, what: &str) -> ! {
        panic!("{what} did not come; events: {:#?}; truth: {}", self.seen(), self.provider.placement())
    }

    /// Waits for the state, looking every 50 ms.
    pub(super) async fn state(&self, wanted: State, within: Duration) {
        let waiting = async {
            while self.status().await.state != wanted {
                sleep(50 * MS).await;
            }
        };
        if timeout(within, waiting).await.is_err() {
            self.late(&format!("the state {wanted:?} (it is {:?})", self.status().await.state));
        }
    }

    /// Waits for an event, looking every 10 ms, and gives back when it came.
    pub(super) async fn event(&self, what: &str, within: Duration, wanted: impl Fn(&EventKind) -> bool) -> Instant {
        let waiting = async {
            loop {
                let found = self.events.lock().unwrap().iter().find(|(_, kind)| wanted(kind)).map(|(at, _)| *at);
                match found {
                    Some(at) => return at,
                    None => sleep(10 * MS).await,
                }
            }
        };
        match timeout(within, waiting).await {
            Ok(at) => at,
            Err(_) => self.late(what),
        }
    }

    pub(super) async fn finished(&self, within: Duration) -> Instant {
        self.event("the end of the move", within, |kind| matches!(kind, EventKind::MoveFinished(_))).await
    }

    pub(super) fn receipt(&self) -> Receipt {
        let mut receipts = Vec::new();
        for kind in self.seen() {
            if let EventKind::MoveFinished(receipt) = kind {
                receipts.push(receipt);
            }
        }
        receipts.pop().unwrap_or_else(|| self.late("a receipt"))
    }

    /// Stops it as SIGTERM does, and waits for its end.
    pub(super) async fn stop(mut self) {
        drop(self.stop.take());
        timeout(120 * S, &mut self.task).await.expect("it stops within its grace").unwrap();
    }

    /// Ends it as `kill -9` does.
    pub(super) async fn kill(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.is_err());
    }
}
