//! What a monitor's actions bring about.

use std::time::{Duration, Instant};

use floatip_core::engine::{Action, CallId, ProbeId};
use floatip_core::{Command, HookResult, MoveError, Readiness, Reason, Verdict, Via};

use super::{CALL_TIMEOUT, Coming, OnItsWay, Request, World, no_reply};
use crate::judge::number;
use crate::monitor::Input;
use crate::network::Path;
use crate::provider::{FIRST, Unanswered};
use crate::server::Condition;
use crate::trouble::{Call, CallFault, Mood, StoreFault};

const MS: Duration = Duration::from_millis(1);

impl World {
    pub(super) fn act(&mut self, monitor: usize, action: Action) {
        match action {
            Action::Probe { id, at, check, node, via } => {
                let subject = self.monitors[monitor].judge.subject_of(via, node.as_ref());
                self.trace.mark([self.now.as_nanos() as u64, id, subject as u64, 7]);
                self.monitors[monitor].probes.insert(id, (subject, check));
                if check < self.plan.shape.checks {
                    self.monitors[monitor].judge.begun(id, subject, at);
                }
                let life = self.monitors[monitor].life;
                let wait = self.wait_of_a_probe(monitor);
                if wait > Duration::ZERO {
                    return self.later(wait, Coming::Turn { monitor, life, probe: id, via });
                }
                let (after, result) = self.probe(monitor, via, subject, check);
                let input = Input::Verdict { probe: id, started: at, result };
                self.later(after, Coming::Input { monitor, life, input });
            }
            Action::ProbeWitness { id, at, witness } => {
                let subject = self.nodes.len() + 1 + witness;
                self.trace.mark([self.now.as_nanos() as u64, id, subject as u64, 7]);
                self.monitors[monitor].probes.insert(id, (subject, 0));
                self.monitors[monitor].judge.begun(id, subject, at);
                let (after, result) = self.probe_witness(monitor, witness);
                let life = self.monitors[monitor].life;
                let input = Input::Verdict { probe: id, started: at, result: Ok(result) };
                self.later(after, Coming::Input { monitor, life, input });
            }
            Action::AskHooks { call, plan } => self.ask_hooks(monitor, call, &plan),
            Action::DropProbe { id } => {
                self.monitors[monitor].probes.remove(&id);
                self.monitors[monitor].judge.ended(id);
            }
            Action::Locate { call, mover, .. } => self.locate(monitor, call, mover),
            Action::Release { call, mover, seen, mode } => {
                if mover != FIRST {
                    self.break_rule("an overwriting mover is asked to release");
                }
                self.tell(format_args!("m{monitor}: release {call} {mode:?}, seen {seen:?}"));
                self.judge(monitor, |judge, scene| judge.release(scene, call, &seen));
                self.request(monitor, call, Call::Release, Request::Release { seen, mode });
            }
            Action::Claim { call, mover, to, seen, .. } => {
                self.tell(format_args!("m{monitor}: claim {call} for {to} by mover {mover}, seen {seen:?}"));
                let to = number(&to);
                self.judge(monitor, |judge, scene| judge.claim(scene, call, mover, to, &seen));
                let request = match mover {
                    FIRST => Request::Claim { to, seen, unanswered: self.leave_unanswered() },
                    _ => Request::TakeOver { to, seen },
                };
                self.request(monitor, call, Call::Claim, request);
            }
            Action::Ready { call, mover, node } => self.ask_ready(monitor, call, mover, number(&node)),
            Action::Answer { command, result } => {
                self.tell(format_args!("m{monitor}: answer {command}: {result:?}"));
                self.monitors[monitor].judge.answered(command);
                let asked = &mut self.monitors[monitor].asked;
                match asked.iter().position(|open| *open == command) {
                    Some(open) => drop(asked.swap_remove(open)),
                    None => self.break_rule(&format!("m{monitor}: answers command {command}, which is not open")),
                }
            }
            Action::Save(durable) => self.monitors[monitor].durable = Some((self.now, durable)),
        }
    }

    /// How long the next probe of a monitor waits for its turn.
    fn wait_of_a_probe(&mut self, monitor: usize) -> Duration {
        let holdup = &mut self.monitors[monitor].holdup;
        let (most, until) = holdup.probes;
        if self.now < until {
            holdup.turn = holdup.turn.max(self.now + most.mul_f64(self.rng.f64()));
        }
        holdup.turn.saturating_sub(self.now)
    }

