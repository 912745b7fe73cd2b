//! The end of a scenario: quiet, until the address is on the best allowed node; then the holder fails once more, and the
//! failover keeps its bound.

use std::time::Duration;

use floatip_core::{Health, NodeStatus, State, Status, Strategy};

use super::World;
use crate::monitor::Holdup;
use crate::network::Network;
use crate::server::{Condition, Server};
use crate::trouble::{Mood, Order, Stuck, Trouble};

const S: Duration = Duration::from_secs(1);

/// How long the address may take to come to rest: a stuck move's longest pause, a claim and a forced release that must
/// each run out, and the longest hold-off.
const CALM: Duration = Duration::from_secs(420);

/// How long it must be at rest.
const REST: u32 = 5;

impl World {
    pub(super) fn calm(&mut self) {
        if !self.broken.is_empty() {
            return;
        }
        self.quiet();
        let drained = self.orders();
        if self.broken.is_empty() && self.rest(drained) {
            self.last_failover(drained);
        }
        let open: Vec<_> = self.monitors.iter().flat_map(|monitor| monitor.asked.clone()).collect();
        if self.broken.is_empty() && !open.is_empty() {
            self.break_rule(&format!("commands {open:?} were never answered"));
        }
    }

    /// Everything is well again but perhaps some of the nodes.
    fn quiet(&mut self) {
        let nodes = self.nodes.len();
        let well = self.rng.usize(..nodes);
        for node in 0..nodes {
            // Whoever is in use stays so: a planned move waits for a bounded time only.
            let in_use = self.servers[node].in_use;
            self.servers[node] = Server { in_use, ..Server::well() };
            if node != well && self.rng.u8(..3) == 0 {
                self.servers[node].condition = Condition::Refuses;
            }
            self.provider.stuck_claims[node] = false;
            self.provider.impossible[node] = false;
            self.provider.unready[node] = false;
        }
        self.agenda.retain(|_, coming| !matches!(coming, super::Coming::Condition { .. } | super::Coming::Cut { .. }));
        self.provider.stuck_releases = Stuck::Never;
        self.provider.refuse_nothing();
        self.unanswered = 0;
        self.provider.end_staleness();
        // What regularly takes longer than the patience would be given up for ever.
        let most = self.plan.shape.patience.mul_f64(0.75);
        self.provider.release_takes = most.min(self.provider.release_takes);
        self.provider.claim_takes = most.min(self.provider.claim_takes);
        // A release that never ends is overcome by force, if its holder is down.
        let dead = self.provider.leaves().is_some_and(|node| !self.is_well(node));
        if self.provider.is_endless() && !dead || self.provider.is_stuck_for_good(self.plan.shape.strategy) {
            self.provider.finish_change(self.now);
        }
        if self.provider.is_on_stranger() {
            self.provider.put(self.now, None, 0);
        }
        self.silent.fill(Duration::ZERO);
        self.mood = Mood::Allows;
        for monitor in &mut self.monitors {
            monitor.network = Network::whole(nodes, self.silent.len());
            monitor.faults.clear();
            monitor.fuse = None;
            monitor.store_fault = None;
            monitor.holdup = Holdup::default();
        }
        let truth = self.provider.placement();
        self.tell(format_args!("# calm, node {well} is well; {truth}"));
    }

    /// Lets time pass until `done`, looking once a second, for so long at most.
    fn wait(&mut self, most: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + most;
        loop {
            if !self.broken.is_empty() {
                return false;
            }
            if done(self) {
                return true;
            }
            if self.now >= until {
                return false;
            }
            self.pass(S);
            self.thaw_frozen();
        }
    }

    /// An operator looks after what has moved too often.
    fn thaw_frozen(&mut self) {
        for monitor in 0..self.monitors.len() {
            let seat = &self.monitors[monitor];
            let clock = seat.clock(self.now);
            if seat.engine.as_ref().is_some_and(|engine| engine.status(clock).frozen) {
                let order = if self.plan.luck & 1 == 0 { Order::Resume } else { Order::Acknowledge };
                self.order(monitor, order, 0);
            }
        }
    }

