use std::time::Duration;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn settings() -> HealthSettings {
    HealthSettings { interval: 1000 * MS, fast_interval: 250 * MS, timeout: 500 * MS, fall: 3, rise: 2 }
}

struct Bench {
    track: Track,
    t0: Instant,
    next: ProbeId,
}

impl Bench {
    fn new() -> Self {
        let t0 = Instant::now();
        Self { track: Track::new(settings(), t0, t0), t0, next: 0 }
    }

    fn at(&self, ms: u32) -> Instant {
        self.t0 + ms * MS
    }

    fn begin(&mut self, ms: u32) -> (ProbeId, Instant) {
        self.next += 1;
        let at = self.at(ms);
        self.track.begin(self.next, at);
        (self.next, at)
    }

    fn ok(&mut self, (id, at): (ProbeId, Instant)) -> Vec<ProbeId> {
        self.track.end(id, at, &Verdict::healthy(), false)
    }

    fn fail(&mut self, (id, at): (ProbeId, Instant)) {
        self.track.end(id, at, &Verdict::unhealthy(Reason::Refused), false);
    }

    fn up() -> Self {
        let mut bench = Self::new();
        for ms in [0, 250] {
            let probe = bench.begin(ms);
            bench.ok(probe);
        }
        assert_eq!(bench.track.health(), Health::Healthy);
        bench
    }
}

#[test]
fn healthy_verdicts_that_failures_have_overtaken_count_where_they_began() {
    // Down, then twice well, then once failed, in the order in which the probes began.
    let mut bench = Bench::up();
    for ms in [1000, 1250, 1500] {
        let probe = bench.begin(ms);
        bench.fail(probe);
    }
    assert_eq!(bench.track.health(), Health::Unhealthy);
    let [first, second, failed] = [1750, 2000, 2250].map(|ms| bench.begin(ms));
    bench.ok(first);
    bench.fail(failed);
    assert_eq!(bench.track.health(), Health::Unhealthy);
    bench.ok(second);
    assert_eq!((bench.track.health(), bench.track.failures()), (Health::Healthy, 1));
}

#[test]
fn healthy_verdicts_on_both_sides_of_a_failure_are_not_in_a_row() {
    let mut bench = Bench::up();
    for ms in [1000, 1250, 1500] {
        let probe = bench.begin(ms);
        bench.fail(probe);
    }
    let [first, between, second, failed] = [1750, 2000, 2250, 2500].map(|ms| bench.begin(ms));
    bench.ok(first);
    bench.fail(between);
    bench.fail(failed);
    bench.ok(second);
    assert_eq!((bench.track.health(), bench.track.failures()), (Health::Unhealthy, 1));
}

#[test]
fn a_healthy_verdict_that_failures_have_overtaken_does_not_outweigh_those() {
    let mut bench = Bench::up();
    let [well, again] = [1000, 1250].map(|ms| bench.begin(ms));
    for ms in [1500, 1750, 2000] {
        let probe = bench.begin(ms);
        bench.fail(probe);
    }
    bench.ok(well);
    bench.ok(again);
    assert_eq!((bench.track.health(), bench.track.failures()), (Health::Unhealthy, 3));
}

#[test]
fn a_target_that_was_never_probed_is_unknown() {
    assert_eq!(Bench::new().track.health(), Health::Unknown);
}

#[test]
fn rise_healthy_verdicts_turn_a_target_up_and_fall_failed_ones_turn_it_down() {
    let mut bench = Bench::up();
    for ms in [1000, 1250] {
        let probe = bench.begin(ms);
        bench.fail(probe);
    }
    assert_eq!(bench.track.health(), Health::Healthy);
    let probe = bench.begin(1500);
    bench.fail(probe);
    assert_eq!(bench.track.health(), Health::Unhealthy);
    for (ms, health) in [(2000, Health::Unhealthy), (2250, Health::Healthy)] {
        let probe = bench.begin(ms);
        bench.ok(probe);
        assert_eq!(bench.track.health(), health);
    }
}

