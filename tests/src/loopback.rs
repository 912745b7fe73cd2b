//! Two FTP servers in this process, and a floating address that is wherever the simulated cloud says: on loopback
//! addresses, for tests without root.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use floatip_aws::simulator::{Change, DataPlane};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

use crate::cloud::{NODES, node_of};
use crate::reaper::lock;

/// The servers' only user.
pub const USER: &str = "monitor";
/// The user's password.
pub const PASSWORD: &str = "loopback-pw";
/// The control port of all addresses: below the range from which the system takes ports for clients.
const PORT: u16 = 2121;

/// The two servers and the floating address. Clones share them; dropping the last ends them.
#[derive(Debug, Clone)]
pub struct Site {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    addresses: Addresses,
    /// Ended in the background: the last clone may be dropped on a runtime, which would not let it wait.
    runtime: Option<Runtime>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

#[derive(Debug, Clone, Copy)]
struct Addresses {
    nodes: [SocketAddr; 2],
    floating: SocketAddr,
}

#[derive(Debug, Default)]
struct State {
    /// Whose the floating address is, as an index of [`NODES`].
    holder: Option<usize>,
    health: [Health; 2],
    /// What listens at the nodes' own addresses and, last, at the floating one.
    listeners: [Option<Listener>; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Health {
    #[default]
    Up,
    Hung,
    Down,
}

/// A listening socket with its sessions. Dropping it closes them.
#[derive(Debug)]
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Site {
    /// Starts both servers, with the floating address on the node of this name.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub fn start(holder: &str) -> Result<Self> {
        static SITES: AtomicU8 = AtomicU8::new(0);
        let site = SITES.fetch_add(1, Ordering::Relaxed);
        ensure!(site < 80, "too many sites in one process");
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = |n| SocketAddr::from((Ipv4Addr::new(127, 64 + high % 128, low, 1 + 3 * site + n), PORT));
        let addresses = Addresses { nodes: [address(0), address(1)], floating: address(2) };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let site = Self { shared: Arc::new(Shared { state: Mutex::default(), addresses, runtime: Some(runtime) }) };
        site.change(|state| state.holder = index(holder))?;
        Ok(site)
    }

    /// The own address of a node.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn address(&self, node: &str) -> SocketAddr {
        self.shared.addresses.nodes[index(node).expect("a node's name")]
    }

    /// The floating address.
    pub fn floating(&self) -> SocketAddr {
        self.shared.addresses.floating
    }

    /// Ends a node's server: connections are refused.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub fn kill(&self, node: &str) -> Result<()> {
        self.set(node, Health::Down)
    }

    /// Lets a node's server accept connections and say nothing.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub fn hang(&self, node: &str) -> Result<()> {
        self.set(node, Health::Hung)
    }

    /// Lets a node's server work again.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub fn revive(&self, node: &str) -> Result<()> {
        self.set(node, Health::Up)
    }

    /// The node that the floating address is on.
    pub fn holder(&self) -> Option<&'static str> {
        lock(&self.shared.state).holder.map(|node| NODES[node].0)
    }

    fn set(&self, node: &str, health: Health) -> Result<()> {
        let node = index(node).context("a node's name")?;
        self.change(|state| state.health[node] = health)
    }

    /// Changes the state, and makes the listeners follow.
    fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let Addresses { nodes, floating } = self.shared.addresses;
        let mut state = lock(&self.shared.state);
        let before = (state.holder, state.health);
        change(&mut state);
        let (holder, health) = (state.holder, state.health);
        for node in 0..2 {
            if state.listeners[node].is_none() || before.1[node] != health[node] {
                state.listeners[node] = None;
                state.listeners[node] = self.listen(nodes[node], node, health[node])?;
            }
        }
        let floats = |(holder, health): (Option<usize>, [Health; 2])| holder.map(|node| (node, health[node]));
        if floats(before) != floats((holder, health)) {
            state.listeners[2] = None;
            state.listeners[2] = match floats((holder, health)) {
                Some((node, health)) => self.listen(floating, node, health)?,
                None => None,
            };
        }
        Ok(())
    }

    fn listen(&self, address: SocketAddr, node: usize, health: Health) -> Result<Option<Listener>> {
        if health == Health::Down {
            return Ok(None);
        }
        let runtime = self.shared.runtime.as_ref().context("it runs until it is dropped")?;
        // An aborted task gives its socket back a moment later.
        let mut listener = None;
        crate::process::until(std::time::Duration::from_secs(5), || {
            listener = runtime.handle().block_on(TcpListener::bind(address)).ok();
            Ok(listener.is_some())
        })
        .with_context(|| format!("could not listen on {address}"))?;
        let listener = listener.context("it listens")?;
        Ok(Some(Listener(runtime.spawn(accept(listener, NODES[node].0, health)))))
    }
}

fn index(node: &str) -> Option<usize> {
    NODES.iter().position(|(name, _)| *name == node)
}

async fn accept(listener: TcpListener, node: &'static str, health: Health) {
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while sessions.try_join_next().is_some() {}
        match health {
            Health::Up => sessions.spawn(async move { session(stream, node).await.unwrap_or(()) }),
            Health::Hung | Health::Down => sessions.spawn(async move {
                let _open = stream;
                std::future::pending().await
            }),
        };
    }
}

/// As much of FTP as a login is.
async fn session(stream: TcpStream, node: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("220 {node} ready\r\n").as_bytes()).await?;
    let mut user = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let (verb, argument) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        let reply = match verb.to_ascii_uppercase().as_str() {
            "USER" => {
                argument.clone_into(&mut user);
                "331 and the password?\r\n"
            }
            "PASS" if user == USER && argument == PASSWORD => "230 welcome\r\n",
            "PASS" => "530 no\r\n",
            "QUIT" => "221 goodbye\r\n",
            _ => "502 not here\r\n",
        };
        stream.write_all(reply.as_bytes()).await?;
        if verb.eq_ignore_ascii_case("QUIT") {
            return Ok(());
        }
    }
}

/// Takes the floating address where the network interface is attached, or where the Elastic IP address, the private
/// address or the route leads. A test moves one of them only.
#[derive(Debug)]
pub struct SitePlane(pub Site);

#[async_trait]
impl DataPlane for SitePlane {
    async fn follow(&self, change: &Change) {
        let holder = match change {
            Change::Attached { instance, .. } => node_of(instance),
            Change::Associated { instance, .. }
            | Change::Assigned { instance, .. }
            | Change::Routed { instance, .. } => instance.as_deref().and_then(node_of),
            Change::Detached { .. }
            | Change::Disassociated { .. }
            | Change::Unassigned { .. }
            | Change::Unrouted { .. } => None,
        };
        let site = self.0.clone();
        let moved =
            tokio::task::spawn_blocking(move || site.change(|state| state.holder = holder.and_then(index))).await;
        moved.expect("nothing panics").expect("the floating address follows");
    }
}
