//! All checks of one subject, and what they say together.

use std::time::Instant;

use super::track::Track;
use super::watch::{Evidence, share};
use super::{CheckSettings, Settings};
use crate::combination::{Require, Role};
use crate::event::EventKind;
use crate::node::NodeId;
use crate::policy::Flaps;
use crate::probe::{Reason, Verdict};
use crate::status::{Health, ProbeStatus};

/// One check of one subject.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) check: usize,
    kind: &'static str,
    role: Role,
    pub(super) track: Track,
    pub(super) error: Option<String>,
    pub(super) warnings: Vec<String>,
    maintenance: Option<String>,
    /// When the probe of the newest verdict began.
    newest: Option<Instant>,
    busy: u32,
    /// It was told that this check is down while the node is not.
    told_down: bool,
}

impl Line {
    pub(super) fn decides(&self) -> bool {
        self.role == Role::Decides
    }

    pub(super) fn tells_idle(&self) -> bool {
        self.role == Role::TellsIdle
    }

    /// It may turn a node down by itself, or have it left for maintenance.
    fn counts(&self) -> bool {
        matches!(self.role, Role::Decides | Role::Corroborates)
    }

    /// A single verdict of it has turned the node down.
    fn is_conclusive(&self) -> bool {
        self.counts() && self.track.is_conclusive()
    }

    /// Keeps what a verdict says beside healthy or not.
    pub(super) fn note(&mut self, started: Instant, verdict: &Verdict) {
        self.busy = if verdict.busy { self.busy.saturating_add(1) } else { 0 };
        if self.newest <= Some(started) {
            self.newest = Some(started);
            self.maintenance = verdict.maintenance.clone();
        }
    }
}

/// All checks of one subject, and their combination.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) lines: Vec<Line>,
    require: Require,
    pub(super) health: Health,
    pub(super) healthy_since: Option<Instant>,
    pub(super) flaps: Flaps,
    told_maintenance: bool,
}

impl Watched {
    pub(super) fn new(settings: &Settings, wanted: impl Fn(&CheckSettings) -> bool, salt: u64) -> Self {
        let origin = settings.origin;
        let line = |(index, check): (usize, &CheckSettings)| Line {
            check: index,
            kind: check.kind,
            role: check.role,
            track: Track::new(
                check.health,
                origin + share(check.health.fast_interval, salt),
                origin + share(check.health.interval, salt),
            ),
            error: None,
            warnings: Vec::new(),
            maintenance: None,
            newest: None,
            busy: 0,
            told_down: false,
        };
        Self {
            lines: settings.checks.iter().enumerate().filter(|(_, check)| wanted(check)).map(line).collect(),
            require: settings.policy.require,
            health: Health::Unknown,
            healthy_since: None,
            flaps: Flaps::default(),
            told_maintenance: false,
        }
    }

