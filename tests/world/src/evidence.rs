//! The verdicts that one monitor was given about one subject by one check: the plain reading of the rules, against which
//! the engine's own is held.

use std::collections::VecDeque;
use std::time::Instant;

use floatip_core::HealthSettings;

/// How many verdicts are kept.
const KEPT: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Healthy,
    Failed,
    Conclusive,
}

/// What verdicts in a row amount to, in the plain reading of `fall` and `rise`.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    up: bool,
    down: bool,
    healthy: u32,
    failed: u32,
}

impl Standing {
    fn after(mut self, seen: Seen, settings: &HealthSettings) -> Self {
        (self.healthy, self.failed) = match seen {
            Seen::Healthy => (self.healthy + 1, 0),
            Seen::Failed => (0, self.failed + 1),
            Seen::Conclusive => (0, settings.fall),
        };
        let (rises, falls) = (self.healthy >= settings.rise, self.failed >= settings.fall);
        self.up = (self.up || rises) && !falls;
        self.down = (self.down || falls) && !rises;
        self
    }
}

/// Verdicts in the order in which their probes began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    verdicts: VecDeque<(Instant, Seen)>,
    /// What those amount to that are kept no longer.
    before: Standing,
    void: Option<Instant>,
    /// When the row of failures began by which it was down as far as was known then, if it has not risen since: a healthy
    /// verdict from among them may have come later.
    fell: Option<Instant>,
    /// Failures of probes begun before this may be the monitor's own, and do not count if the monitor says so.
    forgiven: Option<Instant>,
}

impl Evidence {
    pub(crate) fn note(&mut self, now: Instant, started: Instant, seen: Seen, settings: &HealthSettings) {
        self.expire(now, settings);
        let newest_healthy = self.verdicts.iter().rev().find(|(_, seen)| *seen == Seen::Healthy);
        // A healthy verdict cancels the failures of probes begun earlier, whichever comes first.
        if seen != Seen::Healthy && newest_healthy.is_some_and(|(at, _)| *at >= started) {
            return;
        }
        let at = self.verdicts.partition_point(|(at, _)| *at <= started);
        self.verdicts.insert(at, (started, seen));
        if self.verdicts.len() > KEPT {
            let oldest = self.verdicts.pop_front();
            self.before = oldest.map_or(self.before, |(_, seen)| self.before.after(seen, settings));
        }
        if self.standing(settings).down {
            let row = self.verdicts.iter().rev().take_while(|(_, seen)| *seen != Seen::Healthy);
            self.fell = self.fell.or(row.last().map(|(at, _)| *at));
        }
        self.fell.take_if(|fell| Self::rises(self.verdicts.iter().filter(|(at, _)| *at >= *fell), settings));
    }

