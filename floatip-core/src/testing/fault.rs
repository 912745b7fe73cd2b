//! What goes wrong with one call of a mover, and when.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, sleep_until, timeout};

use crate::mover::MoveError;

/// The kind of a mover's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// [`AddressMover::locate`](crate::AddressMover::locate).
    Locate,
    /// [`AddressMover::release`](crate::AddressMover::release).
    Release,
    /// [`AddressMover::claim`](crate::AddressMover::claim).
    Claim,
    /// [`AddressMover::ready`](crate::AddressMover::ready).
    Ready,
}

impl Call {
    /// The name that errors carry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Locate => "locate",
            Self::Release => "release",
            Self::Claim => "claim",
            Self::Ready => "ready",
        }
    }

    /// The error of a call that brought no reply: a request may have taken effect, a read has not.
    pub(super) fn unanswered(self, why: &'static str) -> MoveError {
        match self {
            Self::Locate | Self::Ready => MoveError::TimedOut { call: self.name(), source: why.into() },
            Self::Release | Self::Claim => MoveError::OutcomeUnknown {
                call: self.name(),
                resource: super::world::RESOURCE.into(),
                source: why.into(),
            },
        }
    }
}

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// [`MoveError::Throttled`] at once; nothing is sent.
    Throttled,
    /// [`MoveError::Denied`] at once; nothing is sent.
    Denied,
    /// [`MoveError::NotFound`] at once; nothing is sent.
    NotFound,
    /// [`MoveError::Conflict`] at once; nothing is sent.
    Conflict,
    /// [`MoveError::NotYet`] at once; nothing is sent.
    NotYet,
    /// [`MoveError::Impossible`] at once; nothing is sent.
    Impossible,
    /// [`MoveError::TimedOut`] once the call's timeout has passed; nothing is sent.
    TimedOut,
    /// The request is applied, its reply never comes: the call ends at its timeout with
    /// [`MoveError::OutcomeUnknown`] (a read with [`MoveError::TimedOut`]).
    ReplyLost,
    /// The request never arrives: the call ends as with [`ReplyLost`](Self::ReplyLost), but nothing was applied.
    RequestLost,
    /// An answer that does not tell, at once: the outcome is unknown, and nothing was applied.
    InternalError,
    /// The same answer, but the request was applied.
    AppliedInternalError,
    /// The call takes this much longer. Past the call's timeout it ends unsent, with its outcome unknown.
    Slow(Duration),
    /// The request is delayed on its way: the call ends as with [`ReplyLost`](Self::ReplyLost), and the request arrives
    /// so long after the call began, whatever has happened in between.
    Late(Duration),
    /// The call never ends, against its contract, and nothing is sent.
    Hang,
    /// The request is applied, and the call never ends, against its contract.
    HangApplied,
    /// The call panics, and nothing is sent.
    Panic,
}

impl Fault {
    /// Every fault, for sweeps; [`Slow`](Self::Slow) and [`Late`](Self::Late) by `delay`.
    pub fn all(delay: Duration) -> Vec<Self> {
        vec![
            Self::Throttled,
            Self::Denied,
            Self::NotFound,
            Self::Conflict,
            Self::NotYet,
            Self::Impossible,
            Self::TimedOut,
            Self::ReplyLost,
            Self::RequestLost,
            Self::InternalError,
            Self::AppliedInternalError,
            Self::Slow(delay),
            Self::Late(delay),
            Self::Hang,
            Self::HangApplied,
            Self::Panic,
        ]
    }
}

/// Which calls of one mover fail, and how. Cheap to clone; clones share one plan, so it can be changed while a monitor
/// drives the mover.
///
/// A fault for a given call goes before faults for the next calls, and those before a lasting one.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plans: Arc<Mutex<Plans>>,
}

#[derive(Debug, Default)]
struct Plans {
    of: BTreeMap<Call, Plan>,
    calls: usize,
    at: BTreeMap<usize, Fault>,
}

#[derive(Debug, Default)]
struct Plan {
    calls: usize,
    at: BTreeMap<usize, Fault>,
    next: Vec<(usize, Fault)>,
    always: Option<Fault>,
}

impl Faults {
    /// The next `count` calls of this kind fail, after those for which faults are waiting already.
    pub fn next(&self, call: Call, count: usize, fault: Fault) {
        self.plans().of.entry(call).or_default().next.push((count, fault));
    }

    /// The call with this index among its kind, from zero and counted from the mover's beginning, fails.
    pub fn at(&self, call: Call, index: usize, fault: Fault) {
        self.plans().of.entry(call).or_default().at.insert(index, fault);
    }

