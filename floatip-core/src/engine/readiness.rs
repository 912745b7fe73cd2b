//! Which nodes could not take the address, by what the provider says beforehand.

use std::time::{Duration, Instant};

use super::{Action, Engine};
use crate::event::EventKind;
use crate::mover::{MoveError, Readiness};

/// How often it is asked whether the nodes could take the address.
const READY_INTERVAL: Duration = Duration::from_secs(3600);

/// How often it is asked of a node that could not.
const READY_RETRY: Duration = Duration::from_secs(60);

impl Engine {
    pub(super) fn note_readiness(&mut self, now: Instant, node: usize, answer: Result<Readiness, MoveError>) {
        self.asked_ready[node] = None;
        let known = answer.is_ok();
        let announced = std::mem::replace(&mut self.announced_unready[node], !known);
        match answer {
            Ok(Readiness::Ready) => self.set_impossible(now, node, None),
            Ok(Readiness::Impossible { reason }) => self.set_impossible(now, node, Some(reason)),
            Err(error) => {
                self.next_ready[node] = now + READY_RETRY;
                if !announced {
                    let (node, error) = (self.id(node), crate::chain(&error));
                    self.events.push_back(EventKind::ReadinessUnknown { node, error });
                }
            }
        }
    }

    pub(super) fn set_impossible(&mut self, now: Instant, node: usize, reason: Option<String>) {
        self.next_ready[node] = now + if reason.is_some() { READY_RETRY } else { READY_INTERVAL };
        let id = self.id(node);
        match (&self.impossible[node], &reason) {
            (before, Some(reason)) if before.as_ref() != Some(reason) => {
                self.events.push_back(EventKind::CandidateNotReady { node: id, reason: reason.clone() });
            }
            (Some(_), None) => self.events.push_back(EventKind::CandidateReady { node: id }),
            (Some(_) | None, Some(_)) | (None, None) => {}
        }
        self.impossible[node] = reason;
    }

    /// Asks of every node but the holder whether it could take the address; never during a move.
    pub(super) fn ask_ready(&mut self, now: Instant) {
        if !self.may_ask_ready() {
            return;
        }
        for node in 0..self.settings.nodes.len() {
            if self.asks_ready_of(node) && self.next_ready[node] <= now {
                let call = self.call();
                self.asked_ready[node] = Some(call);
                self.next_ready[node] = now + READY_INTERVAL;
                self.actions.push_back(Action::Ready { call, mover: 0, node: self.id(node) });
            }
        }
    }

    /// Not during a move, unless it is stuck: then a node that has become possible is its way out.
    fn may_ask_ready(&self) -> bool {
        let moves = self.moving.as_ref().is_some_and(|moving| moving.stuck().is_none());
        !moves && !self.stopping && self.reader.placement().is_some()
    }

    fn asks_ready_of(&self, node: usize) -> bool {
        self.holder != Some(node) && self.asked_ready[node].is_none()
    }

    pub(super) fn next_ready_due(&self) -> Option<Instant> {
        if !self.may_ask_ready() {
            return None;
        }
        (0..self.settings.nodes.len()).filter(|node| self.asks_ready_of(*node)).map(|node| self.next_ready[node]).min()
    }
}