    /// True if `rise` healthy verdicts are in a row.
    fn rises<'a>(verdicts: impl Iterator<Item = &'a (Instant, Seen)>, settings: &HealthSettings) -> bool {
        let mut row = 0;
        verdicts.into_iter().any(|(_, seen)| {
            row = if *seen == Seen::Healthy { row + 1 } else { 0 };
            row >= settings.rise
        })
    }

    pub(crate) fn void(&mut self, now: Instant) {
        self.verdicts.clear();
        self.fell = None;
        self.before = Standing::default();
        self.void = Some(now);
    }

    /// The monitor's own network works again: the failures seen before may have been void.
    pub(crate) fn forgive(&mut self, now: Instant) {
        self.forgiven = Some(now);
    }

    /// True if the monitor's own network came to work again at `since` or later.
    pub(crate) fn is_forgiven_since(&self, since: Instant) -> bool {
        self.forgiven.is_some_and(|at| at >= since)
    }

    /// The verdicts that count even if failures were forgiven.
    fn beyond_doubt(&self) -> impl DoubleEndedIterator<Item = Seen> + '_ {
        let counts = |at: Instant, seen: Seen| seen == Seen::Healthy || self.forgiven.is_none_or(|before| at >= before);
        self.verdicts.iter().filter(move |(at, seen)| counts(*at, *seen)).map(|(_, seen)| *seen)
    }

    /// What is known to be up or down, and has become too old, is known no more. True if that is so.
    pub(crate) fn expire(&mut self, now: Instant, settings: &HealthSettings) -> bool {
        let known = |Standing { up, down, .. }: Standing| up || down;
        let expired =
            known(self.standing(settings)) && known(self.forgiving(settings)) && !self.is_recent(now, settings);
        if expired {
            self.verdicts.clear();
            self.fell = None;
            self.before = Standing::default();
        }
        expired
    }

    /// True if nothing that was seen counts any more.
    pub(crate) fn is_void(&self) -> bool {
        self.verdicts.is_empty()
    }

    fn newest(&self) -> Option<(Instant, Seen)> {
        self.verdicts.back().copied()
    }

    /// What is known lasts until the next verdict can be there: the next probe begins after an interval, or when this one
    /// has timed out, and may take a timeout as well.
    fn is_recent(&self, now: Instant, settings: &HealthSettings) -> bool {
        let HealthSettings { interval, timeout, fast_interval, fall, .. } = *settings;
        let lifetime = interval.max(timeout) + timeout + fast_interval * fall;
        self.newest().is_some_and(|(at, _)| now <= at + lifetime)
    }

    /// How many failures there are since the last healthy verdict.
    pub(crate) fn row(&self) -> usize {
        self.verdicts.iter().rev().take_while(|(_, seen)| *seen != Seen::Healthy).count()
    }

    pub(crate) fn is_failing(&self, now: Instant, settings: &HealthSettings) -> bool {
        self.row() > 0 && self.is_recent(now, settings)
    }

    /// True if it fails, even if failures were forgiven.
    pub(crate) fn is_surely_failing(&self, now: Instant, settings: &HealthSettings) -> bool {
        self.beyond_doubt().next_back().is_some_and(|seen| seen != Seen::Healthy) && self.is_recent(now, settings)
    }

    /// True if it is down beyond doubt: `fall` failures in a row or a conclusive one, and not too old.
    pub(crate) fn is_down(&self, now: Instant, settings: &HealthSettings) -> bool {
        let row = || self.beyond_doubt().rev().take_while(|seen| *seen != Seen::Healthy);
        let conclusive = row().any(|seen| seen == Seen::Conclusive);
        (row().count() >= settings.fall as usize || conclusive) && self.is_recent(now, settings)
    }

    /// True if it is up beyond doubt: nothing but `rise` healthy verdicts or more, and not too old.
    pub(crate) fn is_up(&self, now: Instant, settings: &HealthSettings) -> bool {
        let counts = |(at, seen): &&(Instant, Seen)| *seen == Seen::Healthy && self.void.is_none_or(|void| *at >= void);
        let healthy = self.verdicts.iter().rev().take_while(counts).count();
        healthy >= settings.rise as usize && self.is_recent(now, settings)
    }

    /// True if it may be up: there were `rise` healthy verdicts in a row and not `fall` failures since that count, and the
    /// newest is not too old.
    pub(crate) fn may_be_up(&self, now: Instant, settings: &HealthSettings) -> bool {
        (self.standing(settings).up || self.forgiving(settings).up) && self.is_recent(now, settings)
    }

    /// True if it fails, and has been down without `rise` healthy verdicts in a row since.
    pub(crate) fn is_still_down(&self, now: Instant, settings: &HealthSettings) -> bool {
        (self.standing(settings).down || self.fell.is_some()) && self.is_failing(now, settings)
    }

    /// True if there were `rise` healthy verdicts in a row and not `fall` failures since, however old.
    pub(crate) fn stands(&self, settings: &HealthSettings) -> bool {
        self.standing(settings).up
    }

    /// True if there were `fall` failures in a row and not `rise` healthy verdicts since, however old.
    pub(crate) fn has_fallen(&self, settings: &HealthSettings) -> bool {
        self.standing(settings).down
    }

    fn standing(&self, settings: &HealthSettings) -> Standing {
        self.verdicts.iter().fold(self.before, |standing, (_, seen)| standing.after(*seen, settings))
    }

    /// The same without the failures that were forgiven.
    fn forgiving(&self, settings: &HealthSettings) -> Standing {
        self.beyond_doubt().fold(self.before, |standing, seen| standing.after(seen, settings))
    }

    pub(crate) fn newest_healthy(&self) -> Option<Instant> {
        self.verdicts.iter().rev().find(|(_, seen)| *seen == Seen::Healthy).map(|(at, _)| *at)
    }

    pub(crate) fn newest_failure(&self) -> Option<Instant> {
        self.verdicts.iter().rev().find(|(_, seen)| *seen != Seen::Healthy).map(|(at, _)| *at)
    }

    /// True if the newest verdict is healthy and of a probe that began at `since` or later.
    pub(crate) fn is_healthy_since(&self, since: Instant) -> bool {
        self.newest().is_some_and(|(at, seen)| at >= since && seen == Seen::Healthy)
    }

    /// True if any verdict is healthy and of a probe that began at `since` or later.
    pub(crate) fn answered_since(&self, since: Instant) -> bool {
        self.verdicts.iter().any(|(at, seen)| *at >= since && *seen == Seen::Healthy)
    }
}
