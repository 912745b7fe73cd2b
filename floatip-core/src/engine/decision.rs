//! Whether the address shall move, and where to: what an engine does while nothing moves.

use std::time::{Duration, Instant};

use super::Engine;
use super::moving::Move;
use super::watch::{Evidence, Subject};
use super::witness::Testimony;
use crate::command::{CommandError, Done, Switchover};
use crate::event::{Cause, EventKind};
use crate::mover::Placement;
use crate::policy::Failback;
use crate::status::Health;

/// Why an address that ought to move does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It ought not to move.
    None,
    /// Too few witnesses answer: it is the monitor itself.
    Isolated,
    /// The monitor runs on the only node beside the holder, and there is no witness.
    NoWitness,
    /// Every node went down at once (rule 5).
    AllNodesDown,
    /// No node may receive it.
    NoCandidate,
    /// The holder serves through the floating address (rule 3).
    Serving,
    /// Recoveries are switched off.
    RecoveriesOff,
    /// A hook vetoed the move.
    Vetoed,
}

/// What the search for a candidate found.
enum Candidate {
    Found(usize),
    /// A probe is under way that may bring one.
    Awaited,
    None,
}

impl Engine {
    /// Decides anew. Nothing moves at the moment.
    pub(super) fn decide(&mut self, now: Instant) {
        let Some(placement) = self.reader.placement().cloned() else { return };
        match placement {
            Placement::Held { node, .. } => match self.index(&node) {
                Some(holder) => self.decide_held(now, holder),
                None => self.set_hold(Hold::None),
            },
            Placement::Free => {
                if self.reader.agreed_free() {
                    self.rescue(now);
                }
            }
            Placement::Transition { .. } => {
                let since = self.reader.in_transition_since();
                if since.is_some_and(|since| now >= since + self.settings.policy.release_timeout) {
                    self.rescue(now);
                }
            }
            Placement::Split { .. } => match self.seated() {
                Some(holder) => self.decide_held(now, holder),
                None if self.reader.agreed_split() => self.rescue(now),
                None => {}
            },
            Placement::Stranger { .. } => self.decide_stranger(now),
        }
    }

    fn decide_held(&mut self, now: Instant, holder: usize) {
        match self.watch.health(holder) {
            Health::Unhealthy => self.fail_over(now, holder),
            Health::Healthy => {
                self.set_hold(Hold::None);
                self.announced_held.take_if(|(cause, ..)| *cause == Cause::Failover);
                if self.is_to_be_left(holder) {
                    self.empty(now, holder);
                } else if let Some(home) = self.restore_due(now, holder) {
                    self.start(now, Cause::Restore, Some(holder), home, None);
                } else if !self.reclaim(now, holder) {
                    self.fail_back(now, holder);
                }
            }
            Health::Unknown => {
                if !self.watch.all_nodes_down() {
                    self.set_hold(Hold::None);
                }
            }
        }
    }

    /// The holder is drained, or somebody maintains it: the address leaves it gently, as soon as another node is well.
    fn empty(&mut self, now: Instant, holder: usize) {
        if let Some(to) = self.first_healthy(now, &[holder]) {
            self.start(now, Cause::Drain, Some(holder), to, None);
        }
    }

    /// The holder is down. Rules 1, 3 and 5 are looked at in the order in which they say "no".
    fn fail_over(&mut self, now: Instant, holder: usize) {
        if self.witnesses.in_doubt() {
            return self.set_hold(Hold::Isolated);
        }
        if self.watch.suspects_itself() {
            if self.watch.lacks_witness() {
                self.set_hold(Hold::NoWitness);
            } else if self.watch.all_nodes_down() {
                self.set_hold(Hold::AllNodesDown);
            } else if self.watch.no_witness() {
                self.set_hold(Hold::NoCandidate);
            }
            return;
        }
        let Some(since) = self.watch.last_failed(holder).filter(|_| self.watch.first_failure(holder).is_some()) else {
            return;
        };
        match self.evidence_of_service(now, since) {
            Evidence::Healthy => return self.set_hold(Hold::Serving),
            Evidence::Pending => return,
            Evidence::Failed | Evidence::Missing => {}
        }
        match self.witnesses.testimony(now, Some(since)) {
            Testimony::Enough => {}
            Testimony::Awaited => return,
            Testimony::TooFew => return self.set_hold(Hold::Isolated),
        }
        match self.candidate(now, holder, since) {
            Candidate::Found(to) => {
                let detect = self.watch.first_failure(holder).map(|first| now.saturating_duration_since(first));
                self.start(now, Cause::Failover, Some(holder), to, detect);
            }
            Candidate::Awaited => {}
            Candidate::None => self.set_hold(Hold::NoCandidate),
        }
    }

