//! A probe whose answers are written down beforehand, or follow an in-memory address.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use super::provider::InMemoryProvider;
use crate::node::NodeId;
use crate::probe::{HealthProbe, ProbeError, Reason, Target, Verdict, Via};

/// What one probe of a node finds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The node does its work.
    Healthy,
    /// It does not, as is known at once.
    Unhealthy(Reason),
    /// It does not, and no further verdict is needed.
    Conclusive(Reason),
    /// The node does its work, and somebody maintains it.
    Maintained,
    /// The node is at its limit.
    Busy,
    /// Nothing: the probe times out at the stage `connect`.
    Hang,
    /// Nothing, and the probe does not keep its own deadline either, against its contract.
    HangForEver,
    /// The prober itself fails.
    Broken,
    /// The probe panics.
    Panic,
    /// Another answer, so much later; past the target's timeout the probe times out.
    After(Duration, Box<Answer>),
}

impl Answer {
    /// Nothing listens there.
    pub fn refused() -> Self {
        Self::Unhealthy(Reason::Refused)
    }

    /// The same answer, so much later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }

    fn give(self) -> Pin<Box<dyn Future<Output = Result<Verdict, ProbeError>> + Send>> {
        Box::pin(async move {
            match self {
                Self::Healthy => Ok(Verdict::healthy()),
                Self::Maintained => Ok(Verdict::healthy().in_maintenance("scripted")),
                Self::Busy => Ok(Verdict::busy("scripted")),
                Self::Unhealthy(reason) => Ok(Verdict::unhealthy(reason)),
                Self::Conclusive(reason) => Ok(Verdict::unhealthy(reason).conclusive()),
                Self::Hang | Self::HangForEver => std::future::pending().await,
                Self::Broken => Err(ProbeError::Exhausted { what: "file descriptors", source: "injected".into() }),
                Self::Panic => panic!("injected: the probe panics"),
                Self::After(delay, answer) => {
                    sleep(delay).await;
                    answer.give().await
                }
            }
        })
    }

    fn keeps_deadline(&self) -> bool {
        match self {
            Self::Maintained
            | Self::Busy
            | Self::Healthy
            | Self::Unhealthy(_)
            | Self::Conclusive(_)
            | Self::Hang
            | Self::Broken
            | Self::Panic => true,
            Self::HangForEver => false,
            Self::After(_, answer) => answer.keeps_deadline(),
        }
    }
}

/// A probe that finds what it was told to find. Answers can be changed at any time, and hold for probes that start
/// afterwards; a node that nothing was said about is healthy.
///
/// Through the floating address it answers for the target's node, or, when it [follows](Self::following) an in-memory
/// provider, for the node that truly holds the address. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct ScriptedProbe {
    kind: &'static str,
    address: Option<InMemoryProvider>,
    through_address: bool,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    answers: BTreeMap<(NodeId, Via), Answer>,
    everywhere: Option<Answer>,
    starts: BTreeMap<(NodeId, Via), Vec<Instant>>,
    running: usize,
    most_running: usize,
}

impl Default for ScriptedProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl ScriptedProbe {
    /// A probe that finds everything healthy.
    pub fn new() -> Self {
        Self { kind: "scripted", address: None, through_address: true, script: Arc::default() }
    }

