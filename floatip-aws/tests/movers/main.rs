//! The movers, with the real SDK, against the simulator: what each reads, what each request does to the world, and what
//! every kind of failure is called.

mod eip;
mod eni;
mod instance_status;
mod private_ip;
mod route;
mod wire;

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_ec2::config::Credentials;
use floatip_aws::simulator::{Action, Entry, Fault, Scope, Simulator, Timings, When, World};
use floatip_aws::{AwsSettings, Ec2};
use floatip_core::{MoveError, NodeId};

const INTERFACE: &str = "eni-0a1b2c3d4e5f60001";
const ALLOCATION: &str = "eipalloc-0a1b2c3d4e5f60002";
const INSTANCE_1: &str = "i-0a1b2c3d4e5f60011";
const INSTANCE_2: &str = "i-0a1b2c3d4e5f60012";
const FAR_AWAY: &str = "i-0a1b2c3d4e5f60013";

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// Two instances in one zone, a third one in another, a free interface and a free address.
fn world() -> World {
    World::new("ap-northeast-1")
        .subnet("subnet-a", "ap-northeast-1a", "172.16.11.0/24", "vpc-1")
        .subnet("subnet-c", "ap-northeast-1c", "172.16.12.0/24", "vpc-1")
        .instance(INSTANCE_1, "subnet-a", "172.16.11.10")
        .instance(INSTANCE_2, "subnet-a", "172.16.11.20")
        .instance(FAR_AWAY, "subnet-c", "172.16.12.10")
        .network_interface(INTERFACE, "subnet-a", "172.16.11.30")
        .elastic_ip(ALLOCATION, "203.0.113.10")
}

fn primary_of(instance: &str) -> String {
    format!("{}-primary", instance.replacen("i-", "eni-", 1))
}

async fn ec2(endpoint_url: String) -> Ec2 {
    let settings = AwsSettings::new().region("ap-northeast-1").endpoint_url(endpoint_url);
    settings.credentials_provider(Credentials::new("AKID", "SECRET", None, None, "test")).connect().await.unwrap()
}

/// Every change done at once, so that what a request leaves behind is there to be read.
async fn instant(world: World) -> (Simulator, Ec2) {
    start(world, Timings::instant()).await
}

/// No change ever done by itself: a test completes it.
async fn slow(world: World) -> (Simulator, Ec2) {
    let for_ever = Duration::from_secs(3600);
    start(world, Timings::default().attach(for_ever).detach(for_ever).force_detach(for_ever)).await
}

async fn start(world: World, timings: Timings) -> (Simulator, Ec2) {
    let simulator = Simulator::start(world, timings).await.unwrap();
    let ec2 = ec2(simulator.endpoint_url()).await;
    (simulator, ec2)
}

fn only(simulator: &Simulator, action: Action) -> Entry {
    let mut entries = simulator.journal().of(action);
    assert_eq!(entries.len(), 1, "{action}: {entries:?}");
    entries.remove(0)
}

fn actions(simulator: &Simulator) -> Vec<String> {
    simulator.journal().entries().into_iter().map(|entry| entry.action).collect()
}

/// What the caller is to do next.
fn class<T: std::fmt::Debug>(result: Result<T, MoveError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(MoveError::Denied { .. }) => "denied",
        Err(MoveError::NotFound { .. }) => "not found",
        Err(MoveError::Conflict { .. }) => "conflict",
        Err(MoveError::Throttled { .. }) => "throttled",
        Err(MoveError::Deferred { .. }) => "deferred",
        Err(MoveError::NotYet { .. }) => "not yet",
        Err(MoveError::OutcomeUnknown { .. }) => "outcome unknown",
        Err(MoveError::Impossible { .. }) => "impossible",
        Err(MoveError::TimedOut { .. }) => "timed out",
        Err(MoveError::Partly { .. }) => "partly",
        Err(other) => panic!("{other}"),
    }
}

/// Each fault of a request, what it is called, and whether the request takes effect all the same.
const REQUEST_FAULTS: [(Fault, &str, bool); 8] = [
    (Fault::Throttled, "throttled", false),
    (Fault::Denied, "denied", false),
    (Fault::InternalError, "outcome unknown", false),
    (Fault::AppliedThenInternalError, "outcome unknown", true),
    (Fault::RequestLost, "outcome unknown", false),
    (Fault::ReplyLost, "outcome unknown", true),
    (Fault::Hang, "outcome unknown", false),
    (Fault::AppliedThenHang, "outcome unknown", true),
];

/// Each fault of a read, and what it is called.
const READ_FAULTS: [(Fault, &str); 6] = [
    (Fault::Throttled, "throttled"),
    (Fault::Denied, "denied"),
    (Fault::InternalError, "timed out"),
    (Fault::RequestLost, "timed out"),
    (Fault::ReplyLost, "timed out"),
    (Fault::Hang, "timed out"),
];

fn next(simulator: &Simulator, scope: impl Into<Scope>, fault: Fault) {
    simulator.faults().set(scope, fault, When::Next(1));
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none are set")))
    }
}
