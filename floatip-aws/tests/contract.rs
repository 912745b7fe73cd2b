//! The contract of `AddressMover`, kept by each mover with the real SDK against the simulator.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::config::Credentials;
use floatip_aws::simulator::{Action, Console, Fault, Simulator, Timings, When, World};
use floatip_aws::{AwsSettings, EipMover, EniMover, Fencing, NodeInterface, PrivateIpMover, RouteMover, RouteTables};
use floatip_core::testing::contract::{Fixture, Report, Situation, assert_contract};
use floatip_core::testing::{Call, Fault as CallFault};
use floatip_core::{AddressMover, NodeId};

const INTERFACE: &str = "eni-0a1b2c3d4e5f60001";
const ALLOCATION: &str = "eipalloc-0a1b2c3d4e5f60002";
const STRANGER: &str = "i-stranger";
const PRIVATE_IP: &str = "10.0.0.50";
const IPV6: &str = "fd00::50";
const TABLE: &str = TABLES[0];
const TABLES: [&str; 3] = ["rtb-0a1b2c3d4e5f60003", "rtb-0a1b2c3d4e5f60004", "rtb-0a1b2c3d4e5f60005"];
const OVERLAY: &str = "10.99.0.1";
const DESTINATION: &str = "10.99.0.1/32";

/// A mover in a world of three nodes and a stranger, with what the contract's calls are on the wire.
struct Ec2Fixture {
    simulator: Simulator,
    mover: Arc<dyn AddressMover>,
    read: Action,
    release: Action,
    claim: Action,
    place: fn(&Console, &World, &Situation) -> bool,
    /// Of how many parts the address is made.
    parts: usize,
}

