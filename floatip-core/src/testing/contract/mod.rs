//! The contract of [`AddressMover`], as cases that any implementation can be run through.
//!
//! An implementor writes a [`Fixture`] (a mover on a provider that the test can interfere with: a simulator, a
//! namespace, a map in memory) and calls [`assert_contract`] in a test:
//!
//! ```
//! # use std::sync::Arc;
//! # use floatip_core::testing::contract::{self, Fixture, Situation};
//! # use floatip_core::testing::{Call, Fault, InMemoryMover, InMemoryProvider};
//! # use floatip_core::{AddressMover, NodeId};
//! struct InMemory(InMemoryMover);
//!
//! #[async_trait::async_trait]
//! impl Fixture for InMemory {
//!     fn mover(&self) -> Arc<dyn AddressMover> {
//!         Arc::new(self.0.clone())
//!     }
//!
//!     fn nodes(&self) -> Vec<NodeId> {
//!         ["a", "b"].map(|name| NodeId::new(name).unwrap()).to_vec()
//!     }
//!
//!     async fn arrange(&mut self, situation: &Situation) -> bool {
//!         match situation {
//!             Situation::Free => self.0.provider().free(),
//!             Situation::On(node) => self.0.provider().put_on(node),
//!             _ => return false,
//!         }
//!         true
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let nodes = || ["a", "b"].map(|name| NodeId::new(name).unwrap());
//! let report = contract::assert_contract(async || {
//!     InMemory(InMemoryMover::release_first(&InMemoryProvider::new(nodes())))
//! })
//! .await;
//! println!("{report}");
//! # });
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use super::fault::{Call, Fault};
use crate::mover::AddressMover;
use crate::node::NodeId;

mod bench;
mod claims;
#[cfg(test)]
mod defects;
mod failures;
mod reads;
mod releases;
mod splits;
#[cfg(test)]
mod tests;

use bench::{Bench, Miss};

/// A mover on a provider of its own, for one case of the contract.
#[async_trait]
pub trait Fixture: Send {
    /// The mover under test, on this fixture's provider.
    fn mover(&self) -> Arc<dyn AddressMover>;

    /// The nodes that it serves: two at least. With three, more cases apply.
    fn nodes(&self) -> Vec<NodeId>;

    /// Brings the address to `situation` from outside, without the mover, whatever it was before, and as a new
    /// assignment each time; returns when a read of the provider shows it. False if that cannot be done here: then the
    /// cases that need it do not apply. [`Situation::Free`] and [`Situation::On`] are needed by nearly all.
    async fn arrange(&mut self, situation: &Situation) -> bool;

    /// Lets the provider treat the mover's next call of this kind so; false if it cannot.
    ///
    /// Asked for are [`Fault::Throttled`], [`Fault::Denied`], [`Fault::ReplyLost`], [`Fault::RequestLost`],
    /// [`Fault::InternalError`] and [`Fault::AppliedInternalError`], each as something that the *provider* (or the
    /// network) does: it is the mover's own task to turn them into errors. Default: false.
    async fn inject(&mut self, call: Call, fault: Fault) -> bool {
        let _ = (call, fault);
        false
    }

    /// Lets the provider refuse one part of the address for good, as denied and whatever is claimed, until it is told not
    /// to; false if it cannot, as where an address has no parts. Default: false.
    async fn refuse_part(&mut self, refuse: bool) -> bool {
        let _ = refuse;
        false
    }

    /// How many requests that change something have arrived at the provider, if it can tell. Default: it cannot.
    fn requests(&self) -> Option<usize> {
        None
    }

    /// Lets some time pass between two reads. Default: 20 ms of tokio's time.
    async fn pause(&mut self) {
        sleep(Duration::from_millis(20)).await;
    }

    /// How long an accepted request may take until a read shows its effect. Default: 10 s.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Where the address is, as a fixture arranges it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Situation {
    /// On nothing.
    Free,
    /// On a node, settled.
    On(NodeId),
    /// On a node, with something left to do.
    UnsettledOn(NodeId),
    /// On its way from a node to nothing. It need not stay so.
    Leaving(NodeId),
    /// On its way to a node. It need not stay so.
    GoingTo(NodeId),
    /// On something that is no node.
    OnStranger,
    /// A part of it on the first node, and another part on the second.
    Split(NodeId, NodeId),
}

/// How one case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The mover keeps this part of the contract.
    Passed,
    /// It does not: what was seen.
    Failed(String),
    /// It need not, or the fixture cannot show it: why.
    NotApplicable(&'static str),
}

