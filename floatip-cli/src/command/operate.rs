//! `floatip move`, `pause` and `resume`: what an operator asks of a running monitor.

use std::time::Duration;

use clap::Args as ClapArgs;
use floatip_core::chain;
use serde::Serialize;
use serde_json::{Value, json};

use super::status;
use crate::cli::MonitorArgs;
use crate::control::{Client, DrainRequest, MoveRequest, PauseRequest};
use crate::exit::{Failure, Outcome};
use crate::output;

#[derive(Debug, ClapArgs)]
pub(crate) struct MoveArgs {
    /// The floating IP.
    name: String,
    /// The node that shall hold it.
    #[arg(long, value_name = "NODE")]
    to: String,
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Move even if the node is not known to be healthy, the floating IP is paused or the holder is in use.
    #[arg(long)]
    force: bool,
    /// Return once the move has started, not when it has ended.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    monitor: MonitorArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One floating IP or all.
#[derive(Debug, ClapArgs)]
struct Which {
    /// The floating IP.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// All floating IPs of the monitor.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    which: Which,
    /// Why, for status and events.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// After how long it ends by itself, such as 2h [default: not before it is resumed]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    monitor: MonitorArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    monitor: MonitorArgs,
}

pub(crate) async fn switch_over(args: &MoveArgs) -> Result<Outcome, Failure> {
    let client = Client::connect(&args.monitor.socket()?).await?;
    let MoveArgs { to, force, dry_run, no_wait, .. } = args;
    let request = MoveRequest { to: to.clone(), force: *force, dry_run: *dry_run, wait: !no_wait };
    let done = client.command(&args.name, "move", Some(&request)).await?;
    if args.json {
        output::json(&done)?;
    } else {
        output::line(format_args!("{}: {}", args.name, told(&done)))?;
    }
    Ok(Outcome::Done)
}

/// How a move ended, in words.
fn told(done: &Value) -> String {
    let text = |key: &str| done[key].as_str().unwrap_or("nobody").to_owned();
    match done["result"].as_str() {
        Some("moved") => {
            let seconds = done["duration_ms"].as_f64().unwrap_or_default() / 1e3;
            format!("moved from {} to {} in {seconds:.2} s, {}", text("from"), text("to"), text("verification"))
        }
        Some("move_started") => "the move has started; see how it goes with `floatip status`".to_owned(),
        Some("would_move") => format!("would move from {} to {}", text("from"), text("to")),
        Some("already_there") => format!("{} holds the address already", text("node")),
        Some(_) | None => done.to_string(),
    }
}

pub(crate) async fn pause(args: &PauseArgs) -> Result<Outcome, Failure> {
    let for_ms = args.duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    let request = PauseRequest { reason: args.reason.clone(), for_ms };
    each(&args.which, &args.monitor, "pause", &request, "paused").await
}

pub(crate) async fn resume(args: &ResumeArgs) -> Result<Outcome, Failure> {
    each(&args.which, &args.monitor, "resume", &json!({}), "resumed").await
}

pub(crate) async fn acknowledge(args: &ResumeArgs) -> Result<Outcome, Failure> {
    each(&args.which, &args.monitor, "ack", &json!({}), "acknowledged").await
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DrainArgs {
    /// The node, in every floating IP that has one of this name.
    node: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    monitor: MonitorArgs,
}

pub(crate) async fn drain(args: &DrainArgs) -> Result<Outcome, Failure> {
    of_node(args, "drain", "drained; the address leaves it as soon as another node is well").await
}

pub(crate) async fn undrain(args: &DrainArgs) -> Result<Outcome, Failure> {
    of_node(args, "undrain", "a candidate again").await
}

/// Asks it of every floating IP that has the node.
async fn of_node(args: &DrainArgs, verb: &str, done: &str) -> Result<Outcome, Failure> {
    let client = Client::connect(&args.monitor.socket()?).await?;
    let mut names = status::read(client.status().await?)?;
    names.retain(|ip| ip.nodes.iter().any(|node| node.name == args.node));
    if names.is_empty() {
        return Err(Failure::Refused(format!("no floating IP has a node named {:?}", args.node)));
    }
    let request = DrainRequest { node: args.node.clone() };
    let mut told = Vec::new();
    for ip in names {
        let answer = client.command(&ip.name, verb, Some(&request)).await?;
        if args.json {
            told.push(json!({ "name": ip.name, "node": args.node, "result": answer["result"] }));
        } else {
            output::line(format_args!("{}: {} is {done}", ip.name, args.node))?;
        }
    }
    if args.json {
        output::json(&json!({ "floating_ips": told }))?;
    }
    Ok(Outcome::Done)
}

/// Asks it of each one that is meant, the rest too if one refuses.
async fn each(
    which: &Which,
    monitor: &MonitorArgs,
    verb: &str,
    request: &impl Serialize,
    done: &str,
) -> Result<Outcome, Failure> {
    let client = Client::connect(&monitor.socket()?).await?;
    let names = match &which.name {
        Some(name) => vec![name.clone()],
        None => status::read(client.status().await?)?.into_iter().map(|ip| ip.name).collect(),
    };
    let mut refused = None;
    let mut told = Vec::new();
    for name in &names {
        match client.command(name, verb, Some(request)).await {
            Ok(_) if which.json => told.push(json!({ "name": name, "result": done })),
            Ok(_) => output::line(format_args!("{name}: {done}"))?,
            Err(failure) if names.len() == 1 => return Err(failure),
            Err(failure) => {
                anstream::eprintln!("{name}: {}", chain(&failure));
                told.push(json!({ "name": name, "error": chain(&failure) }));
                refused = Some(failure);
            }
        }
    }
    if which.json {
        output::json(&json!({ "floating_ips": told }))?;
    }
    refused.map_or(Ok(Outcome::Done), Err)
}
