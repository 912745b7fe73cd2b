//! Small sabotages of the engine, each of which breaks a rule: the world must catch every one.

/// One edit of one file of floatip-core, or two.
#[derive(Debug, Clone, Copy)]
pub struct Sabotage {
    /// What is wrong with the engine afterwards.
    pub what: &'static str,
    /// The file, below `floatip-core/src/engine`.
    pub file: &'static str,
    /// What is replaced; it stands there exactly once.
    pub find: &'static str,
    /// What it is replaced with.
    pub with: &'static str,
    /// A second such edit of the file, where one safeguard stands behind another.
    pub also: Option<(&'static str, &'static str)>,
}

impl Sabotage {
    /// The source with the edits made.
    ///
    /// # Errors
    /// If what is to be replaced does not stand there exactly once.
    pub fn applied_to(&self, source: &str) -> Result<String, String> {
        let edits = [(self.find, self.with)].into_iter().chain(self.also);
        edits.into_iter().try_fold(source.to_owned(), |source, (find, with)| match source.matches(find).count() {
            1 => Ok(source.replacen(find, with, 1)),
            count => Err(format!("{}: {}: {find:?} stands there {count} times", self.what, self.file)),
        })
    }

    const fn and(self, find: &'static str, with: &'static str) -> Self {
        Self { also: Some((find, with)), ..self }
    }
}

const fn sabotage(what: &'static str, file: &'static str, find: &'static str, with: &'static str) -> Sabotage {
    Sabotage { what, file, find, with, also: None }
}

