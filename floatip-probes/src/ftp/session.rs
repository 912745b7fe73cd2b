//! A session on a control connection, in clear text or by TLS.

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use floatip_core::{Host, ProbeError, Reason, Target};
use suppaftp::tokio::{AsyncRustlsFtpStream, AsyncRustlsStream, AsyncTlsConnector};
use suppaftp::types::Response;
use suppaftp::{FtpError, FtpResult, Status};
use tokio::net::TcpStream;

use super::FtpProbe;
use super::dialogue::Dialogue;
use super::hidden::{Hidden, STAND_IN};
use super::tls_mode::TlsMode;
use super::{reply, sessions};
use crate::Secret;
use crate::connection::{CONNECT, connect};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::resolve::resolve;
use crate::tls_client::{HANDSHAKE, TlsClient};

pub(super) const BANNER: &str = "banner";
pub(super) const LOGIN: &str = "login";
pub(super) const SESSIONS: &str = "count of sessions";
const PROTECTION: &str = "protection of data";

/// One session with one server.
pub(super) struct Session {
    stream: AsyncRustlsFtpStream,
    pub(super) host: Host,
    pub(super) peer: SocketAddr,
    /// The address at which the server knows this side.
    pub(super) local: IpAddr,
    /// What opens TLS on data connections.
    pub(super) tls: Option<TlsClient>,
    secret: Secret,
    pub(super) dialogue: Dialogue,
    /// What is worth telling as long as the session lasts.
    pub(super) warnings: Vec<String>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, has the server greet, and agrees on TLS where that is asked for.
    pub(super) async fn open(
        probe: &FtpProbe,
        target: &Target,
        progress: &mut Progress,
        dialogue: Dialogue,
    ) -> Result<Self, Failure> {
        let secret = &probe.password;
        let outcome = Arc::new(Mutex::new(Handshake::default()));
        let connector = |client: &TlsClient| Connector {
            client: client.clone(),
            host: target.host.clone(),
            outcome: outcome.clone(),
        };
        let tls = probe.tls.as_ref().map(|(_, client)| client.clone());
        let stream = match &probe.tls {
            Some((TlsMode::Implicit, client)) => {
                let stream = implicit(probe, target, progress, || connector(client), &outcome).await?;
                dialogue.remark(|| "TLS is agreed on".to_owned());
                stream
            }
            Some((TlsMode::Explicit, client)) => {
                let stream = greet(probe, target, progress, &dialogue).await?;
                progress.stage = HANDSHAKE;
                dialogue.sent("AUTH TLS");
                let secured = stream.into_secure(connector(client), target.host.name()).await;
                let secured = secured.map_err(|error| handshake_failure(secret, error, &outcome));
                let secured = secured.inspect(|_| dialogue.remark(|| "TLS is agreed on, for data as well".to_owned()));
                secured.inspect_err(|failure| dialogue.remark(|| failure.to_string()))?
            }
            None => greet(probe, target, progress, &dialogue).await?,
        };
        let lost = |error| Failure::of_conversation(BANNER.into(), &error);
        let (peer, local) = {
            let socket = stream.get_ref().await;
            (socket.peer_addr().map_err(lost)?, socket.local_addr().map_err(lost)?.ip())
        };
        let warnings = lock(&outcome).warning.take().into_iter().collect();
        let secret = secret.clone();
        let mut session = Self { stream, host: target.host.clone(), peer, local, tls, secret, dialogue, warnings };
        session.stream.set_encoding(Hidden(session.secret.clone())).await;
        if let Some((TlsMode::Implicit, _)) = probe.tls {
            progress.stage = PROTECTION;
            session.command(PROTECTION, "PBSZ 0", &[Status::CommandOk]).await?;
            session.command(PROTECTION, "PROT P", &[Status::CommandOk]).await?;
        }
        Ok(session)
    }

