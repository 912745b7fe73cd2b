//! Does FTP work?

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Reason, Target, Verdict, Via};
use suppaftp::tokio::AsyncFtpStream;
use suppaftp::types::Response;
use suppaftp::{FtpError, Status};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connection::connect;
use crate::failure::Failure;
use crate::passive::Passive;
use crate::progress::Progress;
use crate::reply;
use crate::setting;
use crate::{Secret, SettingError};

const BANNER: &str = "banner";
const LOGIN: &str = "login";
const DATA_CHANNEL: &str = "data channel";
const LIST: &str = "list";
const QUIT: &str = "quit";

/// The control port of FTP.
const PORT: u16 = 21;

/// How long the server may take to say goodbye before the connection is closed on it.
const FAREWELL: Duration = Duration::from_millis(100);

/// How many bytes of a listing prove that the data channel works.
const LISTING: usize = 64 * 1024;

/// An FTP session as a client has it: healthy if the server greets, accepts the login and, where asked to, sends a
/// listing over a data connection.
///
/// The stages that a verdict can name are `connect`, `banner`, `login` and, with a listing, `data channel` (the server
/// was to say where it waits, to accept the connection, or to send) and `list` (the server was to answer `LIST`, or to
/// confirm that it is complete). A server that hangs, whichever way, is unhealthy at the target's timeout.
///
/// # The data connection
/// It goes to the address of the control connection, whatever address the server names: a node that names the floating
/// address, as it should, would otherwise have the other node's data channel checked in its place. Through the floating
/// address, a reply to `PASV` that names a different one is a warning: clients that believe it connect elsewhere.
///
/// `PASV` is what most clients use over IPv4, so it is tried first there; `EPSV` is the fallback, and the only way over
/// IPv6. The first 64 KiB of a listing are enough: the rest of a longer one is not fetched.
///
/// # Guarantees
/// - The verdict never waits for a server's goodbye longer than 100 ms, and never past the timeout.
/// - The server's words are bounded, on one line, without control characters, and the password is masked in them. It is
///   sent behind the back of the FTP client, which writes every command to its log at level `trace`.
/// - A reply of more than 256 KiB is refused and a listing is not kept, so that memory is bounded whatever is sent.
///
/// # Source
/// RFC 959 (FTP), RFC 2428 (EPSV), RFC 1123 section 4.1.2 (what hosts really do).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FtpProbe {
    username: String,
    password: Secret,
    port: u16,
    list: Option<ListPath>,
}

/// Which directory an [`FtpProbe`] lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPath(Option<String>);

impl ListPath {
    /// The directory in which the server places the user.
    pub fn login_directory() -> Self {
        Self(None)
    }

    /// This directory, as the server names it.
    ///
    /// # Errors
    /// [`SettingError::Empty`] and [`SettingError::LineBreak`].
    pub fn new(path: &str) -> Result<Self, SettingError> {
        if path.is_empty() {
            return Err(SettingError::Empty("the path to list"));
        }
        setting::argument("the path to list", path).map(|path| Self(Some(path.to_owned())))
    }
}

impl FromStr for ListPath {
    type Err = SettingError;

    fn from_str(path: &str) -> Result<Self, SettingError> {
        Self::new(path)
    }
}

impl fmt::Display for ListPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("the login directory"))
    }
}

impl FtpProbe {
    /// Logs in as this user on port 21, and lists nothing.
    ///
    /// # Errors
    /// [`SettingError::Empty`] for the username, [`SettingError::LineBreak`] for either.
    pub fn new(username: &str, password: Secret) -> Result<Self, SettingError> {
        if username.is_empty() {
            return Err(SettingError::Empty("the username"));
        }
        let username = setting::argument("the username", username)?.to_owned();
        setting::argument("the password", password.expose())?;
        Ok(Self { username, password, port: PORT, list: None })
    }

    /// The control port of each target whose host does not name another. Default: 21.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`] if the port is zero.
    pub fn port(mut self, port: u16) -> Result<Self, SettingError> {
        self.port = setting::port(port)?;
        Ok(self)
    }

    /// Has a directory listed over a data connection after the login. Default: no listing.
    #[must_use]
    pub fn list(mut self, path: ListPath) -> Self {
        self.list = Some(path);
        self
    }

    async fn check(&self, target: &Target, progress: &mut Progress) -> Result<Verdict, Failure> {
        let socket = connect(target, self.port, progress).await?;
        progress.stage = BANNER;
        let peer = socket.peer_addr().map_err(|error| Failure::of_conversation(BANNER.into(), &error))?;
        let mut session = self.greet(socket).await?;
        progress.stage = LOGIN;
        self.log_in(&mut session).await?;
        let mut verdict = Verdict::healthy();
        if let Some(path) = &self.list {
            let passive = self.fetch_listing(&mut session, peer, path, progress).await?;
            verdict.warnings.extend(elsewhere(target.via, peer.ip(), passive));
        }
        progress.stage = QUIT;
        progress.settled = Some(verdict.clone());
        // A server that does not answer has been well until now, and is asked again soon.
        timeout(FAREWELL, session.quit()).await.ok();
        Ok(verdict)
    }

