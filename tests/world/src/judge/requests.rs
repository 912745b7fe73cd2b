//! Whether a request may be sent.

use std::time::Duration;

use floatip_core::engine::CallId;
use floatip_core::{Cause, Part, Placement, Token};

use crate::evidence::Evidence;
use crate::provider::{CARRIER, FIRST};

use super::{Judge, Readings, Scene, Taken, number};

/// For how long a superseded token makes a reading stale.
const RETIREMENT: Duration = Duration::from_secs(59);

impl Judge {
    /// A release or a claim leaves the monitor.
    fn send(&mut self, now: Duration, call: CallId, mover: usize, what: &str, seen: &Placement) {
        self.await_no_reading();
        if self.on_the_wire.replace(call).is_some() {
            self.breaks(|| format!("{what} while another request is on the wire"));
        }
        if self.readings[mover].newest.as_ref() != Some(seen) {
            let newest = self.readings[mover].newest.clone();
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
    fn take(&mut self, scene: Scene<'_>, what: &str, taking: Taken) {
        let holder = taking.node;
        let Some(moving) = &mut self.moving else {
            return self.breaks(|| format!("{what} takes the address from node {holder} without a move"));
        };
        let again = |taken: &Taken| (taken.mover, taken.node) == (taking.mover, holder) && taken.token != taking.token;
        let token = taking.token.clone();
        let again = matches!(taking.token, Token::Generation(_)) && moving.taken.iter().any(again);
        moving.taking = Some(taking);
        let rescues = moving.cause == Cause::Rescue && !moving.acted;
        let dead = self.subject(holder).iter().any(|line| line.is_down(scene.clock, &scene.shape.health));
        if again {
            self.breaks(|| format!("{what} grabs the address again, which was assigned anew to node {holder}"));
        }
        if rescues && !dead {
            self.breaks(|| format!("rule 3: a rescue takes the address from node {holder}"));
        }
        if !scene.shape.chain {
            self.rob(scene, what, holder, &token);
        }
        self.still_has_reason(scene, what, holder);
    }

    /// A move that has changed nothing yet must still have its reason.
    fn still_has_reason(&mut self, scene: Scene<'_>, what: &str, holder: usize) {
        let Some(moving) = self.moving.as_ref().filter(|moving| !moving.acted) else { return };
        let (cause, forced) = (moving.cause, moving.forced);
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

    /// Rule 3 holds within a move, too: it takes the address from whom it was to take it, and on from where the service
    /// did not answer; a healthy node on which it has arrived otherwise is a holder like any other.
    fn rob(&mut self, scene: Scene<'_>, what: &str, holder: usize, token: &Token) {
        let Some(moving) = &mut self.moving else { return };
        if moving.cause == Cause::Switchover && !moving.acted {
            moving.from = moving.from.or(Some(holder));
        }
        let is_from = moving.from == Some(holder);
        let anew = is_from
            && moving.given.get_or_insert_with(|| token.clone()) != token
            && matches!(token, Token::Generation(_));
        // Without tokens and without a lease nobody can tell what another monitor has put there meanwhile.
        let untold = matches!(token, Token::Snapshot(_)) && !scene.shape.one_mover();
        let may = moving.forced || is_from && !anew || moving.unverified.contains(&holder) || untold;
        let cause = moving.cause;
        if !may && self.subject(holder).iter().all(|line| line.is_up(scene.clock, &scene.shape.health)) {
            self.breaks(|| {
                format!("rule 3: {what} of a {cause:?} takes the address from node {holder}, which is well")
            });
        }
    }

    /// The parts of a split address are brought together, while nothing moves.
    fn gather(&mut self, scene: Scene<'_>, mover: usize, to: usize, parts: &[Part]) {
        if !Readings::agree(self.readings[mover].split) {
            self.breaks(|| "rule 4: parts are gathered after a single reading that it is split".into());
        }
        if !parts.iter().any(|part| part.node.as_ref().map(number) == Some(to)) {
            self.breaks(|| format!("parts are gathered for node {to}, which has none"));
        }
        if self.is_paused(scene.now) {
            self.breaks(|| "parts are gathered although it is paused".into());
        }
        if !self.subject(to).iter().all(|line| line.may_be_up(scene.clock, &scene.shape.health)) {
            self.breaks(|| format!("parts are gathered for node {to}, which is not known to be well"));
        }
    }

    pub(crate) fn release(&mut self, scene: Scene<'_>, call: CallId, seen: &Placement) {
        self.send(scene.now, call, FIRST, "a release", seen);
        if Self::takes_over(scene.shape.strategy) && matches!(seen, Placement::Held { .. }) {
            self.breaks(|| "an overwriting mover is asked to release".into());
        }
        match seen {
            Placement::Held { node, token, .. } => {
                self.take(scene, "a release", Taken { mover: FIRST, node: number(node), token: token.clone() });
            }
            Placement::Transition { .. } if self.moving.is_some() => {}
            Placement::Transition { .. } | Placement::Free | Placement::Stranger { .. } | Placement::Split { .. } => {
                self.breaks(|| format!("a release of {seen:?}"));
            }
        }
    }

    pub(crate) fn claim(&mut self, scene: Scene<'_>, call: CallId, mover: usize, to: usize, seen: &Placement) {
        let unsettled = matches!(seen, Placement::Held { node, settled: false, .. } if number(node) == to);
        let under_way: Vec<_> = self.readings.iter().map(|readings| readings.awaited).collect();
        self.send(scene.now, call, mover, "a claim", seen);
        if self.moving.is_none() && (unsettled || matches!(seen, Placement::Split { .. })) {
            // What finishes a claim moves nothing: a read under way still tells where the address is, until its reply.
            self.readings.iter_mut().zip(under_way).for_each(|(readings, awaited)| readings.awaited = awaited);
            self.repairing = Some(call);
            if let Placement::Split { parts, .. } = seen {
                self.gather(scene, mover, to, parts);
            }
            return;
        }
        let from = self.moving.as_ref().and_then(|moving| moving.from);
        match seen {
            Placement::Held { node, token, .. } if !unsettled => {
                if mover == FIRST && !Self::takes_over(scene.shape.strategy) {
                    self.breaks(|| format!("a claim for node {to} of what node {node} holds"));
                }
                self.take(scene, "a claim", Taken { mover, node: number(node), token: token.clone() });
            }
            Placement::Free => {
                let agreed = Readings::agree(self.readings[mover].free);
                if !agreed && !self.moving.as_ref().is_some_and(|moving| moving.acted || moving.leaving) {
                    self.breaks(|| "rule 4: a claim after a single reading that it is free".into());
                }
            }
            // The second mover takes it from what the first one moves, but not from anybody else.
            Placement::Stranger { description, .. } => {
                if mover == FIRST || description != CARRIER {
                    self.breaks(|| "a claim of what a stranger holds".into());
                }
                from.into_iter().for_each(|from| self.still_has_reason(scene, "a claim", from));
            }
            Placement::Split { .. } => {
                from.into_iter().for_each(|from| self.still_has_reason(scene, "a claim", from));
            }
            Placement::Held { .. } | Placement::Transition { .. } => {}
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
            *node != to && Some(*node) != from && is_up(*node) && !self.unready[*node] && !self.is_to_be_left(*node)
        });
        if let (true, false, true, Some(other)) = (first, forced, is_down(to), other) {
            self.breaks(|| {
                format!("rule 7: the address goes to node {to}, which is down, although node {other} is up")
            });
        }
    }
}
