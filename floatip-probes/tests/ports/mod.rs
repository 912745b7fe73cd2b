//! Ports of loopback: one that listens, one that is mute.
#![allow(dead_code, reason = "no test needs all of them")]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// A listener on a free port of loopback.
pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port that refuses. Keep what is returned: as long as it is there, nobody else gets the port.
pub(crate) fn closed_port() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// A port that neither accepts nor refuses: its listener's queue is full. Keep what is returned for as long as it is to
/// stay so.
#[allow(dead_code, reason = "not every test needs one")]
pub(crate) async fn mute_port() -> (SocketAddr, impl Sized) {
    let (address, socket) = closed_port();
    let listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    let patience = Duration::from_millis(500);
    while let Ok(stream) = timeout(patience, TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
    }
    (address, (listener, queued))
}
