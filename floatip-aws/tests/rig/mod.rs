//! A fleet of network interfaces, each with two instances of its own, driven by a real orchestrator.
#![allow(dead_code, reason = "not every test needs every part")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::config::Credentials;
use floatip_aws::simulator::{Simulator, Timings, World};
use floatip_aws::{AwsSettings, Ec2, EniMover};
use floatip_core::testing::ScriptedProbe;
use floatip_core::{Check, FloatingIp, HealthSettings, Node, NodeId, Orchestrator, Setup};

pub(crate) const TAG: (&str, &str) = ("floatip", "production");

pub(crate) struct Fleet {
    pub(crate) simulator: Simulator,
    pub(crate) ec2: Ec2,
    pub(crate) orchestrator: Orchestrator,
    /// One for each floating IP.
    pub(crate) probes: Vec<ScriptedProbe>,
}

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a name")
}

pub(crate) fn interface(n: usize) -> String {
    format!("eni-{n:05}")
}

/// The instance of a node of the `n`th floating IP.
pub(crate) fn instance(n: usize, node: &str) -> String {
    format!("i-{node}{n:05}")
}

impl Fleet {
    /// `size` floating IPs, all of them on their node `a`.
    pub(crate) async fn start(
        size: usize,
        timings: Timings,
        sweep: Duration,
        health: HealthSettings,
        tagged: bool,
    ) -> Self {
        let ip = |n: usize| format!("10.0.{}.{}", 1 + n / 250, n % 250 + 4);
        let mut world = World::new("eu-test-1").subnet("subnet-a", "eu-test-1a", "10.0.0.0/16", "vpc-1");
        for n in 0..size {
            let (eni, a) = (interface(n), instance(n, "a"));
            world = world
                .instance(&a, "subnet-a", &ip(3 * n))
                .instance(&instance(n, "b"), "subnet-a", &ip(3 * n + 1))
                .network_interface(&eni, "subnet-a", &ip(3 * n + 2))
                .attach(&eni, &a, 1)
                .tag(&eni, TAG.0, TAG.1);
        }
        let simulator = Simulator::start(world, timings).await.expect("a sound world");
        let mut settings = AwsSettings::new().region("eu-test-1").endpoint_url(simulator.endpoint_url());
        if tagged {
            settings = settings.fleet_tag(TAG.0, TAG.1);
        }
        let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
        let ec2 = settings.credentials_provider(credentials).connect().await.expect("a region");
        let mut builder = Orchestrator::builder().sweep(sweep).seed(1);
        let mut probes = Vec::new();
        for n in 0..size {
            let nodes = ["a", "b"].map(|name| (node(name), instance(n, name)));
            let mover = EniMover::new(ec2.clone(), &interface(n), 1, nodes).expect("sound ids");
            let probe = ScriptedProbe::new();
            let floating_ip = FloatingIp::new(&format!("ip-{n}"), &ip(3 * n + 2)).expect("an address");
            let setup = Setup::new(floating_ip)
                .node(Node::new("a", &ip(3 * n)).expect("a node"))
                .node(Node::new("b", &ip(3 * n + 1)).expect("a node"))
                .check(Check::new(Arc::new(probe.clone())).health(health))
                .mover(Arc::new(mover));
            builder = builder.floating_ip(setup);
            probes.push(probe);
        }
        Self { simulator, ec2, orchestrator: builder.build().expect("sound setups"), probes }
    }
}
