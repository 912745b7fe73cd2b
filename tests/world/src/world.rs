//! The world of one scenario: what is true, what is on its way, and the loop that lets time jump to what comes next.

mod act;
mod befall;
mod calm;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use floatip_core::engine::{CallId, CheckSettings, ProbeId, Settings, WitnessSettings};
use floatip_core::{
    Accepted, AddressUnreachable, Capabilities, Drift, Durable, Engine, Failback, FloatingIp, Grant, MoveError, Node,
    NodeId, Policy, Precondition, Readiness, ReleaseMode, Strategy, Verdict, Via,
};

use crate::judge::{Judge, Scene};
use crate::lease_store::LeaseStore;
use crate::monitor::{Input, Monitor};
use crate::network::{Network, Path};
use crate::plan::Plan;
use crate::provider::{Occupant, Provider, Unanswered};
use crate::server::{Condition, Server};
use crate::trace::Trace;
use crate::trouble::Mood;

/// The names of the nodes.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// How long one call of the mover may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// More inputs than this at one instant mean that time stands still.
const CROWD: u32 = 2000;

/// How a scenario ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was found to be broken, with the time; empty if nothing was.
    pub broken: Vec<String>,
    /// The fingerprint of everything that happened, in order.
    pub trace: u64,
    /// Everything that happened in words, if it was to be told.
    pub story: Option<String>,
    /// How long the world lived, in its own time.
    pub lived: Duration,
    /// Inputs to engines.
    pub turns: u64,
    /// Moves that were started.
    pub moves: u32,
}

/// A request to the provider.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Release {
        seen: floatip_core::Placement,
        mode: ReleaseMode,
    },
    Claim {
        to: usize,
        seen: floatip_core::Placement,
        /// The part of it that is not answered.
        unanswered: Option<Unanswered>,
    },
    /// The second mover takes the address over.
    TakeOver {
        to: usize,
        seen: floatip_core::Placement,
    },
}

/// Where a request or its reply is.
#[derive(Debug, Clone)]
pub(crate) struct OnItsWay {
    monitor: usize,
    life: u32,
    call: CallId,
    /// How long the reply takes; `None` if it is lost.
    reply: Option<Duration>,
}

/// What comes at a time that is known beforehand.
#[derive(Debug)]
enum Coming {
    Input {
        monitor: usize,
        life: u32,
        input: Input,
    },
    /// The turn of a probe that had to wait.
    Turn {
        monitor: usize,
        life: u32,
        probe: ProbeId,
        via: Via,
    },
    /// A read is answered by what was true when it reached the provider.
    Reading {
        monitor: usize,
        life: u32,
        call: CallId,
        mover: usize,
        asked: Duration,
        arrived: Duration,
    },
    Arrival {
        way: OnItsWay,
        request: Request,
    },
    /// A mover that can only look before it sends has looked.
    Effect {
        way: OnItsWay,
        request: Request,
    },
    AskLease {
        monitor: usize,
        life: u32,
    },
    LeaseAsked {
        monitor: usize,
        life: u32,
        asked: Instant,
    },
    Step {
        index: usize,
    },
    Cut {
        monitor: usize,
        path: Path,
        until: Duration,
    },
    Condition {
        node: usize,
        condition: Condition,
    },
    Thaw {
        monitor: usize,
        life: u32,
    },
    Start {
        monitor: usize,
    },
}

#[derive(Debug)]
struct World {
    plan: Plan,
    base: Instant,
    now: Duration,
    agenda: BTreeMap<(Duration, u64), Coming>,
    sequence: u64,
    rng: fastrand::Rng,
    nodes: Vec<NodeId>,
    servers: Vec<Server>,
    provider: Provider,
    store: LeaseStore,
    /// Until when each witness answers nobody.
    silent: Vec<Duration>,
    mood: Mood,
    /// So many claims of an address of several parts are not answered for one of them.
    unanswered: u8,
    monitors: Vec<Monitor>,
    trace: Trace,
    broken: Vec<String>,
    turns: u64,
    crowd: (Duration, u32),
    steps_done: bool,
    commands: u64,
}

