//! Fall/rise hysteresis of one target by one probe. Pure.

use std::time::{Duration, Instant};

use crate::health::HealthSettings;
use crate::probe::{Reason, Verdict};
use crate::status::Health;

/// The number of one probe, unique within one engine.
pub type ProbeId = u64;

/// What is known of one target by one probe, and when it is due to be probed again.
///
/// Verdicts count in the order in which their probes *started*: a healthy one cancels the failures of all probes
/// begun earlier, however late it arrives.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    settings: HealthSettings,
    health: Health,
    /// Starts of the failed probes since the newest healthy one, oldest first; at most `fall`.
    failures: Vec<Instant>,
    /// Start of the first failed probe since the newest healthy one.
    first_failure: Option<Instant>,
    /// Starts of the healthy probes since the newest failed one; at most `rise`.
    successes: Vec<Instant>,
    /// The same of those just before the present row of failures.
    successes_before: Vec<Instant>,
    newest_healthy: Option<Instant>,
    newest_failed: Option<Instant>,
    /// How long the newest answer took that was healthy.
    answered_in: Duration,
    reason: Option<Reason>,
    /// A single verdict has turned the target down.
    conclusive: bool,
    outstanding: Vec<(ProbeId, Instant)>,
    latest_start: Option<Instant>,
    /// Probes begun before this say nothing any more.
    void_before: Option<Instant>,
    errored: bool,
    /// Probe at the fast interval, whatever is known.
    urgent: bool,
    /// When the first probe is due.
    first_due: Instant,
    /// A point of the grid on which steady probes stand, at most one `interval` after the first probe.
    grid: Instant,
}

impl Track {
    pub(crate) fn new(settings: HealthSettings, first_due: Instant, grid: Instant) -> Self {
        Self {
            settings,
            health: Health::Unknown,
            failures: Vec::new(),
            first_failure: None,
            successes: Vec::new(),
            successes_before: Vec::new(),
            newest_healthy: None,
            newest_failed: None,
            answered_in: Duration::ZERO,
            reason: None,
            conclusive: false,
            outstanding: Vec::new(),
            latest_start: None,
            void_before: None,
            errored: false,
            urgent: false,
            first_due,
            grid,
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.health
    }

    /// The newest failure's reason, while it still counts.
    pub(crate) fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref().filter(|_| self.newest_failed > self.newest_healthy)
    }

    /// True if a single verdict has turned the target down, and it has not come up since.
    pub(crate) fn is_conclusive(&self) -> bool {
        self.conclusive
    }

    pub(crate) fn failures(&self) -> u32 {
        u32::try_from(self.failures.len()).unwrap_or(u32::MAX)
    }

    /// When the current row of failures began.
    pub(crate) fn first_failure(&self) -> Option<Instant> {
        self.first_failure
    }

    pub(crate) fn newest_healthy(&self) -> Option<Instant> {
        self.newest_healthy
    }

    pub(crate) fn newest_failed(&self) -> Option<Instant> {
        self.newest_failed
    }

    /// True if the newest verdict is healthy and its probe began at `since` or later.
    pub(crate) fn healthy_since(&self, since: Instant) -> bool {
        self.newest_healthy.is_some_and(|healthy| healthy >= since && self.newest_failed.is_none_or(|f| f < healthy))
    }

    /// True if the newest verdict is a failure and its probe began at `since` or later.
    pub(crate) fn failed_since(&self, since: Instant) -> bool {
        self.newest_failed.is_some_and(|failed| failed >= since && self.newest_healthy.is_none_or(|h| h < failed))
    }

    /// True if a probe that began at `since` or later has not answered yet.
    pub(crate) fn outstanding_since(&self, since: Instant) -> bool {
        self.outstanding.iter().any(|(_, start)| *start >= since)
    }

    /// True if a probe that began before `start` is late. Answers that overtake one another by less prove nothing.
    pub(crate) fn is_late_before(&self, start: Instant, now: Instant) -> bool {
        self.outstanding.iter().any(|(_, began)| *began < start && now >= *began + self.settings.fast_interval)
    }

    /// True if a probe has not answered yet that began in step with one of `start`.
    pub(crate) fn outstanding_in_step(&self, start: Instant) -> bool {
        let within = start..start + self.settings.fast_interval;
        self.outstanding.iter().any(|(_, began)| within.contains(began))
    }

