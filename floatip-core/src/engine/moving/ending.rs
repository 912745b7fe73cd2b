//! How a move lands, is verified, goes on to another node, and ends.

use std::time::{Duration, Instant};

use super::{Ending, Hung, Phase};
use crate::command::{CommandError, Done};
use crate::engine::watch::{Evidence, Subject};
use crate::engine::{Engine, backoff};
use crate::event::{Cause, EventKind, Receipt, Step, Verification};
use crate::mover::Token;
use crate::policy::Verify;
use crate::status::Health;

impl Engine {
    /// No way on: a move that has changed nothing fails; one past its point of no return is stuck, and tries again
    /// later with all nodes.
    pub(super) fn give_up(&mut self, now: Instant, error: String) {
        if self.fall_back(now, &error) || self.return_to_base(now, &error) {
            return;
        }
        let Some(moving) = &mut self.moving else { return };
        if !moving.committed {
            return self.fail(now, Ending::Failed, error);
        }
        moving.stuck_rounds = moving.stuck_rounds.saturating_add(1);
        moving.chain_spent = false;
        let wait = backoff(moving.stuck_rounds, Duration::from_secs(5), Duration::from_secs(60), &mut self.rng);
        moving.retry_at = Some(now + wait);
        moving.next_read = now + wait.min(self.settings.sweep);
        moving.sent = None;
        moving.forced_since = None;
        // A release that has not ended takes nothing: whoever holds it is a holder like any other.
        moving.hung = moving.hung.map(|_| Hung::Coming);
        moving.attempts = 0;
        moving.tried.clear();
        moving.wait_from = now + wait;
        if moving.stuck.replace(error.clone()).is_none() {
            let (id, asked_by) = (moving.id, moving.asked_by.take());
            self.events.push_back(EventKind::FloatingIpStuck { id, error: error.clone() });
            if let Some(command) = asked_by {
                let reason = format!("the move is stuck and will be retried: {error}");
                self.answer(command, Err(CommandError::MoveFailed { reason, unchanged: false }));
            }
        }
    }

    /// The target did not take the address: the next one, if there is one.
    ///
    /// `hanging` is the node to which the address is still on its way, and the token of that.
    pub(super) fn next_target(&mut self, now: Instant, why: &'static str, hanging: Option<(usize, Token)>) {
        if self.fall_back(now, why) {
            return;
        }
        let Some(moving) = &mut self.moving else { return };
        let old = moving.to;
        if !moving.tried.contains(&old) {
            moving.tried.push(old);
        }
        let except = [moving.tried.clone(), self.unable()].concat();
        match self.first_healthy(now, &except) {
            Some(next) => {
                if let Some((node, token)) = hanging
                    && let Some(moving) = &mut self.moving
                {
                    (moving.source, moving.source_token) = (Some(node), Some(token));
                    moving.hung = Some(Hung::Coming);
                }
                self.retarget(now, next, why);
                if let Some(moving) = &mut self.moving {
                    moving.wait_from = now;
                    moving.next_read = now;
                }
            }
            None => self.give_up(now, why.to_owned()),
        }
    }

    /// The move goes to another node. It still takes the address from whom the newest reading showed, under the token of that
    /// assignment: if that changes, the race is lost.
    pub(super) fn retarget(&mut self, now: Instant, to: usize, why: &'static str) {
        let Some(moving) = &mut self.moving else { return };
        let (id, from) = (moving.id, moving.to);
        moving.to = to;
        moving.renewing = false;
        (moving.sent, moving.claims) = (None, false);
        moving.forced_since = None;
        moving.attempts = 0;
        moving.retry_at = None;
        (moving.refused, moving.partly) = (None, None);
        let (from, to) = (self.id(from), self.id(to));
        self.events.push_back(EventKind::MoveRetargeted { id, from, to, reason: why.to_owned() });
        self.choose_mover(now);
    }

    pub(super) fn commit(&mut self, now: Instant) {
        let Some(moving) = &mut self.moving else { return };
        if !std::mem::replace(&mut moving.committed, true) {
            if !matches!(moving.cause, Cause::Switchover | Cause::Drain) {
                self.budget.spend(now);
            }
            self.save(now);
        }
    }

    /// A reading shows the address on `node`, where this move wants it.
    pub(super) fn land(&mut self, now: Instant, node: usize, token: Token) {
        let Some(moving) = &mut self.moving else { return };
        moving.to = node;
        if moving.sent.is_some() {
            if !moving.last_step_is(Step::Claim) {
                let event = moving.finish_step(now, Step::Claim);
                self.events.push_back(event);
            }
            let event = moving.finish_step(now, Step::AwaitClaimed);
            self.events.push_back(event);
        }
        if let Some(old) = moving.source_token.take().filter(|old| *old != token) {
            self.reader.retire(&old, now);
        }
        moving.token = Some(token);
        moving.stuck = None;
        moving.sent = None;
        moving.hung = None;
        if !moving.tried.contains(&node) {
            moving.tried.push(node);
        }
        if !moving.steps.is_empty() {
            self.commit(now);
        }
        if self.settings.policy.verify == Verify::Off || !self.watch.verifies() {
            return self.finish(now, Verification::Skipped);
        }
        self.begin_verification(now);
    }