/// How each case of the contract ended. Prints as one line a case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Name and outcome of every case, in the order in which they ran.
    pub cases: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// The outcome of one case.
    ///
    /// # Panics
    /// If there is no case of this name.
    pub fn outcome(&self, case: &str) -> &Outcome {
        let found = self.cases.iter().find(|(name, _)| *name == case);
        &found.unwrap_or_else(|| panic!("the contract has no case {case}")).1
    }

    /// The cases that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.named(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// The cases that did not apply: worth asserting, so that a fixture does not lose its grip unnoticed.
    pub fn not_applicable(&self) -> Vec<&'static str> {
        self.named(|outcome| matches!(outcome, Outcome::NotApplicable(_)))
    }

    fn named(&self, which: impl Fn(&Outcome) -> bool) -> Vec<&'static str> {
        self.cases.iter().filter(|(_, outcome)| which(outcome)).map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.cases {
            match outcome {
                Outcome::Passed => writeln!(f, "passed          {name}")?,
                Outcome::Failed(why) => writeln!(f, "FAILED          {name}: {why}")?,
                Outcome::NotApplicable(why) => writeln!(f, "not applicable  {name}: {why}")?,
            }
        }
        Ok(())
    }
}

macro_rules! run_cases {
    ($make:ident: $($module:ident::$case:ident,)+) => {
        vec![$({
            let mut bench = Bench::new($make().await);
            let ended = timeout(bench.limit(), $module::$case(&mut bench)).await;
            (stringify!($case), outcome(ended.unwrap_or_else(|_| Err(Miss::failed("it did not come to an end")))))
        }),+]
    };
}

/// Runs every case, each on a fixture of its own that `make` makes, and reports how they ended.
///
/// # Panics
/// If the mover does, or if a fixture has fewer than two nodes.
pub async fn run<F: Fixture>(mut make: impl AsyncFnMut() -> F) -> Report {
    let cases = run_cases! { make:
        reads::locate_tells_that_the_address_is_free,
        reads::locate_tells_who_holds_the_address,
        reads::locate_tells_that_the_address_leaves,
        reads::locate_tells_that_the_address_is_on_its_way,
        reads::locate_tells_of_a_stranger,
        reads::locate_tells_that_something_is_left_to_do,
        reads::locate_never_caches,
        reads::locate_that_fails_does_not_guess,
        reads::a_dropped_read_is_harmless,
        reads::serves_its_own_nodes_and_no_other,
        reads::its_own_nodes_can_be_asked_for_readiness,
        claims::a_claim_of_a_free_address_ends_on_that_node,
        claims::a_claim_of_a_free_address_that_somebody_took_is_a_conflict,
        claims::of_two_claims_of_a_free_address_one_wins,
        claims::a_claim_for_the_holder_is_harmless,
        claims::a_claim_finishes_what_is_left_to_do,
        claims::a_claim_during_a_transition_changes_nothing,
        claims::a_claim_of_a_held_address_changes_nothing_unless_it_overwrites,
        claims::an_overwriting_claim_takes_the_address_over,
        claims::an_overwriting_claim_with_a_stale_token_is_a_conflict,
        claims::an_unknown_node_is_refused_without_a_request,
        claims::generation_tokens_are_never_used_twice,
        claims::a_dropped_claim_leaves_a_state_that_can_be_continued,
        splits::locate_tells_that_the_address_is_split,
        splits::a_claim_of_a_split_address_brings_all_of_it,
        splits::a_claim_of_a_split_address_with_a_stale_token_is_a_conflict,
        splits::a_claim_that_succeeds_in_part_says_what_is_left,
        releases::a_release_ends_free,
        releases::a_forced_release_ends_free,
        releases::a_release_with_a_stale_token_is_a_conflict,
        releases::a_release_knows_an_assignment_from_a_later_one_on_the_same_node,
        releases::a_dropped_release_leaves_a_state_that_can_be_continued,
        failures::errors_say_truthfully_whether_anything_changed,
        failures::a_lost_reply_is_an_unknown_outcome_and_locate_shows_it,
        failures::refusals_are_told_by_what_to_do_next,
        failures::calls_end_within_their_timeout,
    };
    Report { cases }
}

fn outcome(ended: Result<(), Miss>) -> Outcome {
    match ended {
        Ok(()) => Outcome::Passed,
        Err(Miss::Failed(why)) => Outcome::Failed(why),
        Err(Miss::NotApplicable(why)) => Outcome::NotApplicable(why),
    }
}

/// Runs every case, and panics with the whole list if one failed.
///
/// # Panics
/// If a case failed, and where [`run`] does.
pub async fn assert_contract<F: Fixture>(make: impl AsyncFnMut() -> F) -> Report {
    let report = run(make).await;
    assert!(report.failed().is_empty(), "the mover breaks its contract:\n{report}");
    report
}
