//! One reader for each mover of the chain, and whose reading is the truth.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::reader::Reader;
use crate::mover::Placement;

/// The readers of all movers. It reads like the one whose reading is the truth now: that of the mover by which the
/// address is held, or which moves it.
#[derive(Debug)]
pub(super) struct Readers {
    of: Vec<Reader>,
    active: usize,
}

impl Deref for Readers {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.of[self.active]
    }
}

impl DerefMut for Readers {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.of[self.active]
    }
}

impl Readers {
    pub(super) fn new(movers: usize) -> Self {
        Self { of: (0..movers).map(|_| Reader::new()).collect(), active: 0 }
    }

    /// The mover whose reading is the truth.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// From now on `mover` moves the address, and so its reading counts.
    pub(super) fn follow(&mut self, mover: usize) {
        self.active = mover;
    }

    /// What `mover` read last, if it could.
    pub(super) fn placement_by(&self, mover: usize) -> Option<&Placement> {
        self.of[mover].placement()
    }

    pub(super) fn is_reading(&self) -> bool {
        self.of.iter().any(Reader::is_reading)
    }

    pub(super) fn begin_by(&mut self, mover: usize, call: u64, now: Instant) {
        self.of[mover].begin(call, now);
    }

    pub(super) fn abandon(&mut self) {
        self.of.iter_mut().for_each(Reader::abandon);
    }

    /// Takes the answer of the read `call`. True once every read that was begun with it has been answered.
    pub(super) fn end(&mut self, now: Instant, call: u64, reading: Result<Placement, String>) -> bool {
        let Some(reader) = self.of.iter_mut().find(|reader| reader.awaits(call)) else { return false };
        reader.end(now, call, reading) && !self.is_reading()
    }

    /// Agreeing reads of the mover whose reading is the truth show that nobody holds the address.
    pub(super) fn agreed_free_by_active(&self) -> bool {
        self.of[self.active].agreed_free()
    }

    /// Agreeing reads show that nobody holds the address, and every mover could see that.
    pub(super) fn agreed_free(&self) -> bool {
        let unheld = |reader: &Reader| reader.placement().is_some_and(|placement| placement.holder().is_none());
        self.agreed_free_by_active() && self.of.iter().all(unheld)
    }

    /// Finds out anew, while nothing moves, by which mover the address is held: whoever reads that a node holds it. A
    /// mover that finds it on a stranger, on which it may be by another mechanism, gives way to one that does not.
    pub(super) fn elect(&mut self) {
        let holds = |reader: &Reader| reader.placement().is_some_and(|placement| placement.holder().is_some());
        let tells = |reader: &Reader| {
            reader.placement().is_some_and(|placement| !matches!(placement, Placement::Stranger { .. }))
        };
        if holds(&self.of[self.active]) {
            return;
        }
        if let Some(mover) = self.of.iter().position(holds) {
            self.active = mover;
        } else if matches!(self.of[self.active].placement(), Some(Placement::Stranger { .. })) {
            self.active = self.of.iter().position(tells).unwrap_or(self.active);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mover::Token;
    use crate::node::NodeId;

    fn held() -> Placement {
        Placement::held(NodeId::new("a").unwrap(), Token::snapshot("a"))
    }

    fn stranger() -> Placement {
        Placement::Stranger { description: "the moving interface".into(), token: Token::snapshot("m") }
    }

    /// Readers of which the first has been the truth, after both have read this.
    fn read(readings: [Result<Placement, String>; 2]) -> Readers {
        let now = Instant::now();
        let mut readers = Readers::new(2);
        for mover in 0..2 {
            readers.begin_by(mover, mover as u64, now);
        }
        let [first, second] = readings;
        assert!(!readers.end(now, 0, first), "the other one is still being waited for");
        assert!(readers.end(now, 1, second));
        readers.elect();
        readers
    }

    #[test]
    fn the_truth_is_the_reading_of_the_mover_by_which_a_node_holds_the_address() {
        let error = || Err("no".to_owned());
        for (readings, active) in [
            ([Ok(held()), Ok(stranger())], 0),
            ([Ok(Placement::Free), Ok(held())], 1),
            ([Ok(stranger()), Ok(held())], 1),
            ([error(), Ok(held())], 1),
            ([error(), Ok(stranger())], 0),
            ([Ok(Placement::Free), Ok(stranger())], 0),
            ([Ok(stranger()), Ok(Placement::Free)], 1),
            ([Ok(stranger()), Ok(stranger())], 0),
        ] {
            assert_eq!(read(readings.clone()).active(), active, "{readings:?}");
        }
    }

    #[test]
    fn an_address_is_not_free_while_another_mover_cannot_tell() {
        let t = Instant::now();
        for (other, free) in [(Ok(stranger()), true), (Err("no".to_owned()), false)] {
            let mut readers = Readers::new(2);
            for at in [t, t + super::super::reader::AGREEMENT] {
                readers.begin_by(0, 1, at);
                readers.begin_by(1, 2, at);
                readers.end(at, 1, Ok(Placement::Free));
                readers.end(at, 2, other.clone());
            }
            assert_eq!(readers.agreed_free(), free, "{other:?}");
            assert!(readers.agreed_free_by_active(), "what a move of the first one goes by: {other:?}");
        }
    }

    #[test]
    fn what_was_asked_before_a_request_is_ignored_whichever_mover_it_was_asked_of() {
        let now = Instant::now();
        let mut readers = Readers::new(2);
        readers.begin_by(1, 1, now);
        readers.abandon();
        assert!(!readers.is_reading());
        assert!(!readers.end(now, 1, Ok(held())));
    }
}
