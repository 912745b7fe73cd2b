//! One of EC2's token buckets, as far as one process can know it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use floatip_core::Urgency;

use super::{Hold, PATIENCE};

/// For how long a turn is kept for a request that does not come back for it.
const GRACE: Duration = Duration::from_secs(2);

/// How much before its turn a request that was handed back is to be asked for again: there is a reading to be made first.
const HEAD_START: Duration = Duration::from_millis(300);

/// The bounds of the pause after one throttling answer and after many.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// The size of a bucket and how fast it fills.
///
/// A tenth of the documented size is left alone: a call that is on its way for longer than the one after it arrives
/// early, by EC2's clock.
///
/// # Source
/// Amazon EC2 developer guide, "Request throttling for the Amazon EC2 API", request token bucket sizes and refill rates:
/// filtered or paginated describes 100 and 20 a second; mutating actions 50 and 5; AssignPrivateIpAddresses,
/// UnassignPrivateIpAddresses and ModifyNetworkInterfaceAttribute 100 and 5.
fn allowance(call: &str) -> (u32, Duration) {
    match call {
        "AssignPrivateIpAddresses" | "UnassignPrivateIpAddresses" | "ModifyNetworkInterfaceAttribute" => {
            (90, Duration::from_millis(200))
        }
        describe if describe.starts_with("Describe") => (90, Duration::from_millis(50)),
        _ => (45, Duration::from_millis(200)),
    }
}

#[derive(Debug)]
pub(super) struct Bucket {
    size: u32,
    /// The time that one token takes to come.
    refill: Duration,
    /// When it will be full, if nothing more is taken.
    full_at: Instant,
    /// The turns that are kept, by the resource that the request is about.
    kept: BTreeMap<String, (Instant, u32)>,
    /// Throttling answers in a row.
    throttled: u32,
    pause: Option<Instant>,
}

impl Bucket {
    /// A full one: what others have taken shows by EC2's answers only.
    pub(super) fn of(call: &str, now: Instant) -> Self {
        let (size, refill) = allowance(call);
        Self { size, refill, full_at: now, kept: BTreeMap::new(), throttled: 0, pause: None }
    }

    /// When a token can be taken so that at least `left` of them remain.
    fn slot(&self, now: Instant, left: u32) -> Instant {
        let spent = self.full_at.max(now) + self.refill * (1 + left);
        now + spent.saturating_duration_since(now + self.refill * self.size)
    }

    fn left_for_moves(&self, urgency: Urgency) -> u32 {
        match urgency {
            Urgency::Move => 0,
            Urgency::Routine => self.size / 2,
        }
    }

    pub(super) fn is_low(&self, now: Instant) -> bool {
        self.slot(now, self.size / 2) > now
    }

    /// Takes a token, if one is there.
    pub(super) fn take(&mut self, now: Instant, urgency: Urgency) -> Result<(), Hold> {
        self.forget_kept(now);
        self.check_pause(now)?;
        match self.slot(now, self.left_for_moves(urgency)) {
            slot if slot > now => Err(Hold::Until(slot)),
            _ => {
                self.full_at = self.full_at.max(now) + self.refill;
                Ok(())
            }
        }
    }

    /// Takes the next so many tokens that come, and says when that is; or keeps them, if that is too far off.
    pub(super) fn request(
        &mut self,
        now: Instant,
        resource: &str,
        tokens: u32,
        urgency: Urgency,
    ) -> Result<Instant, Hold> {
        self.forget_kept(now);
        let rested = self.pause.map_or(now, |until| until.max(now));
        if rested > now + PATIENCE {
            return Err(Hold::Throttled(rested));
        }
        let (tokens, kept) = (tokens.min(self.size), self.kept.get(resource));
        let slot = match kept {
            Some((slot, _)) => (*slot).max(now),
            None => {
                let slot = self.slot(now, tokens - 1 + self.left_for_moves(urgency));
                // What is routine has no place in the queue: it comes again when there is enough.
                if urgency == Urgency::Routine && slot.max(rested) > now {
                    return Err(Hold::Until(slot.max(rested)));
                }
                self.full_at = self.full_at.max(now) + self.refill * tokens;
                slot
            }
        };
        let slot = slot.max(rested);
        if slot <= now + PATIENCE {
            self.kept.remove(resource);
            return Ok(slot);
        }
        self.kept.insert(resource.to_owned(), (slot, tokens));
        Err(Hold::Until(slot - HEAD_START))
    }

    /// EC2 says that the bucket is empty: somebody else takes from it too.
    pub(super) fn throttled(&mut self, now: Instant, rng: &mut fastrand::Rng) {
        let (first, most) = PAUSES;
        let bound = first.saturating_mul(2_u32.saturating_pow(self.throttled.min(16))).min(most);
        self.throttled = self.throttled.saturating_add(1);
        self.full_at = self.full_at.max(now + self.refill * self.size);
        self.pause = Some(now + bound.mul_f64(rng.f64())).max(self.pause);
    }

    pub(super) fn admitted(&mut self) {
        self.throttled = 0;
    }

    fn check_pause(&mut self, now: Instant) -> Result<(), Hold> {
        match self.pause {
            Some(until) if until > now => Err(Hold::Throttled(until)),
            Some(_) | None => {
                self.pause = None;
                Ok(())
            }
        }
    }

