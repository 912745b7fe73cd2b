//! `[[floating_ip.probe]]`: how the health of nodes is checked. What a kind of probe has of its own is in a file of its
//! own.

mod dns;
mod exec;
mod file;
mod ftp;
mod http;
mod ping;
mod push;
mod tcp;
mod tls;

use std::ops::Range;
use std::sync::Arc;

use floatip_core::{HealthProbe, HealthSettings};
use floatip_probes::{Mailbox, Secret, SettingError};
use toml::Spanned;
use toml::de::DeValue;

use super::Purpose;
use super::defaults::DefaultSetting;
use super::mover::unknown;
use super::password::{self, PasswordSource};
use super::table::{Fault, Setting, Table};
use super::timing::Timing;
use dns::DnsSpec;
use exec::ExecSpec;
use file::FileSpec;
pub(crate) use ftp::FtpSpec;
#[cfg(test)]
pub(super) use ftp::Listing;
use http::HttpSpec;
use ping::PingSpec;
pub(crate) use push::PushSpec;
use tcp::TcpSpec;
use tls::TlsSpec;

/// One probe of a floating IP.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) spec: ProbeSpec,
    /// The password, where the kind has one and it could be had.
    pub(crate) secret: Option<Secret>,
    /// Whether it runs against the nodes' own hosts.
    pub(crate) direct: bool,
    /// Whether it runs through the floating address; by default, where the kind can.
    pub(crate) verify: Option<bool>,
    /// What it has instead of the common timing.
    pub(crate) timing: Timing,
    /// It is shown, and never counts.
    pub(crate) informational: bool,
    /// It tells whether a node is idle, and nothing of its health.
    pub(crate) tells_idle: bool,
    /// Where it stands in the file.
    pub(crate) at: Range<usize>,
}

impl Probe {
    /// How often it runs, and how long it may take until it tells that a node is dead: a passive one, until it is silent.
    pub(crate) fn noticing(&self, common: HealthSettings) -> HealthSettings {
        let mut health = self.timing.over(common);
        if let ProbeSpec::Push(push) = &self.spec {
            health.timeout = push.stale_after;
        }
        health
    }

    /// Whether its verdicts decide about a node, together with those of others.
    pub(crate) fn decides(&self) -> bool {
        let says_only_maintenance = matches!(&self.spec, ProbeSpec::File(file) if !file.must_exist);
        let says_nothing_of_the_service = says_only_maintenance || self.spec == ProbeSpec::Ec2Status;
        self.direct && !self.informational && !self.tells_idle && !says_nothing_of_the_service
    }
}

/// What a probe does. Two equal ones are one probe, shared by all floating IPs that have it.
#[allow(clippy::large_enum_variant, reason = "there are as many as probes in a file")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ProbeSpec {
    Ping(PingSpec),
    Tcp(TcpSpec),
    Ftp(FtpSpec),
    Http(HttpSpec),
    Tls(TlsSpec),
    Dns(DnsSpec),
    Exec(ExecSpec),
    File(FileSpec),
    Push(PushSpec),
    /// What EC2 says about the instances of the nodes. It needs the client of EC2.
    Ec2Status,
}

impl ProbeSpec {
    /// The probe itself; `None` if it takes more than its settings to make it.
    ///
    /// # Errors
    /// [`SettingError`] if it cannot be made of these settings.
    pub(crate) fn build(&self, secret: Option<Secret>) -> Result<Option<Arc<dyn HealthProbe>>, SettingError> {
        let probe: Arc<dyn HealthProbe> = match self {
            Self::Ping(ping) => Arc::new(ping.build()?),
            Self::Tcp(tcp) => Arc::new(tcp.build()?),
            Self::Ftp(ftp) => Arc::new(ftp.build(secret)?),
            Self::Http(http) => Arc::new(http.build(secret)?),
            Self::Tls(tls) => Arc::new(tls.build()?),
            Self::Dns(dns) => Arc::new(dns.build()?),
            Self::Exec(exec) => Arc::new(exec.build()?),
            Self::File(file) => Arc::new(file.build()?),
            Self::Push(push) => {
                // That the settings are sound; the mailbox is its floating IP's.
                push.build(Mailbox::new())?;
                return Ok(None);
            }
            Self::Ec2Status => return Ok(None),
        };
        Ok(Some(probe))
    }
}

