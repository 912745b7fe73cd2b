//! Keeps the calls of a process within what EC2 allows an account, so that EC2 need not refuse any.

mod bucket;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use floatip_core::Urgency;
use tokio::time::sleep_until;

use crate::metrics::CallMetrics;
use bucket::Bucket;

/// How long a call waits for its turn before it is handed back.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Why a call is not sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The bucket is empty until then.
    Until(Instant),
    /// EC2 has throttled this action lately, and is left alone until then.
    Throttled(Instant),
}

impl Hold {
    pub(crate) fn ends(self) -> Instant {
        match self {
            Self::Until(at) | Self::Throttled(at) => at,
        }
    }
}

/// What this process takes of the account's token buckets, one an action.
///
/// Moves take whatever there is, all else leaves half of each bucket to them.
///
/// A lock, not an owner task: nothing awaits under it, and a turn costs no way through another task.
#[derive(Debug)]
pub(crate) struct Limiter {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    buckets: BTreeMap<&'static str, (Bucket, CallMetrics)>,
    rng: fastrand::Rng,
}

impl State {
    fn of(&mut self, call: &'static str, now: Instant) -> (&mut Bucket, &mut CallMetrics, &mut fastrand::Rng) {
        let (bucket, metrics) =
            self.buckets.entry(call).or_insert_with(|| (Bucket::of(call, now), CallMetrics::new(call)));
        (bucket, metrics, &mut self.rng)
    }
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { buckets: BTreeMap::new(), rng: fastrand::Rng::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a token for a read, or says when there may be one.
    pub(crate) fn take(&self, now: Instant, call: &'static str, urgency: Urgency) -> Result<(), Hold> {
        let mut state = self.state();
        let (bucket, metrics, _) = state.of(call, now);
        bucket.take(now, urgency)?;
        metrics.sent += 1;
        Ok(())
    }

    /// Whether less than half of the bucket is left.
    pub(crate) fn is_low(&self, now: Instant, call: &'static str) -> bool {
        self.state().of(call, now).0.is_low(now)
    }

    /// Waits for the turn of requests about `resource` that are sent together, or says that it would take too long: then the turn is kept for
    /// when it is asked for again, in the order in which they were asked for first.
    pub(crate) async fn turn(
        &self,
        call: &'static str,
        resource: &str,
        requests: u32,
        urgency: Urgency,
    ) -> Result<(), Hold> {
        if requests == 0 {
            return Ok(());
        }
        let now = now();
        let slot = {
            let mut state = self.state();
            let (bucket, metrics, _) = state.of(call, now);
            let slot = bucket.request(now, resource, requests, urgency).inspect_err(|_| metrics.held_back += 1)?;
            metrics.sent += u64::from(requests);
            metrics.waited += slot.saturating_duration_since(now);
            slot
        };
        if slot > now {
            sleep_until(slot.into()).await;
        }
        Ok(())
    }

    /// Waits for a token for a read that is not shared, as [`turn`](Self::turn) does for a request.
    pub(crate) async fn turn_to_read(&self, call: &'static str, urgency: Urgency) -> Result<(), Hold> {
        let asked = now();
        let mut at = asked;
        while let Err(hold) = self.take(at, call, urgency) {
            if hold.ends() > asked + PATIENCE {
                self.held_back(call, 1);
                return Err(hold);
            }
            sleep_until(hold.ends().into()).await;
            at = now();
        }
        self.waited(call, at.saturating_duration_since(asked));
        Ok(())
    }

    /// Learns from the answer of a call whether EC2 thinks that it was one too many.
    pub(crate) fn answered(&self, call: &'static str, throttled: bool) {
        let now = now();
        let mut state = self.state();
        let (bucket, metrics, rng) = state.of(call, now);
        if throttled {
            metrics.throttled += 1;
            bucket.throttled(now, rng);
        } else {
            bucket.admitted();
        }
    }

    /// Counts reads that were answered by another's call.
    pub(crate) fn joined(&self, call: &'static str, reads: u64) {
        self.state().of(call, now()).1.joined += reads;
    }

    /// Counts calls that were handed back.
    pub(crate) fn held_back(&self, call: &'static str, calls: u64) {
        self.state().of(call, now()).1.held_back += calls;
    }

    /// Counts time that a call has waited for a token.
    pub(crate) fn waited(&self, call: &'static str, time: Duration) {
        self.state().of(call, now()).1.waited += time;
    }

    pub(crate) fn metrics(&self) -> Vec<CallMetrics> {
        self.state().buckets.values().map(|(_, metrics)| metrics.clone()).collect()
    }
}

/// Tokio's clock, so that tests can pause it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DETACH: &str = "DetachNetworkInterface";

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_a_little_for_its_turn_and_is_handed_back_where_that_takes_longer() {
        let limiter = Limiter::new();
        for n in 0..45 {
            limiter.turn(DETACH, &format!("eni-{n}"), 1, Urgency::Move).await.unwrap();
        }
        let begun = now();
        limiter.turn(DETACH, "eni-45", 1, Urgency::Move).await.unwrap();
        assert_eq!(now() - begun, Duration::from_millis(200));
        for n in 46..50 {
            limiter.state().of(DETACH, now()).0.request(now(), &format!("eni-{n}"), 1, Urgency::Move).ok();
        }
        assert_eq!(
            limiter.turn(DETACH, "eni-50", 1, Urgency::Move).await,
            Err(Hold::Until(now() + Duration::from_millis(700)))
        );
        let metrics = &limiter.metrics()[0];
        assert_eq!((metrics.sent, metrics.held_back, metrics.waited), (46, 1, Duration::from_millis(200)));
    }
}
