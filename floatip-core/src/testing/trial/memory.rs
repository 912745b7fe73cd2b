//! A stage in memory.

use std::sync::Arc;
use std::time::Duration;

use super::Stage;
use crate::mover::{AddressMover, Capabilities, Strategy};
use crate::node::NodeId;
use crate::testing::{Fault, Faults, InMemoryMover, InMemoryProvider, Occupant, Tokens};

/// An in-memory address on the first of the nodes `a`, `b` and `c`.
#[derive(Debug)]
pub struct InMemoryStage {
    provider: InMemoryProvider,
    mover: InMemoryMover,
    faults: Faults,
}

impl InMemoryStage {
    /// A stage whose movers release first, with tokens that are never used twice: as with a network interface.
    pub fn release_first() -> Self {
        Self::with(Tokens::Generation, InMemoryMover::release_first)
    }

    /// A stage whose movers overwrite, with snapshots for tokens: as with a private IP.
    pub fn overwrite() -> Self {
        let capabilities = Capabilities::new(Strategy::Overwrite).kind("overwrite");
        Self::with(Tokens::Snapshot, |provider| InMemoryMover::new(provider, capabilities))
    }

    fn with(tokens: Tokens, mover: impl FnOnce(&InMemoryProvider) -> InMemoryMover) -> Self {
        let nodes = names();
        let provider = InMemoryProvider::with_tokens(nodes.clone(), tokens);
        provider.set_release_duration(Duration::from_millis(250));
        provider.set_claim_duration(Duration::from_millis(150));
        provider.set_latency(Duration::from_millis(4));
        provider.put_on(&nodes[0]);
        let faults = Faults::default();
        let mover = mover(&provider).with_faults(&faults);
        Self { provider, mover, faults }
    }

    /// Its provider, to set times and to interfere.
    pub fn provider(&self) -> &InMemoryProvider {
        &self.provider
    }
}

fn names() -> Vec<NodeId> {
    ["a", "b", "c"].into_iter().filter_map(|name| NodeId::new(name).ok()).collect()
}

impl Stage for InMemoryStage {
    fn nodes(&self) -> Vec<NodeId> {
        names()
    }

    fn movers(&self) -> Vec<Arc<dyn AddressMover>> {
        vec![Arc::new(self.mover.clone())]
    }

    fn holders(&self) -> Vec<NodeId> {
        let history = self.provider.history();
        let node = |occupant: &Occupant| match occupant {
            Occupant::Node(node) => Some(node.clone()),
            Occupant::Stranger(_) => None,
        };
        history.last().map_or_else(Vec::new, |now| now.holders.iter().filter_map(node).collect())
    }

    fn most_holders(&self) -> usize {
        self.provider.most_holders()
    }

    fn serving(&self) -> Option<NodeId> {
        self.provider.serving()
    }

    fn calls(&self) -> usize {
        self.faults.total()
    }

    fn lose_reply(&self, skipped: usize) {
        self.faults.at_any(self.faults.total() + skipped, Fault::ReplyLost);
    }
}
