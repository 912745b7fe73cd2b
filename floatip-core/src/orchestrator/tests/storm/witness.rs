//! Stands by a monitor, and checks every call and every event against the truth.

use std::collections::VecDeque;

use async_trait::async_trait;

use super::super::*;
use super::ledger::{GRACE, Ledger};
use crate::testing::{InMemoryLeaseStore, Occupant};

/// The most readings and requests of one monitor within any ten seconds.
const BUSY: usize = 160;

/// One life of a monitor, as the witness of its calls knows it.
#[derive(Debug, Default)]
pub(super) struct Life {
    on_the_wire: usize,
    calls: VecDeque<Instant>,
    moving: Option<(Cause, Instant)>,
    /// The present move has taken the address from somebody or given it to somebody.
    acted: bool,
}

/// What one mover has told.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The newest reading that was answered.
    newest: Option<Placement>,
    /// Readings that were answered, all of them.
    all: Vec<Placement>,
}

/// Stands between a monitor and its mover, and checks every call.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    pub(super) name: String,
    pub(super) inner: Arc<dyn AddressMover>,
    pub(super) ledger: Ledger,
    pub(super) life: Arc<Mutex<Life>>,
    pub(super) lease: Option<(InMemoryLeaseStore, String)>,
    pub(super) cut: Arc<Mutex<Option<Instant>>>,
    pub(super) read: Arc<Mutex<Reads>>,
}

struct OnTheWire(Arc<Mutex<Life>>);

impl Drop for OnTheWire {
    fn drop(&mut self) {
        self.0.lock().unwrap().on_the_wire -= 1;
    }
}

impl Witness {
    fn life(&self) -> std::sync::MutexGuard<'_, Life> {
        self.life.lock().unwrap()
    }

    fn break_rule(&self, what: String) {
        self.ledger.break_rule(format!("{}: {what}", self.name));
    }

    fn count(&self) {
        let now = Instant::now();
        let mut life = self.life();
        while life.calls.front().is_some_and(|at| now.duration_since(*at) > 10 * S) {
            life.calls.pop_front();
        }
        life.calls.push_back(now);
        if life.calls.len() == BUSY {
            let calls = life.calls.len();
            drop(life);
            self.break_rule(format!("{calls} calls within ten seconds"));
        }
    }

    /// A request leaves.
    fn send(&self, what: &str, seen: &Placement) -> OnTheWire {
        self.count();
        self.ledger.note(|| format!("{}: {what}, seen {seen:?}", self.name));
        let mut life = self.life();
        life.on_the_wire += 1;
        let overlaps = life.on_the_wire > 1;
        drop(life);
        let reads = self.read.lock().unwrap();
        let (newest, read) = (reads.newest.as_ref() == Some(seen), reads.all.contains(seen));
        drop(reads);
        if overlaps {
            self.break_rule(format!("{what} while another request is on the wire"));
        }
        if !read {
            self.break_rule(format!("{what} with {seen:?}, which was never read"));
        } else if !newest {
            self.break_rule(format!("{what} with {seen:?}, which is not what was read last"));
        }
        if let Some((store, holder)) = &self.lease
            && store.holder().as_deref() != Some(holder)
        {
            self.break_rule(format!("{what} without the lease"));
        }
        OnTheWire(self.life.clone())
    }

    /// A request would take the address from `holder`.
    fn check_taking(&self, holder: &NodeId) {
        let life = self.life();
        let (moving, acted) = (life.moving, life.acted);
        drop(life);
        let cut = self.cut.lock().unwrap().is_some_and(|until| Instant::now() <= until + GRACE);
        match moving {
            Some((Cause::Failover, _)) if !acted && !cut && !self.ledger.was_sick(holder) => {
                self.break_rule(format!("a failover takes the address from {holder}, which is well"));
            }
            Some((Cause::Rescue, _)) if !acted => {
                self.break_rule(format!("a rescue takes the address from {holder}"));
            }
            None => self.break_rule(format!("no move, and yet the address is taken from {holder}")),
            Some((
                Cause::Failover
                | Cause::Rescue
                | Cause::Switchover
                | Cause::Failback
                | Cause::Drain
                | Cause::Restore
                | Cause::Reclaim,
                _,
            )) => {}
        }
    }

    fn end(&self, what: &str, reply: &Result<Accepted, MoveError>) {
        self.ledger.note(|| format!("{}: {what} -> {reply:?}", self.name));
        if reply.as_ref().map_or_else(MoveError::may_have_changed, |_| true) {
            self.life().acted = true;
        }
    }
}

#[async_trait]
impl AddressMover for Witness {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.inner.serves(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        self.count();
        let reading = self.inner.locate().await;
        if let Ok(placement) = &reading {
            let mut reads = self.read.lock().unwrap();
            if reads.newest.as_ref() != Some(placement) {
                self.ledger.note(|| format!("{}: reads {placement:?}", self.name));
            }
            reads.newest = Some(placement.clone());
            if !reads.all.contains(placement) {
                reads.all.push(placement.clone());
            }
        }
        reading
    }

    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let what = format!("release {mode:?}");
        let _on_the_wire = self.send(&what, seen);
        if let Some(holder) = seen.holder() {
            self.check_taking(holder);
        }
        let reply = self.inner.release(seen, mode).await;
        self.end(&what, &reply);
        reply
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let what = format!("claim for {to}");
        let _on_the_wire = self.send(&what, seen);
        if let Some(holder) = seen.holder().filter(|holder| *holder != to) {
            self.check_taking(holder);
        }
        let reply = self.inner.claim(to, seen).await;
        if seen.holder() != Some(to) {
            self.end(&what, &reply);
        }
        reply
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        self.inner.ready(to).await
    }
}

/// Checks what a monitor says against the truth.
pub(super) fn follow(kind: &EventKind, name: &str, life: &Mutex<Life>, ledger: &Ledger, provider: &InMemoryProvider) {
    let mut life = life.lock().unwrap();
    if let EventKind::MoveStarted { from, to, cause, .. } = kind {
        life.moving = Some((*cause, Instant::now()));
        life.acted = false;
        if let (Cause::Failover, Some(from)) = (cause, from) {
            if !ledger.was_sick(from) {
                ledger.break_rule(format!("{name}: a failover from {from}, which is well"));
            }
            if !ledger.was_well(to) {
                ledger.break_rule(format!("{name}: a failover to {to}, which is sick"));
            }
        }
    } else if let EventKind::MoveFinished(receipt) = kind {
        let since = life.moving.take().map_or(Instant::now(), |(_, since)| since);
        let to = Occupant::Node(receipt.to.clone());
        let history = provider.history();
        let held = (0..history.len()).any(|at| {
            let until = history.get(at + 1).map(|next| next.since);
            history[at].holders.contains(&to) && until.is_none_or(|until| until + 3 * S >= since)
        });
        if !held {
            ledger.break_rule(format!("{name}: says that {} got the address, which never had it", receipt.to));
        }
    } else if let EventKind::VerificationFailed { .. } = kind {
        // It may go on to another node from here.
        life.acted = true;
    } else if let EventKind::MoveFailed { .. } = kind {
        life.moving = None;
    }
}
