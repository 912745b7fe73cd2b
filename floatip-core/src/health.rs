//! How often one probe runs, and how many verdicts turn a node. Pure.

use std::time::Duration;

/// How often one probe runs, and how many verdicts turn a node.
///
/// The worst-case detection time is [`worst_case_detection`](Self::worst_case_detection), for a server that refuses and
/// for one that hangs alike: probes overlap instead of waiting for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthSettings {
    /// From the start of one probe to the start of the next while all is well, or while a node is steadily down.
    /// Default: 2 s. At least `fast_interval`.
    pub interval: Duration,
    /// From start to start as soon as a probe has failed, or has been unanswered for this long, and while a node is
    /// unknown. Should be above the time that a check takes. Default: 500 ms. Zero is refused.
    pub fast_interval: Duration,
    /// How long one check may take. Default: 2 s. Zero is refused.
    pub timeout: Duration,
    /// How many failed verdicts in a row turn a node down. Default: 3. Zero is refused.
    pub fall: u32,
    /// How many healthy verdicts in a row turn a node up. Default: 2. Zero is refused.
    pub rise: u32,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            fast_interval: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            fall: 3,
            rise: 2,
        }
    }
}

impl HealthSettings {
    /// The longest time from a server's failure to the verdict that it is down:
    /// `interval + (fall - 1) x fast_interval + timeout`.
    pub fn worst_case_detection(&self) -> Duration {
        self.interval + self.fast_interval * (self.fall - 1) + self.timeout
    }

    /// The shortest outage that can turn a node down: `(fall - 1) x fast_interval`, for a server that refuses.
    pub fn shortest_outage(&self) -> Duration {
        self.fast_interval * (self.fall - 1)
    }

    /// The age at which a verdict no longer says anything: `interval + timeout + fall x fast_interval`, and with
    /// `timeout` for `interval` where that is longer, because then a probe may begin as late as that after the one before:
    /// at most `fall` are under way at once. What is known must last until the next verdict can be there.
    pub fn verdict_lifetime(&self) -> Duration {
        self.interval.max(self.timeout) + self.timeout + self.fast_interval * self.fall
    }

    /// Names the first setting that cannot work, if there is one.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.fast_interval.is_zero() {
            Some("fast_interval may not be zero")
        } else if self.interval < self.fast_interval {
            Some("interval may not be shorter than fast_interval")
        } else if self.timeout.is_zero() {
            Some("timeout may not be zero")
        } else if self.fall == 0 {
            Some("fall may not be zero")
        } else if self.rise == 0 {
            Some("rise may not be zero")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_case_detection_is_the_sum_of_the_design() {
        let ms = Duration::from_millis;
        let settings =
            HealthSettings { interval: ms(1000), fast_interval: ms(250), timeout: ms(500), fall: 3, rise: 2 };
        assert_eq!(settings.worst_case_detection(), ms(2000));
        assert_eq!(settings.shortest_outage(), ms(500));
        assert_eq!(settings.verdict_lifetime(), ms(2250));
    }

    #[test]
    fn a_verdict_outlives_the_next_probe_that_could_begin_only_when_this_one_had_timed_out() {
        let ms = Duration::from_millis;
        let settings =
            HealthSettings { interval: ms(700), fast_interval: ms(350), timeout: ms(1190), fall: 1, rise: 2 };
        assert_eq!(settings.verdict_lifetime(), ms(1190 + 1190 + 350));
    }

    #[test]
    fn an_interval_may_be_as_short_as_the_fast_one_and_not_shorter() {
        let ms = Duration::from_millis;
        for (interval, works) in [(499, false), (500, true), (501, true)] {
            let settings =
                HealthSettings { interval: ms(interval), fast_interval: ms(500), ..HealthSettings::default() };
            assert_eq!(settings.fault().is_none(), works, "{interval}");
        }
    }
}
