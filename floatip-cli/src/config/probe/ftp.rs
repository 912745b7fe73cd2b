//! `kind = "ftp"`.

use std::net::IpAddr;
use std::time::Duration;

use floatip_probes::{
    Canary, DataMode, FtpProbe, ListPath, PassiveMismatch, Secret, SettingError, TlsMode, TlsSettings,
};
use toml::Spanned;
use toml::de::DeValue;

use super::{Reading, fetch, tls};
use crate::config::defaults::DefaultSetting;
use crate::config::mover::unknown;
use crate::config::password::PasswordSource;
use crate::config::setting::Port;
use crate::config::table::{Fault, Setting, Table};

const TABLE: &str = "[[floating_ip.probe]] # kind = \"ftp\"";

/// A session of FTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FtpSpec {
    pub(crate) port: Port,
    pub(crate) username: String,
    pub(crate) password: Option<PasswordSource>,
    pub(crate) list: Listing,
    retrieve: Option<String>,
    size: Option<u64>,
    sha256: Option<String>,
    store: Listing,
    mode: DataMode,
    tls: Option<(TlsMode, TlsSettings)>,
    expect_passive: Vec<IpAddr>,
    passive_mismatch: PassiveMismatch,
    pub(crate) keep_session: bool,
    full_every: Duration,
    max_sessions: Option<u32>,
}

impl FtpSpec {
    pub(super) const KEYS: &[&str] = &[
        "port",
        "username",
        "password",
        "list",
        "retrieve",
        "size",
        "sha256",
        "store",
        "mode",
        "tls",
        "ca_file",
        "server_name",
        "pin",
        "warn_days",
        "expect_passive",
        "passive_mismatch",
        "keep_session",
        "full_every",
        "max_sessions",
    ];

    const PORT: Port = Port(21);
    const IMPLICIT_PORT: Port = Port(990);
    const USERNAME: &str = "anonymous";
    /// What an anonymous login sends where no password is set.
    const PASSWORD: &str = "floatip@";
    const FULL_EVERY: Duration = Duration::from_secs(30);

    pub(super) fn read(table: &mut Table<'_>, reading: &mut Reading) -> Self {
        depends(table, &["size", "sha256"], "retrieve", "`retrieve = \"canary.txt\"`");
        depends(table, &["ca_file", "server_name", "pin"], "tls", TlsMode::EXPECTED);
        depends(table, &["full_every"], "keep_session", "`keep_session = true`");
        let mode = table.optional::<TlsMode>("tls").map(Spanned::into_inner);
        let mut port = if mode == Some(TlsMode::Implicit) { Self::IMPLICIT_PORT } else { Self::PORT };
        table.set("port", &mut port);
        let username = table.optional::<Username>("username");
        if username.is_some() && !table.has("password") {
            table.lacks("password", PasswordSource::EXPECTED);
        } else if username.is_none() && table.has("password") && !table.has("username") {
            table.lacks("username", Username::EXPECTED);
        }
        let password = fetch(table, "password", reading);
        let username = username.map_or_else(|| Self::USERNAME.to_owned(), |name| name.into_inner().0);
        let mut spec = Self {
            port,
            username,
            password,
            list: Listing::Off,
            retrieve: None,
            size: None,
            sha256: None,
            store: Listing::Off,
            mode: DataMode::default(),
            tls: None,
            expect_passive: Vec::new(),
            passive_mismatch: PassiveMismatch::default(),
            keep_session: false,
            full_every: Self::FULL_EVERY,
            max_sessions: None,
        };
        table.set("list", &mut spec.list);
        spec.retrieve = table.optional("retrieve").map(Spanned::into_inner);
        spec.size = table.optional::<u32>("size").map(|size| size.into_inner().into());
        spec.sha256 = table.optional("sha256").map(Spanned::into_inner);
        table.set("store", &mut spec.store);
        table.set("mode", &mut spec.mode);
        let settings = tls::settings(table);
        spec.tls = mode.map(|mode| (mode, settings));
        let mut addresses = Addresses(Vec::new());
        table.set("expect_passive", &mut addresses);
        spec.expect_passive = addresses.0;
        table.set("passive_mismatch", &mut spec.passive_mismatch);
        table.set("keep_session", &mut spec.keep_session);
        table.set("full_every", &mut spec.full_every);
        if let Some(most) = table.optional::<u32>("max_sessions") {
            if spec.keep_session {
                let hint = "leave `keep_session` out: sessions are counted when one begins";
                table.report.error(most.span(), "`max_sessions` does not go with `keep_session`", hint);
            }
            spec.max_sessions = Some(most.into_inner());
        }
        spec
    }

    /// Takes note of addresses that servers may rightly advertise, because clients use them.
    pub(crate) fn may_advertise(&mut self, addresses: &[IpAddr]) {
        self.expect_passive.extend(addresses);
        self.expect_passive.sort();
        self.expect_passive.dedup();
    }

