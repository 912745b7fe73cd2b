//! Does FTP work?

mod canary;
mod data;
mod dialogue;
mod hidden;
mod kept;
mod passive;
mod reply;
mod session;
mod sessions;
mod tls_mode;
mod transfer;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Reason, Target, Verdict, Via};
use suppaftp::Status;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::setting;
use crate::tls_client::{TlsClient, TlsSettings};
use crate::{Secret, SettingError};
pub use canary::Canary;
pub use data::DataMode;
use dialogue::Dialogue;
pub use dialogue::{Line, Speaker};
use kept::KeptSessions;
use passive::Passive;
use session::{BANNER, LOGIN, SESSIONS, Session};
pub use tls_mode::TlsMode;
use transfer::Transfer;

const LIST: &str = "list";
const RETRIEVE: &str = "retrieve";
const STORE: &str = "store";
const QUIT: &str = "quit";

/// The control port of FTP.
const PORT: u16 = 21;

/// The control port of FTP by implicit TLS.
const IMPLICIT_PORT: u16 = 990;

/// How long the server may take to say goodbye before the connection is closed on it.
const FAREWELL: Duration = Duration::from_millis(100);

/// A session of FTP as a client has it: healthy if the server greets, accepts the login and, where asked to, lists a
/// folder, hands out a known file and takes one.
///
/// The stages that a verdict can name are `connect`, `banner`, `TLS handshake`, `login`, `data channel` (one side was to
/// say where it waits, to connect, or to send), and `list`, `retrieve` and `store` (the server was to answer the command,
/// or to confirm that the transfer is complete). A server that hangs, whichever way, is unhealthy at the target's
/// timeout; so a login that is refused (`login rejected ... 530`) is told from one that is not answered (`timed out at
/// login`).
///
/// # Busy
/// A server that turns the probe away with 421 lives, and serves others: the verdict is [`Verdict::busy`], which counts
/// apart, not as a failure. A server that says with it that it is shutting down is unhealthy.
///
/// # The data connection
/// It goes to the address of the control connection, whatever address the server names: a node that names the floating
/// address, as it should, would otherwise have the other node's data channel checked in its place. A reply to `PASV` that
/// names an address which leads clients elsewhere is a warning, or a failure: see
/// [`passive_mismatch`](Self::passive_mismatch).
///
/// The first 64 KiB of a listing are enough: the rest of a longer one is not fetched.
///
/// # Guarantees
/// - The verdict never waits for a server's goodbye longer than 100 ms, and never past the timeout.
/// - The server's words are bounded, on one line, without control characters, and the password is masked in them. The FTP
///   client, which writes every command to its log, never sees the password.
/// - A reply of more than 256 KiB is refused, and what is transferred is not kept, so that memory is bounded whatever is
///   sent.
///
/// # Source
/// RFC 959 (FTP), RFC 2428 (EPSV, EPRT), RFC 3659 (SIZE), RFC 4217 (TLS), RFC 1123 section 4.1.2 (what hosts really do).
#[derive(Debug, Clone)]
pub struct FtpProbe {
    username: String,
    password: Secret,
    port: Option<u16>,
    tls: Option<(TlsMode, TlsClient)>,
    mode: DataMode,
    list: Option<ListPath>,
    retrieve: Option<Canary>,
    store: Option<ListPath>,
    expect_passive: Vec<IpAddr>,
    passive_mismatch: PassiveMismatch,
    kept: Option<KeptSessions>,
    max_sessions: Option<u32>,
}

/// What follows if a server names an address for data connections that leads clients elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PassiveMismatch {
    /// A warning. Servers are often configured alike, and then a move would mend nothing.
    #[default]
    Warn,
    /// The server is unhealthy.
    Unhealthy,
}

