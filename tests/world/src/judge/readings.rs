//! What one mover's readings amount to.

use std::time::Duration;

use floatip_core::Placement;
use floatip_core::engine::CallId;

use super::number;

/// Two readings agree if they were asked for so far apart.
const AGREEMENT: Duration = Duration::from_secs(2);

/// What one mover was told of the address.
#[derive(Debug, Clone, Default)]
pub(super) struct Readings {
    pub(super) newest: Option<Placement>,
    /// The read that counts when it is answered: begun after the last request.
    pub(super) awaited: Option<CallId>,
    /// When the first of a row of free readings was asked for, and the newest.
    pub(super) free: Option<(Duration, Duration)>,
    /// The same of readings that show it split.
    pub(super) split: Option<(Duration, Duration)>,
    /// When the first of a row of readings was asked for that show it on one node, or parts of it there, and the newest.
    pub(super) on_node: Option<(Duration, Duration)>,
    node: Option<usize>,
    /// Since when it has been on its way.
    pub(super) transition: Option<Duration>,
}

impl Readings {
    pub(super) fn note(&mut self, now: Duration, asked: Duration, placement: &Placement) {
        let extended = |row: Option<(Duration, Duration)>| Some((row.map_or(asked, |(first, _)| first), asked));
        self.free = extended(self.free).filter(|_| *placement == Placement::Free);
        self.split = extended(self.split).filter(|_| matches!(placement, Placement::Split { .. }));
        let holder = placement.holder().map(number);
        let part_of = |node: usize| match placement {
            Placement::Split { parts, .. } => parts.iter().any(|part| part.node.as_ref().map(number) == Some(node)),
            Placement::Held { .. } | Placement::Transition { .. } | Placement::Free | Placement::Stranger { .. } => {
                holder == Some(node)
            }
        };
        let elsewhere = self.node.is_some_and(|node| !part_of(node));
        let on_nodes = holder.is_some() || matches!(placement, Placement::Split { .. });
        self.on_node = extended(self.on_node.filter(|_| !elsewhere)).filter(|_| on_nodes);
        self.node = holder.or(self.node.filter(|_| on_nodes && !elsewhere));
        let on_its_way = matches!(placement, Placement::Transition { .. });
        self.transition = self.transition.or(Some(now)).filter(|_| on_its_way);
        self.newest = Some(placement.clone());
    }

    pub(super) fn agree(row: Option<(Duration, Duration)>) -> bool {
        row.is_some_and(|(first, newest)| newest >= first + AGREEMENT)
    }
}
