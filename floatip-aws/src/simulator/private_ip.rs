use std::net::IpAddr;

use tokio::time::Instant;

use super::data_plane::Change;
use super::error::ApiError;
use super::instance::InstanceType;
use super::world::World;

/// # Source
/// Amazon EC2 API Reference: AssignPrivateIpAddresses, UnassignPrivateIpAddresses, AssignIpv6Addresses,
/// UnassignIpv6Addresses; the messages as users of these calls match them ("assigned, but move is not allowed", "Some of
/// the specified addresses are not assigned to interface"). What EC2 says of a primary address is not known.
impl World {
    /// Gives addresses to an interface; with `allow_reassignment`, IPv4 ones that another interface has too. An Elastic
    /// IP address that leads to one of them goes with it.
    pub(super) fn assign(
        &mut self,
        network_interface: &str,
        ips: &[IpAddr],
        allow_reassignment: bool,
        now: Instant,
    ) -> Result<(), ApiError> {
        self.check_assign(network_interface, ips, allow_reassignment)?;
        for ip in ips.iter().copied() {
            let there = self
                .interfaces
                .values()
                .find(|interface| interface.has(ip) && self.shares_vpc(&interface.id, network_interface));
            let before = there.map(|interface| interface.id.clone());
            if before.as_deref() == Some(network_interface) {
                continue;
            }
            if let Some(before) = before {
                self.take_off(&before, ip, now);
                self.lead_along(&before, network_interface, ip, now);
            }
            if let Some(interface) = self.interfaces.get_mut(network_interface) {
                match ip {
                    IpAddr::V4(ip) => interface.private_ips.push(ip),
                    IpAddr::V6(ip) => interface.ipv6_addresses.push(ip),
                }
                let instance = interface.attachment.as_ref().map(|attachment| attachment.instance.clone());
                let change = Change::Assigned { network_interface: network_interface.to_owned(), instance, ip };
                self.outbox.push((now + self.timings.private_ip_propagation, change));
            }
        }
        Ok(())
    }

    /// Whether the addresses could be given to the interface.
    pub(super) fn check_assign(
        &self,
        network_interface: &str,
        ips: &[IpAddr],
        allow_reassignment: bool,
    ) -> Result<(), ApiError> {
        let interface = self.interface(network_interface)?;
        let subnet = &self.subnets[&interface.subnet];
        if let Some(outside) = ips.iter().find(|ip| !subnet.contains(**ip)) {
            let message = format!("Address {outside} does not fall within the subnet's address range");
            return Err(ApiError::refused("InvalidParameterValue", message));
        }
        let new: Vec<_> = ips.iter().copied().filter(|ip| !interface.has(*ip)).collect();
        for ip in &new {
            let others = self.interfaces.values().filter(|other| other.has(*ip));
            let Some(holder) = others.into_iter().find(|other| self.shares_vpc(&other.id, network_interface)) else {
                continue;
            };
            if !allow_reassignment {
                let message = format!("[{ip}] assigned, but move is not allowed.");
                return Err(ApiError::refused("InvalidParameterValue", message));
            }
            if IpAddr::V4(holder.primary_ip()) == *ip {
                let message = format!("[{ip}] is the primary address of {}, and cannot be moved.", holder.id);
                return Err(ApiError::refused("InvalidParameterValue", message));
            }
        }
        let instance = interface.attachment.as_ref().and_then(|attachment| self.instances.get(&attachment.instance));
        let limit = instance.and_then(|instance| InstanceType::named(&instance.instance_type));
        let most = limit.map_or(usize::MAX, |limit| limit.ipv4_addresses as usize);
        // For the types that the simulator knows, the limits of both families are the same.
        let count = |v6: bool| new.iter().filter(|ip| ip.is_ipv6() == v6).count();
        let (v4, v6) = (interface.private_ips.len() + count(false), interface.ipv6_addresses.len() + count(true));
        if count(false) > 0 && v4 > most || count(true) > 0 && v6 > most {
            let message = "Number of private addresses will exceed limit.";
            return Err(ApiError::refused("PrivateIpAddressLimitExceeded", message));
        }
        Ok(())
    }

    /// Takes addresses off an interface. An Elastic IP address that leads to one of them leads nowhere then.
    pub(super) fn unassign(&mut self, network_interface: &str, ips: &[IpAddr], now: Instant) -> Result<(), ApiError> {
        self.check_unassign(network_interface, ips)?;
        for ip in ips {
            self.take_off(network_interface, *ip, now);
            for allocation in self.leading_to(network_interface, *ip) {
                self.end_association(&allocation, now);
            }
        }
        Ok(())
    }

    /// Whether the addresses could be taken off the interface.
    pub(super) fn check_unassign(&self, network_interface: &str, ips: &[IpAddr]) -> Result<(), ApiError> {
        let interface = self.interface(network_interface)?;
        if ips.iter().any(|ip| !interface.has(*ip)) {
            let message = format!("Some of the specified addresses are not assigned to interface {network_interface}");
            return Err(ApiError::refused("InvalidParameterValue", message));
        }
        if ips.contains(&interface.primary_ip().into()) {
            let message = format!("The primary address of {network_interface} cannot be unassigned.");
            return Err(ApiError::refused("InvalidParameterValue", message));
        }
        Ok(())
    }

    fn take_off(&mut self, network_interface: &str, ip: IpAddr, now: Instant) {
        let Some(interface) = self.interfaces.get_mut(network_interface) else { return };
        match ip {
            IpAddr::V4(ip) => interface.private_ips.retain(|own| *own != ip),
            IpAddr::V6(ip) => interface.ipv6_addresses.retain(|own| *own != ip),
        }
        let instance = interface.attachment.as_ref().map(|attachment| attachment.instance.clone());
        let change = Change::Unassigned { network_interface: network_interface.to_owned(), instance, ip };
        self.outbox.push((now + self.timings.private_ip_propagation, change));
    }

    /// The association of an Elastic IP address belongs to the private address, and goes with it under its id.
    fn lead_along(&mut self, from: &str, to: &str, ip: IpAddr, now: Instant) {
        let IpAddr::V4(private_ip) = ip else { return };
        let instance =
            self.interfaces.get(to).and_then(|interface| Some(interface.attachment.as_ref()?.instance.clone()));
        for allocation in self.leading_to(from, ip) {
            let Some(address) = self.addresses.get_mut(&allocation) else { continue };
            let public_ip = address.public_ip;
            if let Some(association) = &mut address.association {
                to.clone_into(&mut association.network_interface);
            }
            let due = now + self.timings.private_ip_propagation;
            let network_interface = from.to_owned();
            self.outbox.push((due, Change::Disassociated { public_ip, network_interface, private_ip }));
            let (network_interface, instance) = (to.to_owned(), instance.clone());
            self.outbox.push((due, Change::Associated { public_ip, network_interface, instance, private_ip }));
        }
    }

    /// The Elastic IP addresses that lead to an address of an interface: one or none.
    fn leading_to(&self, network_interface: &str, ip: IpAddr) -> Vec<String> {
        let leads_there = self.addresses.values().filter(|address| {
            let association = address.association.as_ref();
            association.is_some_and(|it| it.network_interface == network_interface && IpAddr::V4(it.private_ip) == ip)
        });
        leads_there.map(|address| address.allocation.clone()).collect()
    }

    fn shares_vpc(&self, a: &str, b: &str) -> bool {
        let vpc = |id: &str| Some(&self.subnets.get(&self.interfaces.get(id)?.subnet)?.vpc);
        vpc(a).is_some() && vpc(a) == vpc(b)
    }
}
