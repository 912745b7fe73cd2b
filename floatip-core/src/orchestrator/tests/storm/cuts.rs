//! A monitor that is cut off from everything moves nothing, whenever the cut begins and whoever is seen first after it.

use super::super::*;

/// Gives the nodes other hosts, so that they are probed at other phases.
fn spread(world: &mut World, salt: u32) {
    for node in &mut world.setup.nodes {
        node.host = format!("{}-{salt}.example", node.id).parse().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_moves_nothing_whenever_it_begins() {
    for names in [&["a", "b"][..], &["a", "b", "c"]] {
        for begins in (0..2000).step_by(83) {
            let mut world = World::of(names);
            spread(&mut world, begins);
            let monitor = world.settled().await;
            sleep(begins * MS).await;
            world.probe.set_everywhere(Some(Answer::Hang));
            sleep(13 * S).await;
            assert_eq!(monitor.status().await.state, State::AllNodesDown, "a cut {begins} ms after the start");
            world.probe.set_everywhere(None);
            sleep(10 * S).await;
            assert!(!monitor.moved(), "a cut {begins} ms after the start: {:#?}", monitor.seen());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_comes_back_during_a_cut_takes_nothing() {
    for ends in (0..2000).step_by(83) {
        let mut world = World::two();
        spread(&mut world, ends);
        let monitor = world.settled().await;
        world.refuse("b");
        sleep(10 * S).await;
        world.probe.set_everywhere(Some(Answer::Hang));
        sleep(6 * S).await;
        monitor.state(State::NoCandidate, S).await;
        world.heal("b");
        sleep(ends * MS).await;
        world.probe.set_everywhere(None);
        sleep(10 * S).await;
        assert!(!monitor.moved(), "a cut that ended {ends} ms later: {:#?}", monitor.seen());
        // Nothing else is the matter: a holder that really dies is left.
        world.refuse("a");
        monitor.finished(20 * S).await;
    }
}
