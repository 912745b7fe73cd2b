//! `floatip run`: the monitor.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use floatip_core::Orchestrator;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::once;
use crate::cli::ConfigArgs;
use crate::config::{Config, ProbeSpec, Purpose};
use crate::control::{self, PushListener, Server};
use crate::event_log::EventLog;
use crate::exit::{self, Failure, Outcome};
use crate::journal::{Journal, Newest};
use crate::lock::{self, Lock};
use crate::reports::Reports;
use crate::wiring;

/// How long answers that are under way may take once the monitor has stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How long the last events may take to be written.
const LAST_EVENTS: Duration = Duration::from_secs(5);

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Append every event to this file, as one JSON object a line.
    #[arg(long, value_name = "FILE")]
    event_log: Option<PathBuf>,
    /// Listen for status, move, pause and resume at this Unix socket [default: the configuration's `control`, else
    /// /run/floatip/control.sock]
    #[arg(long, value_name = "SOCKET", env = "FLOATIP_CONTROL")]
    control: Option<PathBuf>,
    /// Decide once, move if need be, and end, as for cron. Set `state_dir`, so that pauses and the bound on moves outlive
    /// the run.
    #[arg(long)]
    once: bool,
    /// With --once: print the decisions as JSON.
    #[arg(long, requires = "once")]
    json: bool,
}

pub(crate) async fn run(args: &Args) -> Result<Outcome, Failure> {
    let config = Config::load(&args.config.config, Purpose::Use)?;
    for warning in &config.warnings {
        warn!("{}", warning.line());
    }
    let socket = args.control.clone().or_else(|| config.control.clone());
    let socket = socket.unwrap_or_else(|| control::DEFAULT_SOCKET.into());
    let stop = Stop::on_signals()?;
    let lock_file = match &config.state_dir {
        Some(state_dir) => state_dir.join("floatip.lock"),
        None => lock::beside(&socket),
    };
    let _lock = Lock::acquire(&lock_file)?;
    let log = args.event_log.as_deref().map(EventLog::open).transpose()?;
    let (orchestrator, reports) = wiring::orchestrator(&config).await?;
    let journal = Journal::new(orchestrator.handle().subscribe(), log);
    let newest = journal.newest();
    let journal = tokio::spawn(journal.run());
    let outcome = if args.once {
        if config.state_dir.is_none() {
            warn!("without `state_dir` pauses and the bound on moves (max_moves) are forgotten after this run");
        }
        let probes = || config.floating_ips.iter().flat_map(|ip| &ip.probes);
        if probes().any(|probe| matches!(probe.spec, ProbeSpec::Push(_))) {
            warn!("no node can report to a run that ends: by its probe of kind \"push\" every node stays unknown");
        }
        once::run(&config, orchestrator, stop, args.json).await
    } else {
        serve(&config, orchestrator, &socket, newest, reports, stop).await
    };
    if timeout(LAST_EVENTS, journal).await.is_err() {
        warn!("the last events could not be written in time");
    }
    outcome
}

async fn serve(
    config: &Config,
    orchestrator: Orchestrator,
    socket: &Path,
    newest: watch::Receiver<Newest>,
    reports: Reports,
    stop: Stop,
) -> Result<Outcome, Failure> {
    let (ended, end) = watch::channel(());
    let end = || {
        let mut end = end.clone();
        async move {
            // An error is the end too.
            end.changed().await.ok();
        }
    };
    let server = Server::bind(socket)?;
    let listening = match &config.push {
        Some(push) => Some(PushListener::bind(push).await?.serve(reports.clone(), end())),
        None => None,
    };
    let listening = listening.map(tokio::spawn);
    let answering = tokio::spawn(server.serve(orchestrator.handle(), newest, reports, end()));
    info!(control = %socket.display(), floating_ips = config.floating_ips.len(), "monitoring");
    orchestrator.run(stop.wait()).await;
    drop(ended);
    conclude(answering, "the control socket failed").await;
    if let Some(listening) = listening {
        conclude(listening, "the listener for reports failed").await;
    }
    info!("ended");
    Ok(Outcome::Done)
}

/// Lets a server give its last answers.
async fn conclude(serving: JoinHandle<io::Result<()>>, failed: &'static str) {
    let aborted = serving.abort_handle();
    match timeout(LAST_ANSWERS, serving).await {
        Ok(Ok(Ok(()))) => (),
        Ok(Ok(Err(error))) => warn!(%error, "{failed}"),
        Ok(Err(error)) => warn!(%error, "{failed}"),
        Err(_) => aborted.abort(),
    }
}

/// Whether this process was asked to end.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// SIGTERM and SIGINT ask for a clean end; a second one ends the process at once. SIGHUP, which other daemons take
    /// for "read the configuration again" and a closed terminal sends, ends nothing.
    fn on_signals() -> Result<Self, Failure> {
        let install = |kind| signal(kind).map_err(|source| Failure::System { action: "watch for signals", source });
        let mut term = install(SignalKind::terminate())?;
        let mut interrupt = install(SignalKind::interrupt())?;
        let mut hangup = install(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                warn!("SIGHUP changes nothing: to read the configuration again, end with SIGTERM and start anew");
            }
        });
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            either(&mut term, &mut interrupt).await;
            info!("ending; a second signal ends at once");
            tell.send_replace(true);
            either(&mut term, &mut interrupt).await;
            std::process::exit(exit::FAILED.into());
        });
        Ok(Self(told))
    }

    /// Completes once the process was asked to end.
    pub(super) async fn wait(mut self) {
        // An error means that nobody watches for signals any more: then nobody asks.
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! {
        _ = a.recv() => (),
        _ = b.recv() => (),
    }
}
