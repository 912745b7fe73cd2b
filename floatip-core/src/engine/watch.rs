//! The health of the nodes and of the floating address, and whether the monitor must suspect itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::Settings;
use super::track::ProbeId;
use super::watched::{Line, Watched};
use crate::combination::Role;
use crate::event::EventKind;
use crate::node::{Host, Node};
use crate::policy::Policy;
use crate::probe::{Verdict, Via};
use crate::status::{Health, ProbeStatus};

/// What a probe is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A node, by its own host.
    Node(usize),
    /// The floating address.
    Address,
}

impl Subject {
    pub(crate) fn via(self) -> Via {
        match self {
            Self::Node(_) => Via::Direct,
            Self::Address => Via::Floating,
        }
    }
}

/// The part of an interval that spreads probes evenly: the first ones over a fast interval, so that little time passes
/// until everything is known, and the steady ones over the whole interval.
pub(crate) fn share(interval: Duration, salt: u64) -> Duration {
    interval.mul_f64((salt >> 32) as f64 / 2_f64.powi(32))
}

/// When the holder began to fail, and who could then have borne witness that the network works.
#[derive(Debug)]
struct Onset {
    holder: usize,
    witnesses: Vec<usize>,
}

/// Whether one question about fresh evidence has an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Every check says so, in probes that began late enough.
    Healthy,
    /// A check says the opposite.
    Failed,
    /// Probes that will tell are under way.
    Pending,
    /// No probe tells, and none is under way.
    Missing,
}

#[derive(Debug)]
pub(crate) struct Watch {
    nodes: Vec<Watched>,
    address: Watched,
    local: Vec<bool>,
    /// Whether there are witnesses beside the nodes.
    witnessed: bool,
    /// No node could tell whether it is the monitor's own network that fails.
    lacks_witness: bool,
    onset: Option<Onset>,
    suspects_itself: bool,
    announced_all_down: bool,
    announced_unreachable: bool,
    served: bool,
    next_id: ProbeId,
    begun: Vec<(ProbeId, Subject, usize)>,
    dropped: Vec<ProbeId>,
    events: Vec<EventKind>,
}

impl Watch {
    pub(crate) fn new(settings: &Settings, served: bool) -> Self {
        let Settings { nodes, seed, .. } = settings;
        // The same target has the same phase in every floating IP of a process, so that it is probed once for all.
        let salt = |host: &Host| {
            let mut hasher = DefaultHasher::new();
            (seed, host).hash(&mut hasher);
            hasher.finish()
        };
        Self {
            nodes: nodes.iter().map(|node| Watched::new(settings, |c| c.direct, salt(&node.host))).collect(),
            address: Watched::new(
                settings,
                |c| c.verifies && c.role != Role::TellsIdle,
                salt(&settings.floating_ip.address),
            ),
            local: nodes.iter().map(|node: &Node| node.local).collect(),
            witnessed: !settings.witnesses.is_empty(),
            lacks_witness: false,
            onset: None,
            suspects_itself: false,
            announced_all_down: false,
            announced_unreachable: false,
            served,
            next_id: 0,
            begun: Vec::new(),
            dropped: Vec::new(),
            events: Vec::new(),
        }
    }

    fn subject(&self, subject: Subject) -> &Watched {
        match subject {
            Subject::Node(node) => &self.nodes[node],
            Subject::Address => &self.address,
        }
    }

    fn subject_mut(&mut self, subject: Subject) -> &mut Watched {
        match subject {
            Subject::Node(node) => &mut self.nodes[node],
            Subject::Address => &mut self.address,
        }
    }

    pub(crate) fn health(&self, node: usize) -> Health {
        self.nodes[node].health
    }

    pub(crate) fn healthy_since(&self, node: usize) -> Option<Instant> {
        self.nodes[node].healthy_since
    }

    /// True if the node has gone down too often lately.
    pub(crate) fn flaps(&self, node: usize, now: Instant, policy: &Policy) -> bool {
        self.nodes[node].flaps.flaps(now, policy)
    }

    /// True if the node flaps and has not been healthy for long enough since.
    pub(crate) fn is_held_down(&self, node: usize, now: Instant, policy: &Policy) -> bool {
        let Watched { healthy_since, flaps, .. } = &self.nodes[node];
        flaps.held_until(now, healthy_since.unwrap_or(now), policy).is_some_and(|until| now < until)
    }