/// A directory on the server: which one an [`FtpProbe`] lists, or stores in.
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
    /// Logs in as this user on port 21, in clear text, and transfers nothing.
    ///
    /// # Errors
    /// [`SettingError::Empty`] for the username, [`SettingError::LineBreak`] for either.
    pub fn new(username: &str, password: Secret) -> Result<Self, SettingError> {
        if username.is_empty() {
            return Err(SettingError::Empty("the username"));
        }
        let username = setting::argument("the username", username)?.to_owned();
        setting::argument("the password", password.expose())?;
        Ok(Self {
            username,
            password,
            port: None,
            tls: None,
            mode: DataMode::default(),
            list: None,
            retrieve: None,
            store: None,
            expect_passive: Vec::new(),
            passive_mismatch: PassiveMismatch::default(),
            kept: None,
            max_sessions: None,
        })
    }

    /// The control port of each target whose host does not name another. Default: 21, or 990 with implicit TLS.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`] if the port is zero.
    pub fn port(mut self, port: u16) -> Result<Self, SettingError> {
        self.port = Some(setting::port(port)?);
        Ok(self)
    }

    /// Has the session and its data connections protected by TLS. Default: clear text.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if the trusted authorities cannot be read, or the server name is none.
    pub fn tls(mut self, mode: TlsMode, settings: &TlsSettings) -> Result<Self, SettingError> {
        self.tls = Some((mode, settings.build()?));
        Ok(self)
    }

    /// Who opens data connections, and how. Default: [`DataMode::Passive`].
    #[must_use]
    pub fn mode(mut self, mode: DataMode) -> Self {
        self.mode = mode;
        self
    }

    /// Has a directory listed over a data connection after the login. Default: no listing.
    #[must_use]
    pub fn list(mut self, path: ListPath) -> Self {
        self.list = Some(path);
        self
    }

    /// Has a known file handed out over a data connection. Default: none.
    #[must_use]
    pub fn retrieve(mut self, canary: Canary) -> Self {
        self.retrieve = Some(canary);
        self
    }

    /// Stores a file of some bytes in this folder, under one of 16 temporary names of this process (`.floatip-...`), and
    /// deletes it again. A file that cannot be deleted is a warning. Default: none.
    #[must_use]
    pub fn store(mut self, folder: ListPath) -> Self {
        self.store = Some(folder);
        self
    }

    /// Addresses that the reply to `PASV` may name beside the one of the control connection: the floating address, for
    /// checks of the nodes by their own hosts, and whatever a server behind NAT rightly names. Default: none.
    #[must_use]
    pub fn expect_passive(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.expect_passive.extend(addresses);
        self
    }

    /// What follows if the reply to `PASV` names any other address. Default: [`PassiveMismatch::Warn`].
    #[must_use]
    pub fn passive_mismatch(mut self, mismatch: PassiveMismatch) -> Self {
        self.passive_mismatch = mismatch;
        self
    }

    /// Keeps one session with each node, checks in full only once in `full_every`, and asks with `NOOP` in between: for
    /// servers that allow few sessions. Through the floating address every check stays a full one with a session of its
    /// own, because a kept one would still be with the former holder. Default: a new session each time.
    ///
    /// A kept session cannot see that the server accepts no others any more: such a failure is noticed `full_every` later.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if `full_every` is zero.
    pub fn keep_session(mut self, full_every: Duration) -> Result<Self, SettingError> {
        if full_every.is_zero() {
            let detail = "a session that is checked in full each time need not be kept".to_owned();
            return Err(SettingError::Unusable { setting: "the time between full checks", detail });
        }
        self.kept = Some(KeptSessions::new(full_every));
        Ok(self)
    }

    /// Has the server tell how many sessions it has beside this one; with more than `most` it is unhealthy. This is how a
    /// check tells whether a server is idle ([`Role::TellsIdle`](floatip_core::Role::TellsIdle)). The number is in the
    /// greeting of pure-ftpd, and of proftpd with `DisplayConnect "You are user number %N of %M"`, and in the answer of
    /// vsftpd to `STAT`; a server that tells none gives no verdict. Other checks of the same server are sessions too. Every
    /// check has a session of its own then. Default: not asked.
    #[must_use]
    pub fn max_sessions(mut self, most: u32) -> Self {
        self.max_sessions = Some(most);
        self
    }

    /// As [`probe`](HealthProbe::probe), with what was said on the control connection, the password masked: also of a
    /// check that ended at its deadline.
    ///
    /// # Errors
    /// As those of `probe`, within the pair.
    pub async fn explain(&self, target: &Target) -> (Result<Verdict, ProbeError>, Vec<Line>) {
        let dialogue = Dialogue::recorded();
        let outcome = self.check_in_time(target, dialogue.clone()).await;
        (outcome, dialogue.lines())
    }

    async fn check_in_time(&self, target: &Target, dialogue: Dialogue) -> Result<Verdict, ProbeError> {
        let mut progress = Progress::new();
        let outcome = timeout(target.timeout, self.check(target, &mut progress, dialogue)).await;
        progress.conclude(target, outcome)
    }

    async fn check(&self, target: &Target, progress: &mut Progress, dialogue: Dialogue) -> Result<Verdict, Failure> {
        let kept = self.kept.as_ref().filter(|_| target.via == Via::Direct && self.max_sessions.is_none());
        if let Some(kept) = kept {
            progress.stage = "kept session";
            if let Some(warnings) = kept.answers(target, &dialogue).await {
                return Ok(warnings.into_iter().fold(Verdict::healthy(), Verdict::with_warning));
            }
        }
        let mut session = match self.enter(target, progress, dialogue).await {
            Ok(session) => session,
            Err(failure) => return busy(failure),
        };
        if let Some(most) = self.max_sessions {
            progress.stage = SESSIONS;
            let others = session.others().await?;
            if others > most {
                let detail = format!("{others} other sessions are open, and at most {most} may be");
                return Err(Reason::Failed { detail }.into());
            }
        }
        self.transfer(&mut session, progress, kept.is_some()).await?;
        let verdict = session.warnings.iter().cloned().fold(Verdict::healthy(), Verdict::with_warning);
        match kept {
            Some(kept) => kept.keep(target, session),
            None => {
                progress.stage = QUIT;
                progress.settled = Some(verdict.clone());
                // A server that does not answer has been well until now, and is asked again soon.
                timeout(FAREWELL, session.attempt("QUIT", &[Status::Closing])).await.ok();
            }
        }
        Ok(verdict)
    }

    async fn enter(&self, target: &Target, progress: &mut Progress, dialogue: Dialogue) -> Result<Session, Failure> {
        let mut session = Session::open(self, target, progress, dialogue).await?;
        progress.stage = LOGIN;
        session.log_in(&self.username).await?;
        Ok(session)
    }

    async fn transfer(&self, session: &mut Session, progress: &mut Progress, kept: bool) -> Result<(), Failure> {
        let mut warnings = Vec::new();
        let mut named = Vec::new();
        let mut transfer = Transfer { session, mode: self.mode, progress };
        if let Some(path) = &self.list {
            let more = kept || self.retrieve.is_some() || self.store.is_some();
            named.extend(transfer.list(path.0.as_deref(), more).await?);
        }
        if let Some(canary) = &self.retrieve {
            named.extend(transfer.retrieve(canary).await?);
        }
        if let Some(folder) = &self.store {
            let (passive, warning) = transfer.store(folder.0.as_deref()).await?;
            named.extend(passive);
            warnings.extend(warning);
        }
        let peer = session.peer.ip();
        if let Some(elsewhere) = named.iter().find_map(|passive| self.elsewhere(peer, passive)) {
            match self.passive_mismatch {
                PassiveMismatch::Unhealthy => return Err(Reason::Failed { detail: elsewhere }.into()),
                PassiveMismatch::Warn => warnings.push(elsewhere),
            }
        }
        session.warnings.extend(warnings);
        Ok(())
    }

    /// What clients are led into that believe the server's reply to `PASV`.
    fn elsewhere(&self, peer: IpAddr, passive: &Passive) -> Option<String> {
        let named = IpAddr::V4(passive.named?);
        if named == peer.to_canonical() || self.expect_passive.contains(&named) {
            return None;
        }
        Some(format!(
            "the server advertises {named} for data connections: clients through the floating address will hang"
        ))
    }

    fn default_port(&self) -> u16 {
        match (self.port, &self.tls) {
            (Some(port), _) => port,
            (None, Some((TlsMode::Implicit, _))) => IMPLICIT_PORT,
            (None, Some((TlsMode::Explicit, _)) | None) => PORT,
        }
    }
}

