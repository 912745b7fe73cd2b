//! A TCP connection to a target.

use std::io;
use std::net::SocketAddr;

use floatip_core::Target;
use tokio::net::{TcpSocket, TcpStream};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::resolve::resolve;

/// The stage of a check that opens the connection.
pub(crate) const CONNECT: &str = "connect";

/// What a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To talk.
    Talk,
    /// To see that it is accepted.
    Knock,
}

/// Connects to the target, on its own port or else this one. The addresses of a name are tried in turn.
pub(crate) async fn connect(target: &Target, port: u16, progress: &mut Progress) -> Result<TcpStream, Failure> {
    connect_to(Purpose::Talk, target, port, progress).await
}

/// Sees that a connection is accepted, and resets it: the target's program hears nothing of it, as a rule.
pub(crate) async fn knock(target: &Target, port: u16, progress: &mut Progress) -> Result<(), Failure> {
    connect_to(Purpose::Knock, target, port, progress).await.map(drop)
}

async fn open(purpose: Purpose, address: SocketAddr) -> io::Result<TcpStream> {
    if purpose == Purpose::Talk {
        return TcpStream::connect(address).await;
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Neither is worth a verdict: without the first the target's program sees a connection that is reset at once, without
    // the second this machine keeps it in TIME_WAIT.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_quickack(false).ok();
    socket.set_zero_linger().ok();
    socket.connect(address).await
}

async fn connect_to(
    purpose: Purpose,
    target: &Target,
    port: u16,
    progress: &mut Progress,
) -> Result<TcpStream, Failure> {
    let port = target.host.port().unwrap_or(port);
    if let Some(ip) = target.host.ip() {
        progress.stage = CONNECT;
        let connected = open(purpose, SocketAddr::new(ip, port)).await;
        return connected.map_err(|error| Failure::of_contact(CONNECT, CONNECT.into(), error));
    }
    // Names are rare, and their lookup takes room that a check of an address should not carry about.
    let addresses = Box::pin(resolve(&target.host, port)).await?;
    progress.stage = CONNECT;
    let mut failure: Option<Failure> = None;
    for address in addresses {
        match open(purpose, address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let later = Failure::of_contact(CONNECT, CONNECT.into(), error);
                failure = Some(match failure {
                    Some(first) => first.or(later),
                    None => later,
                });
            }
        }
    }
    Err(failure.expect("a name resolves to at least one address"))
}
