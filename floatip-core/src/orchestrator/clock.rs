//! The clocks: read here, and nowhere else in this crate.

use std::time::{Instant, SystemTime};

/// The monotonic time that engines are handed. It is tokio's, so that tests can pause it.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads it")]
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall time that events are stamped with.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads it")]
pub(super) fn wall() -> SystemTime {
    SystemTime::now()
}