    /// A probe that had to wait begins.
    pub(super) fn take_turn(&mut self, monitor: usize, life: u32, probe: ProbeId, via: Via) {
        let seat = &self.monitors[monitor];
        let (Some((subject, check)), true) = (seat.probes.get(&probe).copied(), seat.life == life) else { return };
        if let Some(still) = seat.still {
            let after = still.until.saturating_sub(self.now) + MS;
            return self.later(after, Coming::Turn { monitor, life, probe, via });
        }
        let started = seat.clock(self.now);
        let (after, result) = self.probe(monitor, via, subject, check);
        self.later(after, Coming::Input { monitor, life, input: Input::Verdict { probe, started, result } });
    }

    /// What one probe finds, and after how long.
    fn probe(&mut self, monitor: usize, via: Via, subject: usize, check: usize) -> (Duration, Result<Verdict, String>) {
        let (after, result) = self.answer(monitor, via, subject);
        let tells_idle = check == self.plan.shape.checks;
        (after, if tells_idle { result.map(|verdict| self.sessions(subject, verdict)) } else { result })
    }

    /// What a node answers to a probe, and after how long. It tells what is true when it begins.
    fn answer(&mut self, monitor: usize, via: Via, subject: usize) -> (Duration, Result<Verdict, String>) {
        let timeout = self.plan.shape.health.timeout;
        let hangs = (timeout, Ok(Verdict::unhealthy(Reason::TimedOut { stage: "connect".into() })));
        let network = &self.monitors[monitor].network;
        let (node, path) = match via {
            Via::Direct => (subject, Path::Direct(subject)),
            Via::Floating => match self.provider.serving() {
                Some(node) => (node, Path::Floating(node)),
                None => return hangs,
            },
        };
        if network.is_cut(Path::Prober(node), self.now) {
            return (MS, Err("no socket".into()));
        }
        let server = self.servers[node];
        if network.is_cut(path, self.now) || via == Via::Floating && server.mute {
            return hangs;
        }
        let quick = MS * self.rng.u32(1..20);
        let healthy = match server.maintained {
            true => Verdict::healthy().in_maintenance("an upgrade"),
            false => Verdict::healthy(),
        };
        match server.condition {
            Condition::Well { latency } if latency < timeout => (latency, Ok(healthy)),
            Condition::Lossy { percent } if self.rng.u8(..100) >= percent => (quick, Ok(healthy)),
            Condition::Uneven { percent, .. } if self.rng.u8(..100) >= percent => (quick, Ok(healthy)),
            Condition::Uneven { slow, .. } => {
                let late = slow.min(timeout - MS).mul_f64(0.3 + 0.7 * self.rng.f64());
                let well = self.rng.bool();
                (late, Ok(if well { healthy } else { Verdict::unhealthy(Reason::Refused) }))
            }
            Condition::Well { .. } | Condition::Lossy { .. } | Condition::Hangs => hangs,
            Condition::Refuses => (quick, Ok(Verdict::unhealthy(Reason::Refused))),
            Condition::Terminated => match via {
                Via::Direct => (quick, Ok(Verdict::unhealthy(Reason::Refused).conclusive())),
                Via::Floating => hangs,
            },
        }
    }

    /// What the check that counts sessions makes of an answer.
    fn sessions(&self, node: usize, verdict: Verdict) -> Verdict {
        match verdict.is_healthy() && self.servers[node].in_use {
            true => Verdict::unhealthy(Reason::Failed { detail: "3 sessions".into() }),
            false => verdict,
        }
    }

    /// The part of a claim that is not to be answered, and whether that arrives.
    fn leave_unanswered(&mut self) -> Option<Unanswered> {
        self.unanswered = self.unanswered.checked_sub(1)?;
        Some(Unanswered { part: self.rng.usize(..3), arrives: self.rng.bool() })
    }

    fn probe_witness(&mut self, monitor: usize, witness: usize) -> (Duration, Verdict) {
        let network = &self.monitors[monitor].network;
        if network.is_cut(Path::Witness(witness), self.now) || self.now < self.silent[witness] {
            let reason = Reason::TimedOut { stage: "connect".into() };
            return (self.plan.shape.health.timeout, Verdict::unhealthy(reason));
        }
        (MS * self.rng.u32(1..20), Verdict::healthy())
    }

    fn ask_hooks(&mut self, monitor: usize, call: CallId, plan: &floatip_core::Plan) {
        self.tell(format_args!("m{monitor}: asks the hooks {call} about a {:?} to {}", plan.cause, plan.to));
        self.judge(monitor, |judge, scene| judge.ask_hooks(scene, call, plan.cause, number(&plan.to)));
        let Some(bound) = self.plan.shape.pre_move else {
            return self.break_rule(&format!("m{monitor}: hooks are asked, and there are none"));
        };
        let quick = bound.mul_f64(self.rng.f64());
        let (after, result) = match self.mood {
            Mood::Allows => (quick, HookResult::Done),
            Mood::Vetoes => (quick, HookResult::Vetoed),
            Mood::Fails => (quick, HookResult::Failed),
            Mood::Hangs => (bound, HookResult::TimedOut),
            Mood::Dies => return,
        };
        let life = self.monitors[monitor].life;
        self.later(after, Coming::Input { monitor, life, input: Input::Hooks { call, result } });
    }