/// All of them.
pub const SABOTAGES: &[Sabotage] = &[
    sabotage(
        "an error of the prober counts as a failure",
        "watch.rs",
        "line.track.end_without_verdict(id);",
        "line.track.end(id, started, &Verdict::unhealthy(crate::probe::Reason::Refused), false);",
    ),
    sabotage(
        "a node is down one failure too early",
        "track.rs",
        "if self.failures.len() >= self.settings.fall as usize {",
        "if self.failures.len() + 1 >= self.settings.fall as usize {",
    )
    .and(
        "let surplus = self.failures.len() - self.settings.fall as usize;",
        "let surplus = self.failures.len().saturating_sub(self.settings.fall as usize);",
    ),
    sabotage(
        "a healthy verdict cancels no earlier failures",
        "track.rs",
        "self.failures.retain(|failure| *failure > started);",
        "",
    ),
    sabotage(
        "a failure counts although a later probe was answered",
        "track.rs",
        "if self.newest_healthy.is_some_and(|healthy| healthy >= started) {\n            return;\n        }",
        "",
    )
    // Probes that a later answer has overtaken are dropped, so that nobody waits for their failures either.
    .and("burst_ends || start < started", "burst_ends"),
    sabotage(
        "verdicts never become too old",
        "track.rs",
        "self.expiry().is_some_and(|expiry| now > expiry)",
        "self.expiry().is_some_and(|expiry| now > expiry + std::time::Duration::from_secs(3600))",
    ),
    sabotage(
        "a suspect node is probed no faster",
        "track.rs",
        "self.next_on_grid(latest) } else { latest + self.settings.fast_interval }",
        "self.next_on_grid(latest) } else { latest + self.settings.interval }",
    ),
    sabotage(
        "a probe that hangs is waited for before the next",
        "track.rs",
        "Health::Healthy => self.failures.is_empty() && self.outstanding.is_empty(),",
        "Health::Healthy => self.failures.is_empty(),",
    ),
    sabotage(
        "a dead holder is probed on while evidence as fresh as its last failure is on its way",
        "watch.rs",
        "watched.health == Health::Unhealthy && in_step.any(",
        "false && in_step.any(",
    ),
    sabotage(
        "rule 1: an older answer of a candidate is good enough",
        "decision.rs",
        "match self.watch.evidence(Subject::Node(node), since) {",
        "match self.watch.evidence(Subject::Node(node), since - Duration::from_secs(5)) {",
    ),
    sabotage(
        "rule 3: an answer through the address is no veto",
        "decision.rs",
        "Evidence::Healthy => return self.set_hold(Hold::Serving),",
        "Evidence::Healthy => {}",
    ),
    sabotage(
        "rule 3: an answer through the address that is on its way is not waited for",
        "decision.rs",
        "Evidence::Pending => return,",
        "Evidence::Pending => {}",
    ),
    sabotage(
        "rule 4: one free reading is proof",
        "reader.rs",
        "self.free.is_some_and(|(first, newest)| newest >= first + AGREEMENT)",
        "self.free.is_some()",
    ),
    sabotage(
        "rule 4: a move claims after one free reading",
        "moving/mod.rs",
        "if moving.released || moving.committed || self.reader.agreed_free_by_active() {",
        "if true {",
    ),
    sabotage(
        "rule 4: a reading that shows a superseded token is believed",
        "reader.rs",
        "self.retired.iter().any(|(retired, at)| retired == token && now < *at + RETIREMENT)",
        "self.retired.iter().any(|(retired, at)| false && retired == token && now < *at + RETIREMENT)",
    ),
    sabotage(
        "rule 4: an address that hangs on its way is rescued at once",
        "decision.rs",
        "if since.is_some_and(|since| now >= since + self.settings.policy.release_timeout) {",
        "if since.is_some() {",
    ),
    sabotage(
        "rule 5: the monitor never suspects itself",
        "watch.rs",
        "if self.lacks_witness || all_fail || alone {",
        "if self.lacks_witness {",
    ),
    sabotage(
        "rule 5: failures from before another node answered still count",
        "watch.rs",
        "if Some(other) == holder || self.first_failure(other).is_some() {",
        "if Some(other) != holder && self.first_failure(other).is_some() {",
    ),
    sabotage(
        "rule 6: requests are sent without a lease",
        "mod.rs",
        "!self.settings.leased || self.lease_until.is_some_and(",
        "true || self.lease_until.is_some_and(",
    ),
    sabotage(
        "rule 6: a request is sent although the lease may end before its reply",
        "mod.rs",
        "until > now + call + LEASE_MARGIN",
        "until > now + (call + LEASE_MARGIN) * 0",
    ),
    sabotage(
        "rule 6: the lease ends later than it was granted",
        "mod.rs",
        "self.lease_until = Some(asked + grant.valid_for);",
        "self.lease_until = Some(asked + grant.valid_for * 2);",
    ),
    sabotage(
        "rule 6: an address that was assigned anew is taken again",
        "moving/mod.rs",
        "if anew && (moving.committed || moving.sent.is_some()) {",
        "if false && anew && (moving.committed || moving.sent.is_some()) {",
    ),
    sabotage(
        "rule 6: a reading from before the move counts",
        "decision.rs",
        "self.reader.abandon();\n        let base = self.reader.active();",
        "let base = self.reader.active();",
    ),
    sabotage(
        "rule 7: a holder that recovers does not cancel the move",
        "moving/mod.rs",
        "} else if holder == Some(Health::Healthy) {",
        "} else if holder == Some(Health::Healthy) && false {",
    ),
    sabotage(
        "rule 5: a move whose reasons have become void goes on",
        "moving/mod.rs",
        "} else if holder == Some(Health::Unknown) {",
        "} else if holder == Some(Health::Unknown) && false {",
    ),
    sabotage(
        "rule 7: there is no point of no return",
        "moving/ending.rs",
        "if !std::mem::replace(&mut moving.committed, true) {",
        "if !moving.committed {",
    ),
    sabotage(
        "rule 7: a move that is stuck is not tried again",
        "moving/ending.rs",
        "moving.retry_at = Some(now + wait);",
        "moving.retry_at = Some(now + wait * 10_000);",
    ),
    sabotage(
        "rule 7: a release that hangs is not forced",
        "moving/mod.rs",
        "if mode == ReleaseMode::Graceful && may && (down || forced) {",
        "if false && mode == ReleaseMode::Graceful && may && (down || forced) {",
    ),
    sabotage(
        "rule 7: a free address is forgotten",
        "decision.rs",
        "if self.reader.agreed_free() {\n                    self.rescue(now);",
        "if false && self.reader.agreed_free() {\n                    self.rescue(now);",
    ),
    sabotage(
        "rule 7: the address lands on its target although that has died",
        "moving/mod.rs",
        "if fit(moving.to) && (moving.forced || health == Health::Healthy) || claimed_before {",
        "if fit(moving.to) || claimed_before {",
    ),
    sabotage(
        "rule 7: the address lands on its target although nothing is known of that any more and another is well",
        "moving/mod.rs",
        "if fit(moving.to) && (moving.forced || health == Health::Healthy) || claimed_before {",
        "if fit(moving.to) && (moving.forced || health != Health::Unhealthy) || claimed_before {",
    ),
    sabotage(
        "rule 7: a node that was tried before is worse than one that is down",
        "moving/mod.rs",
        "let best = untried.or(target).or_else(|| self.first_healthy(now, &[])).or_else(|| {",
        "let best = untried.or(target).or_else(|| {",
    ),
    sabotage("rule 8: moves are not counted", "moving/ending.rs", "self.budget.spend(now);", ""),
    sabotage(
        "rule 8: the count of moves does not survive a restart",
        "mod.rs",
        "budget: Budget::from_ages(now, &remembered.move_ages),",
        "budget: Budget::default(),",
    ),
    sabotage(
        "rule 8: the cool-down is forgotten",
        "decision.rs",
        "cooled.max(healthy_since + after)",
        "cooled.min(healthy_since + after)",
    ),
    sabotage(
        "rule 9: a move is verified without an answer through the address",
        "moving/ending.rs",
        "if self.watch.evidence(Subject::Address, since) == Evidence::Healthy {",
        "if self.watch.evidence(Subject::Address, since) != Evidence::Failed {",
    ),
    sabotage(
        "rule 9: a failed verification goes back to where the address has been",
        "moving/ending.rs",
        "let except: Vec<_> = moving.tried.iter().copied().chain([moving.to]).collect();",
        "let except: Vec<_> = vec![moving.to];",
    ),
    sabotage(
        "rule 9: a failed verification goes on to a node of which nothing is known",
        "decision.rs",
        "self.watch.health(**node) == Health::Healthy && self.may_hold(**node)",
        "self.watch.health(**node) != Health::Unhealthy && self.may_hold(**node)",
    ),
    sabotage(
        "rule 10: readings during a move are rare",
        "mod.rs",
        "(waited / 25).clamp(Duration::from_millis(100), Duration::from_secs(1))",
        "(waited / 25).clamp(Duration::from_millis(1500), Duration::from_secs(2))",
    ),
    sabotage("verdicts from before a jump of the clock count", "mod.rs", "self.watch.void_all(now);", ""),
    sabotage(
        "the lease outlives a jump of the clock",
        "mod.rs",
        "self.lose_lease();\n        self.jumped = Some(now);",
        "self.jumped = Some(now);",
    ),
    sabotage(
        "a grant that was asked for before a jump of the clock is believed",
        "mod.rs",
        "Some(_) if self.jumped.is_some_and(|jumped| asked <= jumped) => {}",
        "",
    ),
    sabotage(
        "a pause is overlooked",
        "decision.rs",
        "let reason = if self.pause.is_some() {",
        "let reason = if self.pause.is_some() && false {",
    ),
    sabotage(
        "a pause does not survive a restart",
        "brakes.rs",
        "durable.paused.then(||",
        "(durable.paused && false).then(||",
    ),
    sabotage(
        "a pause does not cancel a move that has changed nothing",
        "brakes.rs",
        "self.cancel_voluntary(now, \"an operator paused it\");",
        "",
    ),
    sabotage(
        "a stopping monitor begins moves",
        "decision.rs",
        "if self.stopping || self.is_held(now, cause, from, to) {",
        "if self.is_held(now, cause, from, to) {",
    ),
    sabotage(
        "a move that fails is begun again at once",
        "decision.rs",
        "if held_off {\n            return self.keep_idle_wait();",
        "if false {\n            return self.keep_idle_wait();",
    ),
    sabotage(
        "a drained node is a candidate",
        "decision.rs",
        "self.impossible[node].is_none() && !self.is_to_be_left(node)",
        "self.impossible[node].is_none()",
    ),
    sabotage(
        "a node that is not ready is a candidate",
        "decision.rs",
        "self.impossible[node].is_none() && !self.is_to_be_left(node)",
        "!self.is_to_be_left(node)",
    ),
    sabotage(
        "a failback does not wait until the node has been well for long enough",
        "decision.rs",
        "Failback::After(after) => after,\n        };",
        "Failback::After(_) => Duration::ZERO,\n        };",
    ),
    sabotage(
        "a failback goes to a node that flaps",
        "decision.rs",
        "&& self.may_hold(*node)).find(calm)",
        "&& self.may_hold(*node)).find(|node| calm(node) || true)",
    ),
    sabotage(
        "a claim that is left unsettled is not repaired",
        "repair.rs",
        "if !due || self.moving.is_some()",
        "if true || !due || self.moving.is_some()",
    ),
    sabotage(
        "a request is sent while a repair is on the wire",
        "moving/request.rs",
        "if repairs || !self.may_request(now, mover) {",
        "if (repairs && false) || !self.may_request(now, mover) {",
    ),
    sabotage(
        "an operator who waits for a move that is stuck is not answered",
        "moving/ending.rs",
        "let (id, asked_by) = (moving.id, moving.asked_by.take());",
        "let (id, asked_by) = (moving.id, moving.asked_by.take().filter(|_| false));",
    ),
    sabotage(
        "rule 1: a candidate that leaves newer probes unanswered is good enough",
        "decision.rs",
        "Evidence::Healthy if healthy && !self.watch.is_overdue(node, now) => return",
        "Evidence::Healthy if healthy => return",
    ),
    sabotage(
        "rule 3: an address that arrives after its claim was given up is taken from a healthy node",
        "moving/mod.rs",
        "self.late == Some(node) && (well || self.forced)",
        "false && self.late == Some(node) && (well || self.forced)",
    ),
    sabotage(
        "rule 9: a move is verified while the newest reading shows the address elsewhere",
        "moving/ending.rs",
        "if moving.doubt.is_some() {",
        "if false && moving.doubt.is_some() {",
    ),
    sabotage(
        "a probe that is held back keeps all others waiting",
        "watch.rs",
        "times.filter(|time| *time > now).min()",
        "times.min().filter(|time| *time > now)",
    ),
    sabotage(
        "a dead holder is not probed until nothing is under way, and what tells against it becomes too old",
        "watch.rs",
        "in_step.any(|line| line.track.outstanding_in_step(newest))",
        "in_step.any(|line| line.track.outstanding_since(newest))",
    ),
    sabotage(
        "rule 5: a failover needs no witnesses",
        "decision.rs",
        "match self.witnesses.testimony(now, Some(since)) {",
        "match if self.stopping { self.witnesses.testimony(now, Some(since)) } else { Testimony::Enough } {",
    ),
    sabotage(
        "rule 5: any other move needs no witnesses",
        "decision.rs",
        "match self.witnesses.testimony(now, None) {",
        "match if self.stopping { self.witnesses.testimony(now, None) } else { Testimony::Enough } {",
    ),
    sabotage(
        "rule 5: an older answer of a witness is good enough",
        "decision.rs",
        "match self.witnesses.testimony(now, Some(since)) {",
        "match self.witnesses.testimony(now, Some(since - Duration::from_secs(5))) {",
    ),
    sabotage(
        "rule 5: answers of a witness that overtake one another are taken for a cut",
        "track.rs",
        "*began < start && now >= *began + self.settings.fast_interval",
        "*began < start && now >= *began",
    ),
    sabotage(
        "a hook's veto is overheard",
        "permission.rs",
        "HookResult::Vetoed => permission.forced,",
        "HookResult::Vetoed => true,",
    ),
    sabotage(
        "a hook that fails lets planned moves go on",
        "permission.rs",
        "HookResult::Failed | HookResult::TimedOut => unplanned || permission.forced,",
        "HookResult::Failed | HookResult::TimedOut => true,",
    ),
    sabotage(
        "a hook that fails holds a failover",
        "permission.rs",
        "HookResult::Failed | HookResult::TimedOut => unplanned || permission.forced,",
        "HookResult::Failed | HookResult::TimedOut => permission.forced,",
    ),
    sabotage(
        "a hook that never answers is waited for",
        "permission.rs",
        "Some(call) => self.end_permission(now, call, HookResult::TimedOut, None),",
        "Some(_) => {}",
    ),
    sabotage(
        "a hook is not asked",
        "decision.rs",
        "!self.is_idle(now, cause, from, to) || !self.is_permitted(now, cause, from, to)",
        "!self.is_idle(now, cause, from, to) || self.stopping && !self.is_permitted(now, cause, from, to)",
    ),
    sabotage(
        "a hook is asked once more when a better node comes up",
        "decision.rs",
        "(allowed != Some(*node), self.watch",
        "(allowed.is_none(), self.watch",
    ),
    sabotage(
        "the veto of a planned move delays a failover",
        "decision.rs",
        "self.hold_off_from.is_none_or(|held| held == cause)",
        "self.hold_off_from.is_none_or(|held| held == cause || held != cause)",
    ),
    sabotage(
        "an address is claimed anew within the cool-down",
        "reclaim.rs",
        "now >= end + policy.cooldown",
        "now >= end",
    ),
    sabotage(
        "an address is claimed anew again and again",
        "reclaim.rs",
        "AddressUnreachable::Reclaim => self.reclaimed != Some(holder),",
        "AddressUnreachable::Reclaim => true,",
    ),
    sabotage(
        "an address is claimed anew with the last move that may be",
        "reclaim.rs",
        "spent.saturating_add(1) >= self.settings",
        "spent >= self.settings",
    ),
    sabotage("an address is claimed anew that has never answered", "reclaim.rs", "&& self.watch.served()", ""),
    sabotage(
        "rule 3: a reclaim that does not help goes on to another node",
        "moving/ending.rs",
        "requires && !forced && !reclaims",
        "requires && !forced",
    ),
    sabotage(
        "rule 4: the parts of a split address are gathered after one reading",
        "repair.rs",
        "self.pause.is_none() && self.reader.agreed_split();",
        "self.pause.is_none();",
    ),
    sabotage(
        "parts are gathered for a holder that is not well",
        "repair.rs",
        "own && well && self.pause",
        "own && (well || !well) && self.pause",
    ),
    sabotage("parts are gathered although it is paused", "repair.rs", "well && self.pause.is_none() &&", "well &&"),
    sabotage(
        "parts are never gathered",
        "repair.rs",
        "may.then(|| (self.id(seat), seen.clone()))",
        "may.then(|| (self.id(seat), seen.clone())).filter(|_| false)",
    ),
    sabotage(
        "a move of which a part is refused never lands",
        "moving/split.rs",
        "if refused.is_some() || late {",
        "if false && (refused.is_some() || late) {",
    ),
    sabotage(
        "an answer through a split address keeps it on a dead node",
        "decision.rs",
        "if split || !self.watch.verifies() {",
        "if !self.watch.verifies() {",
    ),
    sabotage(
        "no other mover takes over from one that hangs",
        "moving/fallback.rs",
        "if moving.chain_spent {",
        "if true || moving.chain_spent {",
    ),
    sabotage(
        "a mover that takes over takes from every stranger",
        "moving/fallback.rs",
        "self.from_stranger || others && self.carrier.get_or_insert_with(|| token.clone()) == token",
        "self.from_stranger || others",
    ),
    sabotage(
        "nobody finds out by which mover the address is held",
        "readers.rs",
        "if holds(&self.of[self.active]) {",
        "if true || holds(&self.of[self.active]) {",
    ),
    sabotage(
        "a planned move does not wait until its node is idle",
        "idle.rs",
        "if evidence == Evidence::Healthy {",
        "if true || evidence == Evidence::Healthy {",
    ),
    sabotage(
        "a planned move waits for as long as its node is in use",
        "idle.rs",
        "} else if waited >= bound {",
        "} else if false && waited >= bound {",
    ),
    sabotage(
        "a failover waits until the dead holder is idle",
        "idle.rs",
        "self.watch.tells_idle(*from) && self.watch.health(*from) != Health::Unhealthy;",
        "self.watch.tells_idle(*from);",
    ),
    sabotage(
        "a planned move gives up its wait too early",
        "idle.rs",
        "let waited = now.saturating_duration_since(wait.since);",
        "let waited = now.saturating_duration_since(wait.since) * 3;",
    ),
    sabotage(
        "a node that is maintained is a candidate",
        "decision.rs",
        "self.drained[node] || self.watch.maintenance(node).is_some()",
        "self.drained[node]",
    ),
    sabotage(
        "the address stays on a holder that is maintained",
        "decision.rs",
        "if self.is_to_be_left(holder) {",
        "if self.drained[holder] {",
    ),
    sabotage(
        "rule 5: where there are witnesses the monitor never suspects itself",
        "watch.rs",
        "if self.lacks_witness || all_fail || alone {",
        "if self.lacks_witness || (all_fail || alone) && !self.witnessed {",
    ),
    sabotage(
        "an address that was moved from outside is moved back after one reading",
        "drift.rs",
        "(away == holder && agreed && cooled && well)",
        "(away == holder && (agreed || !agreed) && cooled && well)",
    ),
    sabotage(
        "rule 8: an address that was moved from outside is moved back within the cool-down",
        "drift.rs",
        "(away == holder && agreed && cooled && well)",
        "(away == holder && agreed && (cooled || !cooled) && well)",
    ),
    sabotage(
        "an address that was taken from a node that is not well is moved back",
        "drift.rs",
        "policy::Drift::Restore => both_well,",
        "policy::Drift::Restore => true,",
    ),
    sabotage(
        "rule 3: an address that was moved from outside is moved back although nobody wants that",
        "drift.rs",
        "policy::Drift::Adopt => false,",
        "policy::Drift::Adopt => both_well,",
    ),
    sabotage(
        "a node that flaps is a candidate like any other",
        "watch.rs",
        "policy).is_some_and(|until| now < until)",
        "policy).is_some_and(|until| now < until && false)",
    ),
    sabotage(
        "rule 8: a freeze ends with the window of the moves that have brought it",
        "decision.rs",
        "} else if self.frozen {",
        "} else if self.frozen && false {",
    ),
    sabotage("rule 8: a freeze does not survive a restart", "mod.rs", "frozen: remembered.frozen,", "frozen: false,"),
    sabotage(
        "an acknowledgement does not end a freeze",
        "brakes.rs",
        "Command::Acknowledge => {\n                self.unfreeze();",
        "Command::Acknowledge => {\n                self.budget.clear();",
    ),
    sabotage(
        "rule 3: an address that was given anew to whom it had left is taken once more",
        "moving/mod.rs",
        "moving.source_token.as_ref().filter(|_| accepted) {\n                self.reader.retire(token, now);",
        "moving.source_token.take_if(|_| accepted) {\n                self.reader.retire(&token, now);",
    ),
    sabotage(
        "rule 3: an address that was given anew to a node whose claim was given up is taken from there",
        "moving/ending.rs",
        "(Some(node), Some(token), Some(node))",
        "(Some(node), Some(token).filter(|_| false), Some(node))",
    ),
];
