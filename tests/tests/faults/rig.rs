//! An orchestrator with a real mover on the simulated EC2, and nodes that are as well as the test says.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::config::Credentials;
use floatip_aws::simulator::{Action, Change, Entry, Fault, Outcome, Simulator, Timings, When};
use floatip_aws::{AwsSettings, EipMover, EniMover, Fencing, NodeInterface, PrivateIpMover, RouteMover, RouteTables};
use floatip_core::testing::{Answer, ScriptedProbe};
use floatip_core::{
    AddressMover, Check, EventKind, FloatingIp, Handle, HealthProbe, HealthSettings, Host, Node, NodeId, Notice,
    Orchestrator, Policy, ProbeError, Reason, Setup, Subscription, Target, Verdict, Via,
};
use floatip_tests::cloud::{ALLOCATION, INSTANCE1, INSTANCE2, INTERFACE, REGION, world};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The third instance, in the subnet of the others.
const INSTANCE3: &str = "i-0a1b2c3d4e5f60013";
const NODES: [(&str, &str, &str); 3] =
    [("ftp1", INSTANCE1, "172.16.11.10"), ("ftp2", INSTANCE2, "172.16.11.20"), ("ftp3", INSTANCE3, "172.16.11.21")];

const SUBNET: &str = "subnet-0a1b2c3d4e5f60001";
const PRIVATE_IP: &str = "172.16.11.50";
const IPV6: &str = "fd00:11::50";
const TABLE: &str = "rtb-0a1b2c3d4e5f60050";
const OVERLAY: &str = "10.99.0.1";
const DESTINATION: &str = "10.99.0.1/32";

/// Longer than any move of these tests takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// By which mechanism the address moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Eni,
    /// Taken from its holder and given to the target by one call.
    Eip,
    /// Released first.
    StrictEip,
    /// Taken from its holder and given to the target by one call.
    PrivateIp,
    /// Released first.
    Ipv6,
    /// Led from its holder to the target by one call for the only table.
    Route,
}

impl Kind {
    /// The call that takes the address from its holder: the point of no return.
    pub(crate) fn take(self) -> Action {
        match self {
            Self::Eni => Action::DetachNetworkInterface,
            Self::Eip => Action::AssociateAddress,
            Self::StrictEip => Action::DisassociateAddress,
            Self::PrivateIp => Action::AssignPrivateIpAddresses,
            Self::Ipv6 => Action::UnassignIpv6Addresses,
            Self::Route => Action::ReplaceRoute,
        }
    }

    /// The call that reads where the address is.
    pub(crate) fn read(self) -> Action {
        match self {
            Self::Eni | Self::PrivateIp | Self::Ipv6 => Action::DescribeNetworkInterfaces,
            Self::Eip | Self::StrictEip => Action::DescribeAddresses,
            Self::Route => Action::DescribeRouteTables,
        }
    }

    /// The call that gives the address to its target.
    pub(crate) fn give(self) -> Action {
        match self {
            Self::Eni => Action::AttachNetworkInterface,
            Self::Eip | Self::StrictEip => Action::AssociateAddress,
            Self::PrivateIp => Action::AssignPrivateIpAddresses,
            Self::Ipv6 => Action::AssignIpv6Addresses,
            Self::Route => Action::ReplaceRoute,
        }
    }
}

