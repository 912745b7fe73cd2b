//! Moves a network interface (ENI), and the private address on it, away from a server whose service dies.
//!
//! ```console
//! cargo run --example eni_failover
//! cargo run --example eni_failover -- ENI ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...
//! ```
//!
//! The first kills a service in a simulated Region, watches the interface move, and asks as a client who serves now. It
//! needs nothing, takes some ten seconds, and succeeds only if the other server answers through the same address.
//!
//! The second watches real servers until Ctrl-C, with the credentials and the Region of the AWS tools:
//! `eni-0a1b2c3d4e5f60001 172.16.11.30:21 i-0a1b2c3d4e5f60011=172.16.11.10 i-0a1b2c3d4e5f60012=172.16.11.20`.
//! It does move the interface: the role needs ec2:DescribeNetworkInterfaces, ec2:DescribeInstances,
//! ec2:DescribeInstanceTypes, ec2:AttachNetworkInterface, ec2:DetachNetworkInterface and
//! ec2:ModifyNetworkInterfaceAttribute.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use floatip_aws::{AwsSettings, EniMover};
use floatip_core::{Check, FloatingIp, Node, Orchestrator, Setup};
use floatip_examples::{Rehearsal, watch};
use floatip_probes::TcpProbe;

const USAGE: &str = "usage: eni_failover [ENI ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...]";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        watch(orchestrator(AwsSettings::new(), &arguments).await?).await;
        return Ok(());
    }
    let region = Rehearsal::with_network_interface().await?;
    let orchestrator = orchestrator(region.aws(), &region.arguments()).await?;
    region.fail_over(orchestrator).await
}

/// The interface is a floating IP: its nodes, how their health is checked, and what moves it.
async fn orchestrator(aws: AwsSettings, arguments: &[String]) -> Result<Orchestrator> {
    let [interface, address, nodes @ ..] = arguments else { bail!(USAGE) };
    let floating_ip = FloatingIp::new("ftp", address)?;
    let probe = TcpProbe::new(floating_ip.address.port().context(USAGE)?)?;
    let mut setup = Setup::new(floating_ip).check(Check::new(Arc::new(probe)));
    let mut instances = Vec::new();
    for node in nodes {
        let (instance, host) = node.split_once('=').context(USAGE)?;
        let node = Node::new(instance, host)?;
        instances.push((node.id.clone(), instance));
        setup = setup.node(node);
    }
    let mover = EniMover::new(aws.connect().await?, interface, EniMover::DEFAULT_DEVICE_INDEX, instances)?;
    Ok(Orchestrator::builder().floating_ip(setup.mover(Arc::new(mover))).build()?)
}
