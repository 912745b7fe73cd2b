//! How plans are generated, and shrunk.

mod constellations;
mod kinds;

use std::time::Duration;

use floatip_core::{HealthSettings, Strategy as Mechanism, Verify};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::plan::{Plan, Shape, Step};
use crate::trouble::{Call, CallFault, Meddling, Mood, Order, StoreFault, Stuck, Trouble};
use constellations::{Constellation, constellations};
use kinds::{Kinds, kinds};

/// What a plan shrinks by.
pub(crate) type BoxedTree = Box<dyn ValueTree<Value = Plan>>;

/// A runner whose every choice follows from `seed`.
fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> + Clone {
    range.prop_map(Duration::from_millis)
}

fn node() -> impl Strategy<Value = usize> + Clone {
    0_usize..4
}

fn monitor() -> impl Strategy<Value = usize> + Clone {
    0_usize..2
}

/// A plan of the seed, to be shrunk. Even seeds bring addresses that are whole and moved by one mover, as they have always
/// done; odd ones all kinds of them, and troubles that come together in half of the plans.
pub(crate) fn tree(seed: u64) -> BoxedTree {
    let mut runner = runner(seed / 2);
    let of_all_kinds = (plans(), kinds()).prop_map(Kinds::applied);
    let together = prop::option::weighted(0.5, constellations());
    let plans = match seed.is_multiple_of(2) {
        true => plans().boxed(),
        false => (of_all_kinds, together).prop_map(Constellation::joined).boxed(),
    };
    plans.new_tree(&mut runner).expect("plans are never rejected")
}

/// Plans of addresses that are whole. Half of them have more than nodes, monitors and a provider; what that is comes last, so
/// that the others stay what their seeds have always brought.
fn plans() -> impl Strategy<Value = Plan> {
    let extras = prop::option::weighted(0.5, extras());
    (shapes(), any::<u64>(), prop::collection::vec(steps(), 2..12), extras).prop_map(
        |(mut shape, luck, mut steps, extras)| {
            if let Some(Extras { witnesses, quorum, pre_move, reclaims, troubles }) = extras {
                shape.witnesses = witnesses;
                shape.quorum = quorum.min(witnesses);
                shape.pre_move = pre_move;
                shape.reclaims = reclaims;
                for (place, step) in troubles {
                    steps.insert(place % (steps.len() + 1), step);
                }
            }
            Plan { shape, luck, steps }
        },
    )
}

/// Witnesses, hooks, and the policy for an address that does not answer.
#[derive(Debug, Clone)]
struct Extras {
    witnesses: usize,
    quorum: usize,
    pre_move: Option<Duration>,
    reclaims: bool,
    troubles: Vec<(usize, Step)>,
}

