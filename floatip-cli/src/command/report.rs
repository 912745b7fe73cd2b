//! `floatip report`: a node says of itself how it is.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs};

use crate::cli::MonitorArgs;
use crate::config::token;
use crate::control::{Client, ReportRequest};
use crate::exit::{Failure, Outcome};
use crate::output;

/// Where the token is if no file is named.
const TOKEN: &str = "FLOATIP_PUSH_TOKEN";

#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("verdict").required(true))]
pub(crate) struct Args {
    /// The node that reports, by its name in the monitor's configuration.
    #[arg(long, value_name = "NODE")]
    node: String,
    /// It does its work.
    #[arg(long, group = "verdict")]
    healthy: bool,
    /// It does not, and this is why.
    #[arg(long, group = "verdict", value_name = "REASON")]
    unhealthy: Option<String>,
    /// The one floating IP that this is about [default: all that have the node and a probe of kind "push"]
    #[arg(long, value_name = "NAME")]
    floating_ip: Option<String>,
    /// Report over the network: to the `listen` of the monitor's `[push]`, such as 10.0.0.5:9110, with the token in the
    /// environment variable FLOATIP_PUSH_TOKEN [default: the control socket]
    #[arg(long, value_name = "ADDRESS")]
    monitor: Option<String>,
    /// A file with the token, instead of FLOATIP_PUSH_TOKEN.
    #[arg(long, value_name = "FILE", requires = "monitor")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    socket: MonitorArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args) -> Result<Outcome, Failure> {
    let request = ReportRequest {
        node: args.node.clone(),
        healthy: args.healthy,
        reason: args.unhealthy.clone(),
        floating_ip: args.floating_ip.clone(),
    };
    let answer = match &args.monitor {
        Some(address) => Client::report_to(address, &token(args.token_file.as_deref(), TOKEN)?, &request).await?,
        None => Client::connect(&args.socket.socket()?).await?.report(&request).await?,
    };
    if args.json {
        output::json(&answer)?;
        return Ok(Outcome::Done);
    }
    let health = if args.healthy { "healthy" } else { "unhealthy" };
    for name in answer["floating_ips"].as_array().into_iter().flatten().filter_map(|name| name.as_str()) {
        output::line(format_args!("{name}: {} has reported that it is {health}", args.node))?;
    }
    Ok(Outcome::Done)
}
