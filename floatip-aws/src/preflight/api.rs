//! Checks of the way to EC2: how long it takes, and whether the clocks agree.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_ec2::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};

use super::finding::{CheckId, Finding};
use crate::client::Ec2;
use crate::error::Call;

/// A move takes a handful of round trips one after the other, and a call is given up after two seconds.
const SLOW: Duration = Duration::from_millis(500);
/// What a clock may be off: HTTP dates are whole seconds.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);
/// Past this, AWS refuses the signature of a request.
///
/// # Source
/// IAM User Guide, "Signature Version 4 request signing", Troubleshooting: a request expires after five minutes.
const CLOCK_LIMIT: Duration = Duration::from_secs(270);
const PROBED: &str = "DescribeNetworkInterfaces";

/// Notes when an answer was written by EC2, and when it arrived here.
#[derive(Debug, Clone, Default)]
struct Dated(Arc<Mutex<Option<(DateTime, SystemTime)>>>);

impl Intercept for Dated {
    fn name(&self) -> &'static str {
        "Dated"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(date) = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok()) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, SystemTime::now()));
        }
        Ok(())
    }
}

/// Whether EC2 answers these credentials, how soon, and what its clock says. The first of two calls opens the
/// connection; the second one is measured.
pub(super) async fn check(ec2: &Ec2) -> Vec<Finding> {
    let dated = Dated::default();
    let mut took = Duration::ZERO;
    let mut answer = Ok(());
    for _ in 0..2 {
        let begun = Instant::now();
        let request = ec2.sdk().describe_network_interfaces().max_results(5).customize().interceptor(dated.clone());
        answer = request.send().await.map(drop).map_err(|error| Call::read(PROBED, "the account").failed(error));
        took = begun.elapsed();
        if answer.is_err() {
            break;
        }
    }
    let dates = *dated.0.lock().unwrap_or_else(PoisonError::into_inner);
    let clock = dates.map_or_else(
        || Finding::unknown(CheckId::Clock, "EC2 told no time", "see that this machine's clock is synchronized"),
        |(theirs, ours)| clock(theirs, ours),
    );
    let round_trip = match answer {
        Ok(()) => round_trip(took),
        Err(error) => Finding { check: CheckId::RoundTrip, ..Finding::unread(CheckId::RoundTrip, &error) },
    };
    vec![round_trip, clock]
}

fn round_trip(took: Duration) -> Finding {
    let detail = format!("EC2 answers within {} ms", took.as_millis());
    if took > SLOW {
        let remedy = "run the monitor nearer to the Region: every step of a move costs some of these";
        return Finding::warn(CheckId::RoundTrip, detail, remedy);
    }
    Finding::pass(CheckId::RoundTrip, detail)
}

fn clock(theirs: DateTime, ours: SystemTime) -> Finding {
    let ours = DateTime::from(ours).secs();
    let off = Duration::from_secs(ours.abs_diff(theirs.secs()));
    let side = if ours < theirs.secs() { "behind" } else { "ahead of" };
    let detail = format!("this clock is {} s {side} EC2's", off.as_secs());
    let remedy = "synchronize this machine's clock (chrony, systemd-timesyncd)";
    if off > CLOCK_LIMIT {
        Finding::fail(CheckId::Clock, format!("{detail}: AWS refuses signatures that are five minutes off"), remedy)
    } else if off > CLOCK_TOLERANCE {
        Finding::warn(CheckId::Clock, detail, remedy)
    } else {
        Finding::pass(CheckId::Clock, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::Status;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off_to_either_side() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (off, status) in [(0, Status::Pass), (30, Status::Pass), (31, Status::Warn), (271, Status::Fail)] {
            for theirs in [1_800_000_000 + off, 1_800_000_000 - off] {
                assert_eq!(clock(DateTime::from_secs(theirs), now).status, status, "{off} s");
            }
        }
        let behind = clock(DateTime::from_secs(1_800_000_060), now);
        assert!(behind.detail.contains("60 s behind"), "{behind:?}");
    }

    #[test]
    fn a_slow_answer_is_warned_of() {
        assert_eq!(round_trip(SLOW).status, Status::Pass);
        assert_eq!(round_trip(SLOW * 2).status, Status::Warn);
    }
}
