//! How others watch and command a running orchestrator.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::command::{Command, CommandError, Done};
use crate::event::Event;
use crate::history::Decision;
use crate::status::Status;

/// What is asked of the owner loop.
#[derive(Debug)]
pub(super) enum Ask {
    Status(oneshot::Sender<Vec<Status>>),
    History { floating_ip: String, reply: oneshot::Sender<Result<Vec<Decision>, CommandError>> },
    Command { floating_ip: String, command: Command, reply: oneshot::Sender<Result<Done, CommandError>> },
}

/// Watches and commands a running [`Orchestrator`](crate::Orchestrator). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) events: broadcast::WeakSender<Arc<Event>>,
}

impl Handle {
    /// The state of every floating IP, in the order in which they were added.
    ///
    /// # Errors
    /// [`CommandError::Stopped`] if the orchestrator has stopped.
    pub async fn status(&self) -> Result<Vec<Status>, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Status(reply)).await.map_err(|_| CommandError::Stopped)?;
        answer.await.map_err(|_| CommandError::Stopped)
    }

    /// The newest 100 decisions about a floating IP, oldest first: why it was moved and why not, on what evidence, and how
    /// long each part took. With a state folder also those of earlier runs.
    ///
    /// # Errors
    /// [`CommandError::UnknownFloatingIp`], and [`CommandError::Stopped`] if the orchestrator has stopped.
    pub async fn history(&self, floating_ip: &str) -> Result<Vec<Decision>, CommandError> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask::History { floating_ip: floating_ip.to_owned(), reply };
        self.asks.send(ask).await.map_err(|_| CommandError::Stopped)?;
        answer.await.map_err(|_| CommandError::Stopped)?
    }

    /// All events from now on. A subscriber may be 1024 events behind before it misses some.
    pub fn subscribe(&self) -> Subscription {
        let events = match self.events.upgrade() {
            Some(events) => events.subscribe(),
            None => broadcast::Sender::new(1).subscribe(),
        };
        Subscription { events, handle: self.clone() }
    }

    /// Carries out a command and waits for its end.
    ///
    /// # Errors
    /// See [`CommandError`].
    ///
    /// # Cancel safety
    /// Dropping the future does not take the command back.
    pub async fn command(&self, floating_ip: &str, command: Command) -> Result<Done, CommandError> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Command { floating_ip: floating_ip.to_owned(), command, reply };
        self.asks.send(ask).await.map_err(|_| CommandError::Stopped)?;
        answer.await.map_err(|_| CommandError::Stopped)?
    }
}

/// What a subscriber receives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// Something happened.
    Event(Arc<Event>),
    /// The subscriber was too slow: events are gone, and this is how things stand now.
    Lagged {
        /// Events that were missed.
        missed: u64,
        /// The state of every floating IP; empty if the orchestrator has stopped.
        snapshot: Vec<Status>,
    },
}

/// A stream of events.
#[derive(Debug)]
pub struct Subscription {
    events: broadcast::Receiver<Arc<Event>>,
    handle: Handle,
}

impl Subscription {
    /// The next notice; `None` once the orchestrator has stopped and everything was received.
    ///
    /// # Cancel safety
    /// Cancel safe but for one case: a [`Notice::Lagged`] that is being put together is lost with the future.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.events.recv().await {
            Ok(event) => Some(Notice::Event(event)),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                let snapshot = self.handle.status().await.unwrap_or_default();
                Some(Notice::Lagged { missed, snapshot })
            }
        }
    }
}
