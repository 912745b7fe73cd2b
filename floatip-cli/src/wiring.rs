//! From a valid configuration to the parts that do the work.

use std::collections::HashMap;
use std::sync::Arc;

use floatip_aws::{AwsSettings, Ec2, EipMover, EipNode, EniMover, NodeInterface, PrivateIpMover, RouteMover};
use floatip_core::{AddressMover, Builder, Check, HealthProbe, NodeId, Orchestrator, Role, Setup, Witness};
use floatip_probes::{Secret, SettingError};

use crate::config::{Aws, Config, FloatingIpConfig, HookConfig, Mover, ProbeSpec, WitnessConfig};
use crate::exit::Failure;
use crate::own_addresses::OwnAddresses;
use crate::program_hook::ProgramHook;

/// The probes that were built: floating IPs with the same one share it, so that it runs once.
#[derive(Debug, Default)]
pub(crate) struct Probes(HashMap<ProbeSpec, Arc<dyn HealthProbe>>);

impl Probes {
    /// The checks of one floating IP.
    pub(crate) fn checks(&mut self, ip: &FloatingIpConfig) -> Result<Vec<Check>, SettingError> {
        ip.probes
            .iter()
            .map(|probe| {
                let check = Check::new(self.probe(&probe.spec, probe.secret.as_ref())?);
                let check = check.health(probe.timing.over(ip.health)).direct(probe.direct);
                let check = if probe.informational { check.role(Role::Informs) } else { check };
                Ok(match probe.verify {
                    Some(verify) => check.verifies(verify),
                    None => check,
                })
            })
            .collect()
    }

    /// The witnesses.
    pub(crate) fn witnesses(&mut self, config: &Config) -> Result<Vec<Witness>, Failure> {
        let witness = |WitnessConfig { name, host, spec, secret }: &WitnessConfig| {
            let probe = self.probe(spec, secret.as_ref())?;
            Witness::new(name.as_str(), &host.to_string(), probe)
                .map_err(|error| Failure::System { action: "name a witness", source: std::io::Error::other(error) })
        };
        config.witnesses.iter().map(witness).collect()
    }

    fn probe(&mut self, spec: &ProbeSpec, secret: Option<&Secret>) -> Result<Arc<dyn HealthProbe>, SettingError> {
        if let Some(shared) = self.0.get(spec) {
            return Ok(shared.clone());
        }
        let built = spec.build(secret.cloned())?;
        self.0.insert(spec.clone(), built.clone());
        Ok(built)
    }
}

/// Everything that the configuration describes, ready to run.
pub(crate) async fn orchestrator(config: &Config) -> Result<Orchestrator, Failure> {
    let ec2 = connect(&config.aws).await?;
    let own_addresses = OwnAddresses::new();
    let mut probes = Probes::default();
    let mut builder = Orchestrator::builder().sweep(config.sweep);
    if let Some(state_dir) = &config.state_dir {
        builder = builder.state_dir(state_dir);
    }
    builder = probes.witnesses(config)?.into_iter().fold(builder, Builder::witness);
    if let Some(quorum) = config.witness_quorum {
        builder = builder.witness_quorum(quorum);
    }
    for ip in &config.floating_ips {
        let mut setup = Setup::new(ip.floating_ip.clone()).policy(ip.policy.clone());
        for mechanism in std::iter::once(&ip.mover).chain(&ip.fallbacks) {
            setup = setup.mover(mover(ip, mechanism, &ec2)?);
        }
        for node in &ip.nodes {
            setup = setup.node(node.node.clone().local(own_addresses.is_local(node)));
        }
        for HookConfig { name, on, timeout, program } in &config.hooks {
            setup = setup.hook(Arc::new(ProgramHook::new(name.clone(), *on, *timeout, program.clone())));
        }
        for check in probes.checks(ip)? {
            setup = setup.check(check);
        }
        builder = builder.floating_ip(setup);
    }
    Ok(builder.build()?)
}

/// One for all movers: they share its reads and what EC2 allows the account.
async fn connect(aws: &Aws) -> Result<Ec2, Failure> {
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
            Ok(Arc::new(mover))
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
    use crate::config::{Port, TcpSpec};

    #[test]
    fn equal_probes_are_one_and_others_are_not() {
        let mut probes = Probes::default();
        let spec = |port| ProbeSpec::Tcp(TcpSpec { port: Port(port), send: None, expect: None });
        let [a, b, c] = [21, 21, 22].map(|port| probes.probe(&spec(port), None).unwrap());
        assert!(Arc::ptr_eq(&a, &b) && !Arc::ptr_eq(&a, &c));
    }
}
