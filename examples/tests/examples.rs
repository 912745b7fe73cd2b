//! Runs the examples as a reader would. What this machine cannot run is counted as ignored, with the reason; with
//! `FLOATIP_REQUIRE=all` it fails.

use std::net::TcpListener;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use floatip_examples::Lab;
use libtest_mimic::{Arguments, Completion, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long one example may take.
const LIMIT: Duration = Duration::from_secs(90);

/// A running example. Dropping it kills it.
struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    printed: String,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Result<Self> {
        let own = std::env::current_exe()?;
        let built = own.ancestors().nth(2).context("a folder above that of the tests")?.join("examples").join(name);
        let mut command = Command::new(&built);
        command.args(arguments).kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let command = command.env("RUST_BACKTRACE", "0");
        let mut child = command.spawn().with_context(|| format!("{}: cargo build --examples", built.display()))?;
        let stdout = child.stdout.take().context("a pipe")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines(), printed: String::new() })
    }

    async fn until(&mut self, words: &str) -> Result<()> {
        while let Some(line) = self.lines.next_line().await? {
            self.printed += &line;
            self.printed.push('\n');
            if line.contains(words) {
                return Ok(());
            }
        }
        anyhow::bail!("it never printed {words:?}, but:\n{}", self.printed)
    }

    fn interrupt(&self) -> Result<()> {
        let id = self.child.id().context("it has ended")?;
        Ok(kill(Pid::from_raw(id.try_into()?), Signal::SIGINT)?)
    }

    /// How it ended, and all that it printed, errors last.
    async fn end(mut self) -> Result<(ExitStatus, String)> {
        while let Some(line) = self.lines.next_line().await? {
            self.printed += &line;
            self.printed.push('\n');
        }
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_string(&mut self.printed).await?;
        }
        Ok((self.child.wait().await?, self.printed))
    }
}

async fn succeeds(name: &str, arguments: &[&str]) -> Result<String> {
    let (status, printed) = Example::start(name, arguments)?.end().await?;
    ensure!(status.success(), "{status}:\n{printed}");
    Ok(printed)
}

async fn the_eni_example_moves_an_interface() -> Result<()> {
    let printed = succeeds("eni_failover", &[]).await?;
    ensure!(printed.contains("step await_released") && printed.contains("is served by i-ftp-2"), "{printed}");
    Ok(())
}

async fn the_eip_example_moves_an_address() -> Result<()> {
    let printed = succeeds("eip_failover", &[]).await?;
    ensure!(!printed.contains("step release") && printed.contains("is served by i-ftp-2"), "{printed}");
    Ok(())
}

async fn the_private_ip_example_moves_an_address() -> Result<()> {
    let printed = succeeds("private_ip_failover", &[]).await?;
    ensure!(!printed.contains("step release") && printed.contains("is served by i-ftp-2"), "{printed}");
    Ok(())
}

async fn the_route_example_moves_an_address_to_another_zone() -> Result<()> {
    let printed = succeeds("route_failover", &[]).await?;
    ensure!(!printed.contains("step release") && printed.contains("is served by i-ftp-2"), "{printed}");
    Ok(())
}

async fn the_aws_examples_say_what_they_want() -> Result<()> {
    for name in ["eni_failover", "eip_failover", "private_ip_failover", "route_failover"] {
        let (status, printed) = Example::start(name, &["too-little"])?.end().await?;
        ensure!(status.code() == Some(1) && printed.contains(&format!("usage: {name}")), "{status}:\n{printed}");
    }
    Ok(())
}

async fn the_probe_example_tells_servers_apart() -> Result<()> {
    let printed = succeeds("custom_probe", &[]).await?;
    ensure!(printed.lines().filter(|line| line.contains("unhealthy")).count() == 4, "{printed}");
    Ok(())
}

async fn the_probe_example_fails_for_a_server_that_is_down() -> Result<()> {
    let unused = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let (status, printed) = Example::start("custom_probe", &[&unused])?.end().await?;
    ensure!(status.code() == Some(1) && printed.contains("connection refused"), "{status}:\n{printed}");
    Ok(())
}

