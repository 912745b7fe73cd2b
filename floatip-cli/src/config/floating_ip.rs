//! `[[floating_ip]]`: one address, the nodes that may hold it, and how they are judged.

use std::net::Ipv4Addr;
use std::ops::Range;

use floatip_core::{
    AddressUnreachable, Failback, FloatingIp, HealthSettings, Host, Node, NodeId, Policy, Require, Verify,
};
use toml::Spanned;

use super::chain::{self, Chain};
use super::diagnostic::Report;
use super::mover::{Mover, MoverKind};
use super::probe::{self, Probe, ProbeSpec};
use super::setting::{Address, InstanceId, InterfaceId, Name};
use super::table::{Setting, Table};
use super::{Purpose, timing};

/// One floating IP with everything that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct FloatingIpConfig {
    pub(crate) floating_ip: FloatingIp,
    pub(crate) mover: Mover,
    /// Other mechanisms for the same address, in the order in which they are tried.
    pub(crate) fallbacks: Vec<Mover>,
    pub(crate) nodes: Vec<NodeConfig>,
    pub(crate) probes: Vec<Probe>,
    pub(crate) health: HealthSettings,
    pub(crate) policy: Policy,
}

impl FloatingIpConfig {
    /// What moves the address, in the order in which it is tried.
    pub(crate) fn movers(&self) -> impl Iterator<Item = &Mover> {
        std::iter::once(&self.mover).chain(&self.fallbacks)
    }

    /// The timing of each probe that decides about a node.
    pub(crate) fn deciding(&self) -> Vec<HealthSettings> {
        self.probes.iter().filter(|probe| probe.decides()).map(|probe| probe.noticing(self.health)).collect()
    }
}

/// One node, and what the provider calls it.
#[derive(Debug, Clone)]
pub(crate) struct NodeConfig {
    pub(crate) node: Node,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) network_interface: Option<InterfaceId>,
    pub(crate) private_ip: Option<Ipv4Addr>,
    /// Whether the monitor runs on it; found out if it is not said.
    pub(crate) local: Option<bool>,
}

/// A floating IP and where it stands, to be compared with the others.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) config: FloatingIpConfig,
    pub(super) name_at: Range<usize>,
    pub(super) address_at: Range<usize>,
    pub(super) mover_at: Range<usize>,
}

pub(super) fn read(mut table: Table<'_>, purpose: Purpose) -> Option<Placed> {
    let report = table.report;
    let name = table.required::<Name>("name");
    let address = table.required::<Address>("address");
    let mover_table = table.table("mover");
    if mover_table.is_none() && !table.has("mover") {
        table.lacks("mover", &format!("[floating_ip.mover] with {}", MoverKind::EXPECTED));
    }
    let mover_at = mover_table.as_ref().map_or(0..0, |table| table.span.clone());
    let chain = mover_table.map(|table| chain::read(table, address.as_ref().map(Spanned::get_ref)));
    let Chain { first: mover, fallbacks, force_detach } = chain.unwrap_or_default();
    let nodes = nodes(&mut table, mover.as_ref().map(|mover| (mover, &fallbacks[..])), address.as_ref());
    let probes = table.tables("probe");
    let probes_at = probes.as_ref().and_then(|tables| tables.first()).map(|table| table.span.clone());
    let probe_count = probes.as_ref().map_or(0, Vec::len);
    let probes: Vec<_> =
        probes.unwrap_or_default().into_iter().filter_map(|table| probe::read(table, purpose)).collect();
    let health_table = table.table("health");
    let health_at = health_table.as_ref().map(|table| table.span.clone());
    let (health, require) = health_table.map(timing::health).unwrap_or((HealthSettings::default(), Require::All));
    let policy_table = table.table("policy");
    let policy_at = policy_table.as_ref().map(|table| table.span.clone());
    let says_wait = policy_table.as_ref().is_some_and(|table| table.has("wait_for_idle"));
    let says_force = policy_table.as_ref().is_some_and(|table| table.has("force_release"));
    let mut policy = policy_table.map(timing::policy).unwrap_or_default();
    policy.require = require;
    if let Some(force_detach) = force_detach {
        if says_force && policy.force_release != *force_detach.get_ref() {
            report.error(
                force_detach.span(),
                "`force_detach` says the opposite of `force_release` in [floating_ip.policy]",
                "they are the same setting: leave one of them out",
            );
        }
        policy.force_release = *force_detach.get_ref();
    }
    let span = table.span.clone();
    table.finish();

    if let Some(at) = probes_at
        && probes.len() == probe_count
    {
        judge_probes(report, at, &probes, &nodes, &policy, &health);
    }
    judge_timing(report, health_at.unwrap_or(span.clone()), &health);
    let policy_at = policy_at.unwrap_or(span);
    if says_wait && policy.wait_for_idle != Policy::default().wait_for_idle && !probes.iter().any(|p| p.tells_idle) {
        report.warning(
            policy_at.clone(),
            "`wait_for_idle` has no effect: no probe tells whether a node is idle",
            "add `tells_idle = true` to a probe that is healthy while nobody uses the node, such as kind = \"exec\"",
        );
    }
    judge_policy(report, policy_at.clone(), &policy, &nodes);
    if policy.address_unreachable == AddressUnreachable::Reclaim
        && let Some(mover) = &mover
        && !fallbacks.iter().chain([mover]).any(Mover::releases_first)
    {
        report.warning(
            policy_at,
            "`address_unreachable = \"reclaim\"` does nothing here: this mover overwrites, and has nothing to give anew",
            "say \"alert\", or use a mover that releases first: eni, eip with fencing = \"strict\", private-ip with IPv6",
        );
    }

    let (name, address, mover) = (name?, address?, mover?);
    let (name_at, address_at) = (name.span(), address.span());
    let floating_ip = match FloatingIp::new(&name.get_ref().0, &address.get_ref().0.to_string()) {
        Ok(floating_ip) => floating_ip,
        Err(error) => {
            report.error(name_at, error.to_string(), "choose another name");
            return None;
        }
    };
    let config = FloatingIpConfig { floating_ip, mover, fallbacks, nodes, probes, health, policy };
    Some(Placed { config, name_at, address_at, mover_at })
}