#[test]
fn verdicts_count_in_the_order_in_which_their_probes_started() {
    let mut bench = Bench::up();
    let early = bench.begin(1000);
    let late = bench.begin(1250);
    bench.ok(late);
    bench.fail(early);
    assert_eq!(bench.track.failures(), 0, "a healthy verdict of a later probe cancels it");
}

#[test]
fn a_late_healthy_verdict_leaves_the_failures_of_probes_begun_after_it() {
    let mut bench = Bench::up();
    let slow = bench.begin(1000);
    for ms in [1250, 1500] {
        let probe = bench.begin(ms);
        bench.fail(probe);
    }
    bench.ok(slow);
    assert_eq!(bench.track.failures(), 2);
}

#[test]
fn a_newer_probe_that_is_unanswered_for_longer_than_answers_take_is_overdue() {
    for (took, overdue_after) in [(10, 250), (200, 400)] {
        let mut bench = Bench::up();
        bench.track.note_answer(took * MS);
        bench.begin(1000);
        assert!(!bench.track.is_overdue(bench.at(999 + overdue_after)), "{took}");
        assert!(bench.track.is_overdue(bench.at(1000 + overdue_after)), "{took}");
        let newer = bench.begin(1250);
        bench.ok(newer);
        assert!(!bench.track.is_overdue(bench.at(5000)), "a later answer has overtaken it");
    }
}

#[test]
fn a_healthy_verdict_ends_the_burst_and_drops_its_outstanding_probes() {
    let mut bench = Bench::up();
    let slow = bench.begin(1000);
    let second = bench.begin(1250);
    let third = bench.begin(1500);
    assert_eq!(bench.ok(second), vec![slow.0, third.0]);
    assert_eq!(bench.track.due(), Some(bench.at(2000)), "back on the grid");
}

#[test]
fn an_unanswered_probe_is_followed_at_the_fast_interval_up_to_fall_at_once() {
    let mut bench = Bench::up();
    for (ms, next) in [(1000, Some(1250)), (1250, Some(1500)), (1500, None)] {
        bench.begin(ms);
        assert_eq!(bench.track.due(), next.map(|next| bench.at(next)));
    }
}

#[test]
fn a_target_that_is_down_is_probed_at_the_interval_until_it_answers() {
    let mut bench = Bench::up();
    for ms in [1000, 1250, 1500] {
        let probe = bench.begin(ms);
        bench.fail(probe);
    }
    assert_eq!(bench.track.due(), Some(bench.at(2000)));
    let probe = bench.begin(2000);
    bench.ok(probe);
    assert_eq!(bench.track.due(), Some(bench.at(2250)));
}

#[test]
fn a_verdict_older_than_its_lifetime_is_unknown() {
    let mut bench = Bench::up();
    let lifetime = 250 + 1000 + 500 + 3 * 250;
    assert!(!bench.track.expire(bench.at(lifetime)));
    assert!(bench.track.expire(bench.at(lifetime + 1)));
    assert_eq!(bench.track.health(), Health::Unknown);
}

#[test]
fn a_conclusive_verdict_needs_no_fall() {
    let mut bench = Bench::up();
    let (id, at) = bench.begin(1000);
    bench.track.end(id, at, &Verdict::unhealthy(Reason::Refused).conclusive(), false);
    assert_eq!(bench.track.health(), Health::Unhealthy);
}

#[test]
fn a_prober_that_cannot_work_changes_nothing() {
    let mut bench = Bench::up();
    for ms in [1000, 2000, 3000, 4000] {
        let (id, _) = bench.begin(ms);
        bench.track.end_without_verdict(id);
    }
    assert_eq!((bench.track.health(), bench.track.failures()), (Health::Healthy, 0));
}

#[test]
fn voided_verdicts_do_not_count_even_when_they_arrive_later() {
    let mut bench = Bench::up();
    let old = bench.begin(1000);
    bench.track.void(bench.at(1100));
    bench.fail(old);
    assert_eq!((bench.track.health(), bench.track.failures()), (Health::Unknown, 0));
}

