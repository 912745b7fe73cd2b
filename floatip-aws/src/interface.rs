//! What an interface's description says of it.

use std::net::IpAddr;

use aws_sdk_ec2::types::NetworkInterface;

/// Whether a private IPv4 or an IPv6 address is on it.
pub(crate) fn has(interface: &NetworkInterface, ip: IpAddr) -> bool {
    let is_it = |text: Option<&str>| text.and_then(|text| text.parse().ok()) == Some(ip);
    match ip {
        IpAddr::V4(_) => interface.private_ip_addresses().iter().any(|it| is_it(it.private_ip_address())),
        IpAddr::V6(_) => interface.ipv6_addresses().iter().any(|it| is_it(it.ipv6_address())),
    }
}

/// Whether it is the address that the interface was made with, and keeps for life.
pub(crate) fn is_primary(interface: &NetworkInterface, ip: IpAddr) -> bool {
    let is_it = |text: Option<&str>| text.and_then(|text| text.parse().ok()) == Some(ip);
    match ip {
        IpAddr::V4(_) => is_it(interface.private_ip_address()),
        IpAddr::V6(_) => {
            interface.ipv6_addresses().iter().any(|it| it.is_primary_ipv6() == Some(true) && is_it(it.ipv6_address()))
        }
    }
}

/// Its id, for messages.
pub(crate) fn id(interface: &NetworkInterface) -> &str {
    interface.network_interface_id().unwrap_or("the interface")
}

/// The instance that it is attached to, if EC2 says which.
pub(crate) fn instance(interface: &NetworkInterface) -> Option<&str> {
    interface.attachment().and_then(|attachment| attachment.instance_id())
}

/// The instance whose primary interface it is.
pub(crate) fn primary_of(interface: &NetworkInterface) -> Option<&str> {
    let attachment = interface.attachment()?;
    let at_zero = attachment.device_index() == Some(0) && attachment.network_card_index().unwrap_or(0) == 0;
    attachment.instance_id().filter(|_| at_zero)
}
