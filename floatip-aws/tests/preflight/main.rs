//! What preflight says of accounts in which something is wrong, one thing at a time.

mod calls;
mod eip;
mod eni;
mod guarded;
mod private_ip;
mod reach;
mod route;

use aws_sdk_ec2::config::Credentials;
use floatip_aws::preflight::{Candidate, CheckId, Finding, Mechanism, Preflight, Status, Subject};
use floatip_aws::simulator::{Simulator, Timings, World};
use floatip_aws::{AwsSettings, Ec2};
use floatip_core::NodeId;

const INTERFACE: &str = "eni-0a1b2c3d4e5f60001";
const ALLOCATION: &str = "eipalloc-0a1b2c3d4e5f60002";
const INSTANCE_1: &str = "i-0a1b2c3d4e5f60011";
const INSTANCE_2: &str = "i-0a1b2c3d4e5f60012";
const FAR_AWAY: &str = "i-0a1b2c3d4e5f60013";

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn primary_of(instance: &str) -> String {
    format!("{}-primary", instance.replacen("i-", "eni-", 1))
}

/// Two instances in one zone, a third one in another; an interface on the first, and an address that leads to it.
fn world() -> World {
    World::new("ap-northeast-1")
        .subnet("subnet-a", "ap-northeast-1a", "172.16.11.0/24", "vpc-1")
        .subnet("subnet-c", "ap-northeast-1c", "172.16.12.0/24", "vpc-1")
        .instance(INSTANCE_1, "subnet-a", "172.16.11.10")
        .instance(INSTANCE_2, "subnet-a", "172.16.11.20")
        .instance(FAR_AWAY, "subnet-c", "172.16.12.10")
        .network_interface(INTERFACE, "subnet-a", "172.16.11.30")
        .attach(INTERFACE, INSTANCE_1, 1)
        .elastic_ip(ALLOCATION, "203.0.113.10")
        .associate(ALLOCATION, &primary_of(INSTANCE_1))
}

async fn start(world: World) -> (Simulator, Ec2) {
    let simulator = Simulator::start(world, Timings::instant()).await.unwrap();
    let settings = AwsSettings::new().region("ap-northeast-1").endpoint_url(simulator.endpoint_url());
    let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
    let ec2 = settings.credentials_provider(credentials).connect().await.unwrap();
    (simulator, ec2)
}

fn candidates(instances: &[(&str, &str)]) -> Vec<Candidate> {
    instances.iter().map(|(name, instance)| Candidate::new(node(name)).instance(*instance)).collect()
}

fn both() -> Vec<Candidate> {
    candidates(&[("ftp-1", INSTANCE_1), ("ftp-2", INSTANCE_2)])
}

fn preflight(ec2: &Ec2, mechanism: Mechanism, candidates: Vec<Candidate>) -> Preflight {
    Preflight::new(ec2.clone(), Subject::new(mechanism, candidates))
}

/// All findings that are not a pass, as `check of node: status`.
fn troubles(findings: &[Finding]) -> Vec<String> {
    let trouble = |finding: &&Finding| finding.status != Status::Pass;
    let told = findings.iter().filter(trouble).map(|finding| match &finding.node {
        Some(node) => format!("{} of {node}: {}", finding.check, finding.status),
        None => format!("{}: {}", finding.check, finding.status),
    });
    told.collect()
}

fn only(findings: &[Finding], check: CheckId, name: &str) -> Finding {
    let mut such = findings.iter().filter(|it| it.check == check && it.node == Some(node(name)));
    let found = such.next().unwrap_or_else(|| panic!("no {check} of {name}: {findings:#?}"));
    assert!(such.next().is_none(), "several {check} of {name}: {findings:#?}");
    found.clone()
}
