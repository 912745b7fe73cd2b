//! The truth about one floating IP in memory: who holds it, what is under way, and when that ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::fault::Call;
use crate::mover::{Accepted, MoveError, Part, PartError, Placement, Readiness, ReleaseMode, Strategy, Token};
use crate::node::NodeId;

pub(super) const RESOURCE: &str = "the in-memory address";

/// What can hold the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// A node of the floating IP.
    Node(NodeId),
    /// Anything else, in words.
    Stranger(String),
}

impl Occupant {
    fn node(&self) -> Option<&NodeId> {
        match self {
            Self::Node(node) => Some(node),
            Self::Stranger(_) => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Node(node) => node.as_str(),
            Self::Stranger(description) => description,
        }
    }
}

/// What identifies an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// A number that is never used twice; a claim answers it.
    Generation,
    /// The holder itself, so that it may come back; a claim answers none.
    Snapshot,
}

/// Which releases never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// None.
    Never,
    /// Graceful ones; a forced one ends.
    Graceful,
    /// All.
    Always,
}

/// A change that was accepted and is not done.
#[derive(Debug)]
struct Change {
    to: Option<NodeId>,
    /// What keeps the half of the address that does not move.
    left: Option<Occupant>,
    ends: Option<Instant>,
    forced: bool,
}

/// By what a mover moves the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// With the interface that carries it.
    Carrier,
    /// From that interface, or from another node, onto an interface of the node's own.
    TakeOver,
}

/// One state of the address, from the time on at which it became true.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) at: Instant,
    placement: Placement,
    taken_over: Placement,
    pub(super) holders: Vec<Occupant>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) nodes: Vec<NodeId>,
    pub(super) tokens: Tokens,
    pub(super) exclusive: bool,
    pub(super) release_takes: Duration,
    pub(super) forced_release_takes: Option<Duration>,
    pub(super) claim_takes: Duration,
    pub(super) latency: Duration,
    pub(super) stuck_release: Stuck,
    pub(super) stuck_claims: BTreeSet<NodeId>,
    pub(super) impossible: BTreeMap<NodeId, String>,
    /// Why one half of the address stays where it is, whatever is claimed.
    pub(super) immovable_half: Option<String>,
    pub(super) readiness: BTreeMap<NodeId, Readiness>,
    pub(super) claims_to_settle: u32,
    pub(super) read_lag: Duration,
    pub(super) frozen_reads: Option<(Instant, Instant)>,
    holders: Vec<Occupant>,
    /// The node that has taken the address over from its carrier.
    taken_by: Option<NodeId>,
    token: Token,
    claims_left: u32,
    change: Option<Change>,
    minted: u64,
    moments: Vec<Moment>,
}

impl World {
    pub(super) fn new(nodes: Vec<NodeId>, tokens: Tokens, now: Instant) -> Self {
        let mut world = Self {
            nodes,
            tokens,
            exclusive: true,
            release_takes: Duration::ZERO,
            forced_release_takes: None,
            claim_takes: Duration::ZERO,
            latency: Duration::ZERO,
            stuck_release: Stuck::Never,
            stuck_claims: BTreeSet::new(),
            impossible: BTreeMap::new(),
            immovable_half: None,
            readiness: BTreeMap::new(),
            claims_to_settle: 0,
            read_lag: Duration::ZERO,
            frozen_reads: None,
            holders: Vec::new(),
            taken_by: None,
            token: Token::snapshot("nobody"),
            claims_left: 0,
            change: None,
            minted: 0,
            moments: Vec::new(),
        };
        world.note(now);
        world
    }

    /// Brings the truth up to `now`: a change whose time has come took effect at its own time.
    pub(super) fn catch_up(&mut self, now: Instant) {
        let due = self.change.as_ref().and_then(|change| change.ends).filter(|ends| *ends <= now);
        if let Some(ends) = due {
            self.finish_change(ends);
        }
    }

    pub(super) fn finish_change(&mut self, at: Instant) {
        if let Some(change) = self.change.take() {
            self.holders = change.to.map(Occupant::Node).into_iter().chain(change.left).collect();
            self.note(at);
        }
    }

    pub(super) fn placement(&self) -> Placement {
        match &self.taken_by {
            Some(node) => Placement::held(node.clone(), taken_token(node)),
            None => self.carrier(),
        }
    }

    /// What a mover of this mechanism sees of it.
    fn seen_by(&self, mechanism: Mechanism) -> Placement {
        match (mechanism, &self.taken_by) {
            (Mechanism::Carrier, None) => self.carrier(),
            (Mechanism::TakeOver, Some(_)) => self.placement(),
            (Mechanism::Carrier, Some(node)) => {
                Placement::Stranger { description: format!("{node}'s own interface"), token: taken_token(node) }
            }
            (Mechanism::TakeOver, None) => match self.holders.as_slice() {
                [Occupant::Stranger(name)] => {
                    Placement::Stranger { description: name.clone(), token: Token::snapshot(name.clone()) }
                }
                [] | [_, ..] => Placement::Stranger {
                    description: "the moving interface".to_owned(),
                    token: Token::snapshot("carrier"),
                },
            },
        }
    }

