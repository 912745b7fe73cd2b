//! `kind = "push"`.

use std::time::Duration;

use floatip_probes::{Mailbox, PushProbe, SettingError};

use crate::config::defaults::DefaultSetting;
use crate::config::table::Table;

/// Reports of the nodes about themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PushSpec {
    pub(crate) stale_after: Duration,
}

impl PushSpec {
    pub(super) const KEYS: &[&str] = &["stale_after"];

    const STALE_AFTER: Duration = Duration::from_secs(15);

    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let mut stale_after = Self::STALE_AFTER;
        table.set("stale_after", &mut stale_after);
        Self { stale_after }
    }

    /// The probe that reads this mailbox.
    pub(crate) fn build(&self, mailbox: Mailbox) -> Result<PushProbe, SettingError> {
        PushProbe::new(mailbox, self.stale_after)
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let default = format!("\"{}\"", humantime::format_duration(Self::STALE_AFTER));
        let meaning = "a node that has been silent for longer is unhealthy: four reports should fit in";
        vec![DefaultSetting::new("[[floating_ip.probe]] # kind = \"push\"", "stale_after", Some(default), meaning)]
    }
}