    /// The tokens of turns that nobody came for are there again.
    fn forget_kept(&mut self, now: Instant) {
        let forgotten = self.kept.extract_if(.., |_, (slot, _)| *slot + GRACE <= now);
        let tokens: u32 = forgotten.map(|(_, (_, tokens))| tokens).sum();
        self.full_at = self.full_at.checked_sub(self.refill * tokens).unwrap_or(self.full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const S: Duration = Duration::from_secs(1);

    fn bucket(call: &str) -> (Bucket, Instant) {
        let now = Instant::now();
        (Bucket::of(call, now), now)
    }

    /// How many tokens can be taken at once.
    fn drain(bucket: &mut Bucket, now: Instant, urgency: Urgency) -> u32 {
        (0..).take_while(|_| bucket.take(now, urgency).is_ok()).count() as u32
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_what_comes_in() {
        let (mut bucket, now) = bucket("DescribeNetworkInterfaces");
        assert_eq!(drain(&mut bucket, now, Urgency::Move), 90);
        assert_eq!(bucket.take(now, Urgency::Move), Err(Hold::Until(now + 50 * MS)));
        assert_eq!(drain(&mut bucket, now + S, Urgency::Move), 20);
        assert_eq!(drain(&mut bucket, now + 3600 * S, Urgency::Move), 90, "it holds no more");
    }

    #[test]
    fn each_action_has_what_is_documented_for_it_less_a_tenth() {
        for (call, burst, per_second) in [
            ("DescribeRouteTables", 90, 20),
            ("AttachNetworkInterface", 45, 5),
            ("ReplaceRoute", 45, 5),
            ("AssignPrivateIpAddresses", 90, 5),
            ("ModifyNetworkInterfaceAttribute", 90, 5),
        ] {
            let (mut bucket, now) = bucket(call);
            assert_eq!(drain(&mut bucket, now, Urgency::Move), burst, "{call}");
            assert_eq!(drain(&mut bucket, now + S, Urgency::Move), per_second, "{call}");
        }
    }

    #[test]
    fn sweeps_leave_half_of_the_bucket_to_moves() {
        let (mut bucket, now) = bucket("DescribeAddresses");
        assert_eq!(drain(&mut bucket, now, Urgency::Routine), 45);
        assert!(bucket.is_low(now));
        assert_eq!(drain(&mut bucket, now, Urgency::Move), 45);
    }

    #[test]
    fn a_turn_that_is_far_off_is_kept_in_the_order_of_asking() {
        let (mut bucket, now) = bucket("DetachNetworkInterface");
        drain(&mut bucket, now, Urgency::Move);
        let turns: Vec<_> = ["a", "b", "c", "d"].map(|it| bucket.request(now, it, 1, Urgency::Move)).into();
        let hold = |slot| Err(Hold::Until(now + slot - HEAD_START));
        assert_eq!(turns, [Ok(now + 200 * MS), Ok(now + 400 * MS), hold(600 * MS), hold(800 * MS)]);
        let later = now + 500 * MS;
        assert_eq!(bucket.request(later, "late", 1, Urgency::Move), Ok(now + S), "behind those that have a turn");
        assert_eq!(bucket.request(later, "d", 1, Urgency::Move), Ok(now + 800 * MS));
        assert_eq!(bucket.request(later, "c", 1, Urgency::Move), Ok(now + 600 * MS));
    }

    #[test]
    fn a_turn_that_nobody_came_for_is_given_to_others() {
        let (mut bucket, now) = bucket("DetachNetworkInterface");
        drain(&mut bucket, now, Urgency::Move);
        for n in 0..10 {
            bucket.request(now, &n.to_string(), 1, Urgency::Move).ok();
        }
        let later = now + 2 * S + GRACE + MS;
        assert_eq!(drain(&mut bucket, later, Urgency::Move), 18, "4 s bring 20 tokens, of which two were used");
    }

    #[test]
    fn a_request_waits_out_a_short_pause_and_is_refused_in_a_long_one() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut bucket, now) = bucket("AttachNetworkInterface");
        bucket.throttled(now, &mut rng);
        let pause = bucket.pause.unwrap();
        let slot = bucket.request(now, "a", 1, Urgency::Move).unwrap();
        assert!(slot >= pause && slot >= now + 200 * MS && slot <= now + PATIENCE, "{:?}", slot - now);
        bucket.pause = Some(now + PATIENCE + MS);
        assert_eq!(bucket.request(now, "b", 1, Urgency::Move), Err(Hold::Throttled(now + PATIENCE + MS)));
    }

    #[test]
    fn a_throttling_answer_empties_the_bucket_and_pauses_with_full_jitter_and_ever_longer_bounds() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut longest = Vec::new();
        for answers in [1, 3, 9] {
            let pauses: Vec<_> = (0..200)
                .map(|_| {
                    let (mut bucket, now) = bucket("AttachNetworkInterface");
                    (1..answers).for_each(|_| bucket.throttled(now - 100 * S, &mut rng));
                    bucket.throttled(now, &mut rng);
                    let Err(Hold::Throttled(until)) = bucket.take(now, Urgency::Move) else { panic!("it goes on") };
                    assert_ne!(bucket.take(until, Urgency::Move), Err(Hold::Throttled(until)));
                    until - now
                })
                .collect();
            let (least, most) = (*pauses.iter().min().unwrap(), *pauses.iter().max().unwrap());
            assert!(least < most / 10, "from nothing on: {least:?} to {most:?}");
            longest.push(most);
        }
        assert!(longest[0] <= 500 * MS && longest[0] > 400 * MS, "{longest:?}");
        assert!(longest[1] <= 2 * S && longest[1] > S, "{longest:?}");
        assert!(longest[2] <= 8 * S && longest[2] > 6 * S, "{longest:?}");
        let (mut bucket, now) = bucket("AttachNetworkInterface");
        bucket.throttled(now, &mut rng);
        assert!(drain(&mut bucket, now + S, Urgency::Move) <= 5, "others have taken what it held");
    }
}
