//! An engine alone, without driver or clock.

mod chain;
mod deciding;
mod elsewhere;
mod hanging;
mod moving;
mod permission;
mod reclaim;
mod repairing;
mod requests;
mod split;
mod watching;
mod witnesses;

use super::*;
use crate::command::Switchover;
use crate::health::HealthSettings;
use crate::lease::Epoch;
use crate::mover::{Capabilities, Part, PartError, ReleaseMode, Strategy, Token};
use crate::node::{FloatingIp, Node};
use crate::policy::{Policy, Verify};
use crate::probe::{Reason, Via};
use crate::urgency::Urgency;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn held(node: &str, token: &str) -> Placement {
    Placement::held(id(node), Token::generation(token))
}

fn unknown() -> MoveError {
    MoveError::OutcomeUnknown { call: "release", resource: "it".into(), source: "no reply".into() }
}

fn conflict() -> MoveError {
    MoveError::Conflict { call: "release", resource: "it".into(), source: "stale".into() }
}

fn throttled() -> MoveError {
    MoveError::Throttled { call: "claim", source: "slowly".into() }
}

fn denied() -> MoveError {
    MoveError::Denied { call: "claim", resource: "it".into(), source: "no".into() }
}

/// Two of the three parts on `b`.
fn split() -> Placement {
    let parts = vec![Part::on("1", id("b")), Part::on("2", id("b")), Part::on("3", id("a"))];
    Placement::Split { parts, token: Token::snapshot("bba") }
}

fn partly(error: MoveError) -> MoveError {
    MoveError::Partly { call: "claim", resource: "it".into(), left: vec![PartError::new("3", error)] }
}

/// An engine whose readings show what the test says.
struct Bench {
    engine: Engine,
    now: Instant,
    placement: Placement,
    /// What the second mover reads, if there is one.
    second: Placement,
    /// Every read fails like this.
    unreadable: Option<fn() -> MoveError>,
    /// The nodes that refuse, with blanks between; the others are well. No probe is ever answered while this is not said.
    sick: Option<&'static str>,
    /// The nodes whose probes are not answered, with blanks between.
    silent: Option<&'static str>,
    /// Probes through the address are not answered.
    mute: bool,
    /// The node that answers through the address, if it is not the one believed to hold it.
    serving: Option<&'static str>,
    /// Probes through the address are refused.
    refused: bool,
    /// The second check finds every node in use.
    busy: bool,
    /// What each of the witnesses answers, if it does.
    testify: fn(usize) -> Option<Result<Verdict, String>>,
    /// When probes through the address began that were answered.
    through: Vec<Instant>,
    /// The probes that were not answered.
    open: Vec<(ProbeId, Instant, NodeId, Via)>,
    /// The probes of witnesses that were not answered.
    unheard: Vec<(ProbeId, Instant)>,
    dropped: Vec<ProbeId>,
    requests: Vec<(Instant, Action)>,
    reads: Vec<Urgency>,
    read_at: Vec<Instant>,
    /// The mover of each.
    readers: Vec<usize>,
    probed: Vec<(Instant, NodeId)>,
    asked_ready: Vec<Instant>,
    /// What the hooks were asked; nobody answers.
    asked_hooks: Vec<CallId>,
    events: Vec<EventKind>,
    saved: Option<Durable>,
    answers: Vec<Result<Done, CommandError>>,
}

impl Bench {
    fn new(leased: bool) -> Self {
        Self::of(leased, &["a", "b"])
    }

    fn of(leased: bool, names: &[&str]) -> Self {
        Self::built(names, |settings| settings.leased = leased)
    }

    fn built(names: &[&str], change: impl FnOnce(&mut Settings)) -> Self {
        let now = Instant::now();
        let check = CheckSettings {
            kind: "tcp",
            role: crate::Role::Decides,
            health: HealthSettings::default(),
            direct: true,
            verifies: true,
        };
        let mut settings = Settings {
            floating_ip: FloatingIp::new("ftp", "10.0.0.30").unwrap(),
            nodes: (1..).zip(names).map(|(n, name)| Node::new(name, &format!("10.0.0.{n}")).unwrap()).collect(),
            checks: vec![check],
            witnesses: Vec::new(),
            witness_quorum: 0,
            pre_move: None,
            movers: vec![Capabilities::new(Strategy::ReleaseFirst).can_force(true)],
            policy: Policy { verify: Verify::Off, ..Policy::default() },
            leased: false,
            sweep: 10 * S,
            origin: now,
            seed: 7,
        };
        change(&mut settings);
        let mut bench = Self {
            engine: Engine::new(now, settings, &Durable::default()),
            now,
            placement: held("a", "1"),
            second: Placement::Free,
            unreadable: None,
            sick: None,
            silent: None,
            mute: false,
            serving: None,
            refused: false,
            busy: false,
            testify: |_| Some(Ok(Verdict::healthy())),
            through: Vec::new(),
            open: Vec::new(),
            unheard: Vec::new(),
            dropped: Vec::new(),
            requests: Vec::new(),
            reads: Vec::new(),
            read_at: Vec::new(),
            readers: Vec::new(),
            probed: Vec::new(),
            asked_ready: Vec::new(),
            asked_hooks: Vec::new(),
            events: Vec::new(),
            saved: None,
            answers: Vec::new(),
        };
        bench.run(S);
        bench
    }

