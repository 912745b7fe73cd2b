//! Running a program of the operator's, without a shell, without the monitor's secrets, and to an end.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::SettingError;

/// How many bytes of each of a program's outputs are kept; the rest is read and forgotten.
const KEPT: usize = 4096;

/// How long outputs are read on once the program itself has ended: something it has left behind may hold them open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The variables of the monitor's environment that every program gets.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/// A program with its arguments, to be run as often as needed.
///
/// No shell is involved: each argument arrives as it is written, in which `{name}` is replaced by the fact of that name.
/// The same facts stand in the environment, as `FLOATIP_NAME`. Of the monitor's own environment, which may hold passwords
/// and credentials, it gets `PATH`, `HOME`, `LANG`, `TZ` and `TMPDIR`, and what [`pass`](Self::pass) names. Standard input
/// is empty.
///
/// # Guarantees
/// - It runs in a process group of its own, which is killed (SIGKILL) when the program ends or the run is dropped. What it
///   starts in yet another group or session is its own affair.
/// - Each output is kept to 4 KiB, and the rest of it discarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: String,
    arguments: Vec<String>,
    pass: Vec<String>,
}

/// What a program left when it ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// The beginning of its standard output.
    pub output: Vec<u8>,
    /// The beginning of its standard error.
    pub errors: Vec<u8>,
}

impl Program {
    /// This program with these arguments.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if the path is not absolute, or anything holds a NUL character.
    pub fn new<A: Into<String>>(path: &str, arguments: impl IntoIterator<Item = A>) -> Result<Self, SettingError> {
        let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
        if !Path::new(path).is_absolute() {
            let detail = "it must be a path that begins with a slash: nothing is searched for".to_owned();
            return Err(SettingError::Unusable { setting: "the program", detail });
        }
        if arguments.iter().map(String::as_str).chain([path]).any(|text| text.contains('\0')) {
            return Err(SettingError::LineBreak("the program or an argument"));
        }
        Ok(Self { path: path.to_owned(), arguments, pass: Vec::new() })
    }

    /// Gives it these variables of the monitor's environment as well, where they are set. Default: none.
    #[must_use]
    pub fn pass<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.pass.extend(names.into_iter().map(Into::into));
        self
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn command(&self, facts: &[(&str, String)]) -> Command {
        let filled = |argument: &String| {
            facts.iter().fold(argument.clone(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
        };
        let own = |name: &str| std::env::var_os(name).map(|value| (name.to_owned(), value));
        let inherited = INHERITED.into_iter().chain(self.pass.iter().map(String::as_str)).filter_map(own);
        let told =
            facts.iter().map(|(name, value)| (format!("FLOATIP_{}", name.to_ascii_uppercase()), OsString::from(value)));
        let mut command = Command::new(&self.path);
        command
            .args(self.arguments.iter().map(filled))
            .env_clear()
            .envs(inherited.chain(told))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Runs it once with these facts.
    ///
    /// # Errors
    /// Of the operating system, if it cannot be started or waited for.
    ///
    /// # Cancel safety
    /// Dropping the future kills the program and its process group.
    pub async fn run(&self, facts: &[(&str, String)]) -> io::Result<Ended> {
        let mut child = self.command(facts).spawn()?;
        let group = Group(child.id());
        let (mut output, mut errors) = (Beginning::default(), Beginning::default());
        let status = {
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let mut listening = std::pin::pin!(async {
                tokio::join!(output.take_in(out), errors.take_in(err));
            });
            let mut heard = false;
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    () = &mut listening, if !heard => heard = true,
                }
            };
            drop(group);
            if !heard {
                // What it left behind in other groups may speak on for ever.
                timeout(LAST_WORDS, listening).await.ok();
            }
            status
        };
        Ok(Ended { status: status?, output: output.0, errors: errors.0 })
    }
}

/// The beginning of an output.
#[derive(Debug, Default)]
struct Beginning(Vec<u8>);

impl Beginning {
    async fn take_in(&mut self, output: Option<impl AsyncRead + Unpin>) {
        let Some(mut output) = output else { return };
        let mut chunk = [0; 4096];
        // An output that cannot be read on has said what it had to say: the exit code counts.
        while let Ok(read @ 1..) = output.read(&mut chunk).await {
            let room = KEPT.saturating_sub(self.0.len());
            self.0.extend_from_slice(&chunk[..read.min(room)]);
        }
    }
}

/// The process group of a program, killed when this is dropped.
#[derive(Debug)]
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // A group without members is gone already. The leader was reaped this very moment, if at all: its number
            // cannot have gone around to be another group's.
            killpg(Pid::from_raw(leader), Signal::SIGKILL).ok();
        }
    }
}