/// The whole arrangement. All nodes are well at first, and the first has the address.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) kind: Kind,
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) handle: Handle,
    script: ScriptedProbe,
    subscription: Subscription,
    events: Vec<EventKind>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Rig {
    /// Starts it with the first two nodes, and waits until both are known to be healthy.
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_with(kind, 2).await
    }

    /// Starts it with the first `nodes` nodes, and waits until all are known to be healthy.
    pub(crate) async fn start_with(kind: Kind, nodes: usize) -> Self {
        let timings = Timings::default()
            .detach(Duration::from_millis(250))
            .attach(Duration::from_millis(150))
            .force_detach(Duration::from_millis(100))
            .address_propagation(Duration::ZERO)
            .private_ip_propagation(Duration::ZERO)
            .route_propagation(Duration::ZERO);
        let world = world().instance(INSTANCE3, SUBNET, NODES[2].2).subnet_ipv6(SUBNET, "fd00:11::/64");
        let world =
            NODES.iter().fold(world, |world, (_, instance, _)| world.source_dest_check(&primary(instance), false));
        let holder = primary(INSTANCE1);
        let world = world.secondary_private_ip(&holder, PRIVATE_IP).ipv6_address(&holder, IPV6);
        let world = world.route_table(TABLE, "vpc-0a1b2c3d4e5f60001").route(TABLE, DESTINATION, &holder);
        let simulator = Arc::new(Simulator::start(world, timings).await.expect("the simulator starts"));
        let nodes = &NODES[..nodes];
        let script = ScriptedProbe::new();
        let probe = Arc::new(Followed { kind, script: script.clone(), simulator: simulator.clone() });
        let floating_ip = FloatingIp::new("ftp", "172.16.11.30").expect("a floating IP");
        let mut setup = Setup::new(floating_ip).mover(mover(kind, &simulator, nodes).await).policy(policy());
        setup = setup.check(Check::new(probe).health(health()));
        for (name, _, host) in nodes {
            setup = setup.node(Node::new(name, host).expect("a node"));
        }
        let builder = Orchestrator::builder().floating_ip(setup).sweep(Duration::from_millis(500));
        let orchestrator = builder.build().expect("it can work");
        let (handle, (stop, stopped)) = (orchestrator.handle(), oneshot::channel());
        let subscription = handle.subscribe();
        let running = tokio::spawn(orchestrator.run(async { stopped.await.unwrap_or(()) }));
        let mut rig =
            Self { kind, simulator, handle, script, subscription, events: Vec::new(), stop: Some(stop), running };
        for (name, ..) in nodes {
            rig.event(
                &format!("{name} is healthy"),
                |it| matches!(it, EventKind::NodeCameUp { node } if node.as_str() == *name),
            )
            .await;
        }
        rig.event("the holder is known", |it| matches!(it, EventKind::HolderChanged { to: Some(_), .. })).await;
        rig
    }

    /// Lets a node refuse connections from now on.
    pub(crate) fn kill(&self, node: &str) {
        self.script.set_direct(&id(node), Answer::refused());
    }

    /// Lets a node be well from now on.
    pub(crate) fn revive(&self, node: &str) {
        self.script.set_direct(&id(node), Answer::Healthy);
    }

    /// Cuts the monitor off from everything, or connects it again.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.script.set_everywhere(cut_off.then_some(Answer::Hang));
        if cut_off { self.simulator.faults().black_hole() } else { self.simulator.faults().clear() }
    }

    /// The first event, of all since the start, for which `wanted` is true: one that has happened, or the next.
    pub(crate) async fn event(&mut self, what: &str, wanted: impl Fn(&EventKind) -> bool) -> EventKind {
        let found = async {
            let mut seen = 0;
            loop {
                if let Some(event) = self.events[seen..].iter().find(|event| wanted(event)) {
                    return event.clone();
                }
                seen = self.events.len();
                let notice = self.subscription.next().await.expect("it runs");
                let Notice::Event(event) = notice else { panic!("{notice:?}") };
                self.events.push(event.kind.clone());
            }
        };
        match timeout(PATIENCE, found).await {
            Ok(event) => event,
            Err(_) => panic!("not seen: {what}\n{}", self.story()),
        }
    }

    /// The next event for which `wanted` is true.
    pub(crate) async fn next_event(&mut self, what: &str, wanted: impl Fn(&EventKind) -> bool) {
        let found = async {
            loop {
                let notice = self.subscription.next().await.expect("it runs");
                let Notice::Event(event) = notice else { panic!("{notice:?}") };
                self.events.push(event.kind.clone());
                if self.events.last().is_some_and(&wanted) {
                    return;
                }
            }
        };
        if timeout(PATIENCE, found).await.is_err() {
            panic!("not seen: {what}\n{}", self.story());
        }
    }

    /// Waits until the simulator has been asked what is wanted.
    pub(crate) async fn journal_until(&self, wanted: impl FnMut(&[Entry]) -> bool) {
        if timeout(PATIENCE, self.simulator.journal().wait_until(wanted)).await.is_err() {
            panic!("EC2 is not asked what is waited for\n{}", self.story());
        }
    }

    /// Keeps the address from being given to anybody, until the faults are cleared.
    pub(crate) fn hold_back(&self) {
        self.simulator.faults().set(self.kind.give(), Fault::Throttled, When::Always);
    }

    /// Waits for the end of a move to `node`.
    pub(crate) async fn lands_on(&mut self, node: &str) {
        self.event(
            &format!("the address is on {node}"),
            |it| matches!(it, EventKind::MoveFinished(receipt) if receipt.to.as_str() == node),
        )
        .await;
        assert_eq!(self.carrier().as_deref(), Some(node), "the world is not as it was said to be\n{}", self.story());
    }

    /// Waits until the call that takes the address from its holder has been applied.
    pub(crate) async fn point_of_no_return(&self) {
        let action = self.kind.take();
        let applied = self.simulator.journal().wait_until(|entries| {
            entries.iter().any(|entry| entry.action == action.name() && entry.outcome == Outcome::Succeeded)
        });
        timeout(PATIENCE, applied).await.expect("the address is taken from its holder");
    }

    /// Waits until so many calls of `action` have arrived.
    pub(crate) async fn arrivals(&self, action: Action, count: usize) {
        let arrived = self
            .simulator
            .journal()
            .wait_until(|entries| entries.iter().filter(|entry| entry.action == action.name()).count() >= count);
        timeout(PATIENCE, arrived).await.expect("the calls arrive");
    }

    /// Waits until so many calls have arrived in all.
    pub(crate) async fn arrivals_of_any(&self, count: usize) {
        let arrived = self.simulator.journal().wait_until(|entries| entries.len() >= count);
        timeout(PATIENCE, arrived).await.expect("the calls arrive");
    }

    /// The node that truly carries the address.
    pub(crate) fn carrier(&self) -> Option<String> {
        carrier(self.kind, &self.simulator)
    }

    /// Whether an event has happened, of those that were waited past.
    pub(crate) fn happened(&self, wanted: impl Fn(&EventKind) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    /// Asserts that traffic was never led to two nodes, and took no way but this one.
    pub(crate) fn assert_way(&self, way: &[&str]) {
        let mut on = Some(NODES[0].0);
        let mut went = Vec::new();
        for (_, change) in self.simulator.changes() {
            match change {
                Change::Attached { instance, .. } => {
                    assert_eq!(on, None, "attached while it is attached\n{}", self.story());
                    on = name(&instance);
                    went.extend(on);
                }
                Change::Detached { .. } => on = None,
                Change::Associated { instance, .. }
                | Change::Assigned { instance, .. }
                | Change::Routed { instance, .. } => {
                    on = instance.as_deref().and_then(name);
                    went.extend(on);
                }
                Change::Disassociated { .. } | Change::Unassigned { .. } | Change::Unrouted { .. } => on = None,
            }
        }
        assert_eq!(went, way, "{}", self.story());
    }

    /// What happened and what was asked of EC2, for the message of a failure.
    fn story(&self) -> String {
        let events = self.events.iter().map(|event| format!("{event:?}\n"));
        let calls = self.simulator.journal().entries();
        let calls = calls.iter().filter(|call| Action::from_name(&call.action).is_none_or(|it| !it.is_describe()));
        let calls = calls.map(|call| format!("{} {:?}: {:?}\n", call.action, call.parameters, call.outcome));
        format!("events:\n{}requests:\n{}", events.collect::<String>(), calls.collect::<String>())
    }

    /// Ends the orchestrator.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        timeout(PATIENCE, self.running).await.expect("it stops").expect("it does not panic");
    }
}

