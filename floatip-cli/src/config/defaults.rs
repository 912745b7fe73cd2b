//! Every setting that has a default, with the default and what it means.

use std::time::Duration;

use floatip_core::{HealthSettings, Policy};
use serde::Serialize;

use super::mover::DeviceIndex;
use super::probe;
use super::{Config, hook, push, witness};
use crate::control;

/// One setting that need not be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DefaultSetting {
    /// As in `[floating_ip.health]`; empty for the top of the file.
    pub(crate) table: &'static str,
    pub(crate) key: &'static str,
    /// As it would be written; absent where "not set" is the default.
    pub(crate) default: Option<String>,
    pub(crate) meaning: &'static str,
}

impl DefaultSetting {
    pub(super) fn new(table: &'static str, key: &'static str, default: Option<String>, meaning: &'static str) -> Self {
        Self { table, key, default, meaning }
    }
}

/// All of them, in the order of the file.
pub(crate) fn defaults() -> Vec<DefaultSetting> {
    let health = HealthSettings::default();
    let policy = Policy::default();
    let quoted = |text: &str| Some(format!("\"{text}\""));
    let duration = |duration: Duration| quoted(&humantime::format_duration(duration).to_string());
    let number = |number: u32| Some(number.to_string());
    let setting = DefaultSetting::new;
    let global = |key, default, meaning| setting("", key, default, meaning);
    let aws = |key, meaning| setting("[aws]", key, None, meaning);
    let mover = |key, default, meaning| setting("[floating_ip.mover]", key, default, meaning);
    let node = |key, meaning| setting("[[floating_ip.node]]", key, None, meaning);
    let health_setting = |key, default, meaning| setting("[floating_ip.health]", key, default, meaning);
    let policy_setting = |key, default, meaning| setting("[floating_ip.policy]", key, default, meaning);
    let mut settings = vec![
        global("sweep", duration(Config::SWEEP), "how often placements are read while nothing moves"),
        global(
            "state_dir",
            None,
            "folder in which pauses, freezes, drains, the move budget and the history survive restarts",
        ),
        global("control", quoted(control::DEFAULT_SOCKET), "Unix socket for status, move, pause and the like"),
        global(
            "recoveries",
            Some(policy.recoveries.to_string()),
            "false: none moves by itself but from a drained or maintained node",
        ),
        global("witness_quorum", None, "how many [[witness]] must answer: all but one, and at least one"),
        aws("region", "AWS_REGION, else the profile's, else the instance's own"),
        aws("profile", "AWS_PROFILE, else \"default\""),
        aws("endpoint_url", "the region's own EC2 endpoint"),
        aws("fleet_tag", "a tag that all that moves bears: large fleets are read by it in fewer calls"),
        mover("device_index", number(DeviceIndex::default().0.into()), "eni: the device index on each node"),
        mover("fencing", quoted("overwrite"), "eip: \"strict\" releases first: slower, and no race between monitors"),
        mover("private_ip", None, "private-ip: the floating IP's address"),
        mover("destination", None, "route: the floating IP's address"),
        node("network_interface", "eip, private-ip, route: the instance's primary interface"),
        node("private_ip", "eip: the interface's primary private address"),
        node("local", "true on the node on which the monitor runs: found out if `host` is an IP address"),
    ];
    settings.extend(probe::defaults());
    settings.extend(hook::defaults());
    settings.extend(witness::defaults());
    settings.extend(push::defaults());
    settings.extend([
        health_setting("interval", duration(health.interval), "from probe to probe while all is well"),
        health_setting("fast_interval", duration(health.fast_interval), "from probe to probe after a failure"),
        health_setting("timeout", duration(health.timeout), "how long one check may take"),
        health_setting("fall", number(health.fall), "failures in a row that turn a node down"),
        health_setting("rise", number(health.rise), "successes in a row that turn a node up"),
        health_setting("require", quoted("all"), "how many probes must be healthy: \"any\", or a number"),
        policy_setting("failback", quoted("never"), "\"manual\" tells when it is due, { after = \"10m\" } does it"),
        policy_setting("recoveries", Some(policy.recoveries.to_string()), "the same, of this one"),
        policy_setting("prefer", Some("[]".to_owned()), "nodes in the order of preference; then the others as listed"),
        policy_setting(
            "flap_window",
            duration(policy.flap_window),
            "a node that goes down twice in it flaps: last choice",
        ),
        policy_setting("hold_down", duration(policy.hold_down), "how long it must then be healthy, doubled each time"),
        policy_setting(
            "cooldown",
            duration(policy.cooldown),
            "least time before a failback, a move back or a reclaim; delays no rescue",
        ),
        policy_setting(
            "max_moves",
            number(policy.max_moves),
            "moves of its own in a window before it is frozen; drains do not count",
        ),
        policy_setting("max_moves_window", duration(policy.max_moves_window), "that window"),
        policy_setting("verify", quoted("require"), "the service must answer through the address; \"warn\", \"off\""),
        policy_setting("verify_timeout", duration(policy.verify_timeout), "how long it may take to answer"),
        policy_setting("release_timeout", duration(policy.release_timeout), "a release is forced after this"),
        policy_setting(
            "forced_release_timeout",
            duration(policy.forced_release_timeout),
            "a forced one is stuck after this",
        ),
        policy_setting("claim_timeout", duration(policy.claim_timeout), "the next node is tried after this"),
        policy_setting("force_release", Some(policy.force_release.to_string()), "whether a release may be forced"),
        policy_setting(
            "take_from_strangers",
            Some(policy.take_from_strangers.to_string()),
            "true: takes the address from what is no node",
        ),
        policy_setting(
            "drift",
            quoted("adopt"),
            "moved by somebody else between healthy nodes: \"restore\" moves it back",
        ),
        policy_setting(
            "wait_for_idle",
            duration(policy.wait_for_idle),
            "a planned move waits so long at most, by probes with tells_idle",
        ),
        policy_setting(
            "address_unreachable",
            quoted("alert"),
            "the holder answers, the address does not: \"reclaim\" gives it anew",
        ),
    ]);
    settings
}
