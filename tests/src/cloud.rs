//! The EC2 simulator as a part of a test: inside a namespace if need be, followed by whatever moves real traffic.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use floatip_aws::simulator::{DataPlane, Simulator, Timings, World};
use tokio::sync::oneshot;

use crate::netns::{self, Namespace};
use crate::process::until;

/// The Region of [`world`].
pub const REGION: &str = "eu-test-1";
/// The instance of the node `ftp1`.
pub const INSTANCE1: &str = "i-0a1b2c3d4e5f60011";
/// The instance of the node `ftp2`.
pub const INSTANCE2: &str = "i-0a1b2c3d4e5f60012";
/// The network interface with the floating address.
pub const INTERFACE: &str = "eni-0a1b2c3d4e5f60030";
/// The Elastic IP address.
pub const ALLOCATION: &str = "eipalloc-0a1b2c3d4e5f60040";

/// The nodes' names, and the instances that they are.
pub const NODES: [(&str, &str); 2] = [("ftp1", INSTANCE1), ("ftp2", INSTANCE2)];

/// Two instances in one subnet. The floating interface and the Elastic IP address are both with the first.
pub fn world() -> World {
    World::new(REGION)
        .subnet("subnet-0a1b2c3d4e5f60001", "eu-test-1a", "172.16.11.0/24", "vpc-0a1b2c3d4e5f60001")
        .instance(INSTANCE1, "subnet-0a1b2c3d4e5f60001", "172.16.11.10")
        .instance(INSTANCE2, "subnet-0a1b2c3d4e5f60001", "172.16.11.20")
        .network_interface(INTERFACE, "subnet-0a1b2c3d4e5f60001", "172.16.11.30")
        .attach(INTERFACE, INSTANCE1, 1)
        .elastic_ip(ALLOCATION, "203.0.113.30")
        .associate(ALLOCATION, "eni-0a1b2c3d4e5f60011-primary")
}

/// The node whose instance this is.
pub fn node_of(instance: &str) -> Option<&'static str> {
    NODES.iter().find(|(_, own)| *own == instance).map(|(node, _)| *node)
}

/// A running simulator on a thread of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Cloud {
    simulator: Arc<Simulator>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cloud {
    /// Starts it on loopback, in a namespace's or in this process's own network.
    ///
    /// # Errors
    /// If the namespace cannot be entered, or the simulator cannot start.
    pub fn start(
        place: Option<&Namespace>,
        world: World,
        timings: Timings,
        plane: Option<Arc<dyn DataPlane>>,
    ) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (started, is_started) = std::sync::mpsc::channel();
        let namespace = place.map(|place| place.name().to_owned());
        let thread = thread::spawn(move || {
            let runtime = namespace.map_or(Ok(()), |name| netns::enter(&name)).and_then(|()| {
                // Built after the thread has entered, its workers are in the namespace too.
                Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
            });
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return started.send(Err(error)).unwrap_or(()),
            };
            runtime.block_on(async {
                let start = Simulator::start(world, timings).await.context("the simulator");
                let began = start.map(|simulator| {
                    if let Some(plane) = plane {
                        simulator.data_plane(plane);
                    }
                    Arc::new(simulator)
                });
                if started.send(began).is_ok() {
                    stopped.await.unwrap_or(());
                }
            });
        });
        let simulator = is_started.recv().context("the simulator's thread ended")??;
        Ok(Self { simulator, stop: Some(stop), thread: Some(thread) })
    }

    /// The simulator.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// What a client needs as its endpoint URL.
    pub fn endpoint_url(&self) -> String {
        self.simulator.endpoint_url()
    }

    /// The node that truly carries the floating interface.
    pub fn carrier(&self) -> Option<&'static str> {
        self.simulator.world().find_interface(INTERFACE).and_then(|interface| node_of(interface.carrier()?))
    }

    /// The node to which the Elastic IP address truly leads.
    pub fn address_carrier(&self) -> Option<&'static str> {
        self.simulator.world().carrier_of_address(ALLOCATION).and_then(node_of)
    }

    /// Waits until the world is as wanted.
    ///
    /// # Errors
    /// If it is not within `patience`.
    pub fn await_world(&self, patience: Duration, mut wanted: impl FnMut(&World) -> bool) -> Result<()> {
        until(patience, || Ok(wanted(&self.simulator.world()))).context("the world is not as wanted")
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the simulator's thread panicked");
        }
    }
}