/// Detection within 150 ms. The timeout is far above what a scripted answer takes on a loaded machine.
fn health() -> HealthSettings {
    let mut health = HealthSettings::default();
    health.interval = Duration::from_millis(100);
    health.fast_interval = Duration::from_millis(25);
    health.timeout = Duration::from_millis(500);
    health
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.release_timeout = Duration::from_secs(4);
    policy.forced_release_timeout = Duration::from_secs(4);
    policy.claim_timeout = Duration::from_secs(6);
    policy.verify_timeout = Duration::from_secs(4);
    policy
}

async fn mover(kind: Kind, simulator: &Simulator, nodes: &[(&str, &str, &str)]) -> Arc<dyn AddressMover> {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let settings = AwsSettings::new().region(REGION).endpoint_url(simulator.endpoint_url());
    let ec2 = settings.credentials_provider(credentials).connect().await.expect("a client");
    match kind {
        Kind::Eni => {
            let nodes = nodes.iter().map(|(name, instance, _)| (id(name), *instance));
            Arc::new(EniMover::new(ec2, INTERFACE, EniMover::DEFAULT_DEVICE_INDEX, nodes).expect("a mover"))
        }
        Kind::Eip | Kind::StrictEip => {
            let fencing = if kind == Kind::StrictEip { Fencing::Strict } else { Fencing::Overwrite };
            let builder = EipMover::builder(ec2, ALLOCATION).fencing(fencing);
            let builder =
                nodes.iter().fold(builder, |builder, (name, instance, _)| builder.instance(id(name), *instance));
            Arc::new(builder.build().expect("a mover"))
        }
        Kind::PrivateIp | Kind::Ipv6 => {
            let ip = if kind == Kind::PrivateIp { PRIVATE_IP } else { IPV6 };
            Arc::new(PrivateIpMover::new(ec2, ip.parse().expect("an address"), places(nodes)).expect("a mover"))
        }
        Kind::Route => {
            let tables = RouteTables::Ids(vec![TABLE.to_owned()]);
            let builder = RouteMover::builder(ec2, OVERLAY.parse().expect("an address"), tables);
            let builder = places(nodes).into_iter().fold(builder, |builder, (node, place)| builder.node(node, place));
            Arc::new(builder.build().expect("a mover"))
        }
    }
}