    /// Whether clients are served through the floating address, by probes as fresh as the holder's newest failure. What
    /// answers through an address that is split may be another node, and the part on the holder is dead all the same.
    fn evidence_of_service(&mut self, now: Instant, since: Instant) -> Evidence {
        let split = matches!(self.reader.placement(), Some(Placement::Split { .. }));
        if split || !self.watch.verifies() {
            return Evidence::Missing;
        }
        self.watch.demand(Subject::Address, since, now);
        match self.watch.evidence(Subject::Address, since) {
            Evidence::Pending if !self.watch.served() => Evidence::Missing,
            // What will tell begins when an older probe has ended.
            Evidence::Missing if self.watch.served() && self.watch.is_owed(Subject::Address, since) => {
                Evidence::Pending
            }
            evidence @ (Evidence::Healthy | Evidence::Failed | Evidence::Pending | Evidence::Missing) => evidence,
        }
    }

    /// The first node, in the order of preference, that is healthy in a probe begun no earlier than `since` (rule 1).
    ///
    /// One that has answered such a probe and leaves a newer one unanswered is no candidate until that has ended: it may
    /// have failed since, or a cut that has reached the holder first has reached it, too. A preferred node whose fresh
    /// probe is still under way is waited for until it is late.
    fn candidate(&mut self, now: Instant, holder: usize, since: Instant) -> Candidate {
        let mut found = Candidate::None;
        let mut eligible = self.order.clone();
        eligible
            .retain(|node| *node != holder && self.may_hold(*node) && self.watch.health(*node) != Health::Unhealthy);
        // One that the hooks have allowed goes first: to ask about another would cost their time once more.
        let allowed = self.allowed(Cause::Failover, Some(holder));
        eligible
            .sort_by_key(|node| (allowed != Some(*node), self.watch.is_held_down(*node, now, &self.settings.policy)));
        for &node in &eligible {
            self.watch.demand(Subject::Node(node), since, now);
        }
        for node in eligible {
            let healthy = self.watch.health(node) == Health::Healthy;
            match self.watch.evidence(Subject::Node(node), since) {
                Evidence::Healthy if healthy && !self.watch.is_overdue(node, now) => return Candidate::Found(node),
                Evidence::Pending if healthy && !self.watch.is_suspect(node, now) => return Candidate::Awaited,
                Evidence::Healthy | Evidence::Pending | Evidence::Failed | Evidence::Missing => {
                    found = Candidate::Awaited
                }
            }
        }
        found
    }

    /// Nobody holds the address, or it hangs between two nodes: the first healthy node gets it (rule 7).
    pub(super) fn rescue(&mut self, now: Instant) {
        let fit = |node: &usize| self.watch.health(*node) == Health::Healthy && self.may_hold(*node);
        match self.allowed(Cause::Rescue, None).filter(fit).or_else(|| self.first_healthy(now, &[])) {
            Some(to) => self.start(now, Cause::Rescue, None, to, None),
            None => {
                let unknown = |node| self.watch.health(node) == Health::Unknown && self.may_hold(node);
                if !(0..self.settings.nodes.len()).any(unknown) {
                    self.set_hold(Hold::NoCandidate);
                }
            }
        }
    }

    /// Whether nothing speaks against a node but its health: the provider could give it the address, and no operator
    /// has drained it.
    pub(super) fn may_hold(&self, node: usize) -> bool {
        self.impossible[node].is_none() && !self.is_to_be_left(node)
    }

    /// An operator has drained the node, or a check says that somebody maintains it.
    fn is_to_be_left(&self, node: usize) -> bool {
        self.drained[node] || self.watch.maintenance(node).is_some()
    }

    /// The first healthy node, in the order of preference, that may hold the address and is not among `except`. One that
    /// is held down for its flapping is the last choice.
    pub(super) fn first_healthy(&self, now: Instant, except: &[usize]) -> Option<usize> {
        let fit = |node: &&usize| {
            self.watch.health(**node) == Health::Healthy && self.may_hold(**node) && !except.contains(*node)
        };
        let held_down = |node: &&usize| self.watch.is_held_down(**node, now, &self.settings.policy);
        self.order.iter().filter(fit).min_by_key(held_down).copied()
    }

    fn fail_back(&mut self, now: Instant, holder: usize) {
        let due = self.failback_due(now, holder).is_some_and(|due| due <= now);
        let to = self.preferred(now, holder).filter(|_| due);
        let announced = std::mem::replace(&mut self.announced_failback, to);
        let Some(to) = to else { return };
        match self.settings.policy.failback {
            Failback::After(_) => self.start(now, Cause::Failback, Some(holder), to, None),
            Failback::Manual if announced != Some(to) => {
                let node = self.id(to);
                self.events.push_back(EventKind::FailbackDue { node });
            }
            Failback::Manual | Failback::Never => {}
        }
    }

