//! The EC2 simulator, driven by the real SDK.
#![allow(clippy::disallowed_methods, reason = "what takes time is measured")]

mod addresses;
mod data_plane;
mod describes;
mod faults;
mod instances;
mod interfaces;
mod private_ips;
mod protocol;
mod routes;
mod world;

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{Filter, NetworkInterface};
use floatip_aws::simulator::{Simulator, Timings, World};

/// So long that a test sees the state in between; tests end it by the console.
const LONG: Duration = Duration::from_secs(3600);

/// A simulator and a client of it that neither retries nor gives up early.
struct Lab {
    simulator: Simulator,
    ec2: Client,
}

impl Lab {
    async fn start(world: World, timings: Timings) -> Self {
        let simulator = Simulator::start(world, timings).await.expect("the simulator starts");
        let ec2 = client(&simulator, Duration::from_secs(20));
        Self { simulator, ec2 }
    }

    /// Two servers in one zone, one in another; `eni-float` on `i-1`, `eipalloc-1` on the primary interface of `i-1`.
    async fn two_servers(timings: Timings) -> Self {
        Self::start(two_servers(), timings).await
    }

    async fn interface(&self, id: &str) -> NetworkInterface {
        let filter = Filter::builder().name("network-interface-id").values(id).build();
        let reply = self.ec2.describe_network_interfaces().filters(filter).send().await.expect("described");
        reply.network_interfaces.unwrap_or_default().pop().expect("one interface")
    }

    /// The id of the present attachment, as it really is.
    fn attachment(&self, id: &str) -> String {
        let world = self.simulator.world();
        world.find_interface(id).and_then(|interface| interface.attachment.as_ref()).expect("attached").id.clone()
    }

    /// The id of the present association, as it really is.
    fn association(&self, allocation: &str) -> String {
        let world = self.simulator.world();
        world.find_address(allocation).and_then(|address| address.association.as_ref()).expect("associated").id.clone()
    }

    /// Whether an interface is attached to nothing, as it really is.
    fn is_free(&self, id: &str) -> bool {
        self.simulator.world().find_interface(id).expect("exists").attachment.is_none()
    }

    /// Frees `eni-float` and waits until it is free.
    async fn free_float(&self) {
        let console = self.simulator.console();
        console.detach("eni-float", true).expect("accepted");
        console.complete("eni-float").expect("ended");
        assert!(self.is_free("eni-float"));
    }
}

fn two_servers() -> World {
    World::new("ap-northeast-1")
        .subnet("subnet-a", "ap-northeast-1a", "172.16.11.0/24", "vpc-1")
        .subnet("subnet-c", "ap-northeast-1c", "172.16.12.0/24", "vpc-1")
        .instance("i-1", "subnet-a", "172.16.11.10")
        .instance("i-2", "subnet-a", "172.16.11.20")
        .instance("i-3", "subnet-c", "172.16.12.10")
        .network_interface("eni-float", "subnet-a", "172.16.11.30")
        .attach("eni-float", "i-1", 1)
        .elastic_ip("eipalloc-1", "203.0.113.10")
        .associate("eipalloc-1", "eni-1-primary")
}

fn client(simulator: &Simulator, timeout: Duration) -> Client {
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("ap-northeast-1"))
        .credentials_provider(Credentials::new("AKIDTEST", "secret", None, None, "test"))
        .endpoint_url(simulator.endpoint_url())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(timeout).build())
        .build();
    Client::from_conf(config)
}

/// The error code of a refused call; empty if there was no reply.
fn code<T: Debug, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> String {
    result.expect_err("an error").code().unwrap_or_default().to_owned()
}

/// The error code and message of a refused call.
fn code_and_message<T: Debug, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> (String, String) {
    let error = result.expect_err("an error");
    (error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
}

/// What must happen soon.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it happens within 20 s")
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}
