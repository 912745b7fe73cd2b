//! An address that was moved from one node to another behind the monitor's back.

use std::time::Instant;

use super::Engine;
use super::reader::AGREEMENT;
use crate::event::EventKind;
use crate::lease::Epoch;
use crate::policy;
use crate::status::Health;

/// Where the address belongs, and since when it has been elsewhere.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// The node on which this monitor put it or adopted it, and the lease under which that was known: whoever had the
    /// lease in between may have moved it.
    home: Option<(usize, Option<Epoch>)>,
    /// The node on which it was found instead, and when the first reading of that was asked for.
    away: Option<(usize, Instant)>,
}

impl Drift {
    /// A move begins: where the address belongs is known at its end.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn settle(&mut self, home: usize, epoch: Option<Epoch>) {
        *self = Self { home: Some((home, epoch)), away: None };
    }
}

impl Engine {
    /// A reading shows the address on a node.
    pub(super) fn note_drift(&mut self, now: Instant, holder: Option<usize>) {
        let Some(holder) = holder.filter(|_| self.moving.is_none()) else { return };
        let leads = !self.settings.leased || self.epoch.is_some();
        let home = match self.drift.home {
            Some((home, epoch)) if leads && epoch == self.epoch && home != holder => home,
            Some(_) | None => return self.drift.settle(holder, self.epoch),
        };
        if self.drift.away.is_some_and(|(away, _)| away == holder) {
            return;
        }
        // Whoever took it from a node that is not well did what this monitor would have done.
        let both_well = [home, holder].iter().all(|node| self.watch.health(*node) == Health::Healthy);
        let restored = match self.settings.policy.drift {
            policy::Drift::Adopt => false,
            policy::Drift::Restore => both_well,
        };
        if both_well {
            let (from, to) = (self.id(home), self.id(holder));
            self.events.push_back(EventKind::AddressDrifted { from, to, restored });
        }
        if restored {
            self.drift.away = Some((holder, self.reader.asked().unwrap_or(now)));
        } else {
            self.drift.settle(holder, self.epoch);
        }
    }

    /// The node to which the address is to be moved back now.
    pub(super) fn restore_due(&self, now: Instant, holder: usize) -> Option<usize> {
        let (home, _) = self.drift.home?;
        let (away, since) = self.drift.away?;
        let agreed = self.reader.asked().is_some_and(|asked| asked >= since + AGREEMENT);
        let cooled = self.next_restore().is_none_or(|due| due <= now);
        let well = self.watch.health(home) == Health::Healthy && self.may_hold(home);
        (away == holder && agreed && cooled && well).then_some(home)
    }

    /// When the cool-down before a move back is over.
    pub(super) fn next_restore(&self) -> Option<Instant> {
        self.drift.away?;
        self.last_move_end.map(|end| end + self.settings.policy.cooldown)
    }
}
