//! The whole decision and every step of a move of one floating IP, as a pure state machine.
//!
//! An [`Engine`] takes inputs with the time at which they came, and gives back actions, events and the next time at
//! which it wants to be called. It does no I/O, reads no clock, and its only randomness is its seed: the same inputs
//! bring the same outputs, bit for bit.

mod action;
mod brakes;
mod decision;
mod drift;
mod idle;
mod moving;
mod observation;
mod permission;
mod reader;
mod readers;
mod readiness;
mod reclaim;
mod repair;
mod settings;
mod stranger;
mod track;
mod watch;
mod watched;
mod witness;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::command::{Command, CommandError, Done};
use crate::durable::Durable;
use crate::event::{Cause, EventKind};
use crate::hook::HookResult;
use crate::lease::Grant;
use crate::mover::{Accepted, MoveError, Placement, Readiness, Token};
use crate::node::NodeId;
use crate::policy::Budget;
use crate::probe::Verdict;
use crate::status::{Health, MoveStatus, NodeStatus, State, Status};

pub use action::{Action, CallId, CommandId};
pub use settings::{CheckSettings, Settings};
pub use track::ProbeId;
pub use witness::WitnessSettings;

use brakes::Pause;
use decision::Hold;
use drift::Drift;
use idle::IdleWait;
use moving::Move;
use permission::Permission;
use reader::Knowledge;
use readers::Readers;
use readiness::Fitness;
use repair::Repair;
use watch::{Subject, Watch};
use witness::Witnesses;

/// How long a grant must still be valid beyond the longest that a call may take, for a request to be sent under it.
const LEASE_MARGIN: Duration = Duration::from_millis(500);

/// The decision and every step of a move of one floating IP.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    watch: Watch,
    witnesses: Witnesses,
    reader: Readers,
    drift: Drift,
    holder: Option<usize>,
    /// The assignment that was read last.
    assignment: Option<Token>,
    moving: Option<Move>,
    repair: Option<Repair>,
    /// The node for which a move of this monitor settled with a part of the address.
    landed: Option<usize>,
    impossible: Vec<Option<String>>,
    /// What each mover says of each node.
    fitness: Vec<Vec<Fitness>>,
    hold: Hold,
    /// Nodes that an operator has drained.
    drained: Vec<bool>,
    /// The nodes in the order of preference.
    order: Vec<usize>,
    announced_failback: Option<usize>,
    /// The node for which the address was claimed anew since it last answered.
    reclaimed: Option<usize>,
    pause: Option<Pause>,
    frozen: bool,
    stopping: bool,
    budget: Budget,
    last_move_end: Option<Instant>,
    hold_off: Option<Instant>,
    /// The moves that it holds off: those that the hooks have vetoed; all after one that has failed.
    hold_off_from: Option<Cause>,
    permission: Option<Permission>,
    idle_wait: Option<IdleWait>,
    vetoes: u32,
    /// The move that is held and why, as it was said.
    announced_held: Option<(Cause, Option<usize>, usize, &'static str)>,
    unchanged_failures: u32,
    lease_until: Option<Instant>,
    /// When the monitor learnt last that it had stood still.
    jumped: Option<Instant>,
    epoch: Option<crate::lease::Epoch>,
    turned: Instant,
    next_call: CallId,
    next_move: u64,
    rng: fastrand::Rng,
    announced_stranger: bool,
    announced_free: bool,
    announced_unreadable: bool,
    actions: VecDeque<Action>,
    events: VecDeque<EventKind>,
}

impl Engine {
    /// An engine that knows nothing yet but what was remembered.
    pub fn new(now: Instant, settings: Settings, remembered: &Durable) -> Self {
        let nodes = settings.nodes.len();
        let mut hasher = DefaultHasher::new();
        (settings.seed, &settings.floating_ip.name).hash(&mut hasher);
        let rng = fastrand::Rng::with_seed(hasher.finish());
        let mut engine = Self {
            watch: Watch::new(&settings, remembered.served),
            witnesses: Witnesses::new(&settings),
            reader: Readers::new(settings.movers.len()),
            drift: Drift::remembered(remembered, &settings),
            holder: None,
            assignment: None,
            moving: None,
            repair: None,
            landed: None,
            impossible: vec![None; nodes],
            fitness: settings.movers.iter().map(|_| (0..nodes).map(|_| Fitness::new(now)).collect()).collect(),
            hold: Hold::None,
            pause: Pause::remembered(now, remembered),
            drained: settings
                .nodes
                .iter()
                .map(|node| remembered.drained.iter().any(|name| **name == *node.id.as_str()))
                .collect(),
            order: order(&settings),
            announced_failback: None,
            reclaimed: None,
            frozen: remembered.frozen,
            stopping: false,
            budget: Budget::from_ages(now, &remembered.move_ages),
            last_move_end: None,
            hold_off: None,
            hold_off_from: None,
            permission: None,
            idle_wait: None,
            vetoes: 0,
            announced_held: None,
            unchanged_failures: 0,
            lease_until: None,
            jumped: None,
            epoch: None,
            turned: now,
            next_call: 0,
            next_move: 0,
            rng,
            announced_stranger: false,
            announced_free: false,
            announced_unreadable: false,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            settings,
        };
        engine.turn(now);
        engine
    }

