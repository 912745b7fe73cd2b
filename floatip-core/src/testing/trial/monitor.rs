//! One monitor on a stage: an orchestrator of one floating IP, and what it says.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};

use super::probe::StageProbe;
use super::recorder::{Recorder, Requests};
use super::{Pace, Stage};
use crate::command::CommandError;
use crate::event::EventKind;
use crate::node::{FloatingIp, Node, NodeId};
use crate::orchestrator::{Handle, Notice, Orchestrator};
use crate::setup::{Check, Setup};
use crate::status::{State, Status};

/// How often a trial looks at the stage.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// What went wrong in a trial, in words.
pub(super) type Broken = String;

#[derive(Debug)]
pub(super) struct Monitor<S> {
    pub(super) requests: Requests,
    probe: Arc<StageProbe<S>>,
    handle: Handle,
    events: Arc<Mutex<Vec<(Instant, EventKind)>>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    recorder: JoinHandle<()>,
}

impl<S> Drop for Monitor<S> {
    fn drop(&mut self) {
        self.task.abort();
        self.recorder.abort();
    }
}

impl<S: Stage> Monitor<S> {
    /// Starts a monitor that has `prefer` for its first target.
    pub(super) fn start(stage: &Arc<S>, pace: &Pace, prefer: Option<&NodeId>, seed: u64) -> Result<Self, Broken> {
        let nodes = stage.nodes();
        let victim = nodes.first().ok_or("the stage has no node")?.clone();
        let probe = Arc::new(StageProbe::new(stage.clone(), victim.clone()));
        let requests = Requests::default();
        let name = |error| format!("{error}");
        let mut setup = Setup::new(FloatingIp::new("trial", "192.0.2.1").map_err(name)?);
        for node in &nodes {
            setup = setup.node(Node::new(node.as_str(), &format!("{node}.invalid")).map_err(name)?);
        }
        for mover in stage.movers() {
            setup = setup.mover(Arc::new(Recorder::new(mover, &requests)));
        }
        let mut policy = pace.policy.clone();
        policy.prefer = [Some(victim), prefer.cloned()].into_iter().flatten().collect();
        let setup = setup.check(Check::new(probe.clone()).health(pace.health)).policy(policy);
        let builder = Orchestrator::builder().floating_ip(setup).sweep(pace.sweep).seed(seed);
        let orchestrator = builder.build().map_err(|error| error.to_string())?;
        let handle = orchestrator.handle();
        let mut subscription = handle.subscribe();
        let events: Arc<Mutex<Vec<_>>> = Arc::default();
        let seen = events.clone();
        let recorder = tokio::spawn(async move {
            while let Some(Notice::Event(event)) = subscription.next().await {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), event.kind.clone()));
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(orchestrator.run(async move {
            // An error says that the sender is gone, which is the same.
            drop(stopped.await);
        }));
        Ok(Self { requests, probe, handle, events, stop: Some(stop), task, recorder })
    }

    /// From now on this monitor finds the first node dead.
    pub(super) fn kill_holder(&self) {
        self.probe.kill();
    }

    pub(super) async fn status(&self) -> Result<Status, Broken> {
        let told = |error: CommandError| format!("the monitor has ended: {error}");
        self.handle.status().await.map_err(told)?.pop().ok_or_else(|| "the monitor knows no floating IP".to_owned())
    }

    pub(super) fn events(&self) -> Vec<(Instant, EventKind)> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn has(&self, wanted: impl Fn(&EventKind) -> bool) -> bool {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(_, kind)| wanted(kind))
    }

    /// True if it says that `node` serves.
    pub(super) async fn says_serving(&self, node: &NodeId) -> Result<bool, Broken> {
        let status = self.status().await?;
        Ok(status.state == State::Serving && status.holder.as_ref() == Some(node))
    }

    /// Waits until it says that the first node serves.
    pub(super) async fn settle(&self, stage: &S, pace: &Pace) -> Result<(), Broken> {
        let deadline = Instant::now() + pace.patience;
        let first = stage.nodes().remove(0);
        while !self.says_serving(&first).await? {
            if Instant::now() > deadline {
                return Err(format!("the monitor did not come to rest at first: {}", self.told().await));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// What it says, for a report of what went wrong.
    pub(super) async fn told(&self) -> String {
        let state = self
            .status()
            .await
            .map_or_else(|broken| broken, |status| format!("{:?}, {}", status.state, status.placement));
        let words: Vec<_> = self.events().iter().map(|(_, kind)| kind.to_string()).collect();
        format!("{state}; it said: {}", words.join(" | "))
    }

    /// Stops it, as SIGTERM does.
    pub(super) async fn stop(mut self) {
        drop(self.stop.take());
        // A panic of the monitor has been seen as its end before.
        drop((&mut self.task).await);
    }
}

/// What must hold at any time of a trial.
pub(super) fn look(stage: &impl Stage) -> Result<(), Broken> {
    match stage.most_holders() {
        0 | 1 => Ok(()),
        most => Err(format!("the address was on {most} holders at a time; now on {:?}", stage.holders())),
    }
}
