//! Checks of an Elastic IP address, and of what it would lead to.

use aws_sdk_ec2::types::{Address, Instance, NetworkInterface};

use super::finding::{CheckId, Finding};
use crate::{instance, interface};

/// The owner of public addresses that come and go with an instance.
const AUTOMATIC: &str = "amazon";

fn id(address: &Address) -> &str {
    address.allocation_id().unwrap_or("the address")
}

/// # Source
/// Amazon EC2 API Reference, Address, `ServiceManaged`.
pub(crate) fn own(address: &Address) -> Finding {
    let allocation = id(address);
    let ip = address.public_ip().unwrap_or("without a public address");
    match address.service_managed() {
        Some(service) => Finding::fail(
            CheckId::Resource,
            format!("{allocation} is managed by the service {}", service.as_str()),
            "allocate an Elastic IP address of your own",
        ),
        None => Finding::pass(CheckId::Resource, format!("{allocation} is {ip}")),
    }
}

/// Whether the interface has the private address that the Elastic IP address is to lead to.
pub(crate) fn has_private_address(interface: &NetworkInterface, private_ip: &str) -> Finding {
    let own = interface::id(interface);
    let mut addresses = interface.private_ip_addresses().iter();
    if addresses.any(|it| it.private_ip_address() == Some(private_ip)) {
        return Finding::pass(CheckId::PrivateAddress, format!("{own} has {private_ip}"));
    }
    Finding::fail(CheckId::PrivateAddress, format!("{own} has no private address {private_ip}"), "assign it there")
}

/// Whether the private address has no other Elastic IP address, which EC2 would take off it without a word. `there` is
/// what DescribeAddresses found at it.
///
/// # Source
/// Amazon EC2 User Guide, "Elastic IP addresses": the earlier one is disassociated.
pub(crate) fn displaces_nothing(allocation: &str, interface: &str, private_ip: &str, there: &[Address]) -> Finding {
    match there.iter().find(|it| it.allocation_id() != Some(allocation)) {
        None => Finding::pass(CheckId::DisplacedAddress, format!("{private_ip} of {interface} has no other one")),
        Some(other) => Finding::fail(
            CheckId::DisplacedAddress,
            format!(
                "{private_ip} of {interface} has {} ({}), which would be displaced",
                other.public_ip().unwrap_or("another Elastic IP address"),
                other.allocation_id().unwrap_or("without an allocation id")
            ),
            "disassociate it, or give the node another private_ip",
        ),
    }
}

/// Whether an automatic public address would be lost. With one interface the instance gets another when the Elastic IP
/// address leaves; with several it gets none, and with it may lose its way to EC2.
///
/// # Source
/// Amazon EC2 User Guide, "Amazon EC2 instance IP addressing", Public IPv4 addresses.
pub(crate) fn keeps_public_address(
    interface: &NetworkInterface,
    private_ip: &str,
    instance: Option<&Instance>,
) -> Finding {
    let mut addresses = interface.private_ip_addresses().iter();
    let association = addresses.find(|it| it.private_ip_address() == Some(private_ip)).and_then(|it| it.association());
    let automatic = association.filter(|it| it.ip_owner_id() == Some(AUTOMATIC)).and_then(|it| it.public_ip());
    let Some(automatic) = automatic else {
        return Finding::pass(CheckId::PublicAddress, format!("{private_ip} has no automatic public address"));
    };
    let interfaces = instance.map_or(0, |it| it.network_interfaces().len());
    let there = instance.map_or("the instance", instance::id);
    let lost = format!("{automatic}, the automatic public address of {there}, is released when the Elastic IP arrives");
    let other_way = "reach EC2 by an interface endpoint or a NAT gateway if a monitor runs there";
    if interfaces > 1 {
        Finding::fail(
            CheckId::PublicAddress,
            format!("{lost}; with {interfaces} interfaces it gets none back"),
            format!("let the address lead to a second private address (`private_ip`), and {other_way}"),
        )
    } else {
        Finding::warn(CheckId::PublicAddress, format!("{lost}, and replaced by another when it leaves"), other_way)
    }
}