fn extras() -> impl Strategy<Value = Extras> {
    let witnesses = (0_usize..4, 1_usize..3);
    let hooks = prop::option::weighted(0.5, millis(200..2500));
    let trouble = prop_oneof![
        2 => (0_usize..4, millis(500..12_000)).prop_map(|(witness, lasts)| Trouble::WitnessFails { witness, lasts }),
        2 => (monitor(), 0_usize..4, millis(500..12_000))
            .prop_map(|(monitor, witness, lasts)| Trouble::WitnessCut { monitor, witness, lasts }),
        3 => (monitor(), node(), millis(0..1500), millis(500..12_000), node()).prop_map(
            |(monitor, first, apart, lasts, back_first)| {
                Trouble::Isolated { monitor, first, apart, lasts, back_first, deaf: false }
            }
        ),
        4 => prop::sample::select(vec![Mood::Allows, Mood::Vetoes, Mood::Fails, Mood::Hangs, Mood::Dies])
            .prop_map(|mood| Trouble::HooksAre { mood }),
        3 => (node(), any::<bool>()).prop_map(|(node, mute)| Trouble::Mute { node, mute }),
    ];
    let after = millis(0..5000);
    let step = (any::<usize>(), after, trouble).prop_map(|(place, after, trouble)| (place, Step { after, trouble }));
    (witnesses, hooks, any::<bool>(), prop::collection::vec(step, 1..6)).prop_map(
        |((witnesses, quorum), pre_move, reclaims, troubles)| Extras {
            witnesses,
            quorum,
            pre_move,
            reclaims,
            troubles,
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let after = prop_oneof![2 => millis(0..300), 5 => millis(0..4000), 2 => millis(0..12_000), 1 => millis(0..30_000)];
    (after, troubles()).prop_map(|(after, trouble)| Step { after, trouble })
}

fn health() -> impl Strategy<Value = HealthSettings> {
    (2_u32..5, 4_u64..10, 2_u64..8, 1_u32..4, 1_u32..3).prop_map(|(intervals, fast, timeout, fall, rise)| {
        let mut health = HealthSettings::default();
        health.fast_interval = Duration::from_millis(fast * 70);
        health.interval = health.fast_interval * intervals;
        health.timeout = Duration::from_millis(timeout * 170);
        (health.fall, health.rise) = (fall, rise);
        health
    })
}

fn shapes() -> impl Strategy<Value = Shape> {
    let world = (2_usize..5, 1_usize..3, any::<bool>(), 0_u8..3, any::<bool>(), any::<bool>(), any::<bool>());
    let verify = prop_oneof![3 => Just(Verify::Require), 1 => Just(Verify::Warn), 1 => Just(Verify::Off)];
    let failback = prop::option::weighted(0.3, millis(0..15_000));
    let max_moves = prop_oneof![3 => Just(1000_u32), 1 => 1_u32..4];
    let policy = (verify, failback, millis(0..20_000), max_moves, millis(2500..12_000), millis(2000..8000));
    let provider = (millis(0..3000), millis(0..3000), millis(2..120), 0_u32..3, 0_usize..12);
    (world, (prop_oneof![4 => Just(1_usize), 1 => Just(2)], health()), policy, provider).prop_map(
        |(world, (checks, health), policy, provider)| {
            let (nodes, monitors, leased, overwrites, enforced, strict, keeps_state) = world;
            let (verify, failback, cooldown, max_moves, patience, verify_timeout) = policy;
            let (release_takes, claim_takes, latency, unsettled, begins_on) = provider;
            let alone = monitors == 1 || leased;
            Shape {
                nodes,
                monitors,
                leased,
                strategy: if overwrites == 0 { Mechanism::Overwrite } else { Mechanism::ReleaseFirst },
                // Without a lease, only a provider that compares tokens lets one of two monitors win.
                enforced: enforced || !alone,
                strict: strict && alone,
                keeps_state,
                checks,
                health,
                verify,
                failback,
                cooldown,
                max_moves,
                patience,
                verify_timeout,
                release_takes,
                claim_takes,
                latency,
                claims_to_settle: unsettled.saturating_sub(1),
                begins_on: if begins_on == 11 { usize::MAX } else { begins_on % nodes },
                witnesses: 0,
                quorum: 0,
                pre_move: None,
                reclaims: false,
                parts: 1,
                chain: false,
                wait_for_idle: None,
                restores: false,
                maintains: false,
                window: Duration::from_secs(3600),
            }
        },
    )
}

fn troubles() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        10 => of_servers(),
        5 => of_networks(),
        5 => of_monitors(),
        8 => of_the_provider(),
        3 => by_operators(),
    ]
}

fn of_servers() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        4 => (node(), millis(1..150)).prop_map(|(node, latency)| Trouble::Well { node, latency }),
        1 => (node(), millis(100..1200)).prop_map(|(node, latency)| Trouble::Well { node, latency }),
        2 => node().prop_map(|node| Trouble::Refuses { node }),
        2 => node().prop_map(|node| Trouble::Hangs { node }),
        1 => node().prop_map(|node| Trouble::Terminated { node }),
        1 => (node(), 10_u8..90).prop_map(|(node, percent)| Trouble::Lossy { node, percent }),
        1 => (node(), 2_u8..5, millis(300..5000), millis(300..5000))
            .prop_map(|(node, times, down, up)| Trouble::Flaps { node, times, down, up }),
        5 => any::<bool>().prop_map(|hangs| Trouble::HolderFails { hangs }),
        1 => (node(), any::<bool>()).prop_map(|(node, mute)| Trouble::Mute { node, mute }),
    ]
}

