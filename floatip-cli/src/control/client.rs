//! The commands' side of the control socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use floatip_probes::Secret;
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{ReportRequest, socket_hint};
use crate::exit::Failure;

/// How long a monitor may take to say what it knows. A move takes as long as it takes.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);
/// The host of a URL says nothing on a Unix socket.
const BASE: &str = "http://monitor/v1";

/// Talks to a running monitor.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
}

impl Client {
    /// Makes sure that a monitor listens there.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, Failure> {
        if let Err(source) = UnixStream::connect(socket).await {
            let socket = socket.to_owned();
            if !matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) {
                return Err(Failure::NoMonitor { socket, source });
            }
            let hint = socket_hint(&source, " (its owner and group only may: use sudo, or join the group)");
            return Err(Failure::File { action: "talk to the monitor at", path: socket, hint, source });
        }
        let http = reqwest::Client::builder().unix_socket(socket).no_proxy().build()?;
        Ok(Self { http })
    }

    /// What the monitor knows of all its floating IPs.
    pub(crate) async fn status(&self) -> Result<Value, Failure> {
        answer(self.http.get(format!("{BASE}/status")).timeout(STATUS_TIMEOUT)).await
    }

    /// What was decided about one floating IP.
    pub(crate) async fn history(&self, floating_ip: &str) -> Result<Value, Failure> {
        answer(self.http.get(url(floating_ip, "history")?).timeout(STATUS_TIMEOUT)).await
    }

    /// What a node says of itself.
    pub(crate) async fn report(&self, report: &ReportRequest) -> Result<Value, Failure> {
        answer(self.http.post(format!("{BASE}/report")).timeout(STATUS_TIMEOUT).json(report)).await
    }

    /// The same, over the network.
    pub(crate) async fn report_to(address: &str, token: &Secret, report: &ReportRequest) -> Result<Value, Failure> {
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build()?;
        let unusable = |error| Failure::Refused(format!("{address:?} is no address such as 10.0.0.5:9110: {error}"));
        let url = Url::parse(&format!("http://{address}/v1/report")).map_err(unusable)?;
        let request = http.post(url).bearer_auth(token.expose()).timeout(STATUS_TIMEOUT).json(report);
        match answer(request).await {
            Err(Failure::NoAnswer(source)) if source.is_connect() => {
                Err(Failure::NoListener { address: address.to_owned(), source })
            }
            answered => answered,
        }
    }

    /// Asks something of one floating IP, and waits for how it ends.
    pub(crate) async fn command(
        &self,
        floating_ip: &str,
        verb: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Value, Failure> {
        let request = self.http.request(Method::POST, url(floating_ip, verb)?);
        answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }
}

/// The address of something of one floating IP.
fn url(floating_ip: &str, what: &str) -> Result<Url, Failure> {
    let mut url = Url::parse(BASE).map_err(|error| Failure::Refused(error.to_string()))?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.extend(["floating-ips", floating_ip, what]);
    }
    Ok(url)
}

async fn answer(request: RequestBuilder) -> Result<Value, Failure> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if status.is_success() {
        return Ok(body);
    }
    let said = body["message"].as_str().or(body.as_str()).filter(|said| !said.is_empty());
    let message = said.map_or_else(
        || format!("the monitor answered {status}: is the name right, and is the monitor of this version?"),
        str::to_owned,
    );
    Err(match status {
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE => Failure::MoveFailed(message),
        _ => Failure::Refused(message),
    })
}
