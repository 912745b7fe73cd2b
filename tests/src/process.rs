//! A child process that ends with its owner.

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::reaper::{Estate, Owned, lock, own};

/// A child process. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Process {
    child: Arc<Mutex<Child>>,
    pid: u32,
    _owned: Owned,
}

impl Process {
    /// Starts `command` without standard input.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).spawn()?;
        let pid = child.id();
        let child = Arc::new(Mutex::new(child));
        Ok(Self { _owned: own(Estate::Process(child.clone())), child, pid })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal, unless the process has ended.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            kill(Pid::from_raw(self.pid.cast_signed()), signal).with_context(|| format!("{signal} to {}", self.pid))?;
        }
        Ok(())
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn ended(&self) -> io::Result<Option<ExitStatus>> {
        lock(&self.child).try_wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it still runs at the end of `timeout`.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        let mut ended = None;
        until(timeout, || {
            ended = self.ended()?;
            Ok(ended.is_some())
        })
        .with_context(|| format!("process {} still runs", self.pid))?;
        ended.context("it ended")
    }
}

/// Asks again and again, every few milliseconds, until the answer is yes.
///
/// # Errors
/// If it is not within `timeout`, or what `done` answers.
pub fn until(timeout: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + timeout;
    while !done()? {
        if Instant::now() >= deadline {
            bail!("not within {timeout:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Runs `command` to its end and gives back what it printed.
///
/// # Errors
/// If it cannot be run or does not end well, with what it printed to standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("could not run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
