//! The second mover of a chain: it takes the address from what the first one moves, or from another node, onto something
//! of the node's own, at once and whatever the first one's is doing.

use std::time::Duration;

use floatip_core::{Accepted, MoveError, Placement, Token};

use super::{Occupant, Provider, conflict};

/// What the second mover sees while the first one's has the address.
pub(crate) const CARRIER: &str = "what the first mover moves";

impl Provider {
    fn taken_token(&self, node: usize) -> Token {
        Token::snapshot(format!("own of {}", self.nodes[node]))
    }

    /// What the first mover sees of an address that was taken over.
    pub(super) fn seen_as_taken(&self, node: usize) -> Placement {
        Placement::Stranger { description: format!("{}'s own", self.nodes[node]), token: self.taken_token(node) }
    }

    pub(super) fn seen_by_second(&self) -> Placement {
        match (self.taken_by, self.holders.as_slice()) {
            (Some(node), _) => Placement::held(self.nodes[node].clone(), self.taken_token(node)),
            // What is leaving a stranger is nobody's.
            (None, [Occupant::Stranger, ..]) if self.change.is_none() => {
                Placement::Stranger { description: "i-elsewhere".into(), token: Token::snapshot("i-elsewhere") }
            }
            (None, [] | [Occupant::Stranger | Occupant::Node(_), ..]) => {
                Placement::Stranger { description: CARRIER.into(), token: Token::snapshot(CARRIER) }
            }
        }
    }

    pub(crate) fn check_take_over(&self, seen: &Placement) -> Result<(), MoveError> {
        if seen.token() == self.seen_by_second().token() { Ok(()) } else { Err(conflict("claim")) }
    }

    pub(crate) fn take_over(&mut self, now: Duration, to: usize) -> Accepted {
        self.leave(now);
        self.taken_by = Some(to);
        self.note(now);
        let token = self.taken_token(to);
        if self.enforced { Accepted::with_token(token) } else { Accepted::without_token() }
    }
}
