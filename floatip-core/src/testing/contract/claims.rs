//! Cases about claims.

use std::collections::HashSet;

use tokio::time::timeout;

use super::bench::{Bench, Miss, ensure};
use super::reads::unknown_node;
use super::{Fixture, Situation};
use crate::mover::{MoveError, Placement, Strategy, Token};

type Passed = Result<(), Miss>;

pub(super) async fn a_claim_of_a_free_address_ends_on_that_node<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    for node in bench.nodes.clone() {
        let seen = bench.arrange(Situation::Free).await?;
        let accepted = bench.mover.claim(&node, &seen).await.map_err(|error| Miss::error("the claim", &error))?;
        let held = bench.reaches(&Situation::On(node.clone()), &seen).await?;
        ensure(accepted.token.is_none() || accepted.token.as_ref() == held.token(), || {
            format!("the claim answered {:?}, but it is {held:?}", accepted.token)
        })?;
        bench.bring_to(&Situation::On(node)).await?;
    }
    Ok(())
}

pub(super) async fn a_claim_of_a_free_address_that_somebody_took_is_a_conflict<F: Fixture>(
    bench: &mut Bench<F>,
) -> Passed {
    let stale = bench.arrange(Situation::Free).await?;
    let taken = bench.arrange(Situation::On(bench.b())).await?;
    let answer = bench.mover.claim(&bench.a(), &stale).await;
    conflict(answer)?;
    bench.stays(&taken, "after a claim that came too late").await
}

pub(super) async fn of_two_claims_of_a_free_address_one_wins<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let (a, b) = (bench.a(), bench.b());
    let seen = bench.arrange(Situation::Free).await?;
    let (one, two) = tokio::join!(bench.mover.claim(&a, &seen), bench.mover.claim(&b, &seen));
    let winner = match (one, two) {
        (Ok(_), Err(MoveError::Conflict { .. })) => a,
        (Err(MoveError::Conflict { .. }), Ok(_)) => b,
        (one, two) => return Err(Miss::failed(format!("not one accepted and one conflict: {one:?} and {two:?}"))),
    };
    bench.reaches(&Situation::On(winner), &seen).await.map(drop)
}

pub(super) async fn a_claim_for_the_holder_is_harmless<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let seen = bench.arrange(Situation::On(bench.a())).await?;
    for _ in 0..2 {
        if let Err(error) = bench.mover.claim(&bench.a(), &seen).await {
            ensure(!error.may_have_changed(), || format!("a repeated claim left the outcome unknown: {error}"))?;
        }
    }
    bench.stays(&seen, "after claims for its holder").await
}

pub(super) async fn a_claim_finishes_what_is_left_to_do<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let unsettled = bench.arrange(Situation::UnsettledOn(bench.a())).await?;
    bench.mover.claim(&bench.a(), &unsettled).await.map_err(|error| Miss::error("the finishing claim", &error))?;
    let settled = bench.bring_to(&Situation::On(bench.a())).await?;
    ensure(settled.token() == unsettled.token(), || format!("finishing {unsettled:?} made it {settled:?}"))
}

pub(super) async fn a_claim_during_a_transition_changes_nothing<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.only(Strategy::ReleaseFirst)?;
    let (a, b) = (bench.a(), bench.b());
    let seen = bench.arrange(Situation::Leaving(a)).await?;
    match bench.mover.claim(&b, &seen).await {
        Ok(_) => return Err(Miss::failed("a claim was accepted while the address was leaving")),
        Err(error) => ensure(!error.may_have_changed(), || format!("it was refused with {error}"))?,
    }
    let reading = bench.read().await?;
    ensure(reading == seen || reading == Placement::Free, || format!("a refused claim made {seen:?} {reading:?}"))
}

pub(super) async fn a_claim_of_a_held_address_changes_nothing_unless_it_overwrites<F: Fixture>(
    bench: &mut Bench<F>,
) -> Passed {
    bench.only(Strategy::ReleaseFirst)?;
    let seen = bench.arrange(Situation::On(bench.a())).await?;
    match bench.mover.claim(&bench.b(), &seen).await {
        Ok(_) => return Err(Miss::failed("a claim was accepted while another node held the address")),
        Err(error) => ensure(!error.may_have_changed(), || format!("it was refused with {error}"))?,
    }
    bench.stays(&seen, "after a refused claim").await
}

pub(super) async fn an_overwriting_claim_takes_the_address_over<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.only(Strategy::Overwrite)?;
    let seen = bench.arrange(Situation::On(bench.a())).await?;
    let accepted = bench.mover.claim(&bench.b(), &seen).await.map_err(|error| Miss::error("the claim", &error))?;
    let held = bench.reaches(&Situation::On(bench.b()), &seen).await?;
    ensure(accepted.token.is_none() || accepted.token.as_ref() == held.token(), || {
        format!("the claim answered {:?}, but it is {held:?}", accepted.token)
    })?;
    bench.bring_to(&Situation::On(bench.b())).await.map(drop)
}

pub(super) async fn an_overwriting_claim_with_a_stale_token_is_a_conflict<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.only(Strategy::Overwrite)?;
    let stale = bench.arrange(Situation::On(bench.a())).await?;
    let taken = bench.arrange(Situation::On(bench.b())).await?;
    let targets = bench.nodes.iter().filter(|node| **node != bench.b()).cloned().collect::<Vec<_>>();
    for node in targets {
        let answer = bench.mover.claim(&node, &stale).await;
        conflict(answer)?;
        bench.stays(&taken, "after a claim with a stale token").await?;
    }
    Ok(())
}

pub(super) async fn an_unknown_node_is_refused_without_a_request<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let seen = bench.arrange(Situation::Free).await?;
    let before = bench.fixture.requests();
    match bench.mover.claim(&unknown_node(), &seen).await {
        Ok(_) => return Err(Miss::failed("a claim for an unknown node was accepted")),
        Err(error) => ensure(!error.may_have_changed(), || format!("it was refused with {error}"))?,
    }
    let after = bench.fixture.requests();
    ensure(before == after, || format!("{before:?} requests became {after:?}"))?;
    bench.stays(&seen, "after a claim for an unknown node").await
}

pub(super) async fn generation_tokens_are_never_used_twice<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let mut used = HashSet::new();
    for round in 0..12 {
        let node = bench.nodes[round % 2].clone();
        let held = bench.bring_to(&Situation::On(node)).await?;
        match held.token() {
            Some(Token::Generation(id)) => {
                ensure(used.insert(id.clone()), || format!("{id} names two assignments, the second in move {round}"))?;
            }
            Some(Token::Snapshot(_)) | None => return Err(Miss::NotApplicable("the mover's tokens may come back")),
        }
    }
    Ok(())
}

pub(super) async fn a_dropped_claim_leaves_a_state_that_can_be_continued<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let call_timeout = bench.mover.capabilities().call_timeout;
    let start = match bench.mover.capabilities().strategy {
        Strategy::ReleaseFirst => Situation::Free,
        Strategy::Overwrite => Situation::On(bench.a()),
    };
    for part in [0, 1, 8, 32] {
        let seen = bench.arrange(start.clone()).await?;
        drop(timeout(call_timeout * part / 256, bench.mover.claim(&bench.b(), &seen)).await);
        bench.bring_to(&Situation::On(bench.b())).await?;
    }
    Ok(())
}

pub(super) fn conflict<T: std::fmt::Debug>(answer: Result<T, MoveError>) -> Passed {
    ensure(matches!(answer, Err(MoveError::Conflict { .. })), || format!("not a conflict, but {answer:?}"))
}
