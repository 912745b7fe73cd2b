//! The types of settings that more than one table uses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use floatip_core::{Host, NodeId};
use toml::de::DeValue;

use super::table::{Fault, Setting};

/// No duration of the file is longer: far more than any use, and far from what arithmetic could overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// How many bytes the name of a floating IP may have. A file's name has at most 255 on most file systems.
const LONGEST_NAME: usize = 100;

fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, Fault> {
    value.as_str().ok_or(Fault::WrongType)
}

fn whole(value: &DeValue<'_>, least: i64, most: i64) -> Result<i64, Fault> {
    let integer = value.as_integer().ok_or(Fault::WrongType)?;
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix())
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            let hint = format!("write a number from {least} to {most}");
            Fault::invalid(format!("{} is out of range", integer.as_str()), hint)
        })
}

impl Setting for String {
    const EXPECTED: &'static str = "a string in quotes";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match text(value)? {
            "" => Err(Fault::invalid("it is empty", "write a value, or leave the key out")),
            text => Ok(text.to_owned()),
        }
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        value.as_bool().ok_or(Fault::WrongType)
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        whole(value, 0, 1000).map(|number| number.unsigned_abs() as u32)
    }
}

impl Setting for u8 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        whole(value, 0, i64::from(u8::MAX)).map(|number| number.unsigned_abs() as u8)
    }
}

/// Texts, or one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Texts(pub(super) Vec<String>);

impl Setting for Texts {
    const EXPECTED: &'static str = "strings in brackets, such as [\"one\", \"two\"]";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_array() {
            Some(texts) => texts.iter().map(|text| String::read(text.get_ref())).collect::<Result<_, _>>().map(Self),
            None => String::read(value).map(|text| Self(vec![text])),
        }
    }
}

/// A TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Port(pub(crate) u16);

impl Setting for Port {
    const EXPECTED: &'static str = "a port, such as `port = 21`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        whole(value, 1, i64::from(u16::MAX)).map(|number| Self(number.unsigned_abs() as u16))
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration in quotes, such as \"2s\", \"500ms\" or \"10m\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let written = text(value)?;
        let hint = format!("write {}", Self::EXPECTED);
        let duration = humantime::parse_duration(written)
            .map_err(|error| Fault::invalid(format!("{written:?} is no duration: {error}"), hint))?;
        if duration > LONGEST {
            return Err(Fault::invalid(format!("{written} is too long"), "write at most \"366days\""));
        }
        Ok(duration)
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path in quotes";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        String::read(value).map(Self::from)
    }
}

impl Setting for Ipv4Addr {
    const EXPECTED: &'static str = "an IPv4 address, such as \"172.16.11.10\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let written = text(value)?;
        let hint = format!("write {}", Self::EXPECTED);
        written.parse().map_err(|_| Fault::invalid(format!("{written:?} is no IPv4 address"), hint))
    }
}

impl Setting for IpAddr {
    const EXPECTED: &'static str = "an IP address, such as \"172.16.11.50\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let written = text(value)?;
        let hint = format!("write {}", Self::EXPECTED);
        written.parse().map_err(|_| Fault::invalid(format!("{written:?} is no IP address"), hint))
    }
}

impl Setting for Host {
    const EXPECTED: &'static str = "an address or a DNS name, such as `host = \"172.16.11.10\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let written = text(value)?;
        let bare = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|ip| is_ipv6(ip));
        let hint = format!("write {}", Self::EXPECTED);
        let host: Self = bare.unwrap_or(written).parse().map_err(|error| {
            Fault::invalid(format!("{error}"), format!("{hint}, with a port `host = \"[fd00::5]:21\"`"))
        })?;
        match host.ip() {
            Some(ip) if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) => {
                Err(Fault::invalid(format!("{ip} is not the address of one machine"), hint))
            }
            None if !is_dns_name(host.name()) && !is_ipv6(host.name()) => {
                Err(Fault::invalid(format!("{:?} is neither an IP address nor a DNS name", host.name()), hint))
            }
            Some(_) | None => Ok(host),
        }
    }
}

