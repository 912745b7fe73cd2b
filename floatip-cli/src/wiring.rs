//! From a valid configuration to the parts that do the work.

use std::collections::HashMap;
use std::sync::Arc;

use floatip_aws::{
    AwsSettings, Ec2, EipMover, EipNode, EniMover, InstanceStatusProbe, InstanceStatusReader, NodeInterface,
    PrivateIpMover, RouteMover,
};
use floatip_core::{AddressMover, Builder, Check, HealthProbe, NodeId, Orchestrator, Role, Setup, Witness};
use floatip_probes::Secret;

use crate::config::{Aws, Config, FloatingIpConfig, HookConfig, Mover, ProbeSpec, WitnessConfig};
use crate::descriptors;
use crate::exit::Failure;
use crate::own_addresses::OwnAddresses;
use crate::program_hook::ProgramHook;
use crate::reports::Reports;
use crate::subject;

/// The probes that were built: floating IPs with the same one share it, so that it runs once.
#[derive(Debug)]
pub(crate) struct Probes {
    shared: HashMap<ProbeSpec, Arc<dyn HealthProbe>>,
    reports: Reports,
    statuses: Option<InstanceStatusReader>,
}

impl Probes {
    /// With EC2, if a probe asks it.
    pub(crate) async fn new(config: &Config) -> Result<Self, Failure> {
        let mut probes = config.floating_ips.iter().flat_map(|ip| &ip.probes);
        let ec2 = match probes.any(|probe| probe.spec == ProbeSpec::Ec2Status) {
            true => Some(connect(&config.aws).await?),
            false => None,
        };
        Ok(Self::with(ec2.as_ref(), Reports::new(config)))
    }

    fn with(ec2: Option<&Ec2>, reports: Reports) -> Self {
        Self { shared: HashMap::new(), reports, statuses: ec2.map(Ec2::instance_statuses) }
    }

    /// The checks of one floating IP.
    pub(crate) fn checks(&mut self, ip: &FloatingIpConfig) -> Result<Vec<Check>, Failure> {
        ip.probes
            .iter()
            .map(|probe| {
                let shared = self.shared(&probe.spec, probe.secret.as_ref())?;
                let shared = match (shared, &probe.spec) {
                    (Some(shared), _) => shared,
                    (None, ProbeSpec::Push(push)) => {
                        Arc::new(push.build(self.reports.mailbox(&ip.floating_ip.name))?) as Arc<dyn HealthProbe>
                    }
                    (None, _) => self.instance_status(ip)?,
                };
                let check = Check::new(shared).health(probe.timing.over(ip.health)).direct(probe.direct);
                let check = match (probe.informational, probe.tells_idle) {
                    (true, _) => check.role(Role::Informs),
                    (false, true) => check.role(Role::TellsIdle),
                    (false, false) => check,
                };
                Ok(match probe.verify {
                    Some(verify) => check.verifies(verify),
                    None => check,
                })
            })
            .collect()
    }

    /// The witnesses.
    pub(crate) fn witnesses(&mut self, config: &Config) -> Result<Vec<Witness>, Failure> {
        let unusable = |error| Failure::System { action: "make a witness", source: std::io::Error::other(error) };
        let witness = |WitnessConfig { name, host, spec, secret, timing }: &WitnessConfig| {
            let probe = self.shared(spec, secret.as_ref())?;
            let probe = probe.ok_or_else(|| unusable("its kind of probe asks no host".to_owned()))?;
            let witness = Witness::new(name.as_str(), &host.to_string(), probe);
            let witness = witness.map_err(|error| unusable(error.to_string()))?;
            let health = timing.over(witness.health);
            Ok(witness.health(health))
        };
        config.witnesses.iter().map(witness).collect()
    }

    /// The probe of these settings; `None` if it takes more to make it.
    fn shared(&mut self, spec: &ProbeSpec, secret: Option<&Secret>) -> Result<Option<Arc<dyn HealthProbe>>, Failure> {
        if let Some(shared) = self.shared.get(spec) {
            return Ok(Some(shared.clone()));
        }
        let built = spec.build(secret.cloned())?;
        if let Some(built) = &built {
            self.shared.insert(spec.clone(), built.clone());
        }
        Ok(built)
    }

    /// The names of nodes mean something within their floating IP only: it is not shared, its calls are.
    fn instance_status(&self, ip: &FloatingIpConfig) -> Result<Arc<dyn HealthProbe>, Failure> {
        let reader = self.statuses.clone().ok_or_else(|| Failure::System {
            action: "read the status of instances",
            source: std::io::Error::other("no client of EC2 was made"),
        })?;
        let nodes = ip.nodes.iter().filter_map(|node| Some((node.node.id.clone(), node.instance.as_ref()?.0.as_str())));
        let probe = InstanceStatusProbe::new(reader, nodes);
        let probe = probe.map_err(|source| Failure::Mover { floating_ip: ip.floating_ip.name.to_string(), source })?;
        Ok(Arc::new(probe))
    }
}

