//! Does a web server do its work?

mod exchange;
mod status;

use std::fmt;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use floatip_core::{HealthProbe, ProbeError, Reason, Target, Verdict};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response};
use regex::bytes::{Regex, RegexBuilder};
use tokio::time::timeout;
use url::Url;

use crate::connection::connect;
use crate::excerpt::excerpt;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::setting;
use crate::tls_client::{HANDSHAKE, TlsClient, TlsSettings};
use crate::{Secret, SettingError};
use exchange::{BODY, LOOKED_THROUGH, RESPONSE, exchange};
pub use status::StatusSet;

/// The port of HTTP.
const PORT: u16 = 80;

/// The port of HTTP by TLS.
const TLS_PORT: u16 = 443;

/// How many redirects may be followed at the most.
const MOST_REDIRECTS: u8 = 10;

/// How much memory a pattern may take, in bytes.
const LARGEST_PATTERN: usize = 1 << 20;

/// A request by HTTP/1.1: healthy if the status is one of a set and, where asked to, headers and body match patterns.
///
/// Every check opens a connection of its own: one that was kept alive would hide that nobody accepts new ones. It sends
/// `Connection: close`, and no cookies; no proxy is used, whatever the environment says.
///
/// The stages that a verdict can name are `connect`, by TLS `TLS handshake`, `response` (status line and headers) and `body`.
///
/// # Redirects
/// They are a response like any other unless [`follow`](Self::follow) says otherwise. Then only those within this very
/// server are followed, each by a connection of its own: one that leads to another host, port or scheme is unhealthy,
/// because it says nothing about this node.
///
/// # Guarantees
/// - At most 64 KiB and 100 headers of a response's head, and 64 KiB of its body, are read, and only as much of the body
///   as the pattern needs. The rest is not fetched.
/// - The secret stands in no text of a verdict, also where the server repeats it.
///
/// # Source
/// RFC 9110 (semantics, redirects in section 15.4), RFC 9112 (HTTP/1.1), RFC 7617 and RFC 6750 (credentials).
#[derive(Debug, Clone)]
pub struct HttpProbe {
    port: Option<u16>,
    method: Method,
    path: String,
    host: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    credentials: Option<Credentials>,
    status: StatusSet,
    expected_headers: Vec<(HeaderName, Regex)>,
    body: Option<Regex>,
    redirects: u8,
    tls: Option<TlsClient>,
}

/// What is sent as `Authorization`, and what of it may not be shown.
#[derive(Debug, Clone)]
struct Credentials {
    header: HeaderValue,
    secrets: Vec<Secret>,
}

impl HttpProbe {
    /// Requests this path, which may have a query, with `GET` on port 80.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if it is no path of a URL that begins with a slash.
    pub fn new(path: &str) -> Result<Self, SettingError> {
        let unusable = |detail: String| SettingError::Unusable { setting: "the path", detail };
        if !path.starts_with('/') {
            return Err(unusable("it does not begin with a slash".to_owned()));
        }
        if let Err(error) = path.parse::<hyper::Uri>() {
            return Err(unusable(error.to_string()));
        }
        Ok(Self {
            port: None,
            method: Method::GET,
            path: path.to_owned(),
            host: None,
            headers: Vec::new(),
            credentials: None,
            status: StatusSet::default(),
            expected_headers: Vec::new(),
            body: None,
            redirects: 0,
            tls: None,
        })
    }

    /// The port of each target whose host does not name another. Default: 80, by TLS 443.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`] if the port is zero.
    pub fn port(mut self, port: u16) -> Result<Self, SettingError> {
        self.port = Some(setting::port(port)?);
        Ok(self)
    }

