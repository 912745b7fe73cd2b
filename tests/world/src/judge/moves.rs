//! Whether a move may start, go elsewhere, and end as it does.

use std::time::{Duration, Instant};

use floatip_core::{Cause, MoveId, Placement, Receipt, Strategy, Verification};

use super::{Judge, Moving, Readings, Scene, number};
use crate::evidence::Evidence;

impl Judge {
    pub(super) fn start_move(&mut self, scene: Scene<'_>, id: MoveId, cause: Cause, from: Option<usize>, to: usize) {
        self.moves += 1;
        self.await_no_reading();
        if let Some(moving) = &self.moving {
            let before = moving.id;
            self.breaks(|| format!("move {id} starts while move {before} is in flight"));
        }
        // Of the orders that are open, the newest: the engine refuses every other before it begins a move.
        let forced = cause == Cause::Switchover && self.orders.values().next_back().is_some_and(|insists| *insists);
        let planned = matches!(cause, Cause::Switchover | Cause::Drain);
        if self.is_paused(scene.now) && !forced {
            self.breaks(|| format!("a {cause:?} starts although it is paused"));
        }
        if self.is_to_be_left(to) && !forced {
            self.breaks(|| format!("a {cause:?} starts towards node {to}, which is drained or maintained"));
        }
        if let Some(from) = from.filter(|_| !forced) {
            self.judge_idleness(scene, cause, from);
        }
        (self.waited_for, self.drifted) = (None, self.drifted.filter(|_| cause == Cause::Restore));
        if !forced && !self.subject(to).iter().all(|line| line.may_be_up(scene.clock, &scene.shape.health)) {
            self.breaks(|| format!("a {cause:?} starts towards node {to}, which is not known to be well"));
        }
        if self.unready[to] && !forced {
            self.breaks(|| format!("a {cause:?} starts towards node {to}, which is not ready"));
        }
        let lately = self.moves_lately(scene);
        if !planned && lately >= scene.shape.max_moves as usize {
            self.breaks(|| format!("rule 8: one more {cause:?} than may be"));
        }
        if !planned && self.brakes.frozen {
            self.breaks(|| format!("rule 8: a {cause:?} starts although it is frozen"));
        }
        let mut veto_since = None;
        self.judge_consent(scene, cause, to, forced);
        if !matches!(cause, Cause::Switchover | Cause::Drain | Cause::Failover) {
            self.judge_witnesses(scene, cause, None);
        }
        match cause {
            Cause::Failover => veto_since = self.judge_failover(scene, from, to),
            Cause::Rescue => {
                self.judge_rescue(scene);
                self.judge_damping(scene, cause, from, to, None);
            }
            Cause::Failback => self.judge_failback(scene, from, to),
            Cause::Drain => {
                if !from.is_some_and(|from| self.is_to_be_left(from)) {
                    self.breaks(|| format!("the address leaves {from:?}, which is neither drained nor maintained"));
                }
                self.judge_damping(scene, cause, from, to, None);
            }
            Cause::Switchover => {}
            Cause::Reclaim => self.judge_reclaim(scene, from, to),
            Cause::Restore => self.judge_restore(scene, from, to),
        }
        if self.stopping {
            self.breaks(|| format!("a {cause:?} starts although the monitor stops"));
        }
        self.moving = Some(Moving {
            id,
            cause,
            from,
            given: None,
            to,
            since: scene.now,
            since_clock: scene.clock,
            forced,
            acted: false,
            leaving: false,
            counted: false,
            claimed: false,
            claim: None,
            landed: None,
            tried: Vec::new(),
            sent_to: Vec::new(),
            gathers: None,
            arrived: false,
            verification_failed: false,
            unverified: Vec::new(),
            was_stuck: false,
            taken: Vec::new(),
            taking: None,
            veto_since,
        });
    }

    /// How many unplanned moves there were within the window.
    fn moves_lately(&self, scene: Scene<'_>) -> usize {
        self.brakes.moves.iter().filter(|at| scene.now < **at + scene.shape.window).count()
    }