    /// The newest reason against `subject`, while it still counts.
    pub(crate) fn reason(&self, subject: Subject) -> Option<crate::probe::Reason> {
        self.subject(subject).failing().and_then(|line| line.track.reason().cloned())
    }

    /// When the last healthy probe of a node began: the measure of who was well most lately.
    pub(crate) fn last_healthy(&self, node: usize) -> Option<Instant> {
        self.nodes[node].last_healthy()
    }

    /// When the node's newest failed probe began.
    pub(crate) fn last_failed(&self, node: usize) -> Option<Instant> {
        self.nodes[node].last_failed()
    }

    /// When the node's current row of failures began.
    pub(crate) fn first_failure(&self, node: usize) -> Option<Instant> {
        self.nodes[node].first_failure()
    }

    /// True if something points to a failure of the node.
    pub(crate) fn is_suspect(&self, node: usize, now: Instant) -> bool {
        self.nodes[node].is_suspect(now)
    }

    /// True if the node has left newer probes unanswered for longer than it takes as a rule.
    pub(crate) fn is_overdue(&self, node: usize, now: Instant) -> bool {
        self.nodes[node].is_overdue(now)
    }

    /// Why somebody maintains the node, if a check says so.
    pub(crate) fn maintenance(&self, node: usize) -> Option<&str> {
        self.nodes[node].maintenance()
    }

    /// True if a check tells whether the node is idle.
    pub(crate) fn tells_idle(&self, node: usize) -> bool {
        self.nodes[node].lines.iter().any(Line::tells_idle)
    }

    /// Whether the node is idle, by probes that began at `since` or later.
    pub(crate) fn idleness(&self, node: usize, since: Instant) -> Evidence {
        self.nodes[node].idleness(since)
    }

    /// What the node is in use by, if a check says so.
    pub(crate) fn in_use_by(&self, node: usize) -> Option<crate::probe::Reason> {
        self.nodes[node].in_use_by().cloned()
    }

    /// Asks at the fast interval whether the node is idle, for the first time at once, while a move waits for it.
    pub(crate) fn urge_idleness(&mut self, node: usize, urgent: bool, since: Instant, now: Instant) {
        for index in 0..self.nodes[node].lines.len() {
            let line = &mut self.nodes[node].lines[index];
            if line.tells_idle() {
                line.track.urge(urgent);
                if urgent && !line.track.started_since(since) && line.track.has_room_in_step() {
                    self.begin(Subject::Node(node), index, now);
                }
            }
        }
    }

    /// Each check of a node.
    pub(crate) fn probes(&self, node: usize) -> Vec<ProbeStatus> {
        self.nodes[node].probes()
    }

    /// True if the address can be probed at all.
    pub(crate) fn verifies(&self) -> bool {
        self.address.deciding().next().is_some()
    }

    /// When the newest probe of the address began that failed though its holder answers; `None` while that is not so, or was
    /// not told, or the address has answered since.
    pub(crate) fn unreachable(&self) -> Option<Instant> {
        let told = self.announced_unreachable && self.address.health == Health::Unhealthy;
        self.address.last_failed().filter(|_| told && self.address.first_failure().is_some())
    }

    /// True if the address answers, as far as is known.
    pub(crate) fn is_reachable(&self) -> bool {
        self.address.health == Health::Healthy
    }

    /// True if the service has ever answered through the address.
    pub(crate) fn served(&self) -> bool {
        self.served
    }

    /// True while every node is said to be down at once.
    pub(crate) fn all_nodes_down(&self) -> bool {
        self.announced_all_down
    }

    /// True while the monitor must suspect itself rather than the holder (rule 5).
    pub(crate) fn suspects_itself(&self) -> bool {
        self.suspects_itself
    }

    /// True while nothing but the monitor itself speaks for its network: it runs on the only node beside the holder, and
    /// there is no witness.
    pub(crate) fn lacks_witness(&self) -> bool {
        self.lacks_witness
    }

    /// True if every node that could bear witness had failed before the holder did.
    pub(crate) fn no_witness(&self) -> bool {
        self.onset.as_ref().is_some_and(|onset| onset.witnesses.is_empty())
    }

    pub(crate) fn take_begun(&mut self) -> Vec<(ProbeId, Subject, usize)> {
        std::mem::take(&mut self.begun)
    }

    pub(crate) fn take_dropped(&mut self) -> Vec<ProbeId> {
        std::mem::take(&mut self.dropped)
    }

    pub(crate) fn take_events(&mut self) -> Vec<EventKind> {
        std::mem::take(&mut self.events)
    }

