//! `[floating_ip.mover]`: what moves the address.

use std::net::IpAddr;

use floatip_aws::{EniMover, Fencing, RouteTables};
use toml::de::DeValue;

use super::setting::{Address, AllocationId, InterfaceId, RouteTableId};
use super::table::{Fault, Setting, Table, closest};

/// What moves the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mover {
    /// A network interface that is detached and attached.
    Eni { network_interface: InterfaceId, device_index: DeviceIndex },
    /// An Elastic IP that is associated anew.
    Eip { allocation: AllocationId, fencing: Fencing },
    /// A private or IPv6 address that is given to another interface.
    PrivateIp { private_ip: IpAddr },
    /// An overlay address whose routes are led elsewhere.
    Route { destination: IpAddr, route_tables: RouteTables },
}

impl Mover {
    /// True if it releases the address before another node gets it, and so can give it to its holder anew.
    pub(super) fn releases_first(&self) -> bool {
        match self {
            Self::Eni { .. } => true,
            Self::Eip { fencing, .. } => *fencing == Fencing::Strict,
            Self::PrivateIp { private_ip } => private_ip.is_ipv6(),
            Self::Route { .. } => false,
        }
    }

    /// What two floating IPs may not share.
    pub(crate) fn resource(&self) -> String {
        match self {
            Self::Eni { network_interface, .. } => network_interface.0.clone(),
            Self::Eip { allocation, .. } => allocation.0.clone(),
            Self::PrivateIp { private_ip } => private_ip.to_string(),
            Self::Route { destination, .. } => format!("the route to {destination}"),
        }
    }
}

/// `kind` of a mover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MoverKind {
    Eni,
    Eip,
    PrivateIp,
    Route,
}

impl MoverKind {
    const ALL: [Self; 4] = [Self::Eni, Self::Eip, Self::PrivateIp, Self::Route];

    fn name(self) -> &'static str {
        match self {
            Self::Eni => "eni",
            Self::Eip => "eip",
            Self::PrivateIp => "private-ip",
            Self::Route => "route",
        }
    }

    /// Its own settings.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Eni => &["network_interface", "device_index"],
            Self::Eip => &["allocation", "fencing"],
            Self::PrivateIp => &["private_ip"],
            Self::Route => &["destination", "route_tables"],
        }
    }

    fn refuse_others(self, table: &mut Table<'_>) {
        for other in Self::ALL.into_iter().filter(|other| *other != self) {
            table.refuse(self.name(), &format!("\"{}\"", other.name()), other.keys());
        }
    }
}

impl Setting for MoverKind {
    const EXPECTED: &'static str = "`kind = \"eni\"`, \"eip\", \"private-ip\" or \"route\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let word = value.as_str().ok_or(Fault::WrongType)?;
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == word);
        kind.ok_or_else(|| unknown(word, "mover", &Self::ALL.map(Self::name)))
    }
}

/// The device index that the interface gets on each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceIndex(pub(crate) u8);

impl Default for DeviceIndex {
    fn default() -> Self {
        Self(EniMover::DEFAULT_DEVICE_INDEX)
    }
}

impl Setting for DeviceIndex {
    const EXPECTED: &'static str = "a device index, such as `device_index = 1`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match u8::read(value)? {
            0 => Err(Fault::invalid(
                "index 0 is an instance's primary interface, which cannot move",
                "write 1 or more: an index that is free on every node",
            )),
            index => Ok(Self(index)),
        }
    }
}

impl Setting for RouteTables {
    const EXPECTED: &'static str = "`route_tables = [\"rtb-…\"]`, or { tag = \"ha\", value = \"ftp\" }";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        if let Some(table) = value.as_table() {
            let word = |key| table.get(key).and_then(|value| value.get_ref().as_str()).filter(|word| !word.is_empty());
            return match (word("tag"), word("value"), table.len()) {
                (Some(key), Some(value), 2) => Ok(Self::Tag { key: key.to_owned(), value: value.to_owned() }),
                (Some(_) | None, Some(_) | None, _) => Err(Fault::invalid(
                    "it takes the keys `tag` and `value`, and nothing else",
                    format!("write {}", <Self as Setting>::EXPECTED),
                )),
            };
        }
        let ids = value.as_array().ok_or(Fault::WrongType)?;
        let mut tables = Vec::new();
        for id in ids {
            let RouteTableId(id) = RouteTableId::read(id.get_ref())?;
            if tables.contains(&id) {
                return Err(Fault::invalid(format!("{id} is named twice"), "leave one of them out"));
            }
            tables.push(id);
        }
        match tables.len() {
            1..=Self::MOST => Ok(Self::Ids(tables)),
            many => {
                let hint = format!("write 1 to {} tables, or select them by a tag", Self::MOST);
                Err(Fault::invalid(format!("there are {many} route tables"), hint))
            }
        }
    }
}

impl Setting for Fencing {
    const EXPECTED: &'static str = "`fencing = \"overwrite\"` or `fencing = \"strict\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "overwrite" => Ok(Self::Overwrite),
            "strict" => Ok(Self::Strict),
            other => Err(unknown(other, "fencing", &["overwrite", "strict"])),
        }
    }
}

/// A word that is none of those that may be written.
pub(super) fn unknown(word: &str, noun: &str, words: &[&str]) -> Fault {
    let hint = match closest(word, words) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => {
            format!("write one of {}", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
        }
    };
    Fault::invalid(format!("there is no {noun} {word:?}"), hint)
}

/// `address` is what clients use: where the mover needs one, and has none of its own, it is this.
pub(super) fn read(mut table: Table<'_>, address: Option<&Address>) -> Option<Mover> {
    let kind = table.required::<MoverKind>("kind")?.into_inner();
    kind.refuse_others(&mut table);
    let ip = |own: Option<toml::Spanned<IpAddr>>| own.map(toml::Spanned::into_inner).or_else(|| address?.0.ip());
    let mover = match kind {
        MoverKind::Eni => {
            let network_interface = table.required("network_interface");
            let mut device_index = DeviceIndex::default();
            table.set("device_index", &mut device_index);
            network_interface.map(|id| Mover::Eni { network_interface: id.into_inner(), device_index })
        }
        MoverKind::Eip => {
            let allocation = table.required("allocation");
            let mut fencing = Fencing::default();
            table.set("fencing", &mut fencing);
            allocation.map(|id| Mover::Eip { allocation: id.into_inner(), fencing })
        }
        MoverKind::PrivateIp => ip(table.optional("private_ip")).map(|private_ip| Mover::PrivateIp { private_ip }),
        MoverKind::Route => {
            let route_tables = table.required("route_tables").map(toml::Spanned::into_inner);
            let destination = ip(table.optional("destination"));
            destination.zip(route_tables).map(|(destination, route_tables)| Mover::Route { destination, route_tables })
        }
    };
    table.finish();
    mover
}
