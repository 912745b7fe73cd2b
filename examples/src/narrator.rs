//! Prints what happens, and waits for the turns of a story.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use floatip_core::{Event, EventKind, Handle, Health, NodeId, Notice, Orchestrator, Receipt, State, Subscription};
use tokio::signal::ctrl_c;
use tokio::time::timeout;

/// How long a story may stand still before it has gone wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs an orchestrator and prints its events, until Ctrl-C.
///
/// # Panics
/// If signals cannot be received.
pub async fn watch(orchestrator: Orchestrator) {
    let mut narrator = Narrator::of(&orchestrator);
    let stop = async { ctrl_c().await.expect("signals can be received") };
    tokio::join!(orchestrator.run(stop), narrator.tell_all());
}

/// Prints every event of an orchestrator, with the seconds since the start.
#[derive(Debug)]
pub struct Narrator {
    started: Instant,
    handle: Handle,
    events: Subscription,
}

impl Narrator {
    /// A narrator of all that happens from now on.
    #[allow(clippy::disallowed_methods, reason = "it tells the time of a story, not of a monitor")]
    pub fn of(orchestrator: &Orchestrator) -> Self {
        let handle = orchestrator.handle();
        Self { started: Instant::now(), events: handle.subscribe(), handle }
    }

    /// Says something between the events.
    pub fn say(&self, what: &str) {
        println!("{:7.2} s  --- {what} ---", self.started.elapsed().as_secs_f64());
    }

    /// Prints events until the orchestrator has stopped.
    pub async fn tell_all(&mut self) {
        while let Some(notice) = self.events.next().await {
            self.tell(&notice);
        }
    }

    /// Prints events until every node is healthy, and says which one holds the address.
    ///
    /// # Errors
    /// If that does not come about.
    pub async fn tell_until_all_is_well(&mut self) -> Result<NodeId> {
        loop {
            if let [status] = &self.handle.status().await?[..]
                && status.state == State::Serving
                && status.nodes.iter().all(|node| node.health == Health::Healthy)
                && let Some(holder) = &status.holder
            {
                return Ok(holder.clone());
            }
            self.next().await?;
        }
    }

    /// Prints events until a move is finished, and gives its receipt back.
    ///
    /// # Errors
    /// If a move fails or is stuck, or if none comes about.
    pub async fn tell_until_moved(&mut self) -> Result<Receipt> {
        loop {
            if let Some(event) = self.next().await? {
                if let EventKind::MoveFailed { .. } | EventKind::FloatingIpStuck { .. } = &event.kind {
                    bail!("{}", event.kind);
                }
                if let EventKind::MoveFinished(receipt) = event.kind {
                    return Ok(receipt);
                }
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Event>> {
        let notice = timeout(PATIENCE, self.events.next()).await.context("nothing happens any more")?;
        let notice = notice.context("the orchestrator has stopped")?;
        self.tell(&notice);
        let Notice::Event(event) = notice else { return Ok(None) };
        Ok(Some(Event::clone(&event)))
    }

    fn tell(&self, notice: &Notice) {
        let elapsed = self.started.elapsed().as_secs_f64();
        if let Notice::Event(event) = notice {
            println!("{elapsed:7.2} s  {}", event.kind);
        }
    }
}
