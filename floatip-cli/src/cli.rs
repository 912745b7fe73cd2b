//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::command;
use crate::config;
use crate::control;
use crate::exit::{self, Failure, Outcome};
use crate::logging::{self, LogFormat};

/// Where the configuration is if nobody says.
const DEFAULT_CONFIG: &str = "/etc/floatip/floatip.toml";

/// Moves a floating IP address between servers on AWS when the one that holds it fails.
#[derive(Debug, Parser)]
#[command(name = "floatip", version, about, after_help = exit::HELP)]
struct Cli {
    /// Log more: once for debug, twice for all.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// How logs on stderr are written.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a failover on this machine: no AWS, no root, no configuration.
    #[cfg(feature = "demo")]
    Demo(crate::demo::Args),
    /// Validate the configuration offline, and print how fast a dead server is noticed.
    #[command(after_help = "Exit codes: 0 valid, 2 not valid")]
    Check(command::check::Args),
    /// Run every probe once, and print a table.
    #[command(
        after_help = "Exit codes: 0 all healthy, 3 something is unhealthy, 4 a check could not be made, 2 configuration"
    )]
    Probe(command::probe::Args),
    /// Ask EC2 whether every move could be made that may be needed, and print what to mend. Changes nothing.
    #[command(after_help = "Exit codes: 0 nothing fails, 1 something fails or could not be found out, 2 configuration")]
    Preflight(command::preflight::Args),
    /// Print a configuration from what is in the account: instances, interfaces, Elastic IPs.
    #[command(after_help = "Exit codes: 0 printed, 1 nothing was found or EC2 could not be read, 2 command line")]
    Discover(command::discover::Args),
    /// Print the IAM policy that allows what this configuration needs, and nothing more. Asks nobody.
    #[command(after_help = "Exit codes: 0 printed, 2 configuration")]
    IamPolicy(command::iam_policy::Args),
    /// Monitor the nodes and move the addresses: the service itself.
    #[command(after_help = "\
SIGTERM and SIGINT end it cleanly (a move past its point of no return is finished first); a second one at once.
SIGHUP changes nothing: start it anew to read the configuration again.

Exit codes: 0 ended by a signal, 2 configuration, 7 another monitor is running, 1 anything else
With --once: 0 healthy, 10 moved, 1 failed, 7 another monitor is running, 2 configuration")]
    Run(command::run::Args),
    /// Show what a running monitor knows.
    #[command(after_help = "Exit codes: 0 shown, 5 no monitor listens at the control socket")]
    Status(command::status::Args),
    /// Show what was decided, on what evidence, and how long each part took.
    #[command(after_help = "Exit codes: 0 shown, 5 no monitor, 6 no such floating IP")]
    History(command::history::Args),
    /// Move a floating IP to a node, and wait until it is there.
    #[command(
        after_help = "Exit codes: 0 moved (or started, or already there), 1 the move failed, 5 no monitor, 6 refused"
    )]
    Move(command::operate::MoveArgs),
    /// Stop automatic moves of a floating IP until it is resumed.
    #[command(after_help = "Exit codes: 0 paused, 5 no monitor, 6 refused")]
    Pause(command::operate::PauseArgs),
    /// Resume automatic moves, after a pause or a freeze.
    #[command(after_help = "Exit codes: 0 resumed, 5 no monitor, 6 refused")]
    Resume(command::operate::ResumeArgs),
    /// End a freeze after too many moves: you have seen what happened. A pause stays.
    #[command(after_help = "Exit codes: 0 acknowledged, 5 no monitor, 6 refused")]
    Ack(command::operate::ResumeArgs),
    /// Make a node no candidate, and move addresses away from it while all is well. A restart remembers it, with state_dir.
    #[command(after_help = "Exit codes: 0 drained, 5 no monitor, 6 refused")]
    Drain(command::operate::DrainArgs),
    /// End the draining of a node.
    #[command(after_help = "Exit codes: 0 a candidate again, 5 no monitor, 6 refused")]
    Undrain(command::operate::DrainArgs),
    /// As a node, say of yourself how you are, to a monitor with a probe of kind "push".
    #[command(after_help = "Exit codes: 0 taken, 2 no token, 5 no monitor, 6 refused")]
    Report(command::report::Args),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Which configuration file.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "FLOATIP_CONFIG", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

/// Which running monitor.
#[derive(Debug, Args)]
pub(crate) struct MonitorArgs {
    /// The monitor's control socket [default: the configuration's `control`, else /run/floatip/control.sock]
    #[arg(long, value_name = "SOCKET", env = "FLOATIP_CONTROL")]
    control: Option<PathBuf>,
    /// The monitor's configuration file, to find its control socket [default: /etc/floatip/floatip.toml, if it is there]
    #[arg(short, long, value_name = "FILE", env = "FLOATIP_CONFIG")]
    config: Option<PathBuf>,
}

impl MonitorArgs {
    /// The control socket of the monitor that is meant.
    pub(crate) fn socket(&self) -> Result<PathBuf, Failure> {
        let configured = match (&self.control, &self.config) {
            (Some(control), _) => return Ok(control.clone()),
            (None, Some(config)) => config::control_of(config)?,
            // An operator need not have a file that only the monitor may read.
            (None, None) => config::control_of(Path::new(DEFAULT_CONFIG)).unwrap_or_default(),
        };
        Ok(configured.unwrap_or_else(|| control::DEFAULT_SOCKET.into()))
    }
}

/// Parses, runs and concludes.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::init(cli.log_format, cli.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return exit::conclude(&Err(Failure::System { action: "start worker threads", source })),
    };
    let end = runtime.block_on(run(cli.command));
    // A file system that hangs must not keep a finished program alive.
    runtime.shutdown_background();
    exit::conclude(&end)
}

async fn run(command: Command) -> Result<Outcome, Failure> {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => crate::demo::run(args).await,
        Command::Check(args) => command::check::run(&args),
        Command::Probe(args) => command::probe::run(&args).await,
        Command::Preflight(args) => command::preflight::run(&args).await,
        Command::Discover(args) => command::discover::run(&args).await,
        Command::IamPolicy(args) => command::iam_policy::run(&args),
        Command::Run(args) => command::run::run(&args).await,
        Command::Status(args) => command::status::run(&args).await,
        Command::History(args) => command::history::run(&args).await,
        Command::Move(args) => command::operate::switch_over(&args).await,
        Command::Pause(args) => command::operate::pause(&args).await,
        Command::Resume(args) => command::operate::resume(&args).await,
        Command::Ack(args) => command::operate::acknowledge(&args).await,
        Command::Drain(args) => command::operate::drain(&args).await,
        Command::Undrain(args) => command::operate::undrain(&args).await,
        Command::Report(args) => command::report::run(&args).await,
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "floatip", &mut script);
    crate::output::line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