    pub(super) async fn log_in(&mut self, username: &str) -> Result<(), Failure> {
        let user = format!("USER {username}");
        let reply = self.command(LOGIN, &user, &[Status::LoggedIn, Status::NeedPassword]).await?;
        if reply.status == Status::LoggedIn {
            return Ok(());
        }
        self.dialogue.sent("PASS ***");
        let expected = [Status::LoggedIn, Status::CommandNotImplemented];
        let reply = self.stream.custom_command(format!("PASS {STAND_IN}"), &expected).await;
        self.judge(LOGIN, reply).map(drop)
    }

    /// How many sessions the server has beside this one, by its greeting or its answer to STAT.
    pub(super) async fn others(&mut self) -> Result<u32, Failure> {
        let mut count = self.stream.get_welcome_msg().and_then(sessions::count);
        if count.is_none() {
            // Where the client expects a 211 it takes the first line for the whole reply, as FEAT needs it. A server that does
            // not know the command tells no number in its refusal.
            count = match self.attempt("STAT", &[]).await {
                Ok(reply) | Err(FtpError::UnexpectedResponse(reply)) => {
                    sessions::count(&String::from_utf8_lossy(&reply.body))
                }
                Err(error) => return Err(self.failure(SESSIONS, error)),
            };
        }
        let count = count.ok_or_else(|| ProbeError::Unusable {
            what: "the server tells its number of sessions neither in its greeting nor in its answer to STAT; have \
                   proftpd say \"You are user number %N of %M\" (DisplayConnect), or ask it by a check of kind exec"
                .to_owned(),
            source: "no number of sessions".into(),
        })?;
        Ok(count.saturating_sub(1))
    }

    /// Sends a command, and reads its reply.
    pub(super) async fn command(
        &mut self,
        stage: &'static str,
        command: &str,
        expected: &[Status],
    ) -> Result<Response, Failure> {
        let reply = self.attempt(command, expected).await;
        reply.map_err(|error| reply::failure(stage, &self.secret, error))
    }

    /// Sends a command whose refusal may be no failure.
    pub(super) async fn attempt(&mut self, command: &str, expected: &[Status]) -> FtpResult<Response> {
        self.dialogue.sent(command);
        let reply = self.stream.custom_command(command, expected).await;
        self.note(&reply);
        reply
    }

    /// Reads a reply that comes without another command.
    pub(super) async fn reply(&mut self, stage: &'static str, expected: &[Status]) -> Result<Response, Failure> {
        let reply = self.stream.read_response_in(expected).await;
        self.judge(stage, reply)
    }

    fn judge(&self, stage: &'static str, reply: FtpResult<Response>) -> Result<Response, Failure> {
        self.note(&reply);
        reply.map_err(|error| reply::failure(stage, &self.secret, error))
    }

    fn note(&self, reply: &FtpResult<Response>) {
        note(&self.dialogue, &self.secret, reply);
    }

    /// A failure at this stage.
    pub(super) fn failure(&self, stage: &'static str, error: FtpError) -> Failure {
        reply::failure(stage, &self.secret, error)
    }

    /// A reply that cannot be understood.
    pub(super) fn unexpected(&self, stage: &'static str, reply: &Response) -> Failure {
        let detail = reply::words(&self.secret, &reply.body);
        Reason::Unexpected { stage: stage.into(), detail }.into()
    }
}

fn note(dialogue: &Dialogue, secret: &Secret, reply: &FtpResult<Response>) {
    match reply {
        Ok(reply) | Err(FtpError::UnexpectedResponse(reply)) => dialogue.heard(secret, &reply.body),
        Err(error) => dialogue.remark(|| secret.masked(&error.to_string())),
    }
}

