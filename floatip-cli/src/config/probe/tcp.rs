//! `kind = "tcp"`.

use floatip_probes::{SettingError, TcpProbe};
use toml::Spanned;

use crate::config::setting::Port;
use crate::config::table::Table;

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TcpSpec {
    pub(crate) port: Port,
}

impl TcpSpec {
    pub(super) const KEYS: &[&str] = &["port"];

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        table.required("port").map(Spanned::into_inner).map(|port| Self { port })
    }

    pub(super) fn build(&self) -> Result<TcpProbe, SettingError> {
        TcpProbe::new(self.port.0)
    }
}
