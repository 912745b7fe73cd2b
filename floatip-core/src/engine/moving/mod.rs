//! One move: request, observe, request, observe, until the placement reads as wanted and the service answers.
//!
//! A move is a reconciler. Each reading is compared with what is wanted, and brings at most one request; a lost reply,
//! a half-done move and a fresh start are the same case.

mod ending;
mod fallback;
mod leaving;
mod request;
mod split;

use std::time::{Duration, Instant};

use super::reader::AGREEMENT;
use super::{CallId, CommandId, Engine, Knowledge, backoff, cadence};
use crate::event::{Cause, EventKind, MoveId, Step, StepRecord};
use crate::mover::{Placement, ReleaseMode, Token};
use crate::policy::Policy;
use crate::status::Health;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Release(ReleaseMode),
    Claim,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// No reply yet.
    OnTheWire(CallId),
    /// Accepted then; not done before a reading shows it.
    Accepted(Instant),
    /// It may or may not have taken effect.
    Unknown(Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The address is being brought to the target.
    Placing,
    /// It is there since then, and the service is to answer through it.
    Verifying(Instant),
}

/// What has become of a claim that was given up while the address was on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hung {
    /// If the address arrives, it has landed.
    Coming,
    /// A release was accepted: if the address arrives before it has been free, it is on its way from there.
    Leaving,
}

/// How a move ends without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// There was no longer a reason for it.
    Cancelled,
    /// It failed: the next one waits a little.
    Failed,
}

#[derive(Debug)]
pub(super) struct Move {
    pub(super) id: MoveId,
    pub(super) cause: Cause,
    pub(super) from: Option<usize>,
    pub(super) to: usize,
    pub(super) mover: usize,
    /// The mover by which the address was held when the move began.
    pub(super) base: usize,
    /// Every other mover has been tried, in this round.
    chain_spent: bool,
    /// The address was not a stranger's when it was read by the base mover: where another finds it on a stranger, that is
    /// what the base mover moves.
    ours: bool,
    /// The stranger on which the present mover found it then.
    carrier: Option<Token>,
    /// The address was a stranger's when the move began, and may be taken from there.
    from_stranger: bool,
    /// The address is still to leave the node that shall get it back.
    renewing: bool,
    /// An operator insists on the target.
    pub(super) forced: bool,
    pub(super) asked_by: Option<CommandId>,
    started: Instant,
    step_started: Instant,
    steps: Vec<StepRecord>,
    phase: Phase,
    /// A reading during verification has shown the address elsewhere: when the next one shall tell whether that was stale.
    doubt: Option<Instant>,
    /// The newest request.
    sent: Option<(Request, Outcome)>,
    /// A claim was the newest, also where it was refused and is to be sent again.
    claims: bool,
    /// The outcome of a request of this move was unknown.
    acted: bool,
    /// Past the point of no return.
    committed: bool,
    /// A release of this move may have taken effect: one reading of "free" is enough.
    released: bool,
    /// The node that the address is to be taken from.
    source: Option<usize>,
    /// By which assignment that node has it, or had it before it was free.
    source_token: Option<Token>,
    /// The same as the base mover saw it, while another one moves.
    base_token: Option<Token>,
    /// The source is a node for which a claim was given up while the address was on its way there.
    hung: Option<Hung>,
    /// Since when this release has been forced.
    forced_since: Option<Instant>,
    /// Nodes that it was claimed for.
    tried: Vec<usize>,
    /// Nodes that had parts of the address when the move began.
    had_parts: Vec<usize>,
    /// The target has a part of the address, and the rest was refused for good.
    refused: Option<String>,
    /// What became of the rest, when the target last took only a part.
    partly: Option<String>,
    /// Requests in a row that failed.
    attempts: u32,
    /// Since when the present release or claim has been waited for.
    wait_from: Instant,
    /// What the poll cadence counts from.
    poll_from: Instant,
    next_read: Instant,
    throttled: u32,
    /// No request is repeated before.
    retry_at: Option<Instant>,
    stuck: Option<String>,
    stuck_rounds: u32,
    cancelled: Option<&'static str>,
    token: Option<Token>,
}

