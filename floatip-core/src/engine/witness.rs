//! Do the witnesses answer, or is it the monitor itself that is cut off?

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::Settings;
use super::track::{ProbeId, Track};
use super::watch::share;
use crate::event::EventKind;
use crate::health::HealthSettings;
use crate::node::{Host, NodeId};
use crate::probe::Verdict;
use crate::status::{Health, WitnessStatus};

/// Probes of witnesses are numbered from here on, those of nodes and address from 1.
const FIRST_ID: ProbeId = 1 << 63;

/// The part of a [`Witness`](crate::Witness) that decides.
#[derive(Debug, Clone)]
pub struct WitnessSettings {
    /// The name.
    pub name: NodeId,
    /// What is probed.
    pub host: Host,
    /// The kind of probe, for events.
    pub kind: &'static str,
    /// Timing and thresholds.
    pub health: HealthSettings,
}

/// What the witnesses say to a holder's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Testimony {
    /// Enough of them answer: the network works. So it is, too, where there are none.
    Enough,
    /// Probes under way may bring enough answers.
    Awaited,
    /// Too few answer: it is the monitor.
    TooFew,
}

#[derive(Debug)]
struct Line {
    track: Track,
    announced: Health,
    /// A later probe was answered before an earlier one that is late: that one was lost, as in a cut.
    lost_one: bool,
    error: Option<String>,
}

#[derive(Debug)]
pub(super) struct Witnesses {
    lines: Vec<Line>,
    quorum: usize,
    /// So many have failed since they last answered that the quorum cannot be reached.
    in_doubt: bool,
    announced: bool,
    next_id: ProbeId,
    begun: Vec<(ProbeId, usize)>,
    dropped: Vec<ProbeId>,
    events: Vec<EventKind>,
}

impl Witnesses {
    pub(super) fn new(settings: &Settings) -> Self {
        let lines = settings.witnesses.iter().map(|witness| {
            let mut hasher = DefaultHasher::new();
            (settings.seed, &witness.host).hash(&mut hasher);
            let (salt, health) = (hasher.finish(), witness.health);
            let (first, grid) = (share(health.fast_interval, salt), share(health.interval, salt));
            let track = Track::new(health, settings.origin + first, settings.origin + grid);
            Line { track, announced: Health::Unknown, lost_one: false, error: None }
        });
        Self {
            lines: lines.collect(),
            quorum: settings.witness_quorum,
            in_doubt: false,
            announced: false,
            next_id: FIRST_ID,
            begun: Vec::new(),
            dropped: Vec::new(),
            events: Vec::new(),
        }
    }

    /// True if `id` is the number of a witness's probe.
    pub(super) fn are_asked_by(id: ProbeId) -> bool {
        id >= FIRST_ID
    }

    /// True if so few witnesses answer that the monitor must be cut off, as far as anybody can tell.
    pub(super) fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// What probes that began at `since` or later say; without `since`, what is known.
    pub(super) fn testimony(&self, now: Instant, since: Option<Instant>) -> Testimony {
        let Some(since) = since else {
            let known = self.lines.iter().filter(|line| line.answers()).count();
            let silent = self.lines.iter().filter(|line| !line.answers() && line.error.is_some()).count();
            return match (known >= self.quorum, self.in_doubt || self.lines.len() - silent < self.quorum) {
                (true, _) => Testimony::Enough,
                (false, true) => Testimony::TooFew,
                (false, false) => Testimony::Awaited,
            };
        };
        let count = |wanted: &dyn Fn(&Line) -> bool| self.lines.iter().filter(|line| wanted(line)).count();
        let healthy = count(&|line| line.track.healthy_since(since) && !line.track.is_late(now));
        // A prober that cannot work is no evidence against its witness, but brings no answer either.
        let lost = count(&|line| line.track.failed_since(since) || line.error.is_some());
        if self.in_doubt || self.lines.len() - lost < self.quorum {
            Testimony::TooFew
        } else if healthy >= self.quorum {
            Testimony::Enough
        } else {
            Testimony::Awaited
        }
    }

    pub(super) fn take_begun(&mut self) -> Vec<(ProbeId, usize)> {
        std::mem::take(&mut self.begun)
    }

    pub(super) fn take_dropped(&mut self) -> Vec<ProbeId> {
        std::mem::take(&mut self.dropped)
    }

    pub(super) fn take_events(&mut self) -> Vec<EventKind> {
        std::mem::take(&mut self.events)
    }

