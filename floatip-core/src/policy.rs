//! What an operator wishes: failback, cool-down, the move budget, verification and the deadlines of steps. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::combination::Require;
use crate::node::NodeId;

/// Whether the address returns to a preferred node once that is well again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failback {
    /// A healthy holder keeps the address.
    Never,
    /// A healthy holder keeps the address; that a preferred node is well again is told (event `failback_due`), and an
    /// operator decides.
    Manual,
    /// When a node that is preferred to the holder has been healthy for this long without a break, and has not flapped.
    After(Duration),
}

/// What must be seen through the floating address before a move counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// The service must answer; if it does not in time, the address goes to a healthy node that this move has not tried,
    /// else it stays, loudly. Acts as [`Verify::Warn`] while the address was never healthy from this monitor.
    Require,
    /// The service should answer; if it does not in time, the move ends with a warning.
    Warn,
    /// Not looked at.
    Off,
}

/// What becomes of an address that somebody moved from one healthy node to another behind the monitor's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It stays where it is.
    Adopt,
    /// It is moved back as soon as agreeing reads show it, the cool-down is over and the budget allows it; never to a node
    /// that is not healthy. Two monitors without a common lease take each other's moves for drift: use it with one
    /// monitor, or a lease.
    Restore,
}

/// What is done when the holder answers by its own host, but not through the floating address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressUnreachable {
    /// It is told (event `address_unreachable`), and nothing is moved.
    Alert,
    /// It is told, and the address is released from its holder and claimed for the same node again, so that its guest sees
    /// the interface come anew. Whoever reaches the address by another path than the monitor loses it meanwhile.
    ///
    /// It is done once until the address has answered again, with a mover that releases first (what overwrites has nothing
    /// to renew), after the cool-down, never by force, and never with the last move of the window, which is kept for a
    /// failover. An address that has never answered from here is left alone. One that does not answer afterwards
    /// stays where it is. Of several monitors without a lease one does it, if the provider gives each assignment a token of
    /// its own ([`Token::Generation`](crate::Token::Generation)): what failed before the newest assignment no longer counts.
    Reclaim,
}

/// The policy of one floating IP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// How many of the checks that decide must be healthy for a node to be healthy. Default: [`Require::All`].
    pub require: Require,
    /// Default: [`Failback::Never`].
    pub failback: Failback,
    /// Whether unplanned moves are made at all (failover, rescue, failback). If not, what would have been done is told
    /// (event `recovery_suppressed`) and left to operators. Default: true.
    pub recoveries: bool,
    /// The nodes in the order of preference; those not named follow in the order of the list. Default: none named.
    pub prefer: Vec<NodeId>,
    /// How long a node's going down is remembered against it. A node that went down twice within this time *flaps*: it
    /// is the last choice as a candidate until its hold-down has passed, and no failback goes to it. Default: 10 min;
    /// zero switches the damping off.
    pub flap_window: Duration,
    /// How long a flapping node must be healthy without a break before it is a candidate like any other: this, doubled
    /// for each time that it went down beyond the second. Default: 30 s.
    pub hold_down: Duration,
    /// The least time between a move and a voluntary one (failback, reclaim). It never delays the rescue from a dead
    /// holder, nor an operator. Default: 60 s.
    pub cooldown: Duration,
    /// The most moves that are started within [`max_moves_window`](Self::max_moves_window), an operator's own not
    /// counted; past it the floating IP is frozen until an operator resumes. Default: 4; zero is refused.
    pub max_moves: u32,
    /// Default: 1 h; zero is refused.
    pub max_moves_window: Duration,
    /// Default: [`Verify::Require`].
    pub verify: Verify,
    /// How long the service may take to answer through the floating address after a claim is complete. Default: 30 s.
    pub verify_timeout: Duration,
    /// How long a graceful release may take before it is forced (if the mover can and the holder is down) or the move
    /// is stuck. Default: 25 s: a detach takes 2 to 3 s as a rule.
    pub release_timeout: Duration,
    /// How long a forced release may take before the move is stuck. Default: 120 s.
    pub forced_release_timeout: Duration,
    /// How long a claim may take before the next candidate is tried. Default: 60 s.
    pub claim_timeout: Duration,
    /// Whether a release may be forced at all. It is forced only if the holder is down, or an operator forces the move.
    /// Default: true.
    pub force_release: bool,
    /// Whether the address is taken from something that is no node, once agreeing reads show it there: for addresses that
    /// nobody else may ever have. Otherwise that is told and left alone. Default: false.
    pub take_from_strangers: bool,
    /// Default: [`Drift::Adopt`].
    pub drift: Drift,
    /// How long a planned move (switchover, drain, failback, restore, reclaim) waits at most for its node to be idle,
    /// where a check tells that ([`Role::TellsIdle`](crate::Role::TellsIdle)); then it is made all the same. An
    /// operator's force does not wait, nor does an unplanned move, ever. Default: 60 s; zero never waits.
    pub wait_for_idle: Duration,
    /// Default: [`AddressUnreachable::Alert`].
    pub address_unreachable: AddressUnreachable,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            require: Require::All,
            failback: Failback::Never,
            recoveries: true,
            prefer: Vec::new(),
            flap_window: Duration::from_secs(600),
            hold_down: Duration::from_secs(30),
            cooldown: Duration::from_secs(60),
            max_moves: 4,
            max_moves_window: Duration::from_secs(3600),
            verify: Verify::Require,
            verify_timeout: Duration::from_secs(30),
            release_timeout: Duration::from_secs(25),
            forced_release_timeout: Duration::from_secs(120),
            claim_timeout: Duration::from_secs(60),
            force_release: true,
            take_from_strangers: false,
            drift: Drift::Adopt,
            wait_for_idle: Duration::from_secs(60),
            address_unreachable: AddressUnreachable::Alert,
        }
    }
}

