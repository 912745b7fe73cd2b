//! Checks of a network interface by itself, and of its way onto an instance.

use aws_sdk_ec2::types::{Instance, NetworkInterface};

use super::finding::{CheckId, Finding};
use crate::instance;
use crate::interface::{self, id};

/// Whether the interface is one's own, and of the type that can be attached elsewhere.
///
/// # Source
/// Amazon EC2 User Guide, "Requester-managed network interfaces"; Amazon EC2 API Reference, NetworkInterface,
/// `InterfaceType` and `Operator`.
pub(crate) fn movable(check: CheckId, interface: &NetworkInterface) -> Finding {
    let own = id(interface);
    let operated = interface.operator().and_then(|operator| operator.managed());
    if interface.requester_managed() == Some(true) || operated == Some(true) {
        return Finding::fail(check, format!("{own} is managed by an AWS service"), "use an interface of your own");
    }
    match interface.interface_type().map(|kind| kind.as_str()) {
        Some(kind) if kind != "interface" => {
            Finding::fail(check, format!("{own} is of the type {kind}"), "only plain interfaces can move: use one")
        }
        Some(_) | None => Finding::pass(check, format!("{own} is a plain interface of this account")),
    }
}

/// # Source
/// Amazon EC2 User Guide, "Elastic network interfaces": the primary interface cannot be detached.
pub(crate) fn not_primary(interface: &NetworkInterface) -> Finding {
    let own = id(interface);
    match interface.attachment().filter(|attachment| attachment.device_index() == Some(0)) {
        Some(attachment) => Finding::fail(
            CheckId::PrimaryInterface,
            format!(
                "{own} is a primary interface (of {}), which cannot be detached",
                attachment.instance_id().unwrap_or("an instance")
            ),
            "use a secondary one",
        ),
        None => Finding::pass(CheckId::PrimaryInterface, format!("{own} is no primary interface")),
    }
}

/// Whether the interface survives the end of the instance that has it.
///
/// # Source
/// Amazon EC2 API Reference, ModifyNetworkInterfaceAttribute: it is a property of the attachment.
pub(crate) fn survives(interface: &NetworkInterface) -> Finding {
    let own = id(interface);
    let Some(attachment) = interface.attachment() else {
        return Finding::pass(CheckId::DeleteOnTermination, format!("{own} is attached to nothing"));
    };
    let holder = attachment.instance_id().unwrap_or("its instance");
    match attachment.delete_on_termination() {
        Some(true) => Finding::fail(
            CheckId::DeleteOnTermination,
            format!("{own}, and the address with it, is deleted when {holder} is terminated"),
            format!(
                "aws ec2 modify-network-interface-attribute --network-interface-id {own} --attachment \
                 AttachmentId={},DeleteOnTermination=false (`floatip run` does it too)",
                attachment.attachment_id().unwrap_or("…")
            ),
        ),
        Some(false) | None => {
            Finding::pass(CheckId::DeleteOnTermination, format!("{own} outlives its attachment to {holder}"))
        }
    }
}

/// # Source
/// Amazon EC2 User Guide, "Elastic network interfaces": an interface and its instance are in one Availability Zone.
pub(crate) fn same_zone(interface: &NetworkInterface, instance: &Instance) -> Finding {
    let (own, there) = (id(interface), instance::id(instance));
    match (interface.availability_zone(), instance::zone(instance)) {
        (Some(here), Some(zone)) if here != zone => Finding::fail(
            CheckId::Zone,
            format!("{own} is in {here} and {there} in {zone}: an interface cannot leave its zone"),
            format!("choose an instance in {here}, or move the address by a route or an Elastic IP address"),
        ),
        (Some(here), Some(_)) => Finding::pass(CheckId::Zone, format!("both in {here}")),
        (Some(_) | None, _) => Finding::unknown(CheckId::Zone, "EC2 names no zone", "look at it in the EC2 console"),
    }
}

