//! `floatip status`: what a running monitor knows.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args as ClapArgs;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::MonitorArgs;
use crate::control::Client;
use crate::exit::{Failure, Outcome};
use crate::output;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    monitor: MonitorArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is shown of the monitor's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    floating_ips: Vec<FloatingIp>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FloatingIp {
    pub(super) name: String,
    address: String,
    state: String,
    holder: Option<String>,
    placement: String,
    unsettled: Option<Unsettled>,
    paused: bool,
    pause_reason: Option<String>,
    pause_left_ms: Option<u64>,
    #[serde(rename = "move")]
    moving: Option<Move>,
    pub(super) nodes: Vec<Node>,
    #[serde(default)]
    witnesses: Vec<Node>,
    last_event: Option<LastEvent>,
}

/// What a claim has left undone.
#[derive(Debug, Deserialize)]
struct Unsettled {
    parts: Vec<Part>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Part {
    name: String,
    node: Option<String>,
    detail: Option<String>,
}

impl Unsettled {
    fn told(&self) -> String {
        let part = |part: &Part| {
            let detail = part.detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
            format!("{} on {}{detail}", part.name, part.node.as_deref().unwrap_or("no node"))
        };
        let parts = self.parts.iter().map(part).collect::<Vec<_>>().join(", ");
        let parts = if parts.is_empty() { parts } else { format!(": {parts}") };
        let error = self.error.as_ref().map_or_else(String::new, |error| format!("; {error}"));
        format!("not settled yet, being repaired{parts}{error}")
    }
}

#[derive(Debug, Deserialize)]
struct Move {
    to: String,
    stuck: Option<String>,
}

/// One check of a node.
#[derive(Debug, Deserialize)]
struct Probe {
    kind: String,
    health: String,
    reason: Option<String>,
}

impl Probe {
    fn told(&self) -> Option<String> {
        self.reason.as_ref().map(|reason| format!("{} (does not turn it down): {reason}", self.kind))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    #[serde(default)]
    maintenance: Option<String>,
    #[serde(default)]
    probes: Vec<Probe>,
    pub(super) name: String,
    host: String,
    health: String,
    reason: Option<String>,
    not_ready: Option<String>,
    #[serde(default)]
    drained: bool,
    #[serde(default)]
    flapping: bool,
}

#[derive(Debug, Deserialize)]
struct LastEvent {
    at: String,
    summary: String,
}

pub(crate) async fn run(args: &Args) -> Result<Outcome, Failure> {
    let client = Client::connect(&args.monitor.socket()?).await?;
    let answer = client.status().await?;
    if args.json {
        output::json(&answer)?;
    } else {
        for ip in read(answer)? {
            show(&ip)?;
        }
    }
    Ok(Outcome::Done)
}

/// The floating IPs in a monitor's answer.
pub(super) fn read(answer: Value) -> Result<Vec<FloatingIp>, Failure> {
    let answer: Answer = serde_json::from_value(answer).map_err(|error| Failure::System {
        action: "understand the monitor (is it of another version?)",
        source: error.into(),
    })?;
    Ok(answer.floating_ips)
}

fn show(ip: &FloatingIp) -> Result<(), Failure> {
    let bold = Style::new().bold();
    let colour = Style::new().fg_color(Some(colour(&ip.state).into()));
    let holder = match &ip.holder {
        Some(holder) => format!("on {holder}"),
        None => ip.placement.clone(),
    };
    let (name, state) = (&ip.name, ip.state.replace('_', " "));
    output::line(format_args!("{bold}{name}{bold:#} {}: {colour}{state}{colour:#}, {holder}", ip.address))?;
    if ip.paused {
        let left = ip.pause_left_ms.map(|left| Duration::from_secs(left.div_ceil(1000)));
        let left = left.map_or_else(String::new, |left| format!(" for {} more", humantime::format_duration(left)));
        let reason = ip.pause_reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        output::line(format_args!("  paused{left}{reason}"))?;
    }
    if let Some(moving) = &ip.moving {
        let stuck = moving.stuck.as_ref().map_or_else(String::new, |stuck| format!(", stuck: {stuck}"));
        output::line(format_args!("  moving to {}{stuck}", moving.to))?;
    }
    if let Some(unsettled) = &ip.unsettled {
        output::line(format_args!("  {}", unsettled.told()))?;
    }
    if let Some(event) = &ip.last_event {
        output::line(format_args!("  last event {}: {}", event.at, event.summary))?;
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["node", "host", "health", "reason"]);
    for node in ip.nodes.iter().chain(&ip.witnesses) {
        let not_ready = node.not_ready.as_ref().map(|reason| format!("not ready: {reason}"));
        let drained = node.drained.then(|| "drained".to_owned());
        let maintenance = node.maintenance.as_ref().map(|reason| format!("in maintenance: {reason}"));
        let down = |probe: &&Probe| probe.health == "unhealthy" && probe.reason != node.reason;
        let beside = node.probes.iter().filter(down).filter_map(Probe::told);
        let flapping = node.flapping.then(|| "flapping".to_owned());
        let reasons: Vec<_> = node
            .reason
            .iter()
            .cloned()
            .chain(not_ready)
            .chain(drained)
            .chain(maintenance)
            .chain(flapping)
            .chain(beside)
            .collect();
        let witness = ip.witnesses.iter().any(|witness| std::ptr::eq(witness, node));
        let name = if witness { format!("witness {}", node.name) } else { node.name.clone() };
        table.add_row([name.as_str(), &node.host, &node.health, &reasons.join("; ")]);
    }
    output::line(table)
}

fn colour(state: &str) -> AnsiColor {
    match state {
        "serving" => AnsiColor::Green,
        "stuck" | "all_nodes_down" | "no_candidate" | "free" | "held_by_stranger" | "frozen" | "isolated"
        | "no_witness" | "recoveries_off" => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_settled_is_told_by_part_and_error() {
        let told = |json: &str| serde_json::from_str::<Unsettled>(json).unwrap().told();
        assert_eq!(
            told(
                r#"{"parts": [{"name": "rtb-1", "node": "ftp-1", "detail": "eni-1"}, {"name": "rtb-2", "node": null}],
                     "error": "not permitted"}"#
            ),
            "not settled yet, being repaired: rtb-1 on ftp-1 (eni-1), rtb-2 on no node; not permitted"
        );
        assert_eq!(told(r#"{"parts": [], "error": null}"#), "not settled yet, being repaired");
    }
}
