//! What is sent over data connections: a listing, a known file, and a file of the probe's own.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use floatip_core::Reason;
use sha2::{Digest, Sha256};
use suppaftp::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::canary::Canary;
use super::data::{Channel, DATA_CHANNEL, DataMode};
use super::passive::Passive;
use super::session::Session;
use super::{LIST, RETRIEVE, STORE};
use crate::failure::Failure;
use crate::progress::Progress;

/// How many bytes of a listing prove that the data channel works.
const LISTING: usize = 64 * 1024;

/// What a stored file holds.
const CONTENT: &[u8] = b"floatip checks that files can be stored here\r\n";

/// How many names stored files take turns with: whatever goes wrong, no more than these are left behind.
const NAMES: u32 = 16;

/// How long a file that was not stored may take to be deleted.
const CLEARANCE: Duration = Duration::from_millis(200);

const OPENED: [Status; 2] = [Status::AboutToSend, Status::AlreadyOpen];
const COMPLETE: [Status; 2] = [Status::ClosingDataConnection, Status::RequestedFileActionOk];
/// How servers confirm a transfer, or that its other end has gone.
const ENDED: [Status; 4] =
    [Status::ClosingDataConnection, Status::RequestedFileActionOk, Status::TransferAborted, Status::ActionAborted];

/// One check's transfers.
pub(super) struct Transfer<'a> {
    pub(super) session: &'a mut Session,
    pub(super) mode: DataMode,
    pub(super) progress: &'a mut Progress,
}

impl Transfer<'_> {
    /// Lists a folder. `more` says whether the session goes on, so that it must be brought to an end in order.
    pub(super) async fn list(&mut self, path: Option<&str>, more: bool) -> Result<Option<Passive>, Failure> {
        let command = match path {
            Some(path) => format!("LIST {path}"),
            None => "LIST".to_owned(),
        };
        let (mut channel, passive) = self.begin(LIST, &command).await?;
        let mut chunk = [0; 4096];
        let mut length = 0;
        while length < LISTING {
            match self.read(&mut channel, &mut chunk).await? {
                0 => break,
                read => length += read,
            }
        }
        drop(channel);
        self.progress.stage = LIST;
        if length < LISTING {
            self.session.reply(LIST, &COMPLETE).await?;
        } else if more {
            self.session.reply(LIST, &ENDED).await?;
        }
        Ok(passive)
    }

    pub(super) async fn retrieve(&mut self, canary: &Canary) -> Result<Option<Passive>, Failure> {
        self.binary(RETRIEVE).await?;
        let size = match canary.size {
            Some(size) => Some(size),
            None => self.size(&canary.path).await,
        };
        let (mut channel, passive) = self.begin(RETRIEVE, &format!("RETR {}", canary.path)).await?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; 16 * 1024];
        let mut length: u64 = 0;
        loop {
            let read = self.read(&mut channel, &mut chunk).await?;
            if read == 0 {
                break;
            }
            length += read as u64;
            hash.update(&chunk[..read]);
            if length > size.unwrap_or(Canary::LARGEST) {
                let detail = format!("{} has more than {} bytes", canary.path, size.unwrap_or(Canary::LARGEST));
                return Err(failed(detail));
            }
        }
        drop(channel);
        self.progress.stage = RETRIEVE;
        self.session.reply(RETRIEVE, &COMPLETE).await?;
        if let Some(size) = size.filter(|size| *size != length) {
            return Err(failed(format!("{length} of the {size} bytes of {} arrived", canary.path)));
        }
        if canary.sha256.is_some_and(|expected| expected != <[u8; 32]>::from(hash.finalize())) {
            return Err(failed(format!("the content of {} is not the expected one: its SHA-256 differs", canary.path)));
        }
        Ok(passive)
    }

    /// Stores a file under a temporary name, and deletes it; with a warning if that is refused.
    pub(super) async fn store(&mut self, folder: Option<&str>) -> Result<(Option<Passive>, Option<String>), Failure> {
        self.binary(STORE).await?;
        let path = temporary(folder);
        let stored = self.put(&path).await;
        self.progress.stage = STORE;
        let deletion = format!("DELE {path}");
        match stored {
            Ok(passive) => {
                let deleted = self.session.attempt(&deletion, &COMPLETE).await;
                let warning = deleted.err().map(|error| {
                    let failure = self.session.failure(STORE, error);
                    format!("{path} was stored, and could not be deleted: {failure}")
                });
                Ok((passive, warning))
            }
            Err(failure) => {
                // A file that was begun takes room where there may be none left.
                timeout(CLEARANCE, self.session.attempt(&deletion, &COMPLETE)).await.ok();
                Err(failure)
            }
        }
    }

    async fn put(&mut self, path: &str) -> Result<Option<Passive>, Failure> {
        let (mut channel, passive) = self.begin(STORE, &format!("STOR {path}")).await?;
        let sent = async {
            channel.write_all(CONTENT).await?;
            channel.shutdown().await
        };
        let sent = sent.await;
        drop(channel);
        self.progress.stage = STORE;
        // The server's own words say more than a connection that it has closed.
        self.session.reply(STORE, &COMPLETE).await?;
        sent.map_err(|error| Failure::of_conversation(DATA_CHANNEL.into(), &error))?;
        Ok(passive)
    }

    async fn begin(
        &mut self,
        stage: &'static str,
        command: &str,
    ) -> Result<(Box<dyn Channel>, Option<Passive>), Failure> {
        self.progress.stage = DATA_CHANNEL;
        let (opening, passive) = self.session.prepare(self.mode).await?;
        self.progress.stage = stage;
        self.session.command(stage, command, &OPENED).await?;
        self.progress.stage = DATA_CHANNEL;
        Ok((self.session.channel(opening).await?, passive))
    }

    /// Whatever ends in an orderly way is complete; a peer that closes without TLS's farewell has not said that.
    async fn read(&mut self, channel: &mut Box<dyn Channel>, chunk: &mut [u8]) -> Result<usize, Failure> {
        match channel.read(chunk).await {
            Ok(read) => Ok(read),
            // Many servers leave the farewell of TLS out; the reply on the control connection tells whether all was sent.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && self.session.tls.is_some() => Ok(0),
            Err(error) => Err(Failure::of_conversation(DATA_CHANNEL.into(), &error)),
        }
    }

    async fn binary(&mut self, stage: &'static str) -> Result<(), Failure> {
        self.progress.stage = stage;
        self.session.command(stage, "TYPE I", &[Status::CommandOk]).await.map(drop)
    }

    /// The size that the server says; servers that do not know `SIZE` say none.
    async fn size(&mut self, path: &str) -> Option<u64> {
        let reply = self.session.attempt(&format!("SIZE {path}"), &[Status::File]).await.ok()?;
        String::from_utf8_lossy(reply.body.get(4..)?).trim().parse().ok()
    }
}

fn failed(detail: String) -> Failure {
    Reason::Failed { detail }.into()
}

/// A name that no other monitor uses.
fn temporary(folder: Option<&str>) -> String {
    static MONITOR: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static TURN: AtomicU32 = AtomicU32::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed) % NAMES;
    let name = format!(".floatip-{:016x}-{turn}", *MONITOR);
    match folder {
        Some(folder) => format!("{}/{name}", folder.trim_end_matches('/')),
        None => name,
    }
}
