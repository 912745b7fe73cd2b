//! A model of two monitors, their lease, the provider and their crashes, checked exhaustively: at most one holder, at most
//! one mover, and the address is never forgotten.
//!
//! It is the protocol of ARCHITECTURE.md and nothing else: time is left out, but for the one thing that rule 6 gets from
//! it, that a lease does not end in the store while a request that was sent under it may still arrive. With that taken
//! out, the checker finds the violation.

use stateright::{Checker, Model, Property};

const NODES: u8 = 2;

/// Where the address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    On(u8),
    Leaving(u8),
    Free,
    GoingTo(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Request {
    /// Take the assignment of this generation away.
    Release {
        generation: u8,
    },
    Claim {
        to: u8,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Monitor {
    alive: bool,
    /// It believes that it holds the lease.
    leads: bool,
    /// The newest reading, and the generation that it showed.
    reading: Option<(Place, u8)>,
    /// How many readings in a row were free; two agree.
    free: u8,
    /// A release of its own was accepted.
    released: bool,
    /// What it has sent and not heard of. It goes on its way when the monitor is dead, and arrives before one that has been
    /// started anew knows enough to send the next.
    wire: Option<Request>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    place: Place,
    generation: u8,
    up: [bool; NODES as usize],
    /// Which monitor holds the lease.
    lease: Option<u8>,
    monitors: [Monitor; 2],
    /// The address was given to a second node while a first one had it.
    two_holders: bool,
    crashes: u8,
    lapses: u8,
    losses: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    NodeDies(u8),
    Crash(u8),
    Start(u8),
    Lead(u8),
    /// A monitor's own clock says that its lease is over.
    Resign(u8),
    /// The lease is over in the store.
    Lapse,
    Read(u8),
    Send(u8, Request),
    Arrive(u8),
    Lose(u8),
    ChangeEnds,
}

#[derive(Debug, Clone)]
struct Protocol {
    /// Requests are sent only if they must arrive before the lease ends.
    margin: bool,
    /// A free address is believed after this many readings.
    reads: u8,
    crashes: u8,
    lapses: u8,
    losses: u8,
}

impl Protocol {
    fn floatip() -> Self {
        Self { margin: true, reads: 2, crashes: 2, lapses: 2, losses: 1 }
    }

    /// True if nothing can happen any more.
    fn rests(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        actions.into_iter().all(|action| self.next_state(world, action).is_none())
    }

    /// What the monitor wants sent, by what it has read.
    fn wanted(&self, world: &World, monitor: &Monitor) -> Option<Request> {
        let target = (0..NODES).find(|node| world.up[usize::from(*node)])?;
        match monitor.reading? {
            (Place::On(node), generation) if !world.up[usize::from(node)] => Some(Request::Release { generation }),
            (Place::Free, _) if monitor.released || monitor.free >= self.reads => Some(Request::Claim { to: target }),
            (Place::On(_) | Place::Leaving(_) | Place::Free | Place::GoingTo(_), _) => None,
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let monitor = Monitor { alive: true, ..Monitor::default() };
        let world = World {
            place: Place::On(0),
            generation: 0,
            up: [true; NODES as usize],
            lease: None,
            monitors: [monitor; 2],
            two_holders: false,
            crashes: 0,
            lapses: 0,
            losses: 0,
        };
        let free = World { place: Place::Free, ..world.clone() };
        vec![world, free]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        // One node stays: where all are down, there is nowhere to go.
        if world.up[0] {
            actions.push(Action::NodeDies(0));
        }
        for (index, monitor) in (0..2).zip(&world.monitors) {
            if monitor.wire.is_some() {
                actions.push(Action::Arrive(index));
                if world.losses < self.losses {
                    actions.push(Action::Lose(index));
                }
            }
            if !monitor.alive {
                actions.push(Action::Start(index));
                continue;
            }
            if world.crashes < self.crashes {
                actions.push(Action::Crash(index));
            }
            if world.lease.is_none() || world.lease == Some(index) && !monitor.leads {
                actions.push(Action::Lead(index));
            }
            if monitor.leads && world.lapses < self.lapses {
                actions.push(Action::Resign(index));
            }
            if monitor.wire.is_none() {
                actions.push(Action::Read(index));
                if monitor.leads {
                    actions.extend(self.wanted(world, monitor).map(|request| Action::Send(index, request)));
                }
            }
        }
        if let Some(leader) = world.lease {
            let monitor = &world.monitors[usize::from(leader)];
            let safe = !monitor.leads && (monitor.wire.is_none() || !self.margin);
            if safe {
                actions.push(Action::Lapse);
            }
        }
        if matches!(world.place, Place::Leaving(_) | Place::GoingTo(_)) {
            actions.push(Action::ChangeEnds);
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::NodeDies(node) => world.up[usize::from(node)] = false,
            Action::Crash(index) => {
                world.crashes += 1;
                let wire = world.monitors[usize::from(index)].wire;
                world.monitors[usize::from(index)] = Monitor { wire, ..Monitor::default() };
            }
            Action::Start(index) => world.monitors[usize::from(index)].alive = true,
            Action::Lead(index) => {
                world.lease = Some(index);
                let monitor = &mut world.monitors[usize::from(index)];
                monitor.leads = true;
                // A move reads anew before it sends.
                monitor.reading = None;
            }
            Action::Resign(index) => {
                world.lapses += 1;
                let monitor = &mut world.monitors[usize::from(index)];
                *monitor = Monitor { alive: true, wire: monitor.wire, ..Monitor::default() };
            }
            Action::Lapse => world.lease = None,
            Action::Read(index) => {
                let reading = Some((world.place, world.generation));
                let monitor = &mut world.monitors[usize::from(index)];
                monitor.free = if world.place == Place::Free { (monitor.free + 1).min(self.reads) } else { 0 };
                monitor.reading = reading;
            }
            Action::Send(index, request) => {
                let monitor = &mut world.monitors[usize::from(index)];
                monitor.wire = Some(request);
                monitor.reading = None;
                monitor.free = 0;
            }
            Action::Lose(index) => {
                world.losses += 1;
                world.monitors[usize::from(index)].wire = None;
            }
            Action::Arrive(index) => {
                let request = world.monitors[usize::from(index)].wire.take()?;
                match (request, world.place) {
                    (Request::Release { generation }, Place::On(node)) if generation == world.generation => {
                        world.place = Place::Leaving(node);
                        let monitor = &mut world.monitors[usize::from(index)];
                        monitor.released = monitor.alive;
                    }
                    // It is refused: the token is stale.
                    (Request::Release { .. }, _) => {}
                    (Request::Claim { to }, Place::Free) => {
                        world.place = Place::GoingTo(to);
                        world.generation += 1;
                        world.monitors[usize::from(index)].released = false;
                    }
                    // This provider refuses no claim, so that what only its refusal would prevent is seen.
                    (Request::Claim { .. }, Place::On(_) | Place::Leaving(_) | Place::GoingTo(_)) => {
                        world.two_holders = true;
                    }
                }
            }
            Action::ChangeEnds => {
                world.place = match world.place {
                    Place::Leaving(_) => Place::Free,
                    Place::GoingTo(node) => Place::On(node),
                    Place::On(_) | Place::Free => return None,
                };
            }
        }
        // What changes nothing is no step.
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one holder", |_, world: &World| !world.two_holders),
            Property::always("one mover", |_, world: &World| {
                world.monitors.iter().filter(|monitor| monitor.wire.is_some()).count() <= 1
            }),
            // Where nothing can happen any more, the address is on a node that is up.
            Property::always("never forgotten", |model: &Self, world: &World| {
                !model.rests(world) || matches!(world.place, Place::On(node) if world.up[usize::from(node)])
            }),
            Property::sometimes("it comes to rest", |model: &Self, world: &World| model.rests(world)),
            Property::sometimes("a move is finished", |_, world: &World| !world.up[0] && world.place == Place::On(1)),
            Property::sometimes("a second monitor finishes what a dead one began", |_, world: &World| {
                world.crashes > 0 && world.lease == Some(1) && world.place == Place::On(1)
            }),
        ]
    }
}

#[test]
fn two_monitors_with_a_lease_have_one_holder_and_one_mover_and_forget_nothing() {
    let checker = Protocol::floatip().checker().spawn_bfs().join();
    println!("{} states, all of them", checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1000);
}

#[test]
fn without_the_margin_of_the_lease_the_model_finds_two_movers() {
    let checker = Protocol { margin: false, ..Protocol::floatip() }.checker().spawn_bfs().join();
    assert!(checker.discovery("one mover").is_some());
    assert!(checker.discovery("one holder").is_some());
}