    /// Gives back since when an answer through the address would be a veto.
    fn judge_failover(&mut self, scene: Scene<'_>, from: Option<usize>, to: usize) -> Option<Instant> {
        let health = &scene.shape.health;
        let Some(from) = from else {
            self.breaks(|| "a failover from nobody".into());
            return None;
        };
        let failing = |line: &&Evidence| line.is_failing(scene.clock, health);
        let mut down: Vec<&Evidence> =
            self.subject(from).iter().filter(|line| line.is_still_down(scene.clock, health)).collect();
        // A check that is down and answers again stays down until `rise`; meanwhile another one may begin to fail.
        if down.is_empty() && scene.shape.checks > 1 {
            down = self.subject(from).iter().filter(failing).collect();
        }
        let Some(since) = down.iter().filter_map(|line| line.newest_failure()).max() else {
            let known = format!("{:?}", self.subject(from));
            self.breaks(|| format!("rules 3 and 5: a failover from node {from}, which is not known down: {known}"));
            return None;
        };
        self.judge_witnesses(scene, Cause::Failover, Some(since));
        self.judge_damping(scene, Cause::Failover, Some(from), to, Some(since));
        if !self.subject(to).iter().all(|line| line.is_healthy_since(since)) {
            self.breaks(|| {
                format!("rule 1: a failover to node {to} without an answer as fresh as the failure of {from}")
            });
        }
        // Twice as long as the engine itself may wait, since what it knows of a check is not known here.
        let patience = 2 * scene.shape.health.fast_interval.max(self.took[to] * 2);
        let newest = self.subject(to).iter().filter_map(Evidence::newest_healthy).min();
        let overdue = |(subject, at): &(usize, Instant)| {
            *subject == to && newest.is_none_or(|newest| *at > newest) && scene.clock >= *at + patience
        };
        if scene.shape.checks == 1 && self.under_way.values().any(overdue) {
            self.breaks(|| format!("rule 1: a failover to node {to}, which has left a newer probe unanswered"));
        }
        // What answers through an address that is split may be another node.
        let split = self.readings.iter().any(|readings| matches!(readings.newest, Some(Placement::Split { .. })));
        if !split && self.address().iter().all(|line| line.is_healthy_since(since)) {
            self.breaks(|| format!("rule 3: a failover from node {from}, which serves through the address"));
        }
        if self.suspicion {
            self.breaks(|| "rule 5: a failover while every node fails".into());
        }
        let failed = self.address().iter().any(|line| line.newest_failure().is_some_and(|failure| failure >= since));
        Some(since).filter(|_| self.served && !failed && !split)
    }

    fn judge_rescue(&mut self, scene: Scene<'_>) {
        let patience = scene.shape.patience;
        let stalled = |readings: &Readings| readings.transition.is_some_and(|since| scene.now >= since + patience);
        let lost = |readings: &Readings| {
            Readings::agree(readings.free) || Readings::agree(readings.split) || stalled(readings)
        };
        let held = |readings: &Readings| readings.newest.as_ref().is_some_and(|newest| newest.holder().is_some());
        if !self.readings.iter().any(lost) || self.readings.iter().any(held) {
            let readings = self.readings.clone();
            self.breaks(|| format!("rule 4: a rescue after {readings:?}"));
        }
    }

    /// A move from a node that is not down waits until that is idle, for a bounded time.
    fn judge_idleness(&mut self, scene: Scene<'_>, cause: Cause, from: usize) {
        let health = &scene.shape.health;
        // What an operator asked for is looked at before the hooks are asked, and they may take their time.
        let looked_at_before = cause == Cause::Switchover && scene.shape.pre_move.is_some();
        let down = self.subject(from).iter().any(|line| line.is_still_down(scene.clock, health));
        if scene.shape.wait_for_idle.is_none() || looked_at_before || down || cause == Cause::Failover {
            return;
        }
        let lifetime = health.verdict_lifetime();
        let idle = self.use_of[from].newest_healthy().is_some_and(|at| scene.clock <= at + lifetime);
        if (!idle || self.use_of[from].row() > 0) && self.waited_for != Some(from) {
            self.breaks(|| format!("a {cause:?} from node {from}, which is in use, has not waited"));
        }
    }

    /// The monitor says that a move has waited for long enough.
    pub(super) fn expire_wait(&mut self, scene: Scene<'_>, node: usize, waited: Duration) {
        let bound = scene.shape.wait_for_idle.unwrap_or_default();
        if waited < bound || self.last_end.is_some_and(|end| scene.now < end + bound) {
            self.breaks(|| format!("a move from node {node} has waited for {waited:?} only"));
        }
        self.waited_for = Some(node);
    }

    /// An operator has drained the node, or somebody maintains it.
    pub(super) fn is_to_be_left(&self, node: usize) -> bool {
        self.brakes.drained[node] || self.is_maintained(node)
    }

    fn judge_failback(&mut self, scene: Scene<'_>, from: Option<usize>, to: usize) {
        let shape = scene.shape;
        let Some(after) = shape.failback else { return self.breaks(|| "rule 3: a failback that nobody wants".into()) };
        if from.is_none_or(|from| from <= to) {
            self.breaks(|| format!("rule 3: a failback from {from:?} to {to}"));
        }
        if scene.now < after {
            self.breaks(|| format!("a failback {:?} after the start of the world", scene.now));
        }
        let flap_window = Duration::from_secs(600);
        let downs = self.downs[to].iter().filter(|down| scene.now - **down < flap_window).count();
        if downs >= 2 {
            self.breaks(|| format!("a failback to node {to}, which went down {downs} times lately"));
        }
        if self.last_end.is_some_and(|end| scene.now < end + shape.cooldown) {
            self.breaks(|| "rule 8: a failback within the cool-down".into());
        }
        if self.downs[to].last().is_some_and(|down| scene.now < *down + after) {
            self.breaks(|| format!("a failback to node {to}, which has not been well for {after:?}"));
        }
    }

