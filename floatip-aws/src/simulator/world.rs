use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use tokio::time::Instant;

use super::address::ElasticIp;
use super::building::WorldError;
use super::data_plane::Change;
use super::instance::Instance;
use super::interface::NetworkInterface;
use super::route_table::RouteTable;
use super::timings::Timings;

/// A Region: its subnets, instances, network interfaces, Elastic IP addresses and route tables.
///
/// Built by chained calls and given to [`Simulator::start`](super::Simulator::start), which reports the first mistake
/// in it; read back, as it really is at that moment, by [`Simulator::world`](super::Simulator::world).
///
/// Ids carry EC2's prefixes (`eni-`, `i-`, `eipalloc-`); what follows may be any letters, digits and hyphens.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) region: String,
    pub(super) subnets: BTreeMap<String, Subnet>,
    pub(super) instances: BTreeMap<String, Instance>,
    pub(super) interfaces: BTreeMap<String, NetworkInterface>,
    pub(super) addresses: BTreeMap<String, ElasticIp>,
    pub(super) route_tables: BTreeMap<String, RouteTable>,
    pub(super) timings: Timings,
    /// Changes that the data plane has not been told of, and when it is to be.
    pub(super) outbox: Vec<(Instant, Change)>,
    /// Zones whose instances cannot be described.
    pub(super) dark_zones: BTreeSet<String>,
    /// Route tables whose routes may not be changed.
    pub(super) denied_tables: BTreeSet<String>,
    pub(super) delete_on_termination: bool,
    pub(super) last_id: u64,
    pub(super) mistake: Option<WorldError>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its Availability Zone.
    pub zone: String,
    /// Its IPv4 range.
    pub cidr: String,
    /// Its IPv6 range. Default: none.
    pub ipv6_cidr: Option<String>,
    /// The VPC that it is in.
    pub vpc: String,
}

impl Subnet {
    /// Whether an address lies in one of its ranges.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.ranges().any(|range| range.contains(&ip))
    }

    /// Its IPv4 range, and its IPv6 range if it has one.
    pub(super) fn ranges(&self) -> impl Iterator<Item = IpNet> {
        [Some(&self.cidr), self.ipv6_cidr.as_ref()].into_iter().flatten().filter_map(|cidr| cidr.parse().ok())
    }
}

impl World {
    /// An empty Region, such as `ap-northeast-1`.
    pub fn new(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            subnets: BTreeMap::new(),
            instances: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            addresses: BTreeMap::new(),
            route_tables: BTreeMap::new(),
            timings: Timings::instant(),
            outbox: Vec::new(),
            dark_zones: BTreeSet::new(),
            denied_tables: BTreeSet::new(),
            delete_on_termination: false,
            last_id: 0,
            mistake: None,
        }
    }

    /// The Region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A network interface.
    pub fn find_interface(&self, id: &str) -> Option<&NetworkInterface> {
        self.interfaces.get(id)
    }

    /// An instance.
    pub fn find_instance(&self, id: &str) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// An Elastic IP address.
    pub fn find_address(&self, allocation: &str) -> Option<&ElasticIp> {
        self.addresses.get(allocation)
    }

    /// A route table.
    pub fn find_route_table(&self, id: &str) -> Option<&RouteTable> {
        self.route_tables.get(id)
    }

    /// The instance that traffic to a private or IPv6 address of an interface reaches, or still reaches.
    pub fn carrier_of(&self, ip: IpAddr) -> Option<&str> {
        self.interfaces.values().find(|interface| interface.has(ip))?.carrier()
    }

    /// The instance that an Elastic IP address leads to, by the API; traffic follows later, as
    /// [`Timings::address_propagation`] says.
    pub fn carrier_of_address(&self, allocation: &str) -> Option<&str> {
        let association = self.addresses.get(allocation)?.association.as_ref()?;
        self.interfaces.get(&association.network_interface)?.carrier()
    }

    pub(super) fn next_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}{:017x}", self.last_id)
    }

    /// Ends every change whose time has come, in the order of these times.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some((due, waiting)) = self.next_waiting().filter(|(due, _)| *due <= now) {
            match waiting {
                Waiting::Attachment(network_interface) => self.finish_attachment(&network_interface, due),
                Waiting::Instance(instance) => self.finish_instance(&instance, due),
            }
        }
    }

    /// Takes the changes that the data plane is to be told of by now, in order.
    pub(super) fn take_changes(&mut self, now: Instant) -> Vec<Change> {
        self.outbox.sort_by_key(|(due, _)| *due);
        let count = self.outbox.partition_point(|(due, _)| *due <= now);
        self.outbox.drain(..count).map(|(_, change)| change).collect()
    }

    /// When the next change takes effect or is to be told.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let told = self.outbox.iter().map(|(due, _)| *due);
        told.chain(self.next_waiting().map(|(due, _)| due)).min()
    }

    fn next_waiting(&self) -> Option<(Instant, Waiting)> {
        let attachments = self.interfaces.values().filter_map(|interface| {
            Some((interface.attachment.as_ref()?.due?, Waiting::Attachment(interface.id.clone())))
        });
        let instances = self.instances.values();
        let instances = instances.filter_map(|instance| Some((instance.due?, Waiting::Instance(instance.id.clone()))));
        attachments.chain(instances).min_by_key(|(due, _)| *due)
    }
}

/// What a change is waited for.
enum Waiting {
    Attachment(String),
    Instance(String),
}

/// What follows the prefix of a well-formed id.
pub(super) fn id_body<'a>(id: &'a str, prefix: &str) -> Option<&'a str> {
    let body = id.strip_prefix(prefix)?;
    (!body.is_empty() && body.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')).then_some(body)
}
