//! What an event is about.

use floatip_core::{EventKind, MoveId, NodeId};

/// The move that it belongs to.
pub(super) fn move_of(kind: &EventKind) -> Option<MoveId> {
    match kind {
        EventKind::MoveStarted { id, .. }
        | EventKind::StepFinished { id, .. }
        | EventKind::MoveRetargeted { id, .. }
        | EventKind::ReleaseForced { id, .. }
        | EventKind::MoveFailed { id, .. }
        | EventKind::VerificationFailed { id, .. }
        | EventKind::VerificationImpossible { id }
        | EventKind::FloatingIpStuck { id, .. } => Some(*id),
        EventKind::MoveFinished(receipt) => Some(receipt.id),
        _ => None,
    }
}

/// The node that it is about.
pub(super) fn node_of(kind: &EventKind) -> Option<&NodeId> {
    match kind {
        EventKind::NodeWentDown { node, .. }
        | EventKind::NodeCameUp { node }
        | EventKind::NodeBecameUnknown { node }
        | EventKind::AddressUnreachable { node, .. }
        | EventKind::VerificationFailed { node, .. }
        | EventKind::PlacementUnsettled { node }
        | EventKind::PlacementSettled { node }
        | EventKind::CandidateNotReady { node, .. }
        | EventKind::CandidateReady { node }
        | EventKind::HolderUnreachableButServing { node } => Some(node),
        EventKind::MoveStarted { to, .. } | EventKind::MoveFailed { to, .. } | EventKind::MoveRetargeted { to, .. } => {
            Some(to)
        }
        EventKind::MoveFinished(receipt) => Some(&receipt.to),
        EventKind::HolderChanged { to, .. } => to.as_ref(),
        EventKind::NoCandidate { holder } => holder.as_ref(),
        EventKind::ProbeErrored { node, .. }
        | EventKind::ProbeWarned { node, .. }
        | EventKind::ReleaseForced { node, .. } => node.as_ref(),
        _ => None,
    }
}
