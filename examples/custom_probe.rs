//! A health check of your own: speaks to Redis, and shows what a check owes to the one who runs it.
//!
//! ```console
//! cargo run --example custom_probe
//! cargo run --example custom_probe -- HOST:PORT ...
//! ```
//!
//! The first checks small servers of its own, well and unwell ones, and succeeds only if each verdict is right. The
//! second checks real ones, and succeeds only if all are healthy. To a floating IP the check is added by
//! `Setup::check(Check::new(Arc::new(RedisProbe::new(6379))))`.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use floatip_core::{HealthProbe, NodeId, ProbeError, Reason, Target, Verdict, Via};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Says `PING` to Redis, which is healthy if it says `+PONG`.
///
/// # Source
/// Redis serialization protocol specification, "Inline commands" and "Simple errors".
#[derive(Debug, Clone)]
struct RedisProbe {
    /// Where a target listens whose host does not say.
    port: u16,
}

/// No answer to `PING` is longer.
const LONGEST_ANSWER: u64 = 512;

impl RedisProbe {
    fn new(port: u16) -> Self {
        Self { port }
    }

    /// Everything but the deadline. `stage` says what is under way, for the case that it passes.
    async fn check(&self, target: &Target, stage: &mut &'static str) -> Result<Verdict, ProbeError> {
        let port = target.host.port().unwrap_or(self.port);
        let mut server = match TcpStream::connect((target.host.name(), port)).await {
            Ok(server) => server,
            Err(error) => return not_connected(error).map(Verdict::unhealthy),
        };
        *stage = "answer";
        let mut answer = String::new();
        let conversation = async {
            server.write_all(b"PING\r\n").await?;
            BufReader::new((&mut server).take(LONGEST_ANSWER)).read_line(&mut answer).await
        };
        if let Err(error) = conversation.await {
            let detail = error.to_string();
            return Ok(Verdict::unhealthy(Reason::Disconnected { stage: "answer".into(), detail }));
        }
        Ok(verdict(answer.trim_end()))
    }
}

#[async_trait]
impl HealthProbe for RedisProbe {
    fn kind(&self) -> &'static str {
        "redis"
    }

    /// Keeps the deadline itself, so that the verdict can name the stage. Dropped at any time, it closes its socket.
    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let mut stage = "connect";
        match timeout(target.timeout, self.check(target, &mut stage)).await {
            Ok(checked) => checked,
            Err(_) => Ok(Verdict::unhealthy(Reason::TimedOut { stage: stage.into() })),
        }
    }
}

/// What an answer says about the server.
fn verdict(answer: &str) -> Verdict {
    if answer == "+PONG" {
        Verdict::healthy()
    } else if answer.is_empty() {
        Verdict::unhealthy(Reason::Disconnected { stage: "answer".into(), detail: "closed by the server".to_owned() })
    } else if answer.starts_with("-NOAUTH") {
        Verdict::healthy().with_warning("it wants a password, so more than its presence was not checked")
    } else if let Some(error) = answer.strip_prefix('-') {
        Verdict::unhealthy(Reason::Failed { detail: error.to_owned() })
    } else {
        Verdict::unhealthy(Reason::Unexpected { stage: "answer".into(), detail: format!("{answer:?}") })
    }
}

/// Whose fault it is that there is no connection. Only what the target or the way there can cause is a verdict: what
/// this machine lacks is an error, and never turns a node down.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of errors are an open set")]
fn not_connected(error: io::Error) -> Result<Reason, ProbeError> {
    let stage = "connect".into();
    match error.kind() {
        ErrorKind::ConnectionRefused => Ok(Reason::Refused),
        ErrorKind::TimedOut => Ok(Reason::TimedOut { stage }),
        ErrorKind::ConnectionReset => Ok(Reason::Disconnected { stage, detail: error.to_string() }),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Ok(Reason::Unreachable { detail: error.to_string() })
        }
        _ => Err(ProbeError::Unusable { what: "cannot connect".to_owned(), source: error.into() }),
    }
}

/// Checks one server as the orchestrator would, and prints the verdict.
#[allow(clippy::disallowed_methods, reason = "what a check takes is measured")]
async fn check(what: &str, host: &str) -> Result<Verdict> {
    let target = Target::new(NodeId::new("server")?, host.parse()?, Via::Direct, Duration::from_millis(500));
    let start = Instant::now();
    let verdict = RedisProbe::new(6379).probe(&target).await?;
    let state = verdict.reason.as_ref().map_or_else(|| "healthy".to_owned(), |reason| format!("unhealthy: {reason}"));
    println!("{what:24} {state} {:?} ({:.0?})", verdict.warnings, start.elapsed());
    Ok(verdict)
}

/// A server that says `answer` to whoever says something. Gives back where it listens.
async fn server(answer: &'static str) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut asked = [0; 64];
            while client.read(&mut asked).await.is_ok_and(|length| length > 0) {
                // A client that is gone ends the conversation with the next read.
                drop(client.write_all(answer.as_bytes()).await);
            }
        }
    });
    Ok(address)
}

/// Where nothing listens.
async fn nobody() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

#[tokio::main]
async fn main() -> Result<()> {
    let hosts: Vec<String> = std::env::args().skip(1).collect();
    for host in &hosts {
        ensure!(check(host, host).await?.is_healthy(), "{host} is unhealthy");
    }
    if hosts.is_empty() {
        for (what, host, expected) in [
            ("one that is well", server("+PONG\r\n").await?, None),
            ("one with a password", server("-NOAUTH Authentication required.\r\n").await?, None),
            ("one that starts", server("-LOADING the dataset\r\n").await?, Some("LOADING the dataset")),
            ("one that is no Redis", server("HTTP/1.1 400\r\n").await?, Some("unexpected answer at answer")),
            ("one that hangs", server("").await?, Some("timed out at answer")),
            ("one that is not there", nobody().await?, Some("connection refused")),
        ] {
            let reason = check(what, &host).await?.reason.map(|reason| reason.to_string());
            let right = match (&reason, expected) {
                (Some(reason), Some(expected)) => reason.starts_with(expected),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            ensure!(right, "expected {expected:?}");
        }
    }
    Ok(())
}
