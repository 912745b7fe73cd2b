//! The async driver: runs probes, movers and timers for the engines. The only place that awaits, and that reads clocks.

mod clock;
mod driver;
mod handle;
mod history_file;
mod hooks;
mod shared_probe;
mod state_file;

use std::collections::HashSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, mpsc};

use crate::combination::Role;
use crate::durable::Durable;
use crate::event::Event;
use crate::setup::Setup;
use crate::witness::{Witness, default_quorum};
use driver::Driver;
use handle::Ask;
pub use handle::{Handle, Notice, Subscription};
use history_file::HistoryFile;
use state_file::StateFile;

/// How many events a slow subscriber may be behind before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// How many commands may wait for the owner loop.
const COMMAND_BACKLOG: usize = 64;

/// What was set up cannot work. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[error("{floating_ip}: {reason}")]
#[non_exhaustive]
pub struct BuildError {
    /// The name of the floating IP, or `orchestrator`.
    pub floating_ip: String,
    /// What cannot work, and what to do.
    pub reason: String,
}

/// Collects what an [`Orchestrator`] drives.
#[derive(Debug)]
pub struct Builder {
    setups: Vec<Setup>,
    sweep: Duration,
    state_dir: Option<PathBuf>,
    witnesses: Vec<Witness>,
    witness_quorum: Option<usize>,
    probes_at_once: usize,
    seed: u64,
}

impl Builder {
    /// How many probes run at once if nobody says.
    pub const PROBES_AT_ONCE: usize = 4096;

    /// Adds a floating IP.
    #[must_use]
    pub fn floating_ip(mut self, setup: Setup) -> Self {
        self.setups.push(setup);
        self
    }

    /// Sets how often every floating IP's placement is read while nothing moves, all at one tick. Default: 10 s.
    #[must_use]
    pub fn sweep(mut self, sweep: Duration) -> Self {
        self.sweep = sweep;
        self
    }

    /// Sets a folder, which must exist, in which pauses, freezes, the move budget and the history survive restarts.
    /// Default: none.
    #[must_use]
    pub fn state_dir(mut self, state_dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(state_dir.into());
        self
    }

    /// Adds a witness, which all floating IPs share. Default: none.
    #[must_use]
    pub fn witness(mut self, witness: Witness) -> Self {
        self.witnesses.push(witness);
        self
    }

    /// Sets how many witnesses must answer before anything moves unasked. From 1 to the number of witnesses. Default: all
    /// but one, and at least one.
    #[must_use]
    pub fn witness_quorum(mut self, quorum: usize) -> Self {
        self.witness_quorum = Some(quorum);
        self
    }