impl Move {
    pub(super) fn new(id: MoveId, cause: Cause, from: Option<usize>, to: usize, now: Instant, base: usize) -> Self {
        Self {
            id,
            cause,
            from,
            to,
            mover: base,
            base,
            chain_spent: false,
            ours: false,
            carrier: None,
            from_stranger: false,
            renewing: false,
            forced: false,
            asked_by: None,
            started: now,
            step_started: now,
            steps: Vec::new(),
            phase: Phase::Placing,
            doubt: None,
            sent: None,
            claims: false,
            acted: false,
            committed: false,
            released: false,
            source: from,
            source_token: None,
            base_token: None,
            hung: None,
            forced_since: None,
            tried: Vec::new(),
            had_parts: Vec::new(),
            refused: None,
            partly: None,
            attempts: 0,
            wait_from: now,
            poll_from: now,
            next_read: now,
            throttled: 0,
            retry_at: None,
            stuck: None,
            stuck_rounds: 0,
            cancelled: None,
            token: None,
        }
    }

    pub(super) fn stuck(&self) -> Option<&str> {
        self.stuck.as_deref()
    }

    /// The address is being brought to the target.
    pub(super) fn is_placing(&self) -> bool {
        self.phase == Phase::Placing
    }

    fn is_on_the_wire(&self) -> bool {
        matches!(self.sent, Some((_, Outcome::OnTheWire(_))))
    }

    /// True if something of it may show in what is read.
    fn may_have_changed(&self) -> bool {
        self.committed || self.acted || self.sent.is_some()
    }

    /// Sets the time of the next look, after one that was asked for at `asked` was answered.
    pub(super) fn note_reading(&mut self, now: Instant, asked: Instant, throttled: bool, rng: &mut fastrand::Rng) {
        self.throttled = if throttled { self.throttled + 1 } else { 0 };
        self.next_read = if throttled {
            now + backoff(self.throttled, Duration::from_millis(400), Duration::from_secs(5), rng)
        } else {
            now.max(asked + cadence(now.saturating_duration_since(self.poll_from)))
        };
    }

    /// When the placement is to be read next.
    pub(super) fn next_read(&self, sweep: Instant) -> Option<Instant> {
        match self.phase {
            _ if self.is_on_the_wire() => None,
            Phase::Placing => Some(self.next_read),
            Phase::Verifying(_) => Some(self.doubt.map_or(sweep, |due| due.min(sweep))),
        }
    }

    /// When it wants to be looked at, apart from readings and replies.
    pub(super) fn next(&self, policy: &Policy) -> Option<Instant> {
        match self.phase {
            Phase::Verifying(since) => Some(since + policy.verify_timeout),
            Phase::Placing => Some(self.wait_from + self.patience(policy)),
        }
    }

    /// How long the present wait may take.
    fn patience(&self, policy: &Policy) -> Duration {
        match self.sent {
            None if self.claims => policy.claim_timeout,
            None | Some((Request::Release(ReleaseMode::Graceful), _)) => policy.release_timeout,
            Some((Request::Release(ReleaseMode::Forced), _)) => policy.forced_release_timeout,
            Some((Request::Claim, _)) => policy.claim_timeout,
        }
    }

    fn is_out_of_patience(&self, now: Instant, policy: &Policy) -> bool {
        now >= self.wait_from + self.patience(policy)
    }

    fn finish_step(&mut self, now: Instant, step: Step) -> EventKind {
        let duration = now.saturating_duration_since(self.step_started);
        self.step_started = now;
        self.steps.push(StepRecord::new(step, duration));
        EventKind::StepFinished { id: self.id, step, duration }
    }

    /// The address is to be taken from the node that gets it back, as long as that has it by this assignment.
    pub(super) fn renew(&mut self, token: Option<Token>) {
        self.renewing = true;
        self.source_token = token;
    }

