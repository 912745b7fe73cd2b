//! Whether a node that flaps is the last choice.

use std::time::{Duration, Instant};

use floatip_core::{Cause, EventKind};

use super::{Judge, Scene, number};

/// Who goes down twice within this time flaps.
const WINDOW: Duration = Duration::from_secs(600);

/// For how long it must be well then, doubled for each further time.
const HOLD_DOWN: Duration = Duration::from_secs(30);

/// When each node went down, and since when it is up.
#[derive(Debug)]
pub(super) struct Damping {
    downs: Vec<Vec<Instant>>,
    up_since: Vec<Option<Instant>>,
}

impl Damping {
    pub(super) fn new(nodes: usize) -> Self {
        Self { downs: vec![Vec::new(); nodes], up_since: vec![None; nodes] }
    }

    pub(super) fn note(&mut self, now: Instant, event: &EventKind) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "the others do not turn a node")]
        match event {
            EventKind::NodeCameUp { node } => self.up_since[number(node)] = Some(now),
            EventKind::NodeBecameUnknown { node } => self.up_since[number(node)] = None,
            EventKind::NodeWentDown { node, .. } => {
                let was_up = self.up_since[number(node)].take();
                self.downs[number(node)].extend(was_up.map(|_| now));
            }
            _ => {}
        }
    }

    fn is_held_down(&self, node: usize, now: Instant) -> bool {
        let downs = self.downs[node].iter().filter(|down| now < **down + WINDOW).count();
        let Some(beyond) = downs.checked_sub(2).and_then(|beyond| u32::try_from(beyond).ok()) else { return false };
        let since = self.up_since[node].unwrap_or(now);
        now < since + HOLD_DOWN * 2_u32.saturating_pow(beyond)
    }
}

impl Judge {
    /// The address goes to a node that flaps only if no other may have it; for a failover, one whose answer is as fresh.
    pub(super) fn judge_damping(
        &mut self,
        scene: Scene<'_>,
        cause: Cause,
        from: Option<usize>,
        to: usize,
        since: Option<Instant>,
    ) {
        // Whom the hooks have allowed goes first, and what is known of several checks is not known here.
        let exempt = scene.shape.pre_move.is_some() || scene.shape.checks > 1;
        if exempt || !self.damping.is_held_down(to, scene.clock) {
            return;
        }
        let calm = (0..scene.shape.nodes).find(|node| {
            let line = &self.subject(*node)[0];
            let fresh = since.is_none_or(|since| {
                line.is_healthy_since(since) && !self.under_way.values().any(|(subject, _)| subject == node)
            });
            let may = !self.unready[*node] && !self.is_to_be_left(*node) && Some(*node) != from && *node != to;
            // Only the monitor knows whether what was seen has become void meanwhile.
            let said = self.damping.up_since[*node].is_some();
            may && fresh
                && said
                && line.is_up(scene.clock, &scene.shape.health)
                && !self.damping.is_held_down(*node, scene.clock)
        });
        if let Some(calm) = calm {
            self.breaks(|| {
                format!("a {cause:?} goes to node {to}, which flaps, although node {calm} is well and does not")
            });
        }
    }
}
