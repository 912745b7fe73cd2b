use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::address::ElasticIp;
use super::cloud::now;
use super::error::ApiError;
use super::instance::{Instance, InstanceState, InstanceType, StatusChecks};
use super::interface::{Attachment, AttachmentState, NetworkInterface};
use super::route_table::{RouteTable, parse_destination};
use super::world::{Subnet, World, id_body};

/// A mistake in the building of a [`World`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// Something refers to what has not been added before.
    #[error("{0} has not been added to the world")]
    Unknown(String),
    /// The id is in use.
    #[error("{0} is in the world twice")]
    Twice(String),
    /// The id lacks its EC2 prefix, or has a character other than letters, digits and hyphens after it.
    #[error("{0} is not an EC2 id of its kind")]
    Malformed(String),
    /// It is no IPv4 address, or outside its subnet.
    #[error("{0} is not an IPv4 address in {1}")]
    Address(String, String),
    /// The CIDR is not an IPv4 range.
    #[error("{0} is not an IPv4 range such as 172.16.11.0/24")]
    Range(String),
    /// The simulator does not know the limits of the instance type.
    #[error("the instance type {0} is not known")]
    InstanceType(String),
    /// EC2 would refuse it.
    #[error("EC2 would refuse it")]
    Refused(#[from] ApiError),
}

impl World {
    /// Adds a subnet: its id, Availability Zone, IPv4 range and VPC.
    #[must_use]
    pub fn subnet(self, id: &str, zone: &str, cidr: &str, vpc: &str) -> Self {
        self.build(|world| {
            well_formed(id, "subnet-")?;
            let range = cidr.parse::<Ipv4Net>().ok().filter(|range| range.trunc() == *range && range.prefix_len() > 0);
            range.ok_or_else(|| WorldError::Range(cidr.to_owned()))?;
            let subnet =
                Subnet { id: id.into(), zone: zone.into(), cidr: cidr.into(), ipv6_cidr: None, vpc: vpc.into() };
            put(&mut world.subnets, id, subnet)
        })
    }

    /// Gives a subnet an IPv6 range.
    #[must_use]
    pub fn subnet_ipv6(self, subnet: &str, cidr: &str) -> Self {
        self.build(|world| {
            cidr.parse::<Ipv6Net>().map_err(|_| WorldError::Range(cidr.to_owned()))?;
            get(&mut world.subnets, subnet)?.ipv6_cidr = Some(cidr.to_owned());
            Ok(())
        })
    }

    /// Adds a running `m5.large` whose primary interface, `eni-` and what follows `i-` in `id` and `-primary`, has this
    /// address at device index 0.
    #[must_use]
    pub fn instance(self, id: &str, subnet: &str, private_ip: &str) -> Self {
        self.build(|world| {
            let name = well_formed(id, "i-")?;
            let interface = NetworkInterface {
                attachment: Some(Attachment {
                    id: format!("eni-attach-{name}-primary"),
                    instance: id.to_owned(),
                    device_index: 0,
                    network_card_index: 0,
                    state: AttachmentState::Attached,
                    delete_on_termination: true,
                    due: None,
                    forcible: true,
                }),
                ..world.new_interface(&format!("eni-{name}-primary"), subnet, private_ip)?
            };
            let instance = Instance {
                id: id.to_owned(),
                subnet: subnet.to_owned(),
                instance_type: "m5.large".to_owned(),
                state: InstanceState::Running,
                tags: BTreeMap::new(),
                checks: StatusChecks::default(),
                events: Vec::new(),
                due: None,
            };
            put(&mut world.instances, id, instance)?;
            put(&mut world.interfaces, &interface.id.clone(), interface)
        })
    }

    /// Makes an instance one of another type. Known types: [`InstanceType::known`].
    #[must_use]
    pub fn instance_type(self, instance: &str, instance_type: &str) -> Self {
        self.build(|world| {
            let known = InstanceType::named(instance_type);
            let known = known.ok_or_else(|| WorldError::InstanceType(instance_type.to_owned()))?;
            get(&mut world.instances, instance)?.instance_type = known.name.to_owned();
            Ok(())
        })
    }

    /// Puts an instance into a state, without any of the changes that lead to it.
    #[must_use]
    pub fn instance_state(self, instance: &str, state: InstanceState) -> Self {
        self.build(|world| {
            get(&mut world.instances, instance)?.state = state;
            Ok(())
        })
    }

    /// Adds a network interface that is attached to nothing.
    #[must_use]
    pub fn network_interface(self, id: &str, subnet: &str, private_ip: &str) -> Self {
        self.build(|world| {
            let interface = world.new_interface(id, subnet, private_ip)?;
            put(&mut world.interfaces, id, interface)
        })
    }

