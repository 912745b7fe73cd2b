//! `kind = "tcp"`.

use floatip_probes::{SettingError, TcpProbe};
use toml::Spanned;

use crate::config::defaults::DefaultSetting;
use crate::config::setting::Port;
use crate::config::table::Table;

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TcpSpec {
    pub(crate) port: Port,
    pub(crate) send: Option<String>,
    pub(crate) expect: Option<String>,
}

impl TcpSpec {
    pub(super) const KEYS: &[&str] = &["port", "send", "expect"];

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let port = table.required("port").map(Spanned::into_inner);
        let send = table.optional("send").map(Spanned::into_inner);
        if send.is_some() && !table.has("expect") {
            table.lacks("expect", "what must be in the answer, such as `expect = \"+PONG\"`");
        }
        let expect = table.optional("expect").map(Spanned::into_inner);
        port.map(|port| Self { port, send, expect })
    }

    pub(super) fn build(&self) -> Result<TcpProbe, SettingError> {
        let tcp = TcpProbe::new(self.port.0)?;
        match &self.expect {
            Some(expect) => tcp.exchange(self.send.as_deref().unwrap_or_default(), expect.as_str()),
            None => Ok(tcp),
        }
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let setting = |key, meaning| DefaultSetting::new("[[floating_ip.probe]] # kind = \"tcp\"", key, None, meaning);
        vec![
            setting("send", "what is sent once connected; nothing"),
            setting("expect", "what the first 64 KiB of the answer must hold; the connection is enough"),
        ]
    }
}