    /// One way to the provider, or back: half of the latency, give or take.
    fn way(&mut self) -> Duration {
        self.plan.shape.latency.mul_f64(0.25 + self.rng.f64() / 2.0)
    }

    fn fault(&mut self, monitor: usize, call: Call) -> Option<CallFault> {
        let lost = self.monitors[monitor].network.is_cut(Path::Provider, self.now);
        if lost { Some(CallFault::RequestLost) } else { self.monitors[monitor].fault(call) }
    }

    fn locate(&mut self, monitor: usize, call: CallId, mover: usize) {
        self.monitors[monitor].judge.locate(self.now, call, mover);
        let life = self.monitors[monitor].life;
        if self.burns(monitor) {
            return;
        }
        let (there, back) = (self.way(), self.way());
        let (after, reading) = match self.fault(monitor, Call::Locate) {
            None => {
                let (asked, arrived) = (self.now, self.now + there);
                return self.later(there + back, Coming::Reading { monitor, life, call, mover, asked, arrived });
            }
            Some(CallFault::RequestLost | CallFault::ReplyLost) => {
                let error = MoveError::TimedOut { call: "locate", source: "no reply".into() };
                (CALL_TIMEOUT, Err(error))
            }
            Some(fault) => (there + back, Err(refused("locate", fault))),
        };
        let input = Input::Reading { call, asked: self.now, reading };
        self.later(after, Coming::Input { monitor, life, input });
    }

    fn request(&mut self, monitor: usize, call: CallId, kind: Call, request: Request) {
        self.monitors[monitor].judge.call(self.now);
        if self.plan.shape.leased && self.store.holder(self.now) != Some(monitor) {
            self.break_rule(&format!("rule 6: m{monitor} sends a request without the lease"));
        }
        let life = self.monitors[monitor].life;
        // A fuse may end it before the request leaves, or after.
        let leaves = self.rng.bool();
        if !leaves && self.burns(monitor) {
            return;
        }
        let (mut there, back) = (self.way(), self.way());
        if self.now < self.monitors[monitor].holdup.requests {
            there += CALL_TIMEOUT.mul_f64(0.9 * self.rng.f64());
        }
        let mut way = OnItsWay { monitor, life, call, reply: Some(back) };
        match self.fault(monitor, kind) {
            None => self.later(there, Coming::Arrival { way, request }),
            Some(CallFault::ReplyLost) => {
                way.reply = None;
                self.later(there, Coming::Arrival { way, request });
            }
            Some(CallFault::RequestLost) => {
                let input = Input::Reply { call, reply: Err(no_reply()) };
                self.later(CALL_TIMEOUT, Coming::Input { monitor, life, input });
            }
            Some(fault) => {
                let input = Input::Reply { call, reply: Err(refused("request", fault)) };
                self.later(there + back, Coming::Input { monitor, life, input });
            }
        }
        if leaves {
            self.burns(monitor);
        }
    }

    /// A request reaches the provider, or the mover that looks before it sends.
    pub(super) fn arrive(&mut self, way: OnItsWay, request: Request) {
        let strategy = self.plan.shape.strategy;
        let checked = match &request {
            Request::Release { seen, mode } => self.provider.check_release(seen, *mode),
            Request::Claim { to, seen, .. } => self.provider.check_claim(*to, seen, strategy),
            Request::TakeOver { seen, .. } => self.provider.check_take_over(seen),
        };
        match checked {
            Err(error) => self.answer_to(&way, Err(error)),
            Ok(()) if self.plan.shape.enforced => self.take_effect(way, request),
            Ok(()) => {
                let gap = self.plan.shape.latency.mul_f64(self.rng.f64() / 4.0);
                self.later(gap, Coming::Effect { way, request });
            }
        }
    }

