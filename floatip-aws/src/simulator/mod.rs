//! An EC2 API on loopback, with EC2's rules and faults on demand, for tests and demonstrations without AWS.
//!
//! It speaks the EC2 Query protocol over plain HTTP, so that a real client needs nothing but its endpoint URL and any
//! credentials, in this process or another one:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use floatip_aws::simulator::{Action, Fault, Simulator, Timings, When, World};
//!
//! let world = World::new("ap-northeast-1")
//!     .subnet("subnet-a", "ap-northeast-1a", "172.16.11.0/24", "vpc-1")
//!     .instance("i-1", "subnet-a", "172.16.11.10")
//!     .instance("i-2", "subnet-a", "172.16.11.20")
//!     .network_interface("eni-float", "subnet-a", "172.16.11.30")
//!     .attach("eni-float", "i-1", 1);
//! let simulator = Simulator::start(world, Timings::default()).await?;
//! simulator.faults().set(Action::DetachNetworkInterface, Fault::ReplyLost, When::Next(1));
//! println!("endpoint_url = {:?}", simulator.endpoint_url());
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//! - It has one Region and one account, a VPC has just the ranges of its subnets, and it knows only the actions of [`Action`] and the instance types of
//!   [`InstanceType::known`].
//! - It looks at the shape of the signature, not at the signature: any credentials do.
//! - Ids need EC2's prefixes, not EC2's hexadecimal digits.
//! - Its token buckets are off until [`Faults::token_buckets`] is called.
//! - A zone that is named as the Region with one letter is in the Region's network border group, any other in that of its
//!   own name without the letter. An automatic public address that was lost does not come back.
//! - A black hole still accepts connections.
//! - How long changes take is set, not measured ([`Timings`]), and always the same.
//! - Where AWS documents no answer, it guesses: a graceful detach of what is attaching or detaching, and an attach to an
//!   instance that neither runs nor is stopped, get IncorrectState; an interface is `in-use`, not `attaching` or
//!   `detaching`, while its attachment is; the messages are its own where AWS shows none.
//!
//! # Source
//! Amazon EC2 API Reference ("Making requests to the Amazon EC2 API", "Query requests", "Error codes for the Amazon EC2
//! API", and the page of each action) and Amazon EC2 User Guide ("Elastic network interfaces", "Elastic IP addresses").

mod action;
mod address;
mod building;
mod clock;
mod cloud;
mod connection;
mod console;
mod data_plane;
mod describe_addresses;
mod describe_instance_types;
mod describe_instances;
mod describe_interfaces;
mod describe_route_tables;
mod describe_subnets;
mod error;
mod fault;
mod instance;
mod interface;
mod journal;
mod parameters;
mod private_ip;
mod reply;
mod requests;
mod route_table;
mod selection;
mod server;
mod timings;
mod token_bucket;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use action::Action;
pub use address::{Association, ElasticIp};
pub use building::WorldError;
pub use console::Console;
pub use data_plane::{Change, DataPlane};
pub use error::ApiError;
pub use fault::{Fault, Faults, Scope, When};
pub use instance::{CheckStatus, Instance, InstanceState, InstanceType, ScheduledEvent, StatusChecks};
pub use interface::{Attachment, AttachmentState, NetworkInterface};
pub use journal::{Entry, Journal, Outcome};
pub use route_table::{Route, RouteTable};
pub use timings::Timings;
pub use world::{Subnet, World};

use cloud::Cloud;
use connection::Connections;

/// The account that owns everything.
const ACCOUNT: &str = "123456789012";

/// A running EC2 API. Dropping it ends the server and cuts its connections.
#[derive(Debug)]
pub struct Simulator {
    cloud: Arc<Cloud>,
    address: SocketAddr,
    connections: Connections,
    tasks: Mutex<JoinSet<()>>,
}

/// The simulator could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The world was built with a mistake.
    #[error("the world cannot be")]
    World(#[from] WorldError),
    /// The port could not be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`StartError`] if the world has a mistake or nothing can be bound.
    pub async fn start(world: World, timings: Timings) -> Result<Self, StartError> {
        Self::start_on(0, world, timings).await
    }

    /// Starts on this port of 127.0.0.1; 0 is a free one.
    ///
    /// # Errors
    /// [`StartError`] if the world has a mistake or the port cannot be bound.
    pub async fn start_on(port: u16, mut world: World, timings: Timings) -> Result<Self, StartError> {
        if let Some(mistake) = world.mistake.take() {
            return Err(mistake.into());
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let cloud = Arc::new(Cloud::new(world, timings));
        let connections = Connections::default();
        let serving = server::serve(listener, Arc::clone(&cloud), connections.clone());
        let timers = Arc::clone(&cloud);
        let mut tasks = JoinSet::new();
        tasks.spawn(serving);
        tasks.spawn(async move { timers.run_timers().await });
        Ok(Self { cloud, address, connections, tasks: Mutex::new(tasks) })
    }

    /// What a client needs as its endpoint URL, such as `http://127.0.0.1:41233`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets and clears faults.
    pub fn faults(&self) -> Faults {
        Faults { cloud: Arc::clone(&self.cloud) }
    }

    /// Sets the API's wall clock ahead of this machine's, or behind it: the `Date` of its answers, and which signatures are
    /// too old or too young for it.
    pub fn clock_ahead(&self, seconds: i64) {
        self.cloud.wall.set_ahead(seconds);
    }

    /// Every request that arrived.
    pub fn journal(&self) -> &Journal {
        &self.cloud.journal
    }

    /// The world as it really is at this moment, whatever reads are made to show.
    pub fn world(&self) -> World {
        self.cloud.world()
    }

    /// Changes the world from outside.
    pub fn console(&self) -> Console {
        Console { cloud: Arc::clone(&self.cloud) }
    }

    /// Waits until the world satisfies `condition`, which is looked at now and after each change. The condition must not
    /// call the simulator.
    ///
    /// # Cancel safety
    /// Dropping it is harmless; bound it with a timeout.
    pub async fn wait_until(&self, condition: impl FnMut(&World) -> bool) {
        self.cloud.wait_until(condition).await;
    }

    /// Every change that took effect since the start, with its time: the history of the data plane. It grows without
    /// bound.
    pub fn changes(&self) -> Vec<(Instant, Change)> {
        self.cloud.told()
    }

    /// Lets a data plane follow every change from now on. It must set up for itself what [`world`](Self::world) shows
    /// before.
    pub fn data_plane(&self, plane: Arc<dyn DataPlane>) {
        let cloud = Arc::clone(&self.cloud);
        let next = cloud.told().len();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async move { cloud.run_data_plane(plane, next).await });
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.connections.cut_all();
    }
}
