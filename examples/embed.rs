//! The smallest embedding: two servers, one check, one mover, and a clean end on Ctrl-C.
//!
//! ```console
//! python3 -m http.server 8001 & python3 -m http.server 8002 &
//! cargo run --example embed -- 127.0.0.1:8001 127.0.0.1:8002
//! ```
//!
//! Then end the first server, and read that the address moves to the second. Here the address is one in memory: put
//! your own `AddressMover` in place of `InMemoryMover`, and leave `verifies(false)` away.

use std::sync::Arc;

use floatip_core::testing::{InMemoryMover, InMemoryProvider};
use floatip_core::{Check, FloatingIp, Node, Orchestrator, Setup};
use floatip_examples::Narrator;
use floatip_probes::TcpProbe;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let hosts: Vec<String> = std::env::args().skip(1).collect();
    let [first, second] = &hosts[..] else { anyhow::bail!("usage: embed HOST:PORT HOST:PORT") };
    let (first, second) = (Node::new("first", first)?, Node::new("second", second)?);
    let provider = InMemoryProvider::new([first.id.clone(), second.id.clone()]);
    provider.put_on(&first.id);
    let setup = Setup::new(FloatingIp::new("web", "192.0.2.1")?)
        .check(Check::new(Arc::new(TcpProbe::new(80)?)).verifies(false))
        .mover(Arc::new(InMemoryMover::release_first(&provider)))
        .node(first)
        .node(second);
    let orchestrator = Orchestrator::builder().floating_ip(setup).build()?;
    let mut narrator = Narrator::of(&orchestrator);
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be received") };
    tokio::join!(orchestrator.run(stop), narrator.tell_all());
    Ok(())
}
