//! Addresses of another kind: of several parts, or moved by a chain of movers; and nodes that tell more than their health.

use std::time::Duration;

use floatip_core::Strategy as Mechanism;
use proptest::prelude::*;

use super::{millis, node};
use crate::plan::{Plan, Step};
use crate::trouble::Trouble;

/// Of what kind the address is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Whole,
    InParts(usize),
    Chained,
    /// Of two monitors without a lease neither can tell whether the other was first.
    Contended,
}

/// What makes a plan another one.
#[derive(Debug, Clone)]
pub(super) struct Kinds {
    kind: Kind,
    wait_for_idle: Option<Duration>,
    restores: bool,
    maintains: bool,
    troubles: Vec<(usize, Step)>,
}

impl Kinds {
    pub(super) fn applied((mut plan, kinds): (Plan, Self)) -> Plan {
        let shape = &mut plan.shape;
        (shape.wait_for_idle, shape.maintains) = (kinds.wait_for_idle, kinds.maintains);
        // Two monitors without a lease take each other's moves for somebody else's.
        shape.restores = kinds.restores && shape.one_mover();
        match kinds.kind {
            Kind::Whole => {}
            // No provider compares tokens of parts, and of two monitors without a lease none would win.
            Kind::InParts(parts) if shape.one_mover() => {
                (shape.parts, shape.strategy, shape.enforced) = (parts, Mechanism::Overwrite, false);
                shape.claims_to_settle = 0;
            }
            Kind::Chained if shape.one_mover() => (shape.chain, shape.strategy) = (true, Mechanism::ReleaseFirst),
            Kind::Contended => {
                (shape.monitors, shape.leased, shape.enforced, shape.strict) = (2, false, false, false);
                // What is claimed anew is known by tokens alone.
                (shape.restores, shape.reclaims) = (false, false);
            }
            Kind::InParts(_) | Kind::Chained => {}
        }
        for (place, step) in kinds.troubles {
            let place = place % (plan.steps.len() + 1);
            plan.steps.insert(place, step);
        }
        plan
    }
}

pub(super) fn kinds() -> impl Strategy<Value = Kinds> {
    let kind = prop_oneof![
        1 => Just(Kind::Whole),
        2 => (2_usize..4).prop_map(Kind::InParts),
        2 => Just(Kind::Chained),
        1 => Just(Kind::Contended),
    ];
    let part = 0_usize..3;
    let trouble = prop_oneof![
        3 => (node(), any::<bool>()).prop_map(|(node, in_use)| Trouble::InUse { node, in_use }),
        2 => (node(), any::<bool>()).prop_map(|(node, maintained)| Trouble::Maintained { node, maintained }),
        3 => (part.clone(), any::<bool>()).prop_map(|(part, refused)| Trouble::PartRefused { part, refused }),
        3 => (part, prop::option::weighted(0.8, node())).prop_map(|(part, node)| Trouble::PartMoved { part, node }),
        2 => (1_u8..5).prop_map(|count| Trouble::PartsUnanswered { count }),
    ];
    let after = millis(0..5000);
    let step = (any::<usize>(), after, trouble).prop_map(|(place, after, trouble)| (place, Step { after, trouble }));
    let wait = prop::option::weighted(0.5, millis(500..15_000));
    let policy = (wait, any::<bool>(), prop::bool::weighted(0.3));
    (kind, policy, prop::collection::vec(step, 1..6)).prop_map(
        |(kind, (wait_for_idle, maintains, restores), troubles)| Kinds {
            kind,
            wait_for_idle,
            restores,
            maintains,
            troubles,
        },
    )
}