    fn pass(&mut self, lasts: Duration) {
        let until = self.now + lasts;
        while self.broken.is_empty() && self.advance(until) {}
    }

    /// Operators release all brakes, and perhaps drain or maintain a node that is not needed.
    fn orders(&mut self) -> Option<usize> {
        let alive = self.wait(CALM, |world| {
            // A move to a drained node ends the draining at one of two monitors.
            let asks =
                |m: &crate::monitor::Monitor| m.judge.asks_for_an_operator(m.clock(world.now), &world.plan.shape);
            let runs = |m: &crate::monitor::Monitor| m.engine.is_some() && m.still.is_none() && m.stopping.is_none();
            world.monitors.iter().all(|monitor| runs(monitor) && !asks(monitor))
        });
        if !alive && self.broken.is_empty() {
            self.break_rule("a monitor does not stop");
        }
        let mut drained = None;
        if self.rng.u8(..4) == 0 && (0..self.nodes.len()).filter(|node| self.is_well(*node)).count() > 1 {
            drained = (0..self.nodes.len()).find(|node| self.is_well(*node));
        }
        let maintained = drained.filter(|_| self.plan.shape.maintains);
        if let Some(node) = maintained {
            self.befall(Trouble::Maintained { node, maintained: true });
        }
        for monitor in 0..self.monitors.len() {
            self.order(monitor, Order::Resume, 0);
            for node in 0..self.nodes.len() {
                let wanted = drained == Some(node) && maintained.is_none();
                if self.monitors[monitor].judge.is_drained(node) != wanted {
                    self.order(monitor, if wanted { Order::Drain } else { Order::Undrain }, node);
                }
            }
        }
        drained
    }

    fn is_well(&self, node: usize) -> bool {
        self.servers[node].is_well(self.plan.shape.health.timeout)
    }

    /// Waits until a healthy node has served for a while, and every monitor says so.
    fn rest(&mut self, drained: Option<usize>) -> bool {
        let mut good = 0;
        let rests = self.wait(CALM, |world| {
            good = if world.is_at_rest(drained) { good + 1 } else { 0 };
            good >= REST
        });
        if !rests && self.broken.is_empty() {
            let states: Vec<_> = self.statuses().map(|s| (s.state, s.placement, s.moving)).collect();
            let truth = self.provider.placement();
            self.break_rule(&format!("rule 7: the best node does not serve; truth: {truth}; {states:?}"));
        }
        rests
    }

