//! Cases about what goes wrong at the provider or on the way there.

use std::time::Duration;

use tokio::time::Instant;

use super::bench::{Bench, Miss, ensure};
use super::{Fixture, Situation};
use crate::mover::{Accepted, MoveError, Placement, ReleaseMode, Strategy};
use crate::testing::fault::{Call, Fault};

type Passed = Result<(), Miss>;

/// The slack that the orchestrator leaves a mover beyond its own call timeout.
const GRACE: Duration = Duration::from_millis(400);

const UNTOLD: Miss = Miss::NotApplicable("the fixture cannot let a request fail");

/// The requests that bring about something, each with the situation before it and the one that it is to bring.
fn requests<F: Fixture>(bench: &Bench<F>) -> Vec<(Call, Situation, Situation)> {
    let (a, b) = (bench.a(), bench.b());
    match bench.mover.capabilities().strategy {
        Strategy::ReleaseFirst => vec![
            (Call::Claim, Situation::Free, Situation::On(a.clone())),
            (Call::Release, Situation::On(a), Situation::Free),
        ],
        Strategy::Overwrite => vec![
            (Call::Claim, Situation::Free, Situation::On(a.clone())),
            (Call::Claim, Situation::On(a), Situation::On(b)),
        ],
    }
}

async fn request<F: Fixture>(bench: &Bench<F>, goal: &Situation, seen: &Placement) -> Result<Accepted, MoveError> {
    match goal {
        Situation::On(node) => bench.mover.claim(node, seen).await,
        Situation::Free
        | Situation::UnsettledOn(_)
        | Situation::Leaving(_)
        | Situation::GoingTo(_)
        | Situation::OnStranger
        | Situation::Split(..) => bench.mover.release(seen, ReleaseMode::Graceful).await,
    }
}

pub(super) async fn errors_say_truthfully_whether_anything_changed<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let mut any = false;
    for (call, before, goal) in requests(bench) {
        for fault in [
            Fault::Throttled,
            Fault::Denied,
            Fault::InternalError,
            Fault::AppliedInternalError,
            Fault::RequestLost,
            Fault::ReplyLost,
        ] {
            let seen = bench.arrange(before.clone()).await?;
            if !bench.inject(call, fault.clone()).await {
                continue;
            }
            any = true;
            match request(bench, &goal, &seen).await {
                Ok(_) => drop(bench.reaches(&goal, &seen).await?),
                Err(error) if error.may_have_changed() => {}
                Err(error) => bench.stays(&seen, &format!("under {fault:?} of {call:?}, after \"{error}\",")).await?,
            }
            bench.bring_to(&goal).await?;
        }
    }
    if any { Ok(()) } else { Err(UNTOLD) }
}

pub(super) async fn a_lost_reply_is_an_unknown_outcome_and_locate_shows_it<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let mut any = false;
    for (call, before, goal) in requests(bench) {
        let seen = bench.arrange(before).await?;
        if !bench.inject(call, Fault::ReplyLost).await {
            continue;
        }
        any = true;
        match request(bench, &goal, &seen).await {
            Err(error) if error.may_have_changed() => {}
            answer => return Err(Miss::failed(format!("the lost reply of {call:?} was told as {answer:?}"))),
        }
        bench.reaches(&goal, &seen).await?;
    }
    if any { Ok(()) } else { Err(UNTOLD) }
}

pub(super) async fn refusals_are_told_by_what_to_do_next<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let mut any = false;
    for (call, before, goal) in requests(bench) {
        for fault in [Fault::Throttled, Fault::Denied] {
            let seen = bench.arrange(before.clone()).await?;
            if !bench.inject(call, fault.clone()).await {
                continue;
            }
            any = true;
            let answer = request(bench, &goal, &seen).await;
            let told = match answer {
                Err(MoveError::Throttled { .. }) => fault == Fault::Throttled,
                Err(MoveError::Denied { .. }) => fault == Fault::Denied,
                Ok(_) | Err(_) => false,
            };
            ensure(told, || format!("{fault:?} of {call:?} was told as {answer:?}"))?;
        }
    }
    if any { Ok(()) } else { Err(UNTOLD) }
}

pub(super) async fn calls_end_within_their_timeout<F: Fixture>(bench: &mut Bench<F>) -> Passed {
    let limit = bench.mover.capabilities().call_timeout + GRACE;
    let mut any = false;
    for (call, before, goal) in requests(bench) {
        let seen = bench.arrange(before).await?;
        if bench.inject(call, Fault::RequestLost).await {
            any = true;
            let start = Instant::now();
            drop(tokio::time::timeout(limit * 2, request(bench, &goal, &seen)).await);
            ensure(start.elapsed() <= limit, || format!("{call:?} did not end in {limit:?}"))?;
        }
    }
    bench.arrange(Situation::On(bench.a())).await?;
    if bench.inject(Call::Locate, Fault::RequestLost).await {
        any = true;
        let start = Instant::now();
        drop(tokio::time::timeout(limit * 2, bench.mover.locate()).await);
        ensure(start.elapsed() <= limit, || format!("locate did not end in {limit:?}"))?;
    }
    if any { Ok(()) } else { Err(UNTOLD) }
}
