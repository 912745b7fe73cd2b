use std::future::Future;

tokio::task_local! {
    static CURRENT: Urgency;
}

/// How soon the answer of a mover's call is needed, for movers that share a limited number of calls: whatever belongs to
/// a move goes before the sweeps that look whether all is well.
///
/// The orchestrator sets it for each call that it makes; a mover may look at it, and need not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nothing is going on: a sweep, a repair in the background, a check of what could be.
    Routine,
    /// A move waits for it, or may begin by it.
    Move,
}

impl Urgency {
    /// That of the call within which this is asked. Outside of any: [`Urgency::Move`], so that nobody waits who has not
    /// said that he can. It is not inherited by tasks that the call spawns.
    pub fn current() -> Self {
        CURRENT.try_with(|urgency| *urgency).unwrap_or(Self::Move)
    }

    /// Makes it that of everything that `call` does.
    pub async fn scope<F: Future>(self, call: F) -> F::Output {
        CURRENT.scope(self, call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_knows_how_urgent_it_is_and_is_so_by_default() {
        assert_eq!(Urgency::current(), Urgency::Move);
        assert_eq!(Urgency::Routine.scope(async { Urgency::current() }).await, Urgency::Routine);
        assert_eq!(Urgency::current(), Urgency::Move);
    }
}
