//! Random storms over everything at once, each from one seed, with the rules checked against the truth.
//!
//! `FLOATIP_STORM=N` runs N scenarios instead of 300; `FLOATIP_STORM_SEED=S` runs scenario S alone and tells its story.

mod cuts;
mod ledger;
mod witness;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::testing::{Call, Fault, Faults, InMemoryLease, InMemoryLeaseStore, Outage, Stuck, Tokens};
use ledger::Ledger;
use witness::{Life, Witness, follow};

/// How long after the storm the address may take to be served by a healthy node: a stuck move's longest pause, a claim
/// and a forced release that must each run out, and the longest hold-off.
const CALM: Duration = Duration::from_secs(420);

/// How long one scenario may take in real time.
const WATCHDOG: Duration = Duration::from_secs(60);

#[test]
fn a_storm_breaks_no_rule_and_after_it_a_healthy_node_serves() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let (seeds, told) = match number("FLOATIP_STORM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("FLOATIP_STORM").unwrap_or(300), false),
    };
    let mut failed = Vec::new();
    for seed in seeds {
        let (done, end) = mpsc::channel();
        let scenario = thread::spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| scenario(seed, told)));
            done.send(()).expect("the test waits");
            result.unwrap_or_else(|cause| resume_unwind(cause))
        });
        assert!(end.recv_timeout(WATCHDOG).is_ok(), "FLOATIP_STORM_SEED={seed}: virtual time stands still");
        let broken = scenario.join().unwrap_or_else(|_| vec!["it panicked".to_owned()]);
        if !broken.is_empty() {
            eprintln!("FLOATIP_STORM_SEED={seed}: {broken:#?}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
}

fn scenario(seed: u64, told: bool) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut storm = Storm::new(seed, told);
        storm.rage().await;
        storm.calm().await;
        storm.ledger.broken()
    })
}

/// A place for a monitor: what stays when it is killed and started again.
#[derive(Debug)]
struct Seat {
    index: usize,
    lives: u32,
    probe: ScriptedProbe,
    faults: Vec<Faults>,
    lease: Option<InMemoryLease>,
    state_dir: Option<tempfile::TempDir>,
    cut: Arc<Mutex<Option<Instant>>>,
    monitor: Option<Monitor>,
}

/// What one scenario is made of.
#[derive(Debug, Clone, Copy)]
struct Shape {
    overwrite: bool,
    best_effort: bool,
    /// A second mechanism follows the first.
    chained: bool,
    /// Nobody interferes, nothing is stale or late: then even a provider that refuses no claim shows one holder.
    strict: bool,
}

struct Storm {
    rng: fastrand::Rng,
    shape: Shape,
    nodes: Vec<NodeId>,
    provider: InMemoryProvider,
    setup: Setup,
    store: Option<InMemoryLeaseStore>,
    seats: Vec<Seat>,
    ledger: Ledger,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Monitor")
    }
}

