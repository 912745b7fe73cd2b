//! The truth about the address, and how the provider tells it and changes it.

mod parts;
mod taken;

use std::time::Duration;

use floatip_core::{Accepted, MoveError, NodeId, Placement, ReleaseMode, Strategy, Token};

use crate::trouble::Stuck;
use parts::Parts;

pub(crate) use parts::Unanswered;
pub(crate) use taken::CARRIER;

/// The first mover: moves the address itself.
pub(crate) const FIRST: usize = 0;

/// What can hold the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupant {
    Node(usize),
    Stranger,
}

/// A change that was accepted and is not done.
#[derive(Debug, Clone, Copy)]
struct Change {
    to: Option<usize>,
    ends: Option<Duration>,
    forced: bool,
}

/// What each mover sees from a time on.
#[derive(Debug)]
struct Moment {
    at: Duration,
    seen: [Placement; 2],
}

/// The provider of the one address.
#[derive(Debug)]
pub(crate) struct Provider {
    nodes: Vec<NodeId>,
    /// Where each part is, if the address consists of several.
    parts: Option<Parts>,
    /// The node that has taken the address over, by the second mover, from what the first one moves.
    taken_by: Option<usize>,
    /// It compares generation tokens; otherwise it knows snapshots only, and compares nothing.
    enforced: bool,
    /// It refuses claims of an address that somebody holds.
    exclusive: bool,
    pub(crate) release_takes: Duration,
    pub(crate) claim_takes: Duration,
    pub(crate) stuck_releases: Stuck,
    pub(crate) stuck_claims: Vec<bool>,
    pub(crate) impossible: Vec<bool>,
    pub(crate) unready: Vec<bool>,
    pub(crate) claims_to_settle: u32,
    pub(crate) lag: Duration,
    frozen: Option<(Duration, Duration)>,
    holders: Vec<Occupant>,
    token: Token,
    claims_left: u32,
    change: Option<Change>,
    minted: u64,
    past: Vec<Moment>,
    /// When each node held the address last.
    held_last: Vec<Option<Duration>>,
}

impl Provider {
    pub(crate) fn new(nodes: Vec<NodeId>, enforced: bool, exclusive: bool, parts: usize) -> Self {
        let count = nodes.len();
        let mut provider = Self {
            nodes,
            parts: (parts > 1).then(|| Parts::new(parts)),
            taken_by: None,
            enforced,
            exclusive,
            release_takes: Duration::ZERO,
            claim_takes: Duration::ZERO,
            stuck_releases: Stuck::Never,
            stuck_claims: vec![false; count],
            impossible: vec![false; count],
            unready: vec![false; count],
            claims_to_settle: 0,
            lag: Duration::ZERO,
            frozen: None,
            holders: Vec::new(),
            token: Token::snapshot("nobody"),
            claims_left: 0,
            change: None,
            minted: 0,
            past: Vec::new(),
            held_last: vec![None; count],
        };
        provider.note(Duration::ZERO);
        provider
    }

    /// Brings the truth up to `now`: a change whose time has come took effect at its own time.
    pub(crate) fn catch_up(&mut self, now: Duration) {
        if let Some(ends) = self.change.and_then(|change| change.ends).filter(|ends| *ends <= now) {
            self.finish_change(ends);
        }
    }

    /// True if a change is under way that never ends, and that a mover of `strategy` cannot end by force: a claim has no
    /// other target perhaps, and what overwrites does not release.
    pub(crate) fn is_stuck_for_good(&self, strategy: Strategy) -> bool {
        if self.taken_by.is_some() {
            return false;
        }
        let forceable = |change: &Change| !change.forced && change.to.is_none() && strategy == Strategy::ReleaseFirst;
        self.change.as_ref().is_some_and(|change| change.ends.is_none() && !forceable(change))
    }

    /// True if a change is under way that never ends by itself.
    pub(crate) fn is_endless(&self) -> bool {
        self.taken_by.is_none() && self.change.is_some_and(|change| change.ends.is_none())
    }

    /// The node that the address is leaving.
    pub(crate) fn leaves(&self) -> Option<usize> {
        self.change.and(self.holders.first()).and_then(|occupant| match occupant {
            Occupant::Node(node) => Some(*node),
            Occupant::Stranger => None,
        })
    }

    pub(crate) fn finish_change(&mut self, at: Duration) {
        if let Some(change) = self.change.take() {
            self.leave(at);
            self.holders = change.to.map(Occupant::Node).into_iter().collect();
            self.note(at);
        }
    }

    fn leave(&mut self, at: Duration) {
        for node in 0..self.nodes.len() {
            if self.holds(node) {
                self.held_last[node] = Some(at);
            }
        }
    }

