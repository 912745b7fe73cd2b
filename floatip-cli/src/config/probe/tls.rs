//! `kind = "tls"`, and what the kinds that speak TLS share.

use std::path::PathBuf;

use floatip_probes::{Fingerprint, SettingError, TlsProbe, TlsSettings};
use toml::Spanned;
use toml::de::DeValue;

use crate::config::defaults::DefaultSetting;
use crate::config::setting::Port;
use crate::config::table::{Fault, Setting, Table};

/// Whom a check by TLS trusts.
pub(super) fn settings(table: &mut Table<'_>) -> TlsSettings {
    let mut settings = TlsSettings::new();
    if let Some(path) = table.optional::<PathBuf>("ca_file") {
        settings = settings.ca_file(table.report.resolve(path.get_ref()));
    }
    if let Some(name) = table.optional::<String>("server_name") {
        settings = settings.server_name(name.into_inner());
    }
    if let Some(pin) = table.optional::<Fingerprint>("pin") {
        settings = settings.pin(pin.into_inner());
    }
    if let Some(days) = table.optional::<u32>("warn_days") {
        settings = settings.warn_days(u16::try_from(days.into_inner()).unwrap_or(u16::MAX));
    }
    settings
}

pub(super) fn setting_defaults(table: &'static str) -> Vec<DefaultSetting> {
    let setting = |key, default, meaning| DefaultSetting::new(table, key, default, meaning);
    vec![
        setting("ca_file", None, "a PEM file of trusted authorities; those of the machine"),
        setting("server_name", None, "what the certificate must be made out for; the host"),
        setting("pin", None, "the SHA-256 of the certificate, which then needs no authority; any"),
        setting("warn_days", Some(TlsSettings::WARN_DAYS.to_string()), "a certificate that ends sooner is a warning"),
    ]
}

impl Setting for Fingerprint {
    const EXPECTED: &'static str = "the SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let written = String::read(value)?;
        written.parse().map_err(|error| Fault::invalid(format!("{error}"), format!("write {}", Self::EXPECTED)))
    }
}

/// A handshake of TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TlsSpec {
    port: Port,
    settings: TlsSettings,
}

impl TlsSpec {
    pub(super) const KEYS: &[&str] = &["port", "ca_file", "server_name", "pin", "warn_days"];

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let port = table.required("port").map(Spanned::into_inner);
        let settings = settings(table);
        port.map(|port| Self { port, settings })
    }

    pub(super) fn build(&self) -> Result<TlsProbe, SettingError> {
        TlsProbe::new(self.port.0, &self.settings)
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        setting_defaults("[[floating_ip.probe]] # kind = \"tls\"")
    }
}