impl Storm {
    fn new(seed: u64, told: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let names = &["a", "b", "c", "d"][..rng.usize(2..=4)];
        let nodes: Vec<_> = names.iter().map(|name| id(name)).collect();
        let monitors = rng.usize(1..=2);
        let overwrite = rng.u8(..3) == 0;
        let leased = rng.bool();
        let best_effort = (monitors == 1 || leased) && rng.u8(..3) == 0;
        let strict = (monitors == 1 || leased) && rng.bool();
        let provider = if best_effort {
            InMemoryProvider::with_tokens(nodes.clone(), Tokens::Snapshot)
        } else {
            InMemoryProvider::new(nodes.clone())
        };
        provider.set_exclusive(!strict);
        provider.set_release_duration(rng.u32(..3000) * MS);
        provider.set_claim_duration(rng.u32(..3000) * MS);
        provider.set_latency(rng.u32(..100) * MS);
        provider.set_claims_to_settle(rng.u32(..3).saturating_sub(1));
        provider.put_on(&nodes[0]);
        let mut setup = Setup::new(FloatingIp::new("ftp", "10.0.0.30").unwrap());
        for (index, name) in names.iter().enumerate() {
            setup = setup.node(Node::new(name, &format!("10.0.0.{}", index + 1)).unwrap());
        }
        setup.policy.max_moves = if rng.u8(..4) == 0 { 2 } else { 1000 };
        setup.policy.verify_timeout = rng.u32(3..30) * S;
        setup.policy.forced_release_timeout = 40 * S;
        setup.policy.verify = [Verify::Require, Verify::Require, Verify::Warn, Verify::Off][rng.usize(..4)];
        if rng.u8(..3) == 0 {
            setup.policy.failback = Failback::After(rng.u32(..30) * S);
            setup.policy.cooldown = rng.u32(..30) * S;
        }
        let store = leased.then(|| InMemoryLeaseStore::new(10 * S));
        let ledger = Ledger::new(told);
        let chained = (monitors == 1 || leased) && seed % 2 == 1;
        let shape = Shape { overwrite, best_effort, chained, strict };
        ledger.note(|| format!("{shape:?}, {monitors} monitors, leased: {leased}, {:?}", setup.policy));
        let seats = (0..monitors).map(|index| Seat {
            index,
            lives: 0,
            probe: ScriptedProbe::new().following(&provider),
            faults: Vec::new(),
            lease: store.as_ref().map(|store| store.lease(&format!("m{index}"))),
            state_dir: (rng.u8(..8) == 0).then(|| tempfile::tempdir().unwrap()),
            cut: Arc::default(),
            monitor: None,
        });
        let seats = seats.collect();
        Self { rng, shape, nodes, provider, setup, store, seats, ledger }
    }

    fn mover(&self) -> InMemoryMover {
        match (self.shape.overwrite, self.shape.best_effort) {
            (false, false) => InMemoryMover::release_first(&self.provider),
            (true, false) => InMemoryMover::overwrite(&self.provider),
            (false, true) => {
                InMemoryMover::new(&self.provider, Capabilities::new(Strategy::ReleaseFirst).can_force(true))
            }
            (true, true) => InMemoryMover::new(&self.provider, Capabilities::new(Strategy::Overwrite)),
        }
    }

