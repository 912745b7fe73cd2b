//! Where packets go: two FTP servers on loopback, and the floating address on the one that the simulated EC2 says.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};
use async_trait::async_trait;
use floatip_aws::simulator::{Change, DataPlane};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::ftp_server::FtpServer;
use super::server::Server;

/// Three places on loopback: the servers' own ones, and the floating one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) own: [SocketAddr; 2],
    pub(super) floating: SocketAddr,
}

/// Sockets that listen at each of the addresses.
type Listeners = [TcpListener; 3];

impl Addresses {
    const PORT: u16 = 2121;
    /// Where 127.0.0.1 is all there is, ports from here on: none that the system would give to somebody else.
    const PORTS: u16 = 20_000;

    fn claim() -> Result<(Self, Listeners)> {
        let candidates = Self::networks().map(|network| network.map(|ip| (ip, Self::PORT).into()));
        let fallback = Self::ports().map(|ports| ports.map(|port| (Ipv4Addr::LOCALHOST, port).into()));
        let mut refused = None;
        for [first, second, floating] in candidates.chain(fallback) {
            match listen([first, second, floating]) {
                Ok(listeners) => return Ok((Self { own: [first, second], floating }, listeners)),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
            .context("nothing can listen on loopback, neither at its own addresses nor at free ports of 127.0.0.1")
    }

    /// A few private networks within 127.0.0.0/8, others in every process.
    fn networks() -> impl Iterator<Item = [Ipv4Addr; 3]> {
        (0..8).map(|attempt| {
            let [.., high, low] = std::process::id().wrapping_add(attempt * 257).to_be_bytes();
            [10, 20, 30].map(|host| Ipv4Addr::new(127, 1 + high % 63, low, host))
        })
    }

    fn ports() -> impl Iterator<Item = [u16; 3]> {
        (0..50).map(|attempt| {
            let slot = std::process::id().wrapping_add(attempt * 37) % 3000;
            let first = Self::PORTS + 3 * u16::try_from(slot).unwrap_or_default();
            [first, first + 1, first + 2]
        })
    }
}

fn listen([first, second, floating]: [SocketAddr; 3]) -> io::Result<Listeners> {
    Ok([TcpListener::bind(first)?, TcpListener::bind(second)?, TcpListener::bind(floating)?])
}

/// The servers and the floating address.
///
/// A server listens at the floating address too while it holds it, as a guest does with a second interface: so control
/// and data connections through it reach the same server, and end when it is taken away.
#[derive(Debug)]
pub(super) struct Loopback {
    pub(super) addresses: Addresses,
    running: Mutex<Running>,
}

/// What listens. A server without one at its own address is dead.
#[derive(Debug)]
struct Running {
    own: [Option<FtpServer>; 2],
    floating: Option<(Server, FtpServer)>,
    /// What the servers serve, removed when dropped.
    folders: Vec<TempDir>,
}

impl Loopback {
    /// Starts both servers, with the floating address on `holder`.
    pub(super) fn start(holder: Server) -> Result<Self> {
        let (addresses, [first, second, floating]) = Addresses::claim()?;
        let folders = Server::BOTH.into_iter().map(folder).collect::<Result<Vec<_>>>()?;
        let serve = |server: Server, listener| {
            let started = FtpServer::start(server.name(), folders[server.index()].path(), listener);
            started.with_context(|| format!("the FTP server {} does not start", server.name()))
        };
        let running = Running {
            own: [Some(serve(Server::Ftp1, first)?), Some(serve(Server::Ftp2, second)?)],
            floating: Some((holder, serve(holder, floating)?)),
            folders,
        };
        Ok(Self { addresses, running: Mutex::new(running) })
    }

    /// Ends everything, and removes what was served.
    pub(super) async fn close(&self) {
        for server in Server::BOTH {
            self.kill(server).await;
        }
        self.running.lock().await.folders.clear();
    }

    /// Ends a server, at its own address and at the floating one, as `kill -9` does.
    pub(super) async fn kill(&self, server: Server) {
        let mut running = self.running.lock().await;
        if let Some(own) = running.own[server.index()].take() {
            own.stop().await;
        }
        if let Some((_, floating)) = running.floating.take_if(|(holder, _)| *holder == server) {
            floating.stop().await;
        }
    }

    /// Leads the floating address to a server, or nowhere.
    async fn lead(&self, to: Option<Server>) {
        let mut running = self.running.lock().await;
        if running.floating.as_ref().map(|(holder, _)| *holder) == to {
            return;
        }
        if let Some((_, floating)) = running.floating.take() {
            floating.stop().await;
        }
        let Some(to) = to.filter(|to| running.own[to.index()].is_some()) else { return };
        let folder = running.folders[to.index()].path();
        let started = TcpListener::bind(self.addresses.floating)
            .and_then(|listener| FtpServer::start(to.name(), folder, listener));
        match started {
            Ok(server) => running.floating = Some((to, server)),
            Err(error) => tracing::error!(%error, server = to.name(), "the floating address could not be led"),
        }
    }
}

#[async_trait]
impl DataPlane for Loopback {
    async fn follow(&self, change: &Change) {
        let to = match change {
            Change::Attached { instance, .. } => Server::of_instance(instance),
            Change::Associated { instance, .. }
            | Change::Assigned { instance, .. }
            | Change::Routed { instance, .. } => instance.as_deref().and_then(Server::of_instance),
            Change::Detached { .. }
            | Change::Disassociated { .. }
            | Change::Unassigned { .. }
            | Change::Unrouted { .. } => None,
        };
        self.lead(to).await;
    }
}

/// A folder with the file by which a client knows who answered.
fn folder(server: Server) -> Result<TempDir> {
    let made = || {
        let folder = tempfile::Builder::new().prefix("floatip-demo-").tempdir()?;
        let greeting = format!("You reached {}.\n", server.name());
        std::fs::write(folder.path().join(server.file()), greeting)?;
        io::Result::Ok(folder)
    };
    made().context("no folder could be made for the FTP servers")
}
