//! What was said on a control connection.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Secret;
use crate::excerpt::excerpt;

/// How many lines are kept of one check.
const LINES: usize = 200;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Speaker {
    /// The probe.
    Probe,
    /// The server.
    Server,
    /// Nobody: something happened beside the control connection.
    Remark,
}

/// One line of a dialogue, without secrets, bounded, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// How long after the beginning of the check.
    pub after: Duration,
    /// Who speaks.
    pub speaker: Speaker,
    /// What.
    pub words: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.speaker {
            Speaker::Probe => "->",
            Speaker::Server => "<-",
            Speaker::Remark => "--",
        };
        write!(f, "{:7.3} s  {sign} {}", self.after.as_secs_f64(), self.words)
    }
}

/// The lines of one check, if anybody wants them. They outlive a check that is ended by its deadline.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialogue(Option<Arc<Mutex<Record>>>);

#[derive(Debug)]
struct Record {
    began: Instant,
    lines: Vec<Line>,
}

impl Dialogue {
    pub(super) fn recorded() -> Self {
        Self(Some(Arc::new(Mutex::new(Record { began: Instant::now(), lines: Vec::new() }))))
    }

    pub(super) fn sent(&self, command: &str) {
        self.add(Speaker::Probe, || excerpt(command.as_bytes()));
    }

    /// Takes note of a reply, each of its lines.
    pub(super) fn heard(&self, secret: &Secret, reply: &[u8]) {
        if self.0.is_some() {
            for line in secret.masked(&String::from_utf8_lossy(reply)).lines() {
                self.add(Speaker::Server, || secret.masked(&excerpt(line.as_bytes())));
            }
        }
    }

    pub(super) fn remark(&self, words: impl FnOnce() -> String) {
        self.add(Speaker::Remark, words);
    }

    fn add(&self, speaker: Speaker, words: impl FnOnce() -> String) {
        let Some(record) = &self.0 else { return };
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        if record.lines.len() < LINES {
            let after = record.began.elapsed();
            record.lines.push(Line { after, speaker, words: words() });
        }
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let record = self.0.as_ref().map(|record| record.lock().unwrap_or_else(PoisonError::into_inner));
        record.map(|record| record.lines.clone()).unwrap_or_default()
    }
}
