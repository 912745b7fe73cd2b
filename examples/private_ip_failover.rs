//! Moves a secondary private IP address between the servers' own interfaces, away from a server whose service dies.
//!
//! ```console
//! cargo run --example private_ip_failover
//! cargo run --example private_ip_failover -- PRIVATE-IP ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...
//! ```
//!
//! The first kills a service in a simulated Region, watches the address move, and asks as a client who serves now. It
//! needs nothing, takes some seconds, and succeeds only if the other server answers at the same address.
//!
//! The second watches real servers until Ctrl-C, with the credentials and the Region of the AWS tools:
//! `172.16.11.30 172.16.11.30:21 i-0a1b2c3d4e5f60011=172.16.11.10 i-0a1b2c3d4e5f60012=172.16.11.20`. It does move the
//! address, which every guest must have configured beforehand: the role needs ec2:DescribeNetworkInterfaces,
//! ec2:DescribeInstances, ec2:DescribeInstanceTypes and ec2:AssignPrivateIpAddresses.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use floatip_aws::{AwsSettings, NodeInterface, PrivateIpMover};
use floatip_core::{Check, FloatingIp, Node, Orchestrator, Setup};
use floatip_examples::{Rehearsal, watch};
use floatip_probes::TcpProbe;

const USAGE: &str = "usage: private_ip_failover [PRIVATE-IP ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...]";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        watch(orchestrator(AwsSettings::new(), &arguments).await?).await;
        return Ok(());
    }
    let region = Rehearsal::with_private_ip().await?;
    let orchestrator = orchestrator(region.aws(), &region.arguments()).await?;
    region.fail_over(orchestrator).await
}

/// The address goes from the primary interface of one instance to that of another, and both stay where they are.
async fn orchestrator(aws: AwsSettings, arguments: &[String]) -> Result<Orchestrator> {
    let [private_ip, address, nodes @ ..] = arguments else { bail!(USAGE) };
    let floating_ip = FloatingIp::new("ftp", address)?;
    let probe = TcpProbe::new(floating_ip.address.port().context(USAGE)?)?;
    let mut setup = Setup::new(floating_ip).check(Check::new(Arc::new(probe)));
    let mut interfaces = Vec::new();
    for node in nodes {
        let (instance, host) = node.split_once('=').context(USAGE)?;
        let node = Node::new(instance, host)?;
        interfaces.push((node.id.clone(), NodeInterface::new().instance(instance)));
        setup = setup.node(node);
    }
    let mover = PrivateIpMover::new(aws.connect().await?, private_ip.parse().context(USAGE)?, interfaces)?;
    Ok(Orchestrator::builder().floating_ip(setup.mover(Arc::new(mover))).build()?)
}
