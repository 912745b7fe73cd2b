//! A Region of AWS to rehearse in: the simulator, and a service on each of two servers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use aws_credential_types::Credentials;
use floatip_aws::AwsSettings;
use floatip_aws::simulator::{Change, DataPlane, Simulator, Timings, World};
use floatip_core::{NodeId, Orchestrator, Verification};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

use crate::narrator::Narrator;
use crate::service::{Service, greeting};

const REGION: &str = "ap-northeast-1";
const INTERFACE: &str = "eni-float";
const ALLOCATION: &str = "eipalloc-float";
const PRIVATE_IP: &str = "172.16.11.30";
const OVERLAY: &str = "10.99.0.1";
const TABLES: [&str; 2] = ["rtb-a", "rtb-c"];
const INSTANCES: [&str; 2] = ["i-ftp-1", "i-ftp-2"];

/// A simulated Region with two servers, each with a service, and something that floats between them. All of it listens on
/// loopback, and goes when it is dropped.
#[derive(Debug)]
pub struct Rehearsal {
    simulator: Simulator,
    servers: Arc<Servers>,
    moved: Vec<String>,
    hosts: BTreeMap<&'static str, SocketAddr>,
}

/// The data plane: the floating address leads to the service of the server that the simulator says.
#[derive(Debug)]
struct Servers {
    floating: SocketAddr,
    /// Keeps the port from everybody else while no service listens at it.
    _port: TcpSocket,
    services: BTreeMap<&'static str, Service>,
    carrier: Mutex<Option<String>>,
}

impl Rehearsal {
    /// A network interface is attached to the first server.
    ///
    /// # Errors
    /// If the loopback interface cannot be used.
    pub async fn with_network_interface() -> Result<Self> {
        let world =
            region().network_interface(INTERFACE, "subnet-a", "172.16.11.30").attach(INTERFACE, INSTANCES[0], 1);
        Self::start(world, vec![INTERFACE.to_owned()]).await
    }

    /// An Elastic IP address leads to the first server.
    ///
    /// # Errors
    /// If the loopback interface cannot be used.
    pub async fn with_elastic_ip() -> Result<Self> {
        let world = region().elastic_ip(ALLOCATION, "203.0.113.30").associate(ALLOCATION, "eni-ftp-1-primary");
        Self::start(world, vec![ALLOCATION.to_owned()]).await
    }

    /// A secondary private address is on the first server's own interface.
    ///
    /// # Errors
    /// If the loopback interface cannot be used.
    pub async fn with_private_ip() -> Result<Self> {
        let world = region().secondary_private_ip("eni-ftp-1-primary", PRIVATE_IP);
        Self::start(world, vec![PRIVATE_IP.to_owned()]).await
    }

    /// Two route tables lead an address outside the VPC to the first server; the second one is in another zone.
    ///
    /// # Errors
    /// If the loopback interface cannot be used.
    pub async fn with_routes() -> Result<Self> {
        let world = zone_a()
            .subnet("subnet-c", "ap-northeast-1c", "172.16.12.0/24", "vpc-1")
            .instance(INSTANCES[1], "subnet-c", "172.16.12.10")
            .source_dest_check("eni-ftp-1-primary", false)
            .source_dest_check("eni-ftp-2-primary", false);
        let destination = format!("{OVERLAY}/32");
        let world = TABLES.into_iter().fold(world, |world, table| {
            world.route_table(table, "vpc-1").route(table, &destination, "eni-ftp-1-primary")
        });
        Self::start(world, vec![OVERLAY.to_owned(), TABLES.join(",")]).await
    }

    async fn start(world: World, moved: Vec<String>) -> Result<Self> {
        let simulator = Simulator::start(world, Timings::default()).await?;
        let port = TcpSocket::new_v4()?;
        port.set_reuseaddr(true)?;
        port.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let floating = port.local_addr()?;
        let (mut services, mut hosts) = (BTreeMap::new(), BTreeMap::new());
        for instance in INSTANCES {
            let (service, own) = (Service::new(instance), listener(0)?);
            hosts.insert(instance, own.local_addr()?);
            service.serve(own)?;
            services.insert(instance, service);
        }
        let servers = Arc::new(Servers { floating, _port: port, services, carrier: Mutex::default() });
        servers.lead_to(Some(INSTANCES[0]));
        simulator.data_plane(servers.clone());
        Ok(Self { simulator, servers, moved, hosts })
    }

