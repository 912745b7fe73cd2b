//! Each mover on the simulated EC2: every call of a failover with its reply lost in turn, and races of two that are both
//! convinced, without a lease.
//!
//! Races of whole monitors take seconds each, so that fewer run than of two movers that are driven as a monitor drives
//! them. `FLOATIP_RACES` says how many of both each mover runs, `FLOATIP_MONITOR_RACES` how many of the first,
//! `FLOATIP_RACES_SEED` with which seed they begin.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::config::Credentials;
use floatip_aws::simulator::{Fault, Scope, Simulator, Timings, When, World};
use floatip_aws::{
    AwsSettings, Ec2, EipMover, EniMover, Fencing, NodeInterface, PrivateIpMover, RouteMover, RouteTables,
};
use floatip_core::testing::trial::{self, Pace, Stage};
use floatip_core::{AddressMover, MoveError, NodeId, Placement, Precondition, ReleaseMode, Strategy};
use tokio::time::sleep;

const INTERFACE: &str = "eni-0a1b2c3d4e5f60001";
const ALLOCATION: &str = "eipalloc-0a1b2c3d4e5f60002";
const PRIVATE_IP: &str = "10.0.0.50";
const IPV6: &str = "fd00::50";
const OVERLAY: &str = "10.99.0.1";
const DESTINATION: &str = "10.99.0.1/32";
const TABLES: [&str; 2] = ["rtb-0a1b2c3d4e5f60003", "rtb-0a1b2c3d4e5f60004"];
const NODES: [(&str, &str); 3] = [("a", "i-a"), ("b", "i-b"), ("c", "i-c")];

/// By which mechanism the address moves.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Eni,
    Eip,
    StrictEip,
    PrivateIp,
    Ipv6,
    Route,
}

/// One address on a cloud of its own, at first on the first node.
#[derive(Debug)]
struct Ec2Stage {
    kind: Kind,
    simulator: Simulator,
    ec2: Ec2,
}

fn nodes() -> impl Iterator<Item = (NodeId, &'static str)> {
    NODES.into_iter().map(|(name, instance)| (NodeId::new(name).unwrap(), instance))
}

fn primary_of(instance: &str) -> String {
    format!("{}-primary", instance.replacen("i-", "eni-", 1))
}

fn world() -> World {
    let world = World::new("eu-test-1").subnet("subnet-a", "eu-test-1a", "10.0.0.0/24", "vpc-1");
    let world = world.subnet_ipv6("subnet-a", "fd00::/64");
    let world = NODES.into_iter().zip(1..).fold(world, |world, ((_, instance), host)| {
        world.instance(instance, "subnet-a", &format!("10.0.0.{host}")).source_dest_check(&primary_of(instance), false)
    });
    let holder = primary_of(NODES[0].1);
    let world = world
        .network_interface(INTERFACE, "subnet-a", "10.0.0.9")
        .attach(INTERFACE, NODES[0].1, 1)
        .elastic_ip(ALLOCATION, "203.0.113.9")
        .associate(ALLOCATION, &holder)
        .secondary_private_ip(&holder, PRIVATE_IP)
        .ipv6_address(&holder, IPV6);
    TABLES.into_iter().fold(world, |world, table| world.route_table(table, "vpc-1").route(table, DESTINATION, &holder))
}

impl Ec2Stage {
    async fn start(kind: Kind) -> Self {
        let ms = Duration::from_millis;
        Self::start_with(kind, Timings::instant().attach(ms(30)).detach(ms(50)).force_detach(ms(30))).await
    }

    /// Brings the address back to the first node, past the movers.
    fn put_back(&self) {
        let (console, holder) = (self.simulator.console(), primary_of(NODES[0].1));
        match self.kind {
            Kind::Eni => {
                if self.simulator.world().find_interface(INTERFACE).unwrap().attachment.is_some() {
                    console.detach(INTERFACE, true).unwrap();
                }
                drop(console.attach(INTERFACE, NODES[0].1, 1).unwrap());
            }
            Kind::Eip | Kind::StrictEip => drop(console.associate(ALLOCATION, &holder, None).unwrap()),
            Kind::PrivateIp => console.assign(&holder, PRIVATE_IP.parse().unwrap()).unwrap(),
            Kind::Ipv6 => console.assign(&holder, IPV6.parse().unwrap()).unwrap(),
            Kind::Route => TABLES.into_iter().for_each(|table| console.route(table, DESTINATION, &holder).unwrap()),
        }
    }

    async fn start_with(kind: Kind, timings: Timings) -> Self {
        let simulator = Simulator::start(world(), timings).await.unwrap();
        let settings = AwsSettings::new().region("eu-test-1").endpoint_url(simulator.endpoint_url());
        let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
        let ec2 = settings.credentials_provider(credentials).connect().await.unwrap();
        Self { kind, simulator, ec2 }
    }
}

