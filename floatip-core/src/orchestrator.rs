//! The async driver: runs probes, movers and timers for the engines. The only place that awaits.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::command::{Command, CommandError, Done};
use crate::event::Event;
use crate::setup::Setup;
use crate::status::Status;

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
}

impl Builder {
    /// Adds a floating IP.
    #[must_use]
    pub fn floating_ip(mut self, setup: Setup) -> Self {
        self.setups.push(setup);
        self
    }

    /// Sets how often every floating IP's placement is read while nothing moves. Default: 10 s.
    #[must_use]
    pub fn sweep(mut self, sweep: Duration) -> Self {
        self.sweep = sweep;
        self
    }

    /// Sets a folder in which pauses, freezes and the move budget survive restarts. Default: none.
    #[must_use]
    pub fn state_dir(mut self, state_dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(state_dir.into());
        self
    }

    /// Checks everything and builds.
    ///
    /// # Errors
    /// [`BuildError`] names the floating IP and what cannot work.
    pub fn build(self) -> Result<Orchestrator, BuildError> {
        unimplemented!()
    }
}

/// Drives any number of floating IPs.
#[derive(Debug)]
pub struct Orchestrator {
    _private: (),
}

impl Orchestrator {
    /// Starts to collect what shall be driven.
    pub fn builder() -> Builder {
        Builder { setups: Vec::new(), sweep: Duration::from_secs(10), state_dir: None }
    }

    /// A handle to watch and to command it, before and while it runs.
    pub fn handle(&self) -> Handle {
        unimplemented!()
    }

    /// Runs until `shutdown` completes. A move that is past its point of no return is finished first (within 60 s), or
    /// left in a state that the next start resumes.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        shutdown.await;
    }
}

/// Watches and commands a running [`Orchestrator`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    _private: (),
}

impl Handle {
    /// The state of every floating IP, in the order in which they were added.
    ///
    /// # Errors
    /// [`CommandError::Stopped`] if the orchestrator has stopped.
    pub async fn status(&self) -> Result<Vec<Status>, CommandError> {
        unimplemented!()
    }

    /// All events from now on.
    pub fn subscribe(&self) -> Subscription {
        unimplemented!()
    }

    /// Carries out a command and waits for its end. Dropping the future does not take the command back.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn command(&self, floating_ip: &str, command: Command) -> Result<Done, CommandError> {
        let _ = (floating_ip, command);
        unimplemented!()
    }
}

/// What a subscriber receives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// Something happened.
    Event(Arc<Event>),
    /// The subscriber was too slow: this many events are gone, and this is how things stand now.
    Lagged {
        /// Events that were missed.
        missed: u64,
        /// The state of every floating IP.
        snapshot: Vec<Status>,
    },
}

/// A stream of events.
#[derive(Debug)]
pub struct Subscription {
    _private: (),
}

impl Subscription {
    /// The next notice; `None` once the orchestrator has stopped and everything was received.
    ///
    /// # Cancel safety
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<Notice> {
        unimplemented!()
    }
}
