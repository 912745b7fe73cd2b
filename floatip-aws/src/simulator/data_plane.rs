use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;

/// A change that traffic follows, at the moment when it really takes effect.
///
/// - `Attached` when the attachment becomes `attached`; `Detached` when the attachment is gone, at the *end* of
///   `detaching`. EC2 unplugs the device somewhere before that; the simulator takes the latest moment, so that whoever
///   takes a detach for done too early finds the address on two holders.
/// - `Associated` and `Disassociated` after [`Timings::address_propagation`](super::Timings::address_propagation),
///   `Assigned` and `Unassigned` after [`Timings::private_ip_propagation`](super::Timings::private_ip_propagation),
///   `Routed` and `Unrouted` after [`Timings::route_propagation`](super::Timings::route_propagation).
///
/// An enum without `non_exhaustive` on purpose: a data plane that misses a kind of change is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A network interface is in an instance.
    Attached {
        /// Its id.
        network_interface: String,
        /// The instance.
        instance: String,
        /// The place in the instance: 1 is the guest's second interface.
        device_index: u32,
        /// Its private IPv4 addresses, the primary one first.
        private_ips: Vec<Ipv4Addr>,
        /// Its IPv6 addresses.
        ipv6_addresses: Vec<Ipv6Addr>,
    },
    /// A network interface is no longer in an instance.
    Detached {
        /// Its id.
        network_interface: String,
        /// The instance that it was in.
        instance: String,
        /// The place that it had in the instance.
        device_index: u32,
    },
    /// An Elastic IP address leads to a private address.
    Associated {
        /// The Elastic IP address.
        public_ip: Ipv4Addr,
        /// The network interface that it leads to.
        network_interface: String,
        /// The instance that this is in, if any.
        instance: Option<String>,
        /// The private address that it leads to.
        private_ip: Ipv4Addr,
    },
    /// An Elastic IP address no longer leads to a private address.
    Disassociated {
        /// The Elastic IP address.
        public_ip: Ipv4Addr,
        /// The network interface that it led to.
        network_interface: String,
        /// The private address that it led to.
        private_ip: Ipv4Addr,
    },
    /// A network interface has a private or IPv6 address more.
    Assigned {
        /// Its id.
        network_interface: String,
        /// The instance that it is in, if any.
        instance: Option<String>,
        /// The address.
        ip: IpAddr,
    },
    /// A network interface no longer has an address.
    Unassigned {
        /// Its id.
        network_interface: String,
        /// The instance that it is in, if any.
        instance: Option<String>,
        /// The address.
        ip: IpAddr,
    },
    /// A route of a route table leads to a network interface.
    Routed {
        /// The route table.
        table: String,
        /// The destination, such as `10.99.0.1/32`.
        destination: String,
        /// The network interface that it leads to.
        network_interface: String,
        /// The instance that this is in, if any.
        instance: Option<String>,
    },
    /// A route is no longer in a route table.
    Unrouted {
        /// The route table.
        table: String,
        /// The destination.
        destination: String,
    },
}

/// What moves real traffic when the simulated world changes: network namespaces, listeners on loopback, a log.
///
/// Register it with [`Simulator::data_plane`](super::Simulator::data_plane).
#[async_trait]
pub trait DataPlane: fmt::Debug + Send + Sync + 'static {
    /// Follows one change. Changes come one at a time, in the order in which they took effect; the next one waits until
    /// this returns. The API does not wait: it may show a change that the data plane is still making. After a panic it
    /// follows no more.
    async fn follow(&self, change: &Change);
}
