//! What each trouble does to the world.

use std::time::Duration;

use floatip_core::{Command, Switchover};

use super::{Coming, World};
use crate::monitor::{Fuse, Input, Standstill};
use crate::network::Path;
use crate::provider::Occupant;
use crate::server::Condition;
use crate::trouble::{Meddling, Order, Trouble};

/// A monitor that stands still for longer than this notices it, says the driver.
const JUMP: Duration = Duration::from_secs(5);

/// How long a stopping monitor goes on with a move, says the driver.
const GRACE: Duration = Duration::from_secs(60);

impl World {
    pub(super) fn befall(&mut self, trouble: Trouble) {
        self.tell(format_args!("# {trouble:?}"));
        let (nodes, monitors) = (self.nodes.len(), self.monitors.len());
        let strict = self.plan.shape.strict;
        match trouble {
            Trouble::Well { node, latency } => self.set_condition(node % nodes, Condition::Well { latency }),
            Trouble::Refuses { node } => self.set_condition(node % nodes, Condition::Refuses),
            Trouble::Hangs { node } => self.set_condition(node % nodes, Condition::Hangs),
            Trouble::Terminated { node } => self.set_condition(node % nodes, Condition::Terminated),
            Trouble::Lossy { node, percent } => self.set_condition(node % nodes, Condition::Lossy { percent }),
            Trouble::Flaps { node, times, down, up } => {
                let node = node % nodes;
                for time in 0..u32::from(times) {
                    let at = (down + up) * time;
                    self.later(at, Coming::Condition { node, condition: Condition::Refuses });
                    let latency = Duration::from_millis(5);
                    self.later(at + down, Coming::Condition { node, condition: Condition::Well { latency } });
                }
            }
            Trouble::HolderFails { hangs } => {
                if let Some(holder) = self.provider.holder() {
                    self.set_condition(holder, if hangs { Condition::Hangs } else { Condition::Refuses });
                }
            }
            Trouble::Mute { node, mute } => self.servers[node % nodes].mute = mute,
            Trouble::PathCut { monitor, node, floating, lasts } => {
                let node = node % nodes;
                let path = if floating { Path::Floating(node) } else { Path::Direct(node) };
                self.cut(monitor % monitors, path, Duration::ZERO, lasts);
            }
            Trouble::Isolated { monitor, first, apart, lasts, back_first, deaf } => {
                self.isolate(monitor % monitors, (first % nodes, back_first % nodes), apart, lasts, deaf);
            }
            Trouble::ProberBroken { monitor, node, lasts } => {
                self.cut(monitor % monitors, Path::Prober(node % nodes), Duration::ZERO, lasts);
            }
            Trouble::ProviderLost { monitor, lasts } => {
                self.cut(monitor % monitors, Path::Provider, Duration::ZERO, lasts);
            }
            Trouble::Stalled { monitor, suspended, lasts } => self.freeze(monitor % monitors, suspended, lasts),
            Trouble::Killed { monitor, down } => {
                if self.monitors[monitor % monitors].engine.is_some() {
                    self.kill(monitor % monitors, down);
                }
            }
            Trouble::KilledAt { monitor, calls, down } => {
                self.monitors[monitor % monitors].fuse = Some(Fuse { calls, down });
            }
            Trouble::Stopped { monitor, down } => self.stop(monitor % monitors, down),
            Trouble::CallsFail { monitor, call, fault, count } => {
                let faults = &mut self.monitors[monitor % monitors].faults;
                faults.extend((0..count).map(|_| (call, fault)));
            }
            Trouble::ChangesTake { release, claim } => {
                self.provider.release_takes = release;
                self.provider.claim_takes = claim;
            }
            Trouble::ReadsLag { lag } if !strict => self.provider.lag = lag,
            Trouble::ReadsFreeze { lasts } if !strict => self.provider.freeze_reads(self.now, lasts),
            Trouble::ReadsLag { .. } | Trouble::ReadsFreeze { .. } => {}
            Trouble::ReleasesStuck { stuck } => self.provider.stuck_releases = stuck,
            Trouble::ClaimsStuck { node, stuck } => self.provider.stuck_claims[node % nodes] = stuck,
            Trouble::Impossible { node, impossible } => self.provider.impossible[node % nodes] = impossible,
            Trouble::NotReady { node, ready } => self.provider.unready[node % nodes] = !ready,
            Trouble::Meddled { meddling, node } if !strict => self.meddle(meddling, node % nodes),
            Trouble::Meddled { .. } => {}
            Trouble::StoreFails { monitor, fault, lasts } => {
                self.monitors[monitor % monitors].store_fault = Some((fault, self.now + lasts));
            }
            Trouble::WitnessFails { witness, lasts } => {
                if let Some(silent) = (!self.silent.is_empty()).then(|| witness % self.silent.len()) {
                    self.silent[silent] = self.now + lasts;
                }
            }
            Trouble::WitnessCut { monitor, witness, lasts } => {
                if !self.silent.is_empty() {
                    let path = Path::Witness(witness % self.silent.len());
                    self.cut(monitor % monitors, path, Duration::ZERO, lasts);
                }
            }
            Trouble::HooksAre { mood } => self.mood = mood,
            Trouble::InUse { node, in_use } => self.servers[node % nodes].in_use = in_use,
            Trouble::Maintained { node, maintained } => self.servers[node % nodes].maintained = maintained,
            Trouble::PartRefused { part, refused } => self.provider.refuse_part(part, refused),
            Trouble::PartMoved { part, node } if !strict && self.provider.is_in_parts() => {
                self.provider.put_part(self.now, part, node.map(|node| Occupant::Node(node % nodes)));
            }
            Trouble::PartMoved { .. } => {}
            Trouble::PartsUnanswered { count } => self.unanswered = count,
            Trouble::Uneven { node, percent, slow } => {
                self.set_condition(node % nodes, Condition::Uneven { percent, slow });
            }
            Trouble::ProbesQueue { monitor, wait, lasts } => {
                self.monitors[monitor % monitors].holdup.probes = (wait, self.now + lasts);
            }
            Trouble::RequestsDawdle { monitor, lasts } => {
                self.monitors[monitor % monitors].holdup.requests = self.now + lasts;
            }
            Trouble::ClaimsOutlast { by } => self.provider.claim_takes = self.plan.shape.patience + by,
            Trouble::Ordered { monitor, order, node } => self.order(monitor % monitors, order, node % nodes),
        }
    }