fn of_networks() -> impl Strategy<Value = Trouble> {
    let isolated = (monitor(), node(), millis(0..1500), millis(500..12_000), node(), any::<bool>());
    prop_oneof![
        2 => (monitor(), node(), any::<bool>(), millis(200..10_000))
            .prop_map(|(monitor, node, floating, lasts)| Trouble::PathCut { monitor, node, floating, lasts }),
        4 => isolated.prop_map(|(monitor, first, apart, lasts, back_first, deaf)| {
            Trouble::Isolated { monitor, first, apart, lasts, back_first, deaf }
        }),
        1 => (monitor(), node(), millis(1000..12_000))
            .prop_map(|(monitor, node, lasts)| Trouble::ProberBroken { monitor, node, lasts }),
        1 => (monitor(), millis(500..15_000))
            .prop_map(|(monitor, lasts)| Trouble::ProviderLost { monitor, lasts }),
    ]
}

fn of_monitors() -> impl Strategy<Value = Trouble> {
    let fault = prop_oneof![Just(StoreFault::Fails), Just(StoreFault::Hangs), Just(StoreFault::RepliesLost)];
    prop_oneof![
        2 => (monitor(), any::<bool>(), millis(500..25_000))
            .prop_map(|(monitor, suspended, lasts)| Trouble::Stalled { monitor, suspended, lasts }),
        1 => (monitor(), millis(10..8000)).prop_map(|(monitor, down)| Trouble::Killed { monitor, down }),
        3 => (monitor(), 0_u8..24, millis(10..8000))
            .prop_map(|(monitor, calls, down)| Trouble::KilledAt { monitor, calls, down }),
        1 => (monitor(), millis(10..8000)).prop_map(|(monitor, down)| Trouble::Stopped { monitor, down }),
        2 => (monitor(), fault, millis(500..20_000))
            .prop_map(|(monitor, fault, lasts)| Trouble::StoreFails { monitor, fault, lasts }),
    ]
}

fn of_the_provider() -> impl Strategy<Value = Trouble> {
    let call =
        prop_oneof![2 => Just(Call::Locate), 2 => Just(Call::Release), 2 => Just(Call::Claim), 1 => Just(Call::Ready)];
    let faults = [
        CallFault::Throttled,
        CallFault::Denied,
        CallFault::NotFound,
        CallFault::NotYet,
        CallFault::Conflict,
        CallFault::RequestLost,
        CallFault::ReplyLost,
    ];
    let fault = prop::sample::select(faults.to_vec());
    let meddling = prop_oneof![
        2 => Just(Meddling::Puts),
        2 => Just(Meddling::Frees),
        1 => Just(Meddling::PutsOnStranger),
        1 => Just(Meddling::PutsUnsettled),
        1 => Just(Meddling::Releases),
    ];
    prop_oneof![
        5 => (monitor(), call, fault, 1_u8..6)
            .prop_map(|(monitor, call, fault, count)| Trouble::CallsFail { monitor, call, fault, count }),
        1 => (millis(0..8000), millis(0..8000))
            .prop_map(|(release, claim)| Trouble::ChangesTake { release, claim }),
        1 => millis(0..1900).prop_map(|lag| Trouble::ReadsLag { lag }),
        1 => millis(0..6000).prop_map(|lasts| Trouble::ReadsFreeze { lasts }),
        1 => prop_oneof![Just(Stuck::Graceful), Just(Stuck::Always), Just(Stuck::Never)]
            .prop_map(|stuck| Trouble::ReleasesStuck { stuck }),
        1 => (node(), any::<bool>()).prop_map(|(node, stuck)| Trouble::ClaimsStuck { node, stuck }),
        1 => (node(), any::<bool>()).prop_map(|(node, impossible)| Trouble::Impossible { node, impossible }),
        1 => (node(), any::<bool>()).prop_map(|(node, ready)| Trouble::NotReady { node, ready }),
        2 => (meddling, node()).prop_map(|(meddling, node)| Trouble::Meddled { meddling, node }),
    ]
}

fn by_operators() -> impl Strategy<Value = Trouble> {
    let order = prop_oneof![
        2 => prop::option::of(millis(1000..20_000)).prop_map(|lasts| Order::Pause { lasts }),
        2 => Just(Order::Resume),
        1 => Just(Order::Acknowledge),
        2 => Just(Order::Drain),
        1 => Just(Order::Undrain),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(force, wait)| Order::Switchover { force, wait }),
    ];
    (monitor(), order, node()).prop_map(|(monitor, order, node)| Trouble::Ordered { monitor, order, node })
}