#[test]
fn the_reason_against_a_target_counts_until_a_later_probe_has_answered() {
    let mut bench = Bench::up();
    for (ms, reason) in [(1000, Some(&Reason::Refused)), (1250, Some(&Reason::Refused)), (1500, None)] {
        let probe = bench.begin(ms);
        if reason.is_some() {
            bench.fail(probe)
        } else {
            drop(bench.ok(probe))
        }
        assert_eq!(bench.track.reason(), reason);
    }
}

#[test]
fn a_probe_that_begins_in_the_moment_of_voiding_counts() {
    let mut bench = Bench::up();
    bench.track.void(bench.at(1000));
    for ms in [1000, 1250] {
        let probe = bench.begin(ms);
        bench.ok(probe);
    }
    assert_eq!(bench.track.health(), Health::Healthy);
}

#[test]
fn only_a_probe_that_began_late_enough_will_tell() {
    let mut bench = Bench::up();
    bench.begin(1000);
    assert!(bench.track.outstanding_since(bench.at(1000)));
    assert!(!bench.track.outstanding_since(bench.at(1001)));
}

#[test]
fn a_probe_is_late_before_another_if_it_began_earlier_and_has_been_unanswered_for_a_fast_interval() {
    let mut bench = Bench::up();
    bench.begin(1000);
    for (start, now, late) in
        [(1250, 1249, false), (1250, 1250, true), (1001, 1250, true), (1000, 1500, false), (999, 1500, false)]
    {
        assert_eq!(bench.track.is_late_before(bench.at(start), bench.at(now)), late, "{start} {now}");
    }
}

#[test]
fn in_step_with_the_holder_twice_as_many_probes_as_fall_overlap() {
    let mut bench = Bench::up();
    for ms in [1000, 1050, 1100, 1150, 1200, 1250] {
        assert!(bench.track.has_room_in_step(), "{ms}");
        bench.begin(ms);
    }
    assert!(!bench.track.has_room_in_step());
}

#[test]
fn a_prober_that_cannot_work_ends_only_its_own_probe() {
    let mut bench = Bench::up();
    let (first, second) = (bench.begin(1000), bench.begin(1250));
    bench.track.end_without_verdict(first.0);
    assert_eq!((bench.track.awaits(first.0), bench.track.awaits(second.0)), (false, true));
}

#[test]
fn an_answer_of_a_target_that_is_not_up_yet_leaves_the_later_probes_alone() {
    let mut bench = Bench::new();
    let (first, second) = (bench.begin(0), bench.begin(250));
    assert!(bench.ok(first).is_empty());
    assert!(bench.track.awaits(second.0));
}

#[test]
fn an_answer_in_step_with_the_holder_makes_only_the_earlier_probes_superfluous() {
    let mut bench = Bench::up();
    let (first, second, third) = (bench.begin(1000), bench.begin(1250), bench.begin(1500));
    assert_eq!(bench.track.end(second.0, second.1, &Verdict::healthy(), true), [first.0]);
    assert!(bench.track.awaits(third.0));
}

#[test]
fn failures_stand_in_the_order_in_which_their_probes_started() {
    let mut bench = Bench::up();
    let (first, second, third) = (bench.begin(1000), bench.begin(1250), bench.begin(1500));
    bench.fail(third);
    bench.fail(second);
    bench.ok(first);
    assert_eq!(bench.track.first_failure(), Some(second.1));
}

#[test]
fn no_more_failures_are_remembered_than_it_takes_to_fall() {
    let mut bench = Bench::up();
    for (ms, failures) in [(1000, 1), (1250, 2), (1500, 3), (2000, 3)] {
        let probe = bench.begin(ms);
        bench.fail(probe);
        assert_eq!(bench.track.failures(), failures);
    }
}

#[test]
fn what_is_urgent_is_probed_at_the_fast_interval_although_all_is_well() {
    let mut bench = Bench::up();
    assert_eq!(bench.track.due(), Some(bench.at(1000)));
    bench.track.urge(true);
    assert_eq!(bench.track.due(), Some(bench.at(500)));
}