    /// Nodes with a check that tells whether they are idle, which they are not.
    fn in_use() -> Self {
        let mut bench = Self::built(&["a", "b"], |settings| {
            let tells = CheckSettings {
                kind: "sessions",
                role: crate::Role::TellsIdle,
                verifies: false,
                ..settings.checks[0].clone()
            };
            settings.checks.push(tells);
        });
        (bench.sick, bench.busy) = (Some(""), true);
        bench.run(10 * S);
        bench
    }

    /// Lets so much time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while let Some(action) = self.engine.poll_action() {
                match action {
                    Action::Locate { call, mover, urgency } => {
                        self.reads.push(urgency);
                        self.readers.push(mover);
                        self.read_at.push(self.now);
                        let seen = if mover == 0 { &self.placement } else { &self.second };
                        let reading = self.unreadable.map_or_else(|| Ok(seen.clone()), |error| Err(error()));
                        self.engine.handle_reading(self.now, call, reading);
                    }
                    Action::Ready { call, .. } => {
                        self.asked_ready.push(self.now);
                        self.engine.handle_readiness(self.now, call, Ok(Readiness::Ready));
                    }
                    Action::Release { .. } | Action::Claim { .. } => self.requests.push((self.now, action)),
                    Action::Save(durable) => self.saved = Some(durable),
                    Action::Answer { result, .. } => self.answers.push(result),
                    Action::Probe { id, node: Some(node), check, via, .. } => self.probe(id, node, check, via),
                    Action::DropProbe { id } => self.dropped.push(id),
                    Action::AskHooks { call, .. } => self.asked_hooks.push(call),
                    Action::ProbeWitness { id, witness, .. } => match (self.testify)(witness) {
                        Some(answer) => self.engine.handle_probe(self.now, id, self.now, answer),
                        None => self.unheard.push((id, self.now)),
                    },
                    Action::Probe { .. } => {}
                }
            }
            self.events.extend(std::iter::from_fn(|| self.engine.poll_event()));
            match self.engine.poll_timeout().filter(|due| *due <= end) {
                Some(due) => {
                    self.now = due;
                    self.engine.handle_timeout(due);
                }
                None => break,
            }
        }
        self.now = end;
    }

    fn probe(&mut self, id: ProbeId, node: NodeId, check: usize, via: Via) {
        let among = |names: &str| names.split(' ').any(|name| name == node.as_str());
        let through = via == Via::Floating;
        let unanswered = self.silent.is_some_and(among) || self.mute && through;
        let Some(sick) = self.sick.filter(|_| !unanswered) else {
            return self.open.push((id, self.now, node, via));
        };
        let asked = self.serving.filter(|_| through).unwrap_or(node.as_str());
        let sick = sick.split(' ').any(|sick| sick == asked);
        let verdict = if sick || self.refused && through || self.busy && check == 1 {
            Verdict::unhealthy(Reason::Refused)
        } else {
            Verdict::healthy()
        };
        match via {
            Via::Direct => self.probed.push((self.now, node)),
            Via::Floating => self.through.push(self.now),
        }
        self.engine.handle_probe(self.now, id, self.now, Ok(verdict));
    }

    /// Answers a probe that was left open.
    fn answer(&mut self, id: ProbeId, verdict: Verdict) {
        let (_, began, ..) = self.open.iter().find(|(open, ..)| *open == id).expect("it is open").clone();
        self.engine.handle_probe(self.now, id, began, Ok(verdict));
        self.run(Duration::ZERO);
    }

    /// Lets time pass until it is so, in steps of 10 ms. Says how much.
    #[track_caller]
    fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) -> Duration {
        let began = self.now;
        while !is_so(self) {
            assert!(self.now < began + 900 * S, "it does not come; {:?}", self.events);
            self.run(10 * MS);
        }
        self.now - began
    }

    /// The moves that have begun.
    fn moves(&self) -> Vec<(Cause, NodeId)> {
        let started = |event: &EventKind| {
            if let EventKind::MoveStarted { cause, to, .. } = event { Some((*cause, to.clone())) } else { None }
        };
        self.events.iter().filter_map(started).collect()
    }

    fn count(&self, wanted: impl Fn(&EventKind) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    fn state(&self) -> State {
        self.engine.status(self.now).state
    }

    fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, 1, command);
        self.run(Duration::ZERO);
    }

    fn switch(&mut self) {
        self.switch_by(true);
    }

    fn switch_by(&mut self, force: bool) {
        let command = Command::Switchover(Switchover::to(id("b")).force(force));
        self.engine.handle_command(self.now, 1, command);
        self.run(Duration::ZERO);
    }

    /// Answers the newest request.
    #[track_caller]
    fn reply(&mut self, reply: Result<Accepted, MoveError>) {
        let Some((_, Action::Release { call, .. } | Action::Claim { call, .. })) = self.requests.last() else {
            panic!("there is no request");
        };
        let call = *call;
        self.engine.handle_reply(self.now, call, reply);
        self.run(Duration::ZERO);
    }

    fn failed(&self) -> Option<bool> {
        self.events
            .iter()
            .find_map(|event| if let EventKind::MoveFailed { unchanged, .. } = event { Some(*unchanged) } else { None })
    }
}

/// An engine to which every node has answered for a while.
fn well(names: &[&str]) -> Bench {
    well_with(names, |_| {})
}

fn well_with(names: &[&str], change: impl FnOnce(&mut Settings)) -> Bench {
    let mut bench = Bench::built(names, change);
    bench.sick = Some("");
    bench.run(10 * S);
    bench
}
