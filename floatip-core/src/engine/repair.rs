//! What a claim has left undone: the address is held, but not settled, or split among several. It is told, and repaired
//! in the background.

use std::time::{Duration, Instant};

use super::{Action, CallId, Engine, backoff};
use crate::event::EventKind;
use crate::mover::{Accepted, MoveError, Part, Placement};
use crate::node::NodeId;
use crate::status::{Health, Unsettled};
use crate::urgency::Urgency;

/// A repair of a claim that is complete but not settled.
#[derive(Debug)]
pub(super) struct Repair {
    node: NodeId,
    pub(super) call: Option<CallId>,
    attempts: u32,
    next: Instant,
    /// When the newest attempt ended, until a reading has followed it.
    unread: Option<Instant>,
    /// What the provider said last to it.
    error: Option<String>,
    /// An event has named an error.
    told: bool,
}

impl Repair {
    pub(super) fn is_on_the_wire(&self) -> bool {
        self.call.is_some()
    }

    /// When a reading is due after an attempt.
    pub(super) fn unread(&self) -> Option<Instant> {
        self.unread
    }

    pub(super) fn begin_read(&mut self) {
        self.unread = None;
    }
}

impl Engine {
    /// The node that holds the address by the newest reading. One that is split is held by whom it was known on, as long
    /// as a part of it is there.
    pub(super) fn seated(&self) -> Option<usize> {
        match self.reader.placement()? {
            Placement::Held { node, .. } => self.index(node),
            Placement::Split { parts, .. } => self.holder.filter(|holder| self.has_part(parts, *holder)),
            Placement::Transition { .. } | Placement::Free | Placement::Stranger { .. } => None,
        }
    }

    pub(super) fn has_part(&self, parts: &[Part], node: usize) -> bool {
        let node = &self.settings.nodes[node].id;
        parts.iter().any(|part| part.node.as_ref() == Some(node))
    }

    /// The nodes that have parts, one for each part, in the order of the parts.
    pub(super) fn holders_of(&self, parts: &[Part]) -> impl Iterator<Item = usize> {
        parts.iter().filter_map(|part| self.index(part.node.as_ref()?))
    }

    /// How many parts come before the first that a node has.
    pub(super) fn first_part(&self, parts: &[Part], node: usize) -> usize {
        let node = &self.settings.nodes[node].id;
        parts.iter().take_while(|part| part.node.as_ref() != Some(node)).count()
    }

    /// Who is to have the whole of a split address: the node on which a move of this monitor landed, else, of those that
    /// are not down, the one that has most of it; among equals the holder, then who has the first part, so that two
    /// monitors of which neither knows the holder come to the same.
    fn seat_of(&self, parts: &[Part]) -> Option<usize> {
        let landed = self.landed.filter(|node| self.has_part(parts, *node));
        landed.or_else(|| {
            self.holders_of(parts).max_by_key(|node| {
                let well = self.watch.health(*node) != Health::Unhealthy;
                let share = self.holders_of(parts).filter(|holder| holder == node).count();
                (well, share, self.holder == Some(*node), std::cmp::Reverse(self.first_part(parts, *node)))
            })
        })
    }

    /// A reading shows the address split. Whoever held it goes on holding it; another node does so only once readings
    /// agree, for it may be another monitor's move that is half done.
    pub(super) fn note_split(&mut self, now: Instant, parts: &[Part]) {
        let Some(seat) = self.seat_of(parts) else { return };
        if self.holder != Some(seat) && !self.reader.agreed_split() {
            return;
        }
        self.set_holder(Some(seat));
        self.note_drift(now, Some(seat));
        if self.reader.agreed_split() {
            let node = self.id(seat);
            self.note_settled(now, &node, false);
        }
    }

    /// A move leaves a split address where most of it could be brought.
    pub(super) fn settle_for(&mut self, now: Instant, node: usize, error: String) {
        self.landed = Some(node);
        self.set_holder(Some(node));
        let name = self.id(node);
        // No repair is on the wire: the move's own request has waited for that.
        self.repair.take_if(|repair| repair.node != name);
        let repair = self.repair.get_or_insert_with(|| Repair::of(name.clone(), now));
        (repair.error, repair.told) = (Some(error.clone()), true);
        self.tell_unsettled(name, Some(error));
    }

    pub(super) fn note_settled(&mut self, now: Instant, node: &NodeId, settled: bool) {
        self.repair.take_if(|repair| repair.node != *node && !repair.is_on_the_wire());
        match (&self.repair, settled) {
            (None, false) => {
                self.repair = Some(Repair::of(node.clone(), now));
                self.tell_unsettled(node.clone(), None);
            }
            (Some(repair), true) if repair.call.is_none() => {
                self.repair = None;
                self.events.push_back(EventKind::PlacementSettled { node: node.clone() });
            }
            (Some(_), true | false) | (None, true) => {}
        }
    }

