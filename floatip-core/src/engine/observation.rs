//! When the placement is read, and what follows from a reading.

use std::time::{Duration, Instant};

use super::moving::Move;
use super::reader::Knowledge;
use super::repair::Repair;
use super::{Action, Engine, Settings, cadence};
use crate::event::EventKind;
use crate::mover::{Placement, Token};
use crate::urgency::Urgency;

impl Engine {
    /// Follows up a reading: who holds the address, and what of it is news.
    pub(super) fn note_reading(&mut self, now: Instant) {
        let placement = match self.reader.knowledge().clone() {
            Knowledge::Known(placement) => placement,
            Knowledge::Unread => return,
            Knowledge::Unknown { error } => {
                if !std::mem::replace(&mut self.announced_unreadable, true) {
                    self.events.push_back(EventKind::ProviderUnreadable { error });
                }
                return;
            }
        };
        if std::mem::take(&mut self.announced_unreadable) {
            self.events.push_back(EventKind::ProviderReadable {});
        }
        let stranger = match &placement {
            Placement::Stranger { description, .. } => Some(description.clone()),
            Placement::Held { .. } | Placement::Transition { .. } | Placement::Free | Placement::Split { .. } => None,
        };
        let was_stranger = std::mem::replace(&mut self.announced_stranger, stranger.is_some());
        if let Some(description) = stranger.filter(|_| !was_stranger) {
            self.set_holder(None);
            self.events.push_back(EventKind::AddressHeldByStranger { description });
        }
        if let Placement::Held { node, settled, token } = &placement {
            let index = self.index(node);
            self.set_holder(index);
            self.note_assignment(now, token);
            self.note_drift(now, index);
            self.note_settled(now, node, *settled);
        }
        match &placement {
            Placement::Split { parts, .. } if !self.moving.as_ref().is_some_and(Move::is_placing) => {
                self.note_split(now, parts);
            }
            Placement::Split { .. } | Placement::Transition { .. } => {}
            Placement::Held { .. } | Placement::Free | Placement::Stranger { .. } => self.landed = None,
        }
        let free = self.reader.agreed_free() && self.moving.is_none();
        if free {
            self.set_holder(None);
        }
        let was_free = std::mem::replace(&mut self.announced_free, free);
        if free && !was_free {
            self.events.push_back(EventKind::AddressFoundFree {});
        }
    }

    /// Where the address was assigned anew by somebody else, what was seen through it before tells nothing any more.
    fn note_assignment(&mut self, now: Instant, token: &Token) {
        let before = self.assignment.replace(token.clone());
        if self.moving.is_none() && matches!(before, Some(before @ Token::Generation(_)) if before != *token) {
            self.watch.void_address(now);
        }
    }

    /// By which mover the address is held, while nothing moves; a move knows that itself.
    pub(super) fn elect(&mut self) {
        if self.moving.is_none() {
            let before = self.reader.active();
            self.reader.elect();
            if self.reader.active() != before {
                self.refresh_all_possible();
            }
        }
    }

    pub(super) fn set_holder(&mut self, holder: Option<usize>) {
        if self.holder != holder {
            let from = self.holder.map(|node| self.id(node));
            self.holder = holder;
            self.events.push_back(EventKind::HolderChanged { from, to: holder.map(|node| self.id(node)) });
        }
    }

    /// When the placement is to be read next. A move reads at its own cadence.
    pub(super) fn next_read(&self) -> Option<Instant> {
        if self.reader.is_reading() || self.stopping && self.moving.is_none() {
            return None;
        }
        if let Some(moving) = &self.moving {
            return moving.next_read(self.next_sweep());
        }
        let Some(answered) = self.reader.answered() else { return Some(self.settings.origin) };
        let sooner = match self.reader.knowledge() {
            Knowledge::Unread => Some(answered),
            Knowledge::Unknown { .. } => {
                // A dead holder waits for this reading.
                let urgent = self.holder.is_some_and(|holder| self.watch.is_suspect(holder, answered));
                let (base, most) = if urgent { (250, 3) } else { (1000, 8) };
                let rounds = self.reader.failures().saturating_sub(1).min(most);
                Some(answered + Duration::from_millis(base) * 2_u32.pow(rounds))
            }
            Knowledge::Known(Placement::Transition { .. }) => {
                let since = self.reader.in_transition_since().unwrap_or(answered);
                Some(answered + cadence(answered.saturating_duration_since(since)))
            }
            Knowledge::Known(Placement::Held { settled: false, .. }) => self.repair.as_ref().and_then(Repair::unread),
            Knowledge::Known(Placement::Split { .. }) => {
                self.repair.as_ref().and_then(Repair::unread).or(self.reader.agreement_due())
            }
            Knowledge::Known(Placement::Held { .. } | Placement::Free | Placement::Stranger { .. }) => {
                self.reader.agreement_due()
            }
        };
        let sweep = self.next_sweep();
        Some(sooner.map_or(sweep, |sooner| sooner.min(sweep)))
    }

    /// The first common tick after the newest reading.
    fn next_sweep(&self) -> Instant {
        let Settings { origin, sweep, .. } = self.settings;
        let Some(answered) = self.reader.answered() else { return origin };
        let ticks = answered.saturating_duration_since(origin).as_nanos() / sweep.as_nanos().max(1) + 1;
        u32::try_from(ticks).map_or(answered + sweep, |ticks| origin + sweep * ticks)
    }

    pub(super) fn begin_read(&mut self, now: Instant) {
        if self.next_read().is_some_and(|due| due <= now) {
            let movers = match &self.moving {
                Some(moving) => moving.mover..moving.mover + 1,
                None => 0..self.settings.movers.len(),
            };
            if let Some(repair) = &mut self.repair {
                repair.begin_read();
            }
            let urgency = self.reading_urgency(now);
            for mover in movers {
                let call = self.call();
                self.reader.begin_by(mover, call, now);
                self.actions.push_back(Action::Locate { call, mover, urgency });
            }
        }
    }

    fn reading_urgency(&self, now: Instant) -> Urgency {
        let placing = self.moving.as_ref().is_some_and(Move::is_placing);
        let suspect = self.holder.is_some_and(|holder| self.watch.is_suspect(holder, now));
        if placing || suspect || self.reader.agreement_due().is_some() { Urgency::Move } else { Urgency::Routine }
    }
}
