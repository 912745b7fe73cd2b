//! Asking the hooks before a move, and what their answer means.

use std::time::{Duration, Instant};

use super::decision::Hold;
use super::{Action, CallId, CommandId, Engine, backoff};
use crate::command::{CommandError, Switchover};
use crate::event::{Cause, EventKind};
use crate::hook::{HookResult, Plan};

/// How long a permission is good for: the decision is made anew under it.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// How much longer than the hooks' own timeout an answer is waited for.
const BACKSTOP: Duration = Duration::from_millis(250);

/// A move that the hooks are asked about, or have allowed.
#[derive(Debug)]
pub(super) struct Permission {
    cause: Cause,
    from: Option<usize>,
    to: usize,
    forced: bool,
    /// The question; `None` once it is answered.
    asked: Option<CallId>,
    until: Instant,
    switchover: Option<(CommandId, Switchover)>,
}

impl Permission {
    /// True if a move of this cause need not wait for the answer. An operator's move is waited for: it takes the address
    /// from a dead holder as well.
    fn gives_way_to(&self, cause: Cause) -> bool {
        is_unplanned(cause) && !is_unplanned(self.cause) && self.switchover.is_none()
    }
}

fn is_unplanned(cause: Cause) -> bool {
    matches!(cause, Cause::Failover | Cause::Rescue)
}

impl Engine {
    /// Whether the hooks allow this move. If they were not asked yet, asks them, and the decision is made anew when they
    /// have answered.
    pub(super) fn is_permitted(&mut self, now: Instant, cause: Cause, from: Option<usize>, to: usize) -> bool {
        let same = |other: &Permission| (other.cause, other.from, other.to) == (cause, from, to);
        match &self.permission {
            // What is urgent does not wait for what the hooks say of a planned move.
            Some(permission) if permission.asked.is_some() && permission.gives_way_to(cause) => {}
            Some(permission) if permission.asked.is_some() => return false,
            Some(permission) if same(permission) => {
                self.permission = None;
                return true;
            }
            Some(_) | None => {}
        }
        self.ask_permission(now, cause, from, to, None)
    }

    /// Whether the hooks have allowed a move of this cause, and it was not made yet.
    pub(super) fn has_permission(&self, cause: Cause) -> bool {
        self.permission.as_ref().is_some_and(|permission| permission.asked.is_none() && permission.cause == cause)
    }

    /// The node to which the hooks have allowed such a move.
    pub(super) fn allowed(&self, cause: Cause, from: Option<usize>) -> Option<usize> {
        let same = |other: &&Permission| other.asked.is_none() && (other.cause, other.from) == (cause, from);
        self.permission.as_ref().filter(same).map(|permission| permission.to)
    }

    /// The same for an operator's move, whose command waits for the answer.
    pub(super) fn permits_switchover(
        &mut self,
        now: Instant,
        id: CommandId,
        switchover: &Switchover,
        from: Option<usize>,
        to: usize,
    ) -> bool {
        if self.permission.take_if(|other| other.asked.is_none() && other.cause == Cause::Switchover).is_some() {
            return true;
        }
        if let Some((earlier, _)) = self.permission.take().and_then(|other| other.switchover) {
            let reason = "another move was asked for before the hooks had answered".to_owned();
            self.answer(earlier, Err(CommandError::Refused { reason }));
        }
        self.ask_permission(now, Cause::Switchover, from, to, Some((id, switchover.clone())))
    }

    fn ask_permission(
        &mut self,
        now: Instant,
        cause: Cause,
        from: Option<usize>,
        to: usize,
        switchover: Option<(CommandId, Switchover)>,
    ) -> bool {
        let Some(bound) = self.settings.pre_move else { return true };
        let call = self.call();
        let forced = switchover.as_ref().is_some_and(|(_, switchover)| switchover.force);
        let until = now + bound + BACKSTOP;
        self.permission = Some(Permission { cause, from, to, forced, asked: Some(call), until, switchover });
        let ip = &self.settings.floating_ip;
        let from = from.map(|node| self.id(node));
        let plan = Plan::new(ip.name.clone(), ip.address.clone(), from, self.id(to), cause);
        self.actions.push_back(Action::AskHooks { call, plan });
        false
    }

    /// Takes the hooks' answer to the question `call`.
    pub(super) fn end_permission(&mut self, now: Instant, call: CallId, result: HookResult, said: Option<String>) {
        let Some(permission) = self.permission.as_mut().filter(|permission| permission.asked == Some(call)) else {
            return;
        };
        permission.asked = None;
        permission.until = now + GOOD_FOR;
        let (cause, from, to) = (permission.cause, permission.from, permission.to);
        let unplanned = is_unplanned(cause);
        let allowed = match result {
            HookResult::Done => true,
            HookResult::Vetoed => permission.forced,
            HookResult::Failed | HookResult::TimedOut => unplanned || permission.forced,
        };
        let switchover = permission.switchover.take();
        if allowed {
            self.vetoes = 0;
            if let Some((id, switchover)) = switchover {
                self.start_switchover(now, id, &switchover);
                // It was refused meanwhile.
                self.permission.take_if(|other| other.asked.is_none());
            }
            return;
        }
        self.permission = None;
        let reason = said.unwrap_or_else(|| format!("a hook {}", result.as_str()));
        let (from, to) = (from.map(|node| self.id(node)), self.id(to));
        self.events.push_back(EventKind::MoveVetoed { from, to, cause, reason: reason.clone() });
        match switchover {
            Some((id, _)) => {
                let reason = format!("a pre_move hook did not allow it: {reason}");
                self.answer(id, Err(CommandError::MoveFailed { reason, unchanged: true }));
            }
            None => {
                self.vetoes = self.vetoes.saturating_add(1);
                let (base, most) = (Duration::from_secs(2), Duration::from_secs(60));
                self.hold_off_from = Some(cause);
                self.hold_off = Some(now + backoff(self.vetoes, base, most, &mut self.rng));
                self.set_hold(Hold::Vetoed);
            }
        }
    }

    /// What the hooks were asked before the monitor stood still is asked anew, but for an operator's move, which waits.
    pub(super) fn void_permission(&mut self) {
        self.permission.take_if(|permission| permission.switchover.is_none());
    }

    /// Ends a question that nobody has answered, and a permission that nobody has used.
    pub(super) fn expire_permission(&mut self, now: Instant) {
        let Some(permission) = self.permission.as_ref().filter(|permission| permission.until <= now) else { return };
        match permission.asked {
            Some(call) => self.end_permission(now, call, HookResult::TimedOut, None),
            None => self.permission = None,
        }
    }

    pub(super) fn next_permission(&self) -> Option<Instant> {
        self.permission.as_ref().map(|permission| permission.until)
    }
}
