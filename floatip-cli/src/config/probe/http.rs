//! `kind = "http"` and `kind = "https"`.

use floatip_probes::{HttpProbe, Secret, SettingError, StatusSet, TlsSettings};
use toml::Spanned;
use toml::de::DeValue;

use super::tls;
use super::{Reading, fetch};
use crate::config::defaults::DefaultSetting;
use crate::config::password::PasswordSource;
use crate::config::setting::Port;
use crate::config::table::{Fault, Setting, Table};

/// A request by HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HttpSpec {
    path: String,
    port: Port,
    method: String,
    host_header: Option<String>,
    headers: Pairs,
    credentials: Option<Credentials>,
    status: StatusSet,
    expect_headers: Pairs,
    body: Option<String>,
    follow: u8,
    tls: Option<TlsSettings>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Credentials {
    Basic { username: String, password: Option<PasswordSource> },
    Bearer(PasswordSource),
}

impl HttpSpec {
    pub(super) const KEYS: &[&str] = &[
        "path",
        "port",
        "method",
        "host_header",
        "headers",
        "username",
        "password",
        "bearer",
        "status",
        "expect_headers",
        "body",
        "follow",
    ];
    pub(super) const TLS_KEYS: &[&str] = &[
        "path",
        "port",
        "method",
        "host_header",
        "headers",
        "username",
        "password",
        "bearer",
        "status",
        "expect_headers",
        "body",
        "follow",
        "ca_file",
        "server_name",
        "pin",
        "warn_days",
    ];

    const PATH: &str = "/";
    const PORT: Port = Port(80);
    const TLS_PORT: Port = Port(443);
    const METHOD: &str = "GET";

    pub(super) fn read(table: &mut Table<'_>, by_tls: bool, reading: &mut Reading) -> Self {
        let mut spec = Self {
            path: Self::PATH.to_owned(),
            port: if by_tls { Self::TLS_PORT } else { Self::PORT },
            method: Self::METHOD.to_owned(),
            host_header: None,
            headers: Pairs::default(),
            credentials: None,
            status: StatusSet::default(),
            expect_headers: Pairs::default(),
            body: None,
            follow: 0,
            tls: by_tls.then(|| tls::settings(table)),
        };
        table.set("path", &mut spec.path);
        table.set("port", &mut spec.port);
        table.set("method", &mut spec.method);
        spec.host_header = table.optional("host_header").map(Spanned::into_inner);
        table.set("headers", &mut spec.headers);
        spec.credentials = Self::credentials(table, reading);
        table.set("status", &mut spec.status);
        table.set("expect_headers", &mut spec.expect_headers);
        spec.body = table.optional("body").map(Spanned::into_inner);
        table.set("follow", &mut spec.follow);
        spec
    }

    fn credentials(table: &mut Table<'_>, reading: &mut Reading) -> Option<Credentials> {
        let username = table.optional::<String>("username").map(Spanned::into_inner);
        if username.is_some() && !table.has("password") {
            table.lacks("password", PasswordSource::EXPECTED);
        } else if username.is_none() && table.has("password") {
            table.lacks("username", "`username = \"monitor\"`");
        }
        if username.is_some() && table.has("bearer") {
            let hint = "leave one of them out";
            table.report.error(table.span.clone(), "`bearer` and `username` are two ways to log in", hint);
        }
        let password = fetch(table, "password", reading);
        let token = fetch(table, "bearer", reading);
        match (username, token) {
            (Some(username), _) => Some(Credentials::Basic { username, password }),
            (None, token) => token.map(Credentials::Bearer),
        }
    }

    pub(super) fn build(&self, secret: Option<Secret>) -> Result<HttpProbe, SettingError> {
        // Where the file is only checked the secret may not be at hand.
        let secret = secret.unwrap_or_else(|| Secret::new(""));
        let mut http = HttpProbe::new(&self.path)?.port(self.port.0)?.method(&self.method)?;
        if let Some(host) = &self.host_header {
            http = http.host(host)?;
        }
        for (name, value) in &self.headers.0 {
            http = http.header(name, value)?;
        }
        http = match &self.credentials {
            Some(Credentials::Basic { username, .. }) => http.basic(username, &secret)?,
            Some(Credentials::Bearer(_)) => http.bearer(&secret)?,
            None => http,
        };
        http = http.status(self.status.clone());
        for (name, pattern) in &self.expect_headers.0 {
            http = http.expect_header(name, pattern)?;
        }
        if let Some(pattern) = &self.body {
            http = http.body(pattern)?;
        }
        if let Some(settings) = &self.tls {
            http = http.tls(settings)?;
        }
        http.follow(self.follow)
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let setting = |key, default, meaning| {
            DefaultSetting::new("[[floating_ip.probe]] # kind = \"http\"", key, default, meaning)
        };
        let quoted = |text: &str| Some(format!("\"{text}\""));
        vec![
            setting("path", quoted(Self::PATH), "what is requested, with a query if it has one"),
            setting("port", Some(Self::PORT.0.to_string()), "a port in `host` overrides it"),
            setting("method", quoted(Self::METHOD), "such as \"HEAD\""),
            setting("host_header", None, "the node's own host"),
            setting("headers", Some("{}".to_owned()), "sent as well, as in { X-Check = \"floatip\" }"),
            setting("username", None, "no login; with it goes `password`, { env = … } or { file = … }"),
            setting("bearer", None, "no login; { env = … } or { file = … } of a token"),
            setting("status", quoted(&StatusSet::default().to_string()), "healthy codes; also 200 or [200, 301]"),
            setting("expect_headers", Some("{}".to_owned()), "regular expressions, as in { Server = \"^nginx\" }"),
            setting("body", None, "a regular expression for the first 64 KiB; the body is not read"),
            setting("follow", Some("0".to_owned()), "redirects within the server that are followed, at most 10"),
        ]
    }

    /// What is not as it is without TLS.
    pub(super) fn tls_defaults() -> Vec<DefaultSetting> {
        let table = "[[floating_ip.probe]] # kind = \"https\"";
        let port = Some(Self::TLS_PORT.0.to_string());
        let port = DefaultSetting::new(table, "port", port, "all else as kind = \"http\", and beside it:");
        [vec![port], tls::setting_defaults(table)].concat()
    }
}

impl Setting for StatusSet {
    const EXPECTED: &'static str = "status codes, as in `status = 200`, \"200-299\" or [200, 301]";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let one = |value: &DeValue<'_>| {
            value.as_integer().map(|code| code.as_str().to_owned()).or(value.as_str().map(str::to_owned))
        };
        let written = match value.as_array() {
            Some(codes) => {
                codes.iter().map(|code| one(code.get_ref())).collect::<Option<Vec<_>>>().map(|c| c.join(","))
            }
            None => one(value),
        };
        let written = written.ok_or(Fault::WrongType)?;
        written.parse().map_err(|error| Fault::invalid(format!("{error}"), format!("write {}", Self::EXPECTED)))
    }
}

/// Names with a text each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Pairs(Vec<(String, String)>);

impl Setting for Pairs {
    const EXPECTED: &'static str = "headers, as in { X-Check = \"floatip\" }";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let pairs = value.as_table().ok_or(Fault::WrongType)?;
        let pair = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            let text = value.get_ref().as_str().ok_or(Fault::WrongType)?;
            Ok((name.clone().into_owned(), text.to_owned()))
        };
        pairs.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }
}
