//! Which nodes could not take the address, by what the provider says beforehand.

use std::time::{Duration, Instant};

use super::{Action, CallId, Engine};
use crate::event::EventKind;
use crate::mover::{MoveError, Readiness};

/// How often it is asked whether the nodes could take the address.
const READY_INTERVAL: Duration = Duration::from_secs(3600);

/// How often it is asked of a node that could not.
const READY_RETRY: Duration = Duration::from_secs(60);

/// What one mover says of one node.
#[derive(Debug)]
pub(super) struct Fitness {
    impossible: Option<String>,
    asked: Option<CallId>,
    announced_unknown: bool,
    next: Instant,
}

impl Fitness {
    pub(super) fn new(now: Instant) -> Self {
        Self { impossible: None, asked: None, announced_unknown: false, next: now }
    }
}

impl Engine {
    /// What makes it impossible for `mover` to give the address to `node`, if something does.
    pub(super) fn impossible_by(&self, mover: usize, node: usize) -> Option<&String> {
        self.fitness[mover][node].impossible.as_ref()
    }

    pub(super) fn note_readiness(&mut self, now: Instant, call: CallId, answer: Result<Readiness, MoveError>) {
        let places = (0..self.settings.movers.len())
            .flat_map(|mover| (0..self.settings.nodes.len()).map(move |node| (mover, node)));
        let asked = places.into_iter().find(|(mover, node)| self.fitness[*mover][*node].asked == Some(call));
        let Some((mover, node)) = asked else { return };
        let fitness = &mut self.fitness[mover][node];
        fitness.asked = None;
        let known = answer.is_ok();
        let announced = std::mem::replace(&mut fitness.announced_unknown, !known);
        match answer {
            Ok(Readiness::Ready) => self.set_impossible(now, mover, node, None),
            Ok(Readiness::Impossible { reason }) => self.set_impossible(now, mover, node, Some(reason)),
            Err(error) => {
                fitness.next = now + READY_RETRY;
                if !announced {
                    let (node, error) = (self.id(node), crate::chain(&error));
                    self.events.push_back(EventKind::ReadinessUnknown { node, error });
                }
            }
        }
    }

    pub(super) fn set_impossible(&mut self, now: Instant, mover: usize, node: usize, reason: Option<String>) {
        let fitness = &mut self.fitness[mover][node];
        fitness.next = now + if reason.is_some() { READY_RETRY } else { READY_INTERVAL };
        fitness.impossible = reason;
        self.refresh_possible(node);
    }

    /// A node is no candidate if none of the movers that are left, from the one by which the address is held on, could
    /// give it the address.
    fn refresh_possible(&mut self, node: usize) {
        let from = self.moving.as_ref().map_or(self.reader.active(), |moving| moving.base);
        let reason = match self.mover_for(node, from) {
            Some(_) => None,
            None => self.impossible_by(from, node).cloned(),
        };
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

    /// The address is held by another mover than before.
    pub(super) fn refresh_all_possible(&mut self) {
        (0..self.settings.nodes.len()).for_each(|node| self.refresh_possible(node));
    }

    pub(super) fn ask_ready_again(&mut self, now: Instant, node: usize) {
        self.fitness.iter_mut().for_each(|of_mover| of_mover[node].next = now);
    }

    /// Asks of every node but the holder whether it could take the address; never during a move.
    pub(super) fn ask_ready(&mut self, now: Instant) {
        if !self.may_ask_ready() {
            return;
        }
        for mover in 0..self.settings.movers.len() {
            for node in 0..self.settings.nodes.len() {
                if self.asks_ready_of(mover, node) && self.fitness[mover][node].next <= now {
                    let call = self.call();
                    let fitness = &mut self.fitness[mover][node];
                    fitness.asked = Some(call);
                    fitness.next = now + READY_INTERVAL;
                    self.actions.push_back(Action::Ready { call, mover, node: self.id(node) });
                }
            }
        }
    }

    /// Not during a move, unless it is stuck: then a node that has become possible is its way out.
    fn may_ask_ready(&self) -> bool {
        let moves = self.moving.as_ref().is_some_and(|moving| moving.stuck().is_none());
        !moves && !self.stopping && self.reader.placement().is_some()
    }

    fn asks_ready_of(&self, mover: usize, node: usize) -> bool {
        self.holder != Some(node) && self.fitness[mover][node].asked.is_none()
    }

    pub(super) fn next_ready_due(&self) -> Option<Instant> {
        if !self.may_ask_ready() {
            return None;
        }
        let of = |mover: usize| {
            let nodes = (0..self.settings.nodes.len()).filter(move |node| self.asks_ready_of(mover, *node));
            nodes.map(move |node| self.fitness[mover][node].next)
        };
        (0..self.settings.movers.len()).flat_map(of).min()
    }
}