/// `kind` of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeKind {
    Ftp,
    Tcp,
    Ping,
    Http,
    Https,
    Tls,
    Dns,
    Exec,
    File,
    Push,
    Ec2Status,
}

impl ProbeKind {
    const ALL: [Self; 11] = [
        Self::Ftp,
        Self::Tcp,
        Self::Ping,
        Self::Http,
        Self::Https,
        Self::Tls,
        Self::Dns,
        Self::Exec,
        Self::File,
        Self::Push,
        Self::Ec2Status,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Tcp => "tcp",
            Self::Ping => "ping",
            Self::Http => "http",
            Self::Https => "https",
            Self::Tls => "tls",
            Self::Dns => "dns",
            Self::Exec => "exec",
            Self::File => "file",
            Self::Push => "push",
            Self::Ec2Status => "ec2-status",
        }
    }

    /// The settings that not every probe has.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Ftp => FtpSpec::KEYS,
            Self::Tcp => TcpSpec::KEYS,
            Self::Ping => PingSpec::KEYS,
            Self::Http => HttpSpec::KEYS,
            Self::Https => HttpSpec::TLS_KEYS,
            Self::Tls => TlsSpec::KEYS,
            Self::Dns => DnsSpec::KEYS,
            Self::Exec => ExecSpec::KEYS,
            Self::File => FileSpec::KEYS,
            Self::Push => PushSpec::KEYS,
            Self::Ec2Status => &[],
        }
    }

    /// Whether it says anything about what answers through the floating address.
    pub(super) fn verifies(self) -> bool {
        match self {
            Self::Ftp | Self::Tcp | Self::Ping | Self::Http | Self::Https | Self::Tls | Self::Dns | Self::Exec => true,
            Self::File | Self::Push | Self::Ec2Status => false,
        }
    }

    /// Reports the settings of other kinds, with the kinds that they belong to.
    fn refuse_others(self, table: &mut Table<'_>) {
        let keys = Self::ALL.iter().flat_map(|kind| kind.keys());
        for key in keys.filter(|key| !self.keys().contains(key)) {
            let owners = Self::ALL.iter().filter(|kind| kind.keys().contains(key));
            let owners: Vec<_> = owners.map(|kind| format!("\"{}\"", kind.name())).collect();
            table.refuse(self.name(), &owners.join(" or "), &[key]);
        }
    }
}

impl Setting for ProbeKind {
    const EXPECTED: &'static str = "`kind = \"ftp\"`, \"tcp\", \"ping\", \"http\", \"https\", \"tls\", \"dns\", \"exec\", \"file\", \"push\" or \"ec2-status\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let name = value.as_str().ok_or(Fault::WrongType)?;
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| unknown(name, "probe", &Self::ALL.map(Self::name)))
    }
}

/// What is found beside the settings of a kind.
#[derive(Debug)]
struct Reading {
    purpose: Purpose,
    secret: Option<Secret>,
}

/// A setting that says where the probe's secret is; the secret itself goes where nothing prints or compares it.
fn fetch(table: &mut Table<'_>, key: &'static str, reading: &mut Reading) -> Option<PasswordSource> {
    let source = table.optional::<PasswordSource>(key)?;
    let span = source.span();
    let source = match source.into_inner() {
        PasswordSource::File(path) => PasswordSource::File(table.report.resolve(&path)),
        PasswordSource::Env(name) => PasswordSource::Env(name),
    };
    reading.secret = password::fetch(&source, span, table.report, reading.purpose);
    Some(source)
}

