//! What nodes report of themselves, put where the probes of kind "push" look.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use floatip_core::NodeId;
use floatip_probes::{Mailbox, Report};

use crate::config::{Config, ProbeSpec};

/// The mailboxes of all floating IPs that have a probe of kind "push". Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<HashMap<Arc<str>, Desk>>);

/// One floating IP.
#[derive(Debug, Default)]
struct Desk {
    mailbox: Mailbox,
    nodes: HashSet<NodeId>,
}

/// Nobody waits for a report of this node.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no floating IP with a probe of kind \"push\" has a node named {node:?}{of}; known: {known}",
    of = floating_ip.as_ref().map_or_else(String::new, |name| format!(" and is named {name:?}")),
    known = if known.is_empty() { "none".to_owned() } else { known.join(", ") }
)]
pub(crate) struct UnknownReporter {
    node: String,
    floating_ip: Option<String>,
    /// The nodes that may report, the first few.
    known: Vec<String>,
}

/// How many names are told to whoever used one that is not known.
const MOST_NAMES: usize = 5;

impl Reports {
    pub(crate) fn new(config: &Config) -> Self {
        let pushed = |ip: &&crate::config::FloatingIpConfig| {
            ip.probes.iter().any(|probe| matches!(probe.spec, ProbeSpec::Push(_)))
        };
        let desks = config.floating_ips.iter().filter(pushed).map(|ip| {
            let nodes = ip.nodes.iter().map(|node| node.node.id.clone()).collect();
            (ip.floating_ip.name.clone(), Desk { mailbox: Mailbox::new(), nodes })
        });
        Self(Arc::new(desks.collect()))
    }

    /// Where the reports about the nodes of a floating IP arrive; an empty one if it has no probe of kind "push".
    pub(crate) fn mailbox(&self, floating_ip: &str) -> Mailbox {
        self.0.get(floating_ip).map(|desk| desk.mailbox.clone()).unwrap_or_default()
    }

    /// Takes a report for every floating IP that has the node, or for this one; gives back which they were.
    ///
    /// # Errors
    /// [`UnknownReporter`] if there is none. Nothing was taken.
    pub(crate) fn take(
        &self,
        node: &str,
        floating_ip: Option<&str>,
        report: &Report,
    ) -> Result<Vec<Arc<str>>, UnknownReporter> {
        let desks = || self.0.iter().filter(|(name, _)| floating_ip.is_none_or(|wanted| wanted == &***name));
        let id = NodeId::new(node).ok();
        let mut taken = Vec::new();
        for (name, desk) in desks() {
            if let Some(id) = desk.nodes.iter().find(|known| id.as_ref() == Some(known)) {
                desk.mailbox.take(id.clone(), report.clone());
                taken.push(name.clone());
            }
        }
        taken.sort();
        if taken.is_empty() {
            let known: HashSet<_> = desks().flat_map(|(_, desk)| &desk.nodes).map(ToString::to_string).collect();
            let mut known: Vec<_> = known.into_iter().collect();
            known
                .sort_by(|a, b| strsim::jaro_winkler(node, b).total_cmp(&strsim::jaro_winkler(node, a)).then(a.cmp(b)));
            known.truncate(MOST_NAMES);
            let floating_ip = floating_ip.map(str::to_owned);
            return Err(UnknownReporter { node: node.to_owned(), floating_ip, known });
        }
        Ok(taken)
    }
}
