//! The chain of movers within one move: when the present mechanism cannot bring the address to the target, the next one
//! tries, and after the last one the first is tried to the end.

use std::time::Instant;

use super::Move;
use crate::engine::Engine;
use crate::event::EventKind;
use crate::mover::{Placement, Token};

impl Engine {
    /// The first mover from `from` on that could give the address to `node`.
    pub(in crate::engine) fn mover_for(&self, node: usize, from: usize) -> Option<usize> {
        (from..self.settings.movers.len()).find(|mover| self.impossible_by(*mover, node).is_none())
    }

    /// The nodes that the address cannot be brought to any more. What the present mover cannot do, the next one may; who
    /// has had its turn is asked again only after a pause.
    pub(super) fn unable(&self) -> Vec<usize> {
        let Some(moving) = &self.moving else { return Vec::new() };
        let may_ask = |mover: usize| mover == moving.mover || !moving.chain_spent;
        let able = |node: usize| self.mover_for(node, moving.mover).is_some_and(may_ask);
        (0..self.settings.nodes.len()).filter(|node| !able(*node)).collect()
    }

    /// The next mechanism takes over; false if there is none.
    pub(super) fn fall_back(&mut self, now: Instant, why: &str) -> bool {
        let Some(moving) = &self.moving else { return false };
        if moving.chain_spent {
            return false;
        }
        match self.mover_for(moving.to, moving.mover + 1) {
            Some(next) => {
                self.change_mover(now, next, why);
                true
            }
            None => false,
        }
    }

    /// No mechanism is left: back to the one by which the address is held, to be tried to the end. False if it is that.
    pub(super) fn return_to_base(&mut self, now: Instant, why: &str) -> bool {
        let Some(moving) = &mut self.moving else { return false };
        if moving.mover == moving.base {
            return false;
        }
        moving.chain_spent = true;
        let base = moving.base;
        self.change_mover(now, base, why);
        true
    }

    pub(super) fn change_mover(&mut self, now: Instant, mover: usize, why: &str) {
        let Some(moving) = &mut self.moving else { return };
        let (id, before) = (moving.id, moving.use_mover(mover, now));
        moving.carrier = match self.reader.placement_by(mover) {
            Some(Placement::Stranger { token, .. }) => Some(token.clone()),
            Some(Placement::Held { .. } | Placement::Transition { .. } | Placement::Free | Placement::Split { .. })
            | None => None,
        };
        self.reader.abandon();
        self.reader.follow(mover);
        let kind = |mover: usize| self.settings.movers[mover].kind;
        let (from, to) = (kind(before), kind(mover));
        self.events.push_back(EventKind::MoverChanged { id, from, to, reason: why.to_owned() });
    }

    /// Begins with the first mover that could give the address to the target, if the present one cannot.
    pub(in crate::engine) fn choose_mover(&mut self, now: Instant) {
        let Some(moving) = &self.moving else { return };
        if let Some(reason) = self.impossible_by(moving.mover, moving.to).cloned()
            && let Some(next) = self.mover_for(moving.to, moving.mover)
        {
            self.change_mover(now, next, &reason);
        }
    }

    /// Notes where the address is as a move begins.
    pub(in crate::engine) fn note_origin(&self, moving: &mut Move) {
        let strange = |placement: &Placement| matches!(placement, Placement::Stranger { .. });
        if let Some(Placement::Split { parts, .. }) = self.reader.placement() {
            moving.had_parts = self.holders_of(parts).collect();
        }
        moving.ours = self.reader.placement().is_some_and(|placement| !strange(placement));
        moving.from_stranger = self.reader.placement().is_some_and(strange) && self.settings.policy.take_from_strangers;
    }
}

impl Move {
    /// Goes on by `mover`, as if no request had been sent, and gives back the mover from before.
    fn use_mover(&mut self, mover: usize, now: Instant) -> usize {
        (self.sent, self.claims) = (None, false);
        if self.mover == self.base {
            self.base_token = self.source_token.take();
        }
        self.source_token = self.base_token.clone().filter(|_| mover == self.base);
        self.forced_since = None;
        self.attempts = 0;
        self.retry_at = None;
        (self.refused, self.partly) = (None, None);
        self.wait_from = now;
        self.poll_from = now;
        self.next_read = now;
        let to = self.to;
        self.tried.retain(|node| *node != to);
        std::mem::replace(&mut self.mover, mover)
    }

    /// Whether the address may be taken from this stranger. The first on which another mover finds it is what the base mover
    /// moves; a later one is somebody else.
    pub(super) fn may_take_from(&mut self, token: &Token) -> bool {
        let others = self.ours && self.mover != self.base;
        self.from_stranger || others && self.carrier.get_or_insert_with(|| token.clone()) == token
    }
}
