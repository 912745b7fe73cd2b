//! `floatip check`: is the configuration valid, and how fast is a dead server noticed?

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::json;

use crate::cli::ConfigArgs;
use crate::config::{Config, ConfigError, Diagnostic, FloatingIpConfig, Purpose, Severity, defaults};
use crate::exit::{Failure, Outcome};
use crate::output;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print every setting that has a default, with the default; reads no file.
    #[arg(long)]
    defaults: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    if args.defaults {
        return print_defaults(args.json);
    }
    let config = match Config::load(&args.config.config, Purpose::Check) {
        Err(ConfigError::Invalid { file, found }) if args.json => {
            let lines = |severity| {
                let such = found.iter().filter(|diagnostic| diagnostic.severity == severity);
                such.map(Diagnostic::line).collect::<Vec<_>>()
            };
            let (errors, warnings) = (lines(Severity::Error), lines(Severity::Warning));
            output::json(&json!({ "floating_ips": [], "errors": errors, "warnings": warnings }))?;
            return Err(ConfigError::Invalid { file, found }.into());
        }
        loaded => loaded?,
    };
    for warning in &config.warnings {
        anstream::eprintln!("{warning}\n");
    }
    if args.json {
        let floating_ips: Vec<_> = config
            .floating_ips
            .iter()
            .map(|ip| {
                json!({
                    "name": ip.floating_ip.name,
                    "worst_case_detection_ms": millis(ip.policy.require.worst_case_detection(&ip.deciding())),
                    "shortest_outage_ms": millis(ip.policy.require.shortest_outage(&ip.deciding())),
                })
            })
            .collect();
        let warnings: Vec<_> = config.warnings.iter().map(|warning| warning.line()).collect();
        output::json(&json!({ "floating_ips": floating_ips, "warnings": warnings }))?;
    } else {
        for ip in &config.floating_ips {
            output::line(sentence(ip))?;
        }
    }
    Ok(Outcome::Done)
}

fn sentence(ip: &FloatingIpConfig) -> String {
    let detection = humantime::format_duration(ip.policy.require.worst_case_detection(&ip.deciding()));
    let outage = match ip.policy.require.shortest_outage(&ip.deciding()) {
        Duration::ZERO => "any outage that a probe meets can trigger a move".to_owned(),
        outage => format!("an outage shorter than {} triggers no move", humantime::format_duration(outage)),
    };
    format!("{}: a dead server is noticed within {detection}; {outage}", ip.floating_ip.name)
}

/// Whole milliseconds, rounded up: a bound stays one.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn print_defaults(json: bool) -> Result<Outcome, Failure> {
    let defaults = defaults();
    if json {
        output::json(&json!({ "defaults": defaults }))?;
        return Ok(Outcome::Done);
    }
    let mut table = "";
    for setting in &defaults {
        if setting.table != table {
            table = setting.table;
            output::line(format_args!("\n{table}"))?;
        }
        let written = match &setting.default {
            Some(default) => format!("{} = {default}", setting.key),
            None => format!("# {}: not set", setting.key),
        };
        output::line(format_args!("{written:<42} # {}", setting.meaning))?;
    }
    Ok(Outcome::Done)
}