    /// True if the address is still on the node from which a reclaim takes it, to give it back. Once it has been assigned
    /// anew, by whomever, there is nothing left to take.
    fn is_to_renew(&self, node: usize, token: &Token) -> bool {
        let anew = matches!(&self.source_token, Some(old @ Token::Generation(_)) if old != token);
        self.renewing && self.source == Some(node) && self.to == node && !anew
    }

    /// True if the address has arrived on a node for which its claim was given up: that is a holder like any other, and
    /// is not robbed (rule 3) unless it has died meanwhile.
    fn is_late_arrival(&self, node: usize, well: bool) -> bool {
        self.source == Some(node) && self.hung == Some(Hung::Coming) && (well || self.forced)
    }

    /// True if the newest step that was finished is `step`.
    fn last_step_is(&self, step: Step) -> bool {
        self.steps.last().is_some_and(|record| record.step == step)
    }
}

impl Engine {
    /// Looks after the move in flight: what does not wait for a reading or a reply.
    pub(super) fn drive(&mut self, now: Instant) {
        let Some(moving) = &self.moving else { return };
        if moving.is_on_the_wire() {
            return;
        }
        if self.settings.leased && self.lease_until.is_none() {
            let error = "the lease was lost; whoever holds it goes on".to_owned();
            return self.fail(now, Ending::Failed, error);
        }
        if !moving.committed && moving.phase == Phase::Placing && !self.may_go_on(now) {
            return;
        }
        let Some(moving) = &self.moving else { return };
        match moving.phase {
            Phase::Verifying(since) => self.drive_verification(now, since),
            Phase::Placing => {
                let unreadable = matches!(self.reader.knowledge(), Knowledge::Unknown { .. });
                if unreadable && moving.stuck.is_none() && moving.is_out_of_patience(now, &self.settings.policy) {
                    self.give_up(now, "the provider could not be read".to_owned());
                }
            }
        }
    }

    /// Whether a move that has changed nothing yet still has its reason. Ends it if not.
    fn may_go_on(&mut self, now: Instant) -> bool {
        let Some(moving) = &self.moving else { return false };
        if let Some((_, Outcome::Unknown(at))) = moving.sent
            && self.reader.answered().is_none_or(|answered| answered <= at)
        {
            return true;
        }
        let holder = moving.from.filter(|_| moving.cause == Cause::Failover).map(|from| self.watch.health(from));
        let unfit = self.watch.health(moving.to) == Health::Unhealthy || self.impossible[moving.to].is_some();
        let void = || self.reclaim_is_void(moving.to).filter(|_| moving.cause == Cause::Reclaim);
        if let Some(why) = moving.cancelled.or_else(void) {
            self.fail(now, Ending::Cancelled, why.to_owned());
        } else if holder == Some(Health::Healthy) {
            self.fail(now, Ending::Cancelled, "cancelled: the holder recovered".to_owned());
        } else if holder == Some(Health::Unknown) {
            self.fail(now, Ending::Cancelled, "cancelled: what told against the holder no longer counts".to_owned());
        } else if !self.may_request(now, moving.mover) {
            self.fail(now, Ending::Failed, "this monitor no longer holds the lease".to_owned());
        } else if unfit && !moving.forced {
            let except: Vec<_> = moving.tried.iter().copied().chain(moving.from).chain([moving.to]).collect();
            match self.first_healthy(now, &except) {
                Some(next) => {
                    self.retarget(now, next, "the target is no longer fit to receive the address");
                    return true;
                }
                None => self.fail(now, Ending::Failed, "the target is no longer fit to receive the address".to_owned()),
            }
        } else {
            return true;
        }
        false
    }