    /// Takes the result of a probe that began at `started`: [`Action::Probe`]'s `at`, or later if it had to wait. An error is the prober's own, and says nothing of the node.
    pub fn handle_probe(&mut self, now: Instant, id: ProbeId, started: Instant, result: Result<Verdict, String>) {
        if Witnesses::are_asked_by(id) {
            let in_step = self.holder.is_some_and(|holder| self.watch.goes_in_step(holder, now));
            self.witnesses.end(now, &self.settings, id, started, result, in_step);
            return self.turn(now);
        }
        let served = self.watch.served();
        self.watch.end(now, &self.settings, id, started, result, self.holder);
        if served != self.watch.served() {
            self.save(now);
        }
        self.turn(now);
    }

    /// Takes the answer of [`Action::Locate`].
    pub fn handle_reading(&mut self, now: Instant, call: CallId, reading: Result<Placement, MoveError>) {
        let throttled = matches!(reading, Err(MoveError::Throttled { .. } | MoveError::Deferred { .. }));
        let reading = reading.map_err(|error| crate::chain(&error));
        if self.reader.end(now, call, reading) {
            self.elect();
            self.note_reading(now);
            if let Some(moving) = &mut self.moving {
                let asked = self.reader.asked().unwrap_or(now);
                moving.note_reading(now, asked, throttled, &mut self.rng);
            }
            self.advance_move(now);
        }
        self.turn(now);
    }

    /// Takes the reply to [`Action::Release`] or [`Action::Claim`].
    pub fn handle_reply(&mut self, now: Instant, call: CallId, reply: Result<Accepted, MoveError>) {
        if self.repair.as_ref().is_some_and(|repair| repair.call == Some(call)) {
            self.end_repair(now, &reply);
        } else {
            self.end_request(now, call, reply);
        }
        self.turn(now);
    }

    /// Takes the answer of [`Action::Ready`]. An error leaves the node what it was.
    pub fn handle_readiness(&mut self, now: Instant, call: CallId, answer: Result<Readiness, MoveError>) {
        self.note_readiness(now, call, answer);
        self.turn(now);
    }

    /// Takes the answer of [`Action::AskHooks`]: the worst of all, and what it said.
    pub fn handle_hooks(&mut self, now: Instant, call: CallId, result: HookResult, said: Option<String>) {
        self.end_permission(now, call, result, said);
        self.turn(now);
    }

    /// Takes the newest answer of the lease store: `None` if another monitor holds the lease. `asked` is the time just
    /// before the store was asked, from which the grant's validity counts; a grant that was asked for before the monitor
    /// stood still may have ended meanwhile, and is no grant.
    pub fn handle_grant(&mut self, now: Instant, asked: Instant, grant: Option<Grant>) {
        match grant {
            Some(_) if self.jumped.is_some_and(|jumped| asked <= jumped) => {}
            Some(grant) => {
                self.lease_until = Some(asked + grant.valid_for);
                if self.epoch.replace(grant.epoch) != Some(grant.epoch) {
                    self.events.push_back(EventKind::LeaseAcquired { epoch: grant.epoch });
                }
            }
            None => self.lose_lease(),
        }
        self.turn(now);
    }

    /// Takes an operator's command; its answer comes as [`Action::Answer`].
    pub fn handle_command(&mut self, now: Instant, id: CommandId, command: Command) {
        self.obey(now, id, command);
        self.turn(now);
    }

    /// Begins to stop: no move is begun any more, one that has changed nothing is cancelled, and one past its point of
    /// no return goes on. See [`Engine::is_at_rest`].
    pub fn handle_shutdown(&mut self, now: Instant) {
        self.stopping = true;
        self.cancel_voluntary(now, "the monitor stops");
        self.turn(now);
    }

