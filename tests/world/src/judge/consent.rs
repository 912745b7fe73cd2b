//! Whether witnesses and hooks allow what a monitor does.

use std::time::{Duration, Instant};

use floatip_core::engine::CallId;
use floatip_core::{Cause, HookResult, Verdict};

use super::{Judge, Scene};
use crate::evidence::{Evidence, Seen};
use crate::plan::Shape;

/// For how long a consent is good.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// How much longer than the hooks' bound an answer is waited for.
const BACKSTOP: Duration = Duration::from_millis(250);

/// A question to the hooks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Consent {
    call: CallId,
    cause: Cause,
    /// Who held the address then.
    from: Option<usize>,
    to: usize,
    asked: Instant,
    /// When the monitor woke from its last standstill: only then can it notice a silence that lasted too long meanwhile.
    woke: Option<Instant>,
    /// What they said, and when.
    answer: Option<(HookResult, Instant)>,
}

impl Consent {
    pub(super) fn is_awaited_by_an_operator(&self) -> bool {
        self.cause == Cause::Switchover
    }
}

impl Judge {
    /// A verdict about a witness was given to the monitor.
    pub(crate) fn witness(&mut self, scene: Scene<'_>, witness: usize, started: Instant, verdict: &Verdict) {
        let seen = if verdict.is_healthy() { Seen::Healthy } else { Seen::Failed };
        let (health, subject) = (scene.shape.witness_health(), scene.shape.nodes + 1 + witness);
        self.witnesses[witness].note(scene.clock, started, seen, &health);
        let late =
            |(of, at): &(usize, Instant)| *of == subject && *at < started && scene.clock >= *at + health.fast_interval;
        let lost = seen == Seen::Healthy && self.under_way.values().any(late);
        let failing = self.witnesses.iter().enumerate().filter(|(n, line)| line.row() > 0 || lost && *n == witness);
        self.doubts |= self.witnesses.len() - failing.count() < scene.shape.quorum;
        let answers = |line: &&Evidence| line.row() == 0 && line.may_be_up(scene.clock, &health);
        // The engine takes itself for cut off before it says so, if it ever says so: no event tells when the failures of
        // that time are void. So they are forgiven only where one asks whether a node may be up or must be down; a failover
        // is held against what was seen in full.
        if self.doubts && self.witnesses.iter().filter(answers).count() >= scene.shape.quorum {
            (self.doubts, self.suspicion) = (false, false);
            self.evidence.iter_mut().flatten().for_each(|line| line.forgive(scene.clock));
        }
    }

    /// A move of this cause needs witnesses: of a failover, in probes begun no earlier than the holder's newest failure.
    pub(super) fn judge_witnesses(&mut self, scene: Scene<'_>, cause: Cause, since: Option<Instant>) {
        let health = scene.shape.witness_health();
        let answers = self.witnesses.iter().filter(|witness| match since {
            Some(since) => witness.is_healthy_since(since),
            None => witness.is_up(scene.clock, &health),
        });
        let (answering, quorum) = (answers.count(), scene.shape.quorum);
        if answering < quorum {
            self.breaks(|| format!("rule 5: a {cause:?} while {answering} witnesses answer, and {quorum} must"));
        }
    }

    /// The monitor asks the hooks about a move.
    pub(crate) fn ask_hooks(&mut self, scene: Scene<'_>, call: CallId, cause: Cause, to: usize) {
        if self.moving.is_some() {
            self.breaks(|| format!("the hooks are asked about a {cause:?} while a move is in flight"));
        }
        if let Some(before) = self.consent.filter(|before| self.would_do(scene, before, cause) && before.to != to) {
            self.breaks(|| {
                format!("the hooks have allowed a {cause:?} to node {}, and are asked about {to}", before.to)
            });
        }
        let (from, asked) = (self.holder, scene.clock);
        self.consent = Some(Consent { call, cause, from, to, asked, woke: None, answer: None });
    }

    /// True while the hooks are asked about a move that an operator wants.
    pub(crate) fn asks_for_an_operator(&self, clock: Instant, shape: &Shape) -> bool {
        let patience = shape.pre_move.unwrap_or_default() + BACKSTOP;
        let open = |consent: &Consent| consent.answer.is_none() && clock < consent.asked + patience;
        self.consent.as_ref().is_some_and(|consent| consent.is_awaited_by_an_operator() && open(consent))
    }

    /// The monitor goes on after a standstill.
    pub(crate) fn wake(&mut self, clock: Instant) {
        if let Some(consent) = &mut self.consent {
            consent.woke = Some(clock);
        }
    }

    /// True if the hooks have just allowed such a move, and nothing speaks against its target.
    fn would_do(&self, scene: Scene<'_>, before: &Consent, cause: Cause) -> bool {
        let health = &scene.shape.health;
        let allowed =
            before.answer.is_some_and(|(result, at)| result == HookResult::Done && scene.clock < at + GOOD_FOR);
        let since =
            self.holder.and_then(|holder| self.subject(holder).iter().filter_map(Evidence::newest_failure).max());
        // Where an isolation has ended since, the engine knows a node that was not up by nothing from before.
        let answers = |line: &Evidence| {
            line.is_up(scene.clock, health)
                && since.is_none_or(|since| line.is_healthy_since(since))
                && !line.is_forgiven_since(before.asked)
        };
        let awaited = self.under_way.values().any(|(subject, _)| *subject == before.to);
        allowed
            && matches!(cause, Cause::Failover | Cause::Rescue)
            && (before.cause, before.from) == (cause, self.holder)
            && self.subject(before.to).iter().all(answers)
            && !(awaited || self.unready[before.to] || self.is_to_be_left(before.to))
    }

    /// The hooks' answer was given to the monitor.
    pub(crate) fn hooks(&mut self, scene: Scene<'_>, call: CallId, result: HookResult) {
        if let Some(consent) = self.consent.as_mut().filter(|consent| consent.call == call) {
            consent.answer = Some((result, scene.clock));
        }
    }

    /// A move needs the hooks' consent; an unplanned one is held by their word alone, not by their silence.
    pub(super) fn judge_consent(&mut self, scene: Scene<'_>, cause: Cause, to: usize, forced: bool) {
        let Some(bound) = scene.shape.pre_move else { return };
        let Some(Consent { asked, woke, answer, .. }) =
            self.consent.take().filter(|consent| (consent.cause, consent.to) == (cause, to))
        else {
            return self.breaks(|| format!("a {cause:?} to node {to} starts, of which no hook was asked"));
        };
        let unplanned = matches!(cause, Cause::Failover | Cause::Rescue);
        let patience = bound + BACKSTOP;
        let (allowed, since) = match answer {
            Some((HookResult::Done, at)) => (true, at),
            // The engine has given up before this answer came.
            Some((_, at)) if at >= asked + patience => (unplanned || forced, at),
            Some((HookResult::Vetoed, at)) => (forced, at),
            Some((HookResult::Failed | HookResult::TimedOut, at)) => (unplanned || forced, at),
            None => {
                let given_up = asked + patience;
                (scene.clock >= given_up && (unplanned || forced), woke.map_or(given_up, |woke| woke.max(given_up)))
            }
        };
        if !allowed {
            self.breaks(|| format!("a {cause:?} to node {to} starts, which the hooks have not allowed: {answer:?}"));
        } else if scene.clock > since + GOOD_FOR {
            self.breaks(|| format!("a {cause:?} to node {to} starts by an old consent: {answer:?}"));
        }
    }
}