    fn judge_restore(&mut self, scene: Scene<'_>, from: Option<usize>, to: usize) {
        let shape = scene.shape;
        if !shape.restores || from.is_none() || self.drifted != from.map(|from| (to, from)) || !self.seen_on[to] {
            let drifted = self.drifted;
            return self.breaks(|| {
                format!("rule 3: an address is moved back from {from:?} to {to}, and what is known is {drifted:?}")
            });
        }
        if !self.readings.iter().any(|readings| Readings::agree(readings.on_node)) {
            self.breaks(|| "rule 4: an address is moved back after a single reading".into());
        }
        if self.last_end.is_some_and(|end| scene.now < end + shape.cooldown) {
            self.breaks(|| "rule 8: an address is moved back within the cool-down".into());
        }
    }

    fn judge_reclaim(&mut self, scene: Scene<'_>, from: Option<usize>, to: usize) {
        let shape = scene.shape;
        if !shape.reclaims || shape.strategy == Strategy::Overwrite || from != Some(to) {
            return self
                .breaks(|| format!("rule 3: an address is reclaimed from {from:?} for {to}, which nobody wants"));
        }
        let failed = self.address().iter().filter(|line| line.is_failing(scene.clock, &shape.health));
        let Some(since) = failed.filter_map(|line| line.newest_failure()).max() else {
            return self.breaks(|| "rule 3: an address is reclaimed that answers".into());
        };
        if !self.served {
            self.breaks(|| "an address is reclaimed that has never answered from here".into());
        }
        if !self.subject(to).iter().all(|line| line.is_healthy_since(since)) {
            self.breaks(|| format!("an address is reclaimed for node {to}, which has not answered since it failed"));
        }
        if self.reclaimed.replace(to) == Some(to) {
            self.breaks(|| format!("an address is reclaimed for node {to} once more"));
        }
        if self.last_end.is_some_and(|end| scene.now < end + shape.cooldown) {
            self.breaks(|| "rule 8: a reclaim within the cool-down".into());
        }
        if self.moves_lately(scene) + 1 >= shape.max_moves as usize {
            self.breaks(|| "rule 8: a reclaim with the last move that may be".into());
        }
    }

    pub(super) fn retarget(&mut self, scene: Scene<'_>, to: usize) {
        let Some(moving) = &mut self.moving else { return };
        (moving.to, moving.gathers, moving.arrived) = (to, None, false);
        let verifies = std::mem::take(&mut moving.verification_failed);
        let (again, forced, cause) = (moving.tried.contains(&to) && !moving.was_stuck, moving.forced, moving.cause);
        if verifies {
            self.await_no_reading();
        }
        if verifies && again {
            self.breaks(|| format!("rule 9: after a failed verification back to node {to}"));
        }
        let down = self.subject(to).iter().any(|line| line.is_down(scene.clock, &scene.shape.health));
        if verifies && down {
            self.breaks(|| format!("rule 9: after a failed verification on to node {to}, which is down"));
        }
        if verifies && cause == Cause::Reclaim {
            self.breaks(|| format!("rule 3: a reclaim goes on to node {to}"));
        }
        if verifies && forced {
            self.breaks(|| format!("a forced move goes on to node {to}"));
        }
    }

    pub(super) fn finish_move(&mut self, scene: Scene<'_>, receipt: &Receipt) {
        let Some(moving) = &self.moving else {
            return self.breaks(|| "a move ends that never started".into());
        };
        let (to, since) = (number(&receipt.to), moving.since);
        let landed = moving.landed.filter(|(node, _)| *node == to).map(|(_, at)| at);
        // A stale reading shows what was true so long ago.
        let stale = Duration::from_secs(9);
        if !scene.provider.held_since(to, since.saturating_sub(stale)) {
            self.breaks(|| format!("rule 6: says that node {to} got the address, which never had it"));
        }
        if landed.is_none() {
            self.breaks(|| format!("rule 6: ends a move to node {to} that no reading has confirmed"));
        }
        let verified = receipt.verification == Verification::Verified;
        if verified && !landed.is_some_and(|at| self.address().iter().all(|line| line.answered_since(at))) {
            self.breaks(|| format!("rule 9: calls a move to node {to} verified that is not"));
        }
        if verified && !scene.shape.chain && !self.readings[0].show_on(to) {
            self.breaks(|| {
                format!("rule 9: calls a move to node {to} verified that the newest reading shows elsewhere")
            });
        }
        self.end_move(scene.now);
    }

    pub(super) fn end_move(&mut self, now: Duration) {
        self.moving = None;
        self.last_end = Some(now);
    }

    /// What a request of a mover of `strategy` may rely on.
    pub(super) fn takes_over(strategy: Strategy) -> bool {
        match strategy {
            Strategy::Overwrite => true,
            Strategy::ReleaseFirst => false,
        }
    }
}