/// Lives through one scenario. `told` keeps the story.
pub fn live(plan: &Plan, told: bool) -> Outcome {
    let mut world = World::new(plan, told);
    world.begin();
    world.rage();
    world.calm();
    let (trace, story) = world.trace.end();
    Outcome {
        broken: world.broken,
        trace,
        story,
        lived: world.now,
        turns: world.turns,
        moves: world.monitors.iter().map(|monitor| monitor.judge.moves).sum(),
    }
}

impl World {
    fn new(plan: &Plan, told: bool) -> Self {
        let shape = &plan.shape;
        let nodes: Vec<NodeId> =
            NAMES[..shape.nodes].iter().map(|name| NodeId::new(name).expect("a name without blanks")).collect();
        let mut provider = Provider::new(nodes.clone(), shape.enforced, !shape.strict, shape.parts);
        provider.release_takes = shape.release_takes;
        provider.claim_takes = shape.claim_takes;
        provider.claims_to_settle = shape.claims_to_settle;
        if shape.begins_on < shape.nodes {
            provider.put(Duration::ZERO, Some(Occupant::Node(shape.begins_on)), 0);
        }
        // Far enough from the beginning of the clock that ages of days can be subtracted.
        let base = Instant::now() + Duration::from_secs(30 * 24 * 3600);
        let monitors = (0..shape.monitors)
            .map(|_| Monitor::new(base, Network::whole(shape.nodes, shape.witnesses), Judge::new(shape)))
            .collect();
        Self {
            plan: plan.clone(),
            base,
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            sequence: 0,
            rng: fastrand::Rng::with_seed(plan.luck),
            nodes,
            servers: vec![Server::well(); shape.nodes],
            provider,
            store: LeaseStore::default(),
            silent: vec![Duration::ZERO; shape.witnesses],
            mood: Mood::Allows,
            unanswered: 0,
            monitors,
            trace: Trace::new(told),
            broken: Vec::new(),
            turns: 0,
            crowd: (Duration::ZERO, 0),
            steps_done: false,
            commands: 0,
        }
    }

    fn begin(&mut self) {
        let shape = self.plan.shape.clone();
        self.tell(format_args!("{shape:?}"));
        for monitor in 0..self.monitors.len() {
            let after = Duration::from_millis(self.rng.u64(0..500));
            self.later(after, Coming::Start { monitor });
        }
        let rest = Duration::from_millis(self.rng.u64(0..6000));
        let first = self.plan.steps.first().map_or(rest, |step| rest + step.after);
        self.later(first, Coming::Step { index: 0 });
    }

    /// Lets all troubles come.
    fn rage(&mut self) {
        while !self.steps_done && self.broken.is_empty() && self.advance(Duration::MAX) {}
    }

    fn settings(&mut self) -> Settings {
        let shape = &self.plan.shape;
        let seed = self.rng.u64(..);
        let origin = self.base;
        let node =
            |name: &str, index| Node::new(name, &format!("10.{}.0.{index}", seed % 251)).expect("a plain address");
        let mut policy = Policy::default();
        policy.failback = shape.failback.map_or(Failback::Never, Failback::After);
        policy.cooldown = shape.cooldown;
        policy.max_moves = shape.max_moves;
        policy.max_moves_window = shape.window;
        policy.verify = shape.verify;
        policy.verify_timeout = shape.verify_timeout;
        policy.release_timeout = shape.patience;
        policy.forced_release_timeout = shape.patience * 2;
        policy.claim_timeout = shape.patience;
        if shape.reclaims {
            policy.address_unreachable = AddressUnreachable::Reclaim;
        }
        if shape.restores {
            policy.drift = Drift::Restore;
        }
        policy.wait_for_idle = shape.wait_for_idle.unwrap_or_default();
        let witness = |index: usize| WitnessSettings {
            name: NodeId::new(&format!("w{index}")).expect("a name without blanks"),
            host: format!("10.9.{index}.1").parse().expect("a plain address"),
            kind: "ping",
            health: shape.witness_health(),
        };
        let check = CheckSettings {
            kind: "tcp",
            role: floatip_core::Role::Decides,
            health: shape.health,
            direct: true,
            verifies: true,
        };
        let sessions =
            CheckSettings { kind: "sessions", role: floatip_core::Role::TellsIdle, verifies: false, ..check };
        let mut checks = vec![check; shape.checks];
        checks.extend(shape.wait_for_idle.map(|_| sessions));
        let precondition = if shape.enforced { Precondition::Enforced } else { Precondition::BestEffort };
        let can = |strategy| Capabilities::new(strategy).call_timeout(CALL_TIMEOUT).precondition(precondition);
        let mut movers = vec![can(shape.strategy).can_force(true)];
        movers.extend(shape.chain.then(|| can(Strategy::Overwrite)));
        Settings {
            floating_ip: FloatingIp::new("ftp", "10.0.0.30").expect("a plain address"),
            nodes: (0..shape.nodes).map(|index| node(NAMES[index], index + 1)).collect(),
            checks,
            movers,
            witnesses: (0..shape.witnesses).map(witness).collect(),
            witness_quorum: shape.quorum,
            pre_move: shape.pre_move,
            policy,
            leased: shape.leased,
            sweep: Duration::from_secs(10),
            origin,
            seed,
        }
    }

