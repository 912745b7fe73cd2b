//! Moves an address between servers in different zones, by its route in several tables, away from a server whose service
//! dies.
//!
//! ```console
//! cargo run --example route_failover
//! cargo run --example route_failover -- OVERLAY-IP TABLE,TABLE ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...
//! ```
//!
//! The first kills a service in a simulated Region, watches the routes move, and asks as a client who serves now. It
//! needs nothing, takes some seconds, and succeeds only if the server in the other zone answers at the same address.
//!
//! The second watches real servers until Ctrl-C: `10.99.0.1 rtb-0a1b2c3d4e5f60001,rtb-0a1b2c3d4e5f60002 10.99.0.1:21
//! i-0a1b2c3d4e5f60011=172.16.11.10 i-0a1b2c3d4e5f60012=172.16.12.10`. It does change the tables: the role needs
//! ec2:DescribeRouteTables, ec2:DescribeNetworkInterfaces, ec2:DescribeInstances, ec2:CreateRoute and ec2:ReplaceRoute.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use floatip_aws::{AwsSettings, NodeInterface, RouteMover, RouteTables};
use floatip_core::{Check, FloatingIp, Node, Orchestrator, Setup};
use floatip_examples::{Rehearsal, watch};
use floatip_probes::TcpProbe;

const USAGE: &str = "usage: route_failover [OVERLAY-IP TABLE,TABLE ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...]";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        watch(orchestrator(AwsSettings::new(), &arguments).await?).await;
        return Ok(());
    }
    let region = Rehearsal::with_routes().await?;
    let orchestrator = orchestrator(region.aws(), &region.arguments()).await?;
    region.fail_over(orchestrator).await
}

/// The tables lead the address to the primary interface of an instance, which must not check source and destination.
async fn orchestrator(aws: AwsSettings, arguments: &[String]) -> Result<Orchestrator> {
    let [overlay, tables, address, nodes @ ..] = arguments else { bail!(USAGE) };
    let floating_ip = FloatingIp::new("ftp", address)?;
    let probe = TcpProbe::new(floating_ip.address.port().context(USAGE)?)?;
    let mut setup = Setup::new(floating_ip).check(Check::new(Arc::new(probe)));
    let tables = RouteTables::Ids(tables.split(',').map(str::to_owned).collect());
    let mut mover = RouteMover::builder(aws.connect().await?, overlay.parse().context(USAGE)?, tables);
    for node in nodes {
        let (instance, host) = node.split_once('=').context(USAGE)?;
        let node = Node::new(instance, host)?;
        mover = mover.node(node.id.clone(), NodeInterface::new().instance(instance));
        setup = setup.node(node);
    }
    Ok(Orchestrator::builder().floating_ip(setup.mover(Arc::new(mover.build()?))).build()?)
}
