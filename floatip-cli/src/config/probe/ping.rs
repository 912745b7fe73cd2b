//! `kind = "ping"`.

use std::time::Duration;

use floatip_probes::{PingProbe, SettingError};
use toml::Spanned;

use crate::config::defaults::DefaultSetting;
use crate::config::table::Table;

/// ICMP echoes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PingSpec {
    count: u8,
    max_loss: Option<u8>,
    max_round_trip: Option<Duration>,
    warn_loss: Option<u8>,
    warn_round_trip: Option<Duration>,
}

impl PingSpec {
    pub(super) const KEYS: &[&str] = &["count", "max_loss", "max_round_trip", "warn_loss", "warn_round_trip"];

    const COUNT: u8 = 1;

    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let mut count = Self::COUNT;
        table.set("count", &mut count);
        Self {
            count,
            max_loss: table.optional("max_loss").map(Spanned::into_inner),
            max_round_trip: table.optional("max_round_trip").map(Spanned::into_inner),
            warn_loss: table.optional("warn_loss").map(Spanned::into_inner),
            warn_round_trip: table.optional("warn_round_trip").map(Spanned::into_inner),
        }
    }

    pub(super) fn build(&self) -> Result<PingProbe, SettingError> {
        let mut ping = PingProbe::new().count(self.count)?;
        if let Some(percent) = self.max_loss {
            ping = ping.max_loss(percent)?;
        }
        if let Some(round_trip) = self.max_round_trip {
            ping = ping.max_round_trip(round_trip)?;
        }
        if let Some(percent) = self.warn_loss {
            ping = ping.warn_loss(percent)?;
        }
        if let Some(round_trip) = self.warn_round_trip {
            ping = ping.warn_round_trip(round_trip)?;
        }
        Ok(ping)
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let setting = |key, default, meaning| {
            DefaultSetting::new("[[floating_ip.probe]] # kind = \"ping\"", key, default, meaning)
        };
        vec![
            setting("count", Some(Self::COUNT.to_string()), "echoes a check, each with its share of `timeout`"),
            setting("max_loss", None, "percent that may be lost; one reply is enough"),
            setting("max_round_trip", None, "how long one may take on average; `timeout` / `count`"),
            setting("warn_loss", None, "percent beyond which there is a warning"),
            setting("warn_round_trip", None, "average beyond which there is a warning"),
        ]
    }
}
