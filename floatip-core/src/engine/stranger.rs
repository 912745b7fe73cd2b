//! An address on something that is no node.

use std::time::Instant;

use super::Engine;
use super::decision::Hold;

impl Engine {
    /// It is left alone, unless the policy allows to take it: then once agreeing reads show it there.
    pub(super) fn decide_stranger(&mut self, now: Instant) {
        if !self.settings.policy.take_from_strangers {
            return self.set_hold(Hold::None);
        }
        if self.reader.agreed_stranger() {
            self.rescue(now);
        }
    }
}
