use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};

use super::error::ApiError;

/// How far the time of a request may be from the API's own.
///
/// # Source
/// IAM User Guide, "Signature Version 4 request signing": five minutes.
const TOLERANCE: u64 = 300;

/// The wall clock that the API goes by: this machine's, set forward or back.
#[derive(Debug, Default)]
pub(super) struct WallClock(AtomicI64);

impl WallClock {
    pub(super) fn set_ahead(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> i64 {
        DateTime::from(SystemTime::now()).secs() + self.0.load(Ordering::Relaxed)
    }

    /// The `Date` header of an answer.
    pub(super) fn date(&self) -> Option<String> {
        DateTime::from_secs(self.now()).fmt(DateTimeFormat::HttpDate).ok()
    }

    /// Whether a request was signed just now; `signed` is its `X-Amz-Date`, such as `20260101T000000Z`.
    pub(super) fn admit(&self, signed: Option<&str>) -> Result<(), ApiError> {
        let Some(signed) = signed.and_then(parse) else { return Ok(()) };
        match self.now().abs_diff(signed) <= TOLERANCE {
            true => Ok(()),
            false => Err(ApiError::refused("RequestExpired", "Request has expired.")),
        }
    }
}

fn parse(basic: &str) -> Option<i64> {
    let part = |from, to| basic.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    let extended = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    DateTime::from_str(&extended, DateTimeFormat::DateTime).ok().map(|date| date.secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_signature_is_read() {
        assert_eq!(parse("19700102T000001Z"), Some(86401));
        assert_eq!(parse("yesterday"), None);
    }
}
