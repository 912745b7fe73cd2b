//! The in-memory mover keeps the contract in all its variants, and every defect that the contract is there for is found.

use super::defects::{Defect, Defective};
use super::*;
use crate::mover::{Capabilities, Precondition, Strategy};
use crate::testing::{FaultyMover, InMemoryMover, InMemoryProvider, Tokens};

fn nodes() -> Vec<NodeId> {
    ["a", "b", "c"].map(|name| NodeId::new(name).unwrap()).to_vec()
}

fn provider(tokens: Tokens) -> InMemoryProvider {
    let provider = InMemoryProvider::with_tokens(nodes(), tokens);
    provider.set_latency(Duration::from_millis(40));
    provider.set_release_duration(Duration::from_secs(2));
    provider.set_claim_duration(Duration::from_millis(1500));
    provider
}

/// A mover in memory, wrapped or not.
struct InMemory {
    provider: InMemoryProvider,
    inner: InMemoryMover,
    mover: Arc<dyn AddressMover>,
}

impl InMemory {
    fn plain(inner: InMemoryMover) -> Self {
        Self { provider: inner.provider().clone(), mover: Arc::new(inner.clone()), inner }
    }

    fn defective(inner: InMemoryMover, defect: Defect) -> Self {
        let mover = Defective::new(inner.clone(), defect);
        Self { provider: inner.provider().clone(), mover: Arc::new(mover), inner }
    }
}

#[async_trait]
impl Fixture for InMemory {
    fn mover(&self) -> Arc<dyn AddressMover> {
        self.mover.clone()
    }

    fn nodes(&self) -> Vec<NodeId> {
        nodes()
    }

    async fn arrange(&mut self, situation: &Situation) -> bool {
        match situation {
            Situation::Free => self.provider.free(),
            Situation::On(node) => self.provider.put_on(node),
            Situation::UnsettledOn(node) => self.provider.put_unsettled_on(node, 2),
            Situation::Leaving(node) => self.provider.put_in_transition(Some(node), None),
            Situation::GoingTo(node) => self.provider.put_in_transition(None, Some(node)),
            Situation::OnStranger => self.provider.put_on_stranger("somebody"),
            Situation::Split(one, two) => self.provider.split_among(&[one.clone(), two.clone()]),
        }
        true
    }

    async fn inject(&mut self, call: Call, fault: Fault) -> bool {
        self.inner.faults().next(call, 1, fault);
        true
    }

    async fn refuse_part(&mut self, refuse: bool) -> bool {
        self.provider.set_immovable_half(refuse.then_some("it is not yours"));
        true
    }

    fn requests(&self) -> Option<usize> {
        Some(self.provider.requests().len())
    }
}

async fn assert_kept(make: impl Fn() -> InMemory) -> Report {
    assert_contract(async || make()).await
}

