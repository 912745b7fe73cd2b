//! Which table a key belongs in, to help whoever put it into another one.

use super::probe;

/// Of `floating_ip.probe` only the settings of every kind.
const HOMES: &[(&str, &[&str])] = &[
    ("", &["sweep", "state_dir", "control", "witness_quorum"]),
    ("push", &["listen", "token"]),
    ("aws", &["region", "profile", "endpoint_url", "fleet_tag"]),
    ("floating_ip", &["address"]),
    ("floating_ip.mover", &["device_index", "allocation", "fencing", "force_detach", "destination", "route_tables"]),
    ("floating_ip.node", &["instance", "host", "private_ip", "local"]),
    ("floating_ip.probe", &["direct", "informational", "tells_idle"]),
    ("floating_ip.health", &["interval", "fast_interval", "fall", "rise", "require"]),
    (
        "floating_ip.policy",
        &[
            "failback",
            "prefer",
            "flap_window",
            "hold_down",
            "cooldown",
            "max_moves",
            "max_moves_window",
            "verify_timeout",
            "release_timeout",
            "forced_release_timeout",
            "claim_timeout",
            "force_release",
            "take_from_strangers",
            "drift",
            "wait_for_idle",
        ],
    ),
];

/// The table that `key` belongs in, if that is another one than `path`.
pub(super) fn belongs_to(key: &str, path: &str) -> Option<String> {
    let (home, _) = HOMES.iter().find(|(home, keys)| {
        *home != path && (keys.contains(&key) || *home == "floating_ip.probe" && probe::has_key(key))
    })?;
    Some(match *home {
        "" => "the top of the file, before any [table]".to_owned(),
        "floating_ip" | "floating_ip.node" | "floating_ip.probe" => format!("[[{home}]]"),
        table => format!("[{table}]"),
    })
}