    fn tell_unsettled(&mut self, node: NodeId, error: Option<String>) {
        let parts = self.parts_left(&node);
        self.events.push_back(EventKind::PlacementUnsettled { node, parts, error });
    }

    /// The parts of a split address that `node` does not have.
    fn parts_left(&self, node: &NodeId) -> Vec<Part> {
        match self.reader.placement() {
            Some(Placement::Split { parts, .. }) => {
                parts.iter().filter(|part| part.node.as_ref() != Some(node)).cloned().collect()
            }
            Some(
                Placement::Held { .. } | Placement::Transition { .. } | Placement::Free | Placement::Stranger { .. },
            )
            | None => Vec::new(),
        }
    }

    /// The holder, and the reading, if something of its claim is left that may be repaired now.
    fn repairable(&self) -> Option<(NodeId, Placement)> {
        let seen = self.reader.placement()?;
        match seen {
            Placement::Held { node, settled: false, .. } => Some((node.clone(), seen.clone())),
            Placement::Split { .. } => {
                let seat = self.seated()?;
                let own = self.settings.policy.recoveries || self.landed == Some(seat);
                // What is on another node may serve clients there: it is taken only for a holder that is well.
                let well = self.watch.health(seat) == Health::Healthy;
                let may = own && well && self.pause.is_none() && self.reader.agreed_split();
                may.then(|| (self.id(seat), seen.clone()))
            }
            Placement::Held { settled: true, .. }
            | Placement::Transition { .. }
            | Placement::Free
            | Placement::Stranger { .. } => None,
        }
    }

    /// Finishes a claim in the background, while nothing moves: once, then ever more rarely.
    pub(super) fn begin_repair(&mut self, now: Instant) {
        let due = self.repair.as_ref().is_some_and(|repair| repair.call.is_none() && repair.next <= now);
        if !due || self.moving.is_some() || self.stopping || !self.may_request(now, self.reader.active()) {
            return;
        }
        let Some((to, seen)) = self.repairable() else { return };
        let call = self.call();
        if let Some(repair) = &mut self.repair {
            repair.call = Some(call);
        }
        let mover = self.reader.active();
        self.actions.push_back(Action::Claim { call, mover, to, urgency: Urgency::Routine, seen });
    }

    pub(super) fn end_repair(&mut self, now: Instant, reply: &Result<Accepted, MoveError>) {
        if let Some(repair) = &mut self.repair {
            repair.call = None;
            repair.unread = Some(now);
            repair.attempts = repair.attempts.saturating_add(1);
            repair.next =
                now + backoff(repair.attempts, Duration::from_secs(1), Duration::from_secs(60), &mut self.rng);
            repair.error = reply.as_ref().err().map(|error| crate::chain(error));
            let refused = reply.as_ref().is_err_and(is_for_good);
            if refused && !std::mem::replace(&mut repair.told, true) {
                let (node, error) = (repair.node.clone(), repair.error.clone());
                self.tell_unsettled(node, error);
            }
        }
        self.reader.abandon();
    }

    pub(super) fn next_repair(&self) -> Option<Instant> {
        let idle = self.moving.is_none() && !self.stopping && !self.settings.leased && self.repairable().is_some();
        self.repair.as_ref().filter(|repair| idle && repair.call.is_none()).map(|repair| repair.next)
    }

    /// What is left of the claim for the holder.
    pub(super) fn unsettled(&self) -> Option<Unsettled> {
        let repair = self.repair.as_ref()?;
        let left = match self.reader.placement()? {
            Placement::Held { settled, .. } => !settled,
            Placement::Split { .. } => self.seated().is_some(),
            Placement::Transition { .. } | Placement::Free | Placement::Stranger { .. } => false,
        };
        left.then(|| Unsettled { parts: self.parts_left(&repair.node), error: repair.error.clone() })
    }
}

impl Repair {
    fn of(node: NodeId, now: Instant) -> Self {
        Self { node, call: None, attempts: 0, next: now, unread: None, error: None, told: false }
    }
}

/// Whether asking again is useless until somebody changes something.
pub(super) fn is_for_good(error: &MoveError) -> bool {
    match error {
        MoveError::Denied { .. } | MoveError::NotFound { .. } | MoveError::Impossible { .. } => true,
        MoveError::Partly { left, .. } => left.iter().all(|left| is_for_good(&left.error)),
        MoveError::Conflict { .. }
        | MoveError::Throttled { .. }
        | MoveError::Deferred { .. }
        | MoveError::NotYet { .. }
        | MoveError::OutcomeUnknown { .. }
        | MoveError::TimedOut { .. } => false,
    }
}
