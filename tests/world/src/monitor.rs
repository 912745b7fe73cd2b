//! One monitor: its engine, its clock, what is on its way to it, and what survives its death.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use floatip_core::engine::{CallId, CommandId, ProbeId};
use floatip_core::{Accepted, Command, Durable, Engine, Grant, HookResult, MoveError, Placement, Readiness, Verdict};

use crate::judge::Judge;
use crate::network::Network;
use crate::trouble::{Call, CallFault, StoreFault};

/// What comes in to a monitor.
#[derive(Debug)]
pub(crate) enum Input {
    Verdict { probe: ProbeId, started: Instant, result: Result<Verdict, String> },
    Reading { call: CallId, asked: Duration, reading: Result<Placement, MoveError> },
    Reply { call: CallId, reply: Result<Accepted, MoveError> },
    Hooks { call: CallId, result: HookResult },
    Readiness { call: CallId, answer: Result<Readiness, MoveError> },
    Grant { asked: Instant, grant: Result<Option<Grant>, ()> },
    Command { id: CommandId, command: Command },
    Shutdown,
}

/// A process that stands still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standstill {
    pub(crate) since: Duration,
    pub(crate) until: Duration,
    /// Its clock stands still as well.
    pub(crate) suspended: bool,
}

/// Kills a monitor at a call or a reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fuse {
    pub(crate) calls: u8,
    pub(crate) down: Duration,
}

/// How a monitor's own host holds it up.
#[derive(Debug, Default)]
pub(crate) struct Holdup {
    /// Until when requests are long on their way.
    pub(crate) requests: Duration,
    /// Up to how long probes wait for their turn, and until when that is so.
    pub(crate) probes: (Duration, Duration),
    /// When the newest probe began: turns come in order.
    pub(crate) turn: Duration,
}

/// A place for a monitor.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// The time zero of the world, by the monotonic clock.
    base: Instant,
    /// How long its clock has stood still so far.
    lost: Duration,
    pub(crate) engine: Option<Engine>,
    /// Counts its lives, so that what was on its way to an earlier one is dropped.
    pub(crate) life: u32,
    pub(crate) due: Option<Duration>,
    pub(crate) still: Option<Standstill>,
    pub(crate) mailbox: Vec<Input>,
    /// The probes that are under way: their subject and check.
    pub(crate) probes: BTreeMap<ProbeId, (usize, usize)>,
    pub(crate) durable: Option<(Duration, Durable)>,
    pub(crate) faults: Vec<(Call, CallFault)>,
    pub(crate) fuse: Option<Fuse>,
    /// When a shutdown that has begun ends at the latest, and how long the monitor is down then.
    pub(crate) stopping: Option<(Duration, Duration)>,
    /// Commands that have not been answered.
    pub(crate) asked: Vec<CommandId>,
    pub(crate) network: Network,
    pub(crate) store_fault: Option<(StoreFault, Duration)>,
    pub(crate) holdup: Holdup,
    pub(crate) judge: Judge,
}

impl Monitor {
    pub(crate) fn new(base: Instant, network: Network, judge: Judge) -> Self {
        Self {
            base,
            lost: Duration::ZERO,
            engine: None,
            life: 0,
            due: None,
            still: None,
            mailbox: Vec::new(),
            probes: BTreeMap::new(),
            durable: None,
            faults: Vec::new(),
            fuse: None,
            stopping: None,
            asked: Vec::new(),
            network,
            store_fault: None,
            holdup: Holdup::default(),
            judge,
        }
    }

    /// The world's time by the monitor's clock.
    pub(crate) fn clock(&self, now: Duration) -> Instant {
        self.base + (now - self.lost)
    }

    /// A time of the monitor's clock in the world's.
    pub(crate) fn world_time(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.base) + self.lost
    }

    pub(crate) fn lose(&mut self, lasts: Duration) {
        self.lost += lasts;
    }

    /// The next of the faults of `call`, which is used up.
    pub(crate) fn fault(&mut self, call: Call) -> Option<CallFault> {
        let at = self.faults.iter().position(|(kind, _)| *kind == call)?;
        Some(self.faults.remove(at).1)
    }

    pub(crate) fn die(&mut self) {
        self.engine = None;
        self.life += 1;
        self.due = None;
        self.still = None;
        self.mailbox.clear();
        self.probes.clear();
        self.stopping = None;
        self.fuse = None;
        self.asked.clear();
    }
}
