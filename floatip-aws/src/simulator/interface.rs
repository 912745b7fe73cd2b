use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::time::Instant;

use super::data_plane::Change;
use super::error::ApiError;
use super::instance::{InstanceState, InstanceType};
use super::world::{World, id_body};

/// A network interface as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkInterface {
    /// Its id.
    pub id: String,
    /// The subnet that it is bound to.
    pub subnet: String,
    /// Its private IPv4 addresses, the primary one first.
    pub private_ips: Vec<Ipv4Addr>,
    /// Its IPv6 addresses. Default: none.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// What it is attached to; `None` if it is available.
    pub attachment: Option<Attachment>,
    /// Whether it drops traffic that is not addressed to it. Default: true.
    pub source_dest_check: bool,
    /// Whether another AWS service made it: such interfaces cannot be detached. Default: false.
    pub requester_managed: bool,
    /// `interface`, or another type of EC2's.
    pub interface_type: String,
    /// The automatic public address of its primary private one, until an Elastic IP address takes its place.
    pub automatic_public_ip: Option<Ipv4Addr>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// One attachment of a network interface to an instance. Its id is never used again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// Its id.
    pub id: String,
    /// The instance.
    pub instance: String,
    /// The place in the instance; 0 is the primary interface, which cannot be detached.
    pub device_index: u32,
    /// The network card; 0 on most instance types.
    pub network_card_index: u32,
    /// How far it is.
    pub state: AttachmentState,
    /// Whether the interface is deleted when the instance is terminated.
    pub delete_on_termination: bool,
    pub(super) due: Option<Instant>,
    pub(super) forcible: bool,
}

/// How far an attachment is. A detached interface has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentState {
    /// Accepted, not usable.
    Attaching,
    /// The instance has the interface.
    Attached,
    /// On its way out; the instance still has the interface.
    Detaching,
}

impl AttachmentState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attaching => "attaching",
            Self::Attached => "attached",
            Self::Detaching => "detaching",
        }
    }
}

impl NetworkInterface {
    /// Its primary private address.
    pub fn primary_ip(&self) -> Ipv4Addr {
        self.private_ips[0]
    }

    /// Whether a private IPv4 or an IPv6 address is on it.
    pub fn has(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.private_ips.contains(&ip),
            IpAddr::V6(ip) => self.ipv6_addresses.contains(&ip),
        }
    }

    /// The instance that traffic to it reaches: the one that it is attached to or still leaving.
    pub fn carrier(&self) -> Option<&str> {
        let attachment = self.attachment.as_ref()?;
        match attachment.state {
            AttachmentState::Attached | AttachmentState::Detaching => Some(&attachment.instance),
            AttachmentState::Attaching => None,
        }
    }
}

/// How a detach that is accepted goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Normal,
    Stuck,
    StuckEvenIfForced,
}

/// # Source
/// Amazon EC2 API Reference: AttachNetworkInterface, DetachNetworkInterface, ModifyNetworkInterfaceAttribute, "Error
/// codes for the Amazon EC2 API". Where these are silent (a second detach, a detach of what is still attaching), the
/// simulator refuses with IncorrectState, as EC2 does for volumes.
impl World {
    pub(super) fn interface(&self, id: &str) -> Result<&NetworkInterface, ApiError> {
        if id_body(id, "eni-").is_none() {
            return Err(ApiError::refused("InvalidNetworkInterfaceID.Malformed", format!("Invalid id: \"{id}\"")));
        }
        self.interfaces.get(id).ok_or_else(|| {
            let message = format!("The networkInterface ID '{id}' does not exist");
            ApiError::refused("InvalidNetworkInterfaceID.NotFound", message)
        })
    }

    /// Accepts an attach, and gives back the id of the attachment.
    pub(super) fn begin_attach(
        &mut self,
        network_interface: &str,
        instance: &str,
        device_index: u32,
        network_card_index: u32,
        now: Instant,
    ) -> Result<String, ApiError> {
        self.check_attach(network_interface, instance, device_index, network_card_index)?;
        let id = self.next_id("eni-attach-");
        let attachment = Attachment {
            id: id.clone(),
            instance: instance.to_owned(),
            device_index,
            network_card_index,
            state: AttachmentState::Attaching,
            delete_on_termination: self.delete_on_termination,
            due: Some(now + self.timings.attach),
            forcible: true,
        };
        if let Some(interface) = self.interfaces.get_mut(network_interface) {
            interface.attachment = Some(attachment);
        }
        Ok(id)
    }

