//! A holder that hangs, with the address, while a check may take longer than the interval between two.

use super::*;

/// A probe takes longer than everything else together, and only one is under way at once.
fn health() -> HealthSettings {
    HealthSettings { interval: 700 * MS, fast_interval: 350 * MS, timeout: 1200 * MS, fall: 1, rise: 1 }
}

struct Hanging {
    engine: Engine,
    now: Instant,
    /// After how long probes of the holder fail, by its host and through the address; they do not while this is not said.
    fails_after: Option<Duration>,
    /// How long b takes to answer.
    latency: Duration,
    /// What is on its way to the engine, and when it comes: the probes that hang end when their timeout does.
    verdicts: Vec<(Instant, ProbeId, Instant, Verdict)>,
    events: Vec<EventKind>,
    requested: bool,
}

impl Hanging {
    fn new(seed: u64, pre_move: Option<Duration>) -> Self {
        let mut settings = Bench::new(false).engine.settings;
        let now = settings.origin;
        settings.seed = seed;
        settings.checks[0].health = health();
        settings.policy.verify = Verify::Require;
        settings.pre_move = pre_move;
        let engine = Engine::new(now, settings, &Durable { served: true, ..Durable::default() });
        let latency = Duration::ZERO;
        let (verdicts, events) = (Vec::new(), Vec::new());
        Self { engine, now, fails_after: None, latency, verdicts, events, requested: false }
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
            let answered = self.verdicts.iter().map(|(at, ..)| *at).min();
            let Some(due) = self.engine.poll_timeout().into_iter().chain(answered).min().filter(|due| *due <= end)
            else {
                break;
            };
            self.now = due;
            match self.verdicts.iter().position(|(at, ..)| *at <= due) {
                Some(at) => {
                    let (_, id, began, verdict) = self.verdicts.remove(at);
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
                let of_b = via == Via::Direct && node == Some(id("b"));
                let (after, verdict) = match self.fails_after.filter(|_| !of_b) {
                    Some(after) => (after, Verdict::unhealthy(Reason::TimedOut { stage: "connect".into() })),
                    None => (if of_b { self.latency } else { Duration::ZERO }, Verdict::healthy()),
                };
                self.verdicts.push((self.now + after, probe, self.now, verdict));
            }
            Action::DropProbe { id } => self.verdicts.retain(|(_, probe, ..)| *probe != id),
            Action::Answer { .. } | Action::Save(_) | Action::ProbeWitness { .. } | Action::AskHooks { .. } => {}
        }
    }
}

#[test]
fn what_tells_against_a_holder_that_hangs_lasts_until_its_next_probe_has_timed_out() {
    let mut world = Hanging::new(7, Some(2200 * MS));
    world.run(10 * S);
    assert_eq!(world.engine.status(world.now).nodes[0].health, Health::Healthy);
    world.fails_after = Some(health().timeout);
    world.events.clear();
    // Detection, the bound of the hooks with its backstop, and a verdict that comes in the midst of it.
    world.run(health().worst_case_detection() + 2450 * MS + health().timeout);
    let lapsed = world.events.iter().any(|event| matches!(event, EventKind::NodeBecameUnknown { .. }));
    assert_eq!((lapsed, world.requested), (false, true), "{:?}", world.events);
}

/// Where one failure is enough nobody is suspect beforehand, and the others are probed in step with the holder all the same.
#[test]
fn an_answer_of_another_node_does_not_end_its_probe_in_step_with_a_holder_that_may_fall_at_once() {
    // Each seed brings another phase of the one node's probes against the other's.
    for seed in 0..8 {
        let mut world = Hanging::new(seed, None);
        world.latency = 340 * MS;
        world.run(10 * S);
        world.fails_after = Some(world.latency);
        world.events.clear();
        let went_down = |event: &EventKind| matches!(event, EventKind::NodeWentDown { .. });
        while !world.events.iter().any(went_down) {
            world.run(MS);
        }
        world.run(MS);
        let started = world.events.iter().any(|event| matches!(event, EventKind::MoveStarted { .. }));
        assert!(started, "seed {seed}: b has not answered since the holder's probe began: {:?}", world.events);
    }
}