    /// What probes of `subject` that began at `since` or later say.
    pub(crate) fn evidence(&self, subject: Subject, since: Instant) -> Evidence {
        self.subject(subject).evidence(since)
    }

    /// Begins a probe of every check of `subject` that has had none since `since`.
    pub(crate) fn demand(&mut self, subject: Subject, since: Instant, now: Instant) {
        for index in 0..self.subject(subject).lines.len() {
            let line = &self.subject(subject).lines[index];
            let track = &line.track;
            if line.decides() && !track.started_since(since) && track.has_room_in_step() {
                self.begin(subject, index, now);
            }
        }
    }

    /// True if a probe was demanded for which there is no room yet.
    pub(crate) fn is_owed(&self, subject: Subject, since: Instant) -> bool {
        self.subject(subject).lines.iter().any(|line| line.decides() && !line.track.started_since(since))
    }

    fn begin(&mut self, subject: Subject, index: usize, now: Instant) {
        self.next_id += 1;
        let id = self.next_id;
        let line = &mut self.subject_mut(subject).lines[index];
        line.track.begin(id, now);
        let check = line.check;
        self.begun.push((id, subject, check));
    }

    /// Forgets everything that was seen: the monitor stood still in between.
    pub(crate) fn void_all(&mut self, now: Instant) {
        for line in self.nodes.iter_mut().chain([&mut self.address]).flat_map(|watched| &mut watched.lines) {
            self.dropped.extend(line.track.void(now));
        }
        self.end_suspicion();
    }

    /// Forgets all failures and every probe under way: they may be the monitor's own. Who was well stays so.
    pub(crate) fn void_failures(&mut self, now: Instant) {
        for line in self.nodes.iter_mut().chain([&mut self.address]).flat_map(|watched| &mut watched.lines) {
            self.dropped.extend(line.track.void_failures(now));
        }
        self.end_suspicion();
    }

    /// Forgets what was seen through the floating address: it is elsewhere now.
    pub(crate) fn void_address(&mut self, now: Instant) {
        for line in &mut self.address.lines {
            self.dropped.extend(line.track.void(now));
        }
        self.address.health = Health::Unknown;
    }

    /// Probes the address at the fast interval, whatever is known of it, while a move waits for it.
    pub(crate) fn urge_address(&mut self, urgent: bool) {
        self.address.lines.iter_mut().for_each(|line| line.track.urge(urgent));
    }

    /// Takes the result of the probe `id`. Drops it if nobody waits for it any more.
    pub(crate) fn end(
        &mut self,
        now: Instant,
        settings: &Settings,
        id: ProbeId,
        started: Instant,
        result: Result<Verdict, String>,
        holder: Option<usize>,
    ) {
        let subjects = (0..self.nodes.len()).map(Subject::Node).chain([Subject::Address]);
        let found = subjects
            .flat_map(|subject| (0..self.subject(subject).lines.len()).map(move |index| (subject, index)))
            .find(|(subject, index)| self.subject(*subject).lines[*index].track.awaits(id));
        let Some((subject, index)) = found else { return };
        let about = match subject {
            Subject::Node(node) => Some(node),
            Subject::Address => holder,
        };
        let in_step = holder.is_some_and(|holder| subject != Subject::Node(holder) && self.goes_in_step(holder, now));
        let line = &mut self.subject_mut(subject).lines[index];
        let node = about.map(|node| settings.nodes[node].id.clone());
        let probe = settings.checks[line.check].kind;
        match result {
            Err(error) => {
                line.track.end_without_verdict(id);
                if line.error.is_none() {
                    line.error = Some(error.clone());
                    self.events.push(EventKind::ProbeErrored { node, probe, via: subject.via(), error });
                }
            }
            Ok(verdict) => {
                line.error = None;
                if verdict.is_healthy() {
                    line.track.note_answer(now.saturating_duration_since(started));
                }
                let dropped = line.track.end(id, started, &verdict, in_step);
                line.note(started, &verdict);
                let decides = line.decides();
                let news: Vec<_> = verdict.warnings.iter().filter(|w| !line.warnings.contains(w)).cloned().collect();
                line.warnings = verdict.warnings.clone();
                self.dropped.extend(dropped);
                let warned = |warning| EventKind::ProbeWarned { node: node.clone(), probe, warning };
                self.events.extend(news.into_iter().map(warned));
                match (subject, verdict.is_healthy()) {
                    _ if !decides => {}
                    (Subject::Address, true) => self.served = true,
                    // Clients are not served: is it the holder? One that is down is asked in its turn.
                    (Subject::Address, false) => {
                        if let Some(holder) = holder.filter(|holder| self.health(*holder) != Health::Unhealthy) {
                            self.demand(Subject::Node(holder), started, now);
                        }
                    }
                    (Subject::Node(node), true) => self.another_answered(now, node, holder),
                    (Subject::Node(_), false) => {}
                }
            }
        }
    }

