//! Nodes, their names and hosts, and the floating IP that moves between them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A name or an address was not usable. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("a name may not be empty")]
    Empty,
    /// The name holds white space or a control character, which no log line or table could show unambiguously.
    #[error("the name {0:?} holds white space or a control character")]
    Unprintable(String),
    /// The part behind the last colon is no port between 1 and 65535.
    #[error("{0:?} does not end in a port between 1 and 65535")]
    Port(String),
}

fn checked(name: &str) -> Result<Arc<str>, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(NameError::Unprintable(name.to_owned()));
    }
    Ok(name.into())
}

/// The name of a node. Cheap to clone; compares and prints as the name itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// Takes a name that is not empty and holds no white space or control character.
    ///
    /// # Errors
    /// [`NameError::Empty`] and [`NameError::Unprintable`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        checked(name).map(Self)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Where something listens: an IP address or a DNS name, and optionally a port that overrides the probe's own.
///
/// Written `10.0.0.5`, `10.0.0.5:2121`, `fd00::5`, `[fd00::5]:2121`, `ftp-1.internal` or `ftp-1.internal:2121`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    name: Arc<str>,
    port: Option<u16>,
}

impl Host {
    /// The address or DNS name, without the port and without brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, where this host overrides the probe's.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address, if the name is one and need not be looked up.
    pub fn ip(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }

    /// True if the host is an address of the loopback range: then a probe of it says nothing about the network.
    pub fn is_loopback(&self) -> bool {
        self.ip().map_or(&*self.name == "localhost", |ip| ip.is_loopback())
    }
}

impl FromStr for Host {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self { name: text.into(), port: None });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (name, Some(port.ok_or_else(|| NameError::Port(text.to_owned()))?))
            }
            None => (text, None),
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        Ok(Self { name: checked(name)?, port })
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self { name: ip.to_string().into(), port: None }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.name.contains(':') => write!(f, "[{}]:{port}", self.name),
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.pad(&self.name),
        }
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A server that may hold the floating IP: a name and a host to probe.
///
/// Movers and probes that need a provider's id (an instance, an interface) keep their own map from the [`NodeId`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// The name, unique within its floating IP.
    pub id: NodeId,
    /// What direct probes connect to. Never the floating address itself.
    pub host: Host,
    /// True if the monitor runs on this node: then its answers say nothing about the monitor's network (rule 5).
    pub local: bool,
}

impl Node {
    /// A node that is not local.
    ///
    /// # Errors
    /// [`NameError`] if the name or the host is not usable.
    pub fn new(name: &str, host: &str) -> Result<Self, NameError> {
        Ok(Self { id: NodeId::new(name)?, host: host.parse()?, local: false })
    }

    /// Says whether the monitor itself runs on this node. Default: false.
    #[must_use]
    pub fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }
}

/// The floating IP: the address that clients use, and the name under which operators and logs know it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FloatingIp {
    /// The name, unique within a monitor.
    pub name: Arc<str>,
    /// What clients connect to, and what verification probes.
    pub address: Host,
}

impl FloatingIp {
    /// # Errors
    /// [`NameError`] if the name or the address is not usable.
    pub fn new(name: &str, address: &str) -> Result<Self, NameError> {
        Ok(Self { name: checked(name)?, address: address.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_reads_and_prints_every_written_form() {
        for (text, name, port) in [
            ("10.0.0.5", "10.0.0.5", None),
            ("10.0.0.5:2121", "10.0.0.5", Some(2121)),
            ("fd00::5", "fd00::5", None),
            ("[fd00::5]:2121", "fd00::5", Some(2121)),
            ("ftp-1.internal:21", "ftp-1.internal", Some(21)),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.name(), host.port(), host.to_string().as_str()), (name, port, text));
        }
    }

    #[test]
    fn a_host_with_a_bad_port_or_no_name_is_refused() {
        for text in ["", "a:0", "a:65536", "a:ftp", ":21", "a b"] {
            assert!(text.parse::<Host>().is_err(), "{text:?}");
        }
    }
}