    pub(super) fn take_effect(&mut self, way: OnItsWay, request: Request) {
        let alive = self.monitors[way.monitor].life == way.life;
        if alive && self.plan.shape.leased && self.store.holder(self.now) != Some(way.monitor) {
            self.break_rule(&format!("rule 6: a request of m{} takes effect without the lease", way.monitor));
        }
        let now = self.now;
        let reply = match &request {
            Request::Release { mode, .. } => self.provider.release(now, *mode),
            Request::Claim { to, seen, unanswered } if self.provider.is_in_parts() => {
                // The first parts had been asked for when the monitor died.
                let reach = if alive { usize::MAX } else { self.rng.usize(..3) };
                self.provider.claim_parts(now, *to, seen, |part| part < reach, *unanswered)
            }
            Request::Claim { to, seen, .. } => self.provider.claim(now, *to, seen),
            Request::TakeOver { to, .. } => Ok(self.provider.take_over(now, *to)),
        };
        let truth = self.provider.placement();
        self.tell(format_args!("the provider: {truth}"));
        if self.provider.holders() > 1 {
            self.break_rule("rule 2: the address has two holders");
        }
        self.answer_to(&way, reply);
    }

    fn ask_ready(&mut self, monitor: usize, call: CallId, mover: usize, node: usize) {
        let life = self.monitors[monitor].life;
        let (after, answer) = match self.fault(monitor, Call::Ready) {
            None if mover != FIRST => (self.way() + self.way(), Ok(Readiness::Ready)),
            None => (self.way() + self.way(), Ok(self.readiness(node))),
            Some(CallFault::RequestLost | CallFault::ReplyLost) => {
                (CALL_TIMEOUT, Err(MoveError::TimedOut { call: "ready", source: "no reply".into() }))
            }
            Some(fault) => (self.way(), Err(refused("ready", fault))),
        };
        self.later(after, Coming::Input { monitor, life, input: Input::Readiness { call, answer } });
    }

    pub(super) fn ask_lease(&mut self, monitor: usize, life: u32) {
        let seat = &self.monitors[monitor];
        if seat.life != life {
            return;
        }
        if let Some(still) = seat.still {
            let after = still.until.saturating_sub(self.now) + MS;
            return self.later(after, Coming::AskLease { monitor, life });
        }
        let asked = seat.clock(self.now);
        let fault = seat.store_fault.filter(|(_, until)| self.now < *until).map(|(fault, _)| fault);
        let lost = seat.network.is_cut(Path::Store, self.now);
        let failed = |asked| Input::Grant { asked, grant: Err(()) };
        match fault {
            Some(StoreFault::Fails) => self.later(MS, Coming::Input { monitor, life, input: failed(asked) }),
            Some(StoreFault::RepliesLost) if !lost => {
                self.store.acquire(self.now, monitor);
                self.later(CALL_TIMEOUT, Coming::Input { monitor, life, input: failed(asked) });
            }
            Some(StoreFault::Hangs | StoreFault::RepliesLost) => {
                self.later(CALL_TIMEOUT, Coming::Input { monitor, life, input: failed(asked) });
            }
            None if lost => self.later(CALL_TIMEOUT, Coming::Input { monitor, life, input: failed(asked) }),
            None => {
                let there = self.way();
                self.later(there, Coming::LeaseAsked { monitor, life, asked });
            }
        }
    }

    pub(super) fn answer_lease(&mut self, monitor: usize, life: u32, asked: Instant) {
        let grant = self.store.acquire(self.now, monitor);
        let back = self.way();
        self.later(back, Coming::Input { monitor, life, input: Input::Grant { asked, grant: Ok(grant) } });
    }

    pub(super) fn give_command(&mut self, monitor: usize, id: u64, command: Command) {
        self.tell(format_args!("# an operator tells m{monitor}: {command:?}"));
        let now = self.now;
        let judge = &mut self.monitors[monitor].judge;
        #[allow(clippy::wildcard_enum_match_arm, reason = "the world gives no other command")]
        match &command {
            Command::Pause { duration, .. } => judge.paused(duration.map(|lasts| now + lasts)),
            Command::Resume => judge.resumed(),
            Command::Acknowledge => judge.acknowledged(),
            Command::Drain { node } => judge.drained(number(node), true),
            Command::Undrain { node } => judge.drained(number(node), false),
            Command::Switchover(switchover) => judge.ordered_to_move(id, switchover.force),
            _ => {}
        }
        self.monitors[monitor].asked.push(id);
        self.turn(monitor, |engine, clock| engine.handle_command(clock, id, command));
    }
}

/// What the provider says to a call that it does not carry out.
fn refused(call: &'static str, fault: CallFault) -> MoveError {
    let (resource, source) = ("the address".to_owned(), "the provider says so".into());
    match fault {
        CallFault::Throttled => MoveError::Throttled { call, source },
        CallFault::Denied => MoveError::Denied { call, resource, source },
        CallFault::NotFound => MoveError::NotFound { call, resource, source },
        CallFault::NotYet => MoveError::NotYet { call, resource, source },
        CallFault::Conflict => MoveError::Conflict { call, resource, source },
        CallFault::RequestLost | CallFault::ReplyLost => no_reply(),
    }
}
