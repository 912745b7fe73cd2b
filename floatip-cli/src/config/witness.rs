//! `[[witness]]`: what tells whether the monitor's own network works.

use std::ops::Range;

use floatip_core::{Host, NodeId, Witness};
use floatip_probes::Secret;
use toml::Spanned;

use super::Purpose;
use super::defaults::DefaultSetting;
use super::diagnostic::Report;
use super::floating_ip::Placed;
use super::probe::{self, ProbeSpec};
use super::table::Table;
use super::timing::Timing;
use crate::own_addresses::OwnAddresses;

/// One witness, which all floating IPs share.
#[derive(Debug, Clone)]
pub(crate) struct WitnessConfig {
    pub(crate) name: NodeId,
    pub(crate) host: Host,
    pub(crate) spec: ProbeSpec,
    pub(crate) secret: Option<Secret>,
    /// What it has instead of the timing of witnesses.
    pub(crate) timing: Timing,
}

/// The settings of witnesses that have a default.
pub(super) fn defaults() -> Vec<DefaultSetting> {
    let setting = |key, default, meaning| DefaultSetting::new("[[witness]]", key, default, meaning);
    let health = Witness::default_health();
    let duration = |duration| Some(format!("\"{}\"", humantime::format_duration(duration)));
    vec![
        setting("name", None, "in events and status: the host"),
        setting("interval", duration(health.interval), "from probe to probe while all is well"),
        setting("fast_interval", duration(health.fast_interval), "from probe to probe after a failure"),
        setting("timeout", duration(health.timeout), "how long one check may take"),
        setting("fall", Some(health.fall.to_string()), "failures in a row after which it does not answer"),
        setting("rise", Some(health.rise.to_string()), "successes in a row after which it does again"),
    ]
}

/// The witnesses of a file, and how many of them must answer if it says so.
pub(super) fn read(table: &mut Table<'_>, purpose: Purpose) -> (Vec<WitnessConfig>, Option<usize>) {
    let report = table.report;
    let tables = if table.has("witness") { table.tables("witness").unwrap_or_default() } else { Vec::new() };
    let mut witnesses: Vec<WitnessConfig> = Vec::new();
    for table in tables {
        let Some((at, witness)) = witness(table, purpose) else { continue };
        if witnesses.iter().any(|earlier| earlier.name == witness.name) {
            let message = format!("there are two witnesses named \"{}\"", witness.name);
            report.error(at, message, "rename one of them, or leave it out");
        } else {
            witnesses.push(witness);
        }
    }
    let quorum = table.optional::<u32>("witness_quorum").and_then(|quorum| {
        let (span, quorum) = (quorum.span(), *quorum.get_ref() as usize);
        if (1..=witnesses.len()).contains(&quorum) {
            return Some(quorum);
        }
        let hint = match witnesses.len() {
            0 => "add a [[witness]], or leave it out".to_owned(),
            1 => "write 1, or leave it out".to_owned(),
            most => format!("write a number from 1 to {most}, or leave it out: then all but one must answer"),
        };
        report.error(span, format!("`witness_quorum` is {quorum}, and there are {} witnesses", witnesses.len()), hint);
        None
    });
    (witnesses, quorum)
}

fn witness(mut table: Table<'_>, purpose: Purpose) -> Option<(Range<usize>, WitnessConfig)> {
    let span = table.span.clone();
    let host = table.required::<Host>("host");
    let name = table.optional::<NodeId>("name");
    let probe = probe::read_spec(&mut table, purpose);
    let timing = Timing::read(&mut table);
    let health = timing.over(Witness::default_health());
    if health.interval < health.fast_interval {
        let [interval, fast] = [health.interval, health.fast_interval].map(humantime::format_duration);
        table.report.error(
            span.clone(),
            format!("the `interval` ({interval}) of this witness is shorter than its `fast_interval` ({fast})"),
            "make `fast_interval` the shorter one",
        );
    }
    if let Some((kind, ..)) = &probe
        && !kind.verifies()
    {
        table.report.error(
            span.clone(),
            format!("a probe of kind \"{}\" says nothing about the network", kind.name()),
            "let \"ping\", \"tcp\" or \"dns\" ask a witness",
        );
    }
    if host.as_ref().is_some_and(|host| host.get_ref().is_loopback()) {
        table.report.warning(
            span.clone(),
            "this witness is the monitor's own machine, which answers however cut off it is",
            "name something outside of it, such as the gateway or a DNS server",
        );
    }
    table.finish();
    let (host, (_, spec, secret)) = (host?.into_inner(), probe?);
    let name = name.map_or_else(|| NodeId::new(&host.to_string()).ok(), |name| Some(Spanned::into_inner(name)))?;
    Some((span, WitnessConfig { name, host, spec, secret, timing }))
}

/// Looks at witnesses and floating IPs together.
pub(super) fn judge(report: &Report<'_>, witnesses: &[WitnessConfig], placed: &[Placed]) {
    let own = OwnAddresses::new();
    for Placed { config, name_at, .. } in placed {
        for witness in witnesses {
            let node = config.nodes.iter().any(|node| node.node.host == witness.host);
            if node || config.floating_ip.address == witness.host {
                report.error(
                    name_at.clone(),
                    format!("the witness {} is a node or the floating address of it, and fails with it", witness.name),
                    "name something else, such as the gateway or a DNS server",
                );
            }
        }
        let local = config.nodes.iter().find(|node| own.is_local(node));
        if let Some(local) = local.filter(|_| witnesses.is_empty()) {
            report.warning(
                name_at.clone(),
                format!(
                    "the monitor runs on {} and has no witness: it cannot tell a dead node from its own cut network, \
                     and makes no unplanned move (state no_witness) where no other remote node answers",
                    local.node.id
                ),
                "add a [[witness]], such as the gateway with kind = \"ping\", or run the monitor elsewhere",
            );
        }
    }
}
