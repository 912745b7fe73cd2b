use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::cloud::Cloud;
use super::error::ApiError;
use super::instance::{InstanceState, ScheduledEvent, StatusChecks};
use super::interface::{AttachmentState, Course};
use super::route_table::parse_destination;

/// Changes the world from outside, as somebody else would by the AWS console: under EC2's rules and timings, past all
/// faults, and without a trace in the journal. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    pub(super) cloud: Arc<Cloud>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl Console {
    /// Begins to attach a network interface; gives back the attachment's id.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn attach(&self, network_interface: &str, instance: &str, device_index: u32) -> Result<String, ApiError> {
        self.cloud.apply(|world, now| world.begin_attach(network_interface, instance, device_index, 0, now))
    }

    /// Begins to detach a network interface from whatever it is attached to.
    ///
    /// # Errors
    /// What EC2 would answer; InvalidAttachmentID.NotFound if it is not attached.
    pub fn detach(&self, network_interface: &str, force: bool) -> Result<(), ApiError> {
        self.cloud.apply(|world, now| {
            let attachment = world.interface(network_interface)?.attachment.as_ref().map(|at| at.id.clone());
            let attachment = attachment.ok_or_else(|| {
                let message = format!("'{network_interface}' is not attached");
                ApiError::refused("InvalidAttachmentID.NotFound", message)
            })?;
            world.begin_detach(&attachment, force, Course::Normal, now)
        })
    }

    /// Ends at once what a network interface is on its way to, even if it is stuck.
    ///
    /// # Errors
    /// What EC2 answers for an unknown interface.
    pub fn complete(&self, network_interface: &str) -> Result<(), ApiError> {
        self.cloud.apply(|world, now| {
            world.interface(network_interface)?;
            world.finish_attachment(network_interface, now);
            Ok(())
        })
    }

    /// Sets DeleteOnTermination of the present attachment.
    ///
    /// # Errors
    /// What EC2 answers for an unknown interface, or one that is not attached.
    pub fn delete_on_termination(&self, network_interface: &str, delete: bool) -> Result<(), ApiError> {
        self.cloud.apply(|world, _| {
            let attachment = world.interface(network_interface)?.attachment.as_ref().map(|at| at.id.clone());
            world.set_delete_on_termination(network_interface, attachment.as_deref().unwrap_or_default(), delete)
        })
    }

    /// Associates an Elastic IP address with a private address, the primary one if none is given, taking it from
    /// wherever it leads to; gives back the association's id.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn associate(
        &self,
        allocation: &str,
        network_interface: &str,
        private_ip: Option<Ipv4Addr>,
    ) -> Result<String, ApiError> {
        self.cloud.apply(|world, now| {
            let primary = world.interface(network_interface)?.primary_ip();
            world.begin_associate(allocation, network_interface, private_ip.unwrap_or(primary), true, now)
        })
    }

    /// Takes an Elastic IP address off whatever it leads to.
    ///
    /// # Errors
    /// What EC2 would answer; InvalidAssociationID.NotFound if it leads nowhere.
    pub fn disassociate(&self, allocation: &str) -> Result<(), ApiError> {
        self.cloud.apply(|world, now| {
            let association = world.address(allocation)?.association.as_ref().map(|association| association.id.clone());
            world.begin_disassociate(&association.unwrap_or_default(), now)
        })
    }

    /// Gives a network interface an address, taking it from whichever other one has it.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn assign(&self, network_interface: &str, ip: IpAddr) -> Result<(), ApiError> {
        self.cloud.apply(|world, now| world.assign(network_interface, &[ip], true, now))
    }

    /// Takes an address off a network interface.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn unassign(&self, network_interface: &str, ip: IpAddr) -> Result<(), ApiError> {
        self.cloud.apply(|world, now| world.unassign(network_interface, &[ip], now))
    }

    /// Leads a route of a table to a network interface, whether or not there is one yet.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn route(&self, table: &str, destination: &str, network_interface: &str) -> Result<(), ApiError> {
        let destination = range(destination)?;
        self.cloud.apply(|world, now| match world.check_delete_route(table, destination) {
            Ok(()) => world.replace_route(table, destination, network_interface, now),
            Err(_) => world.create_route(table, destination, network_interface, now),
        })
    }

    /// Removes a route from a table.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn delete_route(&self, table: &str, destination: &str) -> Result<(), ApiError> {
        let destination = range(destination)?;
        self.cloud.apply(|world, now| world.delete_route(table, destination, now))
    }

    /// Switches the check of source and destination of a network interface on or off.
    ///
    /// # Errors
    /// What EC2 answers for an unknown interface.
    pub fn source_dest_check(&self, network_interface: &str, check: bool) -> Result<(), ApiError> {
        self.cloud.apply(|world, _| {
            world.interface(network_interface)?;
            world.set_source_dest_check(network_interface, check);
            Ok(())
        })
    }

    /// Begins to stop a running instance.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn stop(&self, instance: &str) -> Result<(), ApiError> {
        self.cloud.apply(|world, now| world.begin_instance(instance, InstanceState::Stopping, now))
    }

    /// Begins to start a stopped instance.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn start(&self, instance: &str) -> Result<(), ApiError> {
        self.cloud.apply(|world, now| world.begin_instance(instance, InstanceState::Pending, now))
    }

    /// Begins to terminate an instance. When it is terminated, its network interfaces are deleted or detached, each by
    /// its DeleteOnTermination.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn terminate(&self, instance: &str) -> Result<(), ApiError> {
        self.cloud.apply(|world, now| world.begin_instance(instance, InstanceState::ShuttingDown, now))
    }

    /// Sets what the status checks of an instance say while it runs.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn status_checks(&self, instance: &str, checks: StatusChecks) -> Result<(), ApiError> {
        self.cloud.apply(|world, _| {
            world.instance_of_id(instance)?;
            world.instances.entry(instance.to_owned()).and_modify(|instance| instance.checks = checks);
            Ok(())
        })
    }

    /// Schedules something for an instance.
    ///
    /// # Errors
    /// What EC2 would answer.
    pub fn schedule(&self, instance: &str, event: ScheduledEvent) -> Result<(), ApiError> {
        self.cloud.apply(|world, _| {
            world.instance_of_id(instance)?;
            world.instances.entry(instance.to_owned()).and_modify(|instance| instance.events.push(event));
            Ok(())
        })
    }

    /// The network interfaces that are attached to an instance or still leaving it.
    pub fn interfaces_of(&self, instance: &str) -> Vec<String> {
        self.cloud.read(|world| {
            let usable = world.attachments_of(instance).filter(|(_, at)| at.state != AttachmentState::Attaching);
            usable.map(|(interface, _)| interface.id.clone()).collect()
        })
    }
}

fn range(destination: &str) -> Result<IpNet, ApiError> {
    parse_destination(destination).map_err(|error| ApiError::refused("InvalidParameterValue", error.to_string()))
}