impl Policy {
    /// Names the first setting that cannot work, if there is one.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.max_moves == 0 {
            return Some("max_moves may not be zero: nothing could ever move; pause the floating IP instead");
        }
        [
            (self.max_moves_window, "max_moves_window may not be zero"),
            (self.verify_timeout, "verify_timeout may not be zero; switch verification off instead"),
            (self.release_timeout, "release_timeout may not be zero"),
            (self.forced_release_timeout, "forced_release_timeout may not be zero"),
            (self.claim_timeout, "claim_timeout may not be zero"),
        ]
        .into_iter()
        .find_map(|(duration, fault)| duration.is_zero().then_some(fault))
    }
}

/// The moves that were started lately, against the bound on moves per window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Budget {
    starts: VecDeque<Instant>,
}

impl Budget {
    /// Notes a move that starts now.
    pub(crate) fn spend(&mut self, now: Instant) {
        self.starts.push_back(now);
    }

    /// Forgets all moves, as an operator's resume does.
    pub(crate) fn clear(&mut self) {
        self.starts.clear();
    }

    /// Moves within the window that ends now.
    pub(crate) fn spent(&mut self, now: Instant, window: Duration) -> u32 {
        while self.starts.front().is_some_and(|start| now.saturating_duration_since(*start) >= window) {
            self.starts.pop_front();
        }
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// How long ago each move started.
    pub(crate) fn ages(&self, now: Instant) -> Vec<Duration> {
        self.starts.iter().map(|start| now.saturating_duration_since(*start)).collect()
    }

    /// The budget of moves that started so long ago; those from before the monotonic clock began are old enough to be
    /// left out.
    pub(crate) fn from_ages(now: Instant, ages: &[Duration]) -> Self {
        let mut starts: Vec<_> = ages.iter().filter_map(|age| now.checked_sub(*age)).collect();
        starts.sort();
        Self { starts: starts.into() }
    }
}

/// How often one node went down lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flaps {
    downs: VecDeque<Instant>,
}

impl Flaps {
    /// How many times a node went down are remembered: enough for a hold-down of hours.
    const MOST: usize = 12;

    /// Notes that the node went down.
    pub(crate) fn note(&mut self, now: Instant) {
        if self.downs.len() == Self::MOST {
            self.downs.pop_front();
        }
        self.downs.push_back(now);
    }

    fn within(&self, now: Instant, window: Duration) -> u32 {
        let recent = self.downs.iter().filter(|down| now.saturating_duration_since(**down) < window);
        u32::try_from(recent.count()).unwrap_or(u32::MAX)
    }

    /// True if the node went down twice or more within the window.
    pub(crate) fn flaps(&self, now: Instant, policy: &Policy) -> bool {
        self.within(now, policy.flap_window) >= 2
    }

    /// Until when a node that has been healthy since `healthy_since` is held down; `None` if it does not flap.
    pub(crate) fn held_until(&self, now: Instant, healthy_since: Instant, policy: &Policy) -> Option<Instant> {
        let beyond = self.within(now, policy.flap_window).checked_sub(2)?;
        Some(healthy_since + policy.hold_down.saturating_mul(2_u32.saturating_pow(beyond)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_counts_only_the_moves_within_its_window() {
        let t = Instant::now() + Duration::from_secs(1000);
        let window = Duration::from_secs(10);
        let mut budget = Budget::default();
        budget.spend(t);
        budget.spend(t + Duration::from_secs(5));
        assert_eq!(budget.spent(t + Duration::from_secs(9), window), 2);
        assert_eq!(budget.spent(t + Duration::from_secs(10), window), 1);
        assert_eq!(budget.spent(t + Duration::from_secs(15), window), 0);
    }

    #[test]
    fn a_node_that_keeps_going_down_is_held_down_twice_as_long_each_time() {
        let t = Instant::now();
        let policy = Policy::default();
        let mut flaps = Flaps::default();
        let held = |flaps: &Flaps| flaps.held_until(t, t, &policy).map(|until| (until - t).as_secs());
        for expected in [None, Some(30), Some(60), Some(120)] {
            flaps.note(t);
            assert_eq!(held(&flaps), expected);
        }
        assert_eq!(flaps.held_until(t + policy.flap_window, t, &policy), None, "it is forgotten after the window");
    }

    #[test]
    fn a_budget_survives_being_written_as_ages() {
        let t = Instant::now() + Duration::from_secs(1000);
        let mut budget = Budget::default();
        budget.spend(t);
        let ages = budget.ages(t + Duration::from_secs(3));
        let later = t + Duration::from_secs(3);
        let mut again = Budget::from_ages(later, &ages);
        assert_eq!(again.spent(later, Duration::from_secs(4)), 1);
        assert_eq!(again.spent(later, Duration::from_secs(3)), 0);
    }
}