fn nodes(
    table: &mut Table<'_>,
    mover: Option<(&Mover, &[Mover])>,
    address: Option<&Spanned<Address>>,
) -> Vec<NodeConfig> {
    let tables = table.tables("node").unwrap_or_default();
    let report = table.report;
    let mut nodes: Vec<(Range<usize>, NodeConfig)> = Vec::new();
    if let [only] = &tables[..] {
        report.warning(
            only.span.clone(),
            "there is only one node: nothing can take the address over when it fails",
            "add a second [[floating_ip.node]]",
        );
    }
    for table in tables {
        let Some((at, node)) = node(table, mover, address) else { continue };
        for (other_at, other) in &nodes {
            compare(report, &at, &node, other_at, other);
        }
        nodes.push((at, node));
    }
    nodes.into_iter().map(|(_, node)| node).collect()
}

fn node(
    mut table: Table<'_>,
    mover: Option<(&Mover, &[Mover])>,
    address: Option<&Spanned<Address>>,
) -> Option<(Range<usize>, NodeConfig)> {
    let name = table.required::<NodeId>("name");
    let host = table.required::<Host>("host");
    let own_interfaces = mover.is_some_and(|(_, fallbacks)| !fallbacks.is_empty());
    let mover = mover.map(|(mover, _)| mover);
    let (instance, network_interface, private_ip) = match mover {
        Some(Mover::Eni { .. }) if own_interfaces => {
            table.refuse("eni", "\"eip\"", &["private_ip"]);
            (table.required::<InstanceId>("instance"), table.optional("network_interface"), None)
        }
        Some(Mover::Eni { .. }) => {
            table.refuse("eni", "\"eip\"", &["network_interface", "private_ip"]);
            (table.required::<InstanceId>("instance"), None, None)
        }
        Some(Mover::PrivateIp { .. } | Mover::Route { .. }) => {
            table.refuse(
                if matches!(mover, Some(Mover::Route { .. })) { "route" } else { "private-ip" },
                "\"eip\"",
                &["private_ip"],
            );
            if !table.has("instance") && !table.has("network_interface") {
                table.lacks("instance", InstanceId::EXPECTED);
            }
            (table.optional("instance"), table.optional("network_interface"), None)
        }
        Some(Mover::Eip { .. }) => {
            if !table.has("instance") && !table.has("network_interface") {
                table.lacks("instance", InstanceId::EXPECTED);
            }
            (table.optional("instance"), table.optional("network_interface"), table.optional::<Ipv4Addr>("private_ip"))
        }
        None => (table.optional("instance"), table.optional("network_interface"), table.optional("private_ip")),
    };
    let local = table.optional::<bool>("local").map(Spanned::into_inner);
    if let (Some(host), Some(address)) = (&host, address)
        && same_place(host.get_ref(), &address.get_ref().0)
    {
        table.report.error(
            host.span(),
            format!("the host of a node is the floating address itself ({})", address.get_ref().0),
            "write the node's own address: the floating one leaves with a move, and says nothing about this server",
        );
    }
    table.finish();
    let (name, host) = (name?, host?);
    let mut node = Node::new(name.get_ref().as_str(), &host.get_ref().to_string()).ok()?;
    node.local = local.unwrap_or_default();
    let config = NodeConfig {
        node,
        instance: instance.map(Spanned::into_inner),
        network_interface: network_interface.map(Spanned::into_inner),
        private_ip: private_ip.map(Spanned::into_inner),
        local,
    };
    Some((name.span(), config))
}