    /// Learns that the monitor stood still or that its clock was set: nothing that was seen before counts any more, a
    /// lease must be granted anew, and a move that has changed nothing yet is cancelled.
    pub fn handle_clock_jump(&mut self, now: Instant, by: Duration) {
        self.events.push_back(EventKind::ClockJumped { by });
        // The monotonic clock stands still while a machine is suspended, and a lease does not.
        self.lose_lease();
        self.jumped = Some(now);
        self.watch.void_all(now);
        self.witnesses.void_all(now);
        self.void_permission();
        self.cancel_voluntary(now, "the monitor stood still, or its clock was set");
        self.turn(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.turn(now);
    }

    /// The next thing to do.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing that happened.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<EventKind> {
        self.events.pop_front()
    }

    /// True if no move is in flight, or only one that is stuck: then stopping loses nothing that the next start does not
    /// resume.
    pub fn is_at_rest(&self) -> bool {
        self.moving.as_ref().is_none_or(|moving| moving.stuck().is_some())
    }

    /// When [`Engine::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let lease = self.epoch.and(self.lease_until);
        let mut times = vec![self.watch.next(self.turned), self.next_read(), lease, self.next_repair()];
        times.extend(self.next_decisions());
        times.push(self.moving.as_ref().and_then(|moving| moving.next(&self.settings.policy)));
        times.push(self.next_ready_due());
        times.push(self.witnesses.next());
        times.push(self.next_restore());
        times.push(self.next_permission());
        times.push(self.next_idle_wait());
        times.push(self.pause.as_ref().and_then(|pause| pause.until));
        times.into_iter().flatten().filter(|time| *time > self.turned).min()
    }

    /// What is known now.
    pub fn status(&self, now: Instant) -> Status {
        let settings = &self.settings;
        let nodes = settings.nodes.iter().enumerate().map(|(index, node)| NodeStatus {
            name: node.id.clone(),
            host: node.host.clone(),
            health: self.watch.health(index),
            reason: self.watch.reason(Subject::Node(index)).map(|reason| reason.to_string()),
            not_ready: self.impossible[index].clone(),
            drained: self.drained[index],
            maintenance: self.watch.maintenance(index).map(str::to_owned),
            probes: self.watch.probes(index),
            flapping: self.watch.flaps(index, now, &settings.policy),
        });
        Status {
            name: settings.floating_ip.name.clone(),
            address: settings.floating_ip.address.clone(),
            state: self.state(now),
            holder: self.seated().map(|holder| self.id(holder)),
            placement: match self.reader.knowledge() {
                Knowledge::Known(placement) => placement.to_string(),
                Knowledge::Unread => "not read yet".to_owned(),
                Knowledge::Unknown { error } => format!("unknown: {error}"),
            },
            unsettled: self.unsettled(),
            mover: settings.movers[self.reader.active()].kind.to_owned(),
            paused: self.pause.is_some(),
            pause_reason: self.pause.as_ref().and_then(|pause| pause.reason.clone()),
            pause_left_ms: self.pause.as_ref().and_then(|pause| pause.left(now)).map(|left| left.as_millis() as u64),
            frozen: self.frozen,
            moving: self.moving.as_ref().map(|moving| MoveStatus {
                id: moving.id,
                from: moving.from.map(|node| settings.nodes[node].id.clone()),
                to: settings.nodes[moving.to].id.clone(),
                cause: moving.cause,
                stuck: moving.stuck().map(str::to_owned),
            }),
            nodes: nodes.collect(),
            witnesses: self.witnesses.status(settings),
        }
    }

    fn state(&self, now: Instant) -> State {
        if let Some(moving) = &self.moving {
            return if moving.stuck().is_some() { State::Stuck } else { State::Moving };
        }
        if self.pause.is_some() {
            return State::Paused;
        }
        if self.frozen {
            return State::Frozen;
        }
        if self.idle_wait.is_some() && self.hold != Hold::Vetoed {
            return State::WaitingForIdle;
        }
        let holder = match self.reader.knowledge() {
            Knowledge::Unread => return State::Starting,
            Knowledge::Unknown { .. } => return State::Unreadable,
            Knowledge::Known(placement) => match placement {
                Placement::Held { node, .. } => self.index(node),
                Placement::Split { .. } if self.seated().is_some() => self.seated(),
                Placement::Transition { .. } | Placement::Split { .. } => return State::InTransition,
                Placement::Stranger { .. } => return State::HeldByStranger,
                Placement::Free if self.hold == Hold::NoCandidate => return State::NoCandidate,
                Placement::Free if self.hold == Hold::Isolated => return State::Isolated,
                Placement::Free if self.hold == Hold::Vetoed => return State::Vetoed,
                Placement::Free if self.hold == Hold::RecoveriesOff => return State::RecoveriesOff,
                Placement::Free => return State::Free,
            },
        };
        match self.hold {
            Hold::Isolated => return State::Isolated,
            Hold::Vetoed => return State::Vetoed,
            Hold::NoWitness => return State::NoWitness,
            Hold::AllNodesDown => return State::AllNodesDown,
            Hold::Serving => return State::UnreachableButServing,
            Hold::NoCandidate => return State::NoCandidate,
            Hold::RecoveriesOff => return State::RecoveriesOff,
            Hold::None => {}
        }
        match holder.map(|holder| (self.watch.health(holder), self.watch.is_suspect(holder, now))) {
            Some((Health::Healthy, false)) => State::Serving,
            Some((Health::Healthy | Health::Unhealthy, _)) => State::Suspect,
            Some((Health::Unknown, _)) | None => State::Starting,
        }
    }

    /// Everything that follows from the time and from what the inputs have changed.
    fn turn(&mut self, now: Instant) {
        self.turned = now;
        if self.hold_off.is_some_and(|until| until <= now) {
            self.hold_off = None;
        }
        if self.lease_until.is_some_and(|until| until <= now) {
            self.lose_lease();
        }
        self.end_pause(now);
        self.expire_permission(now);
        if self.witnesses.refresh(now, &self.settings) {
            self.watch.void_failures(now);
        }
        self.watch.refresh(now, &self.settings, self.holder, self.moving.is_some());
        self.watch.begin_due(now, self.holder);
        if self.moving.is_some() {
            self.drive(now);
        } else {
            self.resume_switchover(now);
            if self.moving.is_none() {
                self.decide(now);
            }
            self.end_unwanted_idle_wait(now);
        }
        self.begin_repair(now);
        self.ask_ready(now);
        self.begin_read(now);
        self.watch.begin_due(now, self.holder);
        self.witnesses.begin_due(now, self.holder.and_then(|holder| self.watch.newest_start_in_step(holder, now)));
        self.collect();
    }

    /// Turns what the watch has begun, dropped and seen into actions and events.
    fn collect(&mut self) {
        self.events.extend(self.watch.take_events());
        self.events.extend(self.witnesses.take_events());
        self.actions.extend(self.watch.take_dropped().into_iter().map(|id| Action::DropProbe { id }));
        self.actions.extend(self.witnesses.take_dropped().into_iter().map(|id| Action::DropProbe { id }));
        for (id, witness) in self.witnesses.take_begun() {
            self.actions.push_back(Action::ProbeWitness { id, at: self.turned, witness });
        }
        for (id, subject, check) in self.watch.take_begun() {
            let node = match subject {
                Subject::Node(node) => Some(node),
                Subject::Address => self.holder,
            };
            let node = node.map(|node| self.settings.nodes[node].id.clone());
            self.actions.push_back(Action::Probe { id, at: self.turned, check, node, via: subject.via() });
        }
    }

    fn index(&self, node: &NodeId) -> Option<usize> {
        self.settings.nodes.iter().position(|known| known.id == *node)
    }

    fn id(&self, node: usize) -> NodeId {
        self.settings.nodes[node].id.clone()
    }

    fn call(&mut self) -> CallId {
        self.next_call += 1;
        self.next_call
    }

    fn answer(&mut self, command: CommandId, result: Result<Done, CommandError>) {
        self.actions.push_back(Action::Answer { command, result });
    }

    fn lose_lease(&mut self) {
        self.lease_until = None;
        if self.epoch.take().is_some() {
            self.events.push_back(EventKind::LeaseLost {});
        }
    }

    /// Whether a request to `mover` may be sent now: its call must end before the lease does (rule 6).
    fn may_request(&self, now: Instant, mover: usize) -> bool {
        let call = self.settings.movers[mover].call_timeout;
        !self.settings.leased || self.lease_until.is_some_and(|until| until > now + call + LEASE_MARGIN)
    }
}

/// The preferred nodes, then the others in the order of the list.
fn order(settings: &Settings) -> Vec<usize> {
    let mut order: Vec<_> = (0..settings.nodes.len()).collect();
    let rank = |node: &usize| settings.policy.prefer.iter().position(|name| *name == settings.nodes[*node].id);
    order.sort_by_key(|node| rank(node).unwrap_or(usize::MAX));
    order
}

/// How long to wait before the next look, after having waited for `waited`: 4 % of it, from 100 ms to 1 s.
fn cadence(waited: Duration) -> Duration {
    (waited / 25).clamp(Duration::from_millis(100), Duration::from_secs(1))
}

/// Exponential backoff with jitter: between half and all of `base` doubled `attempts - 1` times, at most `most`.
fn backoff(attempts: u32, base: Duration, most: Duration, rng: &mut fastrand::Rng) -> Duration {
    let full = base.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1).min(16))).min(most);
    full.mul_f64(0.5 + rng.f64() / 2.0)
}

#[cfg(test)]
mod tests;