    /// Adds a secondary private address to a network interface.
    #[must_use]
    pub fn secondary_private_ip(self, network_interface: &str, private_ip: &str) -> Self {
        self.build(|world| {
            let subnet = get(&mut world.interfaces, network_interface)?.subnet.clone();
            let private_ip = world.free_ip(&subnet, private_ip)?;
            get(&mut world.interfaces, network_interface)?.private_ips.push(private_ip);
            Ok(())
        })
    }

    /// Adds an IPv6 address to a network interface, whose subnet has an IPv6 range.
    #[must_use]
    pub fn ipv6_address(self, network_interface: &str, ip: &str) -> Self {
        self.build(|world| {
            let outside = || WorldError::Address(ip.to_owned(), "the IPv6 range of the subnet".to_owned());
            let parsed = ip.parse::<Ipv6Addr>().map_err(|_| outside())?;
            world.assign(network_interface, &[IpAddr::V6(parsed)], false, now()).map_err(WorldError::Refused)
        })
    }

    /// Switches the check of source and destination of a network interface on or off. It is on from the start.
    #[must_use]
    pub fn source_dest_check(self, network_interface: &str, check: bool) -> Self {
        self.build(|world| {
            get(&mut world.interfaces, network_interface)?.source_dest_check = check;
            Ok(())
        })
    }

    /// Adds a route table without routes but the local ones of its VPC.
    #[must_use]
    pub fn route_table(self, id: &str, vpc: &str) -> Self {
        self.build(|world| {
            well_formed(id, "rtb-")?;
            let table = RouteTable {
                id: id.to_owned(),
                vpc: vpc.to_owned(),
                routes: BTreeMap::new(),
                subnets: BTreeSet::new(),
                tags: BTreeMap::new(),
            };
            put(&mut world.route_tables, id, table)
        })
    }

    /// Has a subnet use a route table.
    #[must_use]
    pub fn route_table_of(self, table: &str, subnet: &str) -> Self {
        self.build(|world| {
            get(&mut world.subnets, subnet)?;
            get(&mut world.route_tables, table)?.subnets.insert(subnet.to_owned());
            Ok(())
        })
    }

    /// Adds a route that leads to a network interface; its destination is a range such as `10.99.0.1/32`.
    #[must_use]
    pub fn route(self, table: &str, destination: &str, network_interface: &str) -> Self {
        self.build(|world| {
            let destination = parse_destination(destination)?;
            world.create_route(table, destination, network_interface, now()).map_err(WorldError::Refused)
        })
    }

    /// Makes a network interface one of another type than `interface`, such as `trunk`.
    #[must_use]
    pub fn interface_type(self, network_interface: &str, interface_type: &str) -> Self {
        self.build(|world| {
            get(&mut world.interfaces, network_interface)?.interface_type = interface_type.to_owned();
            Ok(())
        })
    }

    /// Makes a network interface one that another AWS service manages.
    #[must_use]
    pub fn requester_managed(self, network_interface: &str) -> Self {
        self.build(|world| {
            get(&mut world.interfaces, network_interface)?.requester_managed = true;
            Ok(())
        })
    }

    /// Attaches a network interface to an instance; it is attached from the start.
    #[must_use]
    pub fn attach(self, network_interface: &str, instance: &str, device_index: u32) -> Self {
        self.build(|world| {
            let now = now();
            world.begin_attach(network_interface, instance, device_index, 0, now)?;
            world.settle(now);
            Ok(())
        })
    }

    /// Adds an Elastic IP address that leads nowhere.
    #[must_use]
    pub fn elastic_ip(self, allocation: &str, public_ip: &str) -> Self {
        self.build(|world| {
            well_formed(allocation, "eipalloc-")?;
            let public_ip = public_ip
                .parse::<Ipv4Addr>()
                .map_err(|_| WorldError::Address(public_ip.to_owned(), "the internet".to_owned()))?;
            if world.addresses.values().any(|address| address.public_ip == public_ip) {
                return Err(WorldError::Twice(public_ip.to_string()));
            }
            let address = ElasticIp {
                allocation: allocation.to_owned(),
                public_ip,
                association: None,
                service_managed: None,
                border_group: world.region.clone(),
                tags: BTreeMap::new(),
            };
            put(&mut world.addresses, allocation, address)
        })
    }

    /// Makes an Elastic IP address one of a network border group, such as `us-east-1-bos-1`.
    #[must_use]
    pub fn border_group(self, allocation: &str, group: &str) -> Self {
        self.build(|world| {
            get(&mut world.addresses, allocation)?.border_group = group.to_owned();
            Ok(())
        })
    }

