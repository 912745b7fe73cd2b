//! Checks what one monitor does against what it was told and against the truth.

mod consent;
mod damping;
mod moves;
mod readings;
mod requests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use floatip_core::engine::{CallId, CommandId, ProbeId};
use floatip_core::{Accepted, Cause, EventKind, MoveError, MoveId, NodeId, Part, Placement, Step, Token, Verdict, Via};

use crate::evidence::{Evidence, Seen};
use crate::plan::Shape;
use crate::provider::Provider;
use consent::Consent;
use damping::Damping;
use readings::Readings;

/// How much longer than its patience a move may take, because it pauses after each request that was refused.
const PAUSES: Duration = Duration::from_secs(8);

/// What the judge may look at when it judges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) now: Duration,
    /// The same, by the monitor's clock.
    pub(crate) clock: Instant,
    pub(crate) provider: &'a Provider,
    pub(crate) shape: &'a Shape,
}

/// The move that a monitor says it makes.
#[derive(Debug)]
struct Moving {
    id: MoveId,
    cause: Cause,
    from: Option<usize>,
    /// By which assignment it has taken the address from whom it was to take it.
    given: Option<Token>,
    to: usize,
    since: Duration,
    since_clock: Instant,
    /// An operator insists on the target.
    forced: bool,
    /// A request of it may have taken effect.
    acted: bool,
    /// Readings have shown the address on its way since it began.
    leaving: bool,
    /// It counts towards the bound on moves.
    counted: bool,
    claimed: bool,
    /// The newest claim.
    claim: Option<CallId>,
    /// Where readings show the address, and since when.
    landed: Option<(usize, Instant)>,
    /// Where readings have shown the address, or accepted claims sent it.
    tried: Vec<usize>,
    /// The nodes that accepted claims sent it to, ever.
    sent_to: Vec<usize>,
    /// Since when readings have shown a part of it on the target and the rest elsewhere, and whether that is too long.
    gathers: Option<(Duration, bool)>,
    /// It has landed on the target.
    arrived: bool,
    verification_failed: bool,
    /// Where the service has not answered through the address, so that it may be taken on from there.
    unverified: Vec<usize>,
    /// It has been stuck, and each time that it is it forgets where it has been.
    was_stuck: bool,
    /// What it was taken from whom, by requests that may have taken effect.
    taken: Vec<Taken>,
    /// What the request on the wire takes from whom.
    taking: Option<Taken>,
    /// A probe through the address that began since then, and before the move, would have vetoed it.
    veto_since: Option<Instant>,
}

/// An assignment that a request of a mover ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    mover: usize,
    node: usize,
    token: Token,
}

/// What an operator has said, and what survives the monitor's death if its state does.
#[derive(Debug, Clone)]
struct Brakes {
    /// Until when it is paused, if it is; `Some(None)` without end.
    paused: Option<Option<Duration>>,
    drained: Vec<bool>,
    /// When unplanned moves passed their point of no return.
    moves: Vec<Duration>,
    /// It has said that it is frozen.
    frozen: bool,
}

/// What one monitor was told, and did.
#[derive(Debug)]
pub(crate) struct Judge {
    /// Per node, then for the address; per check.
    evidence: Vec<Vec<Evidence>>,
    /// What is known of the use of each node.
    use_of: Vec<Evidence>,
    /// The node that did not become idle in time.
    waited_for: Option<usize>,
    /// Whether each check says that somebody maintains a node, per node, and when that probe began.
    maintained: Vec<Vec<Option<(Instant, bool)>>>,
    /// Per witness.
    witnesses: Vec<Evidence>,
    /// Probes that have not been answered: their subject, and when they began.
    under_way: BTreeMap<ProbeId, (usize, Instant)>,
    /// How long the newest healthy answer of each node took.
    took: Vec<Duration>,
    /// What the hooks were asked last, and what they said.
    consent: Option<Consent>,
    /// The holder for which the address was claimed anew since it answered last.
    reclaimed: Option<usize>,
    holder: Option<usize>,
    /// The nodes on which the address has been seen.
    seen_on: Vec<bool>,
    /// Where it belongs and where it was found, since the last move.
    drifted: Option<(usize, usize)>,
    /// Every node that could bear witness failed while the holder did.
    suspicion: bool,
    /// Per mover.
    readings: Vec<Readings>,
    on_the_wire: Option<CallId>,
    moving: Option<Moving>,
    /// The claim on the wire that finishes what an earlier one left to do.
    repairing: Option<CallId>,
    /// Tokens that this monitor has seen superseded by its own requests, and since when.
    superseded: Vec<(Token, Duration)>,
    stopping: bool,
    /// The service has answered through the address.
    served: bool,
    /// The switchovers that were asked for and have not been answered, and whether the operator insists. A later one that
    /// is refused takes nothing from an earlier one that waits for the hooks.
    orders: BTreeMap<CommandId, bool>,
    /// So many witnesses have failed that the monitor may take itself for cut off.
    doubts: bool,
    /// The monitor says that it is cut off.
    isolated: bool,
    last_end: Option<Duration>,
    up: Vec<bool>,
    /// When each node went down that had been up.
    downs: Vec<Vec<Duration>>,
    damping: Damping,
    unready: Vec<bool>,
    calls: VecDeque<Duration>,
    brakes: Brakes,
    pub(crate) moves: u32,
    pub(crate) broken: Vec<String>,
}