async fn the_embedding_fails_over_and_ends_cleanly_when_interrupted() -> Result<()> {
    let (first, second) =
        (tokio::net::TcpListener::bind("127.0.0.1:0").await?, tokio::net::TcpListener::bind("127.0.0.1:0").await?);
    let hosts = [&first, &second].map(|listener| listener.local_addr().map(|address| address.to_string()));
    let [Ok(one), Ok(two)] = &hosts else { anyhow::bail!("{hosts:?}") };
    let mut example = Example::start("embed", &[one, two])?;
    example.until("came up").await?;
    example.until("came up").await?;
    drop(first);
    example.until("move 1 finished: the address is on second").await?;
    example.interrupt()?;
    let (status, printed) = example.end().await?;
    ensure!(status.success(), "{status}:\n{printed}");
    Ok(())
}

async fn the_mover_example_moves_a_device_between_namespaces() -> Result<()> {
    let printed = succeeds("custom_mover", &[]).await?;
    ensure!(printed.contains("(rescue)") && printed.contains("is served by b"), "{printed}");
    Ok(())
}

async fn the_mover_example_keeps_the_contract_of_movers() -> Result<()> {
    let printed = succeeds("custom_mover", &["--contract"]).await?;
    let passed = printed.lines().filter(|line| line.starts_with("passed")).count();
    ensure!(passed >= 17, "only {passed} cases apply:\n{printed}");
    Ok(())
}

async fn the_mover_example_leaves_nothing_behind_when_interrupted() -> Result<()> {
    let mut example = Example::start("custom_mover", &[])?;
    let prefix = format!("floatip-{}-", example.child.id().context("it has ended")?);
    let namespaces = || std::fs::read_dir("/run/netns").map(|entries| entries.flatten().collect::<Vec<_>>());
    let own = |entries: Vec<std::fs::DirEntry>| {
        entries.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
    };
    example.until("came up").await?;
    ensure!(own(namespaces()?) == 4, "the namespaces {prefix}* are not there");
    example.interrupt()?;
    let (status, printed) = example.end().await?;
    ensure!(status.code() == Some(1) && printed.contains("interrupted"), "{status}:\n{printed}");
    ensure!(own(namespaces()?) == 0, "some of {prefix}* are left");
    Ok(())
}

/// A test that needs nothing, or one that needs the lab.
macro_rules! trial {
    ($needs_lab:literal, $test:ident) => {
        Trial::ignorable_test(stringify!($test), || {
            if $needs_lab && let Err(missing) = Lab::new() {
                let missing = format!("not run: {missing:#}");
                let required = std::env::var_os("FLOATIP_REQUIRE").is_some_and(|value| value == "all");
                return if required { Err(missing.into()) } else { Ok(Completion::ignored_with(missing)) };
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let ended = runtime.block_on(async { timeout(LIMIT, $test()).await });
            ended.context("it took too long").flatten().map_err(|error| format!("{error:#}"))?;
            Ok(Completion::Completed)
        })
    };
}

fn main() -> ExitCode {
    let trials = vec![
        trial!(false, the_eni_example_moves_an_interface),
        trial!(false, the_eip_example_moves_an_address),
        trial!(false, the_private_ip_example_moves_an_address),
        trial!(false, the_route_example_moves_an_address_to_another_zone),
        trial!(false, the_aws_examples_say_what_they_want),
        trial!(false, the_probe_example_tells_servers_apart),
        trial!(false, the_probe_example_fails_for_a_server_that_is_down),
        trial!(false, the_embedding_fails_over_and_ends_cleanly_when_interrupted),
        trial!(true, the_mover_example_moves_a_device_between_namespaces),
        trial!(true, the_mover_example_keeps_the_contract_of_movers),
        trial!(true, the_mover_example_leaves_nothing_behind_when_interrupted),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
