//! Which addresses are this machine's own.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use crate::config::NodeConfig;

/// Tells this machine's own addresses from others, by whether a socket can be bound to them.
#[derive(Debug)]
pub(crate) struct OwnAddresses {
    conclusive: bool,
}

impl OwnAddresses {
    pub(crate) fn new() -> Self {
        // Documentation addresses (RFC 5737) belong to nobody: where one can be bound, any can (ip_nonlocal_bind).
        Self { conclusive: UdpSocket::bind((Ipv4Addr::new(192, 0, 2, 1), 0)).is_err() }
    }

    /// Whether the monitor runs on the node: as it is written, else by its host.
    pub(crate) fn is_local(&self, node: &NodeConfig) -> bool {
        node.local.unwrap_or_else(|| node.node.host.ip().is_some_and(|ip| self.contain(ip)))
    }

    /// Loopback addresses do not count: where nodes have them, one machine plays all the parts.
    fn contain(&self, ip: IpAddr) -> bool {
        self.conclusive && !ip.is_loopback() && !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_documentation_addresses_are_nobodys_own() {
        let own = OwnAddresses::new();
        for ip in ["127.0.0.1", "192.0.2.7", "0.0.0.0", "::1"] {
            assert!(!own.contain(ip.parse().unwrap()), "{ip}");
        }
    }
}
