//! Which status codes are healthy.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::SettingError;

/// A set of HTTP status codes, written `200`, `200-299` or `200-204,301`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// True if the code is one of the set.
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

impl Default for StatusSet {
    /// 200 to 399.
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl FromStr for StatusSet {
    type Err = SettingError;

    fn from_str(written: &str) -> Result<Self, SettingError> {
        let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (200..=599).contains(code));
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (code(first)?, code(last)?);
            (first <= last).then_some(first..=last)
        };
        written.split(',').map(range).collect::<Option<Vec<_>>>().map(Self).ok_or_else(|| SettingError::Unusable {
            setting: "the set of status codes",
            detail: format!("{written:?} is not of the form \"200-204,301\", with codes from 200 to 599"),
        })
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, range) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", range.start())?;
            if range.start() != range.end() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_prints_and_holds_what_is_written() {
        let set: StatusSet = "200-204, 301".parse().unwrap();
        let held: Vec<_> = (100..600).filter(|code| set.contains(*code)).collect();
        assert_eq!(held, [200, 201, 202, 203, 204, 301]);
        assert_eq!(set.to_string(), "200-204,301");
        assert_eq!(StatusSet::default().to_string().parse(), Ok(StatusSet::default()));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for written in ["", "ok", "2xx", "204-200", "199", "600", "200,", "200-"] {
            assert!(written.parse::<StatusSet>().is_err(), "{written}");
        }
    }
}
