//! An address of several parts, of which some are on another node than the rest.

use super::*;

/// The movers overwrite, and every change is done at once, as with routes.
fn routed(names: &[&str]) -> World {
    let mut world = World::of(names);
    world.provider.set_claim_duration(Duration::ZERO);
    world.setup.movers = vec![Arc::new(InMemoryMover::overwrite(&world.provider))];
    world
}

fn unsettled(kind: &EventKind) -> bool {
    matches!(kind, EventKind::PlacementUnsettled { .. })
}

fn changed(kind: &EventKind) -> bool {
    matches!(kind, EventKind::HolderChanged { from: Some(_), .. })
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_refused_in_part_lands_unsettled_is_verified_and_repaired() {
    let world = routed(&["a", "b"]);
    let monitor = world.settled().await;
    world.provider.set_immovable_half(Some("the policy does not name part-2"));
    world.refuse("a");
    let started = monitor.event("a move", 10 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
    let finished = monitor.finished(10 * S).await;
    assert!(finished.duration_since(started) < 2 * S, "it waited {:?}", finished.duration_since(started));
    assert_eq!(monitor.receipt().verification, Verification::Verified);

    let status = monitor.status().await;
    assert_eq!((status.state, status.holder), (State::Serving, Some(id("b"))));
    let left = status.unsettled.expect("the status shows it");
    assert_eq!(left.parts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["part-2 on a"]);
    assert!(left.error.unwrap().contains("the policy does not name part-2"));
    let told: Vec<_> = monitor.seen().into_iter().filter(unsettled).collect();
    let [told] = &told[..] else { panic!("it is told once: {told:?}") };
    let words = told.to_string();
    assert!(words.contains("part-2 on a") && words.contains("the policy does not name part-2"), "{words}");
    assert!(told.is_trouble());

    let before = world.provider.requests().len();
    sleep(600 * S).await;
    let repairs = world.provider.requests().len() - before;
    assert!((10..=30).contains(&repairs), "{repairs} repairs in ten minutes, at most 60 s apart");
    assert_eq!((monitor.count(unsettled), monitor.receipt().to), (1, id("b")), "and no other move");

    world.provider.set_immovable_half(None);
    monitor.event("the end of the repair", 65 * S, |kind| matches!(kind, EventKind::PlacementSettled { .. })).await;
    assert_eq!((world.provider.holder(), monitor.status().await.unsettled), (Some(id("b")), None));
    assert_eq!(monitor.count(|kind| matches!(kind, EventKind::MoveStarted { .. })), 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_service_does_not_answer_with_a_part_the_move_goes_on_to_the_next_node() {
    let world = routed(&["a", "b", "c"]);
    let monitor = world.settled().await;
    world.provider.set_immovable_half(Some("no"));
    world.probe.set_floating(&id("b"), Some(Answer::refused()));
    world.refuse("a");
    monitor.finished(60 * S).await;
    let failed = |kind: &EventKind| matches!(kind, EventKind::VerificationFailed { node, .. } if *node == id("b"));
    assert!(monitor.has(failed), "{:#?}", monitor.seen());
    assert_eq!((monitor.receipt().to, monitor.status().await.holder), (id("c"), Some(id("c"))));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_answers_late_through_a_part_is_verified_all_the_same() {
    let world = routed(&["a", "b"]);
    let monitor = world.settled().await;
    world.provider.set_immovable_half(Some("no"));
    world.probe.set_floating(&id("b"), Some(Answer::refused()));
    world.refuse("a");
    monitor.event("the landing", 10 * S, unsettled).await;
    sleep(15 * S).await;
    assert_eq!(monitor.status().await.state, State::Moving, "a sweep has read the split address since");
    world.probe.set_floating(&id("b"), None);
    monitor.finished(5 * S).await;
    assert_eq!(monitor.receipt().verification, Verification::Verified);
}

#[tokio::test(start_paused = true)]
async fn two_monitors_that_split_an_address_between_them_come_to_rest_on_one_node() {
    for seed in 0..20 {
        let mut world = routed(&["a", "b", "c"]);
        let setup = world.setup.clone();
        world.setup.policy.prefer = vec![id("a"), id("b")];
        let one = world.settled().await;
        world.setup = setup;
        world.setup.policy.prefer = vec![id("a"), id("c")];
        let two = world.settled().await;
        // Both want it at about the same time, and each brings one part to a node of its own.
        world.refuse("a");
        sleep(seed * 10 * MS).await;
        world.provider.split_among(&[id("b"), id("c")]);
        sleep(30 * S).await;
        let holder = world.provider.holder().expect("all of it is on one node");
        for monitor in [&one, &two] {
            let status = monitor.status().await;
            assert_eq!((status.state, status.holder), (State::Serving, Some(holder.clone())), "{:#?}", monitor.seen());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_holder_stays_the_holder_of_a_split_address_and_gets_the_rest_back() {
    let world = routed(&["a", "b"]);
    let monitor = world.settled().await;
    world.provider.set_immovable_half(Some("no"));
    world.provider.split_among(&[id("a"), id("b")]);
    for _ in 0..300 {
        sleep(100 * MS).await;
        let status = monitor.status().await;
        assert_eq!((status.state, status.holder), (State::Serving, Some(id("a"))));
    }
    assert_eq!(monitor.count(unsettled), 2, "once that it is split, once what is in the way: {:#?}", monitor.seen());
    world.provider.set_immovable_half(None);
    sleep(65 * S).await;
    assert_eq!(world.provider.holder(), Some(id("a")));
    assert_eq!((monitor.moved(), monitor.has(changed)), (false, false), "{:#?}", monitor.seen());
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_split_at_the_start_is_completed_where_most_of_it_is() {
    let world = routed(&["a", "b"]);
    world.provider.split_among(&[id("a"), id("b"), id("b")]);
    let monitor = world.monitor();
    monitor.event("the end of the repair", 20 * S, |kind| matches!(kind, EventKind::PlacementSettled { .. })).await;
    assert_eq!((world.provider.holder(), monitor.moved()), (Some(id("b")), false));
}

#[tokio::test(start_paused = true)]
async fn no_part_is_taken_for_a_holder_that_is_down_or_while_it_is_paused() {
    for paused in [false, true] {
        let world = routed(&["a", "b"]);
        let monitor = world.settled().await;
        if paused {
            let pause = Command::Pause { reason: None, duration: None };
            monitor.handle.command("ftp", pause).await.unwrap();
        } else {
            world.refuse("a");
            world.refuse("b");
            sleep(5 * S).await;
        }
        world.provider.split_among(&[id("a"), id("b")]);
        sleep(60 * S).await;
        assert_eq!(world.provider.requests().len(), 0, "{:#?}", monitor.seen());
        assert!(monitor.has(unsettled), "it is told all the same");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_moves_a_split_address_as_any_other() {
    let world = routed(&["a", "b"]);
    let monitor = world.settled().await;
    world.provider.set_immovable_half(Some("no"));
    world.provider.split_among(&[id("a"), id("b")]);
    sleep(15 * S).await;
    world.provider.set_immovable_half(None);
    monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("b")))).await.unwrap();
    assert_eq!((world.provider.holder(), monitor.receipt().from), (Some(id("b")), Some(id("a"))));
}
