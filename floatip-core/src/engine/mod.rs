//! The whole decision and every step of a move of one floating IP, as a pure state machine.
//!
//! An [`Engine`] takes inputs with the time at which they came, and gives back actions, events and the next time at
//! which it wants to be called. It does no I/O, reads no clock, and its only randomness is its seed: the same inputs
//! bring the same outputs, bit for bit.

mod decision;
mod moving;
mod reader;
mod watch;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::command::{Command, CommandError, Done};
use crate::durable::Durable;
use crate::event::EventKind;
use crate::health::{HealthSettings, ProbeId};
use crate::lease::Grant;
use crate::mover::{Accepted, Capabilities, MoveError, Placement, Readiness, ReleaseMode};
use crate::node::{FloatingIp, Node, NodeId};
use crate::policy::{Budget, Policy};
use crate::probe::{Verdict, Via};
use crate::status::{Health, MoveStatus, NodeStatus, State, Status};

use decision::Hold;
use moving::Move;
use reader::{Knowledge, Reader};
use watch::{Subject, Watch};

/// The number of one call to a mover, unique within one engine.
pub type CallId = u64;

/// The number that the driver gives to a command, so that its answer finds the one who asked.
pub type CommandId = u64;

/// How long a grant must still be valid beyond the longest that a call may take, for a request to be sent under it.
const LEASE_MARGIN: Duration = Duration::from_millis(500);

/// How often it is asked whether the nodes could take the address.
const READY_INTERVAL: Duration = Duration::from_secs(3600);

/// How often it is asked of a node that could not.
const READY_RETRY: Duration = Duration::from_secs(60);

/// The part of a [`Check`](crate::Check) that decides.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// The kind of probe, for events.
    pub kind: &'static str,
    /// Timing and thresholds.
    pub health: HealthSettings,
    /// Whether it runs against the nodes' own hosts.
    pub direct: bool,
    /// Whether it runs through the floating address.
    pub verifies: bool,
}

/// What an engine is made for. [`Engine::new`] trusts it; the orchestrator's builder checks it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name and the address.
    pub floating_ip: FloatingIp,
    /// The nodes, in the order of preference.
    pub nodes: Vec<Node>,
    /// The checks.
    pub checks: Vec<CheckSettings>,
    /// What each mover can do, the preferred one first.
    pub movers: Vec<Capabilities>,
    /// The policy.
    pub policy: Policy,
    /// True if requests may be sent only under a lease.
    pub leased: bool,
    /// How often the placement is read while nothing moves.
    pub sweep: Duration,
    /// The instant that the ticks of sweeps and probes are counted from: the same for all engines of a process.
    pub origin: Instant,
    /// Spreads probes and backs off with jitter.
    pub seed: u64,
}

/// What the driver shall do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Run a probe and bring its result to [`Engine::handle_probe`].
    Probe {
        /// To be handed back.
        id: ProbeId,
        /// The index of the check.
        check: usize,
        /// The node that it is about; through the address, the one believed to hold it.
        node: Option<NodeId>,
        /// By the node's own host or through the floating address.
        via: Via,
    },
    /// Drop a probe: nobody waits for its result.
    DropProbe {
        /// The probe.
        id: ProbeId,
    },
    /// Read the placement and bring it to [`Engine::handle_reading`].
    Locate {
        /// To be handed back.
        call: CallId,
        /// The index of the mover.
        mover: usize,
    },
    /// Request a release and bring the reply to [`Engine::handle_reply`].
    Release {
        /// To be handed back.
        call: CallId,
        /// The index of the mover.
        mover: usize,
        /// The reading that it relies on.
        seen: Placement,
        /// How hard.
        mode: ReleaseMode,
    },
    /// Request a claim and bring the reply to [`Engine::handle_reply`].
    Claim {
        /// To be handed back.
        call: CallId,
        /// The index of the mover.
        mover: usize,
        /// The node that shall hold the address.
        to: NodeId,
        /// The reading that it relies on.
        seen: Placement,
    },
    /// Ask whether a node could take the address and bring it to [`Engine::handle_readiness`].
    Ready {
        /// To be handed back.
        call: CallId,
        /// The index of the mover.
        mover: usize,
        /// The node.
        node: NodeId,
    },
    /// Answer a command.
    Answer {
        /// The command.
        command: CommandId,
        /// How it ended.
        result: Result<Done, CommandError>,
    },
    /// Write this where it survives a restart. Failing to do so stops nothing.
    Save(Durable),
}

