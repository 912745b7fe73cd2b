use std::net::Ipv4Addr;

use super::action::Action;
use super::cloud::Cloud;
use super::error::ApiError;
use super::fault::{Fault, Strike};
use super::interface::Course;
use super::parameters::Parameters;
use super::reply::Reply;
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
            Action::AttachNetworkInterface => self.attach_network_interface(parameters, strike),
            Action::DetachNetworkInterface => self.detach_network_interface(parameters, strike),
            Action::ModifyNetworkInterfaceAttribute => self.modify_network_interface_attribute(parameters),
            Action::AssociateAddress => self.associate_address(parameters),
            Action::DisassociateAddress => self.disassociate_address(parameters),
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
}