    /// The first healthy node that is preferred to the holder and does not flap.
    fn preferred(&self, now: Instant, holder: usize) -> Option<usize> {
        let preferred = self.order.iter().copied().take_while(|node| *node != holder);
        let calm = |node: &usize| !self.watch.flaps(*node, now, &self.settings.policy);
        preferred.filter(|node| self.watch.health(*node) == Health::Healthy && self.may_hold(*node)).find(calm)
    }

    fn failback_due(&self, now: Instant, holder: usize) -> Option<Instant> {
        let after = match self.settings.policy.failback {
            Failback::Never => return None,
            Failback::Manual => Duration::ZERO,
            Failback::After(after) => after,
        };
        let healthy_since = self.watch.healthy_since(self.preferred(now, holder)?)?;
        let cooled = self.last_move_end.map(|end| end + self.settings.policy.cooldown);
        Some(cooled.map_or(healthy_since + after, |cooled| cooled.max(healthy_since + after)))
    }

    /// When a decision may fall without any further input.
    pub(super) fn next_decisions(&self) -> [Option<Instant>; 3] {
        let now = self.turned;
        if self.moving.is_some() || self.stopping || self.pause.is_some() || self.frozen {
            return [None; 3];
        }
        if self.reader.placement().is_none() {
            return [None; 3];
        }
        let failback =
            self.holder.filter(|_| self.seated().is_some()).and_then(|holder| self.failback_due(now, holder));
        let stalled = self.reader.in_transition_since().map(|since| since + self.settings.policy.release_timeout);
        [failback, stalled.filter(|_| self.first_healthy(now, &[]).is_some()), self.hold_off]
    }

    pub(super) fn set_hold(&mut self, hold: Hold) {
        if self.hold == hold {
            return;
        }
        self.hold = hold;
        match hold {
            Hold::NoCandidate => {
                let holder = self.seated().map(|holder| self.id(holder));
                self.events.push_back(EventKind::NoCandidate { holder });
            }
            Hold::Serving => {
                if let Some(holder) = self.holder {
                    let node = self.id(holder);
                    self.events.push_back(EventKind::HolderUnreachableButServing { node });
                }
            }
            Hold::Isolated => self.witnesses.announce(),
            Hold::NoWitness => {
                let holder = self.seated().map(|holder| self.id(holder));
                self.events.push_back(EventKind::NoWitness { holder });
            }
            Hold::None | Hold::AllNodesDown | Hold::RecoveriesOff | Hold::Vetoed => {}
        }
    }

    /// Starts a move that nobody asked for, if nothing forbids it.
    pub(super) fn start(
        &mut self,
        now: Instant,
        cause: Cause,
        from: Option<usize>,
        to: usize,
        detect: Option<Duration>,
    ) {
        if cause != Cause::Drain {
            match self.witnesses.testimony(now, None) {
                Testimony::Enough => {}
                Testimony::Awaited if cause == Cause::Failover => {}
                Testimony::Awaited => return,
                Testimony::TooFew => return self.set_hold(Hold::Isolated),
            }
        }
        if !self.settings.policy.recoveries && cause != Cause::Drain {
            return self.suppress(cause, from, to);
        }
        // The veto of a planned move does not delay the rescue from a dead holder.
        let held_off = self.hold_off.is_some() && self.hold_off_from.is_none_or(|held| held == cause);
        if self.hold != Hold::Vetoed || !held_off {
            self.set_hold(Hold::None);
        }
        if held_off {
            return self.keep_idle_wait();
        }
        if self.stopping || self.is_held(now, cause, from, to) {
            return;
        }
        let moves = self.budget.spent(now, self.settings.policy.max_moves_window);
        if moves >= self.settings.policy.max_moves && cause != Cause::Drain {
            self.frozen = true;
            self.events.push_back(EventKind::Frozen { moves });
            self.save(now);
            return;
        }
        if !self.is_idle(now, cause, from, to) || !self.is_permitted(now, cause, from, to) {
            return;
        }
        self.begin_move(now, cause, from, to, detect);
    }

    /// Whether something forbids a move that nobody asked for. Says so once.
    fn is_held(&mut self, now: Instant, cause: Cause, from: Option<usize>, to: usize) -> bool {
        let reason = if self.pause.is_some() {
            "it is paused"
        } else if self.frozen {
            "it is frozen after too many moves"
        } else if !self.may_request(now, self.reader.active()) {
            "this monitor does not hold the lease"
        } else {
            self.announced_held = None;
            return false;
        };
        self.tell_held(cause, from, to, reason);
        true
    }

    /// Says once what forbids a move.
    pub(super) fn tell_held(&mut self, cause: Cause, from: Option<usize>, to: usize, reason: &'static str) {
        if self.announced_held.replace((cause, from, to, reason)) != Some((cause, from, to, reason)) {
            let (from, to) = (from.map(|node| self.id(node)), self.id(to));
            self.events.push_back(EventKind::MoveHeld { from, to, cause, reason });
        }
    }

