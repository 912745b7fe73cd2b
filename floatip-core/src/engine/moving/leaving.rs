//! How the address leaves its holder.

use std::time::Instant;

use super::{Ending, Outcome, Request};
use crate::engine::Engine;
use crate::event::{Cause, Step};
use crate::mover::{Placement, ReleaseMode, Strategy};
use crate::status::Health;

impl Engine {
    /// The address is still where it shall leave.
    pub(super) fn take_away(&mut self, now: Instant, seen: Placement) {
        let Some(moving) = &self.moving else { return };
        let policy = &self.settings.policy;
        match self.settings.movers[moving.mover].strategy {
            Strategy::Overwrite => self.put(now, seen),
            Strategy::ReleaseFirst => match &moving.sent {
                Some((Request::Release(mode), Outcome::Accepted(_))) => {
                    if moving.is_out_of_patience(now, policy) {
                        self.escalate(now, seen, *mode);
                    }
                }
                Some((Request::Release(_) | Request::Claim, _)) | None => {
                    if moving.is_out_of_patience(now, policy) && moving.stuck.is_none() {
                        self.give_up(now, "the release was not accepted in time".to_owned());
                    } else {
                        // A claim that hangs has no holder that could cooperate.
                        let hangs = matches!(seen, Placement::Transition { .. });
                        let may_force = self.settings.movers[moving.mover].can_force && policy.force_release;
                        let mode = if hangs && may_force { ReleaseMode::Forced } else { ReleaseMode::Graceful };
                        self.send(now, Request::Release(mode), seen);
                    }
                }
            },
        }
    }

    /// The address is leaving its holder.
    pub(super) fn await_released(&mut self, now: Instant, seen: Placement) {
        let Some(moving) = &mut self.moving else { return };
        match moving.sent {
            // What was sent before the move chose another target has taken effect.
            None if moving.released && !moving.committed => {
                moving.sent = Some((Request::Release(ReleaseMode::Graceful), Outcome::Accepted(now)));
            }
            None if moving.cause != Cause::Rescue && !moving.committed => {
                let error = "lost a race: somebody else has begun to move the address".to_owned();
                return self.fail(now, Ending::Failed, error);
            }
            None => {
                if moving.stuck.is_none() || moving.retry_at.is_none_or(|at| at <= now) {
                    self.escalate(now, seen, ReleaseMode::Graceful);
                }
                return;
            }
            Some(_) => {}
        }
        moving.released = true;
        if !moving.last_step_is(Step::Release) {
            let event = moving.finish_step(now, Step::Release);
            self.events.push_back(event);
        }
        self.commit(now);
        let Some(moving) = &self.moving else { return };
        if moving.is_out_of_patience(now, &self.settings.policy) {
            let mode = match moving.sent {
                Some((Request::Release(mode), _)) => mode,
                Some((Request::Claim, _)) | None => ReleaseMode::Graceful,
            };
            self.escalate(now, seen, mode);
        }
    }

    /// A release does not end: force it, if that is allowed, or say that the move is stuck.
    fn escalate(&mut self, now: Instant, seen: Placement, mode: ReleaseMode) {
        let Some(moving) = &self.moving else { return };
        // Whoever leaves nobody does no harm to anybody; a stranger's health is not known.
        let leaves = match &seen {
            Placement::Transition { from: Some(from), .. } | Placement::Held { node: from, .. } => self.index(from),
            Placement::Transition { from: None, .. }
            | Placement::Free
            | Placement::Stranger { .. }
            | Placement::Split { .. } => None,
        };
        let down = match leaves.or(moving.source) {
            Some(node) => self.watch.health(node) == Health::Unhealthy,
            None => !moving.from_stranger,
        };
        let policy = &self.settings.policy;
        let exhausted = moving.forced_since.is_some_and(|since| now >= since + policy.forced_release_timeout);
        let may = self.settings.movers[moving.mover].can_force && policy.force_release && !exhausted;
        let forced = moving.forced;
        if mode == ReleaseMode::Graceful && self.fall_back(now, "the release did not end in time") {
            return;
        }
        if mode == ReleaseMode::Graceful && may && (down || forced) {
            self.send(now, Request::Release(ReleaseMode::Forced), seen);
        } else {
            self.give_up(now, "the release did not end in time".to_owned());
        }
    }
}