    /// Only what is asked through the address from now on tells whether the service answers where it is.
    pub(super) fn begin_verification(&mut self, now: Instant) {
        if let Some(moving) = &mut self.moving {
            moving.phase = Phase::Verifying(now);
            moving.doubt = None;
        }
        self.watch.void_address(now);
        self.watch.urge_address(true);
        self.watch.demand(Subject::Address, now, now);
    }

    pub(super) fn drive_verification(&mut self, now: Instant, since: Instant) {
        let Some(moving) = &mut self.moving else { return };
        if moving.doubt.is_some() {
            if now >= since + self.settings.policy.verify_timeout {
                let error = "the newest reading does not show the address where it was claimed".to_owned();
                self.fail(now, Ending::Failed, error);
            }
            return;
        }
        if self.watch.evidence(Subject::Address, since) == Evidence::Healthy {
            let event = moving.finish_step(now, Step::Verify);
            self.events.push_back(event);
            return self.finish(now, Verification::Verified);
        }
        let except: Vec<_> = moving.tried.iter().copied().chain([moving.to]).collect();
        let (id, to, forced) = (moving.id, moving.to, moving.forced);
        let requires = self.settings.policy.verify == Verify::Require && self.watch.served();
        // A reclaim is no failover: rule 3 keeps the address where it is.
        let reclaims = moving.cause == Cause::Reclaim;
        if reclaims && self.watch.health(to) == Health::Unhealthy {
            return self.fail(now, Ending::Cancelled, "the holder went down meanwhile".to_owned());
        }
        let next = self.first_healthy(now, &except).filter(|_| requires && !forced && !reclaims);
        let hopeless = next.is_some() && self.watch.health(to) == Health::Unhealthy;
        if !hopeless && now < since + self.settings.policy.verify_timeout {
            return;
        }
        if self.watch.served() {
            let (node, reason) = (self.id(to), self.watch.reason(Subject::Address));
            self.events.push_back(EventKind::VerificationFailed { id, node, reason });
        } else {
            self.events.push_back(EventKind::VerificationImpossible { id });
        }
        match next {
            Some(next) => {
                self.retarget(now, next, "the service did not answer through the floating address");
                if let Some(moving) = &mut self.moving {
                    moving.phase = Phase::Placing;
                    moving.source = Some(to);
                    moving.released = false;
                    moving.wait_from = now;
                    moving.poll_from = now;
                    moving.next_read = now;
                }
                self.reader.abandon();
            }
            None if requires => {
                let node = self.id(to);
                let error =
                    format!("the address is on {node} and stays there, but the service does not answer through it");
                self.fail(now, Ending::Failed, error);
            }
            None => self.finish(now, Verification::Unverified),
        }
    }

    fn finish(&mut self, now: Instant, verification: Verification) {
        let Some(moving) = self.moving.take() else { return };
        let from = moving.from.map(|node| self.id(node));
        let mut receipt = Receipt::new(moving.id, from, self.id(moving.to), moving.cause);
        receipt.duration = now.saturating_duration_since(moving.started);
        receipt.steps = moving.steps;
        receipt.token = moving.token;
        receipt.mover = self.settings.movers[moving.mover].kind;
        receipt.verification = verification;
        self.events.push_back(EventKind::MoveFinished(receipt.clone()));
        if let Some(command) = moving.asked_by {
            self.answer(command, Ok(Done::Moved(receipt)));
        }
        self.unchanged_failures = 0;
        self.settle(now, moving.to);
        self.end_move(now, moving.from);
    }

    pub(super) fn fail(&mut self, now: Instant, ending: Ending, error: String) {
        let Some(moving) = self.moving.take() else { return };
        let unchanged = !moving.committed;
        let from = moving.from.map(|node| self.id(node));
        let to = self.id(moving.to);
        self.events.push_back(EventKind::MoveFailed { id: moving.id, from, to, error: error.clone(), unchanged });
        if let Some(command) = moving.asked_by {
            self.answer(command, Err(CommandError::MoveFailed { reason: error, unchanged }));
        }
        if ending == Ending::Failed {
            self.unchanged_failures = self.unchanged_failures.saturating_add(1);
            let (base, most) = (Duration::from_secs(1), Duration::from_secs(60));
            self.hold_off_from = None;
            self.hold_off = Some(now + backoff(self.unchanged_failures, base, most, &mut self.rng));
        }
        self.end_move(now, moving.from);
    }

    fn end_move(&mut self, now: Instant, from: Option<usize>) {
        self.watch.urge_address(false);
        self.refresh_all_possible();
        self.last_move_end = Some(now);
        if let Some(from) = from {
            self.ask_ready_again(now, from);
        }
    }

    /// Takes back a move that has changed nothing yet, as soon as that is known.
    pub(in crate::engine) fn cancel_voluntary(&mut self, now: Instant, why: &'static str) {
        if let Some(moving) = &mut self.moving {
            moving.cancelled = Some(why);
        }
        self.drive(now);
    }
}