/// The number of a node.
pub(crate) fn number(node: &NodeId) -> usize {
    usize::from(node.as_str().as_bytes().first().copied().unwrap_or(b'a') - b'a')
}

impl Judge {
    pub(crate) fn new(shape: &Shape) -> Self {
        Self {
            evidence: vec![vec![Evidence::default(); shape.checks]; shape.nodes + 1],
            use_of: vec![Evidence::default(); shape.nodes],
            waited_for: None,
            maintained: vec![vec![None; shape.checks]; shape.nodes],
            witnesses: vec![Evidence::default(); shape.witnesses],
            under_way: BTreeMap::new(),
            took: vec![Duration::ZERO; shape.nodes + 1],
            consent: None,
            reclaimed: None,
            holder: None,
            seen_on: vec![false; shape.nodes],
            drifted: None,
            suspicion: false,
            readings: vec![Readings::default(); 1 + usize::from(shape.chain)],
            on_the_wire: None,
            moving: None,
            repairing: None,
            superseded: Vec::new(),
            stopping: false,
            served: false,
            orders: BTreeMap::new(),
            doubts: false,
            isolated: false,
            last_end: None,
            up: vec![false; shape.nodes],
            downs: vec![Vec::new(); shape.nodes],
            damping: Damping::new(shape.nodes),
            unready: vec![false; shape.nodes],
            calls: VecDeque::new(),
            brakes: Brakes { paused: None, drained: vec![false; shape.nodes], moves: Vec::new(), frozen: false },
            moves: 0,
            broken: Vec::new(),
        }
    }

    /// The monitor starts anew, and remembers or does not.
    pub(crate) fn start(&mut self, shape: &Shape) {
        let brakes = if shape.keeps_state { self.brakes.clone() } else { Self::new(shape).brakes };
        let broken = std::mem::take(&mut self.broken);
        let served = shape.keeps_state && self.served;
        let fresh = Self::new(shape);
        let seen_on = if shape.keeps_state { std::mem::take(&mut self.seen_on) } else { fresh.seen_on.clone() };
        *self = Self { brakes, broken, served, seen_on, moves: self.moves, ..fresh };
    }

    fn breaks(&mut self, what: impl FnOnce() -> String) {
        if self.broken.len() < 20 {
            self.broken.push(what());
        }
    }

    fn subject(&self, node: usize) -> &[Evidence] {
        &self.evidence[node]
    }

    fn address(&self) -> &[Evidence] {
        &self.evidence[self.evidence.len() - 1]
    }

    /// A probe was begun.
    pub(crate) fn begun(&mut self, probe: ProbeId, subject: usize, at: Instant) {
        self.under_way.insert(probe, (subject, at));
    }

    /// A probe has ended, or was dropped.
    pub(crate) fn ended(&mut self, probe: ProbeId) {
        self.under_way.remove(&probe);
    }

