//! The operator's brakes: pause, freeze, acknowledgement and drain, and what of them survives a restart.

use std::time::{Duration, Instant};

use super::{Action, CommandId, Engine};
use crate::command::{Command, CommandError, Done};
use crate::durable::Durable;
use crate::event::EventKind;
use crate::node::NodeId;

/// An operator's pause of automatic moves.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) reason: Option<String>,
    pub(super) until: Option<Instant>,
}

impl Pause {
    pub(super) fn remembered(now: Instant, durable: &Durable) -> Option<Self> {
        let until = durable.pause_left.map(|left| now + left);
        durable.paused.then(|| Self { reason: durable.pause_reason.clone(), until })
    }

    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}

impl Engine {
    pub(super) fn obey(&mut self, now: Instant, id: CommandId, command: Command) {
        match command {
            Command::Switchover(switchover) => return self.start_switchover(now, id, &switchover),
            Command::Pause { reason, duration } => {
                // Whoever only prolongs a pause does not take back why it was made.
                let reason = reason.or_else(|| self.pause.take().and_then(|pause| pause.reason));
                self.pause = Some(Pause { reason: reason.clone(), until: duration.map(|duration| now + duration) });
                self.events.push_back(EventKind::Paused { reason, duration });
                self.cancel_voluntary(now, "an operator paused it");
                self.answer(id, Ok(Done::Paused));
            }
            Command::Resume => {
                self.pause = None;
                self.unfreeze();
                self.events.push_back(EventKind::Resumed {});
                self.answer(id, Ok(Done::Resumed));
            }
            Command::Acknowledge => {
                self.unfreeze();
                self.events.push_back(EventKind::Acknowledged {});
                self.answer(id, Ok(Done::Acknowledged));
            }
            Command::Drain { node } => self.drain(id, &node, true),
            Command::Undrain { node } => self.drain(id, &node, false),
        }
        self.save(now);
    }

    fn unfreeze(&mut self) {
        self.frozen = false;
        self.budget.clear();
        self.hold_off = None;
    }

    fn drain(&mut self, id: CommandId, node: &NodeId, drained: bool) {
        let Some(index) = self.index(node) else {
            let floating_ip = self.settings.floating_ip.name.to_string();
            let node = node.to_string();
            return self.answer(id, Err(CommandError::UnknownNode { floating_ip, node }));
        };
        if std::mem::replace(&mut self.drained[index], drained) != drained {
            let node = node.clone();
            self.events.push_back(match drained {
                true => EventKind::NodeDrained { node },
                false => EventKind::NodeUndrained { node },
            });
        }
        self.answer(id, Ok(if drained { Done::Drained } else { Done::Undrained }));
    }

    /// Ends a pause whose time is over.
    pub(super) fn end_pause(&mut self, now: Instant) {
        if self.pause.as_ref().and_then(|pause| pause.until).is_some_and(|until| until <= now) {
            self.pause = None;
            self.events.push_back(EventKind::Resumed {});
            self.save(now);
        }
    }

    pub(super) fn save(&mut self, now: Instant) {
        let drained = (0..self.drained.len()).filter(|node| self.drained[*node]).map(|node| self.id(node).to_string());
        self.actions.push_back(Action::Save(Durable {
            paused: self.pause.is_some(),
            pause_reason: self.pause.as_ref().and_then(|pause| pause.reason.clone()),
            pause_left: self.pause.as_ref().and_then(|pause| pause.left(now)),
            drained: drained.collect(),
            frozen: self.frozen,
            move_ages: self.budget.ages(now),
            served: self.watch.served(),
            home: self.drift.home().map(|home| self.id(home).to_string()),
        }));
    }
}
