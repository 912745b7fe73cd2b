//! `[push]`: where nodes may report themselves over the network.

use std::net::SocketAddr;

use floatip_probes::Secret;
use toml::Spanned;
use toml::de::DeValue;

use super::Purpose;
use super::defaults::DefaultSetting;
use super::password::{self, PasswordSource};
use super::table::{Fault, Setting, Table};

/// How short a token may be, in bytes: whoever has it can turn nodes down.
const SHORTEST_TOKEN: usize = 16;

/// A TCP listener for reports.
#[derive(Debug, Clone)]
pub(crate) struct PushConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) token: Secret,
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an address of this machine and a port, such as `listen = \"10.0.0.5:9110\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let written = value.as_str().ok_or(Fault::WrongType)?;
        let hint = format!("write {}", Self::EXPECTED);
        written.parse().map_err(|_| Fault::invalid(format!("{written:?} is no IP address with a port"), hint))
    }
}

/// Where the token of reports is.
#[derive(Debug)]
struct TokenSource(PasswordSource);

impl Setting for TokenSource {
    const EXPECTED: &'static str =
        "`token = { env = \"FLOATIP_PUSH_TOKEN\" }` or { file = \"/etc/floatip/push.token\" }";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        PasswordSource::read(value).map(Self).map_err(|fault| match fault {
            Fault::Invalid { message, .. } => Fault::invalid(message, format!("write {}", Self::EXPECTED)),
            Fault::WrongType => Fault::WrongType,
        })
    }
}

/// The listener; `None` if there is none, or its token is not at hand where the file is only checked.
pub(super) fn read(mut table: Table<'_>, purpose: Purpose) -> Option<PushConfig> {
    let report = table.report;
    let listen = table.required::<SocketAddr>("listen");
    if listen.is_some() && !table.has("token") {
        let hint = format!("whoever reaches it could turn nodes down: add {}", TokenSource::EXPECTED);
        report.error(table.span.clone(), "[push] listens without a `token`", hint);
    }
    let token = table.optional::<TokenSource>("token");
    table.finish();
    let token = token?;
    let span = token.span();
    let source = match token.into_inner().0 {
        PasswordSource::File(path) => PasswordSource::File(report.resolve(&path)),
        PasswordSource::Env(name) => PasswordSource::Env(name),
    };
    let token = password::fetch(&source, span.clone(), report, purpose)?;
    if token.expose().len() < SHORTEST_TOKEN {
        report.error(
            span,
            format!("the token has fewer than {SHORTEST_TOKEN} bytes, and could be guessed"),
            "make one with `openssl rand -hex 32`",
        );
    }
    listen.map(Spanned::into_inner).map(|listen| PushConfig { listen, token })
}

pub(super) fn defaults() -> [DefaultSetting; 2] {
    [
        DefaultSetting::new(
            "[push]",
            "listen",
            None,
            "a TCP address for `floatip report --monitor`: none, only the socket",
        ),
        DefaultSetting::new("[push]", "token", None, "{ env = … } or { file = … }: what such a report must bear"),
    ]
}