#[tokio::test(start_paused = true)]
async fn a_mover_that_releases_first_keeps_the_contract() {
    let report = assert_kept(|| InMemory::plain(InMemoryMover::release_first(&provider(Tokens::Generation)))).await;
    assert_eq!(
        report.not_applicable(),
        ["an_overwriting_claim_takes_the_address_over", "an_overwriting_claim_with_a_stale_token_is_a_conflict"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_mover_that_overwrites_keeps_the_contract() {
    let report = assert_kept(|| InMemory::plain(InMemoryMover::overwrite(&provider(Tokens::Generation)))).await;
    assert_eq!(
        report.not_applicable(),
        [
            "a_claim_during_a_transition_changes_nothing",
            "a_claim_of_a_held_address_changes_nothing_unless_it_overwrites",
            "a_release_ends_free",
            "a_forced_release_ends_free",
            "a_release_with_a_stale_token_is_a_conflict",
            "a_release_knows_an_assignment_from_a_later_one_on_the_same_node",
            "a_dropped_release_leaves_a_state_that_can_be_continued",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn movers_with_snapshot_tokens_and_best_effort_keep_the_contract() {
    for strategy in [Strategy::ReleaseFirst, Strategy::Overwrite] {
        let capabilities = Capabilities::new(strategy);
        let report =
            assert_kept(|| InMemory::plain(InMemoryMover::new(&provider(Tokens::Snapshot), capabilities))).await;
        assert!(report.not_applicable().contains(&"generation_tokens_are_never_used_twice"));
    }
}

#[tokio::test(start_paused = true)]
async fn movers_whose_claims_settle_late_or_whose_requests_take_no_time_keep_the_contract() {
    for capabilities in [
        Capabilities::new(Strategy::ReleaseFirst).can_force(true).precondition(Precondition::Enforced),
        Capabilities::new(Strategy::Overwrite).precondition(Precondition::Enforced),
    ] {
        assert_kept(|| {
            let provider = provider(Tokens::Generation);
            provider.set_claims_to_settle(2);
            InMemory::plain(InMemoryMover::new(&provider, capabilities))
        })
        .await;
        assert_kept(|| InMemory::plain(InMemoryMover::new(&InMemoryProvider::new(nodes()), capabilities))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_faulty_wrapper_without_faults_keeps_the_contract() {
    assert_kept(|| {
        let plain = InMemory::plain(InMemoryMover::release_first(&provider(Tokens::Generation)));
        InMemory { mover: Arc::new(FaultyMover::new(plain.mover.clone())), ..plain }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn cases_that_a_fixture_cannot_arrange_do_not_apply() {
    struct Bare(InMemory);

    #[async_trait]
    impl Fixture for Bare {
        fn mover(&self) -> Arc<dyn AddressMover> {
            self.0.mover()
        }

        fn nodes(&self) -> Vec<NodeId> {
            nodes()[..2].to_vec()
        }

        async fn arrange(&mut self, situation: &Situation) -> bool {
            matches!(situation, Situation::Free | Situation::On(_)) && self.0.arrange(situation).await
        }
    }

    let report =
        assert_contract(async || Bare(InMemory::plain(InMemoryMover::release_first(&provider(Tokens::Generation)))))
            .await;
    assert_eq!(
        report.not_applicable(),
        [
            "locate_tells_that_the_address_leaves",
            "locate_tells_that_the_address_is_on_its_way",
            "locate_tells_of_a_stranger",
            "locate_tells_that_something_is_left_to_do",
            "locate_that_fails_does_not_guess",
            "a_claim_finishes_what_is_left_to_do",
            "a_claim_during_a_transition_changes_nothing",
            "an_overwriting_claim_takes_the_address_over",
            "an_overwriting_claim_with_a_stale_token_is_a_conflict",
            "locate_tells_that_the_address_is_split",
            "a_claim_of_a_split_address_brings_all_of_it",
            "a_claim_of_a_split_address_with_a_stale_token_is_a_conflict",
            "a_claim_that_succeeds_in_part_says_what_is_left",
            "errors_say_truthfully_whether_anything_changed",
            "a_lost_reply_is_an_unknown_outcome_and_locate_shows_it",
            "refusals_are_told_by_what_to_do_next",
            "calls_end_within_their_timeout",
        ]
    );
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "FAILED          locate_never_caches")]
async fn asserting_the_contract_of_a_defective_mover_panics_with_the_list() {
    let inner = || InMemoryMover::release_first(&provider(Tokens::Generation));
    assert_kept(|| InMemory::defective(inner(), Defect::CachesLocate)).await;
}

/// Which case must find which defect, and in a mover of which strategy.
const FOUND: &[(Defect, Strategy, &str)] = &[
    (Defect::CachesLocate, Strategy::ReleaseFirst, "locate_never_caches"),
    (Defect::CachesLocate, Strategy::ReleaseFirst, "locate_tells_who_holds_the_address"),
    (Defect::AnswersOldReadingWhenReadFails, Strategy::ReleaseFirst, "locate_that_fails_does_not_guess"),
    (Defect::CallsFreeHeld, Strategy::ReleaseFirst, "locate_tells_that_the_address_is_free"),
    (Defect::CallsTransitionFree, Strategy::ReleaseFirst, "locate_tells_that_the_address_leaves"),
    (Defect::CallsTransitionFree, Strategy::ReleaseFirst, "locate_tells_that_the_address_is_on_its_way"),
    (Defect::CallsStrangerFree, Strategy::ReleaseFirst, "locate_tells_of_a_stranger"),
    (Defect::ServesEverybody, Strategy::ReleaseFirst, "serves_its_own_nodes_and_no_other"),
    (Defect::ReadyUnreadable, Strategy::ReleaseFirst, "its_own_nodes_can_be_asked_for_readiness"),
    (Defect::GrabsOnConflict, Strategy::ReleaseFirst, "a_claim_of_a_free_address_that_somebody_took_is_a_conflict"),
    (Defect::GrabsOnConflict, Strategy::ReleaseFirst, "of_two_claims_of_a_free_address_one_wins"),
    (Defect::GrabsOnConflict, Strategy::ReleaseFirst, "a_claim_of_a_held_address_changes_nothing_unless_it_overwrites"),
    (Defect::GrabsOnConflict, Strategy::ReleaseFirst, "a_claim_during_a_transition_changes_nothing"),
    (Defect::GrabsOnConflict, Strategy::Overwrite, "an_overwriting_claim_with_a_stale_token_is_a_conflict"),
    (Defect::OverwritesBlindly, Strategy::Overwrite, "an_overwriting_claim_with_a_stale_token_is_a_conflict"),
    (Defect::ReleasesWhoeverHolds, Strategy::ReleaseFirst, "a_release_with_a_stale_token_is_a_conflict"),
    (
        Defect::ReleasesWhoeverHolds,
        Strategy::ReleaseFirst,
        "a_release_knows_an_assignment_from_a_later_one_on_the_same_node",
    ),
    (Defect::TrustsStaleRelease, Strategy::ReleaseFirst, "a_release_with_a_stale_token_is_a_conflict"),
    (Defect::ReusesTokens, Strategy::ReleaseFirst, "generation_tokens_are_never_used_twice"),
    (Defect::ReusesTokens, Strategy::Overwrite, "generation_tokens_are_never_used_twice"),
    (Defect::AnswersWrongToken, Strategy::ReleaseFirst, "a_claim_of_a_free_address_ends_on_that_node"),
    (Defect::AnswersWrongToken, Strategy::Overwrite, "an_overwriting_claim_takes_the_address_over"),
    (Defect::NeverSettles, Strategy::ReleaseFirst, "a_claim_finishes_what_is_left_to_do"),
    (Defect::NeverSettles, Strategy::ReleaseFirst, "locate_tells_that_something_is_left_to_do"),
    (Defect::ReleasesWhenClaimedForHolder, Strategy::ReleaseFirst, "a_claim_for_the_holder_is_harmless"),
    (Defect::ReleasesWhenClaimedForHolder, Strategy::ReleaseFirst, "a_claim_finishes_what_is_left_to_do"),
    (Defect::ClaimsForUnknownNodes, Strategy::ReleaseFirst, "an_unknown_node_is_refused_without_a_request"),
    (Defect::CallsUnknownOutcomeThrottled, Strategy::ReleaseFirst, "errors_say_truthfully_whether_anything_changed"),
    (Defect::CallsUnknownOutcomeThrottled, Strategy::Overwrite, "errors_say_truthfully_whether_anything_changed"),
    (
        Defect::CallsUnknownOutcomeThrottled,
        Strategy::ReleaseFirst,
        "a_lost_reply_is_an_unknown_outcome_and_locate_shows_it",
    ),
    (Defect::SwallowsErrors, Strategy::ReleaseFirst, "errors_say_truthfully_whether_anything_changed"),
    (Defect::CallsThrottledDenied, Strategy::ReleaseFirst, "refusals_are_told_by_what_to_do_next"),
    (Defect::RetriesLostReplies, Strategy::ReleaseFirst, "a_lost_reply_is_an_unknown_outcome_and_locate_shows_it"),
    (Defect::RetriesLostReplies, Strategy::ReleaseFirst, "errors_say_truthfully_whether_anything_changed"),
    (Defect::NeverEnds, Strategy::ReleaseFirst, "calls_end_within_their_timeout"),
    (Defect::ForgetsToForce, Strategy::ReleaseFirst, "a_forced_release_ends_free"),
    (Defect::ForgetsToRelease, Strategy::ReleaseFirst, "a_release_ends_free"),
    (Defect::StaysBusyWhenDropped, Strategy::ReleaseFirst, "a_dropped_read_is_harmless"),
    (Defect::StaysBusyWhenDropped, Strategy::ReleaseFirst, "a_dropped_claim_leaves_a_state_that_can_be_continued"),
    (Defect::StaysBusyWhenDropped, Strategy::ReleaseFirst, "a_dropped_release_leaves_a_state_that_can_be_continued"),
    (Defect::StaysBusyWhenDropped, Strategy::Overwrite, "a_dropped_claim_leaves_a_state_that_can_be_continued"),
    (Defect::CallsSplitHeld, Strategy::ReleaseFirst, "locate_tells_that_the_address_is_split"),
    (Defect::ForgetsTheRest, Strategy::ReleaseFirst, "a_claim_of_a_split_address_brings_all_of_it"),
    (Defect::GrabsOnConflict, Strategy::ReleaseFirst, "a_claim_of_a_split_address_with_a_stale_token_is_a_conflict"),
    (Defect::CallsPartlyDone, Strategy::ReleaseFirst, "a_claim_that_succeeds_in_part_says_what_is_left"),
    (Defect::CallsPartlyDone, Strategy::Overwrite, "a_claim_that_succeeds_in_part_says_what_is_left"),
];

#[tokio::test(start_paused = true)]
async fn every_defect_is_found_by_the_case_that_names_it() {
    for (defect, strategy, case) in FOUND {
        let report = run(async || {
            let provider = provider(Tokens::Generation);
            let inner = match strategy {
                Strategy::ReleaseFirst => InMemoryMover::release_first(&provider),
                Strategy::Overwrite => InMemoryMover::overwrite(&provider),
            };
            InMemory::defective(inner, *defect)
        })
        .await;
        assert!(matches!(report.outcome(case), Outcome::Failed(_)), "{defect:?} in {strategy:?}:\n{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_case_is_known_to_find_a_defect() {
    let report = assert_kept(|| InMemory::plain(InMemoryMover::release_first(&provider(Tokens::Generation)))).await;
    for (case, _) in report.cases {
        assert!(FOUND.iter().any(|(_, _, finds)| *finds == case), "no defect shows that {case} can fail");
    }
}
