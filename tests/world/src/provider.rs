//! The truth about the address, and how the provider tells it and changes it.

use std::time::Duration;

use floatip_core::{Accepted, MoveError, NodeId, Placement, ReleaseMode, Strategy, Token};

use crate::trouble::Stuck;

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

/// The provider of the one address.
#[derive(Debug)]
pub(crate) struct Provider {
    nodes: Vec<NodeId>,
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
    past: Vec<(Duration, Placement)>,
    /// When each node held the address last.
    held_last: Vec<Option<Duration>>,
}

impl Provider {
    pub(crate) fn new(nodes: Vec<NodeId>, enforced: bool, exclusive: bool) -> Self {
        let count = nodes.len();
        Self {
            nodes,
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
            past: vec![(Duration::ZERO, Placement::Free)],
            held_last: vec![None; count],
        }
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
        let forceable = |change: &Change| !change.forced && change.to.is_none() && strategy == Strategy::ReleaseFirst;
        self.change.as_ref().is_some_and(|change| change.ends.is_none() && !forceable(change))
    }

    /// True if a change is under way that never ends by itself.
    pub(crate) fn is_endless(&self) -> bool {
        self.change.is_some_and(|change| change.ends.is_none())
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
        for holder in &self.holders {
            if let Occupant::Node(node) = holder {
                self.held_last[*node] = Some(at);
            }
        }
    }

    fn note(&mut self, at: Duration) {
        let placement = self.placement();
        self.past.push((at, placement));
    }

    /// The truth now.
    pub(crate) fn placement(&self) -> Placement {
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

    /// What a read answers now, which may be the state of an earlier time.
    pub(crate) fn reading(&self, now: Duration) -> Placement {
        let mut as_of = now.saturating_sub(self.lag);
        if let Some((since, _)) = self.frozen.filter(|(_, until)| now < *until) {
            as_of = as_of.min(since);
        }
        let seen = self.past.iter().rev().find(|(at, _)| *at <= as_of).or(self.past.first());
        seen.map_or(Placement::Free, |(_, placement)| placement.clone())
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
        match (self.change, self.holders.as_slice()) {
            (None, [Occupant::Node(node)]) => Some(*node),
            (Some(_), _) | (None, _) => None,
        }
    }

    /// The node that packets to the address reach.
    pub(crate) fn serving(&self) -> Option<usize> {
        match (self.change, self.holders.first()) {
            (None, Some(Occupant::Node(node))) => Some(*node),
            (Some(_), _) | (None, Some(Occupant::Stranger) | None) => None,
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.claims_left == 0 && self.change.is_none()
    }

    pub(crate) fn holders(&self) -> usize {
        self.holders.len()
    }

    pub(crate) fn is_on_stranger(&self) -> bool {
        self.holders.contains(&Occupant::Stranger)
    }

    /// True if `node` held the address at `since` or later.
    pub(crate) fn held_since(&self, node: usize, since: Duration) -> bool {
        self.holders.contains(&Occupant::Node(node)) || self.held_last[node].is_some_and(|last| last >= since)
    }

    /// Somebody outside puts the address somewhere, at once.
    pub(crate) fn put(&mut self, now: Duration, on: Option<Occupant>, claims_left: u32) {
        self.leave(now);
        self.token = self.mint(on);
        self.holders = on.into_iter().collect();
        self.change = None;
        self.claims_left = claims_left;
        self.note(now);
    }

    /// Somebody outside begins to release the address, and never ends.
    pub(crate) fn release_from_outside(&mut self, now: Duration) {
        if self.change.is_none() && !self.holders.is_empty() {
            self.change = Some(Change { to: None, ends: None, forced: false });
            self.note(now);
        }
    }

    fn is_current(&self, seen: &Placement) -> bool {
        let truth = self.placement();
        match truth.token() {
            Some(token) => seen.token() == Some(token),
            None => *seen == Placement::Free,
        }
    }

    pub(crate) fn check_release(&self, seen: &Placement, mode: ReleaseMode) -> Result<(), MoveError> {
        if *seen == Placement::Free || !self.is_current(seen) {
            return Err(conflict("release"));
        }
        match self.change {
            Some(change) if mode == ReleaseMode::Graceful || change.forced => Err(not_yet("release")),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn release(&mut self, now: Duration, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        if self.holders.is_empty() && self.change.is_none() {
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
        let careless = *seen == Placement::Free && !self.exclusive;
        if !careless && !self.is_current(seen) {
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