fn names() -> [(NodeId, &'static str); 3] {
    [("a", "i-a"), ("b", "i-b"), ("c", "i-c")].map(|(name, instance)| (NodeId::new(name).unwrap(), instance))
}

async fn start() -> (Simulator, floatip_aws::Ec2) {
    let world = World::new("eu-test-1")
        .subnet("subnet-a", "eu-test-1a", "10.0.0.0/24", "vpc-1")
        .instance("i-a", "subnet-a", "10.0.0.1")
        .instance("i-b", "subnet-a", "10.0.0.2")
        .instance("i-c", "subnet-a", "10.0.0.3")
        .instance(STRANGER, "subnet-a", "10.0.0.4")
        .network_interface(INTERFACE, "subnet-a", "10.0.0.9")
        .elastic_ip(ALLOCATION, "203.0.113.9")
        .subnet_ipv6("subnet-a", "fd00::/64")
        .route_table(TABLES[0], "vpc-1")
        .route_table(TABLES[1], "vpc-1")
        .route_table(TABLES[2], "vpc-1");
    let timings = Timings::default().attach(Duration::from_millis(100));
    let timings = timings.detach(Duration::from_millis(150)).force_detach(Duration::from_millis(100));
    let simulator = Simulator::start(world, timings).await.unwrap();
    let settings = AwsSettings::new().region("eu-test-1").endpoint_url(simulator.endpoint_url());
    let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
    let ec2 = settings.credentials_provider(credentials).connect().await.unwrap();
    (simulator, ec2)
}

async fn eni() -> Ec2Fixture {
    let (simulator, ec2) = start().await;
    Ec2Fixture {
        simulator,
        mover: Arc::new(EniMover::new(ec2, INTERFACE, 1, names()).unwrap()),
        read: Action::DescribeNetworkInterfaces,
        release: Action::DetachNetworkInterface,
        claim: Action::AttachNetworkInterface,
        place: place_interface,
        parts: 1,
    }
}

async fn eip(fencing: Fencing) -> Ec2Fixture {
    let (simulator, ec2) = start().await;
    let builder = EipMover::builder(ec2, ALLOCATION).fencing(fencing);
    let builder = names().into_iter().fold(builder, |builder, (node, instance)| builder.instance(node, instance));
    Ec2Fixture {
        simulator,
        mover: Arc::new(builder.build().unwrap()),
        read: Action::DescribeAddresses,
        release: Action::DisassociateAddress,
        claim: Action::AssociateAddress,
        place: place_address,
        parts: 1,
    }
}

async fn private_ip(ip: &str, place: fn(&Console, &World, &Situation) -> bool) -> Ec2Fixture {
    let (simulator, ec2) = start().await;
    let ip: IpAddr = ip.parse().unwrap();
    let nodes = names().map(|(node, instance)| (node, NodeInterface::new().instance(instance)));
    let [release, claim] = match ip {
        IpAddr::V4(_) => [Action::UnassignPrivateIpAddresses, Action::AssignPrivateIpAddresses],
        IpAddr::V6(_) => [Action::UnassignIpv6Addresses, Action::AssignIpv6Addresses],
    };
    Ec2Fixture {
        simulator,
        mover: Arc::new(PrivateIpMover::new(ec2, ip, nodes).unwrap()),
        read: Action::DescribeNetworkInterfaces,
        release,
        claim,
        place,
        parts: 1,
    }
}

/// With one table, a claim is one call, as the contract's faults need it; with several, it can succeed in part.
async fn route(tables: &[&str], place: fn(&Console, &World, &Situation) -> bool) -> Ec2Fixture {
    let (simulator, ec2) = start().await;
    let parts = tables.len();
    let tables = RouteTables::Ids(tables.iter().map(|table| (*table).to_owned()).collect());
    let builder = RouteMover::builder(ec2, OVERLAY.parse().unwrap(), tables);
    let builder = names()
        .into_iter()
        .fold(builder, |builder, (node, instance)| builder.node(node, NodeInterface::new().instance(instance)));
    Ec2Fixture {
        simulator,
        mover: Arc::new(builder.build().unwrap()),
        read: Action::DescribeRouteTables,
        release: Action::DeleteRoute,
        claim: Action::CreateRoute,
        place,
        parts,
    }
}

fn instance_of(node: &NodeId) -> String {
    format!("i-{node}")
}

fn place_interface(console: &Console, world: &World, situation: &Situation) -> bool {
    let attached = |instance: &str| {
        console.attach(INTERFACE, instance, 1).unwrap();
        console.complete(INTERFACE).unwrap();
    };
    console.complete(INTERFACE).unwrap();
    if world.find_interface(INTERFACE).unwrap().attachment.is_some() && console.detach(INTERFACE, true).is_ok() {
        console.complete(INTERFACE).unwrap();
    }
    match situation {
        Situation::Free => {}
        Situation::On(node) => attached(&instance_of(node)),
        Situation::UnsettledOn(node) => {
            attached(&instance_of(node));
            console.delete_on_termination(INTERFACE, true).unwrap();
        }
        Situation::Leaving(node) => {
            attached(&instance_of(node));
            console.detach(INTERFACE, false).unwrap();
        }
        Situation::GoingTo(node) => drop(console.attach(INTERFACE, &instance_of(node), 1).unwrap()),
        Situation::OnStranger => attached(STRANGER),
        Situation::Split(..) => return false,
        new => panic!("{new:?} is new"),
    }
    true
}

fn place_address(console: &Console, world: &World, situation: &Situation) -> bool {
    let leads_to = |instance: &str| {
        drop(console.associate(ALLOCATION, &primary_of(instance), None).unwrap());
    };
    if world.find_address(ALLOCATION).unwrap().association.is_some() {
        console.disassociate(ALLOCATION).unwrap();
    }
    match situation {
        Situation::Free => {}
        Situation::On(node) => leads_to(&instance_of(node)),
        Situation::OnStranger => leads_to(STRANGER),
        // The API shows every change of an address at once, and of all of it.
        Situation::UnsettledOn(_) | Situation::Leaving(_) | Situation::GoingTo(_) | Situation::Split(..) => {
            return false;
        }
        new => panic!("{new:?} is new"),
    }
    true
}

fn primary_of(instance: &str) -> String {
    format!("{}-primary", instance.replacen("i-", "eni-", 1))
}

fn place_private_ip(console: &Console, world: &World, situation: &Situation) -> bool {
    place_ip(PRIVATE_IP, console, world, situation)
}

fn place_ipv6(console: &Console, world: &World, situation: &Situation) -> bool {
    place_ip(IPV6, console, world, situation)
}

fn place_ip(ip: &str, console: &Console, world: &World, situation: &Situation) -> bool {
    let ip: IpAddr = ip.parse().unwrap();
    let owner = |instance: &str| primary_of(instance);
    if let Some(holder) = world.carrier_of(ip) {
        console.unassign(&owner(holder), ip).unwrap();
    }
    match situation {
        Situation::Free => {}
        Situation::On(node) => console.assign(&owner(&instance_of(node)), ip).unwrap(),
        Situation::OnStranger => console.assign(&owner(STRANGER), ip).unwrap(),
        // The API shows every change of an address at once, and of all of it.
        Situation::UnsettledOn(_) | Situation::Leaving(_) | Situation::GoingTo(_) | Situation::Split(..) => {
            return false;
        }
        new => panic!("{new:?} is new"),
    }
    true
}

fn place_route(console: &Console, world: &World, situation: &Situation) -> bool {
    place_routes(&[TABLE], console, world, situation)
}

fn place_three_routes(console: &Console, world: &World, situation: &Situation) -> bool {
    place_routes(&TABLES, console, world, situation)
}

fn place_routes(tables: &[&str], console: &Console, world: &World, situation: &Situation) -> bool {
    let there = |table: &&&str| world.find_route_table(table).unwrap().route(DESTINATION).is_some();
    tables.iter().filter(there).for_each(|table| console.delete_route(table, DESTINATION).unwrap());
    let lead = |tables: &[&str], instance: &str| {
        tables.iter().for_each(|table| console.route(table, DESTINATION, &primary_of(instance)).unwrap());
    };
    match situation {
        Situation::Free => {}
        Situation::On(node) => lead(tables, &instance_of(node)),
        Situation::OnStranger => lead(tables, STRANGER),
        Situation::Split(one, two) if tables.len() > 1 => {
            lead(&tables[..1], &instance_of(one));
            lead(&tables[1..], &instance_of(two));
        }
        // The API shows every change of a route at once.
        Situation::UnsettledOn(_) | Situation::Leaving(_) | Situation::GoingTo(_) | Situation::Split(..) => {
            return false;
        }
        new => panic!("{new:?} is new"),
    }
    true
}

#[async_trait]
impl Fixture for Ec2Fixture {
    fn mover(&self) -> Arc<dyn AddressMover> {
        Arc::clone(&self.mover)
    }

    fn nodes(&self) -> Vec<NodeId> {
        names().map(|(node, _)| node).to_vec()
    }

    async fn arrange(&mut self, situation: &Situation) -> bool {
        (self.place)(&self.simulator.console(), &self.simulator.world(), situation)
    }

    async fn refuse_part(&mut self, refuse: bool) -> bool {
        if refuse {
            self.simulator.faults().deny_route_table(TABLES[1]);
        } else {
            self.simulator.faults().clear();
        }
        self.parts > 1
    }

    async fn inject(&mut self, call: Call, fault: CallFault) -> bool {
        if self.parts > 1 {
            return false;
        }
        let action = match call {
            Call::Locate => self.read,
            Call::Release => self.release,
            Call::Claim if self.simulator.world().find_route_table(TABLE).unwrap().route(DESTINATION).is_some() => {
                Action::ReplaceRoute
            }
            Call::Claim => self.claim,
            Call::Ready => return false,
        };
        let fault = match fault {
            CallFault::Throttled => Fault::Throttled,
            CallFault::Denied => Fault::Denied,
            CallFault::ReplyLost => Fault::ReplyLost,
            CallFault::RequestLost => Fault::Hang,
            CallFault::InternalError => Fault::InternalError,
            CallFault::AppliedInternalError => Fault::AppliedThenInternalError,
            CallFault::NotFound
            | CallFault::Conflict
            | CallFault::NotYet
            | CallFault::Impossible
            | CallFault::TimedOut
            | CallFault::Slow(_)
            | CallFault::Late(_)
            | CallFault::Hang
            | CallFault::HangApplied
            | CallFault::Panic => return false,
            new => panic!("{new:?} is new"),
        };
        self.simulator.faults().set(action, fault, When::Next(1));
        true
    }

    fn requests(&self) -> Option<usize> {
        let is_request = |name: &str| Action::from_name(name).is_some_and(|action| !action.is_describe());
        Some(self.simulator.journal().entries().iter().filter(|entry| is_request(&entry.action)).count())
    }
}

#[tokio::test]
async fn the_eni_mover_keeps_the_contract() {
    let report = assert_contract(eni).await;
    let overwriting =
        ["an_overwriting_claim_takes_the_address_over", "an_overwriting_claim_with_a_stale_token_is_a_conflict"];
    assert_eq!(report.not_applicable(), in_order(&report, &[&overwriting, &PARTED]), "{report}");
}

#[tokio::test]
async fn the_eip_mover_keeps_the_contract_when_it_overwrites() {
    let report = assert_contract(async || eip(Fencing::Overwrite).await).await;
    let releasing_or_gradual = [
        "locate_tells_that_the_address_leaves",
        "locate_tells_that_the_address_is_on_its_way",
        "locate_tells_that_something_is_left_to_do",
        "a_claim_finishes_what_is_left_to_do",
        "a_claim_during_a_transition_changes_nothing",
        "a_claim_of_a_held_address_changes_nothing_unless_it_overwrites",
        "a_release_ends_free",
        "a_forced_release_ends_free",
        "a_release_with_a_stale_token_is_a_conflict",
        "a_release_knows_an_assignment_from_a_later_one_on_the_same_node",
        "a_dropped_release_leaves_a_state_that_can_be_continued",
    ];
    assert_eq!(report.not_applicable(), in_order(&report, &[&releasing_or_gradual, &PARTED]), "{report}");
}

#[tokio::test]
async fn the_eip_mover_keeps_the_contract_with_strict_fencing() {
    let report = assert_contract(async || eip(Fencing::Strict).await).await;
    let overwriting_or_gradual = [
        "locate_tells_that_the_address_leaves",
        "locate_tells_that_the_address_is_on_its_way",
        "locate_tells_that_something_is_left_to_do",
        "a_claim_finishes_what_is_left_to_do",
        "a_claim_during_a_transition_changes_nothing",
        "an_overwriting_claim_takes_the_address_over",
        "an_overwriting_claim_with_a_stale_token_is_a_conflict",
        "a_forced_release_ends_free",
    ];
    assert_eq!(report.not_applicable(), in_order(&report, &[&overwriting_or_gradual, &PARTED]), "{report}");
}

/// What no mover needs that reads every change at once.
const GRADUAL: [&str; 5] = [
    "locate_tells_that_the_address_leaves",
    "locate_tells_that_the_address_is_on_its_way",
    "locate_tells_that_something_is_left_to_do",
    "a_claim_finishes_what_is_left_to_do",
    "a_claim_during_a_transition_changes_nothing",
];

/// What no mover needs that overwrites, by a token that may come back.
const RELEASING: [&str; 7] = [
    "a_claim_of_a_held_address_changes_nothing_unless_it_overwrites",
    "generation_tokens_are_never_used_twice",
    "a_release_ends_free",
    "a_forced_release_ends_free",
    "a_release_with_a_stale_token_is_a_conflict",
    "a_release_knows_an_assignment_from_a_later_one_on_the_same_node",
    "a_dropped_release_leaves_a_state_that_can_be_continued",
];

/// What needs an address that is made of parts.
const PARTED: [&str; 4] = [
    "locate_tells_that_the_address_is_split",
    "a_claim_of_a_split_address_brings_all_of_it",
    "a_claim_of_a_split_address_with_a_stale_token_is_a_conflict",
    "a_claim_that_succeeds_in_part_says_what_is_left",
];

/// What needs calls that can be struck one by one.
const STRUCK: [&str; 5] = [
    "locate_that_fails_does_not_guess",
    "errors_say_truthfully_whether_anything_changed",
    "a_lost_reply_is_an_unknown_outcome_and_locate_shows_it",
    "refusals_are_told_by_what_to_do_next",
    "calls_end_within_their_timeout",
];

/// These cases in the order in which the contract has them.
fn in_order(report: &Report, cases: &[&[&'static str]]) -> Vec<&'static str> {
    let wanted = cases.concat();
    let found: Vec<_> = report.cases.iter().map(|(name, _)| *name).filter(|name| wanted.contains(name)).collect();
    assert_eq!(found.len(), wanted.len(), "the contract lacks one of {wanted:?}");
    found
}

#[tokio::test]
async fn the_private_ip_mover_keeps_the_contract() {
    let report = assert_contract(async || private_ip(PRIVATE_IP, place_private_ip).await).await;
    assert_eq!(report.not_applicable(), in_order(&report, &[&GRADUAL[..], &RELEASING, &PARTED]), "{report}");
}

#[tokio::test]
async fn the_private_ip_mover_keeps_the_contract_with_an_ipv6_address() {
    let report = assert_contract(async || private_ip(IPV6, place_ipv6).await).await;
    let overwriting = [
        "an_overwriting_claim_takes_the_address_over",
        "an_overwriting_claim_with_a_stale_token_is_a_conflict",
        "generation_tokens_are_never_used_twice",
        "a_forced_release_ends_free",
        "a_release_knows_an_assignment_from_a_later_one_on_the_same_node",
    ];
    assert_eq!(report.not_applicable(), in_order(&report, &[&GRADUAL[..], &overwriting, &PARTED]), "{report}");
}

#[tokio::test]
async fn the_route_mover_keeps_the_contract() {
    let report = assert_contract(async || route(&[TABLE], place_route).await).await;
    assert_eq!(report.not_applicable(), in_order(&report, &[&GRADUAL[..], &RELEASING, &PARTED]), "{report}");
}

#[tokio::test]
async fn the_route_mover_keeps_the_contract_with_several_tables() {
    let report = assert_contract(async || route(&TABLES, place_three_routes).await).await;
    assert_eq!(report.not_applicable(), in_order(&report, &[&GRADUAL[..], &RELEASING, &STRUCK]), "{report}");
}