async fn greet(
    probe: &FtpProbe,
    target: &Target,
    progress: &mut Progress,
    dialogue: &Dialogue,
) -> Result<AsyncRustlsFtpStream, Failure> {
    let socket = connect(target, probe.default_port(), progress).await?;
    dialogue.remark(|| format!("connected to {}", target.host));
    progress.stage = BANNER;
    // The client keeps nothing of a banner that is not FTP's, and an operator wants to see it.
    let mut opening = [0; 128];
    let read = socket.peek(&mut opening).await;
    let length = read.map_err(|error| Failure::of_conversation(BANNER.into(), &error))?;
    let greeted = AsyncRustlsFtpStream::connect_with_stream(socket).await;
    if let Ok(stream) = &greeted {
        dialogue.heard(&probe.password, stream.get_welcome_msg().unwrap_or_default().as_bytes());
    }
    greeted.map_err(|error| {
        if matches!(error, FtpError::BadResponse) {
            let detail = reply::words(&probe.password, &opening[..length]);
            dialogue.heard(&probe.password, &opening[..length]);
            return Reason::Unexpected { stage: BANNER.into(), detail }.into();
        }
        if let FtpError::UnexpectedResponse(reply) = &error {
            dialogue.heard(&probe.password, &reply.body);
        }
        reply::failure(BANNER, &probe.password, error)
    })
}

/// TLS before the first word. The addresses of a name are tried in turn.
async fn implicit(
    probe: &FtpProbe,
    target: &Target,
    progress: &mut Progress,
    connector: impl Fn() -> Connector,
    outcome: &Mutex<Handshake>,
) -> Result<AsyncRustlsFtpStream, Failure> {
    let addresses = resolve(&target.host, target.host.port().unwrap_or(probe.default_port())).await?;
    let mut failure: Option<Failure> = None;
    for address in addresses {
        progress.stage = CONNECT;
        let connecting = AsyncRustlsFtpStream::connect_secure_implicit(address, connector(), target.host.name());
        let mut connecting = pin!(connecting);
        // The client connects and agrees on TLS in one: only the connector knows which of the two it is at.
        let connected = poll_fn(|context| {
            let polled = connecting.as_mut().poll(context);
            if lock(outcome).reached {
                progress.stage = HANDSHAKE;
            }
            polled
        });
        let connected = connected.await;
        let error = match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let reached = lock(outcome).reached;
        match error {
            FtpError::ConnectionError(error) if !reached => {
                let later = Failure::of_contact(CONNECT, CONNECT.into(), error);
                failure = Some(match failure {
                    Some(first) => first.or(later),
                    None => later,
                });
            }
            error @ (FtpError::ConnectionError(_)
            | FtpError::SecureError(_)
            | FtpError::UnexpectedResponse(_)
            | FtpError::BadResponse
            | FtpError::InvalidAddress(_)
            | FtpError::DataConnectionAlreadyOpen) => {
                return Err(handshake_failure(&probe.password, error, outcome));
            }
        }
    }
    Err(failure.expect("a name resolves to at least one address"))
}

/// What an error says that came while TLS was to be agreed on, or from the first words after it.
fn handshake_failure(secret: &Secret, error: FtpError, outcome: &Mutex<Handshake>) -> Failure {
    let handshake = std::mem::take(&mut *lock(outcome));
    let stage = if handshake.agreed { BANNER } else { HANDSHAKE };
    handshake.failure.unwrap_or_else(|| reply::failure(stage, secret, error))
}

/// How far the agreement on TLS came: the client tells it only in words.
#[derive(Debug, Default)]
struct Handshake {
    reached: bool,
    agreed: bool,
    failure: Option<Failure>,
    warning: Option<String>,
}

fn lock(outcome: &Mutex<Handshake>) -> std::sync::MutexGuard<'_, Handshake> {
    outcome.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Connector {
    client: TlsClient,
    host: Host,
    outcome: Arc<Mutex<Handshake>>,
}

#[async_trait]
impl AsyncTlsConnector for Connector {
    type Stream = AsyncRustlsStream;

    async fn connect(&self, _domain: &str, stream: TcpStream) -> FtpResult<AsyncRustlsStream> {
        lock(&self.outcome).reached = true;
        let connected = self.client.connect(&self.host, stream).await;
        let mut outcome = lock(&self.outcome);
        match connected {
            Ok(stream) => {
                outcome.agreed = true;
                outcome.warning = self.client.warning(&stream);
                Ok(stream.into())
            }
            Err(failure) => {
                let words = failure.to_string();
                outcome.failure = Some(failure);
                Err(FtpError::SecureError(words))
            }
        }
    }
}