impl Stage for Ec2Stage {
    fn nodes(&self) -> Vec<NodeId> {
        nodes().map(|(node, _)| node).collect()
    }

    fn movers(&self) -> Vec<Arc<dyn AddressMover>> {
        let ec2 = self.ec2.clone();
        let eip = |fencing| {
            let builder = EipMover::builder(self.ec2.clone(), ALLOCATION).fencing(fencing);
            let builder = nodes().fold(builder, |builder, (node, instance)| builder.instance(node, instance));
            Arc::new(builder.build().unwrap())
        };
        let places = || nodes().map(|(node, instance)| (node, NodeInterface::new().instance(instance)));
        let mover: Arc<dyn AddressMover> = match self.kind {
            Kind::Eni => Arc::new(EniMover::new(ec2, INTERFACE, 1, nodes()).unwrap()),
            Kind::Eip => eip(Fencing::Overwrite),
            Kind::StrictEip => eip(Fencing::Strict),
            Kind::PrivateIp => Arc::new(PrivateIpMover::new(ec2, PRIVATE_IP.parse().unwrap(), places()).unwrap()),
            Kind::Ipv6 => Arc::new(PrivateIpMover::new(ec2, IPV6.parse().unwrap(), places()).unwrap()),
            Kind::Route => {
                let tables = RouteTables::Ids(TABLES.map(str::to_owned).to_vec());
                let builder = RouteMover::builder(ec2, OVERLAY.parse().unwrap(), tables);
                let builder = places().fold(builder, |builder, (node, place)| builder.node(node, place));
                Arc::new(builder.build().unwrap())
            }
        };
        vec![mover]
    }

    fn holders(&self) -> Vec<NodeId> {
        let world = self.simulator.world();
        let carriers = match self.kind {
            Kind::Eni => vec![world.find_interface(INTERFACE).unwrap().carrier()],
            Kind::Eip | Kind::StrictEip => vec![world.carrier_of_address(ALLOCATION)],
            Kind::PrivateIp => vec![world.carrier_of(PRIVATE_IP.parse().unwrap())],
            Kind::Ipv6 => vec![world.carrier_of(IPV6.parse().unwrap())],
            Kind::Route => TABLES.map(|table| world.carrier_of_route(table, DESTINATION)).to_vec(),
        };
        nodes().filter(|(_, instance)| carriers.contains(&Some(instance))).map(|(node, _)| node).collect()
    }

    /// Two tables may lead to two nodes for a moment, each of them to one.
    fn most_holders(&self) -> usize {
        match self.kind {
            Kind::Route => 1,
            Kind::Eni | Kind::Eip | Kind::StrictEip | Kind::PrivateIp | Kind::Ipv6 => self.holders().len(),
        }
    }

    fn calls(&self) -> usize {
        self.simulator.journal().entries().len()
    }

    fn lose_reply(&self, skipped: usize) {
        let number = u32::try_from(skipped + 1).unwrap();
        self.simulator.faults().set(Scope::Every, Fault::ReplyLost, When::Number(number));
    }

    fn pace(&self) -> Pace {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        // The time-out is far above what a scripted answer takes on a loaded machine: it says how old a verdict may be.
        (pace.health.interval, pace.health.fast_interval, pace.health.timeout) = (ms(300), ms(100), ms(3000));
        (pace.sweep, pace.aftermath) = (ms(1000), ms(500));
        pace
    }
}

async fn lost_replies(kind: Kind) {
    let survey = trial::lost_replies(|| Ec2Stage::start(kind), 12).await;
    println!("{kind:?}: {survey}");
    survey.assert_sound();
    assert_eq!(survey.stuck, 0, "one lost reply is no reason to be stuck: {survey}");
}

/// The seeds of a row of races, as many as the first of these says that is set.
fn seeds(counts: &[&str], default: u64) -> Range<u64> {
    let number = |name: &str| Some(std::env::var(name).ok()?.parse::<u64>().unwrap());
    let first = number("FLOATIP_RACES_SEED").unwrap_or(0);
    first..first + counts.iter().find_map(|name| number(name)).unwrap_or(default)
}

async fn races(kind: Kind) {
    let seeds = seeds(&["FLOATIP_MONITOR_RACES", "FLOATIP_RACES"], 48);
    // Monitors mostly wait, so that many races run side by side.
    let races = trial::races(|_| Ec2Stage::start(kind), seeds, 12).await;
    println!("{kind:?}: {races}");
    races.assert_sound();
}

/// How a mover's part in a race ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It has read back that the address is on its target.
    Won,
    /// A stale token was refused.
    Conflict,
    /// It has read back that the address is on the other's target.
    SawItsLoss,
}