    fn start(&mut self, monitor: usize) {
        if self.monitors[monitor].engine.is_some() {
            return;
        }
        let mut settings = self.settings();
        let keeps = self.plan.shape.keeps_state;
        let seat = &mut self.monitors[monitor];
        let clock = seat.clock(self.now);
        settings.origin = clock;
        let remembered = match &seat.durable {
            Some((at, durable)) if keeps => durable.clone().aged(self.now - *at),
            Some(_) | None => Durable::default(),
        };
        seat.judge.start(&self.plan.shape);
        seat.engine = Some(Engine::new(clock, settings, &remembered));
        let life = seat.life;
        self.tell(format_args!("m{monitor} starts"));
        if self.plan.shape.leased {
            self.later(Duration::ZERO, Coming::AskLease { monitor, life });
        }
        self.pump(monitor);
    }

    fn kill(&mut self, monitor: usize, down: Duration) {
        self.tell(format_args!("m{monitor} is killed"));
        self.monitors[monitor].die();
        self.later(down, Coming::Start { monitor });
    }

    fn later(&mut self, after: Duration, coming: Coming) {
        self.sequence += 1;
        self.agenda.insert((self.now + after, self.sequence), coming);
    }

    fn tell(&mut self, words: std::fmt::Arguments<'_>) {
        self.trace.tell(self.now, words);
    }

    fn break_rule(&mut self, what: &str) {
        self.tell(format_args!("BROKEN: {what}"));
        self.broken.push(format!("{:.4}: {what}", self.now.as_secs_f64()));
    }

    /// Does the next thing, if it comes until `until`. False if it does not; then it is `until`.
    fn advance(&mut self, until: Duration) -> bool {
        let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let due = (0..self.monitors.len()).filter_map(|index| self.monitors[index].due.map(|due| (due, index))).min();
        let timer = due.filter(|(due, _)| agenda.is_none_or(|agenda| *due <= agenda));
        let next = timer.map(|(due, _)| due).or(agenda).filter(|next| *next <= until);
        let Some(next) = next else {
            self.now = self.now.max(until);
            self.provider.catch_up(self.now);
            return false;
        };
        self.now = self.now.max(next);
        self.provider.catch_up(self.now);
        self.crowd = if self.crowd.0 == self.now { (self.now, self.crowd.1 + 1) } else { (self.now, 0) };
        if self.crowd.1 > CROWD {
            self.break_rule("time stands still");
            return false;
        }
        match timer {
            Some((_, monitor)) => {
                self.monitors[monitor].due = None;
                self.turn(monitor, |engine, clock| engine.handle_timeout(clock));
            }
            None => {
                if let Some((_, coming)) = self.agenda.pop_first() {
                    self.come(coming);
                }
            }
        }
        true
    }