    pub(super) fn check_take_over(&self, seen: &Placement) -> Result<(), MoveError> {
        if seen.token().is_none() || seen.token() != self.seen_by(Mechanism::TakeOver).token() {
            return Err(conflict(Call::Claim, "the placement that was seen is no longer current"));
        }
        Ok(())
    }

    pub(super) fn take_over(&mut self, to: &NodeId, now: Instant) -> Accepted {
        self.taken_by = Some(to.clone());
        self.note(now);
        Accepted::with_token(taken_token(to))
    }

    /// Where the interface is that carries the address.
    fn carrier(&self) -> Placement {
        let token = self.token.clone();
        if let Some(change) = &self.change {
            let from = self.holders.iter().find_map(Occupant::node).cloned();
            return Placement::Transition { from, to: change.to.clone(), token };
        }
        match self.holders.as_slice() {
            [] => Placement::Free,
            [Occupant::Node(node)] => Placement::Held { node: node.clone(), token, settled: self.claims_left == 0 },
            [Occupant::Stranger(description)] => Placement::Stranger { description: description.clone(), token },
            many => {
                let part = |(index, occupant): (usize, &Occupant)| match occupant {
                    Occupant::Node(node) => Part::on(format!("part-{}", index + 1), node.clone()),
                    Occupant::Stranger(name) => Part::on_no_node(format!("part-{}", index + 1), name.clone()),
                };
                Placement::Split { parts: many.iter().enumerate().map(part).collect(), token }
            }
        }
    }

    /// What a read answers at `now`, which may be the state of an earlier time.
    pub(super) fn reading(&self, now: Instant, mechanism: Mechanism) -> Placement {
        let mut as_of = now.checked_sub(self.read_lag).unwrap_or(now);
        if let Some((since, until)) = self.frozen_reads
            && now < until
        {
            as_of = as_of.min(since);
        }
        let moment = self.moments.iter().rev().find(|moment| moment.at <= as_of).or(self.moments.first());
        moment.map_or(Placement::Free, |moment| match mechanism {
            Mechanism::Carrier => moment.placement.clone(),
            Mechanism::TakeOver => moment.taken_over.clone(),
        })
    }

    pub(super) fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The node that answers at the floating address.
    pub(super) fn serving(&self) -> Option<&NodeId> {
        match &self.taken_by {
            Some(node) => Some(node),
            None if self.change.is_some() => None,
            None => self.holders.first().and_then(Occupant::node),
        }
    }

    /// Puts the address somewhere from outside, at once.
    pub(super) fn put(&mut self, holders: Vec<Occupant>, now: Instant) {
        self.token = self.mint(&holders);
        self.holders = holders;
        self.taken_by = None;
        self.change = None;
        self.claims_left = 0;
        self.note(now);
    }

    pub(super) fn set_claims_left(&mut self, claims_left: u32, now: Instant) {
        self.claims_left = claims_left;
        self.note(now);
    }

    /// Begins a change from outside that never ends by itself.
    pub(super) fn put_in_transition(&mut self, from: Option<NodeId>, to: Option<NodeId>, now: Instant) {
        let holders: Vec<_> = from.into_iter().chain(to.clone()).map(Occupant::Node).collect();
        self.token = self.mint(&holders);
        self.holders = holders.into_iter().filter(|holder| holder.node() != to.as_ref()).collect();
        self.taken_by = None;
        self.change = Some(Change { to, left: None, ends: None, forced: false });
        self.note(now);
    }

    fn current(&self, seen: &Placement) -> bool {
        match self.carrier() {
            Placement::Free => *seen == Placement::Free,
            truth @ (Placement::Held { .. }
            | Placement::Transition { .. }
            | Placement::Stranger { .. }
            | Placement::Split { .. }) => seen.token() == truth.token(),
        }
    }

    pub(super) fn check_release(&self, seen: &Placement, mode: ReleaseMode) -> Result<(), MoveError> {
        if *seen == Placement::Free || !self.current(seen) {
            return Err(conflict(Call::Release, "the placement that was seen is no longer current"));
        }
        let in_the_way = self.change.as_ref().is_some_and(|change| mode == ReleaseMode::Graceful || change.forced);
        if in_the_way { Err(not_yet(Call::Release)) } else { Ok(()) }
    }

    pub(super) fn release(&mut self, mode: ReleaseMode, now: Instant) -> Accepted {
        let forced = mode == ReleaseMode::Forced;
        let takes = if forced { self.forced_release_takes.unwrap_or(self.release_takes) } else { self.release_takes };
        let stuck = match self.stuck_release {
            Stuck::Never => false,
            Stuck::Graceful => !forced,
            Stuck::Always => true,
        };
        self.change = Some(Change { to: None, left: None, ends: (!stuck).then(|| now + takes), forced });
        self.note(now);
        self.catch_up(now);
        Accepted::without_token()
    }