    pub(crate) fn build(&self, secret: Option<Secret>) -> Result<FtpProbe, SettingError> {
        let secret = secret.unwrap_or_else(|| Secret::new(Self::PASSWORD));
        let mut ftp = FtpProbe::new(&self.username, secret)?
            .port(self.port.0)?
            .mode(self.mode)
            .expect_passive(self.expect_passive.iter().copied())
            .passive_mismatch(self.passive_mismatch);
        if let Some((mode, settings)) = &self.tls {
            ftp = ftp.tls(*mode, settings)?;
        }
        if let Some(path) = self.list.path()? {
            ftp = ftp.list(path);
        }
        if let Some(path) = &self.retrieve {
            let mut canary = Canary::new(path)?;
            if let Some(size) = self.size {
                canary = canary.size(size)?;
            }
            if let Some(digits) = &self.sha256 {
                canary = canary.sha256(digits)?;
            }
            ftp = ftp.retrieve(canary);
        }
        if let Some(folder) = self.store.path()? {
            ftp = ftp.store(folder);
        }
        if let Some(most) = self.max_sessions {
            ftp = ftp.max_sessions(most);
        }
        if self.keep_session { ftp.keep_session(self.full_every) } else { Ok(ftp) }
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let setting =
            |key, default: Option<&str>, meaning| DefaultSetting::new(TABLE, key, default.map(str::to_owned), meaning);
        let full_every = humantime::format_duration(Self::FULL_EVERY).to_string();
        let mut defaults = vec![
            setting("port", Some("21"), "990 with implicit TLS; a port in `host` overrides it"),
            setting("username", Some("\"anonymous\""), "with it goes `password`, { env = … } or { file = … }"),
            setting("list", Some("false"), "true or a folder lists it over a data connection"),
            setting("retrieve", None, "a file to be handed out; with `size` in bytes and `sha256` it must be that one"),
            setting("store", Some("false"), "true or a folder: a small file is stored there and deleted"),
            setting("mode", Some("\"passive\""), "\"pasv\", \"epsv\", or \"active\": the server connects"),
            setting("tls", None, "\"explicit\" (AUTH TLS) or \"implicit\""),
            setting("expect_passive", Some("[]"), "addresses that PASV may name beside the floating one and its own"),
            setting("passive_mismatch", Some("\"warn\""), "\"unhealthy\" if PASV names any other"),
            setting("keep_session", Some("false"), "one session a node, asked by NOOP between full checks"),
            setting("max_sessions", None, "more other sessions are unhealthy, or with tells_idle not idle"),
            setting("full_every", Some(&format!("\"{full_every}\"")), "how often a kept session is checked in full"),
        ];
        defaults.extend(tls::setting_defaults(TABLE));
        defaults
    }
}

/// Reports settings that mean nothing without another one.
fn depends(table: &Table<'_>, keys: &[&str], on: &str, expected: &str) {
    for key in keys.iter().filter(|key| table.has(key) && !table.has(on)) {
        let message = format!("`{key}` means nothing without `{on}`");
        table.report.error(table.span.clone(), message, format!("write {expected} as well, or leave `{key}` out"));
    }
}

/// Whether an FTP check uses a folder, and which one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Listing {
    Off,
    /// Where the login arrives.
    Home,
    Path(String),
}

impl Listing {
    fn path(&self) -> Result<Option<ListPath>, SettingError> {
        match self {
            Self::Off => Ok(None),
            Self::Home => Ok(Some(ListPath::login_directory())),
            Self::Path(path) => ListPath::new(path).map(Some),
        }
    }
}

impl Setting for Listing {
    const EXPECTED: &'static str = "true, or a folder as in \"/pub\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        if let Some(list) = value.as_bool() {
            return Ok(if list { Self::Home } else { Self::Off });
        }
        let path = String::read(value)?;
        if path.contains(['\r', '\n', '\0']) {
            return Err(Fault::invalid("a line break may not stand in a path", "leave it out"));
        }
        Ok(Self::Path(path))
    }
}

impl Setting for DataMode {
    const EXPECTED: &'static str = "`mode = \"passive\"`, \"pasv\", \"epsv\" or \"active\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "passive" => Ok(Self::Passive),
            "pasv" => Ok(Self::Pasv),
            "epsv" => Ok(Self::Epsv),
            "active" => Ok(Self::Active),
            other => Err(unknown(other, "mode of data connections", &["passive", "pasv", "epsv", "active"])),
        }
    }
}

impl Setting for TlsMode {
    const EXPECTED: &'static str = "`tls = \"explicit\"` or \"implicit\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "explicit" => Ok(Self::Explicit),
            "implicit" => Ok(Self::Implicit),
            other => Err(unknown(other, "kind of FTPS", &["explicit", "implicit"])),
        }
    }
}

impl Setting for PassiveMismatch {
    const EXPECTED: &'static str = "`passive_mismatch = \"warn\"` or \"unhealthy\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "warn" => Ok(Self::Warn),
            "unhealthy" => Ok(Self::Unhealthy),
            other => Err(unknown(other, "answer to a mismatch", &["warn", "unhealthy"])),
        }
    }
}

/// IP addresses.
#[derive(Debug)]
struct Addresses(Vec<IpAddr>);

impl Setting for Addresses {
    const EXPECTED: &'static str = "addresses in brackets, such as [\"203.0.113.10\"]";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let addresses = value.as_array().ok_or(Fault::WrongType)?;
        addresses.iter().map(|address| IpAddr::read(address.get_ref())).collect::<Result<_, _>>().map(Self)
    }
}

/// A name to log in with.
#[derive(Debug)]
struct Username(String);

impl Setting for Username {
    const EXPECTED: &'static str = "a user name, such as `username = \"monitor\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let name = String::read(value)?;
        if name.contains(['\r', '\n', '\0']) {
            return Err(Fault::invalid("a line break may not stand in a user name", "leave it out"));
        }
        Ok(Self(name))
    }
}