    /// A node other than the holder answered: the network works, so the failures that were seen before are void if the
    /// monitor suspected itself.
    fn another_answered(&mut self, now: Instant, node: usize, holder: Option<usize>) {
        if holder.is_none_or(|holder| holder == node) || self.local[node] || !self.suspects_itself {
            return;
        }
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if Some(other) == holder || self.first_failure(other).is_some() {
                for line in &mut self.nodes[other].lines {
                    self.dropped.extend(line.track.void(now));
                }
            }
        }
        self.end_suspicion();
    }

    fn end_suspicion(&mut self) {
        self.onset = None;
        self.suspects_itself = false;
        self.lacks_witness = false;
        if std::mem::take(&mut self.announced_all_down) {
            self.events.push(EventKind::AllNodesDownEnded {});
        }
    }

    /// Brings the combined healths up to date, and says what has changed.
    pub(crate) fn refresh(&mut self, now: Instant, settings: &Settings, holder: Option<usize>, moving: bool) {
        for (node, watched) in self.nodes.iter_mut().enumerate() {
            watched.lines.iter_mut().for_each(|line| {
                line.track.expire(now);
            });
            let (before, after) = (watched.health, watched.combined());
            watched.health = after;
            let id = settings.nodes[node].id.clone();
            match after {
                Health::Healthy => {
                    watched.healthy_since.get_or_insert(now);
                }
                Health::Unhealthy | Health::Unknown => watched.healthy_since = None,
            }
            if (before, after) == (Health::Healthy, Health::Unhealthy) {
                watched.flaps.note(now);
            }
            self.events.extend(watched.take_news(&id));
            if before != after {
                self.events.extend(match after {
                    Health::Healthy => Some(EventKind::NodeCameUp { node: id }),
                    Health::Unknown => Some(EventKind::NodeBecameUnknown { node: id }),
                    Health::Unhealthy => watched.failing().and_then(|line| {
                        let reason = line.track.reason()?.clone();
                        Some(EventKind::NodeWentDown { node: id, failures: line.track.failures(), reason })
                    }),
                });
            }
        }
        self.address.lines.iter_mut().for_each(|line| {
            line.track.expire(now);
        });
        self.address.health = self.address.combined();
        self.refresh_suspicion(holder);
        self.refresh_reachability(settings, holder, moving);
    }

    /// True if `node` is known to have failed before the holder was last seen well, and still does.
    fn failed_before(&self, node: usize, holder: usize) -> bool {
        let (first, well) = (self.first_failure(node), self.last_healthy(holder));
        self.health(node) == Health::Unhealthy && first.is_some_and(|first| well.is_some_and(|well| first < well))
    }

    fn refresh_suspicion(&mut self, holder: Option<usize>) {
        let Some(holder) = holder else { return self.end_suspicion() };
        if self.onset.as_ref().is_some_and(|onset| onset.holder != holder) {
            self.end_suspicion();
        }
        if self.nodes[holder].health != Health::Unhealthy && self.first_failure(holder).is_none() {
            if self.nodes[holder].health == Health::Healthy || !self.suspects_itself {
                self.end_suspicion();
            }
            return;
        }
        let others = || (0..self.nodes.len()).filter(|node| *node != holder);
        let remote: Vec<_> = others().filter(|node| !self.local[*node]).collect();
        let onset = self.onset.take().unwrap_or_else(|| {
            let witnesses = remote.iter().copied().filter(|node| !self.failed_before(*node, holder)).collect();
            Onset { holder, witnesses }
        });
        self.lacks_witness = !self.witnessed && remote.is_empty() && others().next().is_some() && !self.local[holder];
        let all_fail = !onset.witnesses.is_empty()
            && onset
                .witnesses
                .iter()
                .all(|node| self.first_failure(*node).is_some() || self.health(*node) == Health::Unhealthy);
        let alone = !remote.is_empty() && remote.iter().all(|node| self.first_failure(*node).is_some());
        if self.lacks_witness || all_fail || alone {
            self.suspects_itself = true;
        }
        self.onset = Some(onset);
        let all_down = remote.iter().chain([&holder]).all(|node| self.nodes[*node].health == Health::Unhealthy);
        if self.suspects_itself && !self.lacks_witness && !self.no_witness() && all_down && !self.announced_all_down {
            self.announced_all_down = true;
            self.events.push(EventKind::AllNodesDown {});
        }
    }

    fn refresh_reachability(&mut self, settings: &Settings, holder: Option<usize>, moving: bool) {
        match self.address.health {
            Health::Healthy => {
                if std::mem::take(&mut self.announced_unreachable) {
                    self.events.push(EventKind::AddressReachable {});
                }
            }
            Health::Unhealthy => {
                let answers =
                    |node: usize| self.nodes[node].health == Health::Healthy && self.first_failure(node).is_none();
                let well = holder.filter(|holder| !moving && answers(*holder));
                if let (Some(holder), Some(reason), false) =
                    (well, self.reason(Subject::Address), self.announced_unreachable)
                {
                    self.announced_unreachable = true;
                    let node = settings.nodes[holder].id.clone();
                    self.events.push(EventKind::AddressUnreachable { node, reason });
                }
            }
            Health::Unknown => {}
        }
    }

    /// Begins every probe that is due. While the holder is suspect, the others and the address are probed in step with
    /// it, so that there is evidence as fresh as its newest failure (rule 1, rule 3).
    pub(crate) fn begin_due(&mut self, now: Instant, holder: Option<usize>) {
        let subjects = || (0..self.nodes.len()).map(Subject::Node).chain([Subject::Address]);
        let (subjects, first) = (subjects().collect::<Vec<_>>(), holder.map(Subject::Node));
        for subject in first.into_iter().chain(subjects.iter().copied()) {
            if Some(subject) == first && holder.is_some_and(|holder| self.awaits_step(holder)) {
                continue;
            }
            for index in 0..self.subject(subject).lines.len() {
                if self.subject(subject).lines[index].track.due().is_some_and(|due| due <= now) {
                    self.begin(subject, index, now);
                }
            }
        }
        let Some(newest) = holder.and_then(|holder| self.newest_start_in_step(holder, now)) else { return };
        for subject in subjects {
            let health = self.subject(subject).health;
            if Some(subject) != first && (subject == Subject::Address || health != Health::Unhealthy) {
                self.demand(subject, newest, now);
            }
        }
    }

    /// True if the holder is down and probes in step with its newest one have not answered yet. One more probe of it would
    /// ask for fresher evidence than what is about to come, and so for ever where an answer takes longer than an interval.
    /// Later ones are not waited for, or what tells against the holder would become too old.
    fn awaits_step(&self, holder: usize) -> bool {
        let watched = &self.nodes[holder];
        let Some(newest) = watched.deciding().filter_map(|line| line.track.latest_start()).max() else {
            return false;
        };
        let others =
            self.nodes.iter().enumerate().filter(|(node, other)| *node != holder && other.health != Health::Unhealthy);
        let mut in_step = others.map(|(_, other)| other).chain([&self.address]).flat_map(Watched::deciding);
        watched.health == Health::Unhealthy && in_step.any(|line| line.track.outstanding_in_step(newest))
    }

    /// True if the others shall be probed in step with the holder: it is suspect, or may go down without having been.
    pub(crate) fn goes_in_step(&self, holder: usize, now: Instant) -> bool {
        self.is_suspect(holder, now) || self.nodes[holder].deciding().any(|line| line.track.falls_at_once())
    }

    /// When the holder's newest probe began, if the others shall have one that began no earlier.
    pub(crate) fn newest_start_in_step(&self, holder: usize, now: Instant) -> Option<Instant> {
        let starts = self.nodes[holder].deciding().filter_map(|line| line.track.latest_start());
        starts.max().filter(|_| self.goes_in_step(holder, now))
    }

    /// When, after `now`, the next probe is due or the next verdict becomes too old. What is due and held back keeps
    /// nothing else waiting.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let lines = self.nodes.iter().chain([&self.address]).flat_map(|watched| &watched.lines);
        let just_after = |expiry: Instant| expiry + Duration::from_nanos(1);
        let times = lines.flat_map(|line| [line.track.due(), line.track.expiry().map(just_after)]).flatten();
        times.filter(|time| *time > now).min()
    }
}