fn places(nodes: &[(&str, &str, &str)]) -> Vec<(NodeId, NodeInterface)> {
    nodes.iter().map(|(name, instance, _)| (id(name), NodeInterface::new().instance(*instance))).collect()
}

fn primary(instance: &str) -> String {
    format!("{}-primary", instance.replacen("i-", "eni-", 1))
}

fn id(node: &str) -> NodeId {
    NodeId::new(node).expect("a node's name")
}

fn name(instance: &str) -> Option<&'static str> {
    NODES.iter().find(|(_, own, _)| *own == instance).map(|(name, ..)| *name)
}

fn carrier(kind: Kind, simulator: &Simulator) -> Option<String> {
    let world = simulator.world();
    let instance = match kind {
        Kind::Eni => world.find_interface(INTERFACE).and_then(|interface| interface.carrier()),
        Kind::Eip | Kind::StrictEip => world.carrier_of_address(ALLOCATION),
        Kind::PrivateIp => world.carrier_of(PRIVATE_IP.parse().expect("an address")),
        Kind::Ipv6 => world.carrier_of(IPV6.parse().expect("an address")),
        Kind::Route => world.carrier_of_route(TABLE, DESTINATION),
    };
    instance.and_then(name).map(str::to_owned)
}

/// Finds nodes as scripted. Through the floating address it finds the node that truly carries it, and nobody while none
/// does.
#[derive(Debug)]
struct Followed {
    kind: Kind,
    script: ScriptedProbe,
    simulator: Arc<Simulator>,
}

#[async_trait]
impl HealthProbe for Followed {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let node = match target.via {
            Via::Direct => Some(target.node.to_string()),
            Via::Floating => carrier(self.kind, &self.simulator),
        };
        let Some(node) = node else {
            tokio::time::sleep(target.timeout).await;
            return Ok(Verdict::unhealthy(Reason::TimedOut { stage: "connect".into() }));
        };
        let host: Host = target.host.clone();
        self.script.probe(&Target::new(id(&node), host, Via::Direct, target.timeout)).await
    }
}
