use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::action::Action;
use super::cloud::{Cloud, now};
use super::world::World;

/// One way in which the API or the cloud behind it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers RequestLimitExceeded (HTTP 503). Nothing is applied.
    Throttled,
    /// Answers UnauthorizedOperation (HTTP 403), to a dry run too. Nothing is applied.
    Denied,
    /// Answers InternalError (HTTP 500). Nothing is applied.
    InternalError,
    /// Applies the request and answers InternalError (HTTP 500) all the same.
    AppliedThenInternalError,
    /// Cuts the connection before the request is applied.
    RequestLost,
    /// Applies the request and cuts the connection instead of answering.
    ReplyLost,
    /// Never answers and never applies the request; the connection stays open.
    Hang,
    /// Applies the request and never answers; the connection stays open.
    AppliedThenHang,
    /// Takes this long: half of it before the request is applied, half of it before the answer leaves. The request is
    /// applied even if the client has hung up by then. Several of them add up.
    Latency(Duration),
    /// Describes answer from the world as it was this long ago, but not longer ago than the fault was set.
    StaleBy(Duration),
    /// Describes answer from the world as it was when the fault was set.
    Frozen,
    /// AttachNetworkInterface: answers that the device index is taken. Nothing is applied.
    DeviceIndexTaken,
    /// AttachNetworkInterface: is accepted and stays `attaching`.
    StuckAttach,
    /// DetachNetworkInterface: is accepted and stays `detaching` until it is forced.
    StuckDetach,
    /// DetachNetworkInterface: is accepted and stays `detaching`, even if it is forced.
    StuckForcedDetach,
}

/// The calls that a fault strikes. Dry runs are struck by faults of every call, and by [`Fault::Denied`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Calls of this action.
    Only(Action),
    /// Every call that only reads.
    Describes,
    /// Every call that changes something.
    Mutations,
    /// Every call.
    Every,
}

impl From<Action> for Scope {
    fn from(action: Action) -> Self {
        Self::Only(action)
    }
}

impl Scope {
    fn contains(self, action: Action) -> bool {
        match self {
            Self::Only(only) => only == action,
            Self::Describes => action.is_describe(),
            Self::Mutations => !action.is_describe(),
            Self::Every => true,
        }
    }
}

/// Which of the calls in its [`Scope`] a fault strikes, counted from when it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The next so many calls.
    Next(u32),
    /// One call: 1 is the next one, 2 the one after it.
    Number(u32),
    /// All calls until the fault is cleared.
    Always,
}

#[derive(Debug)]
struct Rule {
    scope: Scope,
    fault: Fault,
    when: When,
    seen: u32,
    frozen: Option<Arc<World>>,
}

#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    rules: Mutex<Vec<Rule>>,
}

/// Sets and clears the faults of a running simulator. Cheap to clone.
#[derive(Clone)]
pub struct Faults {
    pub(super) cloud: Arc<Cloud>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&self.cloud.faults).finish()
    }
}

impl Faults {
    /// Adds a fault. Several may strike one call; of those that prevent an answer, the earliest stage counts.
    pub fn set(&self, scope: impl Into<Scope>, fault: Fault, when: When) {
        let frozen = match fault {
            Fault::Frozen => Some(Arc::new(self.cloud.world())),
            Fault::StaleBy(age) => {
                self.cloud.keep_history(age);
                None
            }
            Fault::Throttled
            | Fault::Denied
            | Fault::InternalError
            | Fault::AppliedThenInternalError
            | Fault::RequestLost
            | Fault::ReplyLost
            | Fault::Hang
            | Fault::AppliedThenHang
            | Fault::Latency(_)
            | Fault::DeviceIndexTaken
            | Fault::StuckAttach
            | Fault::StuckDetach
            | Fault::StuckForcedDetach => None,
        };
        self.cloud.faults.rules().push(Rule { scope: scope.into(), fault, when, seen: 0, frozen });
    }