    /// The method, such as `HEAD`. It should change nothing on the server. Default: `GET`.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if it is none, or `CONNECT`, which is for proxies.
    pub fn method(mut self, method: &str) -> Result<Self, SettingError> {
        let unusable = |detail: String| SettingError::Unusable { setting: "the method", detail };
        self.method = Method::from_bytes(method.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        if self.method == Method::CONNECT {
            return Err(unusable("CONNECT opens a tunnel, and checks nothing".to_owned()));
        }
        Ok(self)
    }

    /// What is sent as `Host`, for servers that serve several names. Default: the target's own host.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if no such header can be sent.
    pub fn host(mut self, host: &str) -> Result<Self, SettingError> {
        let setting = "the host";
        header_value(setting, host)?;
        if host.is_empty() || Url::parse(&format!("http://{host}/")).is_err() {
            return Err(SettingError::Unusable { setting, detail: format!("{host:?} is no host") });
        }
        self.host = Some(host.to_owned());
        Ok(self)
    }

    /// Sends this header as well. A secret belongs in [`basic`](Self::basic) or [`bearer`](Self::bearer).
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if it cannot be sent, or is one that the probe itself sends.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, SettingError> {
        let name = header_name(name)?;
        if [HOST, CONNECTION, AUTHORIZATION, ACCEPT_ENCODING].contains(&name) {
            let detail = format!("{name} is sent by the probe itself, and has a setting of its own if it can be set");
            return Err(SettingError::Unusable { setting: "a header", detail });
        }
        self.headers.push((name, header_value("a header", value)?));
        Ok(self)
    }

    /// Sends this user name and password. Default: no credentials.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if the user name holds a colon, which would end it.
    pub fn basic(mut self, username: &str, password: &Secret) -> Result<Self, SettingError> {
        if username.contains(':') {
            let detail = "a colon in it would end it".to_owned();
            return Err(SettingError::Unusable { setting: "the username", detail });
        }
        let encoded = STANDARD.encode(format!("{username}:{}", password.expose()));
        self.credentials = Some(Credentials::new("Basic", vec![Secret::new(encoded), password.clone()])?);
        Ok(self)
    }

    /// Sends this token. Default: no credentials.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if it cannot stand in a header.
    pub fn bearer(mut self, token: &Secret) -> Result<Self, SettingError> {
        self.credentials = Some(Credentials::new("Bearer", vec![token.clone()])?);
        Ok(self)
    }

    /// Which status codes are healthy. Default: 200 to 399.
    #[must_use]
    pub fn status(mut self, status: StatusSet) -> Self {
        self.status = status;
        self
    }

    /// Expects a header of this name whose value matches this regular expression somewhere. Default: any headers will do.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if either is none.
    pub fn expect_header(mut self, name: &str, pattern: &str) -> Result<Self, SettingError> {
        self.expected_headers.push((header_name(name)?, regex("the pattern of a header", pattern)?));
        Ok(self)
    }

    /// Expects the body to match this regular expression somewhere in its first 64 KiB. Default: the body is not read.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if it is none.
    pub fn body(mut self, pattern: &str) -> Result<Self, SettingError> {
        self.body = Some(regex("the pattern of the body", pattern)?);
        Ok(self)
    }

    /// How many redirects in a row may be followed within the server, at most 10. Default: none.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`].
    pub fn follow(mut self, redirects: u8) -> Result<Self, SettingError> {
        if redirects > MOST_REDIRECTS {
            return Err(SettingError::OutOfRange { setting: "redirects", least: 0, most: MOST_REDIRECTS.into() });
        }
        self.redirects = redirects;
        Ok(self)
    }

    /// Requests by TLS, on port 443 unless another is set. Without a server name of its own the client expects a
    /// certificate for [`host`](Self::host), or else for the target's own host. Default: no TLS.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if the settings are.
    pub fn tls(mut self, settings: &TlsSettings) -> Result<Self, SettingError> {
        self.tls = Some(settings.build()?.afresh());
        Ok(self)
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    fn default_port(&self) -> u16 {
        self.port.unwrap_or(if self.tls.is_some() { TLS_PORT } else { PORT })
    }

    /// The URL as a client of the target writes it.
    fn url(&self, target: &Target) -> Result<Url, Failure> {
        let name = target.host.name();
        let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        let authority = match (&self.host, target.host.port().unwrap_or(self.default_port())) {
            (Some(host), _) => host.clone(),
            (None, port) => format!("{name}:{port}"),
        };
        let url = format!("{}://{authority}{}", self.scheme(), self.path);
        Url::parse(&url)
            .map_err(|error| ProbeError::Unusable { what: format!("{url} is no URL"), source: error.into() }.into())
    }

    fn request(&self, url: &Url) -> Result<Request<Empty<Bytes>>, Failure> {
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(path)
            .header(HOST, host)
            .header(USER_AGENT, concat!("floatip/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT_ENCODING, "identity")
            .header(CONNECTION, "close");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, &credentials.header);
        }
        request.body(Empty::new()).map_err(|error| {
            ProbeError::Unusable { what: format!("{path} cannot be requested"), source: error.into() }.into()
        })
    }

    async fn check(&self, target: &Target, progress: &mut Progress) -> Result<Verdict, Failure> {
        let mut url = self.url(target)?;
        let (mut followed, mut warning) = (0, None);
        loop {
            let request = self.request(&url)?;
            let stream = connect(target, self.default_port(), progress).await?;
            let enough = |head: &Response<()>, body: &[u8]| match &self.body {
                Some(pattern) => !self.status.contains(head.status().as_u16()) || pattern.is_match(body),
                None => true,
            };
            let (head, body) = match &self.tls {
                None => exchange(stream, request, progress, enough).await?,
                Some(client) => {
                    progress.stage = HANDSHAKE;
                    let host = self.host.as_ref().and_then(|host| host.parse().ok());
                    let stream = client.connect(host.as_ref().unwrap_or(&target.host), stream).await?;
                    warning = client.warning(&stream);
                    exchange(stream, request, progress, enough).await?
                }
            };
            let location =
                head.headers().get(LOCATION).filter(|_| self.redirects > 0 && head.status().is_redirection());
            let Some(location) = location else {
                let verdict = self.judge(&head, &body)?;
                return Ok(warning.into_iter().fold(verdict, Verdict::with_warning));
            };
            url = self.redirected(&url, location)?;
            followed += 1;
            if followed > self.redirects {
                let detail = format!("more than {} redirects, the last to {}", self.redirects, url.path());
                return Err(Reason::Unexpected { stage: RESPONSE.into(), detail: self.masked(&detail) }.into());
            }
        }
    }

    fn redirected(&self, url: &Url, location: &HeaderValue) -> Result<Url, Failure> {
        let words = self.masked(&excerpt(location.as_bytes()));
        let next = location.to_str().ok().and_then(|location| url.join(location).ok()).ok_or_else(|| {
            let detail = format!("a redirect to {words:?}, which is no URL");
            Failure::from(Reason::Unexpected { stage: RESPONSE.into(), detail })
        })?;
        if next.origin() == url.origin() {
            return Ok(next);
        }
        let detail = format!("redirects to {words}, which is not this server");
        Err(Reason::Failed { detail }.into())
    }

    fn judge(&self, head: &Response<()>, body: &[u8]) -> Result<Verdict, Reason> {
        let status = head.status();
        if !self.status.contains(status.as_u16()) {
            let words = status.canonical_reason().unwrap_or("(no words)");
            let detail = format!("{words} (healthy: {})", self.status);
            return Err(Reason::Rejected { stage: RESPONSE.into(), code: status.as_u16().into(), detail });
        }
        for (name, pattern) in &self.expected_headers {
            let values = || head.headers().get_all(name).iter();
            if values().any(|value| pattern.is_match(value.as_bytes())) {
                continue;
            }
            let detail = match values().next() {
                Some(value) => format!("header {name} is {:?}, not {pattern}", excerpt(value.as_bytes())),
                None => format!("there is no header {name}"),
            };
            return Err(Reason::Unexpected { stage: RESPONSE.into(), detail: self.masked(&detail) });
        }
        match &self.body {
            Some(pattern) if !pattern.is_match(body) => {
                let cut = if body.len() == LOOKED_THROUGH { "the first 64 KiB do" } else { "it does" };
                let detail = format!("{cut} not match {pattern}; it begins with {:?}", excerpt(body));
                Err(Reason::Unexpected { stage: BODY.into(), detail: self.masked(&detail) })
            }
            Some(_) | None => Ok(Verdict::healthy()),
        }
    }

    fn masked(&self, text: &str) -> String {
        let secrets = self.credentials.iter().flat_map(|credentials| &credentials.secrets);
        secrets.fold(text.to_owned(), |text, secret| secret.masked(&text))
    }
}

impl Credentials {
    fn new(scheme: &str, secrets: Vec<Secret>) -> Result<Self, SettingError> {
        let token = secrets.first().map(Secret::expose).unwrap_or_default();
        let unusable = |_| SettingError::Unusable {
            setting: "the secret",
            detail: "it holds characters that no header may hold".to_owned(),
        };
        let mut header = HeaderValue::from_str(&format!("{scheme} {token}")).map_err(unusable)?;
        header.set_sensitive(true);
        Ok(Self { header, secrets })
    }
}

fn header_name(name: &str) -> Result<HeaderName, SettingError> {
    let unusable = |_| SettingError::Unusable { setting: "a header's name", detail: format!("{name:?} is none") };
    HeaderName::from_bytes(name.as_bytes()).map_err(unusable)
}

fn header_value(setting: &'static str, value: &str) -> Result<HeaderValue, SettingError> {
    let unusable = |_| SettingError::Unusable { setting, detail: format!("{value:?} cannot stand in a header") };
    HeaderValue::from_str(value).map_err(unusable)
}

fn regex(setting: &'static str, pattern: &str) -> Result<Regex, SettingError> {
    let regex = RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build();
    regex.map_err(|error| SettingError::Unusable { setting, detail: error.to_string() })
}

impl fmt::Display for HttpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, status, .. } = self;
        let port = self.default_port();
        write!(f, "{} {method} {path} on port {port}, expecting {status}", self.scheme().to_ascii_uppercase())?;
        match &self.body {
            Some(pattern) => write!(f, " and {pattern}"),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl HealthProbe for HttpProbe {
    fn kind(&self) -> &'static str {
        self.scheme()
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let mut progress = Progress::new();
        let outcome = timeout(target.timeout, self.check(target, &mut progress)).await;
        progress.conclude(target, outcome)
    }
}