/// Everything that the configuration describes, ready to run, and what takes the reports of nodes.
pub(crate) async fn orchestrator(config: &Config) -> Result<(Orchestrator, Reports), Failure> {
    let ec2 = connect(&config.aws).await?;
    let own_addresses = OwnAddresses::new();
    let reports = Reports::new(config);
    let mut probes = Probes::with(Some(&ec2), reports.clone());
    let mut builder = Orchestrator::builder()
        .sweep(config.sweep)
        .probes_at_once(descriptors::checks_at_once(descriptors::raise(), config));
    if let Some(state_dir) = &config.state_dir {
        builder = builder.state_dir(state_dir);
    }
    builder = probes.witnesses(config)?.into_iter().fold(builder, Builder::witness);
    if let Some(quorum) = config.witness_quorum {
        builder = builder.witness_quorum(quorum);
    }
    for ip in &config.floating_ips {
        let mut setup = Setup::new(ip.floating_ip.clone()).policy(ip.policy.clone());
        for mechanism in ip.movers() {
            setup = setup.mover(subject::preflight(ip, mechanism, &ec2).guard(mover(ip, mechanism, &ec2)?));
        }
        for node in &ip.nodes {
            setup = setup.node(node.node.clone().local(own_addresses.is_local(node)));
        }
        for HookConfig { name, on, timeout, program } in &config.hooks {
            let address = ip.floating_ip.address.clone();
            setup = setup.hook(Arc::new(ProgramHook::new(name.clone(), *on, *timeout, program.clone(), address)));
        }
        for check in probes.checks(ip)? {
            setup = setup.check(check);
        }
        builder = builder.floating_ip(setup);
    }
    Ok((builder.build()?, reports))
}

/// One for all movers: they share its reads and what EC2 allows the account.
pub(crate) async fn connect(aws: &Aws) -> Result<Ec2, Failure> {
    let mut settings = AwsSettings::new();
    settings.region = aws.region.clone();
    settings.profile = aws.profile.clone();
    settings.endpoint_url = aws.endpoint_url.clone();
    settings.fleet_tag = aws.fleet_tag.clone();
    Ok(settings.connect().await?)
}

fn mover(ip: &FloatingIpConfig, mechanism: &Mover, ec2: &Ec2) -> Result<Arc<dyn AddressMover>, Failure> {
    let refused = |source| Failure::Mover { floating_ip: ip.floating_ip.name.to_string(), source };
    match mechanism {
        Mover::Eni { network_interface, device_index } => {
            let nodes =
                ip.nodes.iter().filter_map(|node| Some((node.node.id.clone(), node.instance.as_ref()?.0.as_str())));
            let mover = EniMover::new(ec2.clone(), &network_interface.0, device_index.0, nodes).map_err(refused)?;
            // Another mechanism may take the address off the interface.
            Ok(Arc::new(match ip.floating_ip.address.ip().filter(|_| !ip.fallbacks.is_empty()) {
                Some(address) => mover.carries(address),
                None => mover,
            }))
        }
        Mover::Eip { allocation, fencing } => {
            let builder = EipMover::builder(ec2.clone(), &allocation.0).fencing(*fencing);
            let builder = ip.nodes.iter().fold(builder, |builder, node| {
                let mut place = EipNode::new();
                place.instance = node.instance.as_ref().map(|id| id.0.clone());
                place.network_interface = node.network_interface.as_ref().map(|id| id.0.clone());
                place.private_ip = node.private_ip;
                builder.node(node.node.id.clone(), place)
            });
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        Mover::PrivateIp { private_ip } => {
            Ok(Arc::new(PrivateIpMover::new(ec2.clone(), *private_ip, interfaces(ip)).map_err(refused)?))
        }
        Mover::Route { destination, route_tables } => {
            let builder = RouteMover::builder(ec2.clone(), *destination, route_tables.clone());
            let builder = interfaces(ip).fold(builder, |builder, (node, place)| builder.node(node, place));
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
    }
}

fn interfaces(ip: &FloatingIpConfig) -> impl Iterator<Item = (NodeId, NodeInterface)> {
    ip.nodes.iter().map(|node| {
        let mut place = NodeInterface::new();
        place.instance = node.instance.as_ref().map(|id| id.0.clone());
        place.network_interface = node.network_interface.as_ref().map(|id| id.0.clone());
        (node.node.id.clone(), place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Purpose;

    #[test]
    fn equal_probes_are_one_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("floatip.toml");
        let probes = [21, 21, 22].map(|port| format!("[[floating_ip.probe]]\nkind = \"tcp\"\nport = {port}\n"));
        let text = format!(
            "[[floating_ip]]\nname = \"ftp\"\naddress = \"172.16.11.30\"\n\
             mover = {{ kind = \"eni\", network_interface = \"eni-0a1b2c3d\" }}\n\
             node = [{{ name = \"ftp-1\", instance = \"i-0a1b2c3d\", host = \"172.16.11.10\" }}]\n{}",
            probes.concat()
        );
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file, Purpose::Use).unwrap();
        let checks = Probes::with(None, Reports::default()).checks(&config.floating_ips[0]).unwrap();
        let [a, b, c] = [0, 1, 2].map(|n| &checks[n].probe);
        assert!(Arc::ptr_eq(a, b) && !Arc::ptr_eq(a, c));
    }
}
