//! `[floating_ip.mover]` with its `[[floating_ip.mover.fallback]]`: other mechanisms for the same address.

use std::ops::Range;

use toml::Spanned;

use super::diagnostic::Report;
use super::mover::{self, Mover};
use super::setting::Address;
use super::table::Table;

/// What moves the address, the preferred mechanism first.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) first: Option<Mover>,
    pub(super) fallbacks: Vec<Mover>,
    /// `force_detach`, another word for the policy's `force_release`, and where it stands.
    pub(super) force_detach: Option<Spanned<bool>>,
}

pub(super) fn read(mut table: Table<'_>, address: Option<&Address>) -> Chain {
    let report = table.report;
    let tables = if table.has("fallback") { table.tables("fallback").unwrap_or_default() } else { Vec::new() };
    let force_detach = table.optional::<bool>("force_detach");
    let first = mover::read(table, address);
    if let (Some(force_detach), Some(Mover::Eip { .. } | Mover::PrivateIp { .. } | Mover::Route { .. })) =
        (&force_detach, &first)
    {
        report.error(
            force_detach.span(),
            "`force_detach` is a setting of kind \"eni\", and nothing else is detached",
            "leave it out",
        );
    }
    let mut chain = Chain { first, fallbacks: Vec::new(), force_detach };
    for table in tables {
        let at = table.span.clone();
        let Some(next) = mover::read(table, address) else { continue };
        for earlier in chain.first.iter().chain(&chain.fallbacks) {
            judge(report, at.clone(), earlier, &next, address);
        }
        chain.fallbacks.push(next);
    }
    chain
}

/// Says why `next` can never bring the address that `earlier` moves, if it cannot.
fn judge(report: &Report<'_>, at: Range<usize>, earlier: &Mover, next: &Mover, address: Option<&Address>) {
    let (message, hint) = match (earlier, next) {
        (Mover::Eni { .. }, Mover::PrivateIp { private_ip }) => {
            match address.and_then(|address| address.0.ip()).filter(|ip| ip != private_ip) {
                Some(ip) => (format!("this fallback moves {private_ip}, and clients use {ip}"), "leave `private_ip` out"),
                None => return,
            }
        }
        (Mover::Eni { .. }, Mover::Eni { .. })
        | (Mover::Eip { .. }, Mover::Eip { .. })
        | (Mover::PrivateIp { .. }, Mover::PrivateIp { .. })
        | (Mover::Route { .. }, Mover::Route { .. }) => {
            ("this fallback is the same mechanism again".to_owned(), "leave it out: it is retried anyway")
        }
        (Mover::Route { .. }, _) | (_, Mover::Route { .. }) => (
            "a route moves an overlay address outside of the VPC's CIDR, and every other mechanism one of its own kind: \
             it can never be the same address"
                .to_owned(),
            "leave the fallback out",
        ),
        (Mover::Eip { .. }, _) | (_, Mover::Eip { .. }) => (
            "an Elastic IP address is public, and nothing else can bring it; it follows the private address to which it \
             leads by itself"
                .to_owned(),
            "leave the fallback out",
        ),
        (Mover::PrivateIp { .. }, Mover::Eni { .. }) => (
            "an interface brings only addresses that are on it, and this one has left it by then".to_owned(),
            "make kind \"eni\" the mover, and \"private-ip\" its fallback",
        ),
    };
    report.error(at, message, hint);
}
