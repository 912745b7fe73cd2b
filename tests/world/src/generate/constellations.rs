//! Troubles that come together, since each alone brings what they are about once in a hundred thousand scenarios.

use std::time::Duration;

use floatip_core::Strategy as Mechanism;
use proptest::prelude::*;

use super::{millis, monitor, node};
use crate::plan::{Plan, Step};
use crate::trouble::{Call, CallFault, Meddling, Order, StoreFault, Stuck, Trouble};

/// Troubles that come one after the other, and what the world must be like for them.
#[derive(Debug, Clone)]
pub(super) struct Constellation {
    place: usize,
    steps: Vec<Step>,
    /// The fewest nodes.
    nodes: usize,
    leased: bool,
    /// A second mover takes over.
    chained: bool,
    /// The most unplanned moves, and within which time.
    bound: Option<(u32, Duration)>,
}

impl Constellation {
    fn of(nodes: usize, steps: Vec<(Duration, Trouble)>) -> Self {
        let steps = steps.into_iter().map(|(after, trouble)| Step { after, trouble }).collect();
        Self { place: 0, steps, nodes, leased: false, chained: false, bound: None }
    }

    /// Makes it part of a plan.
    pub(super) fn joined((mut plan, constellation): (Plan, Option<Self>)) -> Plan {
        let Some(Self { place, steps, nodes, leased, chained, bound }) = constellation else { return plan };
        let shape = &mut plan.shape;
        shape.nodes = shape.nodes.max(nodes);
        shape.leased |= leased;
        if chained && shape.one_mover() && shape.parts == 1 {
            (shape.chain, shape.strategy, shape.strict) = (true, Mechanism::ReleaseFirst, false);
        }
        if let Some(bound) = bound {
            (shape.max_moves, shape.window) = bound;
        }
        let place = place % (plan.steps.len() + 1);
        plan.steps.splice(place..place, steps);
        plan
    }
}

pub(super) fn constellations() -> impl Strategy<Value = Constellation> {
    let any_of = prop_oneof![
        2 => overtaking(),
        1 => queueing(),
        2 => leases_that_end(),
        3 => late_arrivals(),
        1 => flapping(),
        1 => freezes(),
        1 => snatched(),
    ];
    (any::<usize>(), any_of).prop_map(|(place, constellation)| Constellation { place, ..constellation })
}

/// Answers of a node overtake one another for a while.
fn overtaking() -> impl Strategy<Value = Constellation> {
    (node(), 20_u8..80, millis(300..1300), millis(0..3000), millis(4000..20_000)).prop_map(
        |(node, percent, slow, after, lasts)| {
            let latency = Duration::from_millis(5);
            let uneven = Trouble::Uneven { node, percent, slow };
            Constellation::of(2, vec![(after, uneven), (lasts, Trouble::Well { node, latency })])
        },
    )
}

/// Probes wait for their turn while a node fails.
fn queueing() -> impl Strategy<Value = Constellation> {
    let queue = (monitor(), millis(50..2500), millis(4000..30_000));
    (queue, millis(0..3000), millis(0..6000), any::<bool>()).prop_map(
        |((monitor, wait, lasts), after, until, hangs)| {
            let queue = Trouble::ProbesQueue { monitor, wait, lasts };
            Constellation::of(2, vec![(after, queue), (until, Trouble::HolderFails { hangs })])
        },
    )
}

/// The store is lost, requests are slow, and moves begin shortly before the lease ends.
fn leases_that_end() -> impl Strategy<Value = Constellation> {
    let fault = prop_oneof![Just(StoreFault::Fails), Just(StoreFault::Hangs)];
    (fault, prop::option::of(monitor()), node(), millis(3800..10_000), any::<bool>(), millis(0..4000)).prop_map(
        |(fault, alone, node, until, fails, rest)| {
            let lasts = Duration::from_secs(20);
            let now = Duration::ZERO;
            let mut steps = Vec::new();
            for monitor in 0..2 {
                steps.push((now, Trouble::RequestsDawdle { monitor, lasts }));
                if alone.is_none_or(|alone| alone == monitor) {
                    steps.push((now, Trouble::StoreFails { monitor, fault, lasts }));
                }
            }
            if fails {
                steps.push((until.mul_f64(0.7), Trouble::HolderFails { hangs: false }));
            } else {
                let orders = [(0, 0), (1, 0), (0, 1), (1, 1)].into_iter().map(|(monitor, other)| {
                    let order = Order::Switchover { force: false, wait: false };
                    (now, Trouble::Ordered { monitor, order, node: node + other })
                });
                let first = steps.len();
                steps.extend(orders);
                steps[first].0 = until;
            }
            steps[0].0 = rest;
            Constellation { leased: true, ..Constellation::of(2, steps) }
        },
    )
}

