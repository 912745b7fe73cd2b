//! What does a program say?

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Reason, Target, Verdict, Via};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::SettingError;
use crate::excerpt::excerpt;
use crate::failure::Failure;

/// How many bytes of each of a program's outputs are kept; the rest is read and forgotten.
const KEPT: usize = 4096;

/// How many programs may run at once in the process.
static TURNS: Semaphore = Semaphore::const_new(64);

/// How long outputs are read on once the program itself has ended: something it has left behind may hold them open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The variables of the monitor's environment that every program gets.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/// A program that checks a node, with the exit codes of Nagios plugins:
///
/// | exit code | verdict |
/// |---|---|
/// | 0 | healthy |
/// | 1 | healthy, with the first line as a warning |
/// | 2 | unhealthy, with the first line as the reason |
/// | 3, any other, killed by a signal, cannot be started | no verdict: the program could not do its work |
/// | none within the timeout | unhealthy: timed out |
///
/// The first line is that of standard output, without performance data (what follows `|`), or else of standard error.
///
/// # What the program gets
/// No shell is involved: each argument arrives as it is written, in which `{node}`, `{host}`, `{port}` (empty if the host
/// has none), `{via}` (`direct` or `floating`) and `{timeout}` (in seconds, as `2.5`) are replaced. The same stand in the
/// variables `FLOATIP_NODE`, `FLOATIP_HOST`, `FLOATIP_PORT`, `FLOATIP_VIA` and `FLOATIP_TIMEOUT`. Of the monitor's own
/// environment, which may hold passwords and credentials, it gets `PATH`, `HOME`, `LANG`, `TZ` and `TMPDIR`, and what
/// [`pass`](Self::pass) names. Standard input is empty.
///
/// # Guarantees
/// - The program runs in a process group of its own, which is killed (SIGKILL) when the program ends, at the timeout, or
///   when the check is dropped. What it starts in yet another group or session is its own affair.
/// - At most 64 programs run at once; one whose turn does not come within the timeout is no verdict.
/// - Each output is kept to 4 KiB, and the rest of it discarded.
///
/// # Source
/// The Nagios plugin development guidelines: exit codes, and the first line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecProbe {
    program: String,
    arguments: Vec<String>,
    pass: Vec<String>,
}

impl ExecProbe {
    /// Runs this program with these arguments.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if the program is no absolute path, or anything holds a NUL character.
    pub fn new<A: Into<String>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Result<Self, SettingError> {
        let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
        if !Path::new(program).is_absolute() {
            let detail = "it must be a path that begins with a slash: nothing is searched for".to_owned();
            return Err(SettingError::Unusable { setting: "the program", detail });
        }
        if arguments.iter().map(String::as_str).chain([program]).any(|text| text.contains('\0')) {
            return Err(SettingError::LineBreak("the program or an argument"));
        }
        Ok(Self { program: program.to_owned(), arguments, pass: Vec::new() })
    }

    /// Gives the program these variables of the monitor's environment as well, where they are set. Default: none.
    #[must_use]
    pub fn pass<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.pass.extend(names.into_iter().map(Into::into));
        self
    }

    fn command(&self, target: &Target) -> Command {
        let facts = facts(target);
        let filled = |argument: &String| {
            facts.iter().fold(argument.clone(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
        };
        let own = |name: &str| std::env::var_os(name).map(|value| (name.to_owned(), value));
        let inherited = INHERITED.into_iter().chain(self.pass.iter().map(String::as_str)).filter_map(own);
        let told =
            facts.iter().map(|(name, value)| (format!("FLOATIP_{}", name.to_ascii_uppercase()), OsString::from(value)));
        let mut command = Command::new(&self.program);
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

    async fn check(&self, target: &Target) -> Result<Verdict, Failure> {
        let mut child = self.command(target).spawn().map_err(|error| self.not_started(error))?;
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
        let status = status.map_err(|error| self.unusable("cannot be waited for", error))?;
        let words = first_line(&output.0).or_else(|| first_line(&errors.0)).unwrap_or_else(|| "(no words)".to_owned());
        self.verdict(status, words)
    }

    fn verdict(&self, status: ExitStatus, words: String) -> Result<Verdict, Failure> {
        match status.code() {
            Some(0) => Ok(Verdict::healthy()),
            Some(1) => Ok(Verdict::healthy().with_warning(words)),
            Some(2) => Ok(Verdict::unhealthy(Reason::Failed { detail: words })),
            Some(3) => Err(self.unusable("could not do its work (exit code 3)", io::Error::other(words))),
            Some(code) => Err(self.unusable(&format!("ended with code {code}, not 0 to 3"), io::Error::other(words))),
            None => {
                let signal = status.signal().unwrap_or_default();
                Err(self.unusable(&format!("was killed by signal {signal}"), io::Error::other(words)))
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of errors are an open set")]
    fn not_started(&self, error: io::Error) -> Failure {
        match error.kind() {
            ErrorKind::PermissionDenied => ProbeError::NotPermitted {
                action: "run the program of an exec probe",
                hint: format!("let the monitor's user execute {}", self.program),
                source: error.into(),
            }
            .into(),
            ErrorKind::NotFound => self.unusable("does not exist", error),
            ErrorKind::WouldBlock | ErrorKind::OutOfMemory => {
                ProbeError::Exhausted { what: "processes", source: error.into() }.into()
            }
            _ => Failure::of_prober("run the program of an exec probe", error),
        }
    }

    fn unusable(&self, why: &str, source: io::Error) -> Failure {
        ProbeError::Unusable { what: format!("{} {why}", self.program), source: source.into() }.into()
    }
}

impl fmt::Display for ExecProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program {}", self.program)
    }
}

/// What a program is told of its target.
fn facts(target: &Target) -> [(&'static str, String); 5] {
    let via = match target.via {
        Via::Direct => "direct",
        Via::Floating => "floating",
    };
    [
        ("node", target.node.to_string()),
        ("host", target.host.name().to_owned()),
        ("port", target.host.port().map(|port| port.to_string()).unwrap_or_default()),
        ("via", via.to_owned()),
        ("timeout", target.timeout.as_secs_f64().to_string()),
    ]
}

/// The first line that says something, without performance data.
fn first_line(output: &[u8]) -> Option<String> {
    let line = output.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty())?;
    let words = line.split(|byte| *byte == b'|').next().unwrap_or(line);
    Some(excerpt(words))
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

#[async_trait]
impl HealthProbe for ExecProbe {
    fn kind(&self) -> &'static str {
        "exec"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let deadline = Instant::now() + target.timeout;
        let lacking =
            |source| ProbeError::Exhausted { what: "turns: as many programs as may run at once do so", source };
        let _turn = match timeout_at(deadline, TURNS.acquire()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(closed)) => return Err(lacking(closed.into())),
            Err(elapsed) => return Err(lacking(elapsed.into())),
        };
        match timeout_at(deadline, self.check(target)).await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(Failure::Target(reason))) => Ok(Verdict::unhealthy(reason)),
            Ok(Err(Failure::Prober(error))) => Err(error),
            Err(_) => Ok(Verdict::unhealthy(Reason::TimedOut { stage: "the program".into() })),
        }
    }
}
