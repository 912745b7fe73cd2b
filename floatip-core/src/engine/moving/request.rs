//! Sending a request, and what its reply means for the move.

use std::time::{Duration, Instant};

use super::{Ending, Hung, Outcome, Request};
use crate::engine::moving::Move;
use crate::engine::repair::{Repair, is_for_good};
use crate::engine::{Action, CallId, Engine, backoff};
use crate::event::{EventKind, Step};
use crate::mover::{Accepted, MoveError, Placement, ReleaseMode};
use crate::urgency::Urgency;

/// How often a provider may say that a resource does not exist (yet) before it is believed.
///
/// # Source
/// Eventual consistency: a resource may be "not found" for a while after it was made or changed.
const NOT_FOUND_LIMIT: u32 = 8;

impl Engine {
    /// Sends a request, unless one was sent too lately or the lease does not allow it.
    pub(super) fn send(&mut self, now: Instant, request: Request, seen: Placement) {
        let Some(moving) = &self.moving else { return };
        if moving.retry_at.is_some_and(|at| at > now) {
            return;
        }
        let mover = moving.mover;
        let repairs = self.repair.as_ref().is_some_and(Repair::is_on_the_wire);
        if repairs || !self.may_request(now, mover) {
            return;
        }
        let call = self.call();
        self.reader.abandon();
        let Some(moving) = &mut self.moving else { return };
        if moving.stuck.is_some() {
            moving.wait_from = now;
        }
        moving.retry_at = None;
        moving.sent = Some((request, Outcome::OnTheWire(call)));
        moving.claims = request == Request::Claim;
        let to = moving.to;
        match request {
            Request::Release(mode) => {
                if mode == ReleaseMode::Forced {
                    moving.forced_since.get_or_insert(now);
                }
                self.actions.push_back(Action::Release { call, mover, seen, mode });
            }
            Request::Claim => {
                let to = self.id(to);
                self.actions.push_back(Action::Claim { call, mover, to, urgency: Urgency::Move, seen });
            }
        }
    }

    /// Takes the reply to the request on the wire.
    pub(in crate::engine) fn end_request(&mut self, now: Instant, call: CallId, reply: Result<Accepted, MoveError>) {
        let Some(moving) = &mut self.moving else { return };
        let request = match moving.sent {
            Some((request, Outcome::OnTheWire(sent))) if sent == call => request,
            Some(_) | None => return,
        };
        moving.poll_from = now;
        moving.next_read = now;
        let sent = reply.as_ref().map_or_else(MoveError::may_have_changed, |_| true);
        if sent && request == Request::Release(ReleaseMode::Forced) {
            moving.wait_from = now;
        }
        match reply {
            Ok(accepted) => {
                moving.sent = Some((request, Outcome::Accepted(now)));
                moving.attempts = 0;
                let event = match request {
                    Request::Release(_) => {
                        moving.released = true;
                        moving.hung = moving.hung.map(|_| Hung::Leaving);
                        (!moving.last_step_is(Step::Release)).then(|| moving.finish_step(now, Step::Release))
                    }
                    Request::Claim => {
                        moving.token = accepted.token;
                        // Of two monitors that claim in step neither would ever be done.
                        let pause = Duration::from_millis(self.rng.u64(100..400));
                        moving.retry_at = Some(now + pause);
                        if !moving.tried.contains(&moving.to) {
                            moving.tried.push(moving.to);
                        }
                        (!moving.last_step_is(Step::Claim)).then(|| moving.finish_step(now, Step::Claim))
                    }
                };
                let forced = (request == Request::Release(ReleaseMode::Forced)).then_some((moving.id, moving.source));
                self.events.extend(event);
                if let Some((id, source)) = forced {
                    let node = source.map(|source| self.id(source));
                    self.events.push_back(EventKind::ReleaseForced { id, node });
                }
                self.commit(now);
            }
            Err(error) => self.end_refused(now, request, &error),
        }
    }

    fn end_refused(&mut self, now: Instant, request: Request, error: &MoveError) {
        let has_part = self.target_has_part();
        let Some(moving) = &mut self.moving else { return };
        if let MoveError::Deferred { after, .. } = error {
            // The wait for a turn is the provider's, and counts against no deadline of the move.
            let turn = now + *after;
            moving.retry_at = Some(turn);
            moving.next_read = turn;
            moving.wait_from = turn;
            return moving.forget_request(request);
        }
        moving.attempts = moving.attempts.saturating_add(1);
        let mut pause = |base: u64, most: u64| {
            now + backoff(moving.attempts, Duration::from_millis(base), Duration::from_millis(most), &mut self.rng)
        };
        let text = crate::chain(error);
        if request == Request::Claim && is_for_good(error) && has_part {
            return self.end_partly(now, true, text);
        }
        match error {
            MoveError::Partly { .. } if request == Request::Claim => self.end_partly(now, is_for_good(error), text),
            MoveError::Partly { .. } | MoveError::OutcomeUnknown { .. } | MoveError::TimedOut { .. } => {
                moving.retry_at = Some(pause(500, 5000));
                moving.sent = Some((request, Outcome::Unknown(now)));
                moving.acted = true;
                moving.released |= matches!(request, Request::Release(_));
            }
            MoveError::Throttled { .. } | MoveError::Deferred { .. } | MoveError::NotYet { .. } => {
                let at = pause(200, 5000);
                moving.retry_at = Some(at);
                moving.next_read = at;
                moving.forget_request(request);
            }
            MoveError::Conflict { .. } => {
                moving.retry_at = Some(pause(100, 5000));
                moving.forget_request(request);
                if matches!(request, Request::Release(_)) && !moving.committed && !moving.released {
                    self.fail(now, Ending::Failed, text);
                }
            }
            MoveError::NotFound { .. } if moving.attempts < NOT_FOUND_LIMIT => {
                moving.retry_at = Some(pause(200, 5000));
                moving.forget_request(request);
            }
            MoveError::NotFound { .. } | MoveError::Impossible { .. } => {
                moving.retry_at = Some(pause(200, 5000));
                moving.attempts = 0;
                moving.forget_request(request);
                match request {
                    Request::Claim => {
                        let (to, mover) = (moving.to, moving.mover);
                        moving.tried.push(to);
                        self.set_impossible(now, mover, to, Some(text.clone()));
                        self.fall_back(now, &text);
                    }
                    Request::Release(_) => self.give_up(now, text),
                }
            }
            MoveError::Denied { .. } => {
                moving.forget_request(request);
                self.give_up(now, text);
            }
        }
    }
}

impl Move {
    /// The request changed nothing: the next reading decides afresh. A release that was forced stays so.
    fn forget_request(&mut self, request: Request) {
        self.sent = match request {
            Request::Release(ReleaseMode::Forced) => {
                Some((Request::Release(ReleaseMode::Graceful), Outcome::Accepted(self.wait_from)))
            }
            Request::Release(ReleaseMode::Graceful) | Request::Claim => None,
        };
    }
}