/// What a probe does, without where it runs.
pub(super) fn read_spec(table: &mut Table<'_>, purpose: Purpose) -> Option<(ProbeKind, ProbeSpec, Option<Secret>)> {
    let kind = table.required::<ProbeKind>("kind").map(Spanned::into_inner)?;
    kind.refuse_others(table);
    let mut reading = Reading { purpose, secret: None };
    let spec = match kind {
        ProbeKind::Ftp => Some(ProbeSpec::Ftp(FtpSpec::read(table, &mut reading))),
        ProbeKind::Tcp => TcpSpec::read(table).map(ProbeSpec::Tcp),
        ProbeKind::Ping => Some(ProbeSpec::Ping(PingSpec::read(table))),
        ProbeKind::Http => Some(ProbeSpec::Http(HttpSpec::read(table, false, &mut reading))),
        ProbeKind::Https => Some(ProbeSpec::Http(HttpSpec::read(table, true, &mut reading))),
        ProbeKind::Tls => TlsSpec::read(table).map(ProbeSpec::Tls),
        ProbeKind::Dns => DnsSpec::read(table).map(ProbeSpec::Dns),
        ProbeKind::Exec => ExecSpec::read(table).map(ProbeSpec::Exec),
        ProbeKind::File => FileSpec::read(table).map(ProbeSpec::File),
        ProbeKind::Push => Some(ProbeSpec::Push(PushSpec::read(table))),
        ProbeKind::Ec2Status => Some(ProbeSpec::Ec2Status),
    };
    if let Some(error) = spec.as_ref().and_then(|spec| spec.build(None).err()) {
        let hint = format!("mend that setting of this probe of kind \"{}\"", kind.name());
        table.report.error(table.span.clone(), error.to_string(), hint);
    }
    spec.map(|spec| (kind, spec, reading.secret))
}

pub(super) fn read(mut table: Table<'_>, purpose: Purpose) -> Option<Probe> {
    let probe = read_spec(&mut table, purpose);
    let timing = Timing::read(&mut table);
    let mut direct = true;
    table.set("direct", &mut direct);
    let mut informational = false;
    table.set("informational", &mut informational);
    let mut tells_idle = false;
    let tells_idle_at = table.set("tells_idle", &mut tells_idle);
    let at = table.span.clone();
    let mut verify = table.optional::<bool>("verify").map(Spanned::into_inner);
    if let Some((kind, ..)) = &probe
        && !kind.verifies()
    {
        if verify == Some(true) {
            table.report.error(
                table.span.clone(),
                format!("a probe of kind \"{}\" says nothing about the floating address", kind.name()),
                "leave `verify` out, and let a probe of the service verify moves",
            );
        }
        verify = Some(false);
    }
    if let (true, Some(at)) = (tells_idle, tells_idle_at) {
        if verify == Some(true) || informational || !direct {
            table.report.error(
                at,
                "`tells_idle = true` asks the nodes themselves, and only whether they are idle",
                "leave `direct`, `verify` and `informational` out of this probe",
            );
        }
        verify = Some(false);
    }
    if !direct && verify == Some(false) {
        table.report.error(
            table.span.clone(),
            "this probe would never run: both `direct` and `verify` are false",
            "leave one of them out, or the whole probe",
        );
    }
    table.finish();
    probe.map(|(_, spec, secret)| Probe { spec, secret, direct, verify, timing, informational, tells_idle, at })
}

/// True for a setting of some kind of probe.
pub(super) fn has_key(key: &str) -> bool {
    ProbeKind::ALL.iter().any(|kind| kind.keys().contains(&key))
}

/// The settings of probes that have a default: those of all kinds first.
pub(super) fn defaults() -> Vec<DefaultSetting> {
    let setting = |key, meaning| DefaultSetting::new("[[floating_ip.probe]]", key, Some("true".to_owned()), meaning);
    let mut defaults = vec![
        setting("direct", "check the nodes by their own hosts"),
        setting("verify", "check through the floating address, which verifies moves"),
        DefaultSetting::new(
            "[[floating_ip.probe]]",
            "informational",
            Some("false".to_owned()),
            "true: shown, and never counts",
        ),
        DefaultSetting::new(
            "[[floating_ip.probe]]",
            "tells_idle",
            Some("false".to_owned()),
            "true: healthy means idle; holds planned moves, see wait_for_idle",
        ),
    ];
    let own = ["interval", "fast_interval", "timeout", "fall", "rise"];
    let common = "that of [floating_ip.health]";
    defaults.extend(own.map(|key| DefaultSetting::new("[[floating_ip.probe]]", key, None, common)));
    let kinds = [
        FtpSpec::defaults(),
        TcpSpec::defaults(),
        PingSpec::defaults(),
        HttpSpec::defaults(),
        HttpSpec::tls_defaults(),
        TlsSpec::defaults(),
        DnsSpec::defaults(),
        ExecSpec::defaults(),
        FileSpec::defaults(),
        PushSpec::defaults(),
    ];
    defaults.extend(kinds.into_iter().flatten());
    defaults
}