    /// What reaches this Region.
    pub fn aws(&self) -> AwsSettings {
        let nobody = Credentials::new("rehearsal", "rehearsal", None, None, "rehearsal");
        AwsSettings::new().region(REGION).endpoint_url(self.simulator.endpoint_url()).credentials_provider(nobody)
    }

    /// What would be written on the command line if this Region were real.
    pub fn arguments(&self) -> Vec<String> {
        let nodes = self.hosts.iter().map(|(instance, host)| format!("{instance}={host}"));
        self.moved.iter().cloned().chain([self.servers.floating.to_string()]).chain(nodes).collect()
    }

    /// Runs a monitor of this Region, kills the service of the server that holds the address, watches it move, and asks as a
    /// client who serves now.
    ///
    /// # Errors
    /// If that is not the other server, or the move was not verified.
    pub async fn fail_over(&self, orchestrator: Orchestrator) -> Result<()> {
        let mut narrator = Narrator::of(&orchestrator);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(orchestrator.run(async { stopped.await.unwrap_or(()) }));

        let holder = narrator.tell_until_all_is_well().await?;
        narrator.say(&format!("the service on {holder} dies"));
        self.kill(&holder)?;
        let receipt = narrator.tell_until_moved().await?;
        let server = self.serving().await?;
        narrator.say(&format!("a client of the same address is served by {server}"));

        drop(stop);
        running.await?;
        ensure!(receipt.to != holder && server == receipt.to.as_str(), "the address should be on {}", receipt.to);
        ensure!(receipt.verification == Verification::Verified, "the move was not verified");
        Ok(())
    }

    /// Kills the service of a server. The server itself lives on.
    fn kill(&self, node: &NodeId) -> Result<()> {
        self.servers.services.get(node.as_str()).context("no such server")?.kill();
        Ok(())
    }

    /// Which server serves a client that connects to the floating address.
    async fn serving(&self) -> Result<String> {
        greeting(&self.servers.floating.to_string()).await
    }
}

impl Servers {
    /// The floating address is a second address of its carrier, as in EC2. Several tables may lead it there one by one.
    fn lead_to(&self, carrier: Option<&str>) {
        let mut before = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        if carrier.is_some() && before.as_deref() == carrier {
            return;
        }
        *before = carrier.map(str::to_owned);
        for service in self.services.values() {
            service.leave(self.floating);
        }
        if let Some(service) = carrier.and_then(|instance| self.services.get(instance)) {
            let taken = listener(self.floating.port()).and_then(|listener| service.serve(listener));
            taken.unwrap_or_else(|error| eprintln!("{} cannot be served: {error}", self.floating));
        }
    }
}

#[async_trait]
impl DataPlane for Servers {
    async fn follow(&self, change: &Change) {
        match change {
            Change::Attached { instance, .. } => self.lead_to(Some(instance)),
            Change::Associated { instance, .. }
            | Change::Assigned { instance, .. }
            | Change::Routed { instance, .. } => self.lead_to(instance.as_deref()),
            Change::Detached { .. }
            | Change::Disassociated { .. }
            | Change::Unassigned { .. }
            | Change::Unrouted { .. } => self.lead_to(None),
        }
    }
}

/// Both servers in one zone.
fn region() -> World {
    zone_a().instance(INSTANCES[1], "subnet-a", "172.16.11.20")
}

/// The first server in its zone.
fn zone_a() -> World {
    World::new(REGION).subnet("subnet-a", "ap-northeast-1a", "172.16.11.0/24", "vpc-1").instance(
        INSTANCES[0],
        "subnet-a",
        "172.16.11.10",
    )
}

fn listener(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}