/// A server at its limit of sessions lives.
///
/// # Source
/// RFC 959, section 4.2.2: 421 is "service not available", of which servers make use for their limits.
fn busy(failure: Failure) -> Result<Verdict, Failure> {
    match failure {
        Failure::Target(Reason::Rejected { stage, code: 421, detail })
            if (stage == BANNER || stage == LOGIN) && !speaks_of_its_end(&detail) =>
        {
            Ok(Verdict::busy(detail))
        }
        failure @ (Failure::Target(_) | Failure::Prober(_)) => Err(failure),
    }
}

fn speaks_of_its_end(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["shut down", "shutting down", "shutdown"].iter().any(|end| words.contains(end))
}

impl fmt::Display for FtpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "FTPS" } else { "FTP" };
        write!(f, "{scheme} login as {} on port {}", self.username, self.default_port())?;
        if let Some(path) = &self.list {
            write!(f, ", listing {path}")?;
        }
        if let Some(canary) = &self.retrieve {
            write!(f, ", retrieving {}", canary.path)?;
        }
        if let Some(folder) = &self.store {
            write!(f, ", storing in {folder}")?;
        }
        if let Some(most) = self.max_sessions {
            write!(f, ", at most {most} other sessions")?;
        }
        Ok(())
    }
}

#[async_trait]
impl HealthProbe for FtpProbe {
    fn kind(&self) -> &'static str {
        "ftp"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        self.check_in_time(target, Dialogue::default()).await
    }
}