fn compare(report: &Report<'_>, at: &Range<usize>, node: &NodeConfig, other_at: &Range<usize>, other: &NodeConfig) {
    let place = report.place(other_at);
    let name = &node.node.id;
    if *name == other.node.id {
        report.error(at.clone(), format!("there are two nodes named \"{name}\" (see {place})"), "rename one of them");
    }
    if same_place(&node.node.host, &other.node.host) {
        let (host, other) = (&node.node.host, &other.node.id);
        report.error(
            at.clone(),
            format!("the nodes \"{name}\" and \"{other}\" have the same host {host} (see {place})"),
            "write each node's own address: one server cannot take over from itself",
        );
    }
    let same_resource = match (&node.network_interface, &other.network_interface) {
        (Some(own), Some(others)) => own == others,
        (Some(_), None) | (None, Some(_)) | (None, None) => node.instance.is_some() && node.instance == other.instance,
    };
    let told_apart = node.private_ip.is_some() && other.private_ip.is_some() && node.private_ip != other.private_ip;
    if same_resource && !told_apart {
        report.error(
            at.clone(),
            format!("the nodes \"{name}\" and \"{}\" are the same instance or interface (see {place})", other.node.id),
            "write each node's own id: one server cannot take over from itself",
        );
    }
}

/// True if both are one address, unless their ports tell them apart.
fn same_place(a: &Host, b: &Host) -> bool {
    let ports_differ = matches!((a.port(), b.port()), (Some(a), Some(b)) if a != b);
    let same_name = match (a.ip(), b.ip()) {
        (Some(a), Some(b)) => a == b,
        (Some(_) | None, Some(_) | None) => a.name().eq_ignore_ascii_case(b.name()),
    };
    same_name && !ports_differ
}

fn judge_probes(
    report: &Report<'_>,
    at: Range<usize>,
    probes: &[Probe],
    nodes: &[NodeConfig],
    policy: &Policy,
    health: &HealthSettings,
) {
    for probe in probes {
        let own = probe.timing.over(*health);
        if own != *health && own.interval < own.fast_interval {
            let (interval, fast) =
                (humantime::format_duration(own.interval), humantime::format_duration(own.fast_interval));
            report.error(
                probe.at.clone(),
                format!("the `interval` ({interval}) of this probe is shorter than its `fast_interval` ({fast})"),
                "make `fast_interval` the shorter one, here or in [floating_ip.health]",
            );
        }
    }
    let deciding = probes.iter().filter(|probe| probe.decides()).count();
    if let Require::AtLeast(count) = policy.require
        && count as usize > deciding
    {
        report.error(
            at.clone(),
            format!("`require = {count}`, but only {deciding} of the probes decide about a node"),
            "those with `direct = false`, `informational = true` or `tells_idle = true` do not, nor does a file of \
             maintenance: lower `require`, or add a probe",
        );
    }
    if deciding == 0 && probes.iter().any(|probe| probe.direct) {
        report.error(
            at.clone(),
            "no probe decides about a node: all are informational, or say only that it is idle or maintained",
            "add a probe of the service",
        );
    }
    let without_instance = nodes.iter().find(|node| node.instance.is_none());
    if let Some(node) = without_instance
        && probes.iter().any(|probe| probe.spec == ProbeSpec::Ec2Status)
    {
        report.error(
            at.clone(),
            format!("the node \"{}\" has no `instance`, whose status kind \"ec2-status\" could read", node.node.id),
            format!("add {}", InstanceId::EXPECTED),
        );
    }
    if !probes.iter().any(|probe| probe.direct) {
        report.error(
            at.clone(),
            "no probe runs against the nodes themselves, so their health would never be known",
            "leave `direct = false` out of at least one probe",
        );
    }
    if policy.verify != Verify::Off && probes.iter().all(|probe| probe.verify == Some(false)) {
        report.warning(
            at.clone(),
            "no probe runs through the floating address, so no move can be verified",
            "leave `verify = false` out of one probe, or say verify = \"off\" in [floating_ip.policy]",
        );
    }
    if probes.iter().all(|probe| matches!(probe.spec, ProbeSpec::Ping(_))) {
        report.warning(
            at,
            "ping is the only probe: a server whose service has died still answers it",
            "add a probe of the service, such as kind = \"ftp\" or \"tcp\"",
        );
    }
}

fn judge_timing(report: &Report<'_>, at: Range<usize>, health: &HealthSettings) {
    if health.fall == 1 {
        report.warning(
            at,
            "with `fall = 1` a single lost probe moves the address",
            "2 or 3 failures in a row cost one or two `fast_interval` more",
        );
    }
}

fn judge_policy(report: &Report<'_>, at: Range<usize>, policy: &Policy, nodes: &[NodeConfig]) {
    if let Failback::After(after) = policy.failback
        && after < policy.cooldown
    {
        report.warning(
            at.clone(),
            format!(
                "failback after {} waits for the `cooldown` of {} all the same",
                humantime::format_duration(after),
                humantime::format_duration(policy.cooldown)
            ),
            "make `failback` the longer one, or `cooldown` shorter",
        );
    }
    for preferred in &policy.prefer {
        if !nodes.iter().any(|node| node.node.id == *preferred) {
            report.error(
                at.clone(),
                format!("`prefer` names \"{preferred}\", which is no node"),
                "write names of [[floating_ip.node]]",
            );
        }
    }
    if nodes.len() > 1 && nodes.iter().all(|node| node.local == Some(true)) {
        report.warning(
            0..0,
            "every node is local: the monitor cannot run on all of them",
            "write `local = true` only for the node on which the monitor runs",
        );
    }
}