/// A repair of a claim that is complete but not settled.
#[derive(Debug)]
struct Repair {
    call: Option<CallId>,
    attempts: u32,
    next: Instant,
    /// When the newest attempt ended, until a reading has followed it.
    unread: Option<Instant>,
}

/// The decision and every step of a move of one floating IP.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    watch: Watch,
    reader: Reader,
    holder: Option<usize>,
    moving: Option<Move>,
    repair: Option<Repair>,
    impossible: Vec<Option<String>>,
    asked_ready: Vec<Option<CallId>>,
    next_ready: Vec<Instant>,
    hold: Hold,
    paused: Option<Option<String>>,
    frozen: bool,
    stopping: bool,
    budget: Budget,
    last_move_end: Option<Instant>,
    hold_off: Option<Instant>,
    unchanged_failures: u32,
    lease_until: Option<Instant>,
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
            reader: Reader::new(),
            holder: None,
            moving: None,
            repair: None,
            impossible: vec![None; nodes],
            asked_ready: vec![None; nodes],
            next_ready: vec![now; nodes],
            hold: Hold::None,
            paused: remembered.paused.then(|| remembered.pause_reason.clone()),
            frozen: remembered.frozen,
            stopping: false,
            budget: Budget::from_ages(now, &remembered.move_ages),
            last_move_end: None,
            hold_off: None,
            unchanged_failures: 0,
            lease_until: None,
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

    /// Takes the result of a probe that began at `started`. An error is the prober's own, and says nothing of the node.
    pub fn handle_probe(&mut self, now: Instant, id: ProbeId, started: Instant, result: Result<Verdict, String>) {
        let served = self.watch.served();
        self.watch.end(now, &self.settings, id, started, result, self.holder);
        if served != self.watch.served() {
            self.save(now);
        }
        self.turn(now);
    }

    /// Takes the answer of [`Action::Locate`].
    pub fn handle_reading(&mut self, now: Instant, call: CallId, reading: Result<Placement, MoveError>) {
        let throttled = matches!(reading, Err(MoveError::Throttled { .. }));
        let reading = reading.map_err(|error| crate::chain(&error));
        if self.reader.end(now, call, reading) {
            self.note_reading(now);
            if let Some(moving) = &mut self.moving {
                moving.note_reading(now, throttled, &mut self.rng);
            }
            self.advance_move(now);
        }
        self.turn(now);
    }

    /// Takes the reply to [`Action::Release`] or [`Action::Claim`].
    pub fn handle_reply(&mut self, now: Instant, call: CallId, reply: Result<Accepted, MoveError>) {
        if self.repair.as_ref().is_some_and(|repair| repair.call == Some(call)) {
            self.end_repair(now);
        } else {
            self.end_request(now, call, reply);
        }
        self.turn(now);
    }

    /// Takes the answer of [`Action::Ready`]. An error leaves the node what it was.
    pub fn handle_readiness(&mut self, now: Instant, call: CallId, answer: Result<Readiness, MoveError>) {
        if let Some(node) = self.asked_ready.iter().position(|asked| *asked == Some(call)) {
            self.asked_ready[node] = None;
            match answer {
                Ok(Readiness::Ready) => self.set_impossible(now, node, None),
                Ok(Readiness::Impossible { reason }) => self.set_impossible(now, node, Some(reason)),
                Err(_) => self.next_ready[node] = now + READY_RETRY,
            }
        }
        self.turn(now);
    }

    /// Takes the newest answer of the lease store: `None` if another monitor holds the lease. `asked` is the time just
    /// before the store was asked, from which the grant's validity counts.
    pub fn handle_grant(&mut self, now: Instant, asked: Instant, grant: Option<Grant>) {
        match grant {
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
        match command {
            Command::Switchover(switchover) => self.start_switchover(now, id, &switchover),
            Command::Pause { reason } => {
                self.paused = Some(reason.clone());
                self.events.push_back(EventKind::Paused { reason });
                self.cancel_voluntary(now, "an operator paused it");
                self.save(now);
                self.answer(id, Ok(Done::Paused));
            }
            Command::Resume => {
                self.paused = None;
                self.frozen = false;
                self.budget.clear();
                self.hold_off = None;
                self.events.push_back(EventKind::Resumed {});
                self.save(now);
                self.answer(id, Ok(Done::Resumed));
            }
        }
        self.turn(now);
    }

    /// Begins to stop: no move is begun any more, one that has changed nothing is cancelled, and one past its point of
    /// no return goes on. See [`Engine::is_at_rest`].
    pub fn handle_shutdown(&mut self, now: Instant) {
        self.stopping = true;
        self.cancel_voluntary(now, "the monitor stops");
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
        let mut times = vec![self.watch.next(), self.next_read(), lease, self.next_repair(), self.next_decision()];
        times.push(self.moving.as_ref().and_then(|moving| moving.next(&self.settings.policy)));
        times.push(self.next_ready_due());
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
        });
        Status {
            name: settings.floating_ip.name.clone(),
            address: settings.floating_ip.address.clone(),
            state: self.state(now),
            holder: self.reader.placement().and_then(|placement| placement.holder().cloned()),
            placement: match self.reader.knowledge() {
                Knowledge::Known(placement) => placement.to_string(),
                Knowledge::Unread => "not read yet".to_owned(),
                Knowledge::Unknown { error } => format!("unknown: {error}"),
            },
            paused: self.paused.is_some(),
            pause_reason: self.paused.clone().flatten(),
            frozen: self.frozen,
            moving: self.moving.as_ref().map(|moving| MoveStatus {
                id: moving.id,
                from: moving.from.map(|node| settings.nodes[node].id.clone()),
                to: settings.nodes[moving.to].id.clone(),
                cause: moving.cause,
                stuck: moving.stuck().map(str::to_owned),
            }),
            nodes: nodes.collect(),
        }
    }

    fn state(&self, now: Instant) -> State {
        if let Some(moving) = &self.moving {
            return if moving.stuck().is_some() { State::Stuck } else { State::Moving };
        }
        if self.paused.is_some() {
            return State::Paused;
        }
        if self.frozen {
            return State::Frozen;
        }
        let holder = match self.reader.knowledge() {
            Knowledge::Unread => return State::Starting,
            Knowledge::Unknown { .. } => return State::Unreadable,
            Knowledge::Known(placement) => match placement {
                Placement::Held { node, .. } => self.index(node),
                Placement::Transition { .. } | Placement::Split { .. } => return State::InTransition,
                Placement::Stranger { .. } => return State::HeldByStranger,
                Placement::Free if self.hold == Hold::NoCandidate => return State::NoCandidate,
                Placement::Free => return State::Free,
            },
        };
        match self.hold {
            Hold::AllNodesDown => return State::AllNodesDown,
            Hold::Serving => return State::UnreachableButServing,
            Hold::NoCandidate => return State::NoCandidate,
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
        self.watch.refresh(now, &self.settings, self.holder, self.moving.is_some());
        self.watch.begin_due(now, self.holder);
        if self.moving.is_some() {
            self.drive(now);
        } else {
            self.decide(now);
        }
        self.begin_repair(now);
        self.ask_ready(now);
        self.begin_read(now);
        self.watch.begin_due(now, self.holder);
        self.collect();
    }

    /// Turns what the watch has begun, dropped and seen into actions and events.
    fn collect(&mut self) {
        self.events.extend(self.watch.take_events());
        self.actions.extend(self.watch.take_dropped().into_iter().map(|id| Action::DropProbe { id }));
        for (id, subject, check) in self.watch.take_begun() {
            let node = match subject {
                Subject::Node(node) => Some(node),
                Subject::Address => self.holder,
            };
            let node = node.map(|node| self.settings.nodes[node].id.clone());
            self.actions.push_back(Action::Probe { id, check, node, via: subject.via() });
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

    fn save(&mut self, now: Instant) {
        self.actions.push_back(Action::Save(Durable {
            paused: self.paused.is_some(),
            pause_reason: self.paused.clone().flatten(),
            frozen: self.frozen,
            move_ages: self.budget.ages(now),
            served: self.watch.served(),
        }));
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

    /// Follows up a reading: who holds the address, and what of it is news.
    fn note_reading(&mut self, now: Instant) {
        let placement = match self.reader.knowledge().clone() {
            Knowledge::Known(placement) => placement,
            Knowledge::Unread => return,
            Knowledge::Unknown { error } => {
                if !std::mem::replace(&mut self.announced_unreadable, true) {
                    self.events.push_back(EventKind::ProviderUnreadable { error });
                }
                return;
            }
        };
        if std::mem::take(&mut self.announced_unreadable) {
            self.events.push_back(EventKind::ProviderReadable {});
        }
        let stranger = match &placement {
            Placement::Stranger { description, .. } => Some(description.clone()),
            Placement::Held { .. } | Placement::Transition { .. } | Placement::Free | Placement::Split { .. } => None,
        };
        let was_stranger = std::mem::replace(&mut self.announced_stranger, stranger.is_some());
        if let Some(description) = stranger.filter(|_| !was_stranger) {
            self.set_holder(None);
            self.events.push_back(EventKind::AddressHeldByStranger { description });
        }
        if let Placement::Held { node, settled, .. } = &placement {
            self.set_holder(self.index(node));
            self.note_settled(now, node, *settled);
        }
        let free = self.reader.agreed_free() && self.moving.is_none();
        if free {
            self.set_holder(None);
        }
        let was_free = std::mem::replace(&mut self.announced_free, free);
        if free && !was_free {
            self.events.push_back(EventKind::AddressFoundFree {});
        }
    }

    fn set_holder(&mut self, holder: Option<usize>) {
        if self.holder != holder {
            let from = self.holder.map(|node| self.id(node));
            self.holder = holder;
            self.events.push_back(EventKind::HolderChanged { from, to: holder.map(|node| self.id(node)) });
        }
    }

    fn note_settled(&mut self, now: Instant, node: &NodeId, settled: bool) {
        match (&self.repair, settled) {
            (None, false) => {
                self.repair = Some(Repair { call: None, attempts: 0, next: now, unread: None });
                self.events.push_back(EventKind::PlacementUnsettled { node: node.clone() });
            }
            (Some(repair), true) if repair.call.is_none() => {
                self.repair = None;
                self.events.push_back(EventKind::PlacementSettled { node: node.clone() });
            }
            (Some(_), true | false) | (None, true) => {}
        }
    }

    /// Finishes a claim in the background, while nothing moves: once, then ever more rarely.
    fn begin_repair(&mut self, now: Instant) {
        let Some(Placement::Held { node, token, settled: false }) = self.reader.placement() else { return };
        let seen = Placement::Held { node: node.clone(), token: token.clone(), settled: false };
        let to = node.clone();
        let due = self.repair.as_ref().is_some_and(|repair| repair.call.is_none() && repair.next <= now);
        if due && self.moving.is_none() && !self.stopping && self.may_request(now, 0) {
            let call = self.call();
            if let Some(repair) = &mut self.repair {
                repair.call = Some(call);
            }
            self.actions.push_back(Action::Claim { call, mover: 0, to, seen });
        }
    }

    fn end_repair(&mut self, now: Instant) {
        if let Some(repair) = &mut self.repair {
            repair.call = None;
            repair.unread = Some(now);
            repair.attempts = repair.attempts.saturating_add(1);
            repair.next =
                now + backoff(repair.attempts, Duration::from_secs(1), Duration::from_secs(60), &mut self.rng);
        }
        self.reader.abandon();
    }

    fn next_repair(&self) -> Option<Instant> {
        let unsettled = matches!(self.reader.placement(), Some(Placement::Held { settled: false, .. }));
        let idle = unsettled && self.moving.is_none() && !self.stopping && !self.settings.leased;
        self.repair.as_ref().filter(|repair| idle && repair.call.is_none()).map(|repair| repair.next)
    }

    fn set_impossible(&mut self, now: Instant, node: usize, reason: Option<String>) {
        self.next_ready[node] = now + if reason.is_some() { READY_RETRY } else { READY_INTERVAL };
        let id = self.id(node);
        match (&self.impossible[node], &reason) {
            (before, Some(reason)) if before.as_ref() != Some(reason) => {
                self.events.push_back(EventKind::CandidateNotReady { node: id, reason: reason.clone() });
            }
            (Some(_), None) => self.events.push_back(EventKind::CandidateReady { node: id }),
            (Some(_) | None, Some(_)) | (None, None) => {}
        }
        self.impossible[node] = reason;
    }

    /// Asks of every node but the holder whether it could take the address; never during a move.
    fn ask_ready(&mut self, now: Instant) {
        if self.moving.is_some() || self.stopping || self.reader.placement().is_none() {
            return;
        }
        for node in 0..self.settings.nodes.len() {
            if self.asks_ready_of(node) && self.next_ready[node] <= now {
                let call = self.call();
                self.asked_ready[node] = Some(call);
                self.next_ready[node] = now + READY_INTERVAL;
                self.actions.push_back(Action::Ready { call, mover: 0, node: self.id(node) });
            }
        }
    }

    fn asks_ready_of(&self, node: usize) -> bool {
        self.holder != Some(node) && self.asked_ready[node].is_none()
    }

    fn next_ready_due(&self) -> Option<Instant> {
        if self.moving.is_some() || self.stopping || self.reader.placement().is_none() {
            return None;
        }
        (0..self.settings.nodes.len()).filter(|node| self.asks_ready_of(*node)).map(|node| self.next_ready[node]).min()
    }

    /// When the placement is to be read next. A move reads at its own cadence.
    fn next_read(&self) -> Option<Instant> {
        if self.reader.is_reading() || self.stopping && self.moving.is_none() {
            return None;
        }
        if let Some(moving) = &self.moving {
            return moving.next_read(self.next_sweep());
        }
        let Some(answered) = self.reader.answered() else { return Some(self.settings.origin) };
        let sooner = match self.reader.knowledge() {
            Knowledge::Unread => Some(answered),
            Knowledge::Unknown { .. } => {
                let rounds = self.reader.failures().saturating_sub(1).min(8);
                Some(answered + Duration::from_secs(1) * 2_u32.pow(rounds))
            }
            Knowledge::Known(Placement::Transition { .. }) => {
                let since = self.reader.in_transition_since().unwrap_or(answered);
                Some(answered + cadence(answered.saturating_duration_since(since)))
            }
            Knowledge::Known(Placement::Held { settled: false, .. }) => {
                self.repair.as_ref().and_then(|repair| repair.unread)
            }
            Knowledge::Known(
                Placement::Held { .. } | Placement::Free | Placement::Stranger { .. } | Placement::Split { .. },
            ) => self.reader.agreement_due(),
        };
        let sweep = self.next_sweep();
        Some(sooner.map_or(sweep, |sooner| sooner.min(sweep)))
    }

    /// The first common tick after the newest reading.
    fn next_sweep(&self) -> Instant {
        let Settings { origin, sweep, .. } = self.settings;
        let Some(answered) = self.reader.answered() else { return origin };
        let ticks = answered.saturating_duration_since(origin).as_nanos() / sweep.as_nanos().max(1) + 1;
        u32::try_from(ticks).map_or(answered + sweep, |ticks| origin + sweep * ticks)
    }

    fn begin_read(&mut self, now: Instant) {
        if self.next_read().is_some_and(|due| due <= now) {
            let call = self.call();
            let mover = self.moving.as_ref().map_or(0, |moving| moving.mover);
            self.reader.begin(call, now);
            if let Some(repair) = &mut self.repair {
                repair.unread = None;
            }
            self.actions.push_back(Action::Locate { call, mover });
        }
    }
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
