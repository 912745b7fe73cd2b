//! What the provider's readings say about the place of the address.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::mover::{Placement, Token};

/// Two readings agree if they were asked for at least this far apart.
///
/// # Source
/// EC2 is eventually consistent: a read after a write may be stale for seconds ("Eventual consistency in the Amazon EC2
/// API", EC2 developer guide).
pub(crate) const AGREEMENT: Duration = Duration::from_secs(2);

/// How many superseded tokens are remembered.
const RETIRED: usize = 16;

/// For how long: a reading is stale for seconds, and a token that shows after this long is believed again.
const RETIREMENT: Duration = Duration::from_secs(60);

/// The newest that is known of the placement.
#[derive(Debug, Clone)]
pub(crate) enum Knowledge {
    /// Nothing was read yet.
    Unread,
    /// The newest reading.
    Known(Placement),
    /// The newest read failed or was stale: the holder is unknown.
    Unknown { error: String },
}

#[derive(Debug)]
pub(crate) struct Reader {
    knowledge: Knowledge,
    /// The read that is under way and when it was asked for.
    pending: Option<(u64, Instant)>,
    /// When the first of an unbroken row of free readings was asked for, and the newest.
    free: Option<(Instant, Instant)>,
    /// Since when the placement has read as in transition.
    transition: Option<Instant>,
    /// Since when the placement has read as split.
    split: Option<(Instant, Instant)>,
    /// The same of a stranger.
    stranger: Option<(Instant, Instant)>,
    failures: u32,
    retired: VecDeque<(Token, Instant)>,
    answered: Option<Instant>,
    asked: Option<Instant>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            knowledge: Knowledge::Unread,
            pending: None,
            free: None,
            transition: None,
            split: None,
            stranger: None,
            failures: 0,
            retired: VecDeque::new(),
            answered: None,
            asked: None,
        }
    }

    pub(crate) fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    pub(crate) fn placement(&self) -> Option<&Placement> {
        match &self.knowledge {
            Knowledge::Known(placement) => Some(placement),
            Knowledge::Unread | Knowledge::Unknown { .. } => None,
        }
    }

    /// Reads in a row that failed.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the newest read was answered, well or badly.
    pub(crate) fn answered(&self) -> Option<Instant> {
        self.answered
    }

    /// When the read that was answered last had been asked for.
    pub(crate) fn asked(&self) -> Option<Instant> {
        self.asked
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.pending.is_some()
    }

    /// True if `call` is the read under way.
    pub(crate) fn awaits(&self, call: u64) -> bool {
        matches!(self.pending, Some((pending, _)) if pending == call)
    }

    pub(crate) fn begin(&mut self, call: u64, now: Instant) {
        self.pending = Some((call, now));
    }

    /// Ignores the read under way: it was asked for before a request, and so says nothing about it.
    pub(crate) fn abandon(&mut self) {
        self.pending = None;
    }

    /// Takes the answer of the read `call`. False if nobody waits for it any more.
    pub(crate) fn end(&mut self, now: Instant, call: u64, reading: Result<Placement, String>) -> bool {
        let asked = match self.pending {
            Some((pending, asked)) if pending == call => asked,
            Some(_) | None => return false,
        };
        self.pending = None;
        self.answered = Some(now);
        self.asked = Some(asked);
        let reading = reading.and_then(|placement| match placement.token() {
            Some(token) if self.is_retired(token, now) => Err(format!("the reading is stale: it shows {token} again")),
            Some(_) | None => Ok(placement),
        });
        match reading {
            Ok(placement) => {
                self.failures = 0;
                let extended =
                    |row: Option<(Instant, Instant)>| Some(row.map_or((asked, asked), |(first, _)| (first, asked)));
                self.free = if placement == Placement::Free { extended(self.free) } else { None };
                self.split = if matches!(placement, Placement::Split { .. }) { extended(self.split) } else { None };
                let strange = matches!(placement, Placement::Stranger { .. });
                self.stranger = if strange { extended(self.stranger) } else { None };
                self.transition = match placement {
                    Placement::Transition { .. } => self.transition.or(Some(now)),
                    Placement::Held { .. } | Placement::Free | Placement::Stranger { .. } | Placement::Split { .. } => {
                        None
                    }
                };
                self.knowledge = Knowledge::Known(placement);
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.knowledge = Knowledge::Unknown { error };
            }
        }
        true
    }

    /// True if agreeing reads say that nobody holds the address.
    pub(crate) fn agreed_free(&self) -> bool {
        self.free.is_some_and(|(first, newest)| newest >= first + AGREEMENT)
    }

    /// True if the newest readings agree that a stranger holds the address.
    pub(crate) fn agreed_stranger(&self) -> bool {
        self.stranger.is_some_and(|(first, newest)| newest >= first + AGREEMENT)
    }

    /// True if agreeing reads say that the address is split.
    pub(crate) fn agreed_split(&self) -> bool {
        self.split.is_some_and(|(first, newest)| newest >= first + AGREEMENT)
    }

    /// When the reading that could agree with the first one may be asked for.
    pub(crate) fn agreement_due(&self) -> Option<Instant> {
        self.free
            .or(self.split)
            .or(self.stranger)
            .filter(|(first, newest)| *newest < *first + AGREEMENT)
            .map(|(first, _)| first + AGREEMENT)
    }

    /// Since when the address has been on its way, by no request of this monitor.
    pub(crate) fn in_transition_since(&self) -> Option<Instant> {
        self.transition
    }

    fn is_retired(&self, token: &Token, now: Instant) -> bool {
        self.retired.iter().any(|(retired, at)| retired == token && now < *at + RETIREMENT)
    }

    /// Remembers that `token` has been superseded, by a move of this monitor or by somebody else's during one: a reading
    /// that shows it is stale.
    pub(crate) fn retire(&mut self, token: &Token, now: Instant) {
        match token {
            Token::Generation(_) if !self.is_retired(token, now) => {
                if self.retired.len() == RETIRED {
                    self.retired.pop_front();
                }
                self.retired.push_back((token.clone(), now));
            }
            Token::Generation(_) | Token::Snapshot(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::NodeId;

    fn held(token: &str) -> Placement {
        Placement::held(NodeId::new("a").unwrap(), Token::generation(token))
    }

    fn read(reader: &mut Reader, at: Instant, placement: Result<Placement, String>) {
        reader.begin(1, at);
        assert!(reader.end(at, 1, placement));
    }

    #[test]
    fn two_free_readings_agree_only_when_far_enough_apart() {
        let t = Instant::now();
        let mut reader = Reader::new();
        read(&mut reader, t, Ok(Placement::Free));
        read(&mut reader, t + Duration::from_millis(1999), Ok(Placement::Free));
        assert!(!reader.agreed_free());
        read(&mut reader, t + AGREEMENT, Ok(Placement::Free));
        assert!(reader.agreed_free());
    }

    #[test]
    fn a_reading_of_a_holder_between_two_free_ones_breaks_their_agreement() {
        let t = Instant::now();
        let mut reader = Reader::new();
        read(&mut reader, t, Ok(Placement::Free));
        read(&mut reader, t + AGREEMENT / 2, Ok(held("1")));
        read(&mut reader, t + AGREEMENT, Ok(Placement::Free));
        assert!(!reader.agreed_free());
    }

    #[test]
    fn a_retired_token_makes_a_reading_unknown() {
        let t = Instant::now();
        let mut reader = Reader::new();
        reader.retire(&Token::generation("1"), t);
        read(&mut reader, t, Ok(held("1")));
        assert!(reader.placement().is_none());
        read(&mut reader, t + RETIREMENT, Ok(held("1")));
        assert!(reader.placement().is_some(), "it is no stale reading any more");
        read(&mut reader, t, Ok(held("2")));
        assert!(reader.placement().is_some());
    }

    #[test]
    fn an_answer_that_was_asked_for_before_a_request_is_ignored() {
        let mut reader = Reader::new();
        reader.begin(7, Instant::now());
        reader.abandon();
        assert!(!reader.end(Instant::now(), 7, Ok(Placement::Free)));
    }

    #[test]
    fn two_readings_of_a_stranger_or_of_a_split_address_agree_only_when_far_enough_apart() {
        let t = Instant::now();
        let stranger = || Placement::Stranger { description: "it".into(), token: Token::snapshot("s") };
        let split = || Placement::Split { parts: Vec::new(), token: Token::snapshot("p") };
        let mut reader = Reader::new();
        for (at, agree) in [(Duration::ZERO, false), (AGREEMENT - Duration::from_millis(1), false), (AGREEMENT, true)] {
            read(&mut reader, t + at, Ok(stranger()));
            assert_eq!((reader.agreed_stranger(), reader.agreed_split()), (agree, false), "{at:?}");
        }
        let t = t + AGREEMENT;
        for (at, agree) in [(Duration::ZERO, false), (AGREEMENT - Duration::from_millis(1), false), (AGREEMENT, true)] {
            read(&mut reader, t + at, Ok(split()));
            assert_eq!((reader.agreed_stranger(), reader.agreed_split()), (false, agree), "{at:?}");
        }
    }

    #[test]
    fn as_many_superseded_tokens_are_remembered_as_is_said() {
        let t = Instant::now();
        let mut reader = Reader::new();
        for token in 0..=RETIRED {
            reader.retire(&Token::generation(token.to_string()), t);
        }
        for (token, believed) in [("0", true), ("1", false), ("16", false)] {
            read(&mut reader, t, Ok(held(token)));
            assert_eq!(reader.placement().is_some(), believed, "{token}");
        }
    }
}