    pub(super) fn set_condition(&mut self, node: usize, condition: Condition) {
        self.tell(format_args!("# node {node}: {condition:?}"));
        self.servers[node].condition = condition;
    }

    fn cut(&mut self, monitor: usize, path: Path, after: Duration, lasts: Duration) {
        let until = self.now + after + lasts;
        self.later(after, Coming::Cut { monitor, path, until });
    }

    /// Cuts a monitor off: from the first node at once and from the others a while later; one comes back that much sooner
    /// than the others.
    fn isolate(&mut self, monitor: usize, order: (usize, usize), apart: Duration, lasts: Duration, deaf: bool) {
        let (first, back_first) = order;
        for node in 0..self.nodes.len() {
            let begins = if node == first { Duration::ZERO } else { apart };
            let ends = lasts + apart + if node == back_first { Duration::ZERO } else { apart };
            for path in [Path::Direct(node), Path::Floating(node)] {
                self.cut(monitor, path, begins, ends - begins);
            }
        }
        // The witnesses may be cut off sooner than any node or later, and come back in any order.
        for witness in 0..self.silent.len() {
            let (begins, later) = (apart.mul_f64(1.2 * self.rng.f64()), apart.mul_f64(2.0 * self.rng.f64()));
            self.cut(monitor, Path::Witness(witness), begins, lasts + later);
        }
        if deaf {
            self.cut(monitor, Path::Provider, apart, lasts);
            self.cut(monitor, Path::Store, apart, lasts);
        }
    }

    fn freeze(&mut self, monitor: usize, suspended: bool, lasts: Duration) {
        let seat = &mut self.monitors[monitor];
        if seat.engine.is_none() || seat.still.is_some() {
            return;
        }
        // A suspension that is too short to be noticed would hide from the monitor that its lease has ended.
        let lasts = if suspended { lasts + JUMP } else { lasts };
        seat.still = Some(Standstill { since: self.now, until: self.now + lasts, suspended });
        // Its timers come when it goes on.
        let life = seat.life;
        self.later(lasts, Coming::Thaw { monitor, life });
        self.monitors[monitor].due = None;
    }

    pub(super) fn thaw(&mut self, monitor: usize, life: u32) {
        let seat = &mut self.monitors[monitor];
        if seat.life != life {
            return;
        }
        let Some(still) = seat.still.take() else { return };
        let stood = self.now - still.since;
        let wake = seat.engine.as_ref().and_then(floatip_core::Engine::poll_timeout);
        let late = if still.suspended {
            seat.lose(stood);
            Some(stood)
        } else {
            wake.map(|wake| self.now.saturating_sub(seat.world_time(wake).max(still.since)))
        };
        let clock = seat.clock(self.now);
        seat.judge.wake(clock);
        if let Some(by) = late.filter(|by| *by > JUMP) {
            seat.judge.clock_jump(clock);
            self.turn(monitor, |engine, clock| engine.handle_clock_jump(clock, by));
        }
        self.turn(monitor, |engine, clock| engine.handle_timeout(clock));
        for input in std::mem::take(&mut self.monitors[monitor].mailbox) {
            if self.monitors[monitor].life == life {
                self.take(monitor, input);
            }
        }
    }

    fn stop(&mut self, monitor: usize, down: Duration) {
        let seat = &mut self.monitors[monitor];
        if seat.engine.is_none() || seat.stopping.is_some() {
            return;
        }
        seat.stopping = Some((self.now + GRACE, down));
        let life = seat.life;
        self.input(monitor, life, Input::Shutdown);
    }

    fn meddle(&mut self, meddling: Meddling, node: usize) {
        let now = self.now;
        match meddling {
            Meddling::Puts => self.provider.put(now, Some(Occupant::Node(node)), 0),
            Meddling::Frees => self.provider.put(now, None, 0),
            Meddling::PutsOnStranger => self.provider.put(now, Some(Occupant::Stranger), 0),
            Meddling::PutsUnsettled => self.provider.put(now, Some(Occupant::Node(node)), 2),
            Meddling::Releases => self.provider.release_from_outside(now),
        }
    }

    pub(super) fn order(&mut self, monitor: usize, order: Order, node: usize) {
        let node = self.nodes[node].clone();
        let command = match order {
            Order::Pause { lasts } => Command::Pause { reason: None, duration: lasts },
            Order::Resume => Command::Resume,
            Order::Acknowledge => Command::Acknowledge,
            Order::Drain => Command::Drain { node },
            Order::Undrain => Command::Undrain { node },
            Order::Switchover { force, wait } => Command::Switchover(Switchover::to(node).force(force).wait(wait)),
        };
        self.commands += 1;
        let (id, life) = (self.commands, self.monitors[monitor].life);
        self.input(monitor, life, Input::Command { id, command });
    }
}