    async fn greet(&self, socket: TcpStream) -> Result<AsyncFtpStream, Failure> {
        // The client keeps nothing of a banner that is not FTP's, and an operator wants to see it.
        let mut opening = [0; 128];
        let read = socket.peek(&mut opening).await;
        let length = read.map_err(|error| Failure::of_conversation(BANNER.into(), &error))?;
        AsyncFtpStream::connect_with_stream(socket).await.map_err(|error| {
            if matches!(error, FtpError::BadResponse) {
                let detail = reply::words(&self.password, &opening[..length]);
                return Reason::Unexpected { stage: BANNER.into(), detail }.into();
            }
            self.failure(BANNER, error)
        })
    }

    async fn log_in(&self, session: &mut AsyncFtpStream) -> Result<(), Failure> {
        let user = format!("USER {}", self.username);
        let reply = session.custom_command(user, &[Status::LoggedIn, Status::NeedPassword]).await;
        if reply.map_err(|error| self.failure(LOGIN, error))?.status == Status::LoggedIn {
            return Ok(());
        }
        let sent = self.send_password(session).await;
        sent.map_err(|error| Failure::of_conversation(LOGIN.into(), &error))?;
        let reply = session.read_response_in(&[Status::LoggedIn, Status::CommandNotImplemented]).await;
        reply.map(drop).map_err(|error| self.failure(LOGIN, error))
    }

    async fn send_password(&self, session: &AsyncFtpStream) -> io::Result<()> {
        let control = session.get_ref().await;
        let line = format!("PASS {}\r\n", self.password.expose());
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            control.writable().await?;
            match control.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn fetch_listing(
        &self,
        session: &mut AsyncFtpStream,
        peer: SocketAddr,
        path: &ListPath,
        progress: &mut Progress,
    ) -> Result<Passive, Failure> {
        progress.stage = DATA_CHANNEL;
        let passive = self.passive(session, peer.ip()).await?;
        let mut data = data_connection(SocketAddr::new(peer.ip(), passive.port)).await?;

        progress.stage = LIST;
        let command = match &path.0 {
            Some(path) => format!("LIST {path}"),
            None => "LIST".to_owned(),
        };
        let opening = session.custom_command(command, &[Status::AboutToSend, Status::AlreadyOpen]).await;
        opening.map_err(|error| self.failure(LIST, error))?;

        progress.stage = DATA_CHANNEL;
        let mut chunk = [0; 4096];
        let mut length = 0;
        loop {
            match data.read(&mut chunk).await {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) => return Err(Failure::of_conversation(DATA_CHANNEL.into(), &error)),
            }
            if length >= LISTING {
                return Ok(passive);
            }
        }
        drop(data);

        progress.stage = LIST;
        let complete = session.read_response_in(&[Status::ClosingDataConnection, Status::RequestedFileActionOk]).await;
        complete.map(|_| passive).map_err(|error| self.failure(LIST, error))
    }

    /// Asks where the server waits for a data connection, in the way that suits the address, or else the other.
    async fn passive(&self, session: &mut AsyncFtpStream, peer: IpAddr) -> Result<Passive, Failure> {
        if peer.is_ipv4() {
            match session.custom_command("PASV", &[Status::PassiveMode]).await {
                Ok(reply) => return self.place(&reply, Passive::from_pasv(&reply)),
                Err(FtpError::UnexpectedResponse(refusal)) if matches!(reply::code(&refusal), 500..=599) => {}
                Err(error) => return Err(self.failure(DATA_CHANNEL, error)),
            }
        }
        let reply = session.custom_command("EPSV", &[Status::ExtendedPassiveMode]).await;
        let reply = reply.map_err(|error| self.failure(DATA_CHANNEL, error))?;
        self.place(&reply, Passive::from_epsv(&reply))
    }

    fn place(&self, reply: &Response, passive: Option<Passive>) -> Result<Passive, Failure> {
        passive.ok_or_else(|| {
            let detail = reply::words(&self.password, &reply.body);
            Reason::Unexpected { stage: DATA_CHANNEL.into(), detail }.into()
        })
    }

    fn failure(&self, stage: &'static str, error: FtpError) -> Failure {
        reply::failure(stage, &self.password, error)
    }
}

/// Connects to where the server said that it waits. A refusal there is not that of the service's own port.
async fn data_connection(address: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect(address).await.map_err(|error| {
        let failure = Failure::of_contact("open a data connection", DATA_CHANNEL.into(), error);
        if let Failure::Target(reason @ (Reason::Refused | Reason::Unreachable { .. })) = &failure {
            let detail = format!("data channel to port {}: {reason}", address.port());
            return Reason::Failed { detail }.into();
        }
        failure
    })
}

/// The warning that clients which believe the server's `PASV` reply would be led away from the floating address.
fn elsewhere(via: Via, peer: IpAddr, passive: Passive) -> Option<String> {
    let named = passive.named.map(IpAddr::V4).filter(|named| via == Via::Floating && *named != peer)?;
    Some(format!("PASV names {named}, not {peer}: clients that believe it open their data connection there"))
}

impl fmt::Display for FtpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FTP login as {} on port {}", self.username, self.port)?;
        match &self.list {
            Some(path) => write!(f, ", listing {path}"),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl HealthProbe for FtpProbe {
    fn kind(&self) -> &'static str {
        "ftp"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let mut progress = Progress::new();
        let outcome = timeout(target.timeout, self.check(target, &mut progress)).await;
        progress.conclude(target, outcome)
    }
}
