//! What all benchmarks print: order statistics, and whether a bound is kept.
#![allow(dead_code, reason = "not every benchmark needs every statistic")]

use std::time::Duration;

/// Measured values, in milliseconds or whatever their column says.
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// # Panics
    /// If there is no value: nothing was measured.
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that the share `q` of all values does not exceed.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * q).round() as usize]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn max(&self) -> f64 {
        self.quantile(1.0)
    }
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn kept(kept: bool) -> &'static str {
    if kept { "kept" } else { "MISSED" }
}
