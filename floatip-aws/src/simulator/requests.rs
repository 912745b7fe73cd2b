use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

use super::action::Action;
use super::cloud::Cloud;
use super::error::ApiError;
use super::fault::{Fault, Strike};
use super::interface::Course;
use super::parameters::Parameters;
use super::reply::{Items, Reply};
use super::world::World;

impl Cloud {
    /// Applies a request to the world, or answers it from the world that reads are made to show.
    pub(super) fn perform(&self, action: Action, parameters: &Parameters, strike: &Strike) -> Result<Reply, ApiError> {
        let describe = |read: fn(&World, &Parameters) -> Result<Reply, ApiError>| {
            let old = strike.frozen.clone().or_else(|| strike.stale_by.map(|age| self.past(age)));
            parameters.end_dry_run()?;
            match old {
                Some(world) => read(&world, parameters),
                None => self.read(|world| read(world, parameters)),
            }
        };
        match action {
            Action::DescribeNetworkInterfaces => describe(World::describe_network_interfaces),
            Action::DescribeInstances => describe(World::describe_instances),
            Action::DescribeInstanceTypes => describe(World::describe_instance_types),
            Action::DescribeInstanceStatus => describe(World::describe_instance_status),
            Action::DescribeAddresses => describe(World::describe_addresses),
            Action::DescribeSubnets => describe(World::describe_subnets),
            Action::DescribeRouteTables => describe(World::describe_route_tables),
            Action::AttachNetworkInterface => self.attach_network_interface(parameters, strike),
            Action::DetachNetworkInterface => self.detach_network_interface(parameters, strike),
            Action::ModifyNetworkInterfaceAttribute => self.modify_network_interface_attribute(parameters),
            Action::AssociateAddress => self.associate_address(parameters),
            Action::DisassociateAddress => self.disassociate_address(parameters),
            Action::AssignPrivateIpAddresses => self.assign_private_ip_addresses(parameters),
            Action::UnassignPrivateIpAddresses => self.unassign(parameters, &addresses::<Ipv4Addr>(parameters)?),
            Action::AssignIpv6Addresses => self.assign_ipv6_addresses(parameters),
            Action::UnassignIpv6Addresses => self.unassign_ipv6_addresses(parameters),
            Action::CreateRoute => self.create_route(parameters),
            Action::ReplaceRoute => self.replace_route(parameters),
            Action::DeleteRoute => self.delete_route(parameters),
        }
    }

    fn attach_network_interface(&self, parameters: &Parameters, strike: &Strike) -> Result<Reply, ApiError> {
        let network_interface = parameters.required("NetworkInterfaceId")?;
        let instance = parameters.required("InstanceId")?;
        let device_index = parameters.required_parsed("DeviceIndex")?;
        let card = parameters.parsed("NetworkCardIndex")?.unwrap_or(0);
        let attachment = self.apply(|world, now| {
            world.check_attach(network_interface, instance, device_index, card)?;
            parameters.end_dry_run()?;
            let attachment = world.begin_attach(network_interface, instance, device_index, card, now)?;
            if strike.has(Fault::StuckAttach) {
                world.hold_attachment(network_interface);
            }
            Ok(attachment)
        })?;
        Reply::default().with("attachmentId", &attachment)?.with("networkCardIndex", &card)
    }

    fn detach_network_interface(&self, parameters: &Parameters, strike: &Strike) -> Result<Reply, ApiError> {
        let attachment = parameters.required("AttachmentId")?;
        let force = parameters.flag("Force")?;
        let course = if strike.has(Fault::StuckForcedDetach) {
            Course::StuckEvenIfForced
        } else if strike.has(Fault::StuckDetach) {
            Course::Stuck
        } else {
            Course::Normal
        };
        self.apply(|world, now| {
            world.check_detach(attachment, force)?;
            parameters.end_dry_run()?;
            world.begin_detach(attachment, force, course, now)
        })?;
        Reply::done()
    }

    fn modify_network_interface_attribute(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let network_interface = parameters.required("NetworkInterfaceId")?;
        let source_dest_check = parameters.parsed("SourceDestCheck.Value")?;
        let delete_on_termination = parameters.parsed("Attachment.DeleteOnTermination")?;
        if source_dest_check.is_some() == delete_on_termination.is_some() {
            return Err(ApiError::refused(
                "InvalidParameterCombination",
                "The request must contain exactly one of SourceDestCheck and Attachment.DeleteOnTermination",
            ));
        }
        self.apply(|world, _| {
            world.interface(network_interface)?;
            if let Some(delete) = delete_on_termination {
                let attachment = parameters.required("Attachment.AttachmentId")?;
                world.attachment_of(network_interface, attachment)?;
                parameters.end_dry_run()?;
                world.set_delete_on_termination(network_interface, attachment, delete)?;
            }
            parameters.end_dry_run()?;
            if let Some(check) = source_dest_check {
                world.set_source_dest_check(network_interface, check);
            }
            Ok(())
        })?;
        Reply::done()
    }

    fn associate_address(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let allocation = parameters.required("AllocationId")?;
        let allow = parameters.parsed("AllowReassociation")?.unwrap_or(true);
        let private_ip = parameters.parsed::<Ipv4Addr>("PrivateIpAddress")?;
        let association = self.apply(|world, now| {
            let network_interface = match parameters.get("NetworkInterfaceId") {
                Some(network_interface) => network_interface.to_owned(),
                None => world.only_interface_of(parameters.required("InstanceId")?)?,
            };
            let private_ip = private_ip.map_or_else(|| Ok(world.interface(&network_interface)?.primary_ip()), Ok)?;
            world.check_associate(allocation, &network_interface, private_ip, allow)?;
            parameters.end_dry_run()?;
            world.begin_associate(allocation, &network_interface, private_ip, allow, now)
        })?;
        Reply::done()?.with("associationId", &association)
    }

