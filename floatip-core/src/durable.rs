//! What an engine remembers across restarts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an [`Engine`](crate::Engine) wants to survive a restart. Times are ages, so that no clock is needed to write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Durable {
    /// True while an operator's pause is in force.
    pub paused: bool,
    /// The operator's reason.
    pub pause_reason: Option<String>,
    /// How much of the pause is left; `None` if it has no end.
    pub pause_left: Option<Duration>,
    /// The names of the nodes that an operator has drained.
    pub drained: Vec<String>,
    /// True while too many moves have been made.
    pub frozen: bool,
    /// How long ago each move of the current window began.
    pub move_ages: Vec<Duration>,
    /// True if the service has ever answered this monitor through the floating address, so that verification is
    /// possible.
    pub served: bool,
    /// The name of the node on which the address was left or found last, unless a move is in flight: if it is elsewhere at
    /// the next start, somebody else has moved it.
    pub home: Option<String>,
}

impl Durable {
    /// The same, `elapsed` later.
    #[must_use]
    pub fn aged(mut self, elapsed: Duration) -> Self {
        self.move_ages.iter_mut().for_each(|age| *age += elapsed);
        self.pause_left = self.pause_left.map(|left| left.saturating_sub(elapsed));
        self
    }
}