    /// Whether an attach would be accepted.
    pub(super) fn check_attach(
        &self,
        network_interface: &str,
        instance: &str,
        device_index: u32,
        network_card_index: u32,
    ) -> Result<(), ApiError> {
        let interface = self.interface(network_interface)?;
        let instance = self.instance_of_id(instance)?;
        match instance.state {
            InstanceState::Running | InstanceState::Stopped => {}
            state @ (InstanceState::Pending
            | InstanceState::ShuttingDown
            | InstanceState::Terminated
            | InstanceState::Stopping) => {
                let (state, id) = (state.as_str(), &instance.id);
                let message = format!("The {state} instance '{id}' is not in a valid state for this operation.");
                return Err(ApiError::refused("IncorrectState", message));
            }
        }
        if interface.attachment.is_some() {
            let message = format!("Interface: [{network_interface}] in use.");
            return Err(ApiError::refused("InvalidNetworkInterface.InUse", message));
        }
        let (here, there) = (&self.subnets[&interface.subnet], &self.subnets[&instance.subnet]);
        if here.zone != there.zone {
            return Err(ApiError::refused(
                "InvalidParameterCombination",
                "You may not attach a network interface to an instance if they are not in the same availability zone",
            ));
        }
        if network_card_index != 0 {
            let message = format!("Network card index '{network_card_index}' exceeds the limit for the instance type.");
            return Err(ApiError::refused("InvalidParameterValue", message));
        }
        let taken: Vec<u32> =
            self.attachments_of(&instance.id).map(|(_, attachment)| attachment.device_index).collect();
        if taken.contains(&device_index) {
            return Err(ApiError::index_taken(&instance.id, device_index));
        }
        let count = taken.len() as u32 + 1;
        match InstanceType::named(&instance.instance_type) {
            Some(limits) if count > limits.network_interfaces => {
                let message = format!("Interface count {count} exceeds the limit for {}", instance.instance_type);
                Err(ApiError::refused("AttachmentLimitExceeded", message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Accepts a detach.
    pub(super) fn begin_detach(
        &mut self,
        attachment: &str,
        force: bool,
        course: Course,
        now: Instant,
    ) -> Result<(), ApiError> {
        let network_interface = self.check_detach(attachment, force)?;
        let due = now + if force { self.timings.force_detach.min(self.timings.detach) } else { self.timings.detach };
        let attachment =
            self.interfaces.get_mut(&network_interface).and_then(|interface| interface.attachment.as_mut());
        if let Some(attachment) = attachment {
            let under_way = attachment.state == AttachmentState::Detaching;
            attachment.state = AttachmentState::Detaching;
            if under_way && !attachment.forcible {
                return Ok(());
            }
            attachment.forcible = course != Course::StuckEvenIfForced;
            attachment.due = match course {
                Course::StuckEvenIfForced => None,
                Course::Stuck if !force => None,
                Course::Normal | Course::Stuck if under_way => Some(attachment.due.map_or(due, |old| old.min(due))),
                Course::Normal | Course::Stuck => Some(due),
            };
        }
        Ok(())
    }

    /// Whether a detach would be accepted; gives back the interface that the attachment is of.
    pub(super) fn check_detach(&self, id: &str, force: bool) -> Result<String, ApiError> {
        let (interface, attachment) = self.attachment(id)?;
        if attachment.device_index == 0 {
            return Err(ApiError::refused(
                "OperationNotPermitted",
                "The network interface at device index 0 and networkCard index 0 cannot be detached.",
            ));
        }
        if interface.requester_managed {
            let message = format!("You are not allowed to manage '{}' attachments.", interface.interface_type);
            return Err(ApiError::refused("OperationNotPermitted", message));
        }
        match attachment.state {
            AttachmentState::Attached => {}
            AttachmentState::Attaching | AttachmentState::Detaching if force => {}
            state @ (AttachmentState::Attaching | AttachmentState::Detaching) => {
                let message = format!("Attachment '{id}' is in the '{}' state.", state.as_str());
                return Err(ApiError::refused("IncorrectState", message));
            }
        }
        Ok(interface.id.clone())
    }

    /// The attachment of this id, and its interface.
    pub(super) fn attachment(&self, id: &str) -> Result<(&NetworkInterface, &Attachment), ApiError> {
        if id_body(id, "eni-attach-").is_none() {
            let message = format!("Invalid id: \"{id}\" (expecting \"eni-attach-...\")");
            return Err(ApiError::refused("InvalidNetworkInterfaceAttachmentId.Malformed", message));
        }
        let all = self.interfaces.values().filter_map(|interface| Some((interface, interface.attachment.as_ref()?)));
        all.into_iter().find(|(_, attachment)| attachment.id == id).ok_or_else(|| {
            let message = format!("The attachment ID '{id}' does not exist");
            ApiError::refused("InvalidAttachmentID.NotFound", message)
        })
    }

    /// Keeps the attachment in the state on its way that it is in.
    pub(super) fn hold_attachment(&mut self, network_interface: &str) {
        let interface = self.interfaces.get_mut(network_interface);
        if let Some(attachment) = interface.and_then(|interface| interface.attachment.as_mut()) {
            attachment.due = None;
        }
    }

    pub(super) fn set_source_dest_check(&mut self, network_interface: &str, check: bool) {
        if let Some(interface) = self.interfaces.get_mut(network_interface) {
            interface.source_dest_check = check;
        }
    }

    /// Sets DeleteOnTermination of the attachment, which must be the interface's present one.
    pub(super) fn set_delete_on_termination(
        &mut self,
        network_interface: &str,
        attachment: &str,
        delete: bool,
    ) -> Result<(), ApiError> {
        self.attachment_of(network_interface, attachment)?;
        let interface = self.interfaces.get_mut(network_interface);
        if let Some(attachment) = interface.and_then(|interface| interface.attachment.as_mut()) {
            attachment.delete_on_termination = delete;
        }
        Ok(())
    }

    /// Whether this is the interface's present attachment.
    pub(super) fn attachment_of(&self, network_interface: &str, attachment: &str) -> Result<(), ApiError> {
        let present = self.interface(network_interface)?.attachment.as_ref();
        if present.is_some_and(|present| present.id == attachment) {
            return Ok(());
        }
        let message = format!("The attachment ID '{attachment}' does not exist");
        Err(ApiError::refused("InvalidAttachmentID.NotFound", message))
    }

    /// The attachments of an instance, those on their way in and out too.
    pub(super) fn attachments_of(&self, instance: &str) -> impl Iterator<Item = (&NetworkInterface, &Attachment)> {
        self.interfaces
            .values()
            .filter_map(|interface| Some((interface, interface.attachment.as_ref()?)))
            .filter(move |(_, attachment)| attachment.instance == instance)
    }

    /// Ends what an attachment is on its way to.
    pub(super) fn finish_attachment(&mut self, network_interface: &str, at: Instant) {
        let Some(interface) = self.interfaces.get_mut(network_interface) else { return };
        let Some(attachment) = interface.attachment.as_mut() else { return };
        attachment.due = None;
        match attachment.state {
            AttachmentState::Attached => {}
            AttachmentState::Attaching => {
                attachment.state = AttachmentState::Attached;
                let change = Change::Attached {
                    network_interface: interface.id.clone(),
                    instance: attachment.instance.clone(),
                    device_index: attachment.device_index,
                    private_ips: interface.private_ips.clone(),
                    ipv6_addresses: interface.ipv6_addresses.clone(),
                };
                self.outbox.push((at, change));
            }
            AttachmentState::Detaching => self.remove_attachment(network_interface, at),
        }
    }

    /// Takes an interface off its instance at once.
    pub(super) fn remove_attachment(&mut self, network_interface: &str, at: Instant) {
        let Some(interface) = self.interfaces.get_mut(network_interface) else { return };
        if let Some(attachment) = interface.attachment.take() {
            let change = Change::Detached {
                network_interface: interface.id.clone(),
                instance: attachment.instance,
                device_index: attachment.device_index,
            };
            self.outbox.push((at, change));
        }
    }
}
