use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::action::Action;

/// One request that reached the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When it arrived.
    pub at: Instant,
    /// The name of the action, as it was sent: it may be none that the simulator knows.
    pub action: String,
    /// All parameters as they were sent (`NetworkInterfaceId.1`, `Filter.1.Name`), without `Action` and `Version`.
    pub parameters: BTreeMap<String, String>,
    /// The id that the reply carries.
    pub request_id: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl Entry {
    fn is_real(&self, action: Action) -> bool {
        self.action == action.name() && self.parameter("DryRun") != Some("true")
    }

    /// A parameter, by its name on the wire.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is being worked on.
    Pending,
    /// It was answered with success.
    Succeeded,
    /// It was answered with an error.
    Failed {
        /// The HTTP status.
        status: u16,
        /// The error code, such as `RequestLimitExceeded`.
        code: String,
    },
    /// The connection was cut instead of an answer.
    Cut,
    /// It will never be answered.
    Unanswered,
}

impl Outcome {
    /// The error code of an answer with an error.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Failed { code, .. } => Some(code),
            Self::Pending | Self::Succeeded | Self::Cut | Self::Unanswered => None,
        }
    }
}

/// Every request that reached the simulator, in order of arrival.
pub struct Journal {
    entries: Mutex<Vec<Entry>>,
    written: watch::Sender<()>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().iter()).finish()
    }
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { entries: Mutex::default(), written: watch::Sender::new(()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self, entry: Entry) {
        self.lock().push(entry);
        self.written.send_replace(());
    }

    pub(super) fn close(&self, request_id: &str, outcome: Outcome) {
        if let Some(entry) = self.lock().iter_mut().rev().find(|entry| entry.request_id == request_id) {
            entry.outcome = outcome;
        }
        self.written.send_replace(());
    }

    /// All requests.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// The requests of one action, without dry runs.
    pub fn of(&self, action: Action) -> Vec<Entry> {
        self.lock().iter().filter(|entry| entry.is_real(action)).cloned().collect()
    }

    /// How many requests of one action have arrived, dry runs not counted.
    pub fn count(&self, action: Action) -> usize {
        self.lock().iter().filter(|entry| entry.is_real(action)).count()
    }

    /// Forgets all requests. Useful in long runs: the journal grows without bound.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Waits until the requests satisfy `condition`, which is looked at now and after each arrival and answer. The
    /// condition must not call the journal.
    ///
    /// # Cancel safety
    /// Dropping it is harmless; bound it with a timeout.
    pub async fn wait_until(&self, mut condition: impl FnMut(&[Entry]) -> bool) {
        let mut written = self.written.subscribe();
        while !condition(&self.lock()) {
            if written.changed().await.is_err() {
                return;
            }
        }
    }
}
