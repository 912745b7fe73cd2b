//! Network namespaces of Linux that stand for a client and two servers.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};

/// A namespace for the clients, one for each of the servers `a` and `b`, and one where the floating device waits while
/// no server has it. Everything goes when it is dropped.
///
/// The clients have a wire to each server, and a third one, whose other end is the floating device: whoever has that
/// end is who they reach through it.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
}

impl Lab {
    /// The names of the servers.
    pub const SERVERS: [&str; 2] = ["a", "b"];
    /// The device that moves.
    pub const DEVICE: &str = "float";
    /// The address that it shall bear, with the length of its prefix.
    pub const ADDRESS: &str = "10.77.30.30/24";

    /// Builds it, with the device waiting.
    ///
    /// # Errors
    /// If this is no Linux, not root, or without the program `ip`; the error says what to do.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        ensure!(cfg!(target_os = "linux"), "network namespaces are a thing of Linux");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let lab = Self { prefix: format!("floatip-{}-{count}", std::process::id()) };
        lab.build().context(
            "cannot make network namespaces, which needs root, the program `ip` (iproute2), and a container that \
             allows it",
        )?;
        Ok(lab)
    }

    fn build(&self) -> Result<()> {
        let (clients, waiting) = (self.namespace("clients"), self.waiting());
        for namespace in [&clients, &waiting, &self.namespace("a"), &self.namespace("b")] {
            ip(&["netns", "add", namespace])?;
        }
        for (number, server) in Self::SERVERS.into_iter().enumerate() {
            let (there, wire) = (self.namespace(server), format!("to-{server}"));
            ip(&["link", "add", &wire, "netns", &clients, "type", "veth", "peer", "name", "eth0", "netns", &there])?;
            bear(&clients, &wire, &format!("10.77.{number}.1/24"))?;
            bear(&there, "eth0", &format!("{}/24", self.host(number)))?;
        }
        let ends = ["peer", "name", Self::DEVICE, "netns", &waiting];
        ip(&[&["link", "add", "floating", "netns", &clients, "type", "veth"], &ends[..]].concat())?;
        bear(&clients, "floating", "10.77.30.1/24")
    }

    /// The namespace of a server.
    pub fn namespace(&self, server: &str) -> String {
        format!("{}-{server}", self.prefix)
    }

    /// The namespace where the floating device waits.
    pub fn waiting(&self) -> String {
        self.namespace("waiting")
    }

    /// The own address of the server of this number.
    pub fn host(&self, number: usize) -> String {
        format!("10.77.{number}.10")
    }

    /// Makes the clients' network that of the calling thread, and of all threads and processes that it starts later.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn enter(&self) -> Result<()> {
        enter(&self.namespace("clients"))
    }

    /// Listens on every address that a server has or will have. A socket stays in the namespace that it is made in.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn listen(&self, server: &str, port: u16) -> Result<TcpListener> {
        let namespace = self.namespace(server);
        let listen = move || {
            enter(&namespace)?;
            Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?)
        };
        thread::spawn(listen).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in ["clients", "waiting", "a", "b"] {
            // One that was never made, or is gone, is as good as deleted.
            drop(ip(&["netns", "delete", &self.namespace(name)]));
        }
    }
}

fn bear(namespace: &str, device: &str, address: &str) -> Result<()> {
    ip(&["-n", namespace, "address", "add", address, "dev", device])?;
    ip(&["-n", namespace, "link", "set", device, "up"])
}

/// Runs `ip` with these arguments.
///
/// # Errors
/// What it said.
pub fn ip(arguments: &[&str]) -> Result<()> {
    let run = Command::new("ip").args(arguments).output().context("cannot run the program `ip`")?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

#[cfg(target_os = "linux")]
fn enter(namespace: &str) -> Result<()> {
    use nix::sched::{CloneFlags, setns};
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).with_context(|| namespace.to_owned())?;
    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter the namespace {namespace}"))
}

#[cfg(not(target_os = "linux"))]
fn enter(namespace: &str) -> Result<()> {
    anyhow::bail!("cannot enter {namespace}: network namespaces are a thing of Linux")
}
