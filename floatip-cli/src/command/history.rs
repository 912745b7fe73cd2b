//! `floatip history`: what was decided, on what evidence, and how long each part took.

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::status;
use crate::cli::MonitorArgs;
use crate::control::Client;
use crate::exit::{Failure, Outcome};
use crate::output;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The floating IP [default: all]
    name: Option<String>,
    /// Only so many of the newest decisions of each.
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
    #[command(flatten)]
    monitor: MonitorArgs,
    /// Print JSON, with the whole status at each decision.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args) -> Result<Outcome, Failure> {
    let client = Client::connect(&args.monitor.socket()?).await?;
    let names = match &args.name {
        Some(name) => vec![name.clone()],
        None => status::read(client.status().await?)?.into_iter().map(|ip| ip.name).collect(),
    };
    let mut told = Vec::new();
    for name in names {
        let answer = client.history(&name).await?;
        let decisions = answer["decisions"].as_array().cloned().unwrap_or_default();
        let newest: Vec<_> = decisions.iter().skip(decisions.len().saturating_sub(args.last)).cloned().collect();
        if args.json {
            told.push(json!({ "name": name, "decisions": newest }));
        } else if newest.is_empty() {
            output::line(format_args!("{name}: nothing was decided yet"))?;
        } else {
            newest.iter().try_for_each(|decision| show(&name, decision))?;
        }
    }
    if args.json {
        output::json(&json!({ "floating_ips": told }))?;
    }
    Ok(Outcome::Done)
}

fn show(name: &str, decision: &Value) -> Result<(), Failure> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let again = match decision["repeated"].as_u64() {
        Some(times @ 1..) => format!(" (and {times} times more)"),
        Some(0) | None => String::new(),
    };
    output::line(format_args!(
        "{} {name} {}: {}{again}",
        text(&decision["event"]["at"]),
        text(&decision["decision"]),
        text(&decision["summary"])
    ))?;
    let list = |key: &str| decision["evidence"][key].as_array().cloned().unwrap_or_default();
    let known = list("nodes").into_iter().chain(list("witnesses")).map(|node| {
        let reason = node["reason"].as_str().map_or_else(String::new, |reason| format!(" ({reason})"));
        format!("{} {}{reason}", text(&node["name"]), text(&node["health"]))
    });
    let known: Vec<_> = known.chain([text(&decision["evidence"]["placement"])]).collect();
    output::line(format_args!("  known then: {}", known.join(", ")))?;
    if let Some(detect) = decision["event"]["detect_ms"].as_f64() {
        output::line(format_args!("  detected within {detect} ms"))?;
    }
    for step in decision["steps"].as_array().into_iter().flatten() {
        let took = step["duration_ms"].as_f64().map_or_else(String::new, |took| format!(" {took} ms"));
        let what = step["step"].as_str().or(step["event"].as_str()).unwrap_or_default();
        let why = step["reason"].as_str().or(step["error"].as_str()).map_or_else(String::new, |why| format!(": {why}"));
        output::line(format_args!("  {what}{took}{why}"))?;
    }
    let end = &decision["end"];
    if let Some(event) = end["event"].as_str() {
        let took = end["duration_ms"].as_f64().map_or_else(String::new, |took| format!(" after {took} ms"));
        let why = end["error"].as_str().or(end["verification"].as_str()).unwrap_or_default();
        output::line(format_args!("  {}{took}: {why}", event.replace('_', " ")))?;
    }
    Ok(())
}