    /// A verdict was given to the monitor. `subject` is a node, or the number of nodes for the address.
    pub(crate) fn verdict(
        &mut self,
        scene: Scene<'_>,
        subject: usize,
        check: usize,
        started: Instant,
        verdict: &Verdict,
    ) {
        let seen = match (verdict.is_healthy(), verdict.conclusive) {
            (true, _) => Seen::Healthy,
            (false, false) => Seen::Failed,
            (false, true) => Seen::Conclusive,
        };
        let nodes = self.evidence.len() - 1;
        let holder = self.holder;
        if subject < nodes && seen == Seen::Healthy && self.suspicion && holder.is_some_and(|holder| holder != subject)
        {
            for node in (0..nodes).filter(|node| *node != subject) {
                let failing = self.evidence[node].iter().any(|evidence| evidence.row() > 0);
                if Some(node) == holder || failing {
                    self.evidence[node].iter_mut().for_each(|line| line.void(scene.clock));
                }
            }
            self.suspicion = false;
        }
        self.evidence[subject][check].note(scene.clock, started, seen, &scene.shape.health);
        if let Some(maintained) = self.maintained.get_mut(subject).map(|checks| &mut checks[check])
            && maintained.is_none_or(|(at, _)| at <= started)
        {
            *maintained = Some((started, verdict.maintenance.is_some()));
        }
        if seen == Seen::Healthy {
            self.took[subject] = scene.clock.saturating_duration_since(started);
        }
        if subject == nodes && seen == Seen::Healthy {
            self.served = true;
            self.reclaimed = None;
            let moving = self.moving.as_ref();
            let vetoes = moving.and_then(|moving| moving.veto_since).is_some_and(|since| started >= since);
            if vetoes && moving.is_some_and(|moving| started <= moving.since_clock) && scene.shape.checks == 1 {
                self.breaks(|| "rule 3: a failover did not wait for an answer through the address".into());
            }
        }
        let Some(holder) = holder else { return };
        let health = &scene.shape.health;
        let failing = |node: usize| self.evidence[node].iter().any(|line| line.is_failing(scene.clock, health));
        let surely = |node: usize| self.evidence[node].iter().any(|line| line.is_surely_failing(scene.clock, health));
        if !failing(holder) {
            self.suspicion = false;
        } else if (0..nodes).all(surely) {
            self.suspicion = true;
        }
    }

    /// A verdict about the use of a node was given to the monitor.
    pub(crate) fn idleness(&mut self, scene: Scene<'_>, node: usize, started: Instant, verdict: &Verdict) {
        let seen = if verdict.is_healthy() { Seen::Healthy } else { Seen::Failed };
        self.use_of[node].note(scene.clock, started, seen, &scene.shape.health);
    }

    /// A check says that somebody maintains the node.
    fn is_maintained(&self, node: usize) -> bool {
        self.maintained[node].iter().flatten().any(|(_, maintained)| *maintained)
    }

    /// The monitor was told that its clock jumped.
    pub(crate) fn clock_jump(&mut self, clock: Instant) {
        let lines = self.evidence.iter_mut().flatten().chain(&mut self.witnesses).chain(&mut self.use_of);
        lines.for_each(|line| line.void(clock));
        self.suspicion = false;
        // An isolation that was told lasts until witnesses answer.
        self.doubts = self.isolated;
        self.moving.iter_mut().for_each(|moving| moving.gathers = None);
        self.consent.take_if(|consent| !consent.is_awaited_by_an_operator());
    }

    /// A reading was given to the monitor that it had asked for at `asked`.
    pub(crate) fn reading(
        &mut self,
        scene: Scene<'_>,
        call: CallId,
        asked: Duration,
        reading: &Result<Placement, MoveError>,
    ) {
        let Some(mover) = self.readings.iter().position(|readings| readings.awaited == Some(call)) else { return };
        self.readings[mover].awaited = None;
        let Ok(placement) = reading else { return };
        self.readings[mover].note(scene.now, asked, placement);
        if let Some(moving) = &mut self.moving {
            let over = |taken: &&Taken| taken.mover == mover && placement.token() != Some(&taken.token);
            let over: Vec<_> = moving.taken.iter().filter(over).map(|taken| (taken.token.clone(), scene.now)).collect();
            self.superseded.extend(over);
            moving.leaving |= matches!(placement, Placement::Transition { .. });
        }
        if let Some(moving) = &mut self.moving {
            let has_part = |parts: &[Part]| parts.iter().any(|part| part.node.as_ref().map(number) == Some(moving.to));
            let holder = match placement {
                Placement::Split { parts, .. } => Some(moving.to).filter(|_| has_part(parts)),
                Placement::Held { .. }
                | Placement::Transition { .. }
                | Placement::Free
                | Placement::Stranger { .. } => placement.holder().map(number),
            };
            moving.landed = match (holder, moving.landed) {
                (Some(node), Some((landed, at))) if landed == node => Some((landed, at)),
                (Some(node), _) => Some((node, scene.clock)),
                (None, landed) => landed,
            };
            if holder == Some(moving.to) {
                moving.tried.push(moving.to);
            }
            let in_part = matches!(placement, Placement::Split { .. }) && holder == Some(moving.to);
            let gathers = in_part && moving.claimed && !moving.arrived && !moving.was_stuck;
            moving.gathers = moving.gathers.or(Some((scene.now, false))).filter(|_| gathers);
            // What this move has brought there itself, it may take away again.
            let (tried, sent_to) = (&moving.tried, &moving.sent_to);
            let own = |node: usize| tried.contains(&node) || sent_to.contains(&node);
            let back = |taken: &Taken| holder == Some(taken.node) && own(taken.node);
            let over = |taken: &Taken| taken.mover == mover && (*placement == Placement::Free || back(taken));
            moving.taken.retain(|taken| !over(taken));
        }
        self.judge_patience(scene);
    }

