//! `[floating_ip.health]` and `[floating_ip.policy]`. The defaults are those of floatip-core.

use std::ops::Range;
use std::time::Duration;

use floatip_core::{AddressUnreachable, Drift, Failback, HealthSettings, Policy, Require, Verify};
use toml::de::DeValue;

use super::mover::unknown;
use super::table::{Fault, Setting, Table};

impl Setting for Verify {
    const EXPECTED: &'static str = "`verify = \"require\"`, \"warn\" or \"off\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "require" => Ok(Self::Require),
            "warn" => Ok(Self::Warn),
            "off" => Ok(Self::Off),
            other => Err(unknown(other, "way to verify", &["require", "warn", "off"])),
        }
    }
}

impl Setting for Failback {
    const EXPECTED: &'static str = "`failback = \"never\"`, \"manual\" or `{ after = \"10m\" }`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        if let Some(word) = value.as_str() {
            return match word {
                "never" => Ok(Self::Never),
                "manual" => Ok(Self::Manual),
                other => Err(Fault::invalid(
                    format!("there is no failback {other:?}"),
                    "write \"never\", \"manual\" to be told when it is due, or { after = \"10m\" } to return once the preferred node has been healthy so long",
                )),
            };
        }
        let table = value.as_table().ok_or(Fault::WrongType)?;
        match table.get("after") {
            Some(after) if table.len() == 1 => Duration::read(after.get_ref()).map(Self::After),
            Some(_) | None => {
                Err(Fault::invalid("the only key here is `after`", "write failback = { after = \"10m\" }"))
            }
        }
    }
}

/// Reads a setting that may not be zero; where it is, the default stays, so that other findings make sense.
fn nonzero<T: Setting + Copy + Default + PartialEq>(
    table: &mut Table<'_>,
    key: &'static str,
    slot: &mut T,
    hint: &str,
) -> Option<Range<usize>> {
    let default = *slot;
    let span = table.set(key, slot)?;
    if *slot != T::default() {
        return Some(span);
    }
    *slot = default;
    table.report.error(span, format!("`{key}` may not be zero"), hint);
    None
}

/// What one probe has instead of the common timing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Timing {
    interval: Option<Duration>,
    fast_interval: Option<Duration>,
    timeout: Option<Duration>,
    fall: Option<u32>,
    rise: Option<u32>,
}

impl Timing {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        fn own<T: Setting + Copy + Default + PartialEq>(table: &mut Table<'_>, key: &'static str) -> Option<T> {
            let setting = table.optional::<T>(key)?;
            if *setting.get_ref() == T::default() {
                let hint = "leave it out, and that of [floating_ip.health] counts";
                table.report.error(setting.span(), format!("`{key}` may not be zero"), hint);
                return None;
            }
            Some(setting.into_inner())
        }
        Self {
            interval: own(table, "interval"),
            fast_interval: own(table, "fast_interval"),
            timeout: own(table, "timeout"),
            fall: own(table, "fall"),
            rise: own(table, "rise"),
        }
    }

    /// The common timing with what this probe has of its own.
    pub(crate) fn over(self, mut health: HealthSettings) -> HealthSettings {
        health.interval = self.interval.unwrap_or(health.interval);
        health.fast_interval = self.fast_interval.unwrap_or(health.fast_interval);
        health.timeout = self.timeout.unwrap_or(health.timeout);
        health.fall = self.fall.unwrap_or(health.fall);
        health.rise = self.rise.unwrap_or(health.rise);
        health
    }
}

impl Setting for Require {
    const EXPECTED: &'static str = "`require = \"all\"`, \"any\" or a number of probes";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str() {
            Some("all") => Ok(Self::All),
            Some("any") => Ok(Self::Any),
            Some(other) => Err(unknown(other, "combination of probes", &["all", "any"])),
            None => match u32::read(value)? {
                0 => Err(Fault::invalid("with no probe required every node would be healthy", "write at least 1")),
                count => Ok(Self::AtLeast(count)),
            },
        }
    }
}

impl Setting for Drift {
    const EXPECTED: &'static str = "`drift = \"adopt\"` or \"restore\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "adopt" => Ok(Self::Adopt),
            "restore" => Ok(Self::Restore),
            other => Err(unknown(other, "way to handle drift", &["adopt", "restore"])),
        }
    }
}

impl Setting for AddressUnreachable {
    const EXPECTED: &'static str = "`address_unreachable = \"alert\"` or \"reclaim\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "alert" => Ok(Self::Alert),
            "reclaim" => Ok(Self::Reclaim),
            other => Err(unknown(other, "answer to an unreachable address", &["alert", "reclaim"])),
        }
    }
}

pub(super) fn health(mut table: Table<'_>) -> (HealthSettings, Require) {
    let mut health = HealthSettings::default();
    let HealthSettings { interval, fast_interval, timeout, fall, rise, .. } = &mut health;
    let fast_span = nonzero(&mut table, "fast_interval", fast_interval, "write a duration, such as \"500ms\"");
    let span = table.set("interval", interval);
    if interval < fast_interval {
        let (interval, fast) = (humantime::format_duration(*interval), humantime::format_duration(*fast_interval));
        table.report.error(
            span.or(fast_span).unwrap_or(table.span.clone()),
            format!("`interval` ({interval}) is shorter than `fast_interval` ({fast})"),
            "probes speed up to `fast_interval` after a failure: make that the shorter one",
        );
    }
    nonzero(&mut table, "timeout", timeout, "write how long one check may take, such as \"2s\"");
    nonzero(&mut table, "fall", fall, "write how many failures in a row turn a node down, such as 3");
    nonzero(&mut table, "rise", rise, "write how many successes in a row turn a node up, such as 2");
    let mut require = Require::All;
    table.set("require", &mut require);
    table.finish();
    (health, require)
}

pub(super) fn policy(mut table: Table<'_>) -> Policy {
    let mut policy = Policy::default();
    table.set("failback", &mut policy.failback);
    table.set("recoveries", &mut policy.recoveries);
    table.set("prefer", &mut policy.prefer);
    table.set("flap_window", &mut policy.flap_window);
    table.set("hold_down", &mut policy.hold_down);
    table.set("cooldown", &mut policy.cooldown);
    nonzero(&mut table, "max_moves", &mut policy.max_moves, "nothing could ever move; use `floatip pause` instead");
    nonzero(&mut table, "max_moves_window", &mut policy.max_moves_window, "write a duration, such as \"1h\"");
    table.set("verify", &mut policy.verify);
    let off = "write a duration, such as \"30s\", or verify = \"off\"";
    nonzero(&mut table, "verify_timeout", &mut policy.verify_timeout, off);
    let step = "write how long the step may take, such as \"60s\"";
    nonzero(&mut table, "release_timeout", &mut policy.release_timeout, step);
    nonzero(&mut table, "forced_release_timeout", &mut policy.forced_release_timeout, step);
    nonzero(&mut table, "claim_timeout", &mut policy.claim_timeout, step);
    table.set("force_release", &mut policy.force_release);
    table.set("take_from_strangers", &mut policy.take_from_strangers);
    table.set("drift", &mut policy.drift);
    table.set("wait_for_idle", &mut policy.wait_for_idle);
    table.set("address_unreachable", &mut policy.address_unreachable);
    table.finish();
    policy
}