    /// Sets how many probes may run at once, so that they never take more descriptors than the process may have; more wait
    /// for their turn, and count as begun when it comes. At least 1; zero is taken for that. Default:
    /// [`PROBES_AT_ONCE`](Self::PROBES_AT_ONCE).
    #[must_use]
    pub fn probes_at_once(mut self, probes: usize) -> Self {
        self.probes_at_once = probes.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets the seed of the spread of probes and of the jitter of backoff. Default: random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks everything, reads the remembered state and builds.
    ///
    /// # Errors
    /// [`BuildError`] names the floating IP and what cannot work.
    pub fn build(mut self) -> Result<Orchestrator, BuildError> {
        let mut names = HashSet::new();
        let mut slots = Vec::with_capacity(self.setups.len());
        if self.sweep.is_zero() {
            return Err(BuildError { floating_ip: "orchestrator".into(), reason: "sweep may not be zero".into() });
        }
        let witness_quorum = self.witness_quorum.unwrap_or(default_quorum(self.witnesses.len()));
        if let Some(reason) = witness_fault(&self.witnesses, witness_quorum, &self.setups) {
            return Err(BuildError { floating_ip: "orchestrator".into(), reason });
        }
        for setup in std::mem::take(&mut self.setups) {
            let name = setup.floating_ip.name.to_string();
            let refuse = |reason: String| BuildError { floating_ip: name.clone(), reason };
            if !names.insert(name.clone()) {
                return Err(refuse("two floating IPs bear this name".into()));
            }
            if let Some(fault) = fault(&setup) {
                return Err(refuse(fault));
            }
            let state = self.state_dir.as_ref().map(|dir| StateFile::new(dir, &name));
            let remembered = match &state {
                None => Durable::default(),
                Some(_) if name.contains(['/', '\\']) => {
                    return Err(refuse(
                        "its name becomes a file name in the state folder, so it may hold no slash".into(),
                    ));
                }
                Some(file) => file.load(clock::wall()).map_err(|error| {
                    let path = file.path().display();
                    refuse(format!(
                        "its state in {path} cannot be read: {error}; mend it, or delete it to start afresh"
                    ))
                })?,
            };
            let history = self.state_dir.as_ref().map(|dir| HistoryFile::new(dir, &name));
            slots.push((setup, state, remembered, history));
        }
        let (asks, inbox) = mpsc::channel(COMMAND_BACKLOG);
        let events = broadcast::Sender::new(EVENT_BACKLOG);
        let Self { sweep, witnesses, probes_at_once, seed, .. } = self;
        Ok(Orchestrator { slots, witnesses, witness_quorum, sweep, probes_at_once, seed, asks, inbox, events })
    }
}

/// Names the first thing of a setup that cannot work, if there is one.
fn fault(setup: &Setup) -> Option<String> {
    let address = &setup.floating_ip.address;
    let mut ids = HashSet::new();
    for node in &setup.nodes {
        let id = &node.id;
        if !ids.insert(id) {
            return Some(format!("two nodes bear the name {id}"));
        }
        if node.host == *address {
            return Some(format!("the host of {id} is the floating address itself: give the node's own address"));
        }
        if let Some(mover) = setup.movers.iter().find(|mover| !mover.serves(id)) {
            return Some(format!("the mover {mover:?} does not serve the node {id}: give it the node's provider id"));
        }
    }
    let missing = [
        (setup.nodes.is_empty(), "it has no node"),
        (setup.movers.is_empty(), "it has no mover"),
        (
            !setup.checks.iter().any(|check| check.direct && check.role == Role::Decides),
            "it has no check of the nodes' own hosts that decides",
        ),
    ];
    let missing = missing.into_iter().find_map(|(missing, what)| missing.then_some(what));
    let checks = || setup.checks.iter().find_map(|check| check.health.fault());
    missing.or_else(checks).or_else(|| setup.policy.fault()).map(str::to_owned)
}

/// Names the first thing of the witnesses that cannot work, if there is one.
fn witness_fault(witnesses: &[Witness], quorum: usize, setups: &[Setup]) -> Option<String> {
    let mut names = HashSet::new();
    for Witness { name, host, health, .. } in witnesses {
        if !names.insert(name) {
            return Some(format!("two witnesses bear the name {name}"));
        }
        if let Some(fault) = health.fault() {
            return Some(format!("the witness {name}: {fault}"));
        }
        for setup in setups {
            let node = setup.nodes.iter().find(|node| node.host == *host);
            if node.is_some() || setup.floating_ip.address == *host {
                return Some(format!(
                    "the witness {name} is a node or a floating address itself, so it fails with it: name a gateway or a \
                     DNS server"
                ));
            }
        }
    }
    let fits = if witnesses.is_empty() { quorum == 0 } else { (1..=witnesses.len()).contains(&quorum) };
    (!fits).then(|| format!("witness_quorum is {quorum}, but there are {} witnesses", witnesses.len()))
}

/// Drives any number of floating IPs.
#[derive(Debug)]
pub struct Orchestrator {
    slots: Vec<(Setup, Option<StateFile>, Durable, Option<HistoryFile>)>,
    witnesses: Vec<Witness>,
    witness_quorum: usize,
    sweep: Duration,
    probes_at_once: usize,
    seed: u64,
    asks: mpsc::Sender<Ask>,
    inbox: mpsc::Receiver<Ask>,
    events: broadcast::Sender<Arc<Event>>,
}

impl Orchestrator {
    /// Starts to collect what shall be driven.
    pub fn builder() -> Builder {
        let seed = fastrand::u64(..);
        Builder {
            setups: Vec::new(),
            sweep: Duration::from_secs(10),
            state_dir: None,
            witnesses: Vec::new(),
            witness_quorum: None,
            probes_at_once: Builder::PROBES_AT_ONCE,
            seed,
        }
    }

    /// A handle to watch and to command it, before and while it runs.
    pub fn handle(&self) -> Handle {
        Handle { asks: self.asks.clone(), events: self.events.downgrade() }
    }

    /// Runs until `shutdown` completes. A move that has changed nothing is then cancelled; one that is past its point of
    /// no return is finished first (within 60 s), or left in a state that the next start resumes.
    ///
    /// # Cancel safety
    /// Dropping the future ends everything at once. A move in flight is then in a state that the next start resumes.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        Driver::new(self).run(shutdown).await;
    }
}

#[cfg(test)]
mod tests;
