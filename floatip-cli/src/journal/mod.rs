//! What happens, told: events go to the event log as JSON lines, to stderr as log records, and to `floatip status`.

mod event_log;
mod subject;

use std::collections::HashMap;
use std::sync::Arc;

use floatip_core::{Event, EventKind, MoveId, Notice, Subscription};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{Span, error, info, info_span, warn};

pub(crate) use event_log::EventLog;

/// The newest event of each floating IP, as `status` shows it.
pub(crate) type Newest = HashMap<Arc<str>, Value>;

/// Receives all events until the orchestrator has stopped.
#[derive(Debug)]
pub(crate) struct Journal {
    events: Subscription,
    log: Option<EventLog>,
    newest: watch::Sender<Newest>,
    spans: HashMap<Arc<str>, Spans>,
}

/// The tracing spans of one floating IP.
#[derive(Debug)]
struct Spans {
    floating_ip: Span,
    moves: HashMap<MoveId, Span>,
}

impl Journal {
    pub(crate) fn new(events: Subscription, log: Option<EventLog>) -> Self {
        Self { events, log, newest: watch::Sender::default(), spans: HashMap::new() }
    }

    /// Follows the newest event of each floating IP.
    pub(crate) fn newest(&self) -> watch::Receiver<Newest> {
        self.newest.subscribe()
    }

    pub(crate) async fn run(mut self) {
        while let Some(notice) = self.events.next().await {
            let line = match notice {
                Notice::Event(event) => {
                    self.tell(&event);
                    serde_json::to_value(&*event)
                }
                Notice::Lagged { missed, snapshot } => {
                    warn!(missed, "events came faster than they could be written, and some are lost");
                    let at = jiff::Timestamp::now();
                    serde_json::to_value(&snapshot).map(|now| {
                        json!({ "at": format!("{at:.6}"), "event": "events_missed", "missed": missed, "floating_ips": now })
                    })
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

    fn tell(&mut self, event: &Event) {
        let spans = self.spans.entry(event.floating_ip.clone()).or_insert_with(|| Spans {
            floating_ip: info_span!("floating_ip", floating_ip = %event.floating_ip),
            moves: HashMap::new(),
        });
        spans.log(&event.kind);
        let at = jiff::Timestamp::try_from(event.at).map(|at| format!("{at:.3}")).unwrap_or_default();
        let newest = json!({ "at": at, "summary": event.kind.to_string() });
        self.newest.send_modify(|all| {
            all.insert(event.floating_ip.clone(), newest);
        });
    }
}

impl Spans {
    fn log(&mut self, kind: &EventKind) {
        if let EventKind::MoveStarted { id, to, .. } = kind {
            let _outer = self.floating_ip.enter();
            self.moves.insert(*id, info_span!("move", id, %to));
        }
        let id = subject::move_of(kind);
        let span = id.and_then(|id| self.moves.get(&id)).unwrap_or(&self.floating_ip).clone();
        span.in_scope(|| match kind {
            EventKind::StepFinished { step, .. } => info_span!("step", step = step.as_str()).in_scope(|| record(kind)),
            _ => record(kind),
        });
        if let EventKind::MoveFinished(_) | EventKind::MoveFailed { .. } = kind
            && let Some(id) = id
        {
            self.moves.remove(&id);
        }
    }
}

fn record(kind: &EventKind) {
    let node = subject::node_of(kind).map(tracing::field::display);
    match kind {
        EventKind::FloatingIpStuck { .. } | EventKind::AllNodesDown {} | EventKind::NoCandidate { .. } => {
            error!(node, "{kind}");
        }
        _ if kind.is_trouble() => warn!(node, "{kind}"),
        _ => info!(node, "{kind}"),
    }
}
