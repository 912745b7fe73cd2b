//! A holder that hangs, with the address, while a check may take longer than the interval between two.

use super::*;

/// A probe takes longer than everything else together, and only one is under way at once.
fn health() -> HealthSettings {
    HealthSettings { interval: 700 * MS, fast_interval: 350 * MS, timeout: 1200 * MS, fall: 1, rise: 1 }
}

struct Hanging {
    engine: Engine,
    now: Instant,
    hangs: bool,
    /// What is on its way to the engine: the probes that hang end when their timeout does.
    timeouts: Vec<(Instant, ProbeId, Instant)>,
    events: Vec<EventKind>,
    requested: bool,
}

impl Hanging {
    fn new() -> Self {
        let mut settings = Bench::new(false).engine.settings;
        let now = settings.origin;
        settings.checks[0].health = health();
        settings.policy.verify = Verify::Require;
        settings.pre_move = Some(2200 * MS);
        let engine = Engine::new(now, settings, &Durable { served: true, ..Durable::default() });
        Self { engine, now, hangs: false, timeouts: Vec::new(), events: Vec::new(), requested: false }
    }

    /// Lets so much time pass. The hooks never answer.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.events.extend(std::iter::from_fn(|| self.engine.poll_event()));
            if let Some(action) = self.engine.poll_action() {
                self.act(action);
                continue;
            }
            let answered = self.timeouts.iter().map(|(at, ..)| *at).min();
            let Some(due) = self.engine.poll_timeout().into_iter().chain(answered).min().filter(|due| *due <= end)
            else {
                break;
            };
            self.now = due;
            match self.timeouts.iter().position(|(at, ..)| *at <= due) {
                Some(at) => {
                    let (_, id, began) = self.timeouts.remove(at);
                    let verdict = Verdict::unhealthy(Reason::TimedOut { stage: "connect".into() });
                    self.engine.handle_probe(due, id, began, Ok(verdict));
                }
                None => self.engine.handle_timeout(due),
            }
        }
        self.now = end;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Locate { call, .. } => self.engine.handle_reading(self.now, call, Ok(held("a", "1"))),
            Action::Ready { call, .. } => self.engine.handle_readiness(self.now, call, Ok(Readiness::Ready)),
            Action::Release { .. } | Action::Claim { .. } => self.requested = true,
            Action::Probe { id: probe, node, via, .. } => {
                if self.hangs && (via == Via::Floating || node == Some(id("a"))) {
                    self.timeouts.push((self.now + health().timeout, probe, self.now));
                } else {
                    self.engine.handle_probe(self.now, probe, self.now, Ok(Verdict::healthy()));
                }
            }
            Action::DropProbe { id } => self.timeouts.retain(|(_, probe, _)| *probe != id),
            Action::Answer { .. } | Action::Save(_) | Action::ProbeWitness { .. } | Action::AskHooks { .. } => {}
        }
    }
}

#[test]
fn what_tells_against_a_holder_that_hangs_lasts_until_its_next_probe_has_timed_out() {
    let mut world = Hanging::new();
    world.run(10 * S);
    assert_eq!(world.engine.status(world.now).nodes[0].health, Health::Healthy);
    world.hangs = true;
    world.events.clear();
    // Detection, the bound of the hooks with its backstop, and a verdict that comes in the midst of it.
    world.run(health().worst_case_detection() + 2450 * MS + health().timeout);
    let lapsed = world.events.iter().any(|event| matches!(event, EventKind::NodeBecameUnknown { .. }));
    assert_eq!((lapsed, world.requested), (false, true), "{:?}", world.events);
}
