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
    /// The nodes that all of those show.
    nodes: Vec<usize>,
    /// Since when it has been on its way.
    pub(super) transition: Option<Duration>,
}

impl Readings {
    pub(super) fn note(&mut self, now: Duration, asked: Duration, placement: &Placement) {
        let extended = |row: Option<(Duration, Duration)>| Some((row.map_or(asked, |(first, _)| first), asked));
        self.free = extended(self.free).filter(|_| *placement == Placement::Free);
        self.split = extended(self.split).filter(|_| matches!(placement, Placement::Split { .. }));
        let here: Vec<_> = match placement {
            Placement::Held { node, .. } => vec![number(node)],
            Placement::Split { parts, .. } => parts.iter().filter_map(|part| part.node.as_ref().map(number)).collect(),
            Placement::Transition { .. } | Placement::Free | Placement::Stranger { .. } => Vec::new(),
        };
        let common: Vec<_> = self.nodes.iter().copied().filter(|node| here.contains(node)).collect();
        self.on_node = extended(self.on_node.filter(|_| !common.is_empty())).filter(|_| !here.is_empty());
        self.nodes = if common.is_empty() { here } else { common };
        let on_its_way = matches!(placement, Placement::Transition { .. });
        self.transition = self.transition.or(Some(now)).filter(|_| on_its_way);
        self.newest = Some(placement.clone());
    }

    /// True if the newest one shows the address there, or a part of it.
    pub(super) fn show_on(&self, node: usize) -> bool {
        match &self.newest {
            Some(Placement::Split { parts, .. }) => {
                parts.iter().any(|part| part.node.as_ref().map(number) == Some(node))
            }
            newest => newest.as_ref().and_then(Placement::holder).map(number) == Some(node),
        }
    }

    pub(super) fn agree(row: Option<(Duration, Duration)>) -> bool {
        row.is_some_and(|(first, newest)| newest >= first + AGREEMENT)
    }
}