    /// Gives the primary private address of a network interface an automatic public one, as at a launch.
    #[must_use]
    pub fn automatic_public_ip(self, network_interface: &str, public_ip: &str) -> Self {
        self.build(|world| {
            let ip =
                public_ip.parse().map_err(|_| WorldError::Address(public_ip.to_owned(), "the internet".to_owned()))?;
            get(&mut world.interfaces, network_interface)?.automatic_public_ip = Some(ip);
            Ok(())
        })
    }

    /// Makes an Elastic IP address one that this AWS service manages, such as `nlb`.
    #[must_use]
    pub fn service_managed(self, allocation: &str, service: &str) -> Self {
        self.build(|world| {
            get(&mut world.addresses, allocation)?.service_managed = Some(service.to_owned());
            Ok(())
        })
    }

    /// Associates an Elastic IP address with the primary private address of a network interface.
    #[must_use]
    pub fn associate(self, allocation: &str, network_interface: &str) -> Self {
        self.build(|world| {
            let private_ip = get(&mut world.interfaces, network_interface)?.primary_ip();
            world.begin_associate(allocation, network_interface, private_ip, false, now())?;
            Ok(())
        })
    }

    /// Tags a network interface, an instance, a route table or an Elastic IP address.
    #[must_use]
    pub fn tag(self, resource: &str, key: &str, value: &str) -> Self {
        self.build(|world| {
            let tags = match resource.split('-').next() {
                Some("eni") => &mut get(&mut world.interfaces, resource)?.tags,
                Some("i") => &mut get(&mut world.instances, resource)?.tags,
                Some("rtb") => &mut get(&mut world.route_tables, resource)?.tags,
                _ => &mut get(&mut world.addresses, resource)?.tags,
            };
            tags.insert(key.to_owned(), value.to_owned());
            Ok(())
        })
    }

    /// Whether attachments that are made from here on start with DeleteOnTermination on. Default: off, as those that
    /// AttachNetworkInterface makes; those made otherwise (launch, templates) often have it on.
    #[must_use]
    pub fn delete_on_termination(mut self, delete_on_termination: bool) -> Self {
        self.delete_on_termination = delete_on_termination;
        self
    }

    fn build(mut self, step: impl FnOnce(&mut Self) -> Result<(), WorldError>) -> Self {
        if self.mistake.is_none() {
            self.mistake = step(&mut self).err();
        }
        self
    }

    fn new_interface(&self, id: &str, subnet: &str, private_ip: &str) -> Result<NetworkInterface, WorldError> {
        well_formed(id, "eni-")?;
        Ok(NetworkInterface {
            id: id.to_owned(),
            subnet: subnet.to_owned(),
            private_ips: vec![self.free_ip(subnet, private_ip)?],
            ipv6_addresses: Vec::new(),
            attachment: None,
            source_dest_check: true,
            requester_managed: false,
            interface_type: "interface".to_owned(),
            automatic_public_ip: None,
            tags: BTreeMap::new(),
        })
    }

    fn free_ip(&self, subnet: &str, private_ip: &str) -> Result<Ipv4Addr, WorldError> {
        let subnet = self.subnets.get(subnet).ok_or_else(|| WorldError::Unknown(subnet.to_owned()))?;
        let outside = || WorldError::Address(private_ip.to_owned(), subnet.cidr.clone());
        let ip = private_ip.parse::<Ipv4Addr>().map_err(|_| outside())?;
        if !subnet.contains(ip.into()) {
            return Err(outside());
        }
        let taken = |interface: &NetworkInterface| {
            self.subnets.get(&interface.subnet).is_some_and(|other| other.vpc == subnet.vpc)
                && interface.private_ips.contains(&ip)
        };
        match self.interfaces.values().any(taken) {
            true => Err(WorldError::Twice(private_ip.to_owned())),
            false => Ok(ip),
        }
    }
}

fn well_formed<'a>(id: &'a str, prefix: &str) -> Result<&'a str, WorldError> {
    id_body(id, prefix).ok_or_else(|| WorldError::Malformed(id.to_owned()))
}

fn put<T>(map: &mut BTreeMap<String, T>, id: &str, value: T) -> Result<(), WorldError> {
    match map.insert(id.to_owned(), value) {
        Some(_) => Err(WorldError::Twice(id.to_owned())),
        None => Ok(()),
    }
}

fn get<'a, T>(map: &'a mut BTreeMap<String, T>, id: &str) -> Result<&'a mut T, WorldError> {
    map.get_mut(id).ok_or_else(|| WorldError::Unknown(id.to_owned()))
}
