//! The TCP listener of `[push]`: reports of nodes, and nothing else, from whoever has the token.
//!
//! Strangers may reach it, so everything is bounded: how many connections there are, how long one lasts, how much it
//! sends. It speaks plain HTTP: the token is for a network that others do not listen in on.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use axum::{Json, Router};
use floatip_probes::Secret;
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tracing::{info, warn};

use super::report;
use crate::config::PushConfig;
use crate::exit::Failure;
use crate::reports::Reports;

/// How many connections there may be at once; more wait.
const CONNECTIONS: usize = 64;
/// How long one may last.
const LIFETIME: Duration = Duration::from_secs(10);
/// How many bytes a report may have.
const LONGEST_REPORT: usize = 4096;
/// How often a wrong token is logged at most.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// How long is waited after a connection could not be accepted, as for want of a descriptor.
const RECOVERY: Duration = Duration::from_secs(1);

/// A bound listener.
#[derive(Debug)]
pub(crate) struct PushListener {
    listener: TcpListener,
    token: Secret,
}

/// Who may report, and when a stranger was last told of.
#[derive(Debug, Clone)]
struct Guard {
    token: Secret,
    warned: Arc<Mutex<Option<Instant>>>,
}

impl PushListener {
    pub(crate) async fn bind(config: &PushConfig) -> Result<Self, Failure> {
        let PushConfig { listen, token } = config;
        let listener = TcpListener::bind(listen).await.map_err(|source| Failure::File {
            action: "listen for reports at",
            path: listen.to_string().into(),
            hint: " (see `listen` of [push]: it takes an address of this machine and a port that is free)",
            source,
        })?;
        info!(address = %listener.local_addr().map_or(*listen, |address| address), "taking reports of nodes");
        Ok(Self { listener, token: token.clone() })
    }

    /// Takes reports until `shutdown` completes.
    pub(crate) async fn serve(
        self,
        reports: Reports,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let guard = Guard { token: self.token, warned: Arc::default() };
        let app = Router::new()
            .route("/v1/report", post(report::take))
            .with_state(reports)
            .layer(DefaultBodyLimit::max(LONGEST_REPORT))
            .layer(from_fn_with_state(guard, admit));
        let bounded = Bounded { listener: self.listener, room: Arc::new(Semaphore::new(CONNECTIONS)) };
        axum::serve(bounded, app).with_graceful_shutdown(shutdown).await
    }
}

/// Lets requests pass that bear the token, before anything of their bodies is read.
async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let said = request.headers().get(AUTHORIZATION).and_then(|said| said.as_bytes().strip_prefix(b"Bearer "));
    // Of the token it takes the same time to find any byte wrong; its length is no secret.
    if said.is_some_and(|said| bool::from(said.ct_eq(guard.token.expose().as_bytes()))) {
        return next.run(request).await;
    }
    guard.warn();
    let message = "the token is missing or wrong: it is that of `token` in the monitor's [push]";
    (StatusCode::UNAUTHORIZED, Json(json!({ "message": message }))).into_response()
}

impl Guard {
    fn warn(&self) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|warned| warned.elapsed() > WARN_EVERY) {
            *warned = Some(Instant::now());
            warn!("a report without the right token was refused (told once a minute at most)");
        }
    }
}

/// Accepts so many connections at once, for so long each.
#[derive(Debug)]
struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let Ok(room) = self.room.clone().acquire_owned().await else { std::future::pending().await };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    return (Connection { stream, ends: Box::pin(sleep(LIFETIME)), _room: room }, address);
                }
                Err(error) => {
                    warn!(%error, "a report could not be taken");
                    sleep(RECOVERY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection, which fails once its time is over.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    ends: Pin<Box<Sleep>>,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    /// Fails once the time is over; until then it sees to it that this is noticed.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.ends.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
