//! The configuration file: one validated type a setting, and every fault told with its line and what to do.

mod chain;
mod defaults;
mod diagnostic;
mod floating_ip;
mod hook;
mod keys;
mod mover;
mod password;
mod probe;
mod push;
mod setting;
mod table;
mod timing;
mod witness;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use defaults::defaults;
pub(crate) use diagnostic::{Diagnostic, Severity};
pub(crate) use floating_ip::{FloatingIpConfig, NodeConfig};
pub(crate) use hook::HookConfig;
pub(crate) use mover::Mover;
pub(crate) use password::{Missing, token};
pub(crate) use probe::ProbeSpec;
pub(crate) use push::PushConfig;
pub(crate) use witness::WitnessConfig;

use diagnostic::Report;
use floating_ip::Placed;
use table::{Fault, Setting, Table};

/// Whether the file is only looked at, or about to be used: then passwords must be where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Check,
    Use,
}

/// A whole configuration file, valid.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) aws: Aws,
    pub(crate) sweep: Duration,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) control: Option<PathBuf>,
    pub(crate) witnesses: Vec<WitnessConfig>,
    pub(crate) witness_quorum: Option<usize>,
    pub(crate) hooks: Vec<HookConfig>,
    pub(crate) push: Option<PushConfig>,
    pub(crate) floating_ips: Vec<FloatingIpConfig>,
    /// What is valid, but probably not what was meant.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// `[aws]`. What is not set comes from the standard chain of the AWS tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Aws {
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) fleet_tag: Option<(String, String)>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration {} (say with -c where it is)", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{}", summary(file, found))]
    Invalid { file: PathBuf, found: Vec<Diagnostic> },
}

fn summary(file: &Path, found: &[Diagnostic]) -> String {
    match found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count() {
        1 => format!("1 error in {}", file.display()),
        errors => format!("{errors} errors in {}", file.display()),
    }
}

impl Config {
    /// How often placements are read while nothing moves.
    pub(crate) const SWEEP: Duration = Duration::from_secs(10);

    /// Reads and validates a file, and finds all its faults at once.
    pub(crate) fn load(file: &Path, purpose: Purpose) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
        let text = std::fs::read(file).map_err(unreadable)?;
        let parsed = match str::from_utf8(&text) {
            Ok(text) => Self::parse(file, text, purpose),
            Err(error) => Err(not_utf8(file, &text, error.valid_up_to())),
        };
        parsed.map_err(|found| ConfigError::Invalid { file: file.to_owned(), found })
    }

    fn parse(file: &Path, text: &str, purpose: Purpose) -> Result<Self, Vec<Diagnostic>> {
        let report = Report::new(file, text);
        let (document, faults) = DeTable::parse_recoverable(text);
        for fault in &faults {
            let span = fault.span().unwrap_or(0..0);
            report.error(span, fault.message(), "this is not TOML: strings stand in quotes, tables in [brackets]");
        }
        if !faults.is_empty() {
            return Err(report.into_diagnostics());
        }
        let config = read(Table::root(&report, document.into_inner()), purpose);
        let failed = report.has_errors();
        let found = report.into_diagnostics();
        match config {
            Some(config) if !failed => Ok(Self { warnings: found, ..config }),
            Some(_) | None => Err(found),
        }
    }
}

fn not_utf8(file: &Path, text: &[u8], at: usize) -> Vec<Diagnostic> {
    let text = String::from_utf8_lossy(text);
    let report = Report::new(file, &text);
    report.error(at..at, "this byte is not UTF-8", "save the file as UTF-8, or leave the character out");
    report.into_diagnostics()
}

/// The `control` of a file, if it has one. Whatever else is wrong there is no matter: the monitor may have been started
/// before that, and has to be reached.
pub(crate) fn control_of(file: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
    let text = std::fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&text);
    let report = Report::new(file, &text);
    let (document, _) = DeTable::parse_recoverable(&text);
    let control = Table::root(&report, document.into_inner()).optional::<PathBuf>("control");
    Ok(control.map(|control| report.resolve(control.get_ref())))
}

