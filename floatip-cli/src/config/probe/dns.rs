//! `kind = "dns"`.

use floatip_probes::{DnsProbe, SettingError};
use toml::Spanned;

use crate::config::defaults::DefaultSetting;
use crate::config::setting::{Port, Texts};
use crate::config::table::Table;

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DnsSpec {
    query: String,
    record: String,
    expect: Vec<String>,
    port: Port,
}

impl DnsSpec {
    pub(super) const KEYS: &[&str] = &["query", "record", "expect", "port"];

    const RECORD: &str = "A";
    const PORT: Port = Port(53);

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        if !table.has("query") {
            table.lacks("query", "the name to ask for, such as `query = \"www.example.com\"`");
        }
        let query = table.optional("query").map(Spanned::into_inner);
        let mut record = Self::RECORD.to_owned();
        table.set("record", &mut record);
        let mut expect = Texts::default();
        table.set("expect", &mut expect);
        let mut port = Self::PORT;
        table.set("port", &mut port);
        query.map(|query| Self { query, record, expect: expect.0, port })
    }

    pub(super) fn build(&self) -> Result<DnsProbe, SettingError> {
        DnsProbe::new(&self.query, &self.record)?.expect(&self.expect)?.port(self.port.0)
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let setting = |key, default: String, meaning| {
            DefaultSetting::new("[[floating_ip.probe]] # kind = \"dns\"", key, Some(default), meaning)
        };
        vec![
            setting("record", format!("\"{}\"", Self::RECORD), "the type of the records that are asked for"),
            setting("expect", "[]".to_owned(), "records that must be in the answer; any will do"),
            setting("port", Self::PORT.0.to_string(), "a port in `host` overrides it"),
        ]
    }
}