/// A claim is given up shortly before the address arrives, while what takes it back does not get through.
fn late_arrivals() -> impl Strategy<Value = Constellation> {
    let faults = [CallFault::RequestLost, CallFault::Throttled, CallFault::NotYet];
    let releases = (prop::sample::select(faults.to_vec()), 1_u8..6, millis(2500..7000));
    (node(), any::<bool>(), millis(20..2500), millis(0..500), releases, millis(4000..15_000)).prop_map(
        |(node, fails, by, release, (fault, count, armed), lasts)| {
            let now = Duration::ZERO;
            let mut steps =
                vec![(now, Trouble::ChangesTake { release, claim: now }), (now, Trouble::ClaimsOutlast { by })];
            if fails {
                steps.push((now, Trouble::HolderFails { hangs: false }));
            } else {
                let order = Order::Switchover { force: false, wait: false };
                steps.extend((0..2).map(|monitor| (now, Trouble::Ordered { monitor, order, node })));
            }
            let mut after = armed;
            for monitor in 0..2 {
                steps.push((after, Trouble::CallsFail { monitor, call: Call::Release, fault, count }));
                after = now;
            }
            steps.push((lasts, Trouble::ChangesTake { release, claim: release }));
            Constellation::of(3, steps)
        },
    )
}

/// What the first mover cannot get away from a dead holder, somebody outside takes while the second mover is about to.
fn snatched() -> impl Strategy<Value = Constellation> {
    let faults = [CallFault::RequestLost, CallFault::Throttled, CallFault::NotYet];
    (prop::sample::select(faults.to_vec()), 0_u8..4, any::<bool>(), millis(3000..20_000)).prop_map(
        |(fault, count, hangs, after)| {
            let now = Duration::ZERO;
            let mut steps =
                vec![(now, Trouble::ReleasesStuck { stuck: Stuck::Always }), (now, Trouble::HolderFails { hangs })];
            steps.extend((0..2).map(|monitor| (now, Trouble::CallsFail { monitor, call: Call::Claim, fault, count })));
            steps.push((after, Trouble::Meddled { meddling: Meddling::PutsOnStranger, node: 0 }));
            Constellation { chained: true, ..Constellation::of(2, steps) }
        },
    )
}

/// A node flaps, and later the holder fails.
fn flapping() -> impl Strategy<Value = Constellation> {
    (node(), millis(2500..6000), millis(2500..6000), millis(0..15_000), any::<bool>()).prop_map(
        |(node, down, up, rest, hangs)| {
            let flaps = Trouble::Flaps { node, times: 2, down, up };
            let fails = Trouble::HolderFails { hangs };
            Constellation::of(3, vec![(Duration::ZERO, flaps), ((down + up) * 2 + rest, fails)])
        },
    )
}

/// More failovers than may be, and one more when those are long ago; the monitors may be started anew in between.
fn freezes() -> impl Strategy<Value = Constellation> {
    let times = (millis(3000..7000), millis(3000..7000), millis(15_000..50_000));
    (1_u32..3, millis(15_000..40_000), times, any::<bool>()).prop_map(
        |(max_moves, window, (first, second, long), killed)| {
            let fails = || Trouble::HolderFails { hangs: false };
            let well = |node| Trouble::Well { node, latency: Duration::from_millis(3) };
            let now = Duration::ZERO;
            let mut steps = vec![(now, fails()), (first, fails()), (second, fails()), (second, well(0))];
            steps.extend((1..4).map(|node| (now, well(node))));
            if killed {
                let down = Duration::from_millis(50);
                steps.extend((0..2).map(|monitor| (first, Trouble::Killed { monitor, down })));
            }
            steps.push((long, fails()));
            Constellation { bound: Some((max_moves, window)), ..Constellation::of(3, steps) }
        },
    )
}