    fn come(&mut self, coming: Coming) {
        match coming {
            Coming::Input { monitor, life, input } => self.input(monitor, life, input),
            Coming::Turn { monitor, life, probe, via } => self.take_turn(monitor, life, probe, via),
            Coming::Reading { monitor, life, call, mover, asked, arrived } => {
                let reading = Ok(self.provider.reading(arrived, mover));
                self.input(monitor, life, Input::Reading { call, asked, reading });
            }
            Coming::Arrival { way, request } => self.arrive(way, request),
            Coming::Effect { way, request } => self.take_effect(way, request),
            Coming::AskLease { monitor, life } => self.ask_lease(monitor, life),
            Coming::LeaseAsked { monitor, life, asked } => self.answer_lease(monitor, life, asked),
            Coming::Step { index } => self.step(index),
            Coming::Cut { monitor, path, until } => {
                self.tell(format_args!("# m{monitor}: {path:?} is cut until {until:?}"));
                self.monitors[monitor].network.cut(path, until);
            }
            Coming::Condition { node, condition } => self.set_condition(node, condition),
            Coming::Thaw { monitor, life } => self.thaw(monitor, life),
            Coming::Start { monitor } => self.start(monitor),
        }
    }

    /// Gives something to a monitor, or to its mailbox while it stands still.
    fn input(&mut self, monitor: usize, life: u32, input: Input) {
        let seat = &mut self.monitors[monitor];
        if seat.life != life || seat.engine.is_none() {
            return;
        }
        if seat.still.is_some() {
            seat.mailbox.push(input);
            return;
        }
        if matches!(input, Input::Reading { .. } | Input::Reply { .. }) && self.burns(monitor) {
            return;
        }
        self.take(monitor, input);
    }

    /// Burns a fuse that is laid for the next calls and replies. True if the monitor is dead.
    fn burns(&mut self, monitor: usize) -> bool {
        let Some(fuse) = &mut self.monitors[monitor].fuse else { return false };
        if fuse.calls > 0 {
            fuse.calls -= 1;
            return false;
        }
        let down = fuse.down;
        self.kill(monitor, down);
        true
    }

