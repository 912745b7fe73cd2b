//! `floatip run --once`: one full decision for each floating IP, and out.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use floatip_core::{
    EventKind, Handle, Health, HealthSettings, NodeId, Notice, Orchestrator, State, Status, Subscription,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, timeout};

use super::run::Stop;
use crate::config::{Config, FloatingIpConfig};
use crate::exit::{Failure, Outcome};
use crate::output;

/// How often it is looked whether a decision has been reached, besides after every event.
const LOOK: Duration = Duration::from_millis(200);
/// What calls to the provider may take on top of everything that is set.
const PROVIDER: Duration = Duration::from_secs(10);

/// What was decided about one floating IP.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    Healthy { holder: NodeId },
    Moved { holder: NodeId },
    Failed { state: String },
}

pub(super) async fn run(
    config: &Config,
    orchestrator: Orchestrator,
    stop: Stop,
    json: bool,
) -> Result<Outcome, Failure> {
    let watch = Watch::new(config, &orchestrator.handle());
    let (decided, decision) = oneshot::channel();
    let watching = tokio::spawn(async move {
        let decisions = watch.decide().await;
        // Nobody listens any more if a signal came first.
        decided.send(()).ok();
        decisions
    });
    orchestrator
        .run(async move {
            tokio::select! {
                () = stop.wait() => (),
                _ = decision => (),
            }
        })
        .await;
    let decisions =
        watching.await.map_err(|panic| Failure::System { action: "decide", source: std::io::Error::other(panic) })?;
    if json {
        let told: Vec<_> = decisions.iter().map(|(name, decision)| decision.json(name)).collect();
        output::json(&json!({ "floating_ips": told }))?;
    } else {
        for (name, decision) in &decisions {
            output::line(format_args!("{name}: {decision}"))?;
        }
    }
    Ok(outcome(&decisions))
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy { holder } => write!(f, "healthy on {holder}"),
            Self::Moved { holder } => write!(f, "moved to {holder}"),
            Self::Failed { state } => write!(f, "failed: {state}"),
        }
    }
}

impl Decision {
    fn json(&self, name: &str) -> Value {
        let (result, holder, reason) = match self {
            Self::Healthy { holder } => ("healthy", Some(holder), None),
            Self::Moved { holder } => ("moved", Some(holder), None),
            Self::Failed { state } => ("failed", None, Some(state)),
        };
        json!({ "name": name, "result": result, "holder": holder, "reason": reason })
    }
}

fn outcome(decisions: &[(Arc<str>, Decision)]) -> Outcome {
    let any = |wanted: fn(&Decision) -> bool| decisions.iter().any(|(_, decision)| wanted(decision));
    if any(|decision| matches!(decision, Decision::Failed { .. })) {
        Outcome::NotServing
    } else if any(|decision| matches!(decision, Decision::Moved { .. })) {
        Outcome::Moved
    } else {
        Outcome::Done
    }
}

/// Watches a monitor until each floating IP is decided or out of time.
#[derive(Debug)]
struct Watch {
    handle: Handle,
    events: Subscription,
    progress: HashMap<Arc<str>, Progress>,
}

/// How far one floating IP has come.
#[derive(Debug)]
struct Progress {
    limits: Limits,
    /// When the limit that is in force began to count.
    since: Instant,
    moving: bool,
    moved: bool,
    /// The provider could not be read.
    unreadable: bool,
    first_holder: Option<NodeId>,
}

/// How long a decision and a move may take by the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    decision: Duration,
    moving: Duration,
}

impl Limits {
    fn new(config: &Config, ip: &FloatingIpConfig) -> Self {
        let policy = &ip.policy;
        let checks = ip.deciding();
        let nodes = u32::try_from(ip.nodes.len()).unwrap_or(u32::MAX);
        let rise = checks.iter().map(|health| health.fast_interval * health.rise + health.timeout).max();
        let detection = checks.iter().map(HealthSettings::worst_case_detection).max();
        Self {
            decision: detection.unwrap_or_default() + rise.unwrap_or_default() + config.sweep + PROVIDER,
            moving: policy.release_timeout
                + policy.forced_release_timeout
                + (policy.claim_timeout + policy.verify_timeout).saturating_mul(nodes)
                + PROVIDER,
        }
    }
}

impl Watch {
    fn new(config: &Config, handle: &Handle) -> Self {
        let since = Instant::now();
        let progress = config.floating_ips.iter().map(|ip| {
            let limits = Limits::new(config, ip);
            let progress =
                Progress { limits, since, moving: false, moved: false, unreadable: false, first_holder: None };
            (ip.floating_ip.name.clone(), progress)
        });
        Self { handle: handle.clone(), events: handle.subscribe(), progress: progress.collect() }
    }

