//! The owner loop: one task owns every engine; probes and calls run in spawned tasks and bring their results here.

mod saving;
mod slot;
mod task;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant as TokioInstant, sleep_until, timeout};
use tracing::{Instrument, Span};

use super::Orchestrator;
use super::clock::{Stall, now, wall};
use super::handle::Ask;
use super::hooks::{self, Called, Told};
use super::shared_probe::{Asker, Key, SharedProbes};
use crate::command::CommandError;
use crate::engine::{Action, CommandId};
use crate::event::{Event, EventKind};
use crate::lease::LeaseError;
use crate::mover::{AddressMover, MoveError};
use crate::node::{Host, NodeId};
use crate::probe::{HealthProbe, Reason, Target, Verdict, Via};
use crate::urgency::Urgency;
use crate::witness::Witness;
use slot::{Common, Slot};
use task::{Output, Purpose, unknown};

/// How many questions for readiness run at once. They come from all nodes together, never in a hurry, and each may keep a
/// connection to the provider, whose descriptors probes need.
const READINESS_AT_ONCE: usize = 8;

/// How much later than the probe's own deadline the driver ends it.
const PROBE_BACKSTOP: Duration = Duration::from_millis(100);

/// How much later than the mover's own deadline the driver ends a call.
const CALL_BACKSTOP: Duration = Duration::from_millis(500);

/// How long a stopping monitor goes on with moves that are past their point of no return.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(60);

/// How long a stopping monitor waits for hooks to hear of the last events.
const HOOK_GRACE: Duration = Duration::from_secs(5);

/// How soon a lease that is held by another, or whose store did not answer, is asked for again.
const LEASE_RETRY: Duration = Duration::from_secs(1);

/// How long the lease store may take to answer.
const LEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// What ended the loop's sleep.
#[derive(Debug)]
enum Woken {
    Shutdown,
    Timer,
    Ask(Ask),
    Ended(Result<(Id, Output), JoinError>),
}

#[derive(Debug)]
pub(super) struct Driver {
    slots: Vec<Slot>,
    witnesses: Vec<Witness>,
    inbox: mpsc::Receiver<Ask>,
    events: broadcast::Sender<Arc<Event>>,
    tasks: JoinSet<Output>,
    purposes: HashMap<Id, Purpose>,
    probes: SharedProbes,
    limit: Arc<Semaphore>,
    readiness: Arc<Semaphore>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    next_command: CommandId,
    stopping: bool,
    stall: Stall,
}

