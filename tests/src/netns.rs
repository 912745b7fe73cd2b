//! One network namespace: a host of the lab.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::process::output;
use crate::reaper::{Estate, Owned, own};

/// A network namespace that is deleted, with all that runs in it, when its owner is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    _owned: Owned,
}

impl Namespace {
    /// Makes the namespace `name`, with its loopback up.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn new(name: String) -> Result<Self> {
        let namespace = Self { _owned: own(Estate::Namespace(name.clone())), name };
        output(Command::new("ip").args(["netns", "add", &namespace.name]))?;
        namespace.ip(["link set lo up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs these `ip` commands in it, in one process, up to the first that fails.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn ip<L: AsRef<str>>(&self, commands: impl IntoIterator<Item = L>) -> Result<()> {
        let batch: String = commands.into_iter().map(|line| line.as_ref().to_owned() + "\n").collect();
        let mut ip = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("could not run ip")?;
        ip.stdin.take().context("a pipe")?.write_all(batch.as_bytes())?;
        let ended = ip.wait_with_output()?;
        if !ended.status.success() {
            bail!("in {}: {batch}{}", self.name, String::from_utf8_lossy(&ended.stderr).trim());
        }
        Ok(())
    }

    /// Sets a kernel parameter of the namespace, named as under `/proc/sys`.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn set(&self, parameter: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(parameter);
        self.enter(|| fs::write(&path, value))?.with_context(|| format!("{parameter} in {}", self.name))
    }

    /// The command that runs `program` in it. The child's process id is the program's own.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `work` on a thread whose network is this namespace, and waits for it. Sockets that it opens, threads that
    /// it spawns and runtimes that it builds are in the namespace too, and nothing else of this process is.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    ///
    /// # Panics
    /// If `work` does.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let name = &self.name;
        thread::scope(|scope| {
            let thread = scope.spawn(|| enter(name).map(|()| work()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// Makes the network of the calling thread, and of what it spawns from here on, that of the namespace `name`.
///
/// # Errors
/// What the operating system said.
#[cfg(target_os = "linux")]
pub fn enter(name: &str) -> Result<()> {
    use nix::sched::{CloneFlags, setns};
    let file = fs::File::open(Path::new("/run/netns").join(name)).with_context(|| format!("namespace {name}"))?;
    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("could not enter namespace {name}"))
}

/// Only Linux has network namespaces.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn enter(name: &str) -> Result<()> {
    bail!("could not enter namespace {name}: only Linux has network namespaces")
}
