//! Claiming the address anew for its holder, which answers while the address does not.

use std::time::Instant;

use super::Engine;
use super::watch::{Evidence, Subject};
use crate::event::Cause;
use crate::mover::Strategy;
use crate::policy::AddressUnreachable;
use crate::status::Health;

impl Engine {
    /// Begins to claim the address anew if that is wanted and due; false if not.
    pub(super) fn reclaim(&mut self, now: Instant, holder: usize) -> bool {
        if self.watch.is_reachable() {
            self.reclaimed = None;
        }
        if !self.is_reclaim_due(now, holder) {
            return false;
        }
        let spent = self.budget.spent(now, self.settings.policy.max_moves_window);
        if spent.saturating_add(1) >= self.settings.policy.max_moves {
            let reason = "the last move of the window is kept for a failover";
            self.tell_held(Cause::Reclaim, Some(holder), holder, reason);
            return false;
        }
        self.start(now, Cause::Reclaim, Some(holder), holder, None);
        if self.moving.is_some() {
            self.reclaimed = Some(holder);
        }
        true
    }

    fn is_reclaim_due(&self, now: Instant, holder: usize) -> bool {
        let policy = &self.settings.policy;
        let wanted = match policy.address_unreachable {
            AddressUnreachable::Alert => false,
            AddressUnreachable::Reclaim => self.reclaimed != Some(holder),
        };
        let renews = match self.settings.movers[self.reader.active()].strategy {
            Strategy::ReleaseFirst => true,
            Strategy::Overwrite => false,
        };
        let cooled = self.last_move_end.is_none_or(|end| now >= end + policy.cooldown);
        // The holder must have answered after the address did not, or it may be the holder that fails.
        let answers = |since| self.watch.evidence(Subject::Node(holder), since) == Evidence::Healthy;
        let well = !self.watch.is_suspect(holder, now) && self.may_hold(holder);
        wanted && renews && cooled && well && self.watch.served() && self.watch.unreachable().is_some_and(answers)
    }

    /// Why a reclaim that has changed nothing yet has lost its reason.
    pub(super) fn reclaim_is_void(&self, holder: usize) -> Option<&'static str> {
        if self.watch.unreachable().is_none() {
            Some("cancelled: the address answers again")
        } else if self.watch.health(holder) != Health::Healthy {
            Some("cancelled: the holder is no longer known to be well")
        } else {
            None
        }
    }
}
