//! `[[floating_ip.probe]]`: how the health of nodes is checked.

use floatip_probes::Secret;
use toml::Spanned;
use toml::de::DeValue;

use super::Purpose;
use super::mover::unknown;
use super::password::{self, PasswordSource};
use super::setting::Port;
use super::table::{Fault, Setting, Table};

/// One probe of a floating IP.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) spec: ProbeSpec,
    /// The password, where the kind has one and it could be had.
    pub(crate) secret: Option<Secret>,
    /// Whether it runs against the nodes' own hosts.
    pub(crate) direct: bool,
    /// Whether it runs through the floating address; by default, where the kind can.
    pub(crate) verify: Option<bool>,
}

/// What a probe does. Two equal ones are one probe, shared by all floating IPs that have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ProbeSpec {
    Ping,
    Tcp { port: Port },
    Ftp { port: Port, username: String, password: Option<PasswordSource>, list: Listing },
}

impl ProbeSpec {
    pub(crate) const FTP_PORT: Port = Port(21);
    pub(crate) const FTP_USERNAME: &str = "anonymous";
    /// What an anonymous login sends where no password is set.
    pub(crate) const FTP_PASSWORD: &str = "floatip@";
}

/// `kind` of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProbeKind {
    Ping,
    Tcp,
    Ftp,
}

impl Setting for ProbeKind {
    const EXPECTED: &'static str = "`kind = \"ftp\"`, \"tcp\" or \"ping\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "ping" => Ok(Self::Ping),
            "tcp" => Ok(Self::Tcp),
            "ftp" => Ok(Self::Ftp),
            other => Err(unknown(other, "probe", &["ftp", "tcp", "ping"])),
        }
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

pub(super) fn read(mut table: Table<'_>, purpose: Purpose) -> Option<Probe> {
    let kind = table.required::<ProbeKind>("kind").map(Spanned::into_inner)?;
    let mut secret = None;
    let spec = match kind {
        ProbeKind::Ping => {
            table.refuse("ping", "\"ftp\" or \"tcp\"", &["port"]);
            table.refuse("ping", "\"ftp\"", &["username", "password", "list"]);
            Some(ProbeSpec::Ping)
        }
        ProbeKind::Tcp => {
            table.refuse("tcp", "\"ftp\"", &["username", "password", "list"]);
            table.required("port").map(|port| ProbeSpec::Tcp { port: port.into_inner() })
        }
        ProbeKind::Ftp => {
            let mut port = ProbeSpec::FTP_PORT;
            table.set("port", &mut port);
            let username = table.optional::<Username>("username");
            if username.is_some() && !table.has("password") {
                table.lacks("password", PasswordSource::EXPECTED);
            } else if username.is_none() && table.has("password") && !table.has("username") {
                table.lacks("username", Username::EXPECTED);
            }
            let password = table.optional::<PasswordSource>("password").map(|password| {
                let span = password.span();
                let source = match password.into_inner() {
                    PasswordSource::File(path) => PasswordSource::File(table.report.resolve(&path)),
                    PasswordSource::Env(name) => PasswordSource::Env(name),
                };
                secret = password::fetch(&source, span, table.report, purpose);
                source
            });
            let mut list = Listing::Off;
            table.set("list", &mut list);
            let username = username.map_or_else(|| ProbeSpec::FTP_USERNAME.to_owned(), |name| name.into_inner().0);
            Some(ProbeSpec::Ftp { port, username, password, list })
        }
    };
    let mut direct = true;
    table.set("direct", &mut direct);
    let verify = table.optional::<bool>("verify").map(Spanned::into_inner);
    if !direct && verify == Some(false) {
        table.report.error(
            table.span.clone(),
            "this probe would never run: both `direct` and `verify` are false",
            "leave one of them out, or the whole probe",
        );
    }
    table.finish();
    spec.map(|spec| Probe { spec, secret, direct, verify })
}
