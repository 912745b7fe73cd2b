//! `kind = "ping"`.

use floatip_probes::PingProbe;

/// ICMP echoes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PingSpec;

impl PingSpec {
    pub(super) const KEYS: &[&str] = &[];

    pub(super) fn build(&self) -> PingProbe {
        PingProbe::new()
    }
}
