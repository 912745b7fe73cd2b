//! The reads of one action that were asked for and not yet sent, and which of them go together, when.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use floatip_core::Urgency;
use tokio::sync::oneshot;

use super::desk::Unread;
use crate::limiter::{Hold, PATIENCE};

/// How many values one filter may have.
///
/// # Source
/// Amazon EC2 API Reference, error FilterLimitExceeded: 200 filter values a call.
pub(super) const VALUES: usize = 200;

/// Routine reads wait so long for company after the last that came, but no longer than that after the first.
const WINDOW: Duration = Duration::from_millis(20);
const LONGEST_WINDOW: Duration = Duration::from_millis(100);

/// Reads of moves are sent at once, but no closer together than this; what comes between shares the next call.
const GAP: Duration = Duration::from_millis(20);

/// The same while less than half of the bucket is left: it fills faster than that, so that the half stays for others in
/// the account.
const WIDE_GAP: Duration = Duration::from_millis(100);

/// Routine reads for which moves have left no token so long go like those of moves.
const OVERDUE: Duration = Duration::from_millis(250);

pub(super) type Answer<R> = Result<Vec<R>, Unread>;

/// The name of a filter and one value of it.
type Key = (Cow<'static, str>, String);

/// One read.
#[derive(Debug)]
pub(super) struct Ask<R> {
    pub(super) filter: Cow<'static, str>,
    pub(super) value: String,
    pub(super) urgency: Urgency,
    pub(super) reply: oneshot::Sender<Answer<R>>,
}

#[derive(Debug)]
struct Waiting<R> {
    askers: Vec<oneshot::Sender<Answer<R>>>,
    since: Instant,
}

/// What one call asks for, and who waits for which value's answer.
#[derive(Debug)]
pub(super) struct Batch<R> {
    pub(super) filter: Cow<'static, str>,
    pub(super) waiting: BTreeMap<String, Vec<oneshot::Sender<Answer<R>>>>,
    /// When the first of them was asked for.
    pub(super) since: Instant,
}

#[derive(Debug)]
pub(super) struct Queue<R> {
    moves: BTreeMap<Key, Waiting<R>>,
    routine: BTreeMap<Key, Waiting<R>>,
    /// When the window of the routine reads opened, and when the newest of them came.
    window: Option<(Instant, Instant)>,
    sent: Option<Instant>,
    /// Why the last look brought no call, though one was due.
    held: Option<Hold>,
    /// Whether calls by a tag go for all that wait, however many.
    by_tag: bool,
}

impl<R> Queue<R> {
    pub(super) fn new(by_tag: bool) -> Self {
        Self { moves: BTreeMap::new(), routine: BTreeMap::new(), window: None, sent: None, held: None, by_tag }
    }

    pub(super) fn add(&mut self, now: Instant, ask: Ask<R>) {
        let Ask { filter, value, urgency, reply } = ask;
        let key = (filter, value);
        if urgency == Urgency::Move
            && let Some(promoted) = self.routine.remove(&key)
        {
            self.moves.insert(key.clone(), promoted);
        }
        let waits_with_moves = urgency == Urgency::Move || self.moves.contains_key(&key);
        if waits_with_moves {
            // What holds routine reads back need not hold them.
            self.held = None;
        } else {
            let opened = self.window.filter(|_| !self.routine.is_empty()).map_or(now, |(opened, _)| opened);
            self.window = Some((opened, now));
        }
        let queue = if waits_with_moves { &mut self.moves } else { &mut self.routine };
        queue.entry(key).or_insert_with(|| Waiting { askers: Vec::new(), since: now }).askers.push(reply);
    }

    /// When it is to be looked at next. `low`: less than half of the bucket is left.
    pub(super) fn due(&self, now: Instant, low: bool) -> Option<Instant> {
        let due = [self.moves_due(now, low), self.routine_due(now)].into_iter().flatten().min()?;
        let Some(hold) = self.held else { return Some(due) };
        let since = self.moves.values().chain(self.routine.values()).map(|waiting| waiting.since).min();
        let overdue = self.window.map(|(opened, _)| opened + OVERDUE);
        let wakes = [Some(hold.ends()), since.map(|since| since + PATIENCE), overdue];
        Some(wakes.into_iter().flatten().filter(|at| *at > now).min().map_or(due, |at| due.max(at)))
    }

    fn moves_due(&self, now: Instant, low: bool) -> Option<Instant> {
        let gap = if low { WIDE_GAP } else { GAP };
        (!self.moves.is_empty()).then(|| self.sent.map_or(now, |sent| now.max(sent + gap)))
    }

    fn routine_due(&self, now: Instant) -> Option<Instant> {
        let (opened, newest) = self.window.filter(|_| !self.routine.is_empty())?;
        let full = self.routine.len() >= VALUES && !self.by_tag;
        Some(if full { now } else { (newest + WINDOW).min(opened + LONGEST_WINDOW) })
    }

    /// How urgent the call is that is due now, if one is.
    pub(super) fn urgency(&self, now: Instant, low: bool) -> Option<Urgency> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let overdue = self.held.is_some() && self.window.is_some_and(|(opened, _)| opened + OVERDUE <= now);
        match (due(self.moves_due(now, low)), due(self.routine_due(now))) {
            (true, _) => Some(Urgency::Move),
            (false, true) => Some(if overdue { Urgency::Move } else { Urgency::Routine }),
            (false, false) => None,
        }
    }

    /// Leaves out the reads that nobody waits for any more.
    pub(super) fn forget_dropped(&mut self) {
        for queue in [&mut self.moves, &mut self.routine] {
            queue.retain(|_, waiting| {
                waiting.askers.retain(|asker| !asker.is_closed());
                !waiting.askers.is_empty()
            });
        }
    }

    /// No call may be sent now: gives back those who have waited for too long.
    pub(super) fn hold(&mut self, now: Instant, hold: Hold) -> Vec<oneshot::Sender<Answer<R>>> {
        self.held = Some(hold);
        let mut impatient = Vec::new();
        for queue in [&mut self.moves, &mut self.routine] {
            let late: Vec<_> = queue.extract_if(.., |_, waiting| waiting.since + PATIENCE <= now).collect();
            impatient.extend(late.into_iter().flat_map(|(_, waiting)| waiting.askers));
        }
        impatient
    }

    /// Takes what goes in one call: reads of moves, and routine reads by the same filter as far as there is room.
    pub(super) fn take(&mut self, now: Instant) -> Option<Batch<R>> {
        self.held = None;
        let oldest = |queue: &BTreeMap<Key, Waiting<R>>| {
            queue.iter().min_by_key(|(_, waiting)| waiting.since).map(|(key, _)| key.0.clone())
        };
        let filter = oldest(&self.moves).or_else(|| oldest(&self.routine))?;
        let first = (filter.clone(), String::new());
        let of_filter = |key: &&Key| key.0 == filter;
        let mut batch = Batch { filter: filter.clone(), waiting: BTreeMap::new(), since: now };
        let room = if self.by_tag { usize::MAX } else { VALUES };
        for queue in [&mut self.moves, &mut self.routine] {
            let left = room - batch.waiting.len();
            let keys: Vec<_> =
                queue.range(first.clone()..).map(|(key, _)| key).take_while(of_filter).take(left).cloned().collect();
            for key in keys {
                if let Some(waiting) = queue.remove(&key) {
                    batch.since = batch.since.min(waiting.since);
                    batch.waiting.insert(key.1, waiting.askers);
                }
            }
        }
        self.window = self.window.filter(|_| !self.routine.is_empty()).map(|(_, newest)| (now, newest));
        self.sent = Some(now);
        Some(batch)
    }
}
