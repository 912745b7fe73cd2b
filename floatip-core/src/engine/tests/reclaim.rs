//! An address that does not answer is claimed anew, by one of several monitors.

use super::*;
use crate::policy::AddressUnreachable;

/// The holder answers, and the address does not any more.
fn unreachable() -> Bench {
    let mut bench = Bench::new(false);
    let policy = &mut bench.engine.settings.policy;
    (policy.verify, policy.address_unreachable) = (Verify::Require, AddressUnreachable::Reclaim);
    bench.sick = Some("nobody");
    bench.run(9500 * MS);
    bench.serving = Some("nobody");
    bench
}

fn reclaims(bench: &Bench) -> usize {
    let reclaims = |event: &&EventKind| matches!(event, EventKind::MoveStarted { cause: Cause::Reclaim, .. });
    bench.events.iter().filter(reclaims).count()
}

#[test]
fn what_another_monitor_has_claimed_anew_is_not_taken_once_more() {
    let mut bench = unreachable();
    bench.run(S);
    bench.placement = held("a", "2");
    while reclaims(&bench) == 0 {
        bench.run(MS);
    }
    bench.serving = None;
    bench.run(60 * S);
    assert!(bench.requests.is_empty(), "{:?}", bench.requests);
    assert!(matches!(bench.events.last(), Some(EventKind::AddressReachable {})), "{:?}", bench.events);
}

#[test]
fn what_failed_through_the_address_before_it_was_assigned_anew_is_no_reason_to_claim_it_once_more() {
    let mut bench = unreachable();
    bench.engine.handle_command(bench.now, 1, Command::Pause { reason: None, duration: None });
    bench.run(5 * S);
    let told = |event: &EventKind| matches!(event, EventKind::AddressUnreachable { .. });
    assert!(bench.events.iter().any(told), "{:?}", bench.events);
    bench.placement = held("a", "2");
    while bench.engine.assignment != Some(Token::generation("2")) {
        bench.run(MS);
    }
    bench.engine.handle_command(bench.now, 2, Command::Resume);
    bench.run(500 * MS);
    assert_eq!(reclaims(&bench), 0, "{:?}", bench.events);
    bench.run(10 * S);
    assert_eq!(reclaims(&bench), 1, "it has failed anew: {:?}", bench.events);
}