/// # Source
/// AWS What's New, 26 October 2023, "Multi-VPC ENI attachments".
pub(crate) fn same_vpc(interface: &NetworkInterface, instance: &Instance) -> Finding {
    let (own, there) = (id(interface), instance::id(instance));
    match (interface.vpc_id(), instance.vpc_id()) {
        (Some(here), Some(vpc)) if here != vpc => Finding::warn(
            CheckId::Vpc,
            format!(
                "{own} is in {here} and {there} in {vpc}: EC2 attaches across VPCs, and the traffic stays in {here}"
            ),
            format!("see that {there} may be reached from {here}, or choose an instance of that VPC"),
        ),
        (Some(here), Some(_)) => Finding::pass(CheckId::Vpc, format!("both in {here}")),
        (Some(_) | None, _) => Finding::unknown(CheckId::Vpc, "EC2 names no VPC", "look at it in the EC2 console"),
    }
}

/// Whether the guest will need two routing tables.
///
/// # Source
/// Amazon EC2 User Guide, "Configure your instance with secondary network interfaces": two interfaces of one subnet
/// need source-based routing.
pub(crate) fn subnet(interface: &NetworkInterface, instance: &Instance) -> Finding {
    match (interface.subnet_id(), instance.subnet_id()) {
        (Some(here), Some(there)) if here == there => {
            Finding::pass(CheckId::Subnet, format!("both in {here}: the guest must route by source (see README)"))
        }
        (Some(here), Some(there)) => Finding::pass(CheckId::Subnet, format!("a second subnet: {here} beside {there}")),
        (Some(_) | None, _) => Finding::pass(CheckId::Subnet, "EC2 names no subnet"),
    }
}

/// Whether the instance takes one more interface; `limit` is what its type allows, if EC2 says so.
///
/// # Source
/// Amazon EC2 API Reference, DescribeInstanceTypes, `NetworkInfo`.
pub(crate) fn interface_limit(interface: &NetworkInterface, instance: &Instance, limit: Option<i32>) -> Finding {
    let there = instance::id(instance);
    let used = instance::taken_indexes(instance, id(interface)).len();
    let kind = instance.instance_type().map_or("its type", |kind| kind.as_str());
    match limit.and_then(|limit| usize::try_from(limit).ok()) {
        Some(limit) if used >= limit => Finding::fail(
            CheckId::InterfaceLimit,
            format!("{there} has {used} other interfaces and its type {kind} allows {limit}"),
            "detach one or choose a larger type",
        ),
        Some(limit) => Finding::pass(CheckId::InterfaceLimit, format!("{used} of {limit} interfaces of {kind} in use")),
        None => Finding::warn(
            CheckId::InterfaceLimit,
            format!("EC2 does not say how many interfaces {kind} allows"),
            format!("see that {there} takes one more"),
        ),
    }
}

/// Whether the device index that the interface is to get is free.
pub(crate) fn device_index(interface: &NetworkInterface, instance: &Instance, preferred: u8) -> Finding {
    let taken = instance::taken_indexes(instance, id(interface));
    let wanted = i32::from(preferred);
    if !taken.contains(&wanted) {
        return Finding::pass(CheckId::DeviceIndex, format!("index {wanted} is free"));
    }
    let next = (wanted..).find(|index| !taken.contains(index)).unwrap_or(i32::MAX);
    Finding::warn(
        CheckId::DeviceIndex,
        format!("index {wanted} is taken on {}, so that the interface will get {next} there", instance::id(instance)),
        format!("see that the guest configures it there too, or set `device_index = {next}`"),
    )
}

/// # Source
/// Amazon VPC User Guide, "Middlebox routing" and "NAT instances": who forwards or answers for foreign addresses needs
/// the check off.
pub(crate) fn forwards(interface: &NetworkInterface, destination: &str) -> Finding {
    let own = id(interface);
    match interface.source_dest_check() {
        Some(false) => Finding::pass(CheckId::SourceDestCheck, format!("{own} takes traffic for other addresses")),
        Some(true) | None => Finding::fail(
            CheckId::SourceDestCheck,
            format!("{own} checks source and destination, and would drop what is sent to {destination}"),
            format!(
                "switch it off: aws ec2 modify-network-interface-attribute --network-interface-id {own} \
                 --no-source-dest-check"
            ),
        ),
    }
}

/// Whether there is an instance behind the interface.
pub(crate) fn attached(interface: &NetworkInterface) -> Finding {
    let own = id(interface);
    match interface::instance(interface) {
        Some(instance) => Finding::pass(CheckId::Instance, format!("{own} is in {instance}")),
        None => Finding::fail(
            CheckId::Instance,
            format!("{own} is attached to no instance"),
            "attach it, or choose another",
        ),
    }
}
