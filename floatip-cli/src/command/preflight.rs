//! `floatip preflight`: could every move be made that may be needed one night?

use std::sync::Arc;

use clap::Args as ClapArgs;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use floatip_aws::preflight::{CheckId, Finding, probe_once, reach};
use floatip_core::Node;
use serde_json::{Value, json};

use crate::cli::ConfigArgs;
use crate::config::{Config, Purpose};
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::subject;
use crate::wiring::{self, Probes};

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A finding and the floating IP that it is about; `None` if it is about all of them.
#[derive(Debug)]
struct Row {
    floating_ip: Option<Arc<str>>,
    mover: Option<&'static str>,
    finding: Finding,
}

pub(crate) async fn run(args: &Args) -> Result<Outcome, Failure> {
    let config = Config::load(&args.config.config, Purpose::Use)?;
    for warning in &config.warnings {
        anstream::eprintln!("{warning}\n");
    }
    let rows = rows(&config).await?;
    if args.json {
        output::json(&json!({ "findings": rows.iter().map(Row::json).collect::<Vec<_>>() }))?;
    } else {
        output::line(table(&rows))?;
    }
    match rows.iter().all(|row| row.finding.status.is_acceptable()) {
        true => Ok(Outcome::Done),
        false => Ok(Outcome::NotReady),
    }
}

async fn rows(config: &Config) -> Result<Vec<Row>, Failure> {
    let ec2 = wiring::connect(&config.aws).await?;
    let reached = reach(&ec2).await;
    // Where EC2 does not answer, every check would wait for it and say so once more.
    let answers = |finding: &Finding| finding.check != CheckId::RoundTrip || finding.status.is_acceptable();
    let answers = reached.iter().all(answers);
    let row =
        |floating_ip: Option<Arc<str>>, mover| move |finding| Row { floating_ip: floating_ip.clone(), mover, finding };
    let mut rows: Vec<_> = reached.into_iter().map(row(None, None)).collect();
    let mut probes = Probes::new(config).await?;
    for ip in &config.floating_ips {
        let name = &ip.floating_ip.name;
        for mover in ip.movers() {
            let preflight = subject::preflight(ip, mover, &ec2);
            let findings = if answers { preflight.findings().await } else { Vec::new() };
            rows.extend(findings.into_iter().map(row(Some(name.clone()), Some(preflight.kind()))));
        }
        let nodes: Vec<Node> = ip.nodes.iter().map(|node| node.node.clone()).collect();
        let mut checks = probes.checks(ip)?;
        // Nodes report to the monitor, not to this process.
        checks.retain(|check| check.probe.kind() != "push");
        let findings = probe_once(&nodes, &checks).await;
        rows.extend(findings.into_iter().map(row(Some(name.clone()), None)));
    }
    Ok(rows)
}

impl Row {
    fn json(&self) -> Value {
        let Finding { check, node, status, detail, remedy, .. } = &self.finding;
        json!({
            "floating_ip": self.floating_ip,
            "mover": self.mover,
            "node": node,
            "check": check.as_str(),
            "status": status.as_str(),
            "detail": detail,
            "remedy": remedy,
        })
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["floating IP", "node", "check", "result", "detail", "what to do"]);
    for Row { floating_ip, finding, .. } in rows {
        table.add_row([
            floating_ip.as_deref().unwrap_or("(all)").to_owned(),
            finding.node.as_ref().map_or_else(|| "(all)".to_owned(), ToString::to_string),
            finding.check.to_string(),
            finding.status.to_string(),
            finding.detail.clone(),
            finding.remedy.clone().unwrap_or_default(),
        ]);
    }
    table
}