/// Whether the address can be used in the zone of the interface.
///
/// # Source
/// Amazon EC2 API Reference, AllocateAddress, `NetworkBorderGroup`.
pub(crate) fn in_border_group(region: &str, address: &Address, interface: &NetworkInterface) -> Finding {
    let own = interface::id(interface);
    match (address.network_border_group(), interface.availability_zone()) {
        (Some(group), Some(zone)) if outside_border_group(region, group, zone) => Finding::fail(
            CheckId::BorderGroup,
            format!("{} belongs to {group}, and {own} is in {zone}", id(address)),
            "allocate an address of that zone's network border group, or choose an instance elsewhere",
        ),
        (Some(group), Some(zone)) if group == region && zone.len() != region.len() + 1 => Finding::warn(
            CheckId::BorderGroup,
            format!("{zone} is no ordinary zone of {region}, and may have a network border group of its own"),
            format!("compare with `aws ec2 describe-availability-zones`: it must be {group}"),
        ),
        (Some(group), Some(zone)) => Finding::pass(CheckId::BorderGroup, format!("{zone} is in {group}")),
        (None, _) | (_, None) => Finding::pass(CheckId::BorderGroup, "EC2 names no network border group"),
    }
}

/// Whether a zone is certainly outside an address's border group. That of an ordinary zone, named as the Region with one
/// letter, is the Region; what belongs to a local or Wavelength zone cannot be told from its name.
fn outside_border_group(region: &str, group: &str, zone: &str) -> bool {
    let letter = zone.strip_prefix(region).filter(|_| !region.is_empty());
    letter.is_some_and(|letter| letter.len() == 1) && group != region
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{InstanceNetworkInterface, NetworkInterfaceAssociation, NetworkInterfacePrivateIpAddress};

    use super::*;
    use crate::preflight::Status;

    #[test]
    fn only_an_ordinary_zone_is_known_to_be_outside_a_border_group() {
        let outside = |group, zone| outside_border_group("us-east-1", group, zone);
        assert!(!outside("us-east-1", "us-east-1a"));
        assert!(outside("us-east-1-bos-1", "us-east-1a"));
        assert!(!outside("us-east-1-bos-1", "us-east-1-bos-1a"));
        assert!(!outside("us-east-1", "us-east-1-bos-1a"), "a local zone may belong to the Region's own group");
        assert!(!outside("us-east-1", "eu-west-1a"));
    }

    #[test]
    fn a_local_zone_is_a_matter_for_a_look_and_an_ordinary_one_is_not() {
        let address = Address::builder().allocation_id("eipalloc-1").network_border_group("us-east-1").build();
        let in_zone = |zone: &str| {
            let interface = NetworkInterface::builder().network_interface_id("eni-1").availability_zone(zone).build();
            in_border_group("us-east-1", &address, &interface).status
        };
        assert_eq!(in_zone("us-east-1a"), Status::Pass);
        assert_eq!(in_zone("us-east-1-bos-1a"), Status::Warn);
    }

    #[test]
    fn an_automatic_public_address_is_lost_for_good_only_with_several_interfaces() {
        let association = NetworkInterfaceAssociation::builder().ip_owner_id("amazon").public_ip("203.0.113.7").build();
        let address =
            NetworkInterfacePrivateIpAddress::builder().private_ip_address("10.0.0.1").association(association);
        let interface = NetworkInterface::builder().private_ip_addresses(address.build()).build();
        let with = |count: usize| {
            let one = || InstanceNetworkInterface::builder().build();
            let instance = (0..count).fold(Instance::builder(), |it, _| it.network_interfaces(one())).build();
            keeps_public_address(&interface, "10.0.0.1", Some(&instance))
        };
        assert_eq!(with(1).status, Status::Warn);
        assert_eq!(with(2).status, Status::Fail);
        assert!(with(1).obstacle().is_none() && with(2).obstacle().is_some());
        assert_eq!(keeps_public_address(&interface, "10.0.0.2", None).status, Status::Pass);
    }
}
