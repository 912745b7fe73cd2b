//! Many readings of instance statuses leave no task and no descriptor behind. A file of its own, because the whole process
//! is counted; not its memory, because the simulator keeps a journal of all requests.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::config::Credentials;
use floatip_aws::simulator::{Action, Fault, Simulator, Timings, When, World};
use floatip_aws::{AwsSettings, InstanceStatusProbe};
use floatip_core::{HealthProbe, NodeId, Target, Via};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const ROUNDS: usize = 40;
const NODES: usize = 8;

fn node(number: usize) -> NodeId {
    NodeId::new(&format!("ftp-{number}")).unwrap()
}

fn instance(number: usize) -> String {
    format!("i-0a1b2c3d4e5f600{number:02}")
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Some checks side by side, of which every fifth is dropped in its midst.
async fn round(probe: &Arc<InstanceStatusProbe>, number: usize) -> usize {
    let mut running = JoinSet::new();
    for which in 0..NODES {
        let probe = probe.clone();
        let target = Target::new(node(which), "172.16.11.10".parse().unwrap(), Via::Direct, Duration::from_secs(10));
        let drops = (number + which).is_multiple_of(5);
        running.spawn(async move {
            match drops {
                true => timeout(Duration::from_millis(1), probe.probe(&target)).await.is_ok_and(|read| read.is_ok()),
                false => probe.probe(&target).await.is_ok(),
            }
        });
    }
    running.join_all().await.into_iter().filter(|read| *read).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_that_succeed_fail_or_are_dropped_leave_nothing_behind() {
    let mut world = World::new("ap-northeast-1").subnet("subnet-a", "ap-northeast-1a", "172.16.11.0/24", "vpc-1");
    for number in 0..NODES {
        world = world.instance(&instance(number), "subnet-a", &format!("172.16.11.{}", 10 + number));
    }
    let simulator = Simulator::start(world, Timings::instant()).await.unwrap();
    let mut settings = AwsSettings::new();
    settings.region = Some("ap-northeast-1".to_owned());
    settings.endpoint_url = Some(simulator.endpoint_url());
    let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
    let ec2 = settings.credentials_provider(credentials).connect().await.unwrap();
    let nodes = (0..NODES).map(|number| (node(number), instance(number)));
    let probe = Arc::new(InstanceStatusProbe::new(ec2.instance_statuses(), nodes).unwrap());
    for number in 0..5 {
        round(&probe, number).await;
    }
    let before = (descriptors(), tasks());
    let (mut read, mut failed) = (0, 0);
    for number in 0..ROUNDS {
        if number % 4 == 3 {
            simulator.faults().set(Action::DescribeInstanceStatus, Fault::InternalError, When::Always);
            failed += NODES - round(&probe, number).await;
            simulator.faults().clear();
        } else {
            read += round(&probe, number).await;
        }
    }
    assert!(read > ROUNDS && failed > ROUNDS, "{read} were read, {failed} failed: it did not play all its parts");
    let settled = timeout(Duration::from_secs(20), async {
        while descriptors() > before.0 || tasks() > before.1 {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let settled = settled.await;
    assert!(settled.is_ok(), "descriptors and tasks grew from {before:?} to {:?}", (descriptors(), tasks()));
}
