//! `[floating_ip.mover]`: what moves the address.

use floatip_aws::{EniMover, Fencing};
use toml::de::DeValue;

use super::setting::{AllocationId, InterfaceId};
use super::table::{Fault, Setting, Table, closest};

/// What moves the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mover {
    /// A network interface that is detached and attached.
    Eni { network_interface: InterfaceId, device_index: DeviceIndex },
    /// An Elastic IP that is associated anew.
    Eip { allocation: AllocationId, fencing: Fencing },
}

impl Mover {
    /// What two floating IPs may not share.
    pub(crate) fn resource(&self) -> &str {
        match self {
            Self::Eni { network_interface, .. } => &network_interface.0,
            Self::Eip { allocation, .. } => &allocation.0,
        }
    }
}

/// `kind` of a mover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MoverKind {
    Eni,
    Eip,
}

impl Setting for MoverKind {
    const EXPECTED: &'static str = "`kind = \"eni\"` or `kind = \"eip\"`";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value.as_str().ok_or(Fault::WrongType)? {
            "eni" => Ok(Self::Eni),
            "eip" => Ok(Self::Eip),
            other => Err(unknown(other, "mover", &["eni", "eip"])),
        }
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

pub(super) fn read(mut table: Table<'_>) -> Option<Mover> {
    let kind = table.required::<MoverKind>("kind").map(toml::Spanned::into_inner);
    let mover = match kind {
        None => return None,
        Some(MoverKind::Eni) => {
            table.refuse("eni", "\"eip\"", &["allocation", "fencing"]);
            let network_interface = table.required("network_interface");
            let mut device_index = DeviceIndex::default();
            table.set("device_index", &mut device_index);
            network_interface.map(|id| Mover::Eni { network_interface: id.into_inner(), device_index })
        }
        Some(MoverKind::Eip) => {
            table.refuse("eip", "\"eni\"", &["network_interface", "device_index"]);
            let allocation = table.required("allocation");
            let mut fencing = Fencing::default();
            table.set("fencing", &mut fencing);
            allocation.map(|id| Mover::Eip { allocation: id.into_inner(), fencing })
        }
    };
    table.finish();
    mover
}