    pub(super) fn check_claim(&self, to: &NodeId, seen: &Placement, strategy: Strategy) -> Result<(), MoveError> {
        if let Some(reason) = self.impossible.get(to) {
            return Err(impossible(Call::Claim, reason));
        }
        if !self.current(seen) {
            return if *seen == Placement::Free && !self.exclusive {
                Ok(())
            } else {
                Err(conflict(Call::Claim, "the placement that was seen is no longer current"))
            };
        }
        match (seen, strategy) {
            (Placement::Free | Placement::Split { .. }, _) => Ok(()),
            (Placement::Held { node, .. }, _) if node == to => Ok(()),
            (
                Placement::Held { .. } | Placement::Transition { .. } | Placement::Stranger { .. },
                Strategy::Overwrite,
            ) => Ok(()),
            (Placement::Held { .. } | Placement::Stranger { .. }, Strategy::ReleaseFirst) => {
                Err(conflict(Call::Claim, "the address is in use"))
            }
            (Placement::Transition { .. }, Strategy::ReleaseFirst) => Err(not_yet(Call::Claim)),
        }
    }

    pub(super) fn claim(&mut self, to: &NodeId, seen: &Placement, now: Instant) -> Result<Accepted, MoveError> {
        let occupant = Occupant::Node(to.clone());
        if self.change.is_none() && self.holders == [occupant.clone()] {
            if self.claims_left > 0 {
                self.set_claims_left(self.claims_left - 1, now);
            }
            return Ok(self.accepted());
        }
        self.claims_left = self.claims_to_settle;
        if *seen == Placement::Free && !self.holders.is_empty() {
            let mut holders = std::mem::take(&mut self.holders);
            holders.retain(|holder| *holder != occupant);
            holders.push(occupant);
            self.put(holders, now);
            return Ok(self.accepted());
        }
        if let Some(reason) = self.immovable_half.clone() {
            return self.claim_half(to, &reason, now);
        }
        self.token = self.mint(&[occupant]);
        let ends = (!self.stuck_claims.contains(to)).then(|| now + self.claim_takes);
        self.change = Some(Change { to: Some(to.clone()), left: None, ends, forced: false });
        self.note(now);
        self.catch_up(now);
        Ok(self.accepted())
    }

    /// One half goes to `to`, the other one stays.
    fn claim_half(&mut self, to: &NodeId, reason: &str, now: Instant) -> Result<Accepted, MoveError> {
        let occupant = Occupant::Node(to.clone());
        if self.holders.contains(&occupant) {
            return Err(denied(Call::Claim, reason));
        }
        let stays = self.holders.last().cloned().unwrap_or_else(|| Occupant::Stranger("nothing".to_owned()));
        self.token = self.mint(&[occupant, stays.clone()]);
        let ends = Some(now + self.claim_takes);
        self.change = Some(Change { to: Some(to.clone()), left: Some(stays), ends, forced: false });
        self.note(now);
        self.catch_up(now);
        let left = vec![PartError::new("part-2", denied(Call::Claim, reason))];
        Err(MoveError::Partly { call: Call::Claim.name(), resource: RESOURCE.into(), left })
    }

    fn accepted(&self) -> Accepted {
        match self.tokens {
            Tokens::Generation => Accepted::with_token(self.token.clone()),
            Tokens::Snapshot => Accepted::without_token(),
        }
    }

    fn mint(&mut self, holders: &[Occupant]) -> Token {
        self.minted += 1;
        match self.tokens {
            Tokens::Generation => Token::generation(format!("generation-{}", self.minted)),
            Tokens::Snapshot => Token::snapshot(holders.iter().map(Occupant::name).collect::<Vec<_>>().join("+")),
        }
    }

    fn note(&mut self, at: Instant) {
        let holders = match &self.taken_by {
            Some(node) => vec![Occupant::Node(node.clone())],
            None => self.holders.clone(),
        };
        let (placement, taken_over) = (self.seen_by(Mechanism::Carrier), self.seen_by(Mechanism::TakeOver));
        self.moments.push(Moment { at, placement, taken_over, holders });
    }
}

fn taken_token(node: &NodeId) -> Token {
    Token::snapshot(format!("own interface of {node}"))
}

pub(super) fn conflict(call: Call, why: &'static str) -> MoveError {
    MoveError::Conflict { call: call.name(), resource: RESOURCE.into(), source: why.into() }
}

fn denied(call: Call, reason: &str) -> MoveError {
    MoveError::Denied { call: call.name(), resource: RESOURCE.into(), source: reason.into() }
}

fn not_yet(call: Call) -> MoveError {
    MoveError::NotYet { call: call.name(), resource: RESOURCE.into(), source: "another change is under way".into() }
}

pub(super) fn impossible(call: Call, reason: &str) -> MoveError {
    MoveError::Impossible {
        call: call.name(),
        resource: RESOURCE.into(),
        reason: reason.to_owned(),
        source: "refused by the in-memory provider".into(),
    }
}