fn read(mut table: Table<'_>, purpose: Purpose) -> Option<Config> {
    let report = table.report;
    let mut sweep = Config::SWEEP;
    if let Some(span) = table.set("sweep", &mut sweep)
        && sweep < Duration::from_secs(1)
    {
        report.error(span, "`sweep` is shorter than a second", "EC2 throttles whoever asks so often: write \"10s\"");
    }
    let path = |path: Spanned<PathBuf>| report.resolve(path.get_ref());
    let state_dir = table.optional("state_dir").map(path);
    let control = table.optional("control").map(path);
    let mut recoveries = true;
    table.set("recoveries", &mut recoveries);
    let (witnesses, witness_quorum) = witness::read(&mut table, purpose);
    let hooks = hook::read(&mut table);
    let push_table = table.table("push");
    let push_at = push_table.as_ref().map(|table| table.span.clone());
    let push = push_table.and_then(|table| push::read(table, purpose));
    let aws = table.table("aws").map(aws).unwrap_or_default();
    let mut placed: Vec<Placed> = Vec::new();
    for table in table.tables("floating_ip").unwrap_or_default() {
        let Some(mut next) = floating_ip::read(table, purpose) else { continue };
        next.config.policy.recoveries &= recoveries;
        for earlier in &placed {
            compare(report, &next, earlier);
        }
        placed.push(next);
    }
    table.finish();
    witness::judge(report, &witnesses, &placed);
    let mut probes = placed.iter().flat_map(|placed| &placed.config.probes);
    let pushed = probes.any(|probe| matches!(probe.spec, ProbeSpec::Push(_)));
    if let Some(at) = push_at.filter(|_| !pushed && !report.has_errors()) {
        let hint = "add a [[floating_ip.probe]] with kind = \"push\", or leave [push] out";
        report.warning(at, "[push] listens for reports that no probe reads", hint);
    }
    let mut floating_ips: Vec<_> = placed.into_iter().map(|placed| placed.config).collect();
    advertise(&mut floating_ips);
    Some(Config {
        aws,
        sweep,
        state_dir,
        control,
        witnesses,
        witness_quorum,
        hooks,
        push,
        floating_ips,
        warnings: Vec::new(),
    })
}

/// Lets FTP servers name any of the floating addresses to their clients. It is the same for all floating IPs, so that they
/// go on sharing their probes.
fn advertise(floating_ips: &mut [FloatingIpConfig]) {
    let addresses: Vec<_> = floating_ips.iter().filter_map(|ip| ip.floating_ip.address.ip()).collect();
    for probe in floating_ips.iter_mut().flat_map(|ip| &mut ip.probes) {
        if let ProbeSpec::Ftp(ftp) = &mut probe.spec {
            ftp.may_advertise(&addresses);
        }
    }
}

fn compare(report: &Report<'_>, next: &Placed, earlier: &Placed) {
    let (a, b) = (&next.config, &earlier.config);
    if a.floating_ip.name == b.floating_ip.name {
        let place = report.place(&earlier.name_at);
        report.error(
            next.name_at.clone(),
            format!("there are two floating IPs named \"{}\" (see {place})", a.floating_ip.name),
            "rename one of them",
        );
    }
    if a.floating_ip.address == b.floating_ip.address {
        let place = report.place(&earlier.address_at);
        report.error(
            next.address_at.clone(),
            format!("there are two floating IPs with the address {} (see {place})", a.floating_ip.address),
            "leave one of them out: two would move it against each other",
        );
    }
    if a.mover.resource() == b.mover.resource() {
        let place = report.place(&earlier.mover_at);
        report.error(
            next.mover_at.clone(),
            format!("two floating IPs move {} (see {place})", a.mover.resource()),
            "leave one of them out: two would move it against each other",
        );
    }
}

/// The address of an HTTP API.
#[derive(Debug)]
struct Url(String);

impl Setting for Url {
    const EXPECTED: &'static str = "an address, such as \"http://127.0.0.1:8000\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let url = String::read(value)?;
        match reqwest::Url::parse(&url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => Ok(Self(url)),
            Ok(_) | Err(_) => {
                Err(Fault::invalid(format!("{url:?} is no HTTP address"), format!("write {}", Self::EXPECTED)))
            }
        }
    }
}

/// A tag, its key and its value.
#[derive(Debug)]
struct Tag((String, String));

impl Setting for Tag {
    const EXPECTED: &'static str = "a tag, such as { tag = \"floatip\", value = \"yes\" }";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let table = value.as_table().ok_or(Fault::WrongType)?;
        let word = |key| table.get(key).and_then(|word| word.get_ref().as_str());
        match (word("tag"), word("value"), table.len()) {
            (Some(key), Some(value), 2) if !key.is_empty() => Ok(Self((key.to_owned(), value.to_owned()))),
            _ => Err(Fault::invalid(
                "it takes the keys `tag` and `value`, and nothing else",
                format!("write {}", Self::EXPECTED),
            )),
        }
    }
}

fn aws(mut table: Table<'_>) -> Aws {
    let aws = Aws {
        region: table.optional("region").map(Spanned::into_inner),
        profile: table.optional("profile").map(Spanned::into_inner),
        endpoint_url: table.optional::<Url>("endpoint_url").map(|url| url.into_inner().0),
        fleet_tag: table.optional::<Tag>("fleet_tag").map(|tag| tag.into_inner().0),
    };
    table.finish();
    aws
}

#[cfg(test)]
mod tests;