    /// Compares the newest reading with what is wanted.
    pub(super) fn advance_move(&mut self, now: Instant) {
        let Some(moving) = &self.moving else { return };
        if moving.is_on_the_wire() {
            return;
        }
        let mover = moving.mover;
        if !moving.committed && moving.phase == Phase::Placing && !self.may_go_on(now) {
            return;
        }
        let Some(seen) = self.reader.placement().cloned() else { return };
        let Some(moving) = self.moving.as_mut().filter(|moving| moving.mover == mover) else { return };
        moving.ours |= moving.mover == moving.base && !matches!(seen, Placement::Stranger { .. });
        if let Phase::Verifying(since) = moving.phase {
            return self.keep_verifying(now, since, &seen);
        }
        match &seen {
            Placement::Held { node, token, .. } => {
                let Some(node) = self.settings.nodes.iter().position(|known| known.id == *node) else { return };
                if moving.cause == Cause::Switchover && moving.source.is_none() && !moving.may_have_changed() {
                    moving.source = Some(node);
                    moving.from = Some(node);
                }
                if moving.is_to_renew(node, token) {
                    moving.source_token = Some(token.clone());
                    return self.take_away(now, seen);
                }
                let well = self.watch.health(node) != Health::Unhealthy;
                let arrived = moving.tried.contains(&node) && moving.source != Some(node);
                if node == moving.to || arrived || moving.is_late_arrival(node, well) {
                    let token = token.clone();
                    self.land(now, node, token);
                } else if moving.source == Some(node) {
                    let anew = matches!(&moving.source_token, Some(Token::Generation(id)) if **id != *token.as_str());
                    if anew && moving.may_have_changed() {
                        if let Some(old) = &moving.source_token {
                            self.reader.retire(old, now);
                        }
                        let error = format!("lost a race: the address was assigned anew to {}", self.id(node));
                        return self.fail(now, Ending::Failed, error);
                    }
                    moving.source_token = Some(token.clone());
                    self.take_away(now, seen);
                } else {
                    let error = format!("lost a race: the address is on {} now", self.id(node));
                    self.fail(now, Ending::Failed, error);
                }
            }
            Placement::Transition { to: Some(to), token, .. } => {
                let to = self.settings.nodes.iter().position(|known| known.id == *to);
                if let Some(old) = moving.source_token.as_ref().filter(|old| *old != token && to == Some(moving.to)) {
                    self.reader.retire(old, now);
                }
                if to.is_some() && to == moving.source && to != Some(moving.to) {
                    self.take_away(now, seen);
                } else if moving.is_out_of_patience(now, &self.settings.policy) {
                    let hanging = to.map(|to| (to, token.clone()));
                    self.next_target(now, "the claim did not end in time", hanging);
                }
            }
            Placement::Transition { to: None, .. } => self.await_released(now, seen),
            Placement::Free => {
                // The other movers are not read meanwhile, and free means that nobody has it by any mechanism.
                if moving.released || moving.committed || self.reader.agreed_free_by_active() {
                    self.put(now, seen);
                } else if let Some(due) = self.reader.agreement_due() {
                    moving.next_read = due;
                }
            }
            Placement::Split { .. } => self.gather(now, seen),
            Placement::Stranger { token, .. } if moving.may_take_from(token) => self.take_away(now, seen),
            Placement::Stranger { description, .. } => {
                let error = format!("lost a race: the address is on {description}, which is no node");
                self.fail(now, Ending::Failed, error);
            }
        }
    }

    /// The address is on the target, and verification decides; a reading ends the move only if it shows beyond doubt
    /// that somebody else has taken the address away since.
    fn keep_verifying(&mut self, now: Instant, since: Instant, seen: &Placement) {
        let Some(moving) = &self.moving else { return };
        let taken = match seen {
            Placement::Held { node, .. } => self.index(node) != Some(moving.to),
            Placement::Stranger { .. } => true,
            Placement::Free => self.reader.agreed_free(),
            Placement::Split { parts, .. } => !self.has_part(parts, moving.to),
            Placement::Transition { .. } => false,
        };
        if taken && now >= since + AGREEMENT {
            return self.fail(now, Ending::Failed, format!("lost a race: the address is {seen} now"));
        }
        let there = match seen {
            Placement::Split { parts, .. } => self.has_part(parts, moving.to),
            Placement::Held { .. } | Placement::Transition { .. } | Placement::Free | Placement::Stranger { .. } => {
                seen.holder().and_then(|node| self.index(node)) == Some(moving.to)
            }
        };
        let Some(moving) = &mut self.moving else { return };
        if !there {
            moving.doubt = Some((now + Duration::from_millis(100)).max(since + AGREEMENT));
        } else if moving.doubt.is_some() {
            // What answered meanwhile may have been another node.
            moving.token = seen.token().cloned();
            self.begin_verification(now);
        }
    }