    /// The call with this index among all, of whatever kind, from zero and counted from the mover's beginning, fails.
    pub fn at_any(&self, index: usize, fault: Fault) {
        self.plans().at.insert(index, fault);
    }

    /// Every call of this kind fails until [`clear`](Self::clear).
    pub fn always(&self, call: Call, fault: Fault) {
        self.plans().of.entry(call).or_default().always = Some(fault);
    }

    /// Every call of any kind fails until [`clear`](Self::clear), as when the monitor is cut off.
    pub fn all_always(&self, fault: &Fault) {
        for call in [Call::Locate, Call::Release, Call::Claim, Call::Ready] {
            self.always(call, fault.clone());
        }
    }

    /// No more faults, on calls that have not started. The counts of calls go on.
    pub fn clear(&self) {
        let mut plans = self.plans();
        plans.at.clear();
        for plan in plans.of.values_mut() {
            *plan = Plan { calls: plan.calls, ..Plan::default() };
        }
    }

    /// How many calls of this kind have started.
    pub fn calls(&self, call: Call) -> usize {
        self.plans().of.get(&call).map_or(0, |plan| plan.calls)
    }

    /// How many calls of any kind have started.
    pub fn total(&self) -> usize {
        self.plans().calls
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, call: Call) -> Option<Fault> {
        let mut plans = self.plans();
        let total = plans.calls;
        plans.calls += 1;
        let fault_of_all = plans.at.remove(&total);
        let plan = plans.of.entry(call).or_default();
        let index = plan.calls;
        plan.calls += 1;
        plan.next.retain(|(count, _)| *count > 0);
        if fault_of_all.is_some() {
            return fault_of_all;
        }
        if let Some(fault) = plan.at.remove(&index) {
            return Some(fault);
        }
        if let Some((count, fault)) = plan.next.first_mut() {
            *count -= 1;
            return Some(fault.clone());
        }
        plan.always.clone()
    }

    /// Runs one call, `work`, as the plan says, and ends it at `limit` unless it is to hang.
    pub(super) async fn around<T: Send + 'static>(
        &self,
        call: Call,
        limit: Duration,
        work: impl Future<Output = Result<T, MoveError>> + Send + 'static,
    ) -> Result<T, MoveError> {
        let deadline = tokio::time::Instant::now() + limit;
        let resource = || super::world::RESOURCE.to_owned();
        let (call_name, source) = (call.name(), "injected");
        let Some(fault) = self.start(call) else {
            return bounded(call, limit, work).await;
        };
        Err(match fault {
            Fault::Throttled => MoveError::Throttled { call: call_name, source: source.into() },
            Fault::Denied => MoveError::Denied { call: call_name, resource: resource(), source: source.into() },
            Fault::NotFound => MoveError::NotFound { call: call_name, resource: resource(), source: source.into() },
            Fault::Conflict => MoveError::Conflict { call: call_name, resource: resource(), source: source.into() },
            Fault::NotYet => MoveError::NotYet { call: call_name, resource: resource(), source: source.into() },
            Fault::Impossible => MoveError::Impossible {
                call: call_name,
                resource: resource(),
                reason: source.to_owned(),
                source: source.into(),
            },
            Fault::TimedOut => {
                sleep_until(deadline).await;
                MoveError::TimedOut { call: call_name, source: source.into() }
            }
            Fault::ReplyLost => {
                drop(bounded(call, limit, work).await);
                sleep_until(deadline).await;
                call.unanswered("injected: the reply was lost")
            }
            Fault::RequestLost => {
                sleep_until(deadline).await;
                call.unanswered("injected: the request was lost")
            }
            Fault::InternalError => call.unanswered("injected: internal error"),
            Fault::AppliedInternalError => {
                drop(bounded(call, limit, work).await);
                call.unanswered("injected: internal error after the fact")
            }
            Fault::Slow(delay) => {
                let slowly = async {
                    sleep(delay).await;
                    work.await
                };
                return bounded(call, limit, slowly).await;
            }
            Fault::Late(delay) => {
                tokio::spawn(async move {
                    sleep(delay).await;
                    drop(work.await);
                });
                sleep_until(deadline).await;
                call.unanswered("injected: the request was delayed")
            }
            Fault::Hang => pending().await,
            Fault::HangApplied => {
                drop(bounded(call, limit, work).await);
                pending().await
            }
            Fault::Panic => panic!("injected: {call_name} panics"),
        })
    }
}

async fn bounded<T>(
    call: Call,
    limit: Duration,
    work: impl Future<Output = Result<T, MoveError>>,
) -> Result<T, MoveError> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(call.unanswered("no reply within the call's timeout")))
}
