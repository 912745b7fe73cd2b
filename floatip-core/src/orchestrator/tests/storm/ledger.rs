//! What was true in a storm, and what was found to be broken.

use super::super::*;

/// How long after its last sickness a holder may still be taken for sick: one interval, and `rise` slow answers.
pub(super) const GRACE: Duration = Duration::from_millis(3500);

/// What was true, and what was found to be broken. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    began: Instant,
    told: bool,
    shared: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    broken: Vec<String>,
    /// Times in which a node was sick, by its own host or through the address.
    sick: Vec<(NodeId, Via, Instant, Option<Instant>)>,
}

impl Ledger {
    pub(super) fn new(told: bool) -> Self {
        Self { began: Instant::now(), told, shared: Arc::default() }
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if self.told {
            eprintln!("{:>9.3} {}", self.began.elapsed().as_secs_f64(), what());
        }
    }

    pub(super) fn break_rule(&self, what: String) {
        self.note(|| format!("BROKEN: {what}"));
        self.shared.lock().unwrap().broken.push(format!("{:.3}: {what}", self.began.elapsed().as_secs_f64()));
    }

    pub(super) fn broken(&self) -> Vec<String> {
        self.shared.lock().unwrap().broken.clone()
    }

    pub(super) fn set_sick(&self, node: &NodeId, via: Via, sick: bool) {
        let mut notes = self.shared.lock().unwrap();
        let now = Instant::now();
        let open = notes.sick.iter_mut().find(|(name, by, _, until)| name == node && *by == via && until.is_none());
        match (open, sick) {
            (None, true) => notes.sick.push((node.clone(), via, now, None)),
            (Some((.., until)), false) => *until = Some(now),
            (Some(_), true) | (None, false) => {}
        }
    }

    pub(super) fn is_sick(&self, node: &NodeId) -> bool {
        let notes = self.shared.lock().unwrap();
        notes.sick.iter().any(|(name, _, _, until)| name == node && until.is_none())
    }

    /// True if the node was sick at some time within [`GRACE`].
    pub(super) fn was_sick(&self, node: &NodeId) -> bool {
        let since = Instant::now() - GRACE;
        let notes = self.shared.lock().unwrap();
        notes.sick.iter().any(|(name, _, _, until)| name == node && until.is_none_or(|until| until >= since))
    }

    /// True if the node was well by its own host at some time within [`GRACE`].
    pub(super) fn was_well(&self, node: &NodeId) -> bool {
        let since = Instant::now() - GRACE;
        let notes = self.shared.lock().unwrap();
        let sick = |(name, via, from, until): &(NodeId, Via, Instant, Option<Instant>)| {
            name == node && *via == Via::Direct && *from <= since && until.is_none()
        };
        !notes.sick.iter().any(sick)
    }
}