    /// Begins every probe that is due, and one of each witness that has had none since `in_step`.
    pub(super) fn begin_due(&mut self, now: Instant, in_step: Option<Instant>) {
        for index in 0..self.lines.len() {
            let track = &self.lines[index].track;
            let due = track.due().is_some_and(|due| due <= now);
            let demanded = in_step.is_some_and(|since| !track.started_since(since) && track.has_room_in_step());
            if due || demanded {
                self.next_id += 1;
                self.lines[index].track.begin(self.next_id, now);
                self.begun.push((self.next_id, index));
            }
        }
    }

    /// Takes the result of the probe `id`. Probes begun later go on if `in_step`.
    pub(super) fn end(
        &mut self,
        now: Instant,
        settings: &Settings,
        id: ProbeId,
        started: Instant,
        result: Result<Verdict, String>,
        in_step: bool,
    ) {
        let Some(index) = self.lines.iter().position(|line| line.track.awaits(id)) else { return };
        let line = &mut self.lines[index];
        match result {
            Ok(verdict) => {
                line.error = None;
                line.lost_one |= verdict.is_healthy() && line.track.is_late_before(started, now);
                self.dropped.extend(line.track.end(id, started, &verdict, in_step));
            }
            Err(error) => {
                line.track.end_without_verdict(id);
                if line.error.replace(error.clone()).is_none() {
                    let WitnessSettings { name, kind, .. } = &settings.witnesses[index];
                    self.events.push(EventKind::WitnessErrored { witness: name.clone(), probe: kind, error });
                }
            }
        }
    }

    /// Brings it up to date. True if the monitor was in doubt of itself, or said to be isolated, and no longer is: then
    /// nothing counts that it saw before.
    pub(super) fn refresh(&mut self, now: Instant, settings: &Settings) -> bool {
        for (line, WitnessSettings { name, .. }) in self.lines.iter_mut().zip(&settings.witnesses) {
            line.track.expire(now);
            let health = line.track.health();
            let before = std::mem::replace(&mut line.announced, health);
            self.events.extend(match (before, health, line.track.reason()) {
                (Health::Healthy | Health::Unknown, Health::Unhealthy, Some(reason)) => {
                    Some(EventKind::WitnessWentDown { witness: name.clone(), reason: reason.clone() })
                }
                (Health::Unhealthy, Health::Healthy, _) => Some(EventKind::WitnessCameUp { witness: name.clone() }),
                (Health::Healthy | Health::Unknown | Health::Unhealthy, _, _) => None,
            });
        }
        let lost = |line: &mut Line| std::mem::take(&mut line.lost_one) || line.track.first_failure().is_some();
        let failing = self.lines.iter_mut().map(lost).filter(|lost| *lost).count();
        let down = self.lines.iter().filter(|line| line.track.health() == Health::Unhealthy).count();
        self.in_doubt |= self.lines.len() - failing < self.quorum;
        // What is said of a prober that cannot work ends when it works.
        let working = self.lines.iter().filter(|line| line.answers() && line.error.is_none()).count();
        let ended = (self.in_doubt || self.announced) && working >= self.quorum;
        self.in_doubt &= !ended;
        if self.lines.len() - down < self.quorum {
            self.announce();
        }
        if ended && std::mem::take(&mut self.announced) {
            self.events.push(EventKind::IsolationEnded {});
        }
        ended
    }

    /// Says that the monitor takes itself for cut off, once.
    pub(super) fn announce(&mut self) {
        if !std::mem::replace(&mut self.announced, true) {
            let reachable = self.lines.iter().filter(|line| line.answers()).count();
            self.events.push(EventKind::MonitorIsolated { reachable, quorum: self.quorum });
        }
    }

    /// Forgets everything that was seen: the monitor stood still in between.
    pub(super) fn void_all(&mut self, now: Instant) {
        for line in &mut self.lines {
            self.dropped.extend(line.track.void(now));
        }
        self.in_doubt = false;
    }

    /// When the next probe is due or the next verdict becomes too old.
    pub(super) fn next(&self) -> Option<Instant> {
        let just_after = |expiry: Instant| expiry + Duration::from_nanos(1);
        let times = |line: &Line| [line.track.due(), line.track.expiry().map(just_after)];
        self.lines.iter().flat_map(times).flatten().min()
    }

    pub(super) fn status(&self, settings: &Settings) -> Vec<WitnessStatus> {
        let status = |(line, witness): (&Line, &WitnessSettings)| WitnessStatus {
            name: witness.name.clone(),
            host: witness.host.clone(),
            health: line.track.health(),
            reason: line.track.reason().map(|reason| reason.to_string()),
        };
        self.lines.iter().zip(&settings.witnesses).map(status).collect()
    }
}

impl Line {
    /// True if the newest verdict is healthy and still counts.
    fn answers(&self) -> bool {
        self.track.health() == Health::Healthy && self.track.first_failure().is_none()
    }
}
