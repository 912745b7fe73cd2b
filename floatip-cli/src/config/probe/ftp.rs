//! `kind = "ftp"`.

use floatip_probes::{FtpProbe, ListPath, Secret, SettingError};
use toml::de::DeValue;

use super::{Reading, fetch};
use crate::config::defaults::DefaultSetting;
use crate::config::password::PasswordSource;
use crate::config::setting::Port;
use crate::config::table::{Fault, Setting, Table};

/// A session of FTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FtpSpec {
    pub(crate) port: Port,
    pub(crate) username: String,
    pub(crate) password: Option<PasswordSource>,
    pub(crate) list: Listing,
}

impl FtpSpec {
    pub(super) const KEYS: &[&str] = &["port", "username", "password", "list"];

    const PORT: Port = Port(21);
    const USERNAME: &str = "anonymous";
    /// What an anonymous login sends where no password is set.
    const PASSWORD: &str = "floatip@";

    pub(super) fn read(table: &mut Table<'_>, reading: &mut Reading) -> Self {
        let mut port = Self::PORT;
        table.set("port", &mut port);
        let username = table.optional::<Username>("username");
        if username.is_some() && !table.has("password") {
            table.lacks("password", PasswordSource::EXPECTED);
        } else if username.is_none() && table.has("password") && !table.has("username") {
            table.lacks("username", Username::EXPECTED);
        }
        let password = fetch(table, "password", reading);
        let mut list = Listing::Off;
        table.set("list", &mut list);
        let username = username.map_or_else(|| Self::USERNAME.to_owned(), |name| name.into_inner().0);
        Self { port, username, password, list }
    }

    pub(super) fn build(&self, secret: Option<Secret>) -> Result<FtpProbe, SettingError> {
        let secret = secret.unwrap_or_else(|| Secret::new(Self::PASSWORD));
        let ftp = FtpProbe::new(&self.username, secret)?.port(self.port.0)?;
        Ok(match &self.list {
            Listing::Off => ftp,
            Listing::Home => ftp.list(ListPath::login_directory()),
            Listing::Path(path) => ftp.list(ListPath::new(path)?),
        })
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let setting = |key, default: String, meaning| {
            DefaultSetting::new("[[floating_ip.probe]] # kind = \"ftp\"", key, Some(default), meaning)
        };
        vec![
            setting("port", Self::PORT.0.to_string(), "a port in `host` overrides it"),
            setting(
                "username",
                format!("\"{}\"", Self::USERNAME),
                "with it goes `password`, { env = … } or { file = … }",
            ),
            setting("list", "false".to_owned(), "true or a folder lists it over a data connection"),
        ]
    }
}

/// Whether an FTP check lists a folder, and which one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Listing {
    Off,
    /// Where the login arrives.
    Home,
    Path(String),
}

impl Setting for Listing {
    const EXPECTED: &'static str = "`list = true`, or the folder to list as in `list = \"/pub\"`";

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