    /// Nobody holds the address (or the mover overwrites): it goes to the target, or to whom it can.
    fn put(&mut self, now: Instant, seen: Placement) {
        let Some(moving) = &mut self.moving else { return };
        let overwrites = seen != Placement::Free;
        moving.renewing &= overwrites;
        if !overwrites && moving.hung.take().is_some() {
            // It has never been there: whoever holds it there from now on was given it by somebody else.
            moving.source = None;
        }
        if !overwrites && matches!(moving.sent, Some((Request::Release(_), _))) {
            let accepted = matches!(moving.sent, Some((_, Outcome::Accepted(_))));
            moving.sent = None;
            moving.forced_since = None;
            moving.wait_from = now;
            let events = if moving.last_step_is(Step::Release) {
                vec![moving.finish_step(now, Step::AwaitReleased)]
            } else {
                vec![moving.finish_step(now, Step::Release), moving.finish_step(now, Step::AwaitReleased)]
            };
            // The token is kept: whoever holds the address there by another was given it anew.
            if let Some(token) = moving.source_token.as_ref().filter(|_| accepted) {
                self.reader.retire(token, now);
            }
            self.events.extend(events);
            self.commit(now);
        }
        let Some(moving) = &mut self.moving else { return };
        if moving.sent.is_some() || moving.attempts > 0 {
            let split = matches!(seen, Placement::Split { .. });
            let accepted = matches!(moving.sent, Some((Request::Claim, Outcome::Accepted(_))));
            if moving.is_out_of_patience(now, &self.settings.policy) && (accepted || moving.stuck.is_none()) {
                return self.next_target(now, "the claim did not take effect in time", None);
            }
            if accepted && !split {
                return;
            }
        } else if moving.stuck.is_none() {
            moving.wait_from = now;
        }
        if !self.choose_landing(now) {
            return;
        }
        self.send(now, Request::Claim, seen);
    }

    /// Makes sure that the target can still receive the address, or takes another: a healthy node that this move has not
    /// tried, else the target while it is not known to be down, else one that was tried and is healthy, else the node that
    /// was healthy last (rule 7). False if there is none, or none that the present mover could give it to.
    fn choose_landing(&mut self, now: Instant) -> bool {
        let Some(moving) = &self.moving else { return false };
        let unable = self.unable();
        let fit = |node: usize| !unable.contains(&node) && !moving.tried.contains(&node);
        let claimed_before = matches!(moving.sent, Some((Request::Claim, _)));
        let health = self.watch.health(moving.to);
        if fit(moving.to) && (moving.forced || health == Health::Healthy) || claimed_before {
            return true;
        }
        let untried = self.first_healthy(now, &[&moving.tried[..], &unable].concat());
        let target = Some(moving.to).filter(|to| fit(*to) && health == Health::Unknown);
        let best = untried.or(target).or_else(|| self.first_healthy(now, &unable)).or_else(|| {
            let nodes = (0..self.settings.nodes.len()).filter(|node| fit(*node) && moving.committed);
            nodes.max_by_key(|node| (self.watch.last_healthy(*node), std::cmp::Reverse(*node)))
        });
        match best {
            Some(node) if node == moving.to => true,
            Some(node) => {
                let mover = moving.mover;
                self.retarget(now, node, "the target is no longer fit to receive the address");
                // Another mover asks by what it has read itself.
                self.moving.as_ref().is_some_and(|moving| moving.mover == mover)
            }
            None => {
                self.give_up(now, "no node can receive the address".to_owned());
                false
            }
        }
    }
}
