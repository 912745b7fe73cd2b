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
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn settings() -> HealthSettings {
        HealthSettings { interval: 1000 * MS, fast_interval: 250 * MS, timeout: 500 * MS, fall: 3, rise: 2 }
    }

    struct Bench {
        track: Track,
        t0: Instant,
        next: ProbeId,
    }

    impl Bench {
        fn new() -> Self {
            let t0 = Instant::now();
            Self { track: Track::new(settings(), t0, t0), t0, next: 0 }
        }

        fn at(&self, ms: u32) -> Instant {
            self.t0 + ms * MS
        }

        fn begin(&mut self, ms: u32) -> (ProbeId, Instant) {
            self.next += 1;
            let at = self.at(ms);
            self.track.begin(self.next, at);
            (self.next, at)
        }

        fn ok(&mut self, (id, at): (ProbeId, Instant)) -> Vec<ProbeId> {
            self.track.end(id, at, &Verdict::healthy(), false)
        }

        fn fail(&mut self, (id, at): (ProbeId, Instant)) {
            self.track.end(id, at, &Verdict::unhealthy(Reason::Refused), false);
        }

        fn up() -> Self {
            let mut bench = Self::new();
            for ms in [0, 250] {
                let probe = bench.begin(ms);
                bench.ok(probe);
            }
            assert_eq!(bench.track.health(), Health::Healthy);
            bench
        }
    }

    #[test]
    fn healthy_verdicts_that_failures_have_overtaken_count_where_they_began() {
        // Down, then twice well, then once failed, in the order in which the probes began.
        let mut bench = Bench::up();
        for ms in [1000, 1250, 1500] {
            let probe = bench.begin(ms);
            bench.fail(probe);
        }
        assert_eq!(bench.track.health(), Health::Unhealthy);
        let [first, second, failed] = [1750, 2000, 2250].map(|ms| bench.begin(ms));
        bench.ok(first);
        bench.fail(failed);
        assert_eq!(bench.track.health(), Health::Unhealthy);
        bench.ok(second);
        assert_eq!((bench.track.health(), bench.track.failures()), (Health::Healthy, 1));
    }

    #[test]
    fn healthy_verdicts_on_both_sides_of_a_failure_are_not_in_a_row() {
        let mut bench = Bench::up();
        for ms in [1000, 1250, 1500] {
            let probe = bench.begin(ms);
            bench.fail(probe);
        }
        let [first, between, second, failed] = [1750, 2000, 2250, 2500].map(|ms| bench.begin(ms));
        bench.ok(first);
        bench.fail(between);
        bench.fail(failed);
        bench.ok(second);
        assert_eq!((bench.track.health(), bench.track.failures()), (Health::Unhealthy, 1));
    }

    #[test]
    fn a_healthy_verdict_that_failures_have_overtaken_does_not_outweigh_those() {
        let mut bench = Bench::up();
        let [well, again] = [1000, 1250].map(|ms| bench.begin(ms));
        for ms in [1500, 1750, 2000] {
            let probe = bench.begin(ms);
            bench.fail(probe);
        }
        bench.ok(well);
        bench.ok(again);
        assert_eq!((bench.track.health(), bench.track.failures()), (Health::Unhealthy, 3));
    }

    #[test]
    fn a_target_that_was_never_probed_is_unknown() {
        assert_eq!(Bench::new().track.health(), Health::Unknown);
    }

    #[test]
    fn rise_healthy_verdicts_turn_a_target_up_and_fall_failed_ones_turn_it_down() {
        let mut bench = Bench::up();
        for ms in [1000, 1250] {
            let probe = bench.begin(ms);
            bench.fail(probe);
        }
        assert_eq!(bench.track.health(), Health::Healthy);
        let probe = bench.begin(1500);
        bench.fail(probe);
        assert_eq!(bench.track.health(), Health::Unhealthy);
        for (ms, health) in [(2000, Health::Unhealthy), (2250, Health::Healthy)] {
            let probe = bench.begin(ms);
            bench.ok(probe);
            assert_eq!(bench.track.health(), health);
        }
    }

    #[test]
    fn verdicts_count_in_the_order_in_which_their_probes_started() {
        let mut bench = Bench::up();
        let early = bench.begin(1000);
        let late = bench.begin(1250);
        bench.ok(late);
        bench.fail(early);
        assert_eq!(bench.track.failures(), 0, "a healthy verdict of a later probe cancels it");
    }

    #[test]
    fn a_late_healthy_verdict_leaves_the_failures_of_probes_begun_after_it() {
        let mut bench = Bench::up();
        let slow = bench.begin(1000);
        for ms in [1250, 1500] {
            let probe = bench.begin(ms);
            bench.fail(probe);
        }
        bench.ok(slow);
        assert_eq!(bench.track.failures(), 2);
    }

    #[test]
    fn a_newer_probe_that_is_unanswered_for_longer_than_answers_take_is_overdue() {
        for (took, overdue_after) in [(10, 250), (200, 400)] {
            let mut bench = Bench::up();
            bench.track.note_answer(took * MS);
            bench.begin(1000);
            assert!(!bench.track.is_overdue(bench.at(999 + overdue_after)), "{took}");
            assert!(bench.track.is_overdue(bench.at(1000 + overdue_after)), "{took}");
            let newer = bench.begin(1250);
            bench.ok(newer);
            assert!(!bench.track.is_overdue(bench.at(5000)), "a later answer has overtaken it");
        }
    }

    #[test]
    fn a_healthy_verdict_ends_the_burst_and_drops_its_outstanding_probes() {
        let mut bench = Bench::up();
        let slow = bench.begin(1000);
        let second = bench.begin(1250);
        let third = bench.begin(1500);
        assert_eq!(bench.ok(second), vec![slow.0, third.0]);
        assert_eq!(bench.track.due(), Some(bench.at(2000)), "back on the grid");
    }

    #[test]
    fn an_unanswered_probe_is_followed_at_the_fast_interval_up_to_fall_at_once() {
        let mut bench = Bench::up();
        for (ms, next) in [(1000, Some(1250)), (1250, Some(1500)), (1500, None)] {
            bench.begin(ms);
            assert_eq!(bench.track.due(), next.map(|next| bench.at(next)));
        }
    }

    #[test]
    fn a_target_that_is_down_is_probed_at_the_interval_until_it_answers() {
        let mut bench = Bench::up();
        for ms in [1000, 1250, 1500] {
            let probe = bench.begin(ms);
            bench.fail(probe);
        }
        assert_eq!(bench.track.due(), Some(bench.at(2000)));
        let probe = bench.begin(2000);
        bench.ok(probe);
        assert_eq!(bench.track.due(), Some(bench.at(2250)));
    }

    #[test]
    fn a_verdict_older_than_its_lifetime_is_unknown() {
        let mut bench = Bench::up();
        let lifetime = 250 + 1000 + 500 + 3 * 250;
        assert!(!bench.track.expire(bench.at(lifetime)));
        assert!(bench.track.expire(bench.at(lifetime + 1)));
        assert_eq!(bench.track.health(), Health::Unknown);
    }

    #[test]
    fn a_conclusive_verdict_needs_no_fall() {
        let mut bench = Bench::up();
        let (id, at) = bench.begin(1000);
        bench.track.end(id, at, &Verdict::unhealthy(Reason::Refused).conclusive(), false);
        assert_eq!(bench.track.health(), Health::Unhealthy);
    }

    #[test]
    fn a_prober_that_cannot_work_changes_nothing() {
        let mut bench = Bench::up();
        for ms in [1000, 2000, 3000, 4000] {
            let (id, _) = bench.begin(ms);
            bench.track.end_without_verdict(id);
        }
        assert_eq!((bench.track.health(), bench.track.failures()), (Health::Healthy, 0));
    }

    #[test]
    fn voided_verdicts_do_not_count_even_when_they_arrive_later() {
        let mut bench = Bench::up();
        let old = bench.begin(1000);
        bench.track.void(bench.at(1100));
        bench.fail(old);
        assert_eq!((bench.track.health(), bench.track.failures()), (Health::Unknown, 0));
    }

    #[test]
    fn the_reason_against_a_target_counts_until_a_later_probe_has_answered() {
        let mut bench = Bench::up();
        for (ms, reason) in [(1000, Some(&Reason::Refused)), (1250, Some(&Reason::Refused)), (1500, None)] {
            let probe = bench.begin(ms);
            if reason.is_some() {
                bench.fail(probe)
            } else {
                drop(bench.ok(probe))
            }
            assert_eq!(bench.track.reason(), reason);
        }
    }

    #[test]
    fn a_probe_that_begins_in_the_moment_of_voiding_counts() {
        let mut bench = Bench::up();
        bench.track.void(bench.at(1000));
        for ms in [1000, 1250] {
            let probe = bench.begin(ms);
            bench.ok(probe);
        }
        assert_eq!(bench.track.health(), Health::Healthy);
    }

    #[test]
    fn only_a_probe_that_began_late_enough_will_tell() {
        let mut bench = Bench::up();
        bench.begin(1000);
        assert!(bench.track.outstanding_since(bench.at(1000)));
        assert!(!bench.track.outstanding_since(bench.at(1001)));
    }

    #[test]
    fn a_probe_is_late_before_another_if_it_began_earlier_and_has_been_unanswered_for_a_fast_interval() {
        let mut bench = Bench::up();
        bench.begin(1000);
        for (start, now, late) in
            [(1250, 1249, false), (1250, 1250, true), (1001, 1250, true), (1000, 1500, false), (999, 1500, false)]
        {
            assert_eq!(bench.track.is_late_before(bench.at(start), bench.at(now)), late, "{start} {now}");
        }
    }

    #[test]
    fn in_step_with_the_holder_twice_as_many_probes_as_fall_overlap() {
        let mut bench = Bench::up();
        for ms in [1000, 1050, 1100, 1150, 1200, 1250] {
            assert!(bench.track.has_room_in_step(), "{ms}");
            bench.begin(ms);
        }
        assert!(!bench.track.has_room_in_step());
    }

    #[test]
    fn a_prober_that_cannot_work_ends_only_its_own_probe() {
        let mut bench = Bench::up();
        let (first, second) = (bench.begin(1000), bench.begin(1250));
        bench.track.end_without_verdict(first.0);
        assert_eq!((bench.track.awaits(first.0), bench.track.awaits(second.0)), (false, true));
    }

    #[test]
    fn an_answer_of_a_target_that_is_not_up_yet_leaves_the_later_probes_alone() {
        let mut bench = Bench::new();
        let (first, second) = (bench.begin(0), bench.begin(250));
        assert!(bench.ok(first).is_empty());
        assert!(bench.track.awaits(second.0));
    }

    #[test]
    fn an_answer_in_step_with_the_holder_makes_only_the_earlier_probes_superfluous() {
        let mut bench = Bench::up();
        let (first, second, third) = (bench.begin(1000), bench.begin(1250), bench.begin(1500));
        assert_eq!(bench.track.end(second.0, second.1, &Verdict::healthy(), true), [first.0]);
        assert!(bench.track.awaits(third.0));
    }

    #[test]
    fn failures_stand_in_the_order_in_which_their_probes_started() {
        let mut bench = Bench::up();
        let (first, second, third) = (bench.begin(1000), bench.begin(1250), bench.begin(1500));
        bench.fail(third);
        bench.fail(second);
        bench.ok(first);
        assert_eq!(bench.track.first_failure(), Some(second.1));
    }

    #[test]
    fn no_more_failures_are_remembered_than_it_takes_to_fall() {
        let mut bench = Bench::up();
        for (ms, failures) in [(1000, 1), (1250, 2), (1500, 3), (2000, 3)] {
            let probe = bench.begin(ms);
            bench.fail(probe);
            assert_eq!(bench.track.failures(), failures);
        }
    }

    #[test]
    fn what_is_urgent_is_probed_at_the_fast_interval_although_all_is_well() {
        let mut bench = Bench::up();
        assert_eq!(bench.track.due(), Some(bench.at(1000)));
        bench.track.urge(true);
        assert_eq!(bench.track.due(), Some(bench.at(500)));
    }
}
