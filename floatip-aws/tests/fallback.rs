//! A chain of real movers on the simulated EC2: an interface whose detach never ends, and the secondary private address on
//! it that another interface takes over.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::config::Credentials;
use floatip_aws::simulator::{Action, Fault, Scope, Simulator, Timings, When, World};
use floatip_aws::{AwsSettings, Ec2, EniMover, NodeInterface, PrivateIpMover};
use floatip_core::testing::trial::{self, Pace, Stage};
use floatip_core::{AddressMover, NodeId};

const INTERFACE: &str = "eni-0a1b2c3d4e5f60001";
const ADDRESS: &str = "10.0.0.50";
const NODES: [(&str, &str); 2] = [("a", "i-a"), ("b", "i-b")];

/// The address on the moving interface, that on the first node, and every detach hangs, forced or not.
#[derive(Debug)]
struct StuckDetach {
    simulator: Simulator,
    ec2: Ec2,
}

impl StuckDetach {
    async fn start() -> Self {
        let world = World::new("eu-test-1").subnet("subnet-a", "eu-test-1a", "10.0.0.0/24", "vpc-1");
        let world = NODES.into_iter().zip(1..).fold(world, |world, ((_, instance), host)| {
            world.instance(instance, "subnet-a", &format!("10.0.0.{host}"))
        });
        let world = world.network_interface(INTERFACE, "subnet-a", "10.0.0.9").secondary_private_ip(INTERFACE, ADDRESS);
        let world = world.attach(INTERFACE, NODES[0].1, 1);
        let simulator = Simulator::start(world, Timings::instant()).await.unwrap();
        simulator.faults().set(Action::DetachNetworkInterface, Fault::StuckForcedDetach, When::Always);
        let settings = AwsSettings::new().region("eu-test-1").endpoint_url(simulator.endpoint_url());
        let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
        let ec2 = settings.credentials_provider(credentials).connect().await.unwrap();
        Self { simulator, ec2 }
    }
}

fn nodes() -> impl Iterator<Item = (NodeId, &'static str)> {
    NODES.into_iter().map(|(name, instance)| (NodeId::new(name).unwrap(), instance))
}

impl Stage for StuckDetach {
    fn nodes(&self) -> Vec<NodeId> {
        nodes().map(|(node, _)| node).collect()
    }

    fn movers(&self) -> Vec<Arc<dyn AddressMover>> {
        let address = ADDRESS.parse().unwrap();
        let eni = EniMover::new(self.ec2.clone(), INTERFACE, 1, nodes()).unwrap().carries(address);
        let places = nodes().map(|(node, instance)| (node, NodeInterface::new().instance(instance)));
        let private_ip = PrivateIpMover::new(self.ec2.clone(), address, places).unwrap();
        vec![Arc::new(eni), Arc::new(private_ip)]
    }

    fn holders(&self) -> Vec<NodeId> {
        let world = self.simulator.world();
        let carrier = world.carrier_of(ADDRESS.parse().unwrap());
        nodes().filter(|(_, instance)| carrier == Some(*instance)).map(|(node, _)| node).collect()
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
        pace.policy.release_timeout = Duration::from_secs(1);
        pace
    }
}

#[tokio::test]
async fn a_detach_that_never_ends_is_left_behind_whichever_reply_is_lost() {
    let survey = trial::lost_replies(StuckDetach::start, 12).await;
    survey.assert_sound();
    assert!(survey.calls >= 15 && survey.finished == survey.calls, "nothing was stuck: {survey}");
}