    /// What does not follow in time is left behind: the move lands where a part of the address is.
    fn judge_patience(&mut self, scene: Scene<'_>) {
        let most = scene.shape.patience + PAUSES;
        let Some((since, late)) = self.moving.as_mut().and_then(|moving| moving.gathers.as_mut()) else { return };
        // The reading that was given now is the one to act on.
        let overdue = std::mem::replace(late, scene.now > *since + most);
        if overdue {
            self.breaks(|| {
                format!("a move that has brought a part to its target waits longer than {most:?} for the rest")
            });
        }
    }

    /// An operator's word reached the monitor.
    pub(crate) fn paused(&mut self, until: Option<Duration>) {
        self.brakes.paused = Some(until);
    }

    pub(crate) fn resumed(&mut self) {
        self.brakes.paused = None;
        self.acknowledged();
    }

    pub(crate) fn acknowledged(&mut self) {
        self.brakes.moves.clear();
        self.brakes.frozen = false;
    }

    pub(crate) fn drained(&mut self, node: usize, drained: bool) {
        self.brakes.drained[node] = drained;
    }

    pub(crate) fn is_drained(&self, node: usize) -> bool {
        self.brakes.drained[node]
    }

    pub(crate) fn ordered_to_move(&mut self, command: CommandId, force: bool) {
        self.orders.insert(command, force);
    }

    /// The monitor has answered a command.
    pub(crate) fn answered(&mut self, command: CommandId) {
        self.orders.remove(&command);
    }

    pub(crate) fn told_to_stop(&mut self) {
        self.stopping = true;
    }