    /// The checks that decide.
    pub(super) fn deciding(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.decides())
    }

    fn needed(&self) -> usize {
        self.require.needed(self.deciding().count())
    }

    fn spare(&self) -> usize {
        self.require.spare(self.deciding().count())
    }

    fn count(&self, so: impl Fn(&Track) -> bool) -> usize {
        self.deciding().filter(|line| so(&line.track)).count()
    }

    pub(super) fn combined(&self) -> Health {
        if self.lines.iter().any(Line::is_conclusive)
            || self.count(|track| track.health() == Health::Unhealthy) > self.spare()
        {
            Health::Unhealthy
        } else if self.count(|_| true) > 0 && self.count(|track| track.health() == Health::Healthy) >= self.needed() {
            Health::Healthy
        } else {
            Health::Unknown
        }
    }

    /// The check that speaks against the subject most plainly.
    pub(super) fn failing(&self) -> Option<&Line> {
        let conclusive = self.lines.iter().find(|line| line.is_conclusive());
        let down = || self.deciding().find(|line| line.track.health() == Health::Unhealthy);
        conclusive.or_else(down).or_else(|| self.deciding().find(|line| line.track.reason().is_some()))
    }

    /// When the newest probe began with which enough checks were healthy.
    pub(super) fn last_healthy(&self) -> Option<Instant> {
        let mut starts: Vec<_> = self.deciding().filter_map(|line| line.track.newest_healthy()).collect();
        starts.sort_by_key(|start| std::cmp::Reverse(*start));
        starts.get(self.needed().saturating_sub(1)).copied()
    }

    /// When the newest failed probe began of a check that is not healthy, or may cease to be.
    pub(super) fn last_failed(&self) -> Option<Instant> {
        let fails = |track: &Track| track.health() != Health::Healthy || track.first_failure().is_some();
        let failing = |line: &&Line| fails(&line.track) && (line.decides() || line.is_conclusive());
        self.lines.iter().filter(failing).filter_map(|line| line.track.newest_failed()).max()
    }

    /// When the row of failures began with which too few checks are left.
    pub(super) fn first_failure(&self) -> Option<Instant> {
        let mut starts: Vec<_> = self.deciding().filter_map(|line| line.track.first_failure()).collect();
        starts.sort();
        let conclusive = self.lines.iter().filter(|line| line.is_conclusive());
        let conclusive = conclusive.filter_map(|line| line.track.first_failure()).min();
        starts.get(self.spare()).copied().into_iter().chain(conclusive).min()
    }

    /// True if something points to a failure.
    pub(super) fn is_suspect(&self, now: Instant) -> bool {
        self.health == Health::Unhealthy || self.count(|track| track.is_suspect(now)) > self.spare()
    }

    /// True if probes have been unanswered for so long that the newest healthy verdicts may no longer be true.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.count(|track| track.is_overdue(now)) > self.spare()
    }

    /// What probes that began at `since` or later say.
    pub(super) fn evidence(&self, since: Instant) -> Evidence {
        let healthy = |track: &Track| track.healthy_since(since);
        if self.count(|track| track.failed_since(since)) > self.spare() {
            Evidence::Failed
        } else if self.count(|_| true) > 0 && self.count(healthy) >= self.needed() {
            Evidence::Healthy
        } else if self.count(|track| !healthy(track) && track.outstanding_since(since)) > 0 {
            Evidence::Pending
        } else {
            Evidence::Missing
        }
    }

    /// Why somebody maintains it, if a check says so.
    pub(super) fn maintenance(&self) -> Option<&str> {
        self.lines.iter().filter(|line| line.counts()).find_map(|line| line.maintenance.as_deref())
    }

    /// Whether it could be left without disturbing anybody, by probes that began at `since` or later.
    pub(super) fn idleness(&self, since: Instant) -> Evidence {
        let tracks = || self.lines.iter().filter(|line| line.tells_idle()).map(|line| &line.track);
        if tracks().any(|track| track.failed_since(since)) {
            Evidence::Failed
        } else if tracks().all(|track| track.healthy_since(since)) {
            Evidence::Healthy
        } else if tracks().any(|track| track.outstanding_since(since)) {
            Evidence::Pending
        } else {
            Evidence::Missing
        }
    }

    /// What it is in use by, if a check says so.
    pub(super) fn in_use_by(&self) -> Option<&Reason> {
        self.lines.iter().filter(|line| line.tells_idle()).find_map(|line| line.track.reason())
    }

    /// What is news of a node beside its health: maintenance, and checks that are down while the node is not.
    pub(super) fn take_news(&mut self, node: &NodeId) -> Vec<EventKind> {
        let mut news = Vec::new();
        let node = || node.clone();
        let reason = self.maintenance().map(str::to_owned);
        if std::mem::replace(&mut self.told_maintenance, reason.is_some()) != reason.is_some() {
            news.push(match reason {
                Some(reason) => EventKind::MaintenanceBegan { node: node(), reason },
                None => EventKind::MaintenanceEnded { node: node() },
            });
        }
        for line in self.lines.iter_mut().filter(|line| !line.tells_idle()) {
            match line.track.health() {
                Health::Unhealthy if !line.told_down && self.health != Health::Unhealthy => {
                    if let Some(reason) = line.track.reason().cloned() {
                        line.told_down = true;
                        news.push(EventKind::CheckWentDown { node: node(), probe: line.kind, role: line.role, reason });
                    }
                }
                Health::Healthy if std::mem::take(&mut line.told_down) => {
                    news.push(EventKind::CheckCameUp { node: node(), probe: line.kind });
                }
                Health::Healthy | Health::Unhealthy | Health::Unknown => {}
            }
        }
        news
    }

    pub(super) fn probes(&self) -> Vec<ProbeStatus> {
        let status = |line: &Line| ProbeStatus {
            kind: line.kind,
            role: line.role,
            health: line.track.health(),
            reason: line.track.reason().map(ToString::to_string),
            busy: line.busy,
        };
        self.lines.iter().map(status).collect()
    }
}
