//! How several checks of one node become one health. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::health::HealthSettings;

/// What the verdicts of one check are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// They decide, together with those of the other checks that do, as [`Require`] has it.
    Decides,
    /// They back up what others find: only a conclusive verdict against the node counts, which turns it down at once, and
    /// the wish to be left for maintenance. For checks that ask somebody else than the node, as EC2's own or a file on the
    /// monitor: they are also no sign that the network works.
    Corroborates,
    /// They are shown, and never count.
    Informs,
    /// They tell whether the node could be left without disturbing anybody: healthy means idle, unhealthy means in use,
    /// with the reason. They never count for its health, run against the nodes alone, and hold a planned move for
    /// [`Policy::wait_for_idle`](crate::Policy::wait_for_idle) at most.
    TellsIdle,
}

/// How many of the checks that decide must be healthy for a node to be healthy. A node is down once so many are down that
/// the others do not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Every one of them.
    All,
    /// One of them.
    Any,
    /// So many, at least one; more than there are means all.
    AtLeast(u32),
}

impl Require {
    /// How many of `checks` must be healthy.
    pub fn needed(self, checks: usize) -> usize {
        match self {
            Self::All => checks,
            Self::Any => 1,
            Self::AtLeast(count) => (count as usize).clamp(1, checks.max(1)),
        }
    }

    /// How many of `checks` may be down while the node is not.
    pub fn spare(self, checks: usize) -> usize {
        checks.saturating_sub(self.needed(checks))
    }

    /// The longest time from a server's failure to the verdict that it is down, by these checks, which all decide; zero if
    /// there are none. See [`HealthSettings::worst_case_detection`].
    pub fn worst_case_detection(self, checks: &[HealthSettings]) -> Duration {
        self.decisive(checks, HealthSettings::worst_case_detection)
    }

    /// The shortest outage that can turn a node down. See [`HealthSettings::shortest_outage`].
    pub fn shortest_outage(self, checks: &[HealthSettings]) -> Duration {
        self.decisive(checks, HealthSettings::shortest_outage)
    }

    /// The figure of the check whose going down turns the node down, where all begin to fail at once.
    fn decisive(self, checks: &[HealthSettings], figure: fn(&HealthSettings) -> Duration) -> Duration {
        let mut figures: Vec<_> = checks.iter().map(figure).collect();
        figures.sort();
        figures.get(self.spare(checks.len())).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_on_detection_is_that_of_the_check_that_turns_the_node_down() {
        let ms = Duration::from_millis;
        let health = |interval| HealthSettings { interval: ms(interval), ..HealthSettings::default() };
        let checks = [health(5000), health(1000), health(3000)];
        for (require, interval) in [
            (Require::All, 1000),
            (Require::AtLeast(2), 3000),
            (Require::Any, 5000),
            (Require::AtLeast(0), 5000),
            (Require::AtLeast(9), 1000),
        ] {
            assert_eq!(require.worst_case_detection(&checks), health(interval).worst_case_detection(), "{require:?}");
        }
        assert_eq!(Require::All.worst_case_detection(&[]), Duration::ZERO);
    }
}