    fn is_paused(&self, now: Duration) -> bool {
        self.brakes.paused.is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// Checks what the monitor says.
    pub(crate) fn event(&mut self, scene: Scene<'_>, event: &EventKind) {
        self.damping.note(scene.clock, event);
        #[allow(clippy::wildcard_enum_match_arm, reason = "most events say nothing that could be judged")]
        match event {
            EventKind::HolderChanged { to, .. } => {
                self.holder = to.as_ref().map(number);
                self.suspicion = false;
                if let Some(holder) = self.holder {
                    self.seen_on[holder] = true;
                }
            }
            EventKind::MonitorIsolated { .. } => self.isolated = true,
            EventKind::IsolationEnded {} => self.isolated = false,
            EventKind::NodeCameUp { node } => self.up[number(node)] = true,
            EventKind::NodeBecameUnknown { node } => {
                self.up[number(node)] = false;
                let lines = &mut self.evidence[number(node)];
                let expired =
                    lines.iter_mut().filter_map(|line| line.expire(scene.clock, &scene.shape.health).then_some(()));
                let expires = expired.count() > 0;
                let health = &scene.shape.health;
                let (up, down): (Vec<_>, Vec<_>) =
                    lines.iter().map(|line| (line.stands(health), line.has_fallen(health))).unzip();
                // Or a check that was down has come up, and another one is not known yet.
                let rises = up.contains(&true) && up.contains(&false) && !down.contains(&true);
                // Otherwise the engine has voided what it knew.
                if !expires && !rises {
                    // Witnesses that answer again void failures alone; failures are void either way.
                    let witnessed = scene.shape.quorum > 0;
                    for line in lines {
                        if witnessed && line.stands(health) {
                            line.forgive(scene.clock);
                        } else {
                            line.void(scene.clock);
                        }
                    }
                }
            }
            EventKind::NodeWentDown { node, .. } => {
                let was_up = std::mem::take(&mut self.up[number(node)]);
                self.downs[number(node)].extend(was_up.then_some(scene.now));
            }
            EventKind::AddressDrifted { from, to, restored: true } => {
                self.drifted = Some((number(from), number(to)));
                for node in [number(from), number(to)] {
                    if !self.subject(node).iter().all(|line| line.may_be_up(scene.clock, &scene.shape.health)) {
                        self.breaks(|| format!("what was moved is to be moved back, and node {node} is not well"));
                    }
                }
            }
            EventKind::IdleWaitExpired { node, waited, .. } => self.expire_wait(scene, number(node), *waited),
            EventKind::MoverChanged { .. } => {
                self.await_no_reading();
                if let Some(moving) = &mut self.moving {
                    moving.tried.retain(|node| *node != moving.to);
                }
            }
            EventKind::NodeUndrained { node } => self.brakes.drained[number(node)] = false,
            EventKind::CandidateNotReady { node, .. } => self.unready[number(node)] = true,
            EventKind::CandidateReady { node } => self.unready[number(node)] = false,
            EventKind::MoveStarted { id, from, to, cause, .. } => {
                self.start_move(scene, *id, *cause, from.as_ref().map(number), number(to));
            }
            EventKind::MoveRetargeted { to, .. } => self.retarget(scene, number(to)),
            EventKind::StepFinished { step, .. } if *step != Step::Verify => {
                if let (Some(moving), Step::AwaitClaimed) = (&mut self.moving, step) {
                    moving.arrived = true;
                }
                self.count(scene.now);
            }
            EventKind::Frozen { .. } => self.brakes.frozen = true,
            EventKind::VerificationFailed { node, .. } => {
                if let Some(moving) = &mut self.moving {
                    moving.unverified.push(number(node));
                    moving.verification_failed = true;
                    // It may take the address on from where it is.
                    moving.acted = true;
                }
            }
            EventKind::MoveFinished(receipt) => self.finish_move(scene, receipt),
            EventKind::MoveFailed { unchanged, .. } => {
                if *unchanged && self.moving.as_ref().is_some_and(|moving| moving.counted) {
                    self.breaks(|| {
                        "rule 7: a move past its point of no return ends as if it had changed nothing".into()
                    });
                }
                self.end_move(scene.now);
            }
            EventKind::FloatingIpStuck { .. } => {
                if let Some(moving) = &mut self.moving {
                    moving.tried.clear();
                    moving.was_stuck = true;
                }
            }
            _ => {}
        }
    }

    /// The present move has changed something.
    fn count(&mut self, now: Duration) {
        if let Some(moving) = &mut self.moving
            && !moving.counted
        {
            moving.counted = true;
            if !matches!(moving.cause, Cause::Switchover | Cause::Drain) {
                self.brakes.moves.push(now);
            }
        }
    }

    /// A read of the provider begins.
    pub(crate) fn locate(&mut self, now: Duration, call: CallId, mover: usize) {
        self.readings[mover].awaited = Some(call);
        self.call(now);
    }

    /// What was asked for before now says nothing about what comes.
    fn await_no_reading(&mut self) {
        self.readings.iter_mut().for_each(|readings| readings.awaited = None);
    }

    /// A call of the monitor to the provider.
    pub(crate) fn call(&mut self, now: Duration) {
        const BUSY: usize = 160;
        while self.calls.front().is_some_and(|at| now - *at > Duration::from_secs(10)) {
            self.calls.pop_front();
        }
        self.calls.push_back(now);
        if self.calls.len() == BUSY {
            self.breaks(|| format!("{BUSY} calls within ten seconds"));
        }
    }

    /// The reply to a request was given to the monitor.
    pub(crate) fn reply(&mut self, now: Duration, call: CallId, reply: &Result<Accepted, MoveError>) {
        // What was asked for before says nothing about what this request has done.
        self.await_no_reading();
        if self.on_the_wire == Some(call) {
            self.on_the_wire = None;
        }
        if self.repairing.take_if(|repairing| *repairing == call).is_some() {
            return;
        }
        let changed = reply.as_ref().map_or_else(MoveError::may_have_changed, |_| true);
        if let Some(moving) = &mut self.moving {
            moving.acted |= changed;
            // Nothing has come of it yet: the next request may take the address by what is read then.
            moving.given.take_if(|_| !moving.acted);
            moving.taken.extend(moving.taking.take().filter(|_| changed));
            let partly = matches!(reply, Err(MoveError::Partly { .. })) && moving.claim == Some(call);
            let done = reply.is_ok() || partly;
            if done && moving.claim == Some(call) {
                moving.sent_to.push(moving.to);
            }
            if done && moving.claim == Some(call) && !moving.tried.contains(&moving.to) {
                moving.tried.push(moving.to);
            }
            if done {
                self.count(now);
            }
        }
    }

    /// Which subject a probe is about.
    pub(crate) fn subject_of(&self, via: Via, node: Option<&NodeId>) -> usize {
        match via {
            Via::Direct => node.map_or(0, number),
            Via::Floating => self.evidence.len() - 1,
        }
    }
}
