//! Which paths of one monitor are cut.

use std::time::Duration;

/// The paths of one monitor: each is cut until its time.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    direct: Vec<Duration>,
    floating: Vec<Duration>,
    prober: Vec<Duration>,
    witnesses: Vec<Duration>,
    provider: Duration,
    store: Duration,
}

/// One path of a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// To a node's own host.
    Direct(usize),
    /// To a node through the floating address.
    Floating(usize),
    /// The prober's own means of checking a node.
    Prober(usize),
    Witness(usize),
    Provider,
    Store,
}

impl Network {
    pub(crate) fn whole(nodes: usize, witnesses: usize) -> Self {
        let witnesses = vec![Duration::ZERO; witnesses];
        let whole = vec![Duration::ZERO; nodes];
        Self {
            direct: whole.clone(),
            floating: whole.clone(),
            prober: whole,
            witnesses,
            provider: Duration::ZERO,
            store: Duration::ZERO,
        }
    }

    fn until(&mut self, path: Path) -> &mut Duration {
        match path {
            Path::Direct(node) => &mut self.direct[node],
            Path::Floating(node) => &mut self.floating[node],
            Path::Prober(node) => &mut self.prober[node],
            Path::Witness(witness) => &mut self.witnesses[witness],
            Path::Provider => &mut self.provider,
            Path::Store => &mut self.store,
        }
    }

    pub(crate) fn cut(&mut self, path: Path, until: Duration) {
        let cut = self.until(path);
        *cut = until.max(*cut);
    }

    pub(crate) fn is_cut(&self, path: Path, now: Duration) -> bool {
        now < match path {
            Path::Direct(node) => self.direct[node],
            Path::Floating(node) => self.floating[node],
            Path::Prober(node) => self.prober[node],
            Path::Witness(witness) => self.witnesses[witness],
            Path::Provider => self.provider,
            Path::Store => self.store,
        }
    }
}
