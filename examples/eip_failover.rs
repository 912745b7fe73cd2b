//! Moves an Elastic IP address (EIP), which clients on the internet use, away from a server whose service dies.
//!
//! ```console
//! cargo run --example eip_failover
//! cargo run --example eip_failover -- ALLOCATION ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...
//! ```
//!
//! The first kills a service in a simulated Region, watches the address move, and asks as a client who serves now. It
//! needs nothing, takes some ten seconds, and succeeds only if the other server answers at the same address.
//!
//! The second watches real servers until Ctrl-C, with the credentials and the Region of the AWS tools:
//! `eipalloc-0a1b2c3d4e5f60002 203.0.113.30:21 i-0a1b2c3d4e5f60011=172.16.11.10 i-0a1b2c3d4e5f60012=172.16.11.20`.
//! It does move the address: the role needs ec2:DescribeAddresses, ec2:DescribeInstances,
//! ec2:DescribeNetworkInterfaces, ec2:AssociateAddress and ec2:DisassociateAddress.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use floatip_aws::{AwsSettings, EipMover, Fencing};
use floatip_core::{Check, FloatingIp, Node, Orchestrator, Setup};
use floatip_examples::{Rehearsal, watch};
use floatip_probes::TcpProbe;

const USAGE: &str = "usage: eip_failover [ALLOCATION ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...]";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        watch(orchestrator(AwsSettings::new(), &arguments).await?).await;
        return Ok(());
    }
    let region = Rehearsal::with_elastic_ip().await?;
    let orchestrator = orchestrator(region.aws(), &region.arguments()).await?;
    region.fail_over(orchestrator).await
}

/// The address leads to the primary private address of an instance, and is simply given to another one.
async fn orchestrator(aws: AwsSettings, arguments: &[String]) -> Result<Orchestrator> {
    let [allocation, address, nodes @ ..] = arguments else { bail!(USAGE) };
    let floating_ip = FloatingIp::new("ftp", address)?;
    let probe = TcpProbe::new(floating_ip.address.port().context(USAGE)?)?;
    let mut setup = Setup::new(floating_ip).check(Check::new(Arc::new(probe)));
    let mut mover = EipMover::builder(aws.connect().await?, allocation).fencing(Fencing::Overwrite);
    for node in nodes {
        let (instance, host) = node.split_once('=').context(USAGE)?;
        let node = Node::new(instance, host)?;
        mover = mover.instance(node.id.clone(), instance);
        setup = setup.node(node);
    }
    Ok(Orchestrator::builder().floating_ip(setup.mover(Arc::new(mover.build()?))).build()?)
}
