//! Trials of whole failovers: the real [`Orchestrator`](crate::Orchestrator), on movers that can be tried on a provider.
//!
//! Whoever has a mover and a provider to try it on (a simulator, a map in memory) writes a [`Stage`] and lets it go
//! through
//! - [`lost_replies`]: one failover for each call that it makes, and each time the reply of that one call is lost. The
//!   address must never be on two holders, never be lost, and the move must always finish or be loudly stuck;
//! - [`races`]: two monitors without a lease, both convinced that the holder is dead, each with another target.
//!
//! ```
//! # use floatip_core::testing::trial::{self, InMemoryStage};
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let survey = trial::lost_replies(async || InMemoryStage::release_first(), 8).await;
//! survey.assert_sound();
//! let races = trial::races(async |_seed| InMemoryStage::overwrite(), 0..10, 8).await;
//! races.assert_sound();
//! println!("{survey}, {races}");
//! # });
//! ```
//!
//! Trials run side by side, as many as are asked for, in tokio's time: paused time makes them run at once, and a stage
//! with real sockets takes real time, a few seconds a trial.

mod memory;
mod monitor;
mod probe;
mod race;
mod recorder;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::health::HealthSettings;
use crate::mover::AddressMover;
use crate::node::NodeId;
use crate::policy::Policy;

pub use memory::InMemoryStage;
pub use race::{Races, races};
pub use sweep::{Survey, lost_replies};

/// One floating IP on a provider of its own, for one trial. The address begins on the first node.
pub trait Stage: fmt::Debug + Send + Sync + 'static {
    /// The nodes; a race needs three.
    fn nodes(&self) -> Vec<NodeId>;

    /// The movers of one more monitor, the preferred one first: new ones each time, as another process has its own.
    fn movers(&self) -> Vec<Arc<dyn AddressMover>>;

    /// Every node that has the address (or a part of it) at this moment, whatever reads show. One that is about to lose
    /// it has it until it is gone; one that is about to get it does not have it yet.
    fn holders(&self) -> Vec<NodeId>;

    /// The most holders at any one time so far. Default: those of this moment, which is looked at often.
    fn most_holders(&self) -> usize {
        self.holders().len()
    }

    /// The node that packets to the floating address reach at this moment. Default: the only holder.
    fn serving(&self) -> Option<NodeId> {
        match &self.holders()[..] {
            [only] => Some(only.clone()),
            [] | [_, ..] => None,
        }
    }

    /// How many calls have been sent to the provider so far, by all movers together.
    fn calls(&self) -> usize;

    /// Lets the provider carry out one call to come and lose its reply: the next one if `skipped` is zero, else the one
    /// after so many others.
    fn lose_reply(&self, skipped: usize);

    /// The timing of the monitors. Default: [`Pace::default`].
    fn pace(&self) -> Pace {
        Pace::default()
    }
}

/// The timing of the monitors in a trial.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pace {
    /// Of the probes. Default: every 200 ms, 50 ms after a failure, a time-out of 200 ms, `fall` 2 and `rise` 1.
    pub health: HealthSettings,
    /// The policy. Default: core's, with 3 s for a release, a claim and the verification, and 5 s for a forced release;
    /// a race adds the preferred target.
    pub policy: Policy,
    /// From sweep to sweep. Default: 500 ms.
    pub sweep: Duration,
    /// How long a trial may take until it is over. Default: 60 s.
    pub patience: Duration,
    /// How long it is watched after that: nothing may change any more. Default: 1.5 s.
    pub aftermath: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let ms = Duration::from_millis;
        let health = HealthSettings { interval: ms(200), fast_interval: ms(50), timeout: ms(200), fall: 2, rise: 1 };
        let policy = Policy {
            release_timeout: ms(3000),
            forced_release_timeout: ms(5000),
            claim_timeout: ms(3000),
            verify_timeout: ms(3000),
            max_moves: 100,
            ..Policy::default()
        };
        Self { health, policy, sweep: ms(500), patience: ms(60_000), aftermath: ms(1500) }
    }
}

#[cfg(test)]
mod tests;