    /// Lets the judge of a monitor look.
    fn judge(&mut self, monitor: usize, look: impl FnOnce(&mut Judge, Scene<'_>)) {
        let clock = self.monitors[monitor].clock(self.now);
        let scene = Scene { now: self.now, clock, provider: &self.provider, shape: &self.plan.shape };
        look(&mut self.monitors[monitor].judge, scene);
        for what in std::mem::take(&mut self.monitors[monitor].judge.broken) {
            self.break_rule(&format!("m{monitor}: {what}"));
        }
    }

    fn take(&mut self, monitor: usize, input: Input) {
        match input {
            Input::Verdict { probe, started, result } => self.give_verdict(monitor, probe, started, result),
            Input::Reading { call, asked, reading } => {
                self.judge(monitor, |judge, scene| judge.reading(scene, call, asked, &reading));
                self.turn(monitor, |engine, clock| engine.handle_reading(clock, call, reading));
            }
            Input::Reply { call, reply } => {
                self.tell(format_args!("m{monitor}: reply {call}: {reply:?}"));
                self.judge(monitor, |judge, scene| judge.reply(scene.now, call, &reply));
                self.turn(monitor, |engine, clock| engine.handle_reply(clock, call, reply));
            }
            Input::Readiness { call, answer } => {
                self.turn(monitor, |engine, clock| engine.handle_readiness(clock, call, answer));
            }
            Input::Hooks { call, result } => {
                self.tell(format_args!("m{monitor}: hooks {call}: {result:?}"));
                self.judge(monitor, |judge, scene| judge.hooks(scene, call, result));
                self.turn(monitor, |engine, clock| engine.handle_hooks(clock, call, result, None));
            }
            Input::Grant { asked, grant } => self.give_grant(monitor, asked, grant),
            Input::Command { id, command } => self.give_command(monitor, id, command),
            Input::Shutdown => {
                self.monitors[monitor].judge.told_to_stop();
                self.turn(monitor, |engine, clock| engine.handle_shutdown(clock));
            }
        }
    }

    fn give_verdict(&mut self, monitor: usize, probe: ProbeId, started: Instant, result: Result<Verdict, String>) {
        let Some((subject, check)) = self.monitors[monitor].probes.remove(&probe) else { return };
        self.monitors[monitor].judge.ended(probe);
        let began = self.monitors[monitor].world_time(started);
        self.trace.detail(
            self.now,
            format_args!(
                "m{monitor}: probe {probe} of {subject}, begun at {began:?}: {:?}",
                result.as_ref().map(|v| v.reason.as_ref())
            ),
        );
        if let Ok(verdict) = &result {
            self.trace.mark([self.now.as_nanos() as u64, probe, subject as u64, u64::from(verdict.is_healthy())]);
            self.judge(monitor, |judge, scene| match subject.checked_sub(scene.shape.nodes + 1) {
                Some(witness) => judge.witness(scene, witness, started, verdict),
                None if check == scene.shape.checks => judge.idleness(scene, subject, started, verdict),
                None => judge.verdict(scene, subject, check, started, verdict),
            });
        }
        self.turn(monitor, |engine, clock| engine.handle_probe(clock, probe, started, result));
    }

    fn give_grant(&mut self, monitor: usize, asked: Instant, grant: Result<Option<Grant>, ()>) {
        let again = match &grant {
            Ok(Some(grant)) => grant.valid_for / 3,
            Ok(None) | Err(()) => Duration::from_secs(1),
        };
        if let Ok(grant) = grant {
            self.turn(monitor, |engine, clock| engine.handle_grant(clock, asked, grant));
        }
        let life = self.monitors[monitor].life;
        self.later(again, Coming::AskLease { monitor, life });
    }

    fn turn(&mut self, monitor: usize, work: impl FnOnce(&mut Engine, Instant)) {
        self.turns += 1;
        let seat = &mut self.monitors[monitor];
        let clock = seat.clock(self.now);
        if let Some(engine) = &mut seat.engine {
            work(engine, clock);
        }
        self.pump(monitor);
    }

    /// Carries out what an engine wants, notes what it says, and sets its timer.
    fn pump(&mut self, monitor: usize) {
        let life = self.monitors[monitor].life;
        while let Some(event) = self.monitors[monitor].engine.as_mut().and_then(Engine::poll_event) {
            self.tell(format_args!("m{monitor}: {event:?}"));
            self.judge(monitor, |judge, scene| judge.event(scene, &event));
        }
        while let Some(action) = self.monitors[monitor].engine.as_mut().and_then(Engine::poll_action) {
            self.act(monitor, action);
        }
        let seat = &mut self.monitors[monitor];
        if seat.life != life {
            return;
        }
        let due = seat.engine.as_ref().and_then(Engine::poll_timeout);
        seat.due = due.map(|due| seat.world_time(due));
        self.end_stop(monitor);
    }

    /// Ends a monitor that was told to stop, as soon as it is at rest.
    fn end_stop(&mut self, monitor: usize) {
        let Some((grace, down)) = self.monitors[monitor].stopping else { return };
        let at_rest = self.monitors[monitor].engine.as_ref().is_none_or(Engine::is_at_rest);
        if at_rest || self.now >= grace {
            self.tell(format_args!("m{monitor} has stopped"));
            self.store.release(monitor);
            self.monitors[monitor].die();
            self.later(down, Coming::Start { monitor });
        }
    }

    fn step(&mut self, index: usize) {
        let Some(step) = self.plan.steps.get(index).cloned() else {
            self.steps_done = true;
            return;
        };
        self.befall(step.trouble);
        match self.plan.steps.get(index + 1) {
            Some(next) => self.later(next.after, Coming::Step { index: index + 1 }),
            None => {
                let rest = Duration::from_millis(self.rng.u64(0..8000));
                self.later(rest, Coming::Step { index: index + 1 });
            }
        }
    }

    fn answer_to(&mut self, way: &OnItsWay, reply: Result<Accepted, MoveError>) {
        let input = match way.reply {
            Some(after) => (after, Input::Reply { call: way.call, reply }),
            None => (CALL_TIMEOUT, Input::Reply { call: way.call, reply: Err(no_reply()) }),
        };
        self.later(input.0, Coming::Input { monitor: way.monitor, life: way.life, input: input.1 });
    }

    fn readiness(&self, node: usize) -> Readiness {
        match self.provider.unready[node] {
            true => Readiness::Impossible { reason: "no slot".into() },
            false => Readiness::Ready,
        }
    }
}

fn no_reply() -> MoveError {
    MoveError::OutcomeUnknown { call: "request", resource: "the address".into(), source: "no reply".into() }
}