/// Brings the address from the first node to `to`, as a monitor does that believes the holder dead: it reads, requests
/// what the reading calls for, and reads again. It asks for nothing more once it has lost: where EC2 checks tokens that
/// is after a conflict, elsewhere when a reading says so.
async fn bring(mover: &dyn AddressMover, to: &NodeId, pauses: &mut fastrand::Rng) -> Ended {
    let dead = NodeId::new(NODES[0].0).unwrap();
    let enforced = mover.capabilities().precondition == Precondition::Enforced;
    let mut conflict = false;
    for _ in 0..500 {
        sleep(Duration::from_micros(pauses.u64(..3000))).await;
        let seen = mover.locate().await.unwrap();
        let answer = match &seen {
            Placement::Held { node, settled: true, .. } if node == to => return Ended::Won,
            Placement::Held { node, .. } if *node != dead && node != to => {
                return if conflict { Ended::Conflict } else { Ended::SawItsLoss };
            }
            Placement::Held { node, .. }
                if *node == dead && mover.capabilities().strategy == Strategy::ReleaseFirst =>
            {
                mover.release(&seen, ReleaseMode::Graceful).await
            }
            Placement::Held { .. } | Placement::Free | Placement::Split { .. } => mover.claim(to, &seen).await,
            Placement::Transition { .. } => continue,
            Placement::Stranger { .. } => panic!("{seen}"),
        };
        match answer {
            Ok(_) | Err(MoveError::OutcomeUnknown { .. } | MoveError::NotYet { .. } | MoveError::Deferred { .. }) => {}
            Err(MoveError::Conflict { .. }) if enforced => return Ended::Conflict,
            Err(MoveError::Conflict { .. }) => conflict = true,
            Err(error) => panic!("{}", floatip_core::chain(&error)),
        }
    }
    panic!("no end")
}

/// Races of two movers on one stage after another; gives back how many ended in a conflict, and how many were lost
/// otherwise.
async fn close_races(kind: Kind) -> [usize; 2] {
    /// Races on one connection: more would use up what EC2 allows at once, and then the limiter sets the pace.
    const ON_ONE_STAGE: usize = 4;
    let (mut conflicts, mut seen) = (0, 0);
    let seeds = seeds(&["FLOATIP_RACES"], 200);
    for group in seeds.clone().collect::<Vec<_>>().chunks(ON_ONE_STAGE) {
        let stage = Ec2Stage::start_with(kind, Timings::instant()).await;
        let [_, b, c] = stage.nodes().try_into().unwrap();
        let [[one], [two]]: [[Arc<dyn AddressMover>; 1]; 2] =
            [stage.movers(), stage.movers()].map(|it| it.try_into().unwrap());
        for &seed in group {
            stage.put_back();
            let [mut first, mut second] = [2 * seed, 2 * seed + 1].map(fastrand::Rng::with_seed);
            let (first, second) = tokio::join!(bring(&*one, &b, &mut first), bring(&*two, &c, &mut second));
            let holders = stage.holders();
            let ended = [first, second];
            assert!(holders == [b.clone()] || holders == [c.clone()], "seed {seed}: {ended:?}, on {holders:?}");
            let winner = usize::from(holders == [c.clone()]);
            assert_eq!(ended[winner], Ended::Won, "seed {seed}: {ended:?}, on {holders:?}");
            if one.capabilities().precondition == Precondition::Enforced {
                assert_ne!(ended[1 - winner], Ended::Won, "seed {seed}: {ended:?}");
            }
            conflicts += usize::from(ended.contains(&Ended::Conflict));
            seen += usize::from(ended.contains(&Ended::SawItsLoss));
        }
    }
    println!("{kind:?}: {} close races, {conflicts} ended by a conflict, {seen} by reading back", seeds.count());
    [conflicts, seen]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_one_reply_may_be_lost_by_eni() {
    lost_replies(Kind::Eni).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_one_reply_may_be_lost_by_eip() {
    lost_replies(Kind::Eip).await;
    lost_replies(Kind::StrictEip).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_one_reply_may_be_lost_by_private_ip() {
    lost_replies(Kind::PrivateIp).await;
    lost_replies(Kind::Ipv6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_one_reply_may_be_lost_by_route() {
    lost_replies(Kind::Route).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_monitors_one_wins_by_tokens_that_ec2_checks() {
    for kind in [Kind::Eni, Kind::StrictEip] {
        races(kind).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_monitors_that_overwrite_come_to_rest_on_one_healthy_holder() {
    for kind in [Kind::Eip, Kind::PrivateIp, Kind::Ipv6, Kind::Route] {
        races(kind).await;
    }
}

#[tokio::test]
async fn of_two_movers_in_close_races_one_wins_where_ec2_checks_tokens() {
    for kind in [Kind::Eni, Kind::StrictEip] {
        let [conflicts, seen] = close_races(kind).await;
        assert!(conflicts > seen, "{kind:?}: the races were not close: {conflicts} conflicts, {seen} seen");
    }
}

#[tokio::test]
async fn two_movers_in_close_races_come_to_rest_on_one_node_where_ec2_does_not() {
    for kind in [Kind::Eip, Kind::PrivateIp, Kind::Ipv6, Kind::Route] {
        close_races(kind).await;
    }
}