impl Driver {
    pub(super) fn new(orchestrator: Orchestrator) -> Self {
        let Orchestrator { slots, witnesses, witness_quorum, sweep, probes_at_once, seed, asks: _, inbox, events } =
            orchestrator;
        let origin = now();
        let common = Common { witnesses: &witnesses, witness_quorum, sweep, origin, seed };
        let slots = slots.into_iter().map(|parts| Slot::new(parts, &common)).collect();
        Self {
            slots,
            witnesses,
            inbox,
            events,
            tasks: JoinSet::new(),
            purposes: HashMap::new(),
            probes: SharedProbes::default(),
            limit: Arc::new(Semaphore::new(probes_at_once)),
            readiness: Arc::new(Semaphore::new(READINESS_AT_ONCE)),
            timers: BinaryHeap::new(),
            next_command: 0,
            stopping: false,
            stall: Stall::new(),
        }
    }

    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut timer = pin!(sleep_until(TokioInstant::from_std(now())));
        let mut grace_ends = None;
        for slot in 0..self.slots.len() {
            self.ask_lease(slot, Duration::ZERO);
            self.pump(slot);
        }
        loop {
            if let Some(ends) = grace_ends
                && (now() >= ends || self.slots.iter().all(|slot| slot.engine.is_at_rest()))
            {
                break;
            }
            let wake = self.timers.peek().map(|Reverse((due, _))| *due);
            let wake = wake.into_iter().chain(grace_ends).min();
            if let Some(wake) = wake
                && timer.deadline() != TokioInstant::from_std(wake)
            {
                timer.as_mut().reset(TokioInstant::from_std(wake));
            }
            let woken = tokio::select! {
                biased;
                () = &mut shutdown, if grace_ends.is_none() => Woken::Shutdown,
                () = &mut timer, if wake.is_some() => Woken::Timer,
                Some(ask) = self.inbox.recv() => Woken::Ask(ask),
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => Woken::Ended(ended),
            };
            if let Some(by) = self.stall.notice(wake) {
                self.take_clock_jump(by);
            }
            match woken {
                Woken::Shutdown => {
                    grace_ends = Some(now() + SHUTDOWN_GRACE);
                    self.begin_shutdown();
                }
                Woken::Timer => self.take_timers(),
                Woken::Ask(ask) => self.take_ask(ask),
                Woken::Ended(ended) => {
                    self.take(ended);
                    // A sweep of thousands ends all at once; probes that fall due meanwhile do not wait for the last.
                    let is_due = |driver: &Self| driver.timers.peek().is_some_and(|Reverse((due, _))| *due <= now());
                    while !is_due(&self)
                        && let Some(ended) = self.tasks.try_join_next_with_id()
                    {
                        self.take(ended);
                    }
                }
            }
        }
        self.finish().await;
    }

    /// What was seen before the monitor stood still says nothing about now.
    fn take_clock_jump(&mut self, by: Duration) {
        for slot in 0..self.slots.len() {
            self.slots[slot].engine.handle_clock_jump(now(), by);
            self.pump(slot);
        }
    }

    fn begin_shutdown(&mut self) {
        self.stopping = true;
        for slot in 0..self.slots.len() {
            self.slots[slot].engine.handle_shutdown(now());
            self.pump(slot);
        }
    }

    /// Ends what is under way, writes what is to be remembered and gives the leases up.
    async fn finish(mut self) {
        self.inbox.close();
        self.probes.abort_all();
        while self.slots.iter().any(|slot| slot.saving || slot.saving_history) {
            let Some(ended) = self.tasks.join_next_with_id().await else { break };
            if let Ok((_, Output::Saved { .. } | Output::HistorySaved { .. })) | Err(_) = ended {
                self.take(ended);
            }
        }
        self.finish_telling().await;
        self.tasks.abort_all();
        for slot in &self.slots {
            if let Some(lease) = &slot.setup.lease {
                match timeout(CALL_BACKSTOP, lease.release()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(parent: &slot.span, error = crate::chain(&error), "the lease was not released");
                    }
                    Err(_) => tracing::warn!(parent: &slot.span, "the lease was not released in time"),
                }
            }
        }
    }

    /// Lets hooks hear of the last events, for as long as [`HOOK_GRACE`] allows.
    async fn finish_telling(&mut self) {
        let telling = async {
            while self.slots.iter().flat_map(|slot| &slot.hooks).any(Told::is_busy) {
                let Some(ended) = self.tasks.join_next_with_id().await else { break };
                if let Ok((_, Output::Told { .. } | Output::HistorySaved { .. })) | Err(_) = ended {
                    self.take(ended);
                }
            }
        };
        if timeout(HOOK_GRACE, telling).await.is_err() {
            tracing::warn!("hooks were not told of everything before the end");
        }
    }

    fn take(&mut self, ended: Result<(Id, Output), JoinError>) {
        match ended {
            Ok((id, Output::Probe { started, result })) => {
                let result = result.map_err(|error| crate::chain(&error));
                self.take_probe(id, started, &result);
            }
            Ok((id, output)) => {
                self.purposes.remove(&id);
                self.take_output(output);
            }
            Err(error) => {
                let id = error.id();
                if let Some(purpose) = self.purposes.remove(&id) {
                    self.take_output(purpose.failed(error));
                } else {
                    let result = Err("the probe panicked".to_owned());
                    self.take_probe(id, now(), &result);
                }
            }
        }
    }

    fn take_probe(&mut self, id: Id, started: Instant, result: &Result<Verdict, String>) {
        let Some((_, askers)) = self.probes.remove(id) else { return };
        let now = now();
        for (slot, probe) in askers {
            self.slots[slot].engine.handle_probe(now, probe, started, result.clone());
            self.pump(slot);
        }
    }

    fn take_output(&mut self, output: Output) {
        let slot = match output {
            Output::Probe { .. } => return,
            Output::Reading { slot, call, reading } => {
                self.slots[slot].engine.handle_reading(now(), call, reading);
                slot
            }
            Output::Reply { slot, call, reply } => {
                self.slots[slot].engine.handle_reply(now(), call, reply);
                slot
            }
            Output::Readiness { slot, call, answer } => {
                self.slots[slot].engine.handle_readiness(now(), call, answer);
                slot
            }
            Output::Lease { slot, asked, grant } => {
                let again = match &grant {
                    Ok(Some(grant)) => grant.valid_for / 3,
                    Ok(None) | Err(_) => LEASE_RETRY,
                };
                match grant {
                    Ok(grant) => self.slots[slot].engine.handle_grant(now(), asked, grant),
                    Err(error) => {
                        let span = &self.slots[slot].span;
                        tracing::warn!(parent: span, error = crate::chain(&error), "the lease could not be renewed");
                    }
                }
                self.ask_lease(slot, again);
                slot
            }
            Output::Saved { slot, error } => {
                self.end_save(slot, error);
                return;
            }
            Output::HistorySaved { slot, error } => {
                self.end_save_history(slot, error);
                return;
            }
            Output::Asked { slot, call, called } => {
                for event in called.iter().filter_map(Called::event) {
                    self.tell(slot, event);
                }
                let (result, said) = hooks::verdict(&called);
                self.slots[slot].engine.handle_hooks(now(), call, result, said);
                slot
            }
            Output::Told { slot, hook, called } => {
                let missed = self.slots[slot].hooks[hook].end();
                for event in called.iter().filter_map(Called::event).chain(missed) {
                    self.tell(slot, event);
                }
                self.begin_telling(slot);
                return;
            }
        };
        self.pump(slot);
    }

    fn take_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Status(reply) => {
                let now = now();
                // The asker may have gone; then nobody misses the answer.
                drop(reply.send(self.slots.iter().map(|slot| slot.engine.status(now)).collect()));
            }
            Ask::History { floating_ip, reply } => {
                let slot = self.slots.iter().find(|slot| *slot.setup.floating_ip.name == *floating_ip);
                let decisions = slot.map(|slot| slot.history.decisions());
                drop(reply.send(decisions.ok_or(CommandError::UnknownFloatingIp { name: floating_ip })));
            }
            Ask::Command { floating_ip, command, reply } => {
                let slot = self.slots.iter().position(|slot| *slot.setup.floating_ip.name == *floating_ip);
                let Some(slot) = slot else {
                    drop(reply.send(Err(CommandError::UnknownFloatingIp { name: floating_ip })));
                    return;
                };
                self.next_command += 1;
                self.slots[slot].waiting.insert(self.next_command, reply);
                self.slots[slot].engine.handle_command(now(), self.next_command, command);
                self.pump(slot);
            }
        }
    }

    fn take_timers(&mut self) {
        let now = now();
        while let Some(Reverse((due, slot))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            if self.slots[slot].due == Some(due) {
                self.slots[slot].due = None;
                self.slots[slot].engine.handle_timeout(now);
                self.pump(slot);
            }
        }
    }

    /// Carries out what the engine of `slot` wants, tells what happened, and sets its timer.
    fn pump(&mut self, slot: usize) {
        while let Some(kind) = self.slots[slot].engine.poll_event() {
            self.tell(slot, kind);
        }
        while let Some(action) = self.slots[slot].engine.poll_action() {
            self.act(slot, action);
        }
        let due = self.slots[slot].engine.poll_timeout();
        if self.slots[slot].due != due {
            self.slots[slot].due = due;
            self.timers.extend(due.map(|due| Reverse((due, slot))));
        }
    }

    fn tell(&mut self, slot: usize, kind: EventKind) {
        let Slot { setup, span, move_span, .. } = &mut self.slots[slot];
        if let EventKind::MoveStarted { id, to, .. } = &kind {
            *move_span = Some(tracing::info_span!(parent: &*span, "move", id, node = %to));
        }
        {
            let _entered = move_span.as_ref().unwrap_or(span).enter();
            if kind.is_trouble() {
                tracing::warn!("{kind}");
            } else {
                tracing::info!("{kind}");
            }
        }
        if let EventKind::MoveFinished(_) | EventKind::MoveFailed { .. } = &kind {
            *move_span = None;
        }
        let event = Event::new(wall(), setup.floating_ip.name.clone(), kind);
        let event = Arc::new(event);
        let Slot { engine, history, history_unsaved, hooks, .. } = &mut self.slots[slot];
        *history_unsaved |= history.note(&event, || engine.status(now()));
        hooks.iter_mut().for_each(|hook| hook.push(&event));
        self.begin_save_history(slot);
        self.begin_telling(slot);
        // Without a subscriber the log has said it.
        drop(self.events.send(event));
    }

    fn begin_telling(&mut self, slot: usize) {
        for hook in 0..self.slots[slot].hooks.len() {
            if let Some(call) = self.slots[slot].hooks[hook].begin() {
                let task = async move { Output::Told { slot, hook, called: Some(call.await) } };
                self.spawn(Purpose::Tell { slot, hook }, task);
            }
        }
    }

    fn act(&mut self, slot: usize, action: Action) {
        match action {
            Action::Probe { id, at, check, node, via } => self.start_probe((slot, id), at, check, node, via),
            Action::ProbeWitness { id, at, witness } => {
                let Witness { name, host, probe, health, .. } = &self.witnesses[witness];
                let target = Target::new(name.clone(), host.clone(), Via::Direct, health.timeout);
                self.run_probe((slot, id), at, probe.clone(), target);
            }
            Action::DropProbe { id } => self.probes.leave((slot, id)),
            Action::Locate { call, mover, urgency } => {
                let mover = self.slots[slot].setup.movers[mover].clone();
                let span = self.call_span(slot, "locate");
                let task = async move {
                    let reading = match timeout(deadline(&mover), urgency.scope(mover.locate())).await {
                        Ok(reading) => reading,
                        Err(elapsed) => Err(MoveError::TimedOut { call: "locate", source: elapsed.into() }),
                    };
                    Output::Reading { slot, call, reading }
                };
                self.spawn(Purpose::Locate { slot, call }, task.instrument(span));
            }
            Action::Release { call, mover, seen, mode } => {
                let mover = self.slots[slot].setup.movers[mover].clone();
                let span = self.call_span(slot, "release");
                let task = async move {
                    let reply = timeout(deadline(&mover), Urgency::Move.scope(mover.release(&seen, mode))).await;
                    Output::Reply {
                        slot,
                        call,
                        reply: reply.unwrap_or_else(|elapsed| Err(unknown("release", elapsed))),
                    }
                };
                self.spawn(Purpose::Request { slot, call }, task.instrument(span));
            }
            Action::Claim { call, mover, to, urgency, seen } => {
                let mover = self.slots[slot].setup.movers[mover].clone();
                let span = self.call_span(slot, "claim");
                let task = async move {
                    let reply = timeout(deadline(&mover), urgency.scope(mover.claim(&to, &seen))).await;
                    Output::Reply { slot, call, reply: reply.unwrap_or_else(|elapsed| Err(unknown("claim", elapsed))) }
                };
                self.spawn(Purpose::Request { slot, call }, task.instrument(span));
            }
            Action::Ready { call, mover, node } => {
                let mover = self.slots[slot].setup.movers[mover].clone();
                let span = self.call_span(slot, "ready");
                let readiness = self.readiness.clone();
                let task = async move {
                    let _turn = readiness.acquire().await;
                    let asked = Urgency::Routine.scope(mover.ready(&node));
                    let answer = match timeout(deadline(&mover) * 2, asked).await {
                        Ok(answer) => answer,
                        Err(elapsed) => Err(MoveError::TimedOut { call: "ready", source: elapsed.into() }),
                    };
                    Output::Readiness { slot, call, answer }
                };
                self.spawn(Purpose::Ready { slot, call }, task.instrument(span));
            }
            Action::AskHooks { call, plan } => {
                let hooks = self.slots[slot].setup.hooks.clone();
                let task = async move { Output::Asked { slot, call, called: hooks::ask(hooks, plan).await } };
                self.spawn(Purpose::Ask { slot, call }, task);
            }
            Action::Answer { command, result } => {
                if let Some(reply) = self.slots[slot].waiting.remove(&command) {
                    drop(reply.send(result));
                }
            }
            Action::Save(durable) => {
                self.slots[slot].unsaved = Some(durable);
                self.begin_save(slot);
            }
        }
    }

    fn call_span(&self, slot: usize, step: &'static str) -> Span {
        let Slot { span, move_span, .. } = &self.slots[slot];
        tracing::debug_span!(parent: move_span.as_ref().unwrap_or(span), "step", step)
    }

    fn spawn(&mut self, purpose: Purpose, task: impl Future<Output = Output> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.purposes.insert(id, purpose);
    }

    fn start_probe(&mut self, asker: Asker, at: Instant, check: usize, node: Option<NodeId>, via: Via) {
        let setup = &self.slots[asker.0].setup;
        let check = &setup.checks[check];
        let about = node.and_then(|node| setup.nodes.iter().find(|known| known.id == node)).unwrap_or(&setup.nodes[0]);
        let host: Host = match via {
            Via::Direct => about.host.clone(),
            Via::Floating => setup.floating_ip.address.clone(),
        };
        let target = Target::new(about.id.clone(), host, via, check.health.timeout);
        let probe = check.probe.clone();
        self.run_probe(asker, at, probe, target);
    }

    fn run_probe(&mut self, asker: Asker, at: Instant, probe: Arc<dyn HealthProbe>, target: Target) {
        let key = Key::new(&probe, target.host.clone(), target.via, target.timeout);
        if self.probes.join(&key, asker, at) {
            return;
        }
        let limit = self.limit.clone();
        let task = async move {
            // Probes that are begun in step count as begun at the same time, whichever thread runs first.
            let (_turn, started) = match limit.try_acquire() {
                Ok(turn) => (Ok(turn), at),
                Err(_) => (limit.acquire().await, now()),
            };
            let result = match timeout(target.timeout + PROBE_BACKSTOP, probe.probe(&target)).await {
                Ok(result) => result,
                Err(_) => Ok(Verdict::unhealthy(Reason::TimedOut { stage: "the whole check".into() })),
            };
            Output::Probe { started, result }
        };
        let abort = self.tasks.spawn(task.instrument(self.slots[asker.0].span.clone()));
        self.probes.insert(key, asker, at, abort);
    }

    fn ask_lease(&mut self, slot: usize, after: Duration) {
        if self.stopping && self.slots[slot].engine.is_at_rest() {
            return;
        }
        if let Some(lease) = self.slots[slot].setup.lease.clone() {
            let task = async move {
                tokio::time::sleep(after).await;
                let asked = now();
                let grant = match timeout(LEASE_TIMEOUT, lease.acquire()).await {
                    Ok(grant) => grant,
                    Err(elapsed) => Err(LeaseError { source: elapsed.into() }),
                };
                Output::Lease { slot, asked, grant }
            };
            self.spawn(Purpose::Lease { slot }, task);
        }
    }
}

fn deadline(mover: &Arc<dyn AddressMover>) -> Duration {
    mover.capabilities().call_timeout + CALL_BACKSTOP
}
