//! A planned move waits until nobody is disturbed by it: for a bounded time, and never when the holder fails.

use std::time::Instant;

use super::watch::Evidence;
use super::{CommandId, Engine};
use crate::command::{CommandError, Switchover};
use crate::event::{Cause, EventKind};
use crate::status::Health;

/// A planned move that waits for the node which it leaves.
#[derive(Debug)]
pub(super) struct IdleWait {
    cause: Cause,
    from: usize,
    since: Instant,
    /// It was said that the move waits.
    told: bool,
    /// It was said that it waits no longer.
    told_expired: bool,
    /// The newest decision wants the move.
    wanted: bool,
    /// The operator who asked for it.
    switchover: Option<(CommandId, Switchover)>,
}

impl Engine {
    /// Whether a move may be made without disturbing anybody, or has waited for that as long as it shall. If not, the
    /// node is asked again and again, and the decision is made anew with each answer.
    pub(super) fn is_idle(&mut self, now: Instant, cause: Cause, from: Option<usize>, to: usize) -> bool {
        let bound = self.settings.policy.wait_for_idle;
        // Whoever is down serves nobody: so no unplanned move waits.
        let waits_for = |from: &usize| self.watch.tells_idle(*from) && self.watch.health(*from) != Health::Unhealthy;
        let Some(from) = from.filter(|from| !bound.is_zero() && waits_for(from)) else { return true };
        match &mut self.idle_wait {
            Some(wait) if wait.from == from && (wait.cause == cause || cause == Cause::Switchover) => {
                wait.cause = cause;
                wait.wanted = true;
            }
            // An operator's move goes first.
            Some(wait) if wait.switchover.is_some() && cause != Cause::Switchover => return false,
            Some(_) | None => {
                self.end_idle_wait(now);
                let (told, told_expired) = (false, false);
                self.idle_wait =
                    Some(IdleWait { cause, from, since: now, told, told_expired, wanted: true, switchover: None });
            }
        }
        let Some(wait) = &mut self.idle_wait else { return true };
        self.watch.urge_idleness(from, true, wait.since, now);
        let evidence = self.watch.idleness(from, wait.since);
        let reason = self.watch.in_use_by(from);
        let node = |node: usize| self.settings.nodes[node].id.clone();
        let waited = now.saturating_duration_since(wait.since);
        if evidence == Evidence::Healthy {
            true
        } else if waited >= bound {
            if !std::mem::replace(&mut wait.told_expired, true) {
                self.events.push_back(EventKind::IdleWaitExpired { node: node(from), waited, reason });
            }
            true
        } else {
            if let (Evidence::Failed, Some(reason), false) = (evidence, reason, wait.told) {
                wait.told = true;
                let (from, to) = (node(from), node(to));
                self.events.push_back(EventKind::MoveWaiting { from, to, cause, reason, at_most: bound });
            }
            false
        }
    }

    /// Keeps an operator's command until its move may be made.
    pub(super) fn wait_for_idle(&mut self, id: CommandId, switchover: &Switchover) {
        let Some(wait) = &mut self.idle_wait else { return };
        if let Some((earlier, _)) = wait.switchover.replace((id, switchover.clone())) {
            let reason = "another move was asked for while this one waited for the holder to be idle".to_owned();
            self.answer(earlier, Err(CommandError::Refused { reason }));
        }
    }

    /// Takes up an operator's move that waits. It is looked at anew: what speaks against it now refuses it.
    pub(super) fn resume_switchover(&mut self, now: Instant) {
        let Some(wait) = &mut self.idle_wait else { return };
        wait.wanted = false;
        if let Some((id, switchover)) = wait.switchover.take() {
            self.start_switchover(now, id, &switchover);
        }
    }

    /// The move that waits is held up by something else, which does not begin the wait anew.
    pub(super) fn keep_idle_wait(&mut self) {
        if let Some(wait) = &mut self.idle_wait {
            wait.wanted = true;
        }
    }

    /// Ends a wait for a move that nobody wants any more.
    pub(super) fn end_unwanted_idle_wait(&mut self, now: Instant) {
        if self.idle_wait.as_ref().is_some_and(|wait| !wait.wanted) {
            self.end_idle_wait(now);
        }
    }

    /// Ends a wait, because the move is made or another one is.
    pub(super) fn end_idle_wait(&mut self, now: Instant) {
        let Some(wait) = self.idle_wait.take() else { return };
        self.watch.urge_idleness(wait.from, false, wait.since, now);
        if let Some((id, _)) = wait.switchover {
            let reason = "another move began while this one waited for the holder to be idle".to_owned();
            self.answer(id, Err(CommandError::Refused { reason }));
        }
    }

    /// When a wait is over at the latest.
    pub(super) fn next_idle_wait(&self) -> Option<Instant> {
        self.idle_wait.as_ref().map(|wait| wait.since + self.settings.policy.wait_for_idle)
    }
}
