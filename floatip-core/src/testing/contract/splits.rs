//! Cases about an address that is made of several parts, such as one route in each of several tables.

use tokio::time::Instant;

use super::bench::{Bench, Miss, ensure};
use super::claims::conflict;
use super::{Fixture, Situation};
use crate::mover::{MoveError, Part, Placement, Strategy};
use crate::node::NodeId;

type Passed = Result<(), Miss>;

async fn arrange_split<F: Fixture>(bench: &mut Bench<F>) -> Result<Placement, Miss> {
    bench.arrange(Situation::Split(bench.a(), bench.b())).await
}

pub(super) async fn locate_tells_that_the_address_is_split<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let seen = arrange_split(bench).await?;
    bench.stays(&seen, "read again,").await
}

pub(super) async fn a_claim_of_a_split_address_brings_all_of_it<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    for node in [bench.b(), bench.a()] {
        let seen = arrange_split(bench).await?;
        bench.mover.claim(&node, &seen).await.map_err(|error| Miss::error("the claim", &error))?;
        bench.bring_to(&Situation::On(node)).await?;
    }
    Ok(())
}

pub(super) async fn a_claim_of_a_split_address_with_a_stale_token_is_a_conflict<F: Fixture>(
    bench: &mut Bench<F>,
) -> Passed {
    let stale = arrange_split(bench).await?;
    let taken = bench.arrange(Situation::On(bench.b())).await?;
    conflict(bench.mover.claim(&bench.a(), &stale).await)?;
    bench.stays(&taken, "after a claim of what had been split").await
}

pub(super) async fn a_claim_that_succeeds_in_part_says_what_is_left<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let b = bench.b();
    let before = match bench.mover.capabilities().strategy {
        Strategy::ReleaseFirst => Situation::Free,
        Strategy::Overwrite => Situation::On(bench.a()),
    };
    let seen = bench.arrange(before).await?;
    if !bench.fixture.refuse_part(true).await {
        return Err(Miss::NotApplicable("the fixture cannot refuse a part"));
    }
    let left: Vec<String> = match bench.mover.claim(&b, &seen).await {
        Err(MoveError::Partly { left, .. }) => left.into_iter().map(|left| left.part).collect(),
        answer => return Err(Miss::failed(format!("a part was refused, and the answer was {answer:?}"))),
    };
    let (split, parts) = await_split(bench, &seen).await?;
    ensure(parts.iter().all(|part| left.contains(&part.name) != is_on(part, &b)), || {
        format!("{left:?} were said to be left, but it is {split:?}")
    })?;
    match bench.mover.claim(&b, &split).await {
        Err(error) if !error.may_have_changed() => {}
        answer => return Err(Miss::failed(format!("only the refused part was left, and the answer was {answer:?}"))),
    }
    bench.fixture.refuse_part(false).await;
    bench.mover.claim(&b, &split).await.map_err(|error| Miss::error("the claim of the rest", &error))?;
    bench.bring_to(&Situation::On(b)).await.map(drop)
}

fn is_on(part: &Part, node: &NodeId) -> bool {
    part.node.as_ref() == Some(node)
}

/// Waits until the address, of which a part was claimed when it was `seen`, reads as split.
async fn await_split<F: Fixture>(bench: &mut Bench<F>, seen: &Placement) -> Result<(Placement, Vec<Part>), Miss> {
    let deadline = Instant::now() + bench.fixture.patience();
    loop {
        let reading = bench.read().await?;
        if let Placement::Split { parts, .. } = &reading {
            return Ok((reading.clone(), parts.clone()));
        }
        let on_the_way = reading == *seen || matches!(reading, Placement::Transition { .. });
        ensure(on_the_way, || format!("read {reading:?} where a part was claimed"))?;
        ensure(Instant::now() < deadline, || format!("still {reading:?} where a part was claimed"))?;
        bench.fixture.pause().await;
    }
}
