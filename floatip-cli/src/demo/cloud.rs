//! The simulated EC2, and the monitor that moves an address in it by the real client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_credential_types::Credentials;
use clap::ValueEnum;
use floatip_aws::simulator::{Simulator, Timings, World};
use floatip_aws::{AwsSettings, Ec2, EipMover, EipNode, EniMover};
use floatip_core::{AddressMover, Check, FloatingIp, HealthSettings, Node, NodeId, Orchestrator, Policy, Setup};
use floatip_probes::{FtpProbe, ListPath, Secret};

use super::data_plane::Addresses;
use super::ftp_server::{PASSWORD, USER};
use super::server::Server;

const REGION: &str = "ap-northeast-1";
const SUBNET: &str = "subnet-0a1b2c3d4e5f60001";
const INTERFACE: &str = "eni-0a1b2c3d4e5f60001";
const ALLOCATION: &str = "eipalloc-0a1b2c3d4e5f60001";
const ELASTIC_IP: &str = "203.0.113.30";

/// What moves the address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MoverKind {
    /// A network interface with a private address: detached from one instance, attached to the other
    #[default]
    Eni,
    /// An Elastic IP address: associated anew
    Eip,
}

impl fmt::Display for MoverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eni => "elastic network interface",
            Self::Eip => "Elastic IP address",
        })
    }
}

/// Starts the EC2 API, with the address on `holder`.
pub(super) async fn start(mover: MoverKind, holder: Server) -> Result<Simulator> {
    let world = World::new(REGION).subnet(SUBNET, "ap-northeast-1a", "172.16.11.0/24", "vpc-0a1b2c3d4e5f60001");
    let world = Server::BOTH
        .into_iter()
        .fold(world, |world, server| world.instance(server.instance(), SUBNET, server.private_ip()));
    let world = match mover {
        MoverKind::Eni => {
            let world = world.network_interface(INTERFACE, SUBNET, "172.16.11.30");
            world.attach(INTERFACE, holder.instance(), EniMover::DEFAULT_DEVICE_INDEX.into())
        }
        MoverKind::Eip => {
            let primary = format!("eni-{}-primary", holder.instance().trim_start_matches("i-"));
            world.elastic_ip(ALLOCATION, ELASTIC_IP).associate(ALLOCATION, &primary)
        }
    };
    let timings = Timings::default().address_propagation(Duration::from_secs(1));
    Simulator::start(world, timings).await.context("the EC2 simulator does not start")
}

/// Where EC2 has the address at this moment, in EC2's words.
pub(super) fn placement(simulator: &Simulator, mover: MoverKind) -> String {
    let world = simulator.world();
    let name = |instance: &str| Server::of_instance(instance).map_or("a stranger", Server::name);
    match mover {
        MoverKind::Eni => match world.find_interface(INTERFACE).and_then(|interface| interface.attachment.as_ref()) {
            Some(attachment) => format!("{} · {}", attachment.state.as_str(), name(&attachment.instance)),
            None => "available".to_owned(),
        },
        MoverKind::Eip => {
            let association = world.find_address(ALLOCATION).and_then(|address| address.association.as_ref());
            let interface = association.and_then(|it| world.find_interface(&it.network_interface));
            match interface.and_then(|interface| interface.attachment.as_ref()) {
                Some(attachment) => format!("associated · {}", name(&attachment.instance)),
                None => "not associated".to_owned(),
            }
        }
    }
}

/// The monitor, as a configuration file would describe it.
pub(super) async fn monitor(simulator: &Simulator, mover: MoverKind, addresses: &Addresses) -> Result<Orchestrator> {
    let credentials = Credentials::new("AKIADEMO", "demo", None, None, "floatip demo");
    let settings = AwsSettings::new().region(REGION).endpoint_url(simulator.endpoint_url());
    let ec2 = settings.credentials_provider(credentials).connect().await?;
    let probe = FtpProbe::new(USER, Secret::new(PASSWORD))?.list(ListPath::login_directory());
    let mut health = HealthSettings::default();
    health.interval = Duration::from_secs(1);
    health.fast_interval = Duration::from_millis(250);
    health.timeout = Duration::from_millis(500);
    let mut policy = Policy::default();
    policy.release_timeout = Duration::from_secs(5);
    let setup = Setup::new(FloatingIp::new("ftp", &addresses.floating.to_string())?)
        .check(Check::new(Arc::new(probe)).health(health))
        .mover(address_mover(ec2, mover)?)
        .policy(policy);
    let setup = Server::BOTH.into_iter().try_fold(setup, |setup, server| {
        let node = Node::new(server.name(), &addresses.own[server.index()].to_string())?;
        anyhow::Ok(setup.node(node))
    })?;
    Ok(Orchestrator::builder().floating_ip(setup).sweep(Duration::from_secs(2)).build()?)
}

fn address_mover(ec2: Ec2, mover: MoverKind) -> Result<Arc<dyn AddressMover>> {
    let nodes = [
        (NodeId::new(Server::Ftp1.name())?, Server::Ftp1.instance()),
        (NodeId::new(Server::Ftp2.name())?, Server::Ftp2.instance()),
    ];
    Ok(match mover {
        MoverKind::Eni => Arc::new(EniMover::new(ec2, INTERFACE, EniMover::DEFAULT_DEVICE_INDEX, nodes)?),
        MoverKind::Eip => {
            let builder = EipMover::builder(ec2, ALLOCATION);
            let builder =
                nodes.into_iter().fold(builder, |builder, (node, id)| builder.node(node, EipNode::new().instance(id)));
            Arc::new(builder.build()?)
        }
    })
}
