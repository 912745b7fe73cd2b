use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use floatip_aws::simulator::{Change, DataPlane, Timings};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::{Lab, soon, two_servers};

#[derive(Debug)]
struct Recorder(UnboundedSender<(Instant, Change)>);

#[async_trait]
impl DataPlane for Recorder {
    async fn follow(&self, change: &Change) {
        self.0.send((Instant::now(), change.clone())).expect("the test listens");
    }
}

fn record(lab: &Lab) -> UnboundedReceiver<(Instant, Change)> {
    let (sender, receiver) = unbounded_channel();
    lab.simulator.data_plane(Arc::new(Recorder(sender)));
    receiver
}

async fn next(changes: &mut UnboundedReceiver<(Instant, Change)>) -> (Instant, Change) {
    soon(changes.recv()).await.expect("a change")
}

fn detached() -> Change {
    Change::Detached { network_interface: "eni-float".into(), instance: "i-1".into(), device_index: 1 }
}

fn attached() -> Change {
    Change::Attached {
        network_interface: "eni-float".into(),
        instance: "i-2".into(),
        device_index: 2,
        private_ips: vec![Ipv4Addr::new(172, 16, 11, 30)],
        ipv6_addresses: vec![],
    }
}

#[tokio::test]
async fn a_data_plane_follows_a_detach_when_it_ends_though_nobody_reads() {
    let detach = Duration::from_millis(200);
    let lab = Lab::two_servers(Timings::instant().detach(detach)).await;
    let mut changes = record(&lab);
    let begin = Instant::now();
    lab.simulator.console().detach("eni-float", false).expect("accepted");
    let (at, change) = next(&mut changes).await;
    assert_eq!(change, detached());
    assert!(at - begin >= detach, "{:?}", at - begin);
}

#[tokio::test]
async fn a_data_plane_follows_an_attach_when_it_ends_though_nobody_reads() {
    let attach = Duration::from_millis(200);
    let lab = Lab::two_servers(Timings::instant().attach(attach)).await;
    lab.free_float().await;
    let mut changes = record(&lab);
    let begin = Instant::now();
    lab.simulator.console().attach("eni-float", "i-2", 2).expect("accepted");
    let (at, change) = next(&mut changes).await;
    assert_eq!(change, attached());
    assert!(at - begin >= attach, "{:?}", at - begin);
}

#[tokio::test]
async fn a_data_plane_sees_changes_in_order() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let mut changes = record(&lab);
    let console = lab.simulator.console();
    console.detach("eni-float", false).expect("accepted");
    console.attach("eni-float", "i-2", 2).expect("accepted");
    assert_eq!(next(&mut changes).await.1, detached());
    assert_eq!(next(&mut changes).await.1, attached());
    let history: Vec<_> = lab.simulator.changes().into_iter().map(|(_, change)| change).collect();
    assert_eq!(history, [detached(), attached()]);
}

#[tokio::test]
async fn traffic_to_an_address_follows_after_the_api_has_shown_it() {
    let propagation = Duration::from_millis(300);
    let lab = Lab::two_servers(Timings::instant().address_propagation(propagation)).await;
    let mut changes = record(&lab);
    let begin = Instant::now();
    lab.simulator.console().associate("eipalloc-1", "eni-2-primary", None).expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-2"));
    let public_ip = Ipv4Addr::new(203, 0, 113, 10);
    let (at, change) = next(&mut changes).await;
    assert!(at - begin >= propagation, "{:?}", at - begin);
    assert_eq!(
        change,
        Change::Disassociated {
            public_ip,
            network_interface: "eni-1-primary".into(),
            private_ip: Ipv4Addr::new(172, 16, 11, 10),
        }
    );
    assert_eq!(
        next(&mut changes).await.1,
        Change::Associated {
            public_ip,
            network_interface: "eni-2-primary".into(),
            instance: Some("i-2".into()),
            private_ip: Ipv4Addr::new(172, 16, 11, 20),
        }
    );
}

#[tokio::test]
async fn a_termination_takes_the_interfaces_out_of_the_instance() {
    let lab = Lab::start(two_servers(), Timings::instant()).await;
    let mut changes = record(&lab);
    lab.simulator.console().terminate("i-1").expect("accepted");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(next(&mut changes).await.1);
    }
    assert!(seen.contains(&detached()), "{seen:?}");
    let gone = |change: &Change| matches!(change, Change::Disassociated { .. });
    assert!(seen.iter().any(gone), "{seen:?}");
}

#[tokio::test]
async fn what_the_world_was_built_with_is_no_change() {
    let lab = Lab::start(two_servers(), Timings::instant()).await;
    assert_eq!(lab.simulator.changes(), []);
}