    /// Recoveries are switched off: says what would have been done, once.
    fn suppress(&mut self, cause: Cause, from: Option<usize>, to: usize) {
        if self.hold != Hold::RecoveriesOff {
            let (from, to) = (from.map(|node| self.id(node)), self.id(to));
            self.events.push_back(EventKind::RecoverySuppressed { from, to, cause });
            self.set_hold(Hold::RecoveriesOff);
        }
    }

    pub(super) fn start_switchover(&mut self, now: Instant, id: u64, switchover: &Switchover) {
        let Some(to) = self.index(&switchover.to) else {
            let floating_ip = self.settings.floating_ip.name.to_string();
            let node = switchover.to.to_string();
            return self.answer(id, Err(CommandError::UnknownNode { floating_ip, node }));
        };
        if let Some(reason) = self.refusal(now, to, switchover.force) {
            return self.answer(id, Err(CommandError::Refused { reason }));
        }
        let holder = self.seated();
        if holder == Some(to) {
            return self.answer(id, Ok(Done::AlreadyThere { node: switchover.to.clone() }));
        }
        if switchover.dry_run {
            let from = holder.map(|holder| self.id(holder));
            return self.answer(id, Ok(Done::WouldMove { from, to: switchover.to.clone() }));
        }
        if !switchover.force
            && !self.has_permission(Cause::Switchover)
            && !self.is_idle(now, Cause::Switchover, holder, to)
        {
            return self.wait_for_idle(id, switchover);
        }
        if !self.permits_switchover(now, id, switchover, holder, to) {
            return;
        }
        self.set_hold(Hold::None);
        if std::mem::take(&mut self.drained[to]) {
            self.events.push_back(EventKind::NodeUndrained { node: switchover.to.clone() });
            self.save(now);
        }
        self.begin_move(now, Cause::Switchover, holder, to, None);
        let Some(moving) = &mut self.moving else { return };
        moving.forced = switchover.force;
        if switchover.wait {
            moving.asked_by = Some(id);
        } else {
            let started = Done::MoveStarted { id: moving.id };
            self.answer(id, Ok(started));
        }
    }

    /// Why a switchover to `to` may not begin now.
    fn refusal(&self, now: Instant, to: usize, force: bool) -> Option<String> {
        let node = self.id(to);
        if self.stopping {
            return Some("the monitor is stopping".to_owned());
        }
        if let Some(moving) = &self.moving {
            return Some(format!("move {} to {} is in flight; wait for its end", moving.id, self.id(moving.to)));
        }
        if !self.may_request(now, self.reader.active()) {
            return Some("this monitor does not hold the lease; ask the one that does".to_owned());
        }
        if let Some(Placement::Stranger { description, .. }) = self.reader.placement()
            && !self.settings.policy.take_from_strangers
        {
            return Some(format!("the address is on {description}, which is no node; take it from there first"));
        }
        if force {
            return None;
        }
        if self.pause.is_some() {
            return Some("it is paused; resume it first, or use force".to_owned());
        }
        if self.drained[to] {
            return Some(format!("{node} is drained; undrain it first, or use force"));
        }
        if let Some(reason) = self.watch.maintenance(to) {
            return Some(format!("{node} is being maintained: {reason}; wait for its end, or use force"));
        }
        if let Some(reason) = &self.impossible[to] {
            return Some(format!("{node} cannot take the address: {reason}"));
        }
        match self.watch.health(to) {
            Health::Healthy => None,
            Health::Unhealthy => {
                let reason =
                    self.watch.reason(Subject::Node(to)).map_or_else(String::new, |reason| format!(": {reason}"));
                Some(format!("{node} is down{reason}; use force to move there all the same"))
            }
            Health::Unknown => Some(format!("it is not known yet whether {node} is well; try again, or use force")),
        }
    }

    fn begin_move(&mut self, now: Instant, cause: Cause, from: Option<usize>, to: usize, detect: Option<Duration>) {
        self.next_move += 1;
        let id = self.next_move;
        self.reader.abandon();
        let base = self.reader.active();
        let mut moving = Move::new(id, cause, from, to, now, base);
        if cause == Cause::Reclaim {
            moving.renew(self.reader.placement().and_then(Placement::token).cloned());
        }
        self.note_origin(&mut moving);
        self.moving = Some(moving);
        self.drift.forget();
        // Wherever a move that is cut short leaves the address, nobody else has put it there.
        self.save(now);
        self.end_idle_wait(now);
        let from = from.map(|node| self.id(node));
        self.events.push_back(EventKind::MoveStarted { id, from, to: self.id(to), cause, detect });
        self.choose_mover(now);
    }
}
