//! A move that brings the address to its target part by part, and what becomes of it when a part stays behind.

use std::time::{Duration, Instant};

use super::{Ending, Outcome, Request};
use crate::engine::{Engine, backoff};
use crate::mover::{Part, Placement};

impl Engine {
    /// The address is split. The rest is claimed for a target that has a part of it, until that is refused for good or
    /// takes too long; then the address lands there as it is, and the rest is repaired in the background.
    pub(super) fn gather(&mut self, now: Instant, seen: Placement) {
        let Placement::Split { parts, token } = &seen else { return };
        let Some(to) = self.moving.as_ref().map(|moving| moving.to) else { return };
        if !self.has_part(parts, to) {
            return self.put(now, seen);
        }
        let Some(moving) = &mut self.moving else { return };
        let asked = moving.sent.is_some() || moving.attempts > 0;
        if !asked && moving.stuck.is_none() {
            moving.wait_from = now;
        }
        let late = asked && now >= moving.wait_from + self.settings.policy.claim_timeout;
        if let Some(other) = self.contender(parts, to)
            && (late || self.first_part(parts, other) < self.first_part(parts, to))
        {
            let error = format!("lost a race: parts of the address are on {} now", self.id(other));
            return self.fail(now, Ending::Failed, error);
        }
        let Some(moving) = &mut self.moving else { return };
        let refused = moving.refused.take();
        if refused.is_some() || late {
            let error = refused.or(moving.partly.take());
            let error = error.unwrap_or_else(|| "the rest did not follow in time".to_owned());
            let token = token.clone();
            self.settle_for(now, to, error);
            return self.land(now, to, token);
        }
        // What has taken a part of it in this move is where it goes on.
        if moving.tried.contains(&to) || self.choose_landing(now) {
            self.send(now, Request::Claim, seen);
        }
    }

    /// The node to which another monitor brings parts of the address: they were not there when this move began, and it did
    /// not bring them. Of two such monitors the one with the first part goes on, and both can tell which that is.
    fn contender(&self, parts: &[Part], to: usize) -> Option<usize> {
        let moving = self.moving.as_ref()?;
        let own = |node: &usize| moving.source == Some(*node) || moving.tried.contains(node);
        let strange = |node: &usize| *node != to && !own(node) && !moving.had_parts.contains(node);
        self.holders_of(parts).find(strange)
    }

    /// True if the reading on which the newest request relied showed a part of the address on the target.
    pub(super) fn target_has_part(&self) -> bool {
        match (self.reader.placement(), &self.moving) {
            (Some(Placement::Split { parts, .. }), Some(moving)) => self.has_part(parts, moving.to),
            (Some(_) | None, _) => false,
        }
    }

    /// The target has taken a part of the address: there is no way back. The next reading shows which.
    pub(super) fn end_partly(&mut self, now: Instant, for_good: bool, text: String) {
        let Some(moving) = &mut self.moving else { return };
        let pause = backoff(moving.attempts, Duration::from_millis(500), Duration::from_secs(5), &mut self.rng);
        moving.retry_at = Some(now + pause);
        moving.sent = Some((Request::Claim, Outcome::Accepted(now)));
        moving.refused = for_good.then(|| text.clone());
        moving.partly = Some(text);
        if !moving.tried.contains(&moving.to) {
            moving.tried.push(moving.to);
        }
        self.commit(now);
    }
}
