//! What has happened in the demo so far: told by the monitor and by the client, understood here.

use std::time::{Duration, Instant};

use floatip_core::{EventKind, Step, Verification};

use super::client::Attempt;
use super::server::Server;

/// From one moment to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Span {
    pub(super) fn duration(self) -> Duration {
        self.to.saturating_duration_since(self.from)
    }
}

/// What the monitor thinks of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Opinion {
    #[default]
    Unknown,
    Up,
    Down,
}

/// Everything that was seen of one failover.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) began: Instant,
    /// The server that holds the address at first, and is killed.
    pub(super) victim: Server,
    pub(super) heir: Server,
    pub(super) killed: Option<Instant>,
    pub(super) opinions: [Opinion; 2],
    /// Where the monitor has read the address.
    pub(super) holder: Option<Server>,
    pub(super) attempts: Vec<Attempt>,
    /// When the move was decided.
    decided: Option<Instant>,
    /// When the monitor took the move for done.
    landed: Option<Instant>,
    steps: Vec<(Step, Span)>,
    verified: bool,
    /// The monitor's newest complaint since the kill.
    pub(super) complaint: Option<String>,
}

impl Story {
    pub(super) fn new(began: Instant, victim: Server, heir: Server) -> Self {
        Self {
            began,
            victim,
            heir,
            killed: None,
            opinions: [Opinion::Unknown; 2],
            holder: None,
            attempts: Vec::new(),
            decided: None,
            landed: None,
            steps: Vec::new(),
            verified: false,
            complaint: None,
        }
    }

    /// Takes note of an event that arrived at `at`.
    pub(super) fn note(&mut self, at: Instant, event: &EventKind) {
        if let EventKind::NodeCameUp { node } = event {
            self.judge(node.as_str(), Opinion::Up);
        } else if let EventKind::NodeWentDown { node, .. } = event {
            self.judge(node.as_str(), Opinion::Down);
        } else if let EventKind::NodeBecameUnknown { node } = event {
            self.judge(node.as_str(), Opinion::Unknown);
        } else if let EventKind::HolderChanged { to, .. } = event {
            self.holder = to.as_ref().and_then(|to| Server::of_name(to.as_str()));
        } else if self.killed.is_some() {
            self.note_move(at, event);
        }
        if self.killed.is_some() && event.is_trouble() {
            self.complaint = Some(event.to_string());
        }
    }

    fn note_move(&mut self, at: Instant, event: &EventKind) {
        if let EventKind::MoveStarted { .. } = event {
            self.decided.get_or_insert(at);
        } else if let EventKind::StepFinished { step, duration, .. } = event {
            let from = at.checked_sub(*duration).unwrap_or(at);
            self.steps.push((*step, Span { from, to: at }));
        } else if let EventKind::MoveFinished(receipt) = event
            && receipt.to.as_str() == self.heir.name()
        {
            self.landed = Some(at);
            self.verified = receipt.verification == Verification::Verified;
        }
    }

    fn judge(&mut self, node: &str, opinion: Opinion) {
        if let Some(server) = Server::of_name(node) {
            self.opinions[server.index()] = opinion;
        }
    }

    /// True if everything is as it should be before the kill.
    pub(super) fn is_well(&self) -> bool {
        let served = self.attempts.last().is_some_and(|attempt| attempt.by == Some(self.victim));
        self.opinions == [Opinion::Up; 2] && self.holder == Some(self.victim) && served
    }

    /// True once a client that came after the move has reached the other server.
    pub(super) fn is_over(&self) -> bool {
        let proves = |attempt: &Attempt| Some(attempt.asked) >= self.landed && attempt.by == Some(self.heir);
        self.landed.is_some() && self.attempts.iter().any(proves)
    }

    /// True if the monitor saw, and a client proved, that the service answers through the address.
    pub(super) fn is_verified(&self) -> bool {
        self.verified && self.is_over()
    }

    /// From the kill to the decision.
    pub(super) fn detection(&self) -> Option<Span> {
        Some(Span { from: self.killed?, to: self.decided? })
    }

    /// All that was spent on these steps.
    pub(super) fn spent_on(&self, steps: &[Step]) -> Vec<Span> {
        self.steps.iter().filter(|(step, _)| steps.contains(step)).map(|(_, span)| *span).collect()
    }

    /// From the last login that the killed server answered to the first one that the other did.
    pub(super) fn outage(&self) -> Option<Span> {
        let first = self.attempts.iter().position(|attempt| attempt.by == Some(self.heir))?;
        let (before, after) = self.attempts.split_at(first);
        let last = before.iter().rfind(|attempt| attempt.by == Some(self.victim))?;
        Some(Span { from: last.ended, to: after.first()?.ended })
    }
}

#[cfg(test)]
mod tests {
    use floatip_core::{Cause, NodeId};

    use super::*;
    use crate::demo::timeline::now;

    const MS: Duration = Duration::from_millis(1);

    fn killed() -> Story {
        let mut story = Story::new(now(), Server::Ftp1, Server::Ftp2);
        story.killed = Some(story.began + 100 * MS);
        story
    }

    fn attempt(story: &mut Story, asked: u32, by: Option<Server>) {
        let asked = story.began + asked * MS;
        story.attempts.push(Attempt { asked, ended: asked + 5 * MS, by });
    }

    #[test]
    fn the_outage_lasts_from_the_last_answer_of_the_killed_server_to_the_first_of_the_other() {
        let mut story = killed();
        for (asked, by) in [(50, Some(Server::Ftp1)), (90, Some(Server::Ftp1)), (120, None), (300, None)] {
            attempt(&mut story, asked, by);
        }
        assert_eq!(story.outage(), None);
        for asked in [500, 525] {
            attempt(&mut story, asked, Some(Server::Ftp2));
        }
        assert_eq!(story.outage().map(Span::duration), Some(410 * MS));
    }

    #[test]
    fn detection_lasts_from_the_kill_to_the_first_decision() {
        let mut story = killed();
        let (from, to) = (NodeId::new("ftp-1").ok(), NodeId::new("ftp-2").unwrap());
        for (after, id) in [(1200, 1), (1900, 2)] {
            let started =
                EventKind::MoveStarted { id, from: from.clone(), to: to.clone(), cause: Cause::Failover, detect: None };
            story.note(story.began + after * MS, &started);
        }
        assert_eq!(story.detection().map(Span::duration), Some(1100 * MS));
    }

    #[test]
    fn a_client_that_came_before_the_end_of_the_move_proves_nothing() {
        let mut story = killed();
        attempt(&mut story, 700, Some(Server::Ftp2));
        assert!(!story.is_over());
        story.landed = Some(story.began + 720 * MS);
        assert!(!story.is_over());
        attempt(&mut story, 725, None);
        assert!(!story.is_over());
        attempt(&mut story, 750, Some(Server::Ftp2));
        assert!(story.is_over());
    }
}
