//! Cases about what a mover tells.

use tokio::time::timeout;

use super::bench::{Bench, Miss, ensure};
use super::{Fixture, Situation};
use crate::mover::Placement;
use crate::node::NodeId;
use crate::testing::fault::{Call, Fault};

type Passed = Result<(), Miss>;

pub(super) async fn locate_tells_that_the_address_is_free<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.arrange(Situation::Free).await.map(drop)
}

pub(super) async fn locate_tells_who_holds_the_address<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    for node in bench.nodes.clone() {
        bench.arrange(Situation::On(node)).await?;
    }
    Ok(())
}

pub(super) async fn locate_tells_that_the_address_leaves<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.arrange(Situation::Leaving(bench.a())).await.map(drop)
}

pub(super) async fn locate_tells_that_the_address_is_on_its_way<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.arrange(Situation::GoingTo(bench.b())).await.map(drop)
}

pub(super) async fn locate_tells_of_a_stranger<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.arrange(Situation::OnStranger).await.map(drop)
}

pub(super) async fn locate_tells_that_something_is_left_to_do<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    bench.arrange(Situation::UnsettledOn(bench.a())).await.map(drop)
}

pub(super) async fn locate_never_caches<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let (a, b) = (bench.a(), bench.b());
    for situation in [
        Situation::On(a.clone()),
        Situation::On(b),
        Situation::Free,
        Situation::On(a.clone()),
        Situation::Free,
        Situation::On(a),
    ] {
        bench.arrange(situation).await?;
        bench.read().await?;
    }
    Ok(())
}

pub(super) async fn locate_that_fails_does_not_guess<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let mut any = false;
    for fault in [Fault::Throttled, Fault::Denied, Fault::RequestLost, Fault::ReplyLost, Fault::InternalError] {
        bench.arrange(Situation::On(bench.a())).await?;
        if !bench.inject(Call::Locate, fault.clone()).await {
            continue;
        }
        any = true;
        if let Ok(placement) = bench.mover.locate().await {
            return Err(Miss::failed(format!("under {fault:?} locate made up {placement:?}")));
        }
        bench.arrange(Situation::On(bench.b())).await?;
    }
    if any { Ok(()) } else { Err(Miss::NotApplicable("the fixture cannot let a read fail")) }
}

pub(super) async fn a_dropped_read_is_harmless<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let call_timeout = bench.mover.capabilities().call_timeout;
    for part in [0, 1, 8, 32] {
        let seen = bench.arrange(Situation::On(bench.a())).await?;
        drop(timeout(call_timeout * part / 256, bench.mover.locate()).await);
        drop(timeout(call_timeout * part / 256, bench.mover.ready(&bench.b())).await);
        bench.stays(&seen, "after reads that were dropped").await?;
    }
    Ok(())
}

pub(super) async fn serves_its_own_nodes_and_no_other<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    for node in &bench.nodes {
        ensure(bench.mover.serves(node), || format!("it does not serve its own node {node}"))?;
    }
    let unknown = unknown_node();
    ensure(!bench.mover.serves(&unknown), || format!("it serves {unknown}, which it cannot know"))
}

pub(super) async fn its_own_nodes_can_be_asked_for_readiness<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let seen = bench.arrange(Situation::On(bench.a())).await?;
    for node in bench.nodes.clone() {
        bench.mover.ready(&node).await.map_err(|error| Miss::error("ready", &error))?;
    }
    let reading = bench.read().await?;
    ensure(reading == seen || matches!(reading, Placement::Transition { .. }), || {
        format!("asking for readiness changed {seen:?} to {reading:?}")
    })
}

pub(super) fn unknown_node() -> NodeId {
    NodeId::new("no-such-node").expect("a usable name")
}