/// True for an IPv6 address, also with a zone as in `fe80::1%eth0`.
fn is_ipv6(text: &str) -> bool {
    text.split_once('%').map_or(text, |(ip, _)| ip).parse::<Ipv6Addr>().is_ok()
}

/// # Source
/// RFC 1123, section 2.1: letters, digits and hyphens, at most 255 characters, and a last label that no part of an IPv4
/// address could be. Underscores occur in private zones.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(fits) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl Setting for NodeId {
    const EXPECTED: &'static str = "a name, such as `name = \"ftp-1\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        Self::new(text(value)?)
            .map_err(|error| Fault::invalid(format!("{error}"), "write a name without spaces, such as \"ftp-1\""))
    }
}

impl Setting for Vec<NodeId> {
    const EXPECTED: &'static str = "names in brackets, such as `prefer = [\"ftp-1\"]`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let names = value.as_array().ok_or(Fault::WrongType)?;
        names.iter().map(|name| NodeId::read(name.get_ref())).collect()
    }
}

/// The name of a floating IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) Arc<str>);

impl Setting for Name {
    const EXPECTED: &'static str = "a name, such as `name = \"ftp\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let name = NodeId::read(value)?;
        if name.as_str().contains(['/', '\\']) {
            return Err(Fault::invalid(
                format!("{:?} holds a slash", name.as_str()),
                "files in `state_dir` bear the name: write it without",
            ));
        }
        if name.as_str().starts_with(['.', '-']) || name.as_str().len() > LONGEST_NAME {
            return Err(Fault::invalid(
                "it cannot be the name of a file and of a command's argument",
                format!("write at most {LONGEST_NAME} bytes, and no dot or hyphen at the beginning"),
            ));
        }
        Ok(Self(name.as_str().into()))
    }
}

/// The floating address: an IP address, with a port where one machine plays all the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) Host);

impl Setting for Address {
    const EXPECTED: &'static str = "the address that clients use, such as `address = \"172.16.11.30\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let host = Host::read(value)?;
        match host.ip() {
            Some(_) => Ok(Self(host)),
            None => Err(Fault::invalid(
                format!("\"{host}\" is no IP address"),
                "a floating IP is one address: write it, not a name that resolves to it",
            )),
        }
    }
}

/// The id of an AWS resource: its prefix, then 8 or 17 hexadecimal digits.
fn resource_id(value: &DeValue<'_>, noun: &str, prefix: &str) -> Result<String, Fault> {
    let id = String::read(value)?;
    let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = |digits: &str| matches!(digits.len(), 8 | 17) && digits.bytes().all(digit);
    if id.strip_prefix(prefix).is_some_and(fits) {
        return Ok(id);
    }
    let hint = format!("write {prefix} and 8 or 17 hexadecimal digits, as EC2 shows it");
    Err(Fault::invalid(format!("{id:?} is not the id of {noun}"), hint))
}

/// The id of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceId(pub(crate) String);

impl Setting for InstanceId {
    const EXPECTED: &'static str = "the id of the instance, `instance = \"i-…\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        resource_id(value, "an instance", "i-").map(Self)
    }
}

/// The id of a network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InterfaceId(pub(crate) String);

impl Setting for InterfaceId {
    const EXPECTED: &'static str = "the id of the interface, `network_interface = \"eni-…\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        resource_id(value, "a network interface", "eni-").map(Self)
    }
}

/// The allocation id of an Elastic IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllocationId(pub(crate) String);

impl Setting for AllocationId {
    const EXPECTED: &'static str = "the allocation id of the Elastic IP, `allocation = \"eipalloc-…\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        resource_id(value, "an Elastic IP allocation", "eipalloc-").map(Self)
    }
}

/// The id of a route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteTableId(pub(crate) String);

impl Setting for RouteTableId {
    const EXPECTED: &'static str = "the id of a route table, such as \"rtb-0a1b2c3d4e5f60001\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        resource_id(value, "a route table", "rtb-").map(Self)
    }
}