    fn disassociate_address(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let association = parameters.required("AssociationId")?;
        self.apply(|world, now| {
            world.check_disassociate(association)?;
            parameters.end_dry_run()?;
            world.begin_disassociate(association, now)
        })?;
        Reply::done()
    }

    fn assign_private_ip_addresses(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let ips = addresses::<Ipv4Addr>(parameters)?;
        let network_interface = self.assign(parameters, &ips)?;
        let assigned = ips.iter().map(|ip| AssignedXml { private_ip_address: ip.to_string() }).collect::<Items<_>>();
        let reply = Reply::done()?.with("networkInterfaceId", network_interface)?;
        reply.with("assignedPrivateIpAddressesSet", &assigned)
    }

    fn assign_ipv6_addresses(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let ips = addresses::<Ipv6Addr>(parameters)?;
        let network_interface = self.assign(parameters, &ips)?;
        let assigned = ips.iter().map(IpAddr::to_string).collect::<Items<_>>();
        Reply::default().with("networkInterfaceId", network_interface)?.with("assignedIpv6Addresses", &assigned)
    }

    fn unassign_ipv6_addresses(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let ips = addresses::<Ipv6Addr>(parameters)?;
        self.unassign(parameters, &ips)?;
        let unassigned = ips.iter().map(IpAddr::to_string).collect::<Items<_>>();
        let reply = Reply::default().with("networkInterfaceId", parameters.required("NetworkInterfaceId")?)?;
        reply.with("unassignedIpv6Addresses", &unassigned)
    }

    fn assign<'a>(&self, parameters: &'a Parameters, ips: &[IpAddr]) -> Result<&'a str, ApiError> {
        let network_interface = parameters.required("NetworkInterfaceId")?;
        let allow = parameters.flag("AllowReassignment")?;
        self.apply(|world, now| {
            world.check_assign(network_interface, ips, allow)?;
            world.assign(network_interface, ips, allow, now)
        })?;
        Ok(network_interface)
    }

    fn unassign(&self, parameters: &Parameters, ips: &[IpAddr]) -> Result<Reply, ApiError> {
        let network_interface = parameters.required("NetworkInterfaceId")?;
        self.apply(|world, now| world.unassign(network_interface, ips, now))?;
        Reply::done()
    }

    fn create_route(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let (table, destination) = (parameters.required("RouteTableId")?, destination(parameters)?);
        let network_interface = parameters.required("NetworkInterfaceId")?;
        self.apply(|world, now| {
            permit(world, Action::CreateRoute, table)?;
            world.check_create_route(table, destination, network_interface)?;
            parameters.end_dry_run()?;
            world.create_route(table, destination, network_interface, now)
        })?;
        Reply::done()
    }

    fn replace_route(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let (table, destination) = (parameters.required("RouteTableId")?, destination(parameters)?);
        let network_interface = parameters.required("NetworkInterfaceId")?;
        self.apply(|world, now| {
            permit(world, Action::ReplaceRoute, table)?;
            world.check_replace_route(table, destination, network_interface)?;
            parameters.end_dry_run()?;
            world.replace_route(table, destination, network_interface, now)
        })?;
        Reply::done()
    }

    fn delete_route(&self, parameters: &Parameters) -> Result<Reply, ApiError> {
        let (table, destination) = (parameters.required("RouteTableId")?, destination(parameters)?);
        self.apply(|world, now| {
            permit(world, Action::DeleteRoute, table)?;
            world.check_delete_route(table, destination)?;
            parameters.end_dry_run()?;
            world.delete_route(table, destination, now)
        })?;
        Reply::done()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssignedXml {
    private_ip_address: String,
}

/// What differs between the calls for IPv4 and those for IPv6.
trait Family: FromStr + Into<IpAddr> {
    const PARAMETER: &str;
}

impl Family for Ipv4Addr {
    const PARAMETER: &str = "PrivateIpAddress";
}

impl Family for Ipv6Addr {
    const PARAMETER: &str = "Ipv6Addresses";
}

/// The addresses that a request names, which it must.
fn addresses<F: Family>(parameters: &Parameters) -> Result<Vec<IpAddr>, ApiError> {
    let names = (1..=parameters.list(F::PARAMETER).len()).map(|n| format!("{}.{n}", F::PARAMETER));
    let parsed: Result<Vec<IpAddr>, _> =
        names.map(|name| parameters.required_parsed::<F>(&name).map(Into::into)).collect();
    match parsed {
        Ok(none) if none.is_empty() => Err(ApiError::missing(F::PARAMETER)),
        parsed => parsed,
    }
}

fn permit(world: &World, action: Action, table: &str) -> Result<(), ApiError> {
    if world.denied_tables.contains(table) { Err(ApiError::unauthorized(action)) } else { Ok(()) }
}

/// The destination of a route, of either family.
fn destination(parameters: &Parameters) -> Result<IpNet, ApiError> {
    let v4 = parameters.parsed::<Ipv4Net>("DestinationCidrBlock")?.map(IpNet::V4);
    let v6 = parameters.parsed::<Ipv6Net>("DestinationIpv6CidrBlock")?.map(IpNet::V6);
    v4.or(v6).ok_or_else(|| ApiError::missing("DestinationCidrBlock"))
}
