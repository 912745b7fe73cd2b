//! `floatip demo`: one failover, from beginning to end, on this machine alone.
//!
//! Everything but the cloud is real: the monitor, its probes, the EC2 client, two FTP servers and a client of theirs.

mod client;
mod cloud;
mod data_plane;
mod fault;
mod ftp_server;
mod server;
mod show;
mod story;
mod timeline;
mod view;

use std::future::pending;
use std::sync::Arc;

use anyhow::anyhow;
use clap::ValueEnum;
use clap::error::ErrorKind;
use floatip_core::Orchestrator;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;

use crate::exit::{Failure, Outcome};
use cloud::MoverKind;
use data_plane::Loopback;
use fault::Fault;
use server::Server;
use show::Show;

/// How many attempts of the client may wait to be looked at.
const ATTEMPTS: usize = 64;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
An EC2 API simulator, two FTP servers, a client and a monitor run on loopback. The server that holds the floating
address is killed; the monitor notices, moves the address by real EC2 calls, and the client logs in again.

With --json, every event of the monitor is a line, and the last line is {\"event\": \"demo_finished\", \"mover\",
\"verified\", \"detect_ms\", \"release_ms\", \"claim_ms\", \"verify_ms\", \"outage_ms\"}; a part that the mover does not need
is 0, one that never ended null.

Exit codes: 0 a client's login through the floating address reached the other server, 1 it did not")]
pub(crate) struct Args {
    /// What moves.
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    mover: MoverKind,
    /// Make the EC2 API fail as the server dies.
    #[arg(long, value_enum, value_name = "NAME")]
    fault: Option<Fault>,
    /// Print JSON lines instead of the view.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<Outcome, Failure> {
    if let Some(fault) = args.fault.filter(|fault| !fault.strikes(args.mover)) {
        let name = fault.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let message = format!("the fault {name} cannot strike a move of an {}\n", args.mover);
        clap::Error::raw(ErrorKind::ArgumentConflict, message).exit();
    }
    let interrupted = interruption()?;
    let plane = Arc::new(Loopback::start(Server::Ftp1)?);
    let end = tokio::select! {
        end = perform(&args, &plane) => end,
        () = interrupted => Err(anyhow!("it was interrupted").into()),
    };
    plane.close().await;
    end
}

/// Completes when the user, or the system, asks for the end.
fn interruption() -> Result<impl Future<Output = ()>, Failure> {
    let install = |kind| signal(kind).map_err(|source| Failure::System { action: "watch for signals", source });
    let (mut interrupt, mut terminate) = (install(SignalKind::interrupt())?, install(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn perform(args: &Args, plane: &Arc<Loopback>) -> Result<Outcome, Failure> {
    let simulator = cloud::start(args.mover, Server::Ftp1).await?;
    simulator.data_plane(plane.clone());
    let monitor = cloud::monitor(&simulator, args.mover, &plane.addresses).await?;
    let events = monitor.handle().subscribe();
    let (found, attempts) = mpsc::channel(ATTEMPTS);
    let mut tasks = JoinSet::new();
    tasks.spawn(client::knock(plane.addresses.floating, found));
    tasks.spawn(drive(monitor));
    Show::new(args, plane, &simulator, events, attempts).play().await?;
    Ok(Outcome::Done)
}

/// True if the user asked for more logs than what the view shows in any case.
fn is_verbose() -> bool {
    LevelFilter::current() > LevelFilter::INFO
}

/// Runs the monitor. It logs only if that is more than what the view shows.
async fn drive(monitor: Orchestrator) {
    let running = monitor.run(pending());
    if is_verbose() {
        running.await;
    } else {
        running.with_subscriber(NoSubscriber::new()).await;
    }
}