    fn statuses(&self) -> impl Iterator<Item = Status> + '_ {
        self.monitors.iter().filter_map(|monitor| Some(monitor.engine.as_ref()?.status(monitor.clock(self.now))))
    }

    fn is_at_rest(&self, drained: Option<usize>) -> bool {
        let Some(holder) = self.provider.holder() else { return false };
        // An operator's move to a drained node, which had waited for the hooks, may have ended that.
        let told = |node: usize| self.monitors.iter().any(|monitor| monitor.judge.is_drained(node));
        let drained = drained.filter(|node| self.servers[*node].maintained || told(*node));
        if !self.is_well(holder) || !self.provider.is_settled() || drained == Some(holder) {
            return false;
        }
        let statuses: Vec<_> = self.statuses().collect();
        let serves =
            |status: &Status| status.state == State::Serving && status.holder.as_ref() == Some(&self.nodes[holder]);
        let better = |node: usize| {
            let calm = statuses.iter().all(|status| !status.nodes[node].flapping);
            calm && self.is_well(node) && drained != Some(node)
        };
        let returns = self.plan.shape.failback.is_some();
        statuses.iter().all(serves) && !(returns && (0..holder).any(better))
    }

    /// Rule 10: the holder fails, and the address is on another node within the bound.
    fn last_failover(&mut self, drained: Option<usize>) {
        let shape = self.plan.shape.clone();
        if !shape.one_mover() {
            return;
        }
        self.provider.stuck_releases = Stuck::Never;
        for node in 0..self.nodes.len() {
            self.set_condition(node, Condition::Well { latency: Duration::from_millis(3) });
        }
        for monitor in 0..self.monitors.len() {
            self.order(monitor, Order::Resume, 0);
        }
        self.pass(S * 4);
        let known = |world: &Self| {
            let ready = |status: &Status, node: &NodeStatus| {
                status.holder.as_ref() == Some(&node.name) || node.not_ready.is_none()
            };
            let healthy =
                |status: Status| status.nodes.iter().all(|node| node.health == Health::Healthy && ready(&status, node));
            let led = !shape.leased || world.store.holder(world.now).is_some();
            led && world.is_at_rest(drained) && world.statuses().all(healthy)
        };
        if !self.wait(CALM, known) {
            if self.broken.is_empty() {
                let states: Vec<_> = self.statuses().collect();
                self.break_rule(&format!("everything is well, and it is not seen: {states:?}"));
            }
            return;
        }
        let phase = shape.health.interval.mul_f64(self.rng.f64());
        self.pass(S * 4 + phase);
        let (Some(holder), true) = (self.provider.holder(), self.is_at_rest(drained)) else { return };
        if (0..self.nodes.len()).filter(|node| *node != holder && drained != Some(*node)).count() == 0 {
            return;
        }
        for monitor in 0..self.monitors.len() {
            self.order(monitor, Order::Resume, 0);
        }
        if self.plan.luck & 6 == 0 {
            self.veto_a_drain(holder);
        }
        let conditions = [Condition::Refuses, Condition::Hangs, Condition::Terminated];
        let condition = conditions[self.rng.usize(..conditions.len())];
        self.set_condition(holder, condition);
        let began = self.now;
        // What the first mover does not get away from the holder, the second one takes over when it has waited.
        let hangs = shape.chain && self.rng.bool();
        if hangs {
            self.provider.stuck_releases = Stuck::Always;
        }
        let takes = match shape.strategy {
            _ if shape.parts > 1 => Duration::ZERO,
            _ if hangs => shape.patience,
            Strategy::ReleaseFirst => self.provider.release_takes + self.provider.claim_takes,
            Strategy::Overwrite => self.provider.claim_takes,
        };
        // A hook that hangs delays it by its bound at most, and the decision is made anew by what is asked then.
        let moods = [Mood::Allows, Mood::Fails, Mood::Hangs, Mood::Dies];
        self.mood = moods[self.rng.usize(..moods.len())];
        let asked =
            shape.pre_move.map_or(Duration::ZERO, |bound| bound + Duration::from_millis(250) + shape.health.timeout);
        let bound = shape.health.worst_case_detection()
            + takes.mul_f64(1.05)
            + shape.latency * 8
            + Duration::from_millis(250)
            + asked;
        while self.broken.is_empty() && self.provider.serving().is_none_or(|node| node == holder) {
            if self.now >= began + bound {
                let states: Vec<_> = self.statuses().map(|s| (s.state, s.placement, s.moving)).collect();
                return self.break_rule(&format!("rule 10: no failover within {bound:?}: {states:?}"));
            }
            self.pass(Duration::from_millis(50));
        }
    }

    /// An operator drains the holder, and the hooks say no for so long that the next question about it is some time off.
    fn veto_a_drain(&mut self, holder: usize) {
        let Some(bound) = self.plan.shape.pre_move else { return };
        self.mood = Mood::Vetoes;
        for monitor in 0..self.monitors.len() {
            self.order(monitor, Order::Drain, holder);
        }
        self.pass(S * 6 + bound * 2);
    }
}
