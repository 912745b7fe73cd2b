//! Whether a request may be sent.

use std::time::Duration;

use floatip_core::engine::CallId;
use floatip_core::{Cause, Placement, Token};

use crate::evidence::Evidence;

use super::{AGREEMENT, Judge, Scene, number};

/// For how long a superseded token makes a reading stale.
const RETIREMENT: Duration = Duration::from_secs(59);

impl Judge {
    /// A release or a claim leaves the monitor.
    fn send(&mut self, now: Duration, call: CallId, what: &str, seen: &Placement) {
        self.reads = None;
        if self.on_the_wire.replace(call).is_some() {
            self.breaks(|| format!("{what} while another request is on the wire"));
        }
        if self.reading.as_ref() != Some(seen) {
            let newest = self.reading.clone();
            self.breaks(|| format!("rule 6: {what} with {seen:?}, but what was read last is {newest:?}"));
        }
        let lately = |at: Duration| now < at + RETIREMENT;
        let stale = |token: &Token| self.superseded.iter().any(|(old, at)| old == token && lately(*at));
        if let Some(token @ Token::Generation(_)) = seen.token()
            && stale(token)
        {
            self.breaks(|| format!("rule 6: {what} relies on {token}, which this monitor has superseded itself"));
        }
    }

    /// A move that takes the address from somebody must still have its reason.
    fn take(&mut self, scene: Scene<'_>, what: &str, holder: usize, token: &Token) {
        let Some(moving) = &mut self.moving else {
            return self.breaks(|| format!("{what} takes the address from node {holder} without a move"));
        };
        moving.taking = Some((holder, token.clone()));
        let again = |(node, taken): &(usize, Token)| *node == holder && taken != token;
        if matches!(token, Token::Generation(_)) && moving.taken.iter().any(again) {
            self.breaks(|| format!("{what} grabs the address again, which was assigned anew to node {holder}"));
        }
        let Some(moving) = &self.moving else { return };
        if moving.acted {
            return;
        }
        let (cause, forced) = (moving.cause, moving.forced);
        if cause == Cause::Rescue {
            self.breaks(|| format!("rule 3: a rescue takes the address from node {holder}"));
        }
        if self.is_paused(scene.now) && !forced {
            self.breaks(|| format!("{what} of a {cause:?} although it is paused"));
        }
        let health = &scene.shape.health;
        if cause == Cause::Failover && self.subject(holder).iter().all(|line| line.is_up(scene.clock, health)) {
            self.breaks(|| format!("rule 7: {what} of a failover from node {holder}, which has recovered"));
        }
        if cause == Cause::Failover && self.subject(holder).iter().all(Evidence::is_void) {
            self.breaks(|| format!("rule 5: {what} of a failover from node {holder}, against which nothing counts"));
        }
    }

    pub(crate) fn release(&mut self, scene: Scene<'_>, call: CallId, seen: &Placement) {
        self.send(scene.now, call, "a release", seen);
        if Self::takes_over(scene.shape.strategy) && matches!(seen, Placement::Held { .. }) {
            self.breaks(|| "an overwriting mover is asked to release".into());
        }
        match seen {
            Placement::Held { node, token, .. } => self.take(scene, "a release", number(node), token),
            Placement::Transition { .. } if self.moving.is_some() => {}
            Placement::Transition { .. } | Placement::Free | Placement::Stranger { .. } | Placement::Split { .. } => {
                self.breaks(|| format!("a release of {seen:?}"));
            }
        }
    }

    pub(crate) fn claim(&mut self, scene: Scene<'_>, call: CallId, to: usize, seen: &Placement) {
        let repairs = matches!(seen, Placement::Held { node, settled: false, .. } if number(node) == to);
        let under_way = self.reads;
        self.send(scene.now, call, "a claim", seen);
        if repairs && self.moving.is_none() {
            // What finishes a claim moves nothing: a read under way still tells where the address is, until its reply.
            self.reads = under_way;
            self.repairing = Some(call);
            return;
        }
        match seen {
            Placement::Held { node, token, .. } if !repairs => {
                if !Self::takes_over(scene.shape.strategy) {
                    self.breaks(|| format!("a claim for node {to} of what node {node} holds"));
                }
                self.take(scene, "a claim", number(node), token);
            }
            Placement::Free => {
                let agreed = self.free.is_some_and(|(first, newest)| newest >= first + AGREEMENT);
                if !agreed && !self.moving.as_ref().is_some_and(|moving| moving.acted || moving.leaving) {
                    self.breaks(|| "rule 4: a claim after a single reading that it is free".into());
                }
            }
            Placement::Stranger { .. } => self.breaks(|| "a claim of what a stranger holds".into()),
            Placement::Held { .. } | Placement::Transition { .. } | Placement::Split { .. } => {}
        }
        let health = &scene.shape.health;
        let Some(moving) = &self.moving else {
            return self.breaks(|| format!("a claim for node {to} without a move"));
        };
        if moving.to != to {
            let wanted = moving.to;
            self.breaks(|| format!("a claim for node {to} by a move to node {wanted}"));
        }
        let Some(moving) = &mut self.moving else { return };
        let first = !std::mem::replace(&mut moving.claimed, true);
        moving.claim = Some(call);
        let (forced, from) = (moving.forced, moving.from);
        let is_down = |node: usize| self.subject(node).iter().any(|line| line.is_down(scene.clock, health));
        let is_up = |node: usize| self.subject(node).iter().all(|line| line.is_up(scene.clock, health));
        let other = (0..scene.shape.nodes).find(|node| {
            *node != to && Some(*node) != from && is_up(*node) && !self.unready[*node] && !self.brakes.drained[*node]
        });
        if let (true, false, true, Some(other)) = (first, forced, is_down(to), other) {
            self.breaks(|| {
                format!("rule 7: the address goes to node {to}, which is down, although node {other} is up")
            });
        }
    }
}
