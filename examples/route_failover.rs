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

use anyhow::{Context, Result, bail, ensure};
use floatip_aws::{AwsSettings, NodeInterface, RouteMover, RouteTables};
use floatip_core::{Check, FloatingIp, Node, Orchestrator, Setup, Verification};
use floatip_examples::{Narrator, Rehearsal};
use floatip_probes::TcpProbe;
use tokio::signal::ctrl_c;
use tokio::sync::oneshot;

const USAGE: &str = "usage: route_failover [OVERLAY-IP TABLE,TABLE ADDRESS:PORT INSTANCE=HOST INSTANCE=HOST ...]";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() { rehearse().await } else { watch(&arguments).await }
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

async fn watch(arguments: &[String]) -> Result<()> {
    let orchestrator = orchestrator(AwsSettings::new(), arguments).await?;
    let mut narrator = Narrator::of(&orchestrator);
    let stop = async { ctrl_c().await.expect("signals can be received") };
    tokio::join!(orchestrator.run(stop), narrator.tell_all());
    Ok(())
}

async fn rehearse() -> Result<()> {
    let region = Rehearsal::with_routes().await?;
    let orchestrator = orchestrator(region.aws(), &region.arguments()).await?;
    let mut narrator = Narrator::of(&orchestrator);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(orchestrator.run(async { stopped.await.unwrap_or(()) }));

    let holder = narrator.tell_until_all_is_well().await?;
    narrator.say(&format!("the service on {holder} dies"));
    region.kill(&holder)?;
    let receipt = narrator.tell_until_moved().await?;
    let server = region.serving().await?;
    narrator.say(&format!("a client of the same address is served by {server}"));

    drop(stop);
    running.await?;
    ensure!(receipt.to != holder && server == receipt.to.as_str(), "the address should be on {}", receipt.to);
    ensure!(receipt.verification == Verification::Verified, "the move was not verified");
    Ok(())
}
