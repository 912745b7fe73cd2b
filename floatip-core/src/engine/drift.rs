//! An address that was moved from one node to another behind the monitor's back.

use std::time::Instant;

use super::reader::AGREEMENT;
use super::{Engine, Settings};
use crate::durable::Durable;
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
    /// An earlier run of the monitor put it there, and what has happened since was seen by nobody.
    remembered: bool,
}

impl Drift {
    /// A move begins: where the address belongs is known at its end.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// What an earlier run knew, under a lease that has ended since, if there was one.
    pub(super) fn remembered(durable: &Durable, settings: &Settings) -> Self {
        let named = |name: &String| settings.nodes.iter().position(|node| node.id.as_str() == name);
        let home = durable.home.as_ref().and_then(named);
        Self { home: home.map(|home| (home, None)), away: None, remembered: home.is_some() }
    }

    /// Where the address belongs, if that is known.
    pub(super) fn home(&self) -> Option<usize> {
        self.home.map(|(home, _)| home)
    }
}

impl Engine {
    /// From now on the address belongs on `home`.
    pub(super) fn settle(&mut self, now: Instant, home: usize) {
        let before = self.drift.home();
        self.drift = Drift { home: Some((home, self.epoch)), away: None, remembered: false };
        if before != Some(home) {
            self.save(now);
        }
    }

    /// A reading shows the address on a node.
    pub(super) fn note_drift(&mut self, now: Instant, holder: Option<usize>) {
        let Some(holder) = holder.filter(|_| self.moving.is_none()) else { return };
        let leads = !self.settings.leased || self.epoch.is_some();
        let home = match self.drift.home {
            Some((home, epoch)) if leads && epoch == self.epoch && home != holder => home,
            Some(_) | None => return self.settle(now, holder),
        };
        if self.drift.away.is_some_and(|(away, _)| away == holder) {
            return;
        }
        let health = [home, holder].map(|node| self.watch.health(node));
        if self.drift.remembered && health.contains(&Health::Unknown) && !health.contains(&Health::Unhealthy) {
            // A monitor that has just started knows of no node yet.
            return;
        }
        // Whoever took it from a node that is not well did what this monitor would have done.
        let both_well = health == [Health::Healthy; 2];
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
            self.settle(now, holder);
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