    fn start(&mut self, seat: usize) {
        let mover = self.mover();
        let seed = self.rng.u64(..);
        let state_dir = self.seats[seat].state_dir.as_ref().map(|dir| dir.path().to_owned());
        let Seat { index, lives, probe, faults, lease, cut, monitor, .. } = &mut self.seats[seat];
        *lives += 1;
        faults.push(mover.faults().clone());
        let life = Arc::new(Mutex::new(Life::default()));
        let witness = Witness {
            name: format!("m{index}.{lives}"),
            inner: Arc::new(mover),
            ledger: self.ledger.clone(),
            life: life.clone(),
            lease: self.store.clone().map(|store| (store, format!("m{index}"))),
            cut: cut.clone(),
            read: Arc::default(),
        };
        let name = witness.name.clone();
        let mut setup = self.setup.clone().check(Check::new(Arc::new(probe.clone())).health(health()));
        setup.lease = lease.clone().map(|lease| Arc::new(lease) as Arc<dyn Lease>);
        if self.shape.chained {
            let second = InMemoryMover::taking_over(&self.provider);
            let second = Witness { inner: Arc::new(second), read: Arc::default(), ..witness.clone() };
            setup = setup.mover(Arc::new(witness)).mover(Arc::new(second));
        } else {
            setup = setup.mover(Arc::new(witness));
        }
        let mut builder = Orchestrator::builder().floating_ip(setup).seed(seed);
        if let Some(dir) = state_dir {
            builder = builder.state_dir(dir);
        }
        self.ledger.note(|| format!("{name} starts"));
        let orchestrator = builder.build().unwrap();
        let handle = orchestrator.handle();
        let mut subscription = handle.subscribe();
        let (ledger, provider) = (self.ledger.clone(), self.provider.clone());
        let recorder = tokio::spawn(async move {
            while let Some(Notice::Event(event)) = subscription.next().await {
                ledger.note(|| format!("{name}: {:?}", event.kind));
                follow(&event.kind, &name, &life, &ledger, &provider);
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(orchestrator.run(async move {
            let _ = stopped.await;
        }));
        let (events, provider) = (Arc::default(), self.provider.clone());
        *monitor = Some(Monitor { handle, events, stop: Some(stop), task, recorder, provider });
    }

    fn node(&mut self) -> NodeId {
        self.nodes[self.rng.usize(..self.nodes.len())].clone()
    }

    fn seat(&mut self) -> usize {
        self.rng.usize(..self.seats.len())
    }

    fn answer(&mut self, node: &NodeId, answer: &Answer, sick: bool) {
        self.ledger.set_sick(node, Via::Direct, sick);
        self.ledger.set_sick(node, Via::Floating, false);
        for seat in &self.seats {
            seat.probe.set_direct(node, answer.clone());
            seat.probe.set_floating(node, None);
        }
    }

    async fn rage(&mut self) {
        for seat in 0..self.seats.len() {
            self.start(seat);
        }
        sleep(self.rng.u32(..6000) * MS).await;
        for _ in 0..self.rng.u32(4..24) {
            self.blow().await;
            let pause = match self.rng.u8(..6) {
                0 => self.rng.u32(..200),
                1..=3 => self.rng.u32(..4000),
                4 => self.rng.u32(..12_000),
                _ => self.rng.u32(..40_000),
            };
            sleep(pause * MS).await;
        }
    }

    /// One thing goes wrong, or right again.
    async fn blow(&mut self) {
        let node = self.node();
        let seat = self.seat();
        let shape = self.shape;
        match self.rng.u8(..26) {
            0..=2 => {
                self.ledger.note(|| format!("# {node} refuses"));
                self.answer(&node, &Answer::refused(), true);
            }
            3 | 4 => {
                self.ledger.note(|| format!("# {node} hangs"));
                self.answer(&node, &Answer::Hang, true);
            }
            5 => {
                self.ledger.note(|| format!("# {node} is terminated"));
                self.answer(&node, &Answer::Conclusive(Reason::Refused), true);
            }
            6..=8 => {
                self.ledger.note(|| format!("# {node} is well"));
                self.answer(&node, &Answer::Healthy, false);
            }
            9 => {
                let delay = self.rng.u32(..450) * MS;
                self.ledger.note(|| format!("# {node} is slow by {delay:?}"));
                self.answer(&node, &Answer::Healthy.after(delay), false);
            }
            10 => {
                let holder = self.provider.holder().unwrap_or(node);
                self.ledger.note(|| format!("# {holder}, the holder, refuses"));
                self.answer(&holder, &Answer::refused(), true);
            }
            11 => {
                self.ledger.note(|| format!("# {node} does not answer through the address"));
                self.ledger.set_sick(&node, Via::Floating, true);
                self.seats.iter().for_each(|seat| seat.probe.set_floating(&node, Some(Answer::Hang)));
            }
            12 => {
                self.ledger.note(|| format!("# m{seat} cannot probe {node}"));
                self.seats[seat].probe.set_direct(&node, Answer::Broken);
            }
            13 | 14 => self.cut(seat).await,
            15..=17 => self.fault(seat),
            18 => {
                let (release, claim) = (self.rng.u32(..8000) * MS, self.rng.u32(..8000) * MS);
                self.ledger.note(|| format!("# releases take {release:?}, claims {claim:?}"));
                self.provider.set_release_duration(release);
                self.provider.set_claim_duration(claim);
            }
            19 if !shape.strict => {
                let lag = self.rng.u32(..2500) * MS;
                if self.rng.bool() {
                    self.ledger.note(|| format!("# reads lag by {lag:?}"));
                    self.provider.set_read_lag(lag);
                } else {
                    self.ledger.note(|| format!("# reads stand still for {:?}", 4 * lag));
                    self.provider.freeze_reads_for(4 * lag);
                }
            }
            20 => {
                let stuck = [Stuck::Graceful, Stuck::Always, Stuck::Never][self.rng.usize(..3)];
                self.ledger.note(|| format!("# releases are stuck: {stuck:?}"));
                self.provider.set_stuck_releases(stuck);
                if stuck == Stuck::Never {
                    self.provider.finish_change();
                }
            }
            21 => {
                let stuck = self.rng.bool();
                self.ledger.note(|| format!("# claims for {node} are stuck: {stuck}"));
                self.provider.set_stuck_claims(&node, stuck);
            }
            22 if !shape.strict => self.interfere(&node),
            23 => self.restart(seat).await,
            24 => self.operate(seat, &node).await,
            _ => match self.rng.u8(..3) {
                0 => {
                    self.ledger.note(|| format!("# {node} is impossible"));
                    self.provider.set_impossible(&node, Some("no slot"));
                }
                1 => {
                    self.ledger.note(|| format!("# {node} is not ready"));
                    self.provider.set_readiness(&node, Readiness::Impossible { reason: "no slot".into() });
                }
                _ => {
                    let outage = [Some(Outage::Failing), Some(Outage::Hanging), Some(Outage::RepliesLost), None]
                        [self.rng.usize(..4)];
                    self.ledger.note(|| format!("# m{seat}: the lease store is {outage:?}"));
                    if let Some(lease) = &self.seats[seat].lease {
                        lease.set_outage(outage);
                    }
                }
            },
        }
    }

    /// A monitor is cut off for a while: from the nodes, and perhaps from the provider.
    async fn cut(&mut self, seat: usize) {
        let (lasts, deaf) = (self.rng.u32(..15_000) * MS, self.rng.bool());
        self.ledger.note(|| format!("# m{seat} is cut off for {lasts:?}, from the provider: {deaf}"));
        let Seat { probe, faults, cut, .. } = &self.seats[seat];
        *cut.lock().unwrap() = Some(Instant::now() + lasts);
        probe.set_everywhere(Some(Answer::Hang));
        if let Some(faults) = faults.last().filter(|_| deaf) {
            faults.all_always(&Fault::RequestLost);
        }
        sleep(lasts).await;
        self.ledger.note(|| format!("# m{seat} is back"));
        let Seat { probe, faults, .. } = &self.seats[seat];
        probe.set_everywhere(None);
        if let Some(faults) = faults.last().filter(|_| deaf) {
            faults.clear();
        }
    }

    fn fault(&mut self, seat: usize) {
        let call = [Call::Locate, Call::Release, Call::Claim, Call::Ready][self.rng.usize(..4)];
        let all = Fault::all(self.rng.u32(..9000) * MS);
        let fault = all[self.rng.usize(..all.len())].clone();
        if self.shape.strict && matches!(fault, Fault::Late(_)) {
            return;
        }
        let count = self.rng.usize(1..6);
        self.ledger.note(|| format!("# m{seat}: {fault:?} at the next {count} of {call:?}"));
        if let Some(faults) = self.seats[seat].faults.last() {
            faults.next(call, count, fault);
        }
    }

    fn interfere(&mut self, node: &NodeId) {
        let what = self.rng.u8(..5);
        self.ledger.note(|| format!("# somebody outside interferes: {what}, {node}"));
        match what {
            0 => self.provider.put_on(node),
            1 => self.provider.free(),
            2 => self.provider.put_on_stranger("i-elsewhere"),
            3 => self.provider.put_unsettled_on(node, 2),
            _ => {
                let from = self.provider.holder();
                self.provider.put_in_transition(from.as_ref(), None);
            }
        }
    }

    async fn restart(&mut self, seat: usize) {
        let kill = self.rng.bool();
        self.ledger.note(|| format!("# m{seat} is {}", if kill { "killed" } else { "stopped" }));
        if let Some(monitor) = self.seats[seat].monitor.take() {
            if kill { monitor.kill().await } else { monitor.stop().await }
        }
        sleep(self.rng.u32(..5000) * MS).await;
        self.start(seat);
    }

    async fn operate(&mut self, seat: usize, node: &NodeId) {
        let command = match self.rng.u8(..8) {
            0 => {
                let duration = self.rng.bool().then(|| self.rng.u32(..60) * S);
                Command::Pause { reason: None, duration }
            }
            1 => Command::Resume,
            4 => Command::Drain { node: node.clone() },
            5 => Command::Undrain { node: node.clone() },
            6 => Command::Acknowledge,
            2 => Command::Switchover(Switchover::to(node.clone()).wait(false)),
            _ => Command::Switchover(Switchover::to(node.clone()).wait(false).force(true)),
        };
        self.ledger.note(|| format!("# an operator tells m{seat}: {command:?}"));
        if let Some(monitor) = &self.seats[seat].monitor {
            let done = monitor.handle.command("ftp", command).await;
            self.ledger.note(|| format!("# m{seat} answers {done:?}"));
        }
    }

    /// Everything is well again but perhaps some of the nodes. Then the address must come to rest on a healthy one.
    async fn calm(&mut self) {
        let well = self.node();
        for node in self.nodes.clone() {
            let sick = node != well && self.rng.u8(..3) == 0;
            self.answer(&node, &if sick { Answer::refused() } else { Answer::Healthy }, sick);
            self.provider.set_stuck_claims(&node, false);
            self.provider.set_impossible(&node, None);
            self.provider.set_readiness(&node, Readiness::Ready);
        }
        self.provider.set_stuck_releases(Stuck::Never);
        self.provider.set_read_lag(Duration::ZERO);
        self.provider.finish_change();
        if matches!(self.provider.placement(), Placement::Stranger { .. }) {
            self.provider.free();
        }
        self.ledger.note(|| format!("# calm, {well} is well; {}", self.provider.placement()));
        for seat in &self.seats {
            if let Some(faults) = seat.faults.last() {
                faults.clear();
            }
            if let Some(lease) = &seat.lease {
                lease.set_outage(None);
            }
            if let Some(monitor) = &seat.monitor {
                drop(monitor.handle.command("ftp", Command::Resume).await);
                for node in &self.nodes {
                    drop(monitor.handle.command("ftp", Command::Undrain { node: node.clone() }).await);
                }
            }
        }
        if timeout(CALM, self.served()).await.is_err() {
            let mut states = Vec::new();
            for seat in &self.seats {
                if let Some(monitor) = &seat.monitor {
                    let status = monitor.status().await;
                    states.push((status.state, status.placement, status.moving));
                }
            }
            self.ledger.break_rule(format!("no healthy node serves; truth {}, {states:?}", self.provider.placement()));
        }
        let most = self.provider.most_holders();
        if most > 1 {
            self.ledger.break_rule(format!("{most} holders: {:?}", self.provider.history()));
        }
    }

    /// Waits until the address has been served by a healthy node for a while, and every monitor says so.
    async fn served(&self) {
        let mut good = 0;
        while good < 12 {
            sleep(S).await;
            let placement = self.provider.placement();
            let holder = placement.holder().cloned();
            let mut well = matches!(placement, Placement::Held { settled: true, .. });
            well &= holder.as_ref().is_some_and(|holder| !self.ledger.is_sick(holder));
            for seat in &self.seats {
                if let Some(monitor) = &seat.monitor {
                    let status = monitor.status().await;
                    well &= status.state == State::Serving && status.holder == holder;
                }
            }
            good = if well { good + 1 } else { 0 };
        }
    }
}
