//! Does something listen, and does it answer?

use std::fmt;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Reason, Target, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::SettingError;
use crate::connection::{connect, knock};
use crate::excerpt::excerpt;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::setting;

const SEND: &str = "send";
const ANSWER: &str = "answer";

/// How many bytes of an answer are looked through.
const LOOKED_THROUGH: usize = 64 * 1024;

/// How long what is expected may be, in bytes.
const LONGEST_EXPECTED: usize = 4096;

/// A TCP connection to a port: healthy if it is accepted and, where asked to, if the answer to what is sent holds what is
/// expected.
///
/// Without an exchange it proves that the kernel of the target answers and that a program has the port open. A program
/// that hangs passes this check for as long as the kernel has room in its accept queue: where that matters, set an
/// [exchange](Self::exchange), or use the probe of the protocol.
///
/// The stages that a verdict can name are `connect`, `send` and `answer`. The connection is reset rather than closed, so
/// that checks of thousands of targets leave nothing in TIME_WAIT on the prober's side. Without an exchange it is reset, on
/// Linux, before the handshake's last packet: the target's kernel has answered, and its program is not woken.
///
/// # Source
/// RFC 9293, section 3.10.7.4 (a reset aborts without TIME_WAIT); tcp(7), TCP_QUICKACK, as HAProxy uses it; RFC 792 and RFC 4443 for what "unreachable" is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProbe {
    port: u16,
    exchange: Option<Exchange>,
}

/// What is sent, and what must come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exchange {
    send: Vec<u8>,
    expect: Vec<u8>,
}

impl TcpProbe {
    /// Connects to this port of each target whose host does not name another.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`] if the port is zero.
    pub fn new(port: u16) -> Result<Self, SettingError> {
        Ok(Self { port: setting::port(port)?, exchange: None })
    }

    /// Sends these bytes (none, where the server speaks first) and reads until these come: anywhere within the first
    /// 64 KiB, exactly as they are written. A secret has no place in either. Default: only the connection counts.
    ///
    /// # Errors
    /// [`SettingError::Empty`] if nothing is expected, [`SettingError::Unusable`] if it is longer than 4 KiB.
    pub fn exchange(mut self, send: impl Into<Vec<u8>>, expect: impl Into<Vec<u8>>) -> Result<Self, SettingError> {
        let (send, expect) = (send.into(), expect.into());
        let setting = "what is expected";
        match expect.len() {
            0 => return Err(SettingError::Empty(setting)),
            1..=LONGEST_EXPECTED => self.exchange = Some(Exchange { send, expect }),
            length => {
                let detail = format!("it has {length} bytes of at most {LONGEST_EXPECTED}");
                return Err(SettingError::Unusable { setting, detail });
            }
        }
        Ok(self)
    }

    async fn check(&self, target: &Target, progress: &mut Progress) -> Result<Verdict, Failure> {
        match &self.exchange {
            None => knock(target, self.port, progress).await?,
            // On the heap, so that a check that only connects does not carry the room for an answer about.
            Some(exchange) => Box::pin(self.talk(exchange, target, progress)).await?,
        }
        Ok(Verdict::healthy())
    }

    async fn talk(&self, exchange: &Exchange, target: &Target, progress: &mut Progress) -> Result<(), Failure> {
        let mut stream = connect(target, self.port, progress).await?;
        // Worth a TIME_WAIT entry, not a verdict.
        stream.set_zero_linger().ok();
        exchange.hold(&mut stream, progress).await
    }
}

impl Exchange {
    async fn hold(&self, stream: &mut TcpStream, progress: &mut Progress) -> Result<(), Failure> {
        progress.stage = SEND;
        let sent = stream.write_all(&self.send).await;
        sent.map_err(|error| Failure::of_conversation(SEND.into(), &error))?;
        progress.stage = ANSWER;
        let mut heard = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = stream.read(&mut chunk).await;
            let read = read.map_err(|error| Failure::of_conversation(ANSWER.into(), &error))?;
            let from = heard.len().saturating_sub(self.expect.len() - 1);
            heard.extend_from_slice(&chunk[..read]);
            if heard[from..].windows(self.expect.len()).any(|window| window == self.expect) {
                return Ok(());
            }
            if read == 0 || heard.len() >= LOOKED_THROUGH {
                return Err(self.missing(&heard, read == 0).into());
            }
        }
    }

    fn missing(&self, heard: &[u8], closed: bool) -> Reason {
        let expected = excerpt(&self.expect);
        match (closed, heard) {
            (true, []) => {
                Reason::Disconnected { stage: ANSWER.into(), detail: "closed by the server without a word".to_owned() }
            }
            (true, _) => {
                let detail = format!("not {expected:?} but {:?}, and then the end", excerpt(heard));
                Reason::Unexpected { stage: ANSWER.into(), detail }
            }
            (false, _) => {
                let detail = format!("no {expected:?} in {} bytes, which begin with {:?}", heard.len(), excerpt(heard));
                Reason::Unexpected { stage: ANSWER.into(), detail }
            }
        }
    }
}

impl fmt::Display for TcpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TCP connect to port {}", self.port)?;
        match &self.exchange {
            Some(exchange) => write!(f, ", expecting {:?}", excerpt(&exchange.expect)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl HealthProbe for TcpProbe {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let mut progress = Progress::new();
        let outcome = timeout(target.timeout, self.check(target, &mut progress)).await;
        progress.conclude(target, outcome)
    }
}
