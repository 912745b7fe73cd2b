//! Witnesses: what a monitor asks whether its own network works, before it believes that a node is down.

use std::sync::Arc;
use std::time::Duration;

use crate::health::HealthSettings;
use crate::node::{Host, NameError, NodeId};
use crate::probe::HealthProbe;

/// Something beside the nodes that answers as long as the monitor's own network works, such as a gateway or a DNS
/// server. All floating IPs of an [`Orchestrator`](crate::Orchestrator) share it, and a probe of it runs once for all.
///
/// Fewer answers than [`Builder::witness_quorum`](crate::Builder::witness_quorum) mean "it is me": unplanned moves are
/// held. A node is no witness, because it fails with the holder that it is; nor is the floating address.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Witness {
    /// The name, unique among the witnesses.
    pub name: NodeId,
    /// What is probed.
    pub host: Host,
    /// How.
    pub probe: Arc<dyn HealthProbe>,
    /// When, and how many failures in a row make it unreachable. A holder that fails is confirmed by witnesses in probes
    /// begun no earlier than its own last failed one, whatever `fall` is. Default: an interval of 5 s, the rest as for
    /// nodes, with a `rise` of 1.
    pub health: HealthSettings,
}

impl Witness {
    /// A witness with the default timing.
    ///
    /// # Errors
    /// [`NameError`] if the name or the host is not usable.
    pub fn new(name: &str, host: &str, probe: Arc<dyn HealthProbe>) -> Result<Self, NameError> {
        Ok(Self { name: NodeId::new(name)?, host: host.parse()?, probe, health: Self::default_health() })
    }

    /// The timing of a witness that has none of its own.
    pub fn default_health() -> HealthSettings {
        HealthSettings { interval: Duration::from_secs(5), rise: 1, ..HealthSettings::default() }
    }

    /// Sets the timing and thresholds.
    #[must_use]
    pub fn health(mut self, health: HealthSettings) -> Self {
        self.health = health;
        self
    }
}

/// How many of `witnesses` must answer if nobody says: all but one, and at least one. So a single witness that fails for
/// reasons of its own holds nothing as soon as there are two.
pub(crate) fn default_quorum(witnesses: usize) -> usize {
    witnesses.saturating_sub(1).max(1).min(witnesses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_one_witness_must_answer_and_at_least_one() {
        assert_eq!([0, 1, 2, 3, 5].map(default_quorum), [0, 1, 1, 2, 4]);
    }
}