    /// From now on DescribeInstances and DescribeInstanceStatus answer Unavailable (HTTP 503) if an instance of this zone
    /// is among those that are asked for, until the faults are cleared: as it can be while a zone is disrupted.
    pub fn zone_goes_dark(&self, zone: &str) {
        self.cloud.apply(|world, _| world.dark_zones.insert(zone.to_owned()));
    }

    /// From now on CreateRoute, ReplaceRoute and DeleteRoute of this table answer UnauthorizedOperation (HTTP 403), to a
    /// dry run too, until the faults are cleared: as where a policy names some tables and not others.
    pub fn deny_route_table(&self, table: &str) {
        self.cloud.apply(|world, _| world.denied_tables.insert(table.to_owned()));
    }

    /// From now on every action has the token bucket that EC2 documents for it, full at first; who finds it empty is
    /// answered RequestLimitExceeded (HTTP 503), and nothing is applied, until the faults are cleared. Dry runs count too.
    pub fn token_buckets(&self) {
        self.cloud.buckets.switch(true);
    }

    /// Takes so many tokens of an action, or as many as there are, as somebody else in the account would. Of a describe
    /// it is the bucket of those that are filtered or paginated.
    pub fn spend_tokens(&self, action: Action, tokens: u32) {
        self.cloud.buckets.spend(action, tokens, now());
    }

    /// From now on nothing answers, until the faults are cleared: the same as [`Fault::Hang`] on every call. Connections
    /// are still accepted.
    pub fn black_hole(&self) {
        self.set(Scope::Every, Fault::Hang, When::Always);
    }

    /// Clears every fault. What has happened stays: a detach that is stuck remains stuck (see
    /// [`Console::complete`](super::Console::complete)), a call that hangs remains unanswered.
    pub fn clear(&self) {
        self.cloud.faults.rules().clear();
        self.cloud.buckets.switch(false);
        self.cloud.forget_history();
        self.cloud.apply(|world, _| {
            world.dark_zones.clear();
            world.denied_tables.clear();
        });
    }

    /// Clears the faults that were set with this scope.
    pub fn clear_scope(&self, scope: impl Into<Scope>) {
        let scope = scope.into();
        self.cloud.faults.rules().retain(|rule| rule.scope != scope);
    }
}

/// What the faults make of one call.
#[derive(Debug, Default)]
pub(super) struct Strike {
    pub(super) latency: Duration,
    pub(super) faults: Vec<Fault>,
    pub(super) frozen: Option<Arc<World>>,
    pub(super) stale_by: Option<Duration>,
}

impl Strike {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

impl FaultPlan {
    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of `action` and says what strikes it. A dry run changes nothing, and so is spared the faults of its
    /// action, but not a refusal.
    pub(super) fn strike(&self, action: Action, dry_run: bool) -> Strike {
        let mut strike = Strike::default();
        let mut rules = self.rules();
        let concerns = |rule: &Rule| match rule.scope {
            Scope::Only(_) | Scope::Mutations if dry_run && !action.is_describe() => {
                rule.fault == Fault::Denied && rule.scope.contains(action)
            }
            Scope::Only(_) | Scope::Mutations | Scope::Describes | Scope::Every => rule.scope.contains(action),
        };
        for rule in rules.iter_mut().filter(|rule| concerns(rule)) {
            rule.seen = rule.seen.saturating_add(1);
            let strikes = match rule.when {
                When::Next(count) => rule.seen <= count,
                When::Number(number) => rule.seen == number,
                When::Always => true,
            };
            if !strikes {
                continue;
            }
            strike.faults.push(rule.fault);
            strike.frozen = strike.frozen.take().or_else(|| rule.frozen.clone());
            if let Fault::Latency(latency) = rule.fault {
                strike.latency += latency;
            }
            if let Fault::StaleBy(age) = rule.fault {
                strike.stale_by = strike.stale_by.max(Some(age));
            }
        }
        rules.retain(|rule| match rule.when {
            When::Next(last) | When::Number(last) => rule.seen < last,
            When::Always => true,
        });
        strike
    }
}
