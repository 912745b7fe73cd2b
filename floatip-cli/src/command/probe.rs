//! `floatip probe`: one round of all probes.

use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use floatip_core::{Check, Host, NodeId, ProbeError, Reason, Target, Verdict, Via, chain};
use floatip_probes::{FtpProbe, Line};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::cli::ConfigArgs;
use crate::config::{Config, FloatingIpConfig, ProbeSpec, Purpose};
use crate::descriptors;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::wiring::Probes;

/// Checks that run at once.
const PARALLEL: usize = 64;
/// How much later than a probe's own deadline it is given up.
const BACKSTOP: Duration = Duration::from_millis(500);

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print what was said in each check of kind "ftp", passwords masked.
    #[arg(long)]
    explain: bool,
}

/// One check, made or to be made.
#[derive(Debug, Clone)]
struct Subject {
    /// Absent for a witness, which all share.
    floating_ip: Option<Arc<str>>,
    check: Check,
    target: Target,
    /// The check itself, if what is said in it is wanted.
    explained: Option<FtpProbe>,
}

impl Subject {
    fn name(&self) -> String {
        match self.target.via {
            Via::Direct => self.target.node.to_string(),
            Via::Floating => "(floating address)".to_owned(),
        }
    }
}

#[derive(Debug)]
struct Finding {
    subject: Subject,
    verdict: Result<Verdict, ProbeError>,
    took: Duration,
    dialogue: Vec<Line>,
}

pub(crate) async fn run(args: &Args) -> Result<Outcome, Failure> {
    let config = Config::load(&args.config.config, Purpose::Use)?;
    for warning in &config.warnings {
        anstream::eprintln!("{warning}\n");
    }
    descriptors::raise();
    let mut probes = Probes::new(&config).await?;
    let mut subjects = Vec::new();
    for ip in &config.floating_ips {
        subjects.extend(subjects_of(ip, &probes.checks(ip)?, &explained(ip, args.explain)?));
    }
    subjects.extend(probes.witnesses(&config)?.into_iter().map(|witness| Subject {
        floating_ip: None,
        target: Target::new(witness.name, witness.host, Via::Direct, witness.health.timeout),
        check: Check::new(witness.probe).health(witness.health),
        explained: None,
    }));
    // Nodes report to the monitor, not to this process.
    let (passive, subjects): (Vec<_>, Vec<_>) =
        subjects.into_iter().partition(|subject| subject.check.probe.kind() == "push");
    let findings = round(subjects).await;
    let mut warnings = slow_checks(&config, &findings);
    if !passive.is_empty() {
        let why = "kind \"push\" is not probed here: its nodes report to the running monitor; see `floatip status`";
        warnings.push(why.to_owned());
    }
    if args.json {
        let probes: Vec<_> = findings.iter().map(Finding::json).collect();
        output::json(&json!({ "probes": probes, "warnings": warnings }))?;
    } else {
        for finding in findings.iter().filter(|finding| !finding.dialogue.is_empty()) {
            output::line(format!("{} of {}:", finding.subject.check.probe.kind(), finding.subject.target.host))?;
            finding.dialogue.iter().try_for_each(output::line)?;
            output::line("")?;
        }
        output::line(table(&findings))?;
        for warning in &warnings {
            anstream::eprintln!("warning: {warning}");
        }
    }
    let outcome = |finding: &Finding| match &finding.verdict {
        Ok(verdict) if verdict.is_healthy() => Outcome::Done,
        Ok(_) => Outcome::Unhealthy,
        Err(_) => Outcome::ProberFailed,
    };
    let outcomes: Vec<_> = findings.iter().map(outcome).collect();
    let worst = [Outcome::ProberFailed, Outcome::Unhealthy].into_iter().find(|outcome| outcomes.contains(outcome));
    Ok(worst.unwrap_or(Outcome::Done))
}

/// For each probe of a floating IP, the FTP check that is to be explained.
fn explained(ip: &FloatingIpConfig, wanted: bool) -> Result<Vec<Option<FtpProbe>>, Failure> {
    let explained = ip.probes.iter().map(|probe| {
        if let ProbeSpec::Ftp(ftp) = &probe.spec
            && wanted
        {
            return Ok(Some(ftp.build(probe.secret.clone())?));
        }
        Ok(None)
    });
    explained.collect()
}