    /// Sets the kind that it reports. Default: `scripted`.
    #[must_use]
    pub fn named(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Says whether it may verify moves. Default: true.
    #[must_use]
    pub fn through_address(mut self, through_address: bool) -> Self {
        self.through_address = through_address;
        self
    }

    /// Lets probes through the floating address answer as the node that truly holds it: what was set for that node by
    /// [`set_floating`](Self::set_floating), else by [`set_direct`](Self::set_direct). They hang while no node has it.
    #[must_use]
    pub fn following(mut self, provider: &InMemoryProvider) -> Self {
        self.address = Some(provider.clone());
        self
    }

    /// Sets what probes of `node` find, by its own host and, unless [`set_floating`](Self::set_floating) says otherwise,
    /// through the floating address.
    pub fn set_direct(&self, node: &NodeId, answer: Answer) {
        self.script().answers.insert((node.clone(), Via::Direct), answer);
    }

    /// Sets what probes find through the floating address while `node` has it; `None` takes that back.
    pub fn set_floating(&self, node: &NodeId, answer: Option<Answer>) {
        let key = (node.clone(), Via::Floating);
        match answer {
            Some(answer) => drop(self.script().answers.insert(key, answer)),
            None => drop(self.script().answers.remove(&key)),
        }
    }

    /// Sets what every probe finds whatever else was set, as when the monitor is cut off; `None` takes that back.
    pub fn set_everywhere(&self, answer: Option<Answer>) {
        self.script().everywhere = answer;
    }

    /// When probes of `node` started, by this way.
    pub fn starts(&self, node: &NodeId, via: Via) -> Vec<Instant> {
        self.script().starts.get(&(node.clone(), via)).cloned().unwrap_or_default()
    }

    /// How many probes of `node` have started, by this way.
    pub fn count(&self, node: &NodeId, via: Via) -> usize {
        self.script().starts.get(&(node.clone(), via)).map_or(0, Vec::len)
    }

    /// How many probes are under way.
    pub fn running(&self) -> usize {
        self.script().running
    }

    /// The most probes that were under way at one time.
    pub fn most_running(&self) -> usize {
        self.script().most_running
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, target: &Target) -> Answer {
        let node = match (target.via, &self.address) {
            (Via::Direct, _) | (Via::Floating, None) => Some(target.node.clone()),
            (Via::Floating, Some(address)) => address.serving(),
        };
        let script = self.script();
        if let Some(answer) = &script.everywhere {
            return answer.clone();
        }
        let Some(node) = node else {
            return Answer::Hang;
        };
        let own = script.answers.get(&(node.clone(), target.via));
        own.or_else(|| script.answers.get(&(node, Via::Direct))).cloned().unwrap_or(Answer::Healthy)
    }
}

/// Counts a probe as running until it is done or dropped.
struct Running<'a>(&'a ScriptedProbe);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.script().running -= 1;
    }
}

#[async_trait]
impl HealthProbe for ScriptedProbe {
    fn kind(&self) -> &'static str {
        self.kind
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        {
            let mut script = self.script();
            script.starts.entry((target.node.clone(), target.via)).or_default().push(Instant::now());
            script.running += 1;
            script.most_running = script.most_running.max(script.running);
        }
        let _running = Running(self);
        let answer = self.answer(target);
        if !answer.keeps_deadline() {
            return answer.give().await;
        }
        let late = || Ok(Verdict::unhealthy(Reason::TimedOut { stage: "connect".into() }));
        timeout(target.timeout, answer.give()).await.unwrap_or_else(|_| late())
    }

    fn runs_through_address(&self) -> bool {
        self.through_address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(500);

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    async fn ask(probe: &ScriptedProbe, name: &str, via: Via) -> Option<Reason> {
        let target = Target::new(node(name), "10.0.0.1".parse().unwrap(), via, TIMEOUT);
        probe.probe(&target).await.unwrap().reason
    }

    fn late() -> Option<Reason> {
        Some(Reason::TimedOut { stage: "connect".into() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_nothing_was_said_about_is_healthy() {
        assert_eq!(ask(&ScriptedProbe::new(), "a", Via::Direct).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_or_too_slow_node_times_out_at_the_deadline() {
        let probe = ScriptedProbe::new();
        for answer in [Answer::Hang, Answer::Healthy.after(Duration::from_secs(1))] {
            probe.set_direct(&node("a"), answer);
            let start = Instant::now();
            assert_eq!(ask(&probe, "a", Via::Direct).await, late());
            assert_eq!(start.elapsed(), TIMEOUT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_floating_address_answers_only_while_a_healthy_node_has_it() {
        let provider = InMemoryProvider::new([node("a"), node("b")]);
        let probe = ScriptedProbe::new().following(&provider);
        assert_eq!(ask(&probe, "a", Via::Floating).await, late());
        provider.put_on(&node("b"));
        assert_eq!(ask(&probe, "a", Via::Floating).await, None);
        probe.set_direct(&node("b"), Answer::refused());
        assert_eq!(ask(&probe, "a", Via::Floating).await, Some(Reason::Refused));
        provider.put_in_transition(Some(&node("b")), None);
        assert_eq!(ask(&probe, "a", Via::Floating).await, late());
    }

    #[tokio::test(start_paused = true)]
    async fn the_floating_address_can_answer_otherwise_than_the_node_itself() {
        let probe = ScriptedProbe::new();
        probe.set_direct(&node("a"), Answer::refused());
        probe.set_floating(&node("a"), Some(Answer::Healthy));
        assert_eq!(ask(&probe, "a", Via::Floating).await, None);
        assert_eq!(ask(&probe, "a", Via::Direct).await, Some(Reason::Refused));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_probe_no_longer_counts_as_running() {
        let probe = ScriptedProbe::new();
        probe.set_direct(&node("a"), Answer::Hang);
        assert!(timeout(TIMEOUT / 2, ask(&probe, "a", Via::Direct)).await.is_err());
        assert_eq!((probe.running(), probe.most_running(), probe.count(&node("a"), Via::Direct)), (0, 1, 1));
    }
}
