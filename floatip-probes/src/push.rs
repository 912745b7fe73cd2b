//! What does a node say of itself?

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use floatip_core::{HealthProbe, NodeId, ProbeError, Reason, Target, Verdict};
use tokio::time::Instant;

use crate::SettingError;
use crate::excerpt::excerpt;

/// How often another node must have reported since a silent one did, where all report equally often. It may have done so
/// once before the monitor's own network was cut, and once or twice after that before the silent one had its turn.
const HEARD_SINCE: usize = 4;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Option<Reason>);

impl Report {
    /// It does its work.
    pub fn healthy() -> Self {
        Self(None)
    }

    /// It does not, for this reason, of which 200 characters are kept, on one line and without control characters.
    pub fn unhealthy(reason: &str) -> Self {
        Self(Some(Reason::Failed { detail: format!("it says: {}", excerpt(reason.as_bytes())) }))
    }
}

/// Where the reports of the nodes of one floating IP arrive. Clones are the same mailbox.
#[derive(Debug, Clone, Default)]
pub struct Mailbox(Arc<Mutex<HashMap<NodeId, Heard>>>);

/// What was heard of one node.
#[derive(Debug)]
struct Heard {
    newest: Report,
    /// When its last reports came, the newest first; at most [`HEARD_SINCE`].
    times: VecDeque<Instant>,
}

impl Heard {
    fn last(&self) -> Option<Instant> {
        self.times.front().copied()
    }

    /// True if it has reported often enough since `when` to prove that reports arrive.
    fn proves_arrival_since(&self, when: Instant) -> bool {
        self.times.get(HEARD_SINCE - 1).is_some_and(|time| *time > when)
    }
}

impl Mailbox {
    /// An empty one: nothing is known of any node.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a report that has arrived just now. It stands until the next one of the same node.
    pub fn take(&self, node: NodeId, report: Report) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = VecDeque::with_capacity(HEARD_SINCE);
        let of_node = heard.entry(node).or_insert_with(|| Heard { newest: report.clone(), times });
        of_node.newest = report;
        of_node.times.truncate(HEARD_SINCE - 1);
        of_node.times.push_front(Instant::now());
    }

    /// What is known of `node`, whose reports are good for `stale_after`.
    fn judge(&self, node: &NodeId, stale_after: Duration) -> Result<Verdict, ProbeError> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let silence = |heard: &Heard| heard.last().map_or(Duration::MAX, |last| now.duration_since(last));
        let Some((of_node, last)) = heard.get(node).and_then(|heard| Some((heard, heard.last()?))) else {
            return Err(unknown(format!("{node} has not reported since the monitor started")));
        };
        let silent_for = silence(of_node);
        if silent_for <= stale_after {
            return Ok(match &of_node.newest.0 {
                None => Verdict::healthy(),
                Some(reason) => Verdict::unhealthy(reason.clone()),
            });
        }
        let seconds = silent_for.as_secs();
        let mut others = heard.iter().filter(|(other, _)| *other != node).map(|(_, heard)| heard);
        let any_fresh = others.clone().any(|other| silence(other) <= stale_after);
        if any_fresh && !others.any(|other| other.proves_arrival_since(last)) {
            return Err(unknown(format!("no report of {node} for {seconds} s, but nobody has reported often since")));
        }
        Ok(Verdict::unhealthy(Reason::Failed { detail: format!("no report for {seconds} s") }))
    }
}

fn unknown(what: String) -> ProbeError {
    ProbeError::Unusable { what, source: "nodes report by themselves, with `floatip report`".into() }
}

/// A passive check: a node reports itself, its newest report is the verdict, and a node that has reported and then is
/// silent for longer than `stale_after` is unhealthy.
///
/// It contacts nobody. Its verdict is as old as the report that it rests on, so that a dead node is noticed by it
/// `stale_after` later than by a check that asks: choose that short, let all nodes report equally often and at least four
/// times in it, and use it beside a check of the service. It says nothing through the floating address.
///
/// # Errors
/// No verdict on a node that has not reported yet. Nor on a silent one while it might be the monitor that reports do not
/// reach: then another node of the floating IP, of which something is known, must have reported four times since. If all
/// are silent, all are unhealthy, and the engine suspects the monitor.
#[derive(Debug, Clone)]
pub struct PushProbe {
    mailbox: Mailbox,
    stale_after: Duration,
}

impl PushProbe {
    /// Reads this mailbox, in which a report is good for `stale_after`.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if that is shorter than a second.
    pub fn new(mailbox: Mailbox, stale_after: Duration) -> Result<Self, SettingError> {
        if stale_after < Duration::from_secs(1) {
            let detail = "it is shorter than a second, in which a report may be under way".to_owned();
            return Err(SettingError::Unusable { setting: "the time after which a report is stale", detail });
        }
        Ok(Self { mailbox, stale_after })
    }
}

impl fmt::Display for PushProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reports of the nodes, good for {:?}", self.stale_after)
    }
}

#[async_trait]
impl HealthProbe for PushProbe {
    fn kind(&self) -> &'static str {
        "push"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        self.mailbox.judge(&target.node, self.stale_after)
    }

    /// A node speaks about itself, not about what answers at an address.
    fn runs_through_address(&self) -> bool {
        false
    }
}
