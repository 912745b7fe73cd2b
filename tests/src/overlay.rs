//! An overlay address beside the lab: a router that leads it to one of the two hosts, as the route tables of a VPC do.
//!
//! ```text
//!     mon --10.99.0.1--> rt 172.16.11.1 --+--> ftp1 172.16.11.10 (in zone a)
//!                                         +--> ftp2 172.16.11.20 (in zone c)
//! ```

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use async_trait::async_trait;
use floatip_aws::simulator::{Change, DataPlane, World};
use tokio::task::spawn_blocking;

use crate::cloud::{INSTANCE1, INSTANCE2, INTERFACE, REGION, node_of};
use crate::lab::{FTP1, FTP2, Host, Lab};
use crate::netns::Namespace;
use crate::reaper::lock;

/// The overlay address.
pub const OVERLAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// A secondary private address of the first host, which cannot leave its zone.
pub const PRIVATE_IP: Ipv4Addr = Ipv4Addr::new(172, 16, 11, 13);
/// The route tables of the two zones. The router stands for both, and follows the first.
pub const TABLES: [&str; 2] = ["rtb-0a1b2c3d4e5f60001", "rtb-0a1b2c3d4e5f60002"];

const ROUTER: Ipv4Addr = Ipv4Addr::new(172, 16, 11, 1);
const SUBNETS: [&str; 2] = ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"];
const VPC: &str = "vpc-0a1b2c3d4e5f60001";

/// The lab's hosts in two zones: the overlay address, a moving interface and a secondary private address, all with the
/// first.
pub fn world() -> World {
    let destination = format!("{OVERLAY}/32");
    let primary = |instance: &str| format!("{}-primary", instance.replacen("i-", "eni-", 1));
    let world = World::new(REGION)
        .subnet(SUBNETS[0], "eu-test-1a", "172.16.11.0/28", VPC)
        .subnet(SUBNETS[1], "eu-test-1c", "172.16.11.16/28", VPC)
        .instance(INSTANCE1, SUBNETS[0], &FTP1.to_string())
        .instance(INSTANCE2, SUBNETS[1], &FTP2.to_string())
        .source_dest_check(&primary(INSTANCE1), false)
        .source_dest_check(&primary(INSTANCE2), false)
        .network_interface(INTERFACE, SUBNETS[0], "172.16.11.12")
        .attach(INTERFACE, INSTANCE1, 1)
        .secondary_private_ip(&primary(INSTANCE1), &PRIVATE_IP.to_string());
    TABLES
        .into_iter()
        .fold(world, |world, table| world.route_table(table, VPC).route(table, &destination, &primary(INSTANCE1)))
}

/// The router. Dropping it removes it.
#[derive(Debug)]
pub struct Overlay {
    router: Namespace,
    leads_to: Mutex<Option<Host>>,
}

impl Overlay {
    /// Adds the router to a lab, whose hosts take packets for the address from now on; it leads to the first host.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn new(lab: &Lab) -> Result<Self> {
        let router = lab.join("rt", ROUTER)?;
        router.set("net/ipv4/ip_forward", "1")?;
        // Its way in is its way out: without this it would tell senders to go directly.
        for interface in ["all", "eth0"] {
            router.set(&format!("net/ipv4/conf/{interface}/send_redirects"), "0")?;
        }
        for host in [Host::Ftp1, Host::Ftp2] {
            lab.host(host).ip([format!("addr add {OVERLAY}/32 dev lo")])?;
        }
        lab.mon().ip([format!("route add {OVERLAY}/32 via {ROUTER}")])?;
        let overlay = Self { router, leads_to: Mutex::new(None) };
        overlay.lead_to(Host::Ftp1)?;
        Ok(overlay)
    }

    /// Leads the address to a host.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn lead_to(&self, host: Host) -> Result<()> {
        let mut leads_to = lock(&self.leads_to);
        self.router.ip([format!("route replace {OVERLAY}/32 via {}", host.address())])?;
        *leads_to = Some(host);
        Ok(())
    }

    /// The host that it leads to.
    pub fn holder(&self) -> Option<Host> {
        *lock(&self.leads_to)
    }
}

/// Lets the router follow the first of [`TABLES`].
#[derive(Debug)]
pub struct OverlayPlane(pub Arc<Overlay>);

#[async_trait]
impl DataPlane for OverlayPlane {
    async fn follow(&self, change: &Change) {
        let Change::Routed { table, instance, .. } = change else { return };
        let host = match instance.as_deref().and_then(node_of) {
            Some("ftp1") => Host::Ftp1,
            Some("ftp2") => Host::Ftp2,
            Some(_) | None => panic!("the lab has no instance {instance:?}"),
        };
        if table == TABLES[0] {
            let overlay = self.0.clone();
            let led = spawn_blocking(move || overlay.lead_to(host)).await;
            led.expect("nothing panics").expect("the router follows");
        }
    }
}
