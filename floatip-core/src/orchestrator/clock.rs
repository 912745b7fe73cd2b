//! The clocks: read here, and nowhere else in this crate.

use std::time::{Duration, Instant, SystemTime};

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

/// A wake-up that comes later than this, or a wall clock that gains more than this on the monotonic one, means that the
/// monitor stood still (a frozen or suspended machine, a stopped process) or that its clock was set. A monitor that is
/// merely busy is not that late.
const JUMP: Duration = Duration::from_secs(5);

/// Notices that the monitor stood still.
#[derive(Debug)]
pub(super) struct Stall {
    seen: (Instant, SystemTime),
}

impl Stall {
    pub(super) fn new() -> Self {
        Self { seen: (now(), wall()) }
    }

    /// Looks at both clocks after a sleep that was to end at `wake`: by how much did the monitor stand still?
    pub(super) fn notice(&mut self, wake: Option<Instant>) -> Option<Duration> {
        self.compare(now(), wall(), wake)
    }

    fn compare(&mut self, now: Instant, wall: SystemTime, wake: Option<Instant>) -> Option<Duration> {
        let (then, wall_then) = std::mem::replace(&mut self.seen, (now, wall));
        let late = wake.map_or(Duration::ZERO, |wake| now.saturating_duration_since(wake.max(then)));
        let slept = wall.duration_since(wall_then).unwrap_or_default();
        let gained = slept.saturating_sub(now.saturating_duration_since(then));
        Some(late.max(gained)).filter(|by| *by > JUMP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn stall() -> (Stall, Instant, SystemTime) {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + 1_000_000 * S);
        (Stall { seen: (now, wall) }, now, wall)
    }

    #[test]
    fn a_wake_up_in_time_is_no_stall() {
        let (mut stall, now, wall) = stall();
        assert_eq!(stall.compare(now + 10 * S, wall + 10 * S, Some(now + 10 * S)), None);
    }

    #[test]
    fn a_process_that_was_stopped_wakes_up_late() {
        let (mut stall, now, wall) = stall();
        assert_eq!(stall.compare(now + 30 * S, wall + 30 * S, Some(now + S)), Some(29 * S));
    }

    #[test]
    fn a_machine_that_was_suspended_finds_its_wall_clock_ahead() {
        let (mut stall, now, wall) = stall();
        assert_eq!(stall.compare(now + S, wall + 3600 * S, Some(now + S)), Some(3599 * S));
        assert_eq!(stall.compare(now + 2 * S, wall + 3601 * S, Some(now + 2 * S)), None, "it is said once");
    }

    #[test]
    fn a_wall_clock_that_is_set_back_is_no_stall() {
        let (mut stall, now, wall) = stall();
        assert_eq!(stall.compare(now + S, wall - 3600 * S, Some(now + S)), None);
    }
}
