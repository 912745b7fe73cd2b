//! The `floatip` binary as a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::netns::Namespace;
use crate::process::{Process, until};
use crate::reaper::Folder;

/// The binary that stands beside the test programs.
///
/// # Errors
/// If it is not there: cargo builds it for the tests of its own package only, so `cargo test --workspace` has it.
pub fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test is not in a target folder")?;
    let binary = folder.join("floatip");
    ensure!(
        binary.exists(),
        "{} is missing: run `cargo build --workspace`, or all of `cargo test --workspace`",
        binary.display()
    );
    Ok(binary)
}

/// A configuration on disk, and the files that a monitor keeps beside it.
#[derive(Debug)]
pub struct Desk<'a> {
    folder: Folder,
    place: Option<&'a Namespace>,
    environment: Vec<(String, String)>,
}

impl<'a> Desk<'a> {
    /// Writes the configuration, for monitors and commands that run in `place` or in this process's own network.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn new(place: Option<&'a Namespace>, config: &str) -> Result<Self> {
        let folder = Folder::new()?;
        fs::write(folder.path().join("floatip.toml"), config)?;
        let aws = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nonexistent"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ];
        let environment = aws.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Ok(Self { folder, place, environment })
    }

    /// Sets an environment variable of what is started from here on.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder, for files that a configuration names.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The control socket.
    pub fn control(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let binary = binary()?;
        let mut command = match self.place {
            Some(namespace) => namespace.command(binary),
            None => Command::new(binary),
        };
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["AWS_", "FLOATIP_", "RUST_LOG"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
            }
        }
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command that reads the configuration, to its end.
    ///
    /// # Errors
    /// If it does not end within `patience`.
    pub fn config_command(&self, arguments: &[&str], patience: Duration) -> Result<Output> {
        let config = self.folder.path().join("floatip.toml");
        let mut all = arguments.to_vec();
        let config = config.to_str().context("a plain path")?;
        all.extend(["--config", config]);
        run(&mut self.command(&all)?, self.folder.path(), patience)
    }

    /// Runs a command that speaks to the monitor, to its end.
    ///
    /// # Errors
    /// If it does not end within `patience`.
    pub fn control_command(&self, arguments: &[&str], patience: Duration) -> Result<Output> {
        let control = self.control();
        let mut all = arguments.to_vec();
        all.extend(["--control", control.to_str().context("a plain path")?]);
        run(&mut self.command(&all)?, self.folder.path(), patience)
    }

    /// What `floatip status --json` prints.
    ///
    /// # Errors
    /// If it does not end well, or prints something else.
    pub fn status(&self) -> Result<Value> {
        let output = self.control_command(&["status", "--json"], Duration::from_secs(10))?;
        ensure!(output.status.success(), "status: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Waits until the status of the first floating IP is as wanted.
    ///
    /// # Errors
    /// If it is not within `patience`; it says what it was last.
    pub fn await_status(&self, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let reached = until(patience, || {
            // It cannot be asked before it listens.
            if let Ok(mut status) = self.status() {
                last = status["floating_ips"][0].take();
            }
            Ok(wanted(&last))
        });
        reached.with_context(|| format!("the status is {last:#}")).map(|()| last)
    }

    /// Starts `floatip run` and waits until it serves: every node healthy, and the address on one of them.
    ///
    /// # Errors
    /// If it does not within half a minute, with what it said.
    pub fn serving_monitor(&self) -> Result<Monitor> {
        let monitor = self.monitor()?;
        let serving = self.await_status(Duration::from_secs(30), |status| {
            let nodes = status["nodes"].as_array();
            status["state"] == "serving" && nodes.is_some_and(|nodes| nodes.iter().all(|it| it["health"] == "healthy"))
        });
        serving.with_context(|| monitor.story())?;
        Ok(monitor)
    }

    /// Starts `floatip run` with an event log and the control socket.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn monitor(&self) -> Result<Monitor> {
        let log = self.folder.path().join("stderr");
        let events = self.folder.path().join("events");
        let path = |path: &Path| path.to_str().map(str::to_owned).context("a plain path");
        let config = path(&self.folder.path().join("floatip.toml"))?;
        let (event_log, control) = (path(&events)?, path(&self.control())?);
        let already = fs::read_to_string(&events).unwrap_or_default().len();
        let stderr = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = self.command(&["run", "-c", &config, "--event-log", &event_log, "--control", &control])?;
        let process = Process::start(command.stdout(Stdio::null()).stderr(stderr)).context("could not run floatip")?;
        Ok(Monitor { process, events, log, already })
    }
}

/// Runs to the end, however it ends. What it prints goes to files: nothing blocks on a pipe that nobody reads.
fn run(command: &mut Command, folder: &Path, patience: Duration) -> Result<Output> {
    let print = tempfile::NamedTempFile::new_in(folder)?;
    let complain = tempfile::NamedTempFile::new_in(folder)?;
    let process = Process::start(command.stdout(print.reopen()?).stderr(complain.reopen()?))?;
    let status = process.wait(patience).with_context(|| {
        format!("{command:?} printed {:?}", fs::read_to_string(complain.path()).unwrap_or_default())
    })?;
    Ok(Output { status, stdout: fs::read(print.path())?, stderr: fs::read(complain.path())? })
}

/// A running `floatip run`. Dropping it kills it.
#[derive(Debug)]
pub struct Monitor {
    process: Process,
    events: PathBuf,
    log: PathBuf,
    already: usize,
}

impl Monitor {
    /// The events that it has logged since it was started.
    ///
    /// # Errors
    /// If the log holds a line that is no JSON.
    pub fn events(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.events).unwrap_or_default();
        let text = text.get(self.already..).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Waits for an event for which `wanted` is true.
    ///
    /// # Errors
    /// If there is none within `patience`, or the monitor ends before; with the events and messages that there were.
    pub fn await_event(&self, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.process.ended()?;
            if let Some(event) = self.events()?.into_iter().find(|event| wanted(event)) {
                return Ok(event);
            }
            if ended.is_some() || Instant::now() >= deadline {
                bail!("no such event within {patience:?} (ended: {ended:?})\n{}", self.story());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for an event of this name.
    ///
    /// # Errors
    /// As [`await_event`](Self::await_event).
    pub fn await_named(&self, name: &str, patience: Duration) -> Result<Value> {
        self.await_event(patience, |event| event["event"] == name).with_context(|| name.to_owned())
    }

    /// Everything that it said, for the message of a failure.
    pub fn story(&self) -> String {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        format!("events:\n{}messages:\n{}", read(&self.events), read(&self.log))
    }

    /// Ends it as an operator's service manager does.
    ///
    /// # Errors
    /// If it still runs after `patience`.
    pub fn terminate(&self, patience: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(patience).with_context(|| self.story())
    }

    /// Ends it at once, as a power cut does.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn kill(&self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(Duration::from_secs(5)).map(drop)
    }

    /// Waits until something is so that this process can see.
    ///
    /// # Errors
    /// If it is not within `patience`, with what the monitor said.
    pub fn until(&self, patience: Duration, done: impl FnMut() -> Result<bool>) -> Result<()> {
        until(patience, done).with_context(|| self.story())
    }
}