    /// When the newest probe began.
    pub(crate) fn latest_start(&self) -> Option<Instant> {
        self.latest_start
    }

    /// True if any probe was begun at `since` or later.
    pub(crate) fn started_since(&self, since: Instant) -> bool {
        self.latest_start.is_some_and(|start| start >= since)
    }

    /// True if something points to a failure: a failed verdict, or a probe that has been unanswered for too long.
    pub(crate) fn is_suspect(&self, now: Instant) -> bool {
        self.first_failure.is_some() || self.is_late(now)
    }

    /// True if a probe has been unanswered for `fast_interval`.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.outstanding.iter().any(|(_, start)| now >= *start + self.settings.fast_interval)
    }

    /// True if a probe begun after the newest healthy one has been unanswered for longer than what counts as late, and
    /// than twice what an answer took lately: the target may have failed since. One that is always slow is not overdue.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let patience = self.settings.fast_interval.max(self.answered_in * 2);
        let newer = |start: Instant| self.newest_healthy.is_none_or(|healthy| healthy < start);
        self.outstanding.iter().any(|(_, start)| newer(*start) && now >= *start + patience)
    }

    /// True if one more probe may be under way: at most `fall` overlap.
    fn has_room(&self) -> bool {
        self.outstanding.len() < self.settings.fall as usize
    }

    /// True if one more probe may be under way in step with the holder's: as many again, so that evidence which is as
    /// fresh as the holder's last failure need not wait for a place.
    pub(crate) fn has_room_in_step(&self) -> bool {
        self.outstanding.len() < 2 * self.settings.fall as usize
    }

    /// True if a single failed verdict turns the target down, so that nothing can be suspected beforehand.
    pub(crate) fn falls_at_once(&self) -> bool {
        self.settings.fall == 1
    }

    /// When the next probe shall start; `None` while the bound on overlapping probes is reached.
    pub(crate) fn due(&self) -> Option<Instant> {
        if !self.has_room() {
            return None;
        }
        let Some(latest) = self.latest_start else { return Some(self.first_due) };
        let steady = !self.urgent
            && match self.health {
                Health::Unknown => self.errored && self.outstanding.is_empty(),
                Health::Healthy => self.failures.is_empty() && self.outstanding.is_empty(),
                Health::Unhealthy => self.successes.is_empty(),
            };
        Some(if steady { self.next_on_grid(latest) } else { latest + self.settings.fast_interval })
    }

    /// The first point of the grid after `latest`: start to start, whatever a burst in between did.
    fn next_on_grid(&self, latest: Instant) -> Instant {
        let interval = self.settings.interval;
        let Some(since) = latest.checked_duration_since(self.grid) else { return self.grid };
        let rounds = u32::try_from(since.as_nanos() / interval.as_nanos() + 1);
        rounds.map_or(latest + interval, |rounds| self.grid + interval * rounds)
    }

    /// When what is known becomes too old to be known.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        match self.health {
            Health::Unknown => None,
            Health::Healthy | Health::Unhealthy => {
                self.newest_healthy.max(self.newest_failed).map(|newest| newest + self.settings.verdict_lifetime())
            }
        }
    }

    pub(crate) fn begin(&mut self, id: ProbeId, now: Instant) {
        self.outstanding.push((id, now));
        self.latest_start = Some(now);
    }

    /// True if `id` is under way here.
    pub(crate) fn awaits(&self, id: ProbeId) -> bool {
        self.outstanding.iter().any(|(outstanding, _)| *outstanding == id)
    }

    /// Ends the probe `id` without a verdict, because the prober could not work.
    pub(crate) fn end_without_verdict(&mut self, id: ProbeId) {
        self.outstanding.retain(|(outstanding, _)| *outstanding != id);
        self.errored = true;
    }

    /// Notes how long a healthy answer took.
    pub(crate) fn note_answer(&mut self, took: Duration) {
        self.answered_in = took;
    }

    /// Takes the verdict of the probe `id`, which began at `started`.
    ///
    /// Gives back the probes that it has made superfluous. Those begun later go on if `in_step`, because other
    /// decisions wait for them.
    pub(crate) fn end(&mut self, id: ProbeId, started: Instant, verdict: &Verdict, in_step: bool) -> Vec<ProbeId> {
        self.outstanding.retain(|(outstanding, _)| *outstanding != id);
        self.errored = false;
        if self.void_before.is_some_and(|void| started < void) {
            return Vec::new();
        }
        match &verdict.reason {
            None => self.end_healthy(started, in_step),
            Some(reason) => {
                self.end_failed(started, reason, verdict.conclusive);
                Vec::new()
            }
        }
    }

    fn end_healthy(&mut self, started: Instant, in_step: bool) -> Vec<ProbeId> {
        self.newest_healthy = self.newest_healthy.max(Some(started));
        let cancelled = self.failures.iter().copied().filter(|failure| *failure <= started).max();
        self.failures.retain(|failure| *failure > started);
        self.first_failure = self.failures.first().copied();
        let overtaken = self.newest_failed.is_some_and(|failed| failed >= started);
        let successes = if overtaken { &mut self.successes_before } else { &mut self.successes };
        successes.retain(|success| cancelled.is_none_or(|failure| *success > failure));
        successes.push(started);
        let rises = successes.len() >= self.settings.rise as usize;
        // What was overtaken by failures turns it up only if those do not turn it down.
        if rises && !(overtaken && (self.conclusive || self.failures.len() >= self.settings.fall as usize)) {
            self.health = Health::Healthy;
            self.conclusive = false;
            self.successes.clear();
            self.successes_before.clear();
        }
        let burst_ends = self.health == Health::Healthy && self.failures.is_empty() && !in_step;
        let superfluous = |start: Instant| burst_ends || start < started;
        let dropped = self.outstanding.iter().filter(|(_, start)| superfluous(*start)).map(|(id, _)| *id).collect();
        self.outstanding.retain(|(_, start)| !superfluous(*start));
        dropped
    }

    fn end_failed(&mut self, started: Instant, reason: &Reason, conclusive: bool) {
        if self.newest_healthy.is_some_and(|healthy| healthy >= started) {
            return;
        }
        if self.newest_failed.is_none_or(|failed| failed <= started) {
            self.newest_failed = Some(started);
            self.reason = Some(reason.clone());
        }
        if !self.successes.is_empty() {
            self.successes_before = std::mem::take(&mut self.successes);
        }
        let at = self.failures.partition_point(|failure| *failure <= started);
        self.failures.insert(at, started);
        self.first_failure = self.first_failure.min(Some(started)).or(Some(started));
        if self.failures.len() >= self.settings.fall as usize {
            self.health = Health::Unhealthy;
            let surplus = self.failures.len() - self.settings.fall as usize;
            self.failures.drain(..surplus);
        }
        if conclusive {
            self.health = Health::Unhealthy;
            self.conclusive = true;
        }
    }

    /// Forgets what has become too old. True if that changed anything.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let expired = self.expiry().is_some_and(|expiry| now > expiry);
        if expired {
            self.forget();
        }
        expired
    }

    /// Probes at the fast interval, whatever is known, until told otherwise.
    pub(crate) fn urge(&mut self, urgent: bool) {
        self.urgent = urgent;
    }

    /// Makes every verdict of a probe begun before `now` say nothing.
    ///
    /// Gives back the probes that were under way: they are superfluous.
    pub(crate) fn void(&mut self, now: Instant) -> Vec<ProbeId> {
        self.forget();
        self.void_before = Some(now);
        self.outstanding.drain(..).map(|(id, _)| id).collect()
    }

    /// Makes every failure of a probe begun before `now` say nothing; a target that was well stays so.
    ///
    /// Gives back the probes that were under way: they are superfluous.
    pub(crate) fn void_failures(&mut self, now: Instant) -> Vec<ProbeId> {
        if self.health == Health::Healthy {
            self.failures.clear();
            self.first_failure = None;
            self.void_before = Some(now);
            return self.outstanding.drain(..).map(|(id, _)| id).collect();
        }
        self.void(now)
    }

    fn forget(&mut self) {
        self.health = Health::Unknown;
        self.conclusive = false;
        self.failures.clear();
        self.first_failure = None;
        self.successes.clear();
        self.successes_before.clear();
    }
}

#[cfg(test)]
mod tests;
