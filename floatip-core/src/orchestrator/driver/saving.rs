//! Writing what is to be remembered, and the history: failover never waits for it.

use super::task::{Output, Purpose};
use super::{Driver, Slot};
use crate::event::EventKind;
use crate::orchestrator::clock::wall;

impl Driver {
    /// Writes what is to be remembered, one write of a floating IP at a time; the newest wins.
    pub(super) fn begin_save(&mut self, slot: usize) {
        let Slot { state, saving, unsaved, .. } = &mut self.slots[slot];
        let Some(file) = state.clone().filter(|_| !*saving) else { return };
        let Some(durable) = unsaved.take() else { return };
        *saving = true;
        let at = wall();
        let id = self.tasks.spawn_blocking(move || {
            let error = file.save(at, durable).err();
            Output::Saved { slot, error: error.map(|error| format!("{}: {error}", file.path().display())) }
        });
        self.purposes.insert(id.id(), Purpose::Save { slot });
    }

    pub(super) fn end_save(&mut self, slot: usize, error: Option<String>) {
        self.slots[slot].saving = false;
        self.note_saved(slot, error);
        self.begin_save(slot);
    }

    /// Says that something could not be written, once until it can be again.
    fn note_saved(&mut self, slot: usize, error: Option<String>) {
        let failed = error.is_some();
        let failed_before = std::mem::replace(&mut self.slots[slot].save_failed, failed);
        if let Some(error) = error.filter(|_| !failed_before) {
            self.tell(slot, EventKind::StateNotSaved { error });
        }
    }

    /// Writes the history, one write of a floating IP at a time.
    pub(super) fn begin_save_history(&mut self, slot: usize) {
        let Slot { history, history_file, saving_history, history_unsaved, .. } = &mut self.slots[slot];
        let Some(file) = history_file.clone().filter(|_| *history_unsaved && !*saving_history) else { return };
        (*saving_history, *history_unsaved) = (true, false);
        let decisions = history.decisions();
        let id = self.tasks.spawn_blocking(move || {
            let error = file.save(&decisions).err();
            let error = error.map(|error| format!("{}: {error}", file.path().display()));
            Output::HistorySaved { slot, error }
        });
        self.purposes.insert(id.id(), Purpose::SaveHistory { slot });
    }

    pub(super) fn end_save_history(&mut self, slot: usize, error: Option<String>) {
        self.slots[slot].saving_history = false;
        self.note_saved(slot, error);
        self.begin_save_history(slot);
    }
}
