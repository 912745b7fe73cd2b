//! Sessions that are kept from check to check.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floatip_core::{Host, NodeId, Target};
use suppaftp::Status;
use tokio::time::Instant;

use super::dialogue::Dialogue;
use super::session::Session;

/// The kept sessions of one probe, at most one a node.
#[derive(Debug, Clone)]
pub(super) struct KeptSessions {
    full_every: Duration,
    sessions: Arc<Mutex<HashMap<(NodeId, Host), Kept>>>,
}

#[derive(Debug)]
struct Kept {
    session: Session,
    checked: Instant,
}

impl KeptSessions {
    pub(super) fn new(full_every: Duration) -> Self {
        Self { full_every, sessions: Arc::default() }
    }

    /// What is worth telling of a session that is still alive and was checked in full lately. Any other is dropped, which
    /// closes it.
    pub(super) async fn answers(&self, target: &Target, dialogue: &Dialogue) -> Option<Vec<String>> {
        let key = (target.node.clone(), target.host.clone());
        let mut kept = self.lock().remove(&key)?;
        if kept.checked.elapsed() >= self.full_every {
            return None;
        }
        kept.session.dialogue = dialogue.clone();
        kept.session.attempt("NOOP", &[Status::CommandOk]).await.ok()?;
        let warnings = kept.session.warnings.clone();
        self.lock().insert(key, kept);
        Some(warnings)
    }

    /// Keeps a session that was just checked in full. One that another check has left meanwhile is closed.
    pub(super) fn keep(&self, target: &Target, session: Session) {
        let kept = Kept { session, checked: Instant::now() };
        self.lock().insert((target.node.clone(), target.host.clone()), kept);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(NodeId, Host), Kept>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
