//! What happens, told: events go to the event log as JSON lines, and the newest to `floatip status`. (The logs on stderr
//! come from floatip-core, within its spans.)

use std::collections::HashMap;
use std::sync::Arc;

use floatip_core::{Event, Notice, Subscription};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::warn;

use crate::event_log::EventLog;

/// The newest event of each floating IP, as `status` shows it.
pub(crate) type Newest = HashMap<Arc<str>, Value>;

/// Receives all events until the orchestrator has stopped.
#[derive(Debug)]
pub(crate) struct Journal {
    events: Subscription,
    log: Option<EventLog>,
    newest: watch::Sender<Newest>,
}

impl Journal {
    pub(crate) fn new(events: Subscription, log: Option<EventLog>) -> Self {
        Self { events, log, newest: watch::Sender::default() }
    }

    /// Follows the newest event of each floating IP.
    pub(crate) fn newest(&self) -> watch::Receiver<Newest> {
        self.newest.subscribe()
    }

    pub(crate) async fn run(mut self) {
        while let Some(notice) = self.events.next().await {
            let line = match notice {
                Notice::Event(event) => {
                    self.note(&event);
                    serde_json::to_value(&*event)
                }
                Notice::Lagged { missed, snapshot } => {
                    warn!(missed, "events came faster than they could be written, and some are lost");
                    let at = format!("{:.6}", jiff::Timestamp::now());
                    serde_json::to_value(&snapshot)
                        .map(|now| json!({ "at": at, "event": "events_missed", "missed": missed, "floating_ips": now }))
                }
                // A kind of notice that this version does not know.
                _ => continue,
            };
            match (line, &mut self.log) {
                (Ok(line), Some(log)) => log.append(&line).await,
                (Ok(_), None) => (),
                (Err(error), _) => warn!(%error, "an event could not be written as JSON"),
            }
        }
    }

    fn note(&self, event: &Event) {
        let at = jiff::Timestamp::try_from(event.at).map(|at| format!("{at:.3}")).unwrap_or_default();
        let newest = json!({ "at": at, "summary": event.kind.to_string() });
        self.newest.send_modify(|all| {
            all.insert(event.floating_ip.clone(), newest);
        });
    }
}
