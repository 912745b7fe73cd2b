//! An FTP server that follows a script, on loopback.

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::ports::listener;

/// The server's side of one control connection.
pub(crate) struct Session(BufReader<TcpStream>);

#[allow(dead_code, reason = "not every test has every word of it to say")]
impl Session {
    /// Sends one line. A client that has gone is none of the script's business: it finds out when it next listens.
    pub(crate) async fn say(&mut self, line: &str) {
        self.raw(format!("{line}\r\n").as_bytes()).await;
    }

    /// Sends these bytes, and tells whether the client was there to take them.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).await.is_ok()
    }

    /// The next line, or nothing at the end of the connection.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    /// Hears exactly this line.
    pub(crate) async fn expect(&mut self, line: &str) {
        assert_eq!(self.hear().await.as_deref(), Some(line));
    }

    /// Greets, and accepts the login of `monitor` with `s3cret`.
    pub(crate) async fn log_in(&mut self) {
        self.say("220 ready").await;
        self.expect("USER monitor").await;
        self.say("331 password, please").await;
        self.expect("PASS s3cret").await;
        self.say("230 welcome").await;
    }

    /// Hears PASV and answers with this address; then accepts nothing yet.
    pub(crate) async fn passive(&mut self, address: SocketAddr) {
        self.expect("PASV").await;
        let SocketAddr::V4(address) = address else { panic!("not IPv4: {address}") };
        let ([a, b, c, d], [high, low]) = (address.ip().octets(), address.port().to_be_bytes());
        self.say(&format!("227 Entering Passive Mode ({a},{b},{c},{d},{high},{low}).")).await;
    }

    /// Hears QUIT and takes leave.
    pub(crate) async fn quit(&mut self) {
        self.expect("QUIT").await;
        self.say("221 bye").await;
        assert_eq!(self.hear().await, None, "the client goes on after QUIT");
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.0.get_ref().set_zero_linger().unwrap();
    }

    /// Waits for the client to close, and returns what it said until then.
    pub(crate) async fn until_closed(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(line) = self.hear().await {
            heard.push(line);
        }
        heard
    }
}

/// A server that plays this script with its first client. Await the handle to see that the script was followed.
pub(crate) async fn server<F, Played>(script: F) -> (SocketAddr, JoinHandle<Played::Output>)
where
    F: FnOnce(Session) -> Played + Send + 'static,
    Played: Future + Send + 'static,
    Played::Output: Send + 'static,
{
    let (listener, address) = listener().await;
    let played = tokio::spawn(async move { script(session(&listener).await).await });
    (address, played)
}

/// The server's side of the next client's control connection.
pub(crate) async fn session(listener: &TcpListener) -> Session {
    let (stream, _) = listener.accept().await.unwrap();
    Session(BufReader::new(stream))
}