fn subjects_of(ip: &FloatingIpConfig, checks: &[Check], explained: &[Option<FtpProbe>]) -> Vec<Subject> {
    let checks = || checks.iter().zip(explained);
    let subject = |(check, explained): (&Check, &Option<FtpProbe>), node: &NodeId, host: &Host, via| Subject {
        floating_ip: Some(ip.floating_ip.name.clone()),
        check: check.clone(),
        target: Target::new(node.clone(), host.clone(), via, check.health.timeout),
        explained: explained.clone(),
    };
    let mut subjects = Vec::new();
    for node in ip.nodes.iter().map(|node| &node.node) {
        let direct = checks().filter(|(check, _)| check.direct);
        subjects.extend(direct.map(|check| subject(check, &node.id, &node.host, Via::Direct)));
    }
    if let Some(first) = ip.nodes.first() {
        // Who holds the address only the provider knows: the first node stands in for the name.
        let through = checks().filter(|(check, _)| check.verifies);
        subjects.extend(through.map(|check| subject(check, &first.node.id, &ip.floating_ip.address, Via::Floating)));
    }
    subjects
}

/// All checks, some at once, with their findings in the given order.
async fn round(subjects: Vec<Subject>) -> Vec<Finding> {
    let permits = Arc::new(Semaphore::new(PARALLEL));
    let mut running = JoinSet::new();
    for (number, subject) in subjects.into_iter().enumerate() {
        let permits = permits.clone();
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            (number, examine(subject).await)
        });
    }
    let mut findings = running.join_all().await;
    findings.sort_by_key(|(number, _)| *number);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

async fn examine(subject: Subject) -> Finding {
    let begun = Instant::now();
    let examination = async {
        match &subject.explained {
            Some(ftp) => ftp.explain(&subject.target).await,
            None => (subject.check.probe.probe(&subject.target).await, Vec::new()),
        }
    };
    let answer = timeout(subject.target.timeout + BACKSTOP, examination).await;
    let (verdict, dialogue) = answer
        .unwrap_or_else(|_| (Ok(Verdict::unhealthy(Reason::TimedOut { stage: "the whole check".into() })), Vec::new()));
    Finding { took: begun.elapsed(), subject, verdict, dialogue }
}

/// Checks that take longer than the time from one to the next when it matters most.
fn slow_checks(config: &Config, findings: &[Finding]) -> Vec<String> {
    let mut warnings = Vec::new();
    for ip in &config.floating_ips {
        let slowest = findings
            .iter()
            .filter(|finding| {
                finding.subject.floating_ip.as_ref() == Some(&ip.floating_ip.name) && finding.is_healthy()
            })
            .max_by_key(|finding| finding.took);
        if let Some(finding) = slowest.filter(|finding| finding.took > finding.subject.check.health.fast_interval) {
            let fast = finding.subject.check.health.fast_interval;
            warnings.push(format!(
                "{}: a healthy check by {} took {} ms, longer than `fast_interval` ({}): every check will be taken for \
                 a slow one, and several will run at once; make `fast_interval` longer",
                ip.floating_ip.name,
                finding.subject.check.probe.kind(),
                finding.took.as_millis(),
                humantime::format_duration(fast),
            ));
        }
    }
    warnings
}

impl Finding {
    fn is_healthy(&self) -> bool {
        self.verdict.as_ref().is_ok_and(Verdict::is_healthy)
    }

    fn result(&self) -> &'static str {
        match &self.verdict {
            Ok(verdict) if verdict.is_healthy() => "healthy",
            Ok(_) => "unhealthy",
            Err(_) => "error",
        }
    }

    fn detail(&self) -> Option<String> {
        match &self.verdict {
            Ok(verdict) => verdict.reason.as_ref().map(Reason::to_string),
            Err(error) => Some(chain(error)),
        }
    }

    fn warnings(&self) -> &[String] {
        self.verdict.as_ref().map_or(&[], |verdict| &verdict.warnings)
    }

    fn json(&self) -> Value {
        let target = &self.subject.target;
        json!({
            "floating_ip": self.subject.floating_ip,
            "node": (target.via == Via::Direct).then_some(&target.node),
            "via": target.via,
            "host": target.host,
            "probe": self.subject.check.probe.kind(),
            "result": self.result(),
            "reason": self.detail(),
            "warnings": self.warnings(),
            "dialogue": self.subject.explained.as_ref().map(|_| {
                self.dialogue.iter().map(Line::to_string).collect::<Vec<_>>()
            }),
            "duration_ms": (self.took.as_secs_f64() * 1e6).round() / 1e3,
        })
    }
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["floating IP", "node", "host", "probe", "result", "time", "detail"]);
    for finding in findings {
        let detail: Vec<_> = finding.detail().into_iter().chain(finding.warnings().iter().cloned()).collect();
        table.add_row([
            finding.subject.floating_ip.as_deref().unwrap_or("(witness)").to_owned(),
            finding.subject.name(),
            finding.subject.target.host.to_string(),
            finding.subject.check.probe.kind().to_owned(),
            finding.result().to_owned(),
            format!("{} ms", finding.took.as_millis()),
            detail.join("; "),
        ]);
    }
    table
}
