//! More probes than may run at once wait for their turn, and that is held against nobody.

use super::*;

#[tokio::test(start_paused = true)]
async fn probes_beyond_the_bound_wait_and_turn_no_node_down() {
    let world = World::of(&["a", "b", "c", "d", "e", "f"]);
    let slow = Answer::Healthy.after(200 * MS);
    for node in ["a", "b", "c", "d", "e", "f"] {
        world.probe.set_direct(&id(node), slow.clone());
    }
    world.probe.set_everywhere(None);
    let orchestrator =
        Orchestrator::builder().floating_ip(world.setup.clone()).seed(7).probes_at_once(2).build().unwrap();
    let handle = orchestrator.handle();
    let mut events = handle.subscribe();
    // Six nodes want 6 x 200 ms of every second, and get 2 x 1000 ms; unknown at first, four times as much.
    let running = timeout(30 * S, orchestrator.run(std::future::pending()));
    let watching = async {
        let mut went_down = 0;
        while let Some(Notice::Event(event)) = events.next().await {
            went_down += usize::from(matches!(event.kind, EventKind::NodeWentDown { .. }));
        }
        went_down
    };
    let status = async {
        sleep(29 * S).await;
        handle.status().await.unwrap()
    };
    let (_, went_down, status) = tokio::join!(running, watching, status);
    assert_eq!(went_down, 0);
    assert!(status[0].nodes.iter().all(|node| node.health == Health::Healthy), "{status:?}");
    assert_eq!(world.probe.most_running(), 2);
}
