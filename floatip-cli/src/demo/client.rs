//! A client of the floating address: it logs in all the time, and finds out who answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use suppaftp::tokio::AsyncFtpStream;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::ftp_server::{PASSWORD, USER};
use super::server::Server;
use super::timeline::now;

/// From the start of one attempt to the start of the next.
const PERIOD: Duration = Duration::from_millis(25);
/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// One attempt to log in and to list the folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) asked: Instant,
    pub(super) ended: Instant,
    /// The server that sent the listing; `None` if none did.
    pub(super) by: Option<Server>,
}

/// Logs in through the floating address again and again, each time anew, until nobody listens to the results.
pub(super) async fn knock(floating: SocketAddr, attempts: mpsc::Sender<Attempt>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = now();
        let by = match timeout(PATIENCE, who_answers(floating)).await {
            Ok(Ok(server)) => Some(server),
            Ok(Err(error)) => {
                tracing::trace!(error = format!("{error:#}"), "no login");
                None
            }
            Err(_) => None,
        };
        if attempts.send(Attempt { asked, ended: now(), by }).await.is_err() {
            return;
        }
    }
}

/// One FTP session as a person has it: login, and a listing over a passive data connection.
async fn who_answers(floating: SocketAddr) -> Result<Server> {
    let socket = TcpStream::connect(floating).await?;
    socket.set_nodelay(true)?;
    let mut session = AsyncFtpStream::connect_with_stream(socket).await?;
    session.login(USER, PASSWORD).await?;
    let files = session.nlst(None).await?;
    let server = files.iter().find_map(|file| Server::of_file(file.trim_start_matches('/')));
    let server = server.with_context(|| format!("an unknown server, which has {files:?}"))?;
    session.quit().await?;
    Ok(server)
}