    /// True if the address, or a part of it, is on `node`.
    fn holds(&self, node: usize) -> bool {
        match (&self.parts, self.taken_by) {
            (Some(parts), _) => parts.are_on(node),
            (None, Some(taken_by)) => taken_by == node,
            (None, None) => self.holders.contains(&Occupant::Node(node)),
        }
    }

    fn note(&mut self, at: Duration) {
        let seen = [self.seen_by_first(), self.seen_by_second()];
        self.past.push(Moment { at, seen });
    }

    /// The truth now.
    pub(crate) fn placement(&self) -> Placement {
        match self.taken_by {
            Some(_) => self.seen_by_second(),
            None => self.seen_by_first(),
        }
    }

    fn seen_by(&self, mover: usize) -> Placement {
        if mover == FIRST { self.seen_by_first() } else { self.seen_by_second() }
    }

    fn seen_by_first(&self) -> Placement {
        if let Some(node) = self.taken_by {
            return self.seen_as_taken(node);
        }
        if let Some(parts) = &self.parts {
            return parts.placement(&self.nodes, &self.token);
        }
        let token = self.token.clone();
        let node = |occupant: &Occupant| match occupant {
            Occupant::Node(node) => Some(self.nodes[*node].clone()),
            Occupant::Stranger => None,
        };
        if let Some(change) = &self.change {
            let from = self.holders.iter().find_map(node);
            return Placement::Transition { from, to: change.to.map(|to| self.nodes[to].clone()), token };
        }
        match self.holders.as_slice() {
            [] => Placement::Free,
            [Occupant::Node(node)] => {
                Placement::Held { node: self.nodes[*node].clone(), token, settled: self.claims_left == 0 }
            }
            [Occupant::Stranger, ..] => Placement::Stranger { description: "i-elsewhere".into(), token },
            // Nothing that this provider does is split: two holders are a violation, and read as the first.
            [Occupant::Node(node), ..] => Placement::Held { node: self.nodes[*node].clone(), token, settled: true },
        }
    }

    /// What a read of a mover answers now, which may be the state of an earlier time.
    pub(crate) fn reading(&self, now: Duration, mover: usize) -> Placement {
        let mut as_of = now.saturating_sub(self.lag);
        if let Some((since, _)) = self.frozen.filter(|(_, until)| now < *until) {
            as_of = as_of.min(since);
        }
        let moment = self.past.iter().rev().find(|moment| moment.at <= as_of).or(self.past.first());
        moment.map_or(Placement::Free, |moment| moment.seen[mover].clone())
    }

    pub(crate) fn freeze_reads(&mut self, now: Duration, lasts: Duration) {
        self.frozen = Some((now, now + lasts));
    }

    pub(crate) fn end_staleness(&mut self) {
        self.lag = Duration::ZERO;
        self.frozen = None;
    }

    /// The node that holds the whole address, and is not being changed.
    pub(crate) fn holder(&self) -> Option<usize> {
        if let Some(parts) = &self.parts {
            return parts.holder();
        }
        if self.taken_by.is_some() {
            return self.taken_by;
        }
        match (self.change, self.holders.as_slice()) {
            (None, [Occupant::Node(node)]) => Some(*node),
            (Some(_), _) | (None, _) => None,
        }
    }