    async fn decide(mut self) -> Vec<(Arc<str>, Decision)> {
        let mut look = interval(LOOK);
        let mut last: Vec<Status> = Vec::new();
        loop {
            let stopped = tokio::select! {
                notice = self.events.next() => match notice {
                    Some(notice) => { self.note(&notice); false }
                    None => true,
                },
                _ = look.tick() => false,
            };
            match self.handle.status().await {
                Ok(statuses) if !stopped => last = statuses,
                Ok(_) | Err(_) => {
                    return last.iter().map(|status| (status.name.clone(), interrupted(status))).collect();
                }
            }
            // Everything that happened before that answer is in the channel by now.
            while let Ok(Some(notice)) = timeout(Duration::ZERO, self.events.next()).await {
                self.note(&notice);
            }
            let now = Instant::now();
            let decisions: Option<Vec<_>> =
                last.iter().map(|status| Some((status.name.clone(), self.decision(status, now)?))).collect();
            if let Some(decisions) = decisions {
                return decisions;
            }
        }
    }

    fn note(&mut self, notice: &Notice) {
        let Notice::Event(event) = notice else { return };
        let Some(progress) = self.progress.get_mut(&event.floating_ip) else { return };
        progress.unreadable |= matches!(event.kind, EventKind::ProviderUnreadable { .. });
        progress.unreadable &= !matches!(event.kind, EventKind::ProviderReadable {});
        let started = matches!(event.kind, EventKind::MoveStarted { .. });
        let finished = matches!(event.kind, EventKind::MoveFinished(_));
        if started || finished || matches!(event.kind, EventKind::MoveFailed { .. }) {
            progress.since = Instant::now();
            progress.moving = started;
            progress.moved |= finished;
        }
    }

    fn decision(&mut self, status: &Status, now: Instant) -> Option<Decision> {
        let progress = self.progress.get_mut(&status.name)?;
        if progress.first_holder.is_none() {
            progress.first_holder.clone_from(&status.holder);
        }
        if let Some(holder) = healthy_holder(status) {
            let elsewhere = progress.first_holder.as_ref().is_some_and(|first| *first != holder);
            let moved = progress.moved || elsewhere;
            return Some(if moved { Decision::Moved { holder } } else { Decision::Healthy { holder } });
        }
        let limit = if progress.moving { progress.limits.moving } else { progress.limits.decision };
        (is_held(status) || is_braked(status) && progress.unreadable || now.duration_since(progress.since) >= limit)
            .then(|| failed(status))
    }
}

/// True if the decision is not to move, and waiting would bring no other one: everything is known.
fn is_held(status: &Status) -> bool {
    let known = status.nodes.iter().all(|node| node.health != Health::Unknown);
    let down = status.nodes.iter().all(|node| node.health == Health::Unhealthy);
    match status.state {
        State::HeldByStranger | State::RecoveriesOff | State::Isolated | State::NoWitness | State::Vetoed => true,
        State::UnreachableButServing => known,
        State::AllNodesDown | State::NoCandidate => down,
        State::Stuck
        | State::Moving
        | State::Paused
        | State::Frozen
        | State::WaitingForIdle
        | State::Unreadable
        | State::InTransition
        | State::Free
        | State::Suspect
        | State::Starting
        | State::Serving => false,
    }
}

/// True if an operator or too many moves forbid every move. That hides that the provider cannot be read.
fn is_braked(status: &Status) -> bool {
    matches!(status.state, State::Paused | State::Frozen)
}

/// The holder, if it is healthy and nothing is about to change that. A pause or a freeze hides the other states.
fn healthy_holder(status: &Status) -> Option<NodeId> {
    let calm = matches!(status.state, State::Serving | State::Paused | State::Frozen) && status.moving.is_none();
    let holder = status.holder.as_ref().filter(|_| calm)?;
    let healthy = |node: &&floatip_core::NodeStatus| node.name == *holder && node.health == Health::Healthy;
    status.nodes.iter().find(healthy).map(|node| node.name.clone())
}

fn failed(status: &Status) -> Decision {
    let state = serde_json::to_value(status.state).unwrap_or_default();
    let stuck = status.moving.as_ref().and_then(|moving| moving.stuck.as_deref()).unwrap_or(&status.placement);
    Decision::Failed { state: format!("{}: {stuck}", state.as_str().unwrap_or_default()) }
}

fn interrupted(status: &Status) -> Decision {
    match failed(status) {
        Decision::Failed { state } => Decision::Failed { state: format!("{state} (ended before a decision)") },
        decided @ (Decision::Healthy { .. } | Decision::Moved { .. }) => decided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(decisions: &[Decision]) -> Outcome {
        let named: Vec<_> = decisions.iter().map(|decision| ("ftp".into(), decision.clone())).collect();
        outcome(&named)
    }

    #[test]
    fn a_failure_outweighs_a_move_and_a_move_outweighs_health() {
        let holder = NodeId::new("ftp-1").unwrap();
        let healthy = Decision::Healthy { holder: holder.clone() };
        let moved = Decision::Moved { holder };
        let failed = Decision::Failed { state: "stuck".to_owned() };
        assert_eq!(decided(std::slice::from_ref(&healthy)), Outcome::Done);
        assert_eq!(decided(&[healthy.clone(), moved.clone()]), Outcome::Moved);
        assert_eq!(decided(&[moved, failed, healthy]), Outcome::NotServing);
    }
}
