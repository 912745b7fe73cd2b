//! What does a program say?

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Reason, Target, Verdict, Via};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::excerpt::excerpt;
use crate::failure::Failure;
use crate::{Program, SettingError};

/// How many programs may run at once in the process.
static TURNS: Semaphore = Semaphore::const_new(64);

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
    program: Program,
}

impl ExecProbe {
    /// Runs this program with these arguments.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if the program is no absolute path, or anything holds a NUL character.
    pub fn new<A: Into<String>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Result<Self, SettingError> {
        Ok(Self { program: Program::new(program, arguments)? })
    }

    /// Gives the program these variables of the monitor's environment as well, where they are set. Default: none.
    #[must_use]
    pub fn pass<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { program: self.program.pass(names) }
    }

    async fn check(&self, target: &Target) -> Result<Verdict, Failure> {
        let ended = self.program.run(&facts(target)).await.map_err(|error| self.not_run(error))?;
        let words = first_line(&ended.output).or_else(|| first_line(&ended.errors));
        self.verdict(ended.status, words.unwrap_or_else(|| "(no words)".to_owned()))
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
    fn not_run(&self, error: io::Error) -> Failure {
        match error.kind() {
            ErrorKind::PermissionDenied => ProbeError::NotPermitted {
                action: "run the program of an exec probe",
                hint: format!("let the monitor's user execute {}", self.program.path()),
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
        ProbeError::Unusable { what: format!("{} {why}", self.program.path()), source: source.into() }.into()
    }
}

impl fmt::Display for ExecProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program {}", self.program.path())
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
