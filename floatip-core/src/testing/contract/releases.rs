//! Cases about releases.

use tokio::time::timeout;

use super::bench::{Bench, Miss, ensure};
use super::claims::conflict;
use super::{Fixture, Situation};
use crate::mover::{ReleaseMode, Strategy, Token};

type Passed = Result<(), Miss>;

pub(super) async fn a_release_ends_free<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    release_ends_free(bench, ReleaseMode::Graceful).await
}

pub(super) async fn a_forced_release_ends_free<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    if !bench.mover.capabilities().can_force {
        return Err(Miss::NotApplicable("the mover cannot force"));
    }
    release_ends_free(bench, ReleaseMode::Forced).await
}

async fn release_ends_free<F: Fixture>(bench: &mut Bench<F>, mode: ReleaseMode) -> Passed {
    bench.only(Strategy::ReleaseFirst)?;
    for node in bench.nodes.clone() {
        let seen = bench.arrange(Situation::On(node)).await?;
        bench.mover.release(&seen, mode).await.map_err(|error| Miss::error("the release", &error))?;
        let free = bench.reaches(&Situation::Free, &seen).await?;
        bench.stays(&free, "after a release").await?;
    }
    Ok(())
}

pub(super) async fn a_release_with_a_stale_token_is_a_conflict<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.only(Strategy::ReleaseFirst)?;
    let stale = bench.arrange(Situation::On(bench.a())).await?;
    for situation in [Situation::On(bench.b()), Situation::Free] {
        let now = bench.arrange(situation).await?;
        let answer = bench.mover.release(&stale, ReleaseMode::Graceful).await;
        conflict(answer)?;
        bench.stays(&now, "after a release with a stale token").await?;
    }
    Ok(())
}

pub(super) async fn a_release_knows_an_assignment_from_a_later_one_on_the_same_node<F: Fixture>(
    bench: &mut Bench<F>,
) -> Passed {
    bench.only(Strategy::ReleaseFirst)?;
    let stale = bench.arrange(Situation::On(bench.a())).await?;
    if matches!(stale.token(), Some(Token::Snapshot(_))) {
        return Err(Miss::NotApplicable("the mover's tokens may come back"));
    }
    bench.arrange(Situation::Free).await?;
    let now = bench.arrange(Situation::On(bench.a())).await?;
    ensure(now.token() != stale.token(), || format!("two assignments read as {now:?}"))?;
    let answer = bench.mover.release(&stale, ReleaseMode::Graceful).await;
    conflict(answer)?;
    bench.stays(&now, "after a release of an earlier assignment").await
}

pub(super) async fn a_dropped_release_leaves_a_state_that_can_be_continued<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.only(Strategy::ReleaseFirst)?;
    let call_timeout = bench.mover.capabilities().call_timeout;
    for part in [0, 1, 8, 32] {
        let seen = bench.arrange(Situation::On(bench.a())).await?;
        drop(timeout(call_timeout * part / 256, bench.mover.release(&seen, ReleaseMode::Graceful)).await);
        bench.bring_to(&Situation::Free).await?;
    }
    Ok(())
}
