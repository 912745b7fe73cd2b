//! One failover for every call of a failover, each with the reply of that call lost.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::monitor::{Broken, LOOK, Monitor, look};
use super::{Pace, Stage};
use crate::event::EventKind;
use crate::node::NodeId;
use crate::status::State;

/// How every failover of a sweep ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// Calls of a failover whose reply was lost, one after the other.
    pub calls: usize,
    /// Failovers that finished on a healthy node.
    pub finished: usize,
    /// Failovers that were stuck, and said so.
    pub stuck: usize,
    /// What went wrong, each with the index of the call.
    pub broken: Vec<String>,
}

impl Survey {
    /// # Panics
    /// If anything went wrong, or if no call was tried.
    #[track_caller]
    pub fn assert_sound(&self) {
        assert!(self.broken.is_empty(), "{self}: {:#?}", self.broken);
        assert!(self.calls > 0 && self.finished + self.stuck == self.calls, "{self}");
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, finished, stuck, broken } = self;
        write!(f, "{calls} lost replies: {finished} finished, {stuck} loudly stuck, {} broken", broken.len())
    }
}

enum End {
    Finished,
    Stuck,
}

/// Lets the holder die once for each call of a whole failover (from the start of the monitor to its rest), each on a
/// stage of its own that `make` makes, and each time the reply of that call is lost. `at_once` failovers run side by side.
///
/// Checked is the truth on the stage: never two holders, and at the end one holder, healthy, of which the monitor says
/// that it serves; or else the state `stuck`, and the event `floating_ip_stuck`.
pub async fn lost_replies<S, F>(make: impl Fn() -> F, at_once: usize) -> Survey
where
    S: Stage,
    F: Future<Output = S> + Send + 'static,
{
    let mut survey = Survey::default();
    match trial(make(), None).await {
        Ok((End::Finished, calls)) => survey.calls = calls,
        Ok((End::Stuck, _)) => survey.broken.push("a failover without any fault was stuck".to_owned()),
        Err(broken) => survey.broken.push(format!("a failover without any fault: {broken}")),
    }
    let mut trials = JoinSet::new();
    let mut next = 0;
    while next < survey.calls || !trials.is_empty() {
        while next < survey.calls && trials.len() < at_once.max(1) {
            let (index, stage) = (next, make());
            trials.spawn(async move { (index, trial(stage, Some(index)).await) });
            next += 1;
        }
        match trials.join_next().await {
            Some(Ok((_, Ok((End::Finished, _))))) => survey.finished += 1,
            Some(Ok((_, Ok((End::Stuck, _))))) => survey.stuck += 1,
            Some(Ok((index, Err(broken)))) => survey.broken.push(format!("call {index}: {broken}")),
            Some(Err(panic)) => survey.broken.push(format!("a trial panicked: {panic}")),
            None => break,
        }
    }
    survey
}

async fn trial<S: Stage>(stage: impl Future<Output = S>, lost: Option<usize>) -> Result<(End, usize), Broken> {
    let stage = Arc::new(stage.await);
    let pace = stage.pace();
    let before = stage.calls();
    if let Some(index) = lost {
        stage.lose_reply(index);
    }
    let monitor = Monitor::start(&stage, &pace, None, 1)?;
    monitor.settle(&stage, &pace).await?;
    monitor.kill_holder();
    let dead = stage.nodes().remove(0);
    let end = rest(&*stage, &monitor, &pace, &dead).await?;
    let ended = Instant::now();
    while ended.elapsed() < pace.aftermath {
        look(&*stage)?;
        sleep(LOOK).await;
    }
    let calls = stage.calls() - before;
    if lost.is_some_and(|index| calls <= index) {
        // The run was shorter than the one that was counted, so that the call never came.
        return Ok((end, calls));
    }
    let held = stage.holders();
    if matches!(end, End::Finished) && (held.len() != 1 || held[0] == dead) {
        return Err(format!("it was finished, and then on {held:?}: {}", monitor.told().await));
    }
    monitor.stop().await;
    Ok((end, calls))
}

/// Waits until the failover has come to its end.
async fn rest<S: Stage>(stage: &S, monitor: &Monitor<S>, pace: &Pace, dead: &NodeId) -> Result<End, Broken> {
    let deadline = Instant::now() + pace.patience;
    loop {
        look(stage)?;
        let status = monitor.status().await?;
        let holders = stage.holders();
        if let ([holder], Some(said)) = (&holders[..], &status.holder)
            && status.state == State::Serving
            && holder == said
            && holder != dead
        {
            return Ok(End::Finished);
        }
        if status.state == State::Stuck && monitor.has(|kind| matches!(kind, EventKind::FloatingIpStuck { .. })) {
            return Ok(End::Stuck);
        }
        if Instant::now() > deadline {
            let told = monitor.told().await;
            return Err(format!("neither finished nor loudly stuck, and on {holders:?}: {told}"));
        }
        sleep(LOOK).await;
    }
}