    /// The node that packets to the address reach.
    pub(crate) fn serving(&self) -> Option<usize> {
        if let Some(parts) = &self.parts {
            return parts.serving();
        }
        if self.taken_by.is_some() {
            return self.taken_by;
        }
        match (self.change, self.holders.first()) {
            (None, Some(Occupant::Node(node))) => Some(*node),
            (Some(_), _) | (None, Some(Occupant::Stranger) | None) => None,
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.taken_by.is_some() || self.claims_left == 0 && self.change.is_none()
    }

    pub(crate) fn holders(&self) -> usize {
        self.holders.len()
    }

    pub(crate) fn is_on_stranger(&self) -> bool {
        self.holders.contains(&Occupant::Stranger) || self.parts.as_ref().is_some_and(Parts::are_on_stranger)
    }

    /// True if `node` held the address at `since` or later.
    pub(crate) fn held_since(&self, node: usize, since: Duration) -> bool {
        self.holds(node) || self.held_last[node].is_some_and(|last| last >= since)
    }

    /// Somebody outside puts the address somewhere, at once.
    pub(crate) fn put(&mut self, now: Duration, on: Option<Occupant>, claims_left: u32) {
        self.leave(now);
        self.token = self.mint(on);
        match &mut self.parts {
            Some(parts) => parts.put(on),
            None => self.holders = on.into_iter().collect(),
        }
        self.taken_by = None;
        self.change = None;
        self.claims_left = if self.parts.is_some() { 0 } else { claims_left };
        self.note(now);
    }

    /// Somebody outside begins to release the address, and never ends.
    pub(crate) fn release_from_outside(&mut self, now: Duration) {
        if self.change.is_none() && !self.holders.is_empty() {
            self.change = Some(Change { to: None, ends: None, forced: false });
            self.note(now);
        }
    }

    fn is_current(&self, seen: &Placement, mover: usize) -> bool {
        let truth = self.seen_by(mover);
        match truth.token() {
            Some(token) => seen.token() == Some(token),
            None => *seen == Placement::Free,
        }
    }

    pub(crate) fn check_release(&self, seen: &Placement, mode: ReleaseMode) -> Result<(), MoveError> {
        if *seen == Placement::Free || !self.is_current(seen, FIRST) {
            return Err(conflict("release"));
        }
        match self.change {
            Some(change) if mode == ReleaseMode::Graceful || change.forced => Err(not_yet("release")),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn release(&mut self, now: Duration, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        if self.holders.is_empty() && self.change.is_none() || self.taken_by.is_some() {
            return Err(conflict("release"));
        }
        let forced = mode == ReleaseMode::Forced;
        let stuck = match self.stuck_releases {
            Stuck::Never => false,
            Stuck::Graceful => !forced,
            Stuck::Always => true,
        };
        self.change = Some(Change { to: None, ends: (!stuck).then(|| now + self.release_takes), forced });
        self.note(now);
        self.catch_up(now);
        Ok(Accepted::without_token())
    }

    pub(crate) fn check_claim(&self, to: usize, seen: &Placement, strategy: Strategy) -> Result<(), MoveError> {
        if self.impossible[to] {
            return Err(MoveError::Impossible {
                call: "claim",
                resource: "the address".into(),
                reason: "no slot".into(),
                source: "no slot".into(),
            });
        }
        let careless = *seen == Placement::Free && !self.exclusive && self.parts.is_none();
        if !careless && !self.is_current(seen, FIRST) {
            return Err(conflict("claim"));
        }
        let finishes = self.change.is_none() && self.holders == [Occupant::Node(to)];
        match (self.change, strategy) {
            (Some(_), Strategy::ReleaseFirst) => Err(not_yet("claim")),
            (Some(_), Strategy::Overwrite) => Ok(()),
            (None, Strategy::ReleaseFirst) if !careless && !self.holders.is_empty() && !finishes => {
                Err(conflict("claim"))
            }
            (None, Strategy::ReleaseFirst | Strategy::Overwrite) => Ok(()),
        }
    }

    pub(crate) fn claim(&mut self, now: Duration, to: usize, seen: &Placement) -> Result<Accepted, MoveError> {
        let occupant = Occupant::Node(to);
        if self.taken_by.is_some() {
            return Err(conflict("claim"));
        }
        if self.change.is_none() && self.holders == [occupant] {
            if self.claims_left > 0 {
                self.claims_left -= 1;
                self.note(now);
            }
            return Ok(self.accepted());
        }
        if *seen == Placement::Free && (!self.holders.is_empty() || self.change.is_some()) {
            if self.exclusive {
                return Err(conflict("claim"));
            }
            self.holders.push(occupant);
            return Ok(self.accepted());
        }
        self.claims_left = self.claims_to_settle;
        self.token = self.mint(Some(occupant));
        let ends = (!self.stuck_claims[to]).then(|| now + self.claim_takes);
        self.change = Some(Change { to: Some(to), ends, forced: false });
        self.note(now);
        self.catch_up(now);
        Ok(self.accepted())
    }

    fn accepted(&self) -> Accepted {
        if self.enforced { Accepted::with_token(self.token.clone()) } else { Accepted::without_token() }
    }

    fn mint(&mut self, on: Option<Occupant>) -> Token {
        self.minted += 1;
        if self.enforced {
            return Token::generation(format!("generation-{}", self.minted));
        }
        Token::snapshot(match on {
            Some(Occupant::Node(node)) => self.nodes[node].as_str(),
            Some(Occupant::Stranger) => "i-elsewhere",
            None => "nobody",
        })
    }
}

fn conflict(call: &'static str) -> MoveError {
    MoveError::Conflict { call, resource: "the address".into(), source: "what was seen is no longer current".into() }
}

fn not_yet(call: &'static str) -> MoveError {
    MoveError::NotYet { call, resource: "the address".into(), source: "another change is under way".into() }
}
