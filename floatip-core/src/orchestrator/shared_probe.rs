//! Probes under way: one run for all floating IPs that ask the same of the same target at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tokio::task::{AbortHandle, Id};

use crate::engine::ProbeId;
use crate::node::Host;
use crate::probe::{HealthProbe, Via};

/// Who asked for a probe.
pub(super) type Asker = (usize, ProbeId);

/// What makes two probes the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The probe's own address in memory: a shared `Arc` is the same probe.
    probe: usize,
    host: Host,
    via: Via,
    timeout: Duration,
}

impl Key {
    pub(super) fn new(probe: &Arc<dyn HealthProbe>, host: Host, via: Via, timeout: Duration) -> Self {
        Self { probe: Arc::as_ptr(probe).cast::<()>() as usize, host, via, timeout }
    }
}

#[derive(Debug)]
struct Run {
    key: Key,
    started: Instant,
    abort: AbortHandle,
    askers: Vec<Asker>,
}

/// All probes under way. Their keys are what the monitor itself numbers and what its own configuration names, so that nobody
/// can choose them to collide: a quick hash will do, thousands of times a second.
#[derive(Debug, Default)]
pub(super) struct SharedProbes {
    runs: FxHashMap<Id, Run>,
    newest: FxHashMap<Key, Id>,
    of: FxHashMap<Asker, Id>,
}

impl SharedProbes {
    /// Joins a probe that began at this very time. False if there is none: an earlier one would be older evidence than
    /// was asked for.
    pub(super) fn join(&mut self, key: &Key, asker: Asker, at: Instant) -> bool {
        let Some(id) = self.newest.get(key) else { return false };
        let Some(run) = self.runs.get_mut(id) else { return false };
        let joins = run.started == at;
        if joins {
            run.askers.push(asker);
            self.of.insert(asker, *id);
        }
        joins
    }

    pub(super) fn insert(&mut self, key: Key, asker: Asker, started: Instant, abort: AbortHandle) {
        let id = abort.id();
        self.newest.insert(key.clone(), id);
        self.of.insert(asker, id);
        self.runs.insert(id, Run { key, started, abort, askers: vec![asker] });
    }

    /// Nobody named `asker` waits any more; the last one to leave ends the probe.
    pub(super) fn leave(&mut self, asker: Asker) {
        let Some(id) = self.of.remove(&asker) else { return };
        if let Some(run) = self.runs.get_mut(&id) {
            run.askers.retain(|other| *other != asker);
            if run.askers.is_empty() {
                run.abort.abort();
                if self.newest.get(&run.key) == Some(&id) {
                    self.newest.remove(&run.key);
                }
            }
        }
    }

    /// Takes an ended probe out: when it began, and who asked for it. `None` if `id` is no probe.
    pub(super) fn remove(&mut self, id: Id) -> Option<(Instant, Vec<Asker>)> {
        let run = self.runs.remove(&id)?;
        if self.newest.get(&run.key) == Some(&id) {
            self.newest.remove(&run.key);
        }
        run.askers.iter().for_each(|asker| {
            self.of.remove(asker);
        });
        Some((run.started, run.askers))
    }

    pub(super) fn abort_all(&self) {
        self.runs.values().for_each(|run| run.abort.abort());
    }
}
