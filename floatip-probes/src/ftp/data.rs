//! Data connections: opened by either side, in clear text or by TLS.

use std::net::{IpAddr, SocketAddr};

use floatip_core::Reason;
use suppaftp::{FtpError, Status};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::passive::Passive;
use super::reply;
use super::session::Session;
use crate::failure::Failure;

pub(super) const DATA_CHANNEL: &str = "data channel";

/// Who opens data connections, and how the other learns where.
///
/// # Source
/// RFC 959 sections 4.1.2 (`PORT`, `PASV`), RFC 2428 (`EPRT`, `EPSV`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DataMode {
    /// The probe: over IPv4 by `PASV`, which most clients use, or else `EPSV`; over IPv6 by `EPSV`.
    #[default]
    Passive,
    /// The probe, by `PASV` alone, which only IPv4 has.
    Pasv,
    /// The probe, by `EPSV` alone.
    Epsv,
    /// The server: by `PORT` over IPv4, by `EPRT` over IPv6. It must be able to connect to the monitor.
    Active,
}

/// A data connection that is open or about to be opened.
#[derive(Debug)]
pub(super) enum Opening {
    Connected(TcpStream),
    Awaited(TcpListener),
}

/// The bytes of a data connection.
pub(super) trait Channel: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Channel for T {}

impl Session {
    /// Prepares a data connection; with what the server said about where it waits, if it did.
    pub(super) async fn prepare(&mut self, mode: DataMode) -> Result<(Opening, Option<Passive>), Failure> {
        if mode == DataMode::Active {
            return Ok((Opening::Awaited(self.listen().await?), None));
        }
        let passive = self.passive(mode).await?;
        let stream = connect(SocketAddr::new(self.peer.ip(), passive.port)).await?;
        Ok((Opening::Connected(stream), Some(passive)))
    }

    /// Asks where the server waits for a data connection.
    async fn passive(&mut self, mode: DataMode) -> Result<Passive, Failure> {
        if mode == DataMode::Pasv || (mode == DataMode::Passive && self.peer.is_ipv4()) {
            match self.attempt("PASV", &[Status::PassiveMode]).await {
                Ok(reply) => return Passive::from_pasv(&reply).ok_or_else(|| self.unexpected(DATA_CHANNEL, &reply)),
                Err(FtpError::UnexpectedResponse(refusal))
                    if mode == DataMode::Passive && matches!(reply::code(&refusal), 500..=599) => {}
                Err(error) => return Err(self.failure(DATA_CHANNEL, error)),
            }
        }
        let reply = self.command(DATA_CHANNEL, "EPSV", &[Status::ExtendedPassiveMode]).await?;
        Passive::from_epsv(&reply).ok_or_else(|| self.unexpected(DATA_CHANNEL, &reply))
    }

    /// Listens where the control connection comes from, and tells the server.
    async fn listen(&mut self) -> Result<TcpListener, Failure> {
        let action = "listen for a data connection";
        let listener = TcpListener::bind((self.local, 0)).await.map_err(|error| Failure::of_prober(action, error))?;
        let address = listener.local_addr().map_err(|error| Failure::of_prober(action, error))?;
        let command = match address {
            SocketAddr::V4(address) => {
                let ([a, b, c, d], [high, low]) = (address.ip().octets(), address.port().to_be_bytes());
                format!("PORT {a},{b},{c},{d},{high},{low}")
            }
            SocketAddr::V6(address) => format!("EPRT |2|{}|{}|", address.ip(), address.port()),
        };
        self.command(DATA_CHANNEL, &command, &[Status::CommandOk]).await?;
        Ok(listener)
    }

    /// The connection itself, once the server has said that it is about to use it.
    pub(super) async fn channel(&self, opening: Opening) -> Result<Box<dyn Channel>, Failure> {
        let stream = match opening {
            Opening::Connected(stream) => stream,
            Opening::Awaited(listener) => accept(&listener, self.peer.ip()).await?,
        };
        self.dialogue.remark(|| "the data connection is open".to_owned());
        match &self.tls {
            Some(client) => Ok(Box::new(client.connect(&self.host, stream).await?)),
            None => Ok(Box::new(stream)),
        }
    }
}

/// The server's connection; strangers are sent away.
async fn accept(listener: &TcpListener, server: IpAddr) -> Result<TcpStream, Failure> {
    loop {
        let (stream, from) =
            listener.accept().await.map_err(|error| Failure::of_prober("accept a data connection", error))?;
        if from.ip().to_canonical() == server.to_canonical() {
            return Ok(stream);
        }
    }
}

/// Connects to where the server said that it waits. A refusal there is not that of the service's own port.
async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect(address).await.map_err(|error| {
        let failure = Failure::of_contact("open a data connection", DATA_CHANNEL.into(), error);
        if let Failure::Target(reason @ (Reason::Refused | Reason::Unreachable { .. })) = &failure {
            let detail = format!("data channel to port {}: {reason}", address.port());
            return Reason::Failed { detail }.into();
        }
        failure
    })
}
