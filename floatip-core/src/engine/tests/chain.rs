//! A move in which another mover takes over.

use super::*;

/// Three nodes, of which the first mover cannot give the address to `c`.
fn chained() -> Bench {
    let mut bench = Bench::of(false, &["a", "b", "c"]);
    let mut settings = bench.engine.settings.clone();
    settings.movers.push(Capabilities::new(Strategy::Overwrite));
    bench.engine = Engine::new(bench.now, settings, &Durable::default());
    bench.second = Placement::Stranger { description: "the interface".into(), token: Token::snapshot("interface") };
    bench.sick = Some("");
    bench.run(10 * S);
    bench.engine.set_impossible(bench.now, 0, 2, Some("no slot".to_owned()));
    bench
}

#[test]
fn a_target_that_another_mover_alone_can_serve_is_claimed_by_what_that_one_reads() {
    let mut bench = chained();
    bench.switch_by(false);
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Transition { from: Some(id("a")), to: None, token: Token::generation("1") };
    bench.sick = Some("a b");
    bench.run(5 * S);
    bench.placement = Placement::Free;
    bench.run(S);
    let Some((_, Action::Claim { mover: 1, to, seen, .. })) = bench.requests.last() else {
        panic!("{:?}", bench.requests)
    };
    assert_eq!((to, seen), (&id("c"), &bench.second));
}

#[test]
fn a_move_that_has_changed_nothing_and_goes_on_by_another_mover_asks_by_what_that_one_reads() {
    let mut bench = chained();
    bench.switch_by(false);
    bench.engine.set_impossible(bench.now, 0, 1, Some("no slot".to_owned()));
    bench.engine.set_impossible(bench.now, 1, 1, Some("no slot".to_owned()));
    // Nothing is looked at before the next reading has shown whether it has changed something.
    bench.reply(Err(unknown()));
    for _ in 0..5000 {
        if bench.requests.len() < 2 {
            bench.run(MS);
        }
    }
    let Some((_, Action::Claim { mover: 1, to, seen, .. })) = bench.requests.last() else {
        panic!("{:?}", bench.requests)
    };
    assert_eq!((to, seen), (&id("c"), &bench.second));
    assert_eq!(bench.readers.last(), Some(&1), "what was read before the move began is no reading");
}

#[test]
fn the_second_stranger_on_which_another_mover_finds_the_address_is_somebody_else() {
    let mut bench = chained();
    // The other mover knows nothing when it takes over.
    bench.unreadable = Some(unknown);
    bench.run(11 * S);
    bench.switch_by(true);
    bench.unreadable = None;
    bench.run(2 * S);
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Transition { from: Some(id("a")), to: None, token: Token::generation("1") };
    bench.run(30 * S);
    let requests = bench.requests.len();
    assert!(matches!(bench.requests.last(), Some((_, Action::Claim { mover: 1, .. }))), "{:?}", bench.requests);
    bench.second = Placement::Stranger { description: "i-elsewhere".into(), token: Token::snapshot("i-elsewhere") };
    bench.placement = bench.second.clone();
    bench.reply(Err(unknown()));
    bench.run(10 * S);
    assert_eq!((bench.failed(), bench.requests.len()), (Some(false), requests), "{:?}", bench.requests);
}

#[test]
fn a_rescue_waits_for_no_reading_of_a_mover_that_is_not_asked_any_more() {
    let mut bench = chained();
    bench.command(Command::Pause { reason: None, duration: None });
    bench.placement = Placement::Free;
    bench.run(15 * S);
    bench.unreadable = Some(unknown);
    bench.command(Command::Resume);
    // The provider is silent until each mover has been tried in turn.
    bench.run(60 * S);
    let changes = changes(&bench);
    assert_eq!((changes, bench.requests.len()), (2, 0), "{:?}", bench.events);
    bench.unreadable = None;
    bench.run(10 * S);
    assert!(matches!(bench.requests.last(), Some((_, Action::Claim { mover: 0, .. }))), "{:?}", bench.events);
}

/// How often another mover has taken over.
fn changes(bench: &Bench) -> usize {
    bench.count(|event| matches!(event, EventKind::MoverChanged { .. }))
}

/// Leaves the other mover's requests without an answer until the first one is asked again.
#[track_caller]
fn return_to_base(bench: &mut Bench) {
    for _ in 0..100 {
        if changes(bench) < 2 {
            bench.reply(Err(unknown()));
            bench.run(2 * S);
        }
    }
    assert_eq!(changes(bench), 2, "{:?}", bench.events);
}

/// A failover whose release was accepted, where each mover can serve a node that the other cannot.
fn leaves_a() -> Bench {
    let mut bench = chained();
    bench.engine.set_impossible(bench.now, 1, 1, Some("no slot".to_owned()));
    bench.sick = Some("a");
    bench.run_until(|bench| !bench.requests.is_empty());
    bench.reply(Ok(Accepted::without_token()));
    bench
}

/// A move to b by the other mover, which cannot bring it there either: the first one is asked to the end.
fn returned(base_reads: Placement) -> Bench {
    let mut bench = chained();
    bench.switch_by(false);
    bench.reply(Ok(Accepted::without_token()));
    bench.placement = Placement::Transition { from: Some(id("a")), to: None, token: Token::generation("1") };
    bench.run_until(|bench| changes(bench) == 1);
    bench.placement = base_reads;
    bench.run(S);
    return_to_base(&mut bench);
    bench
}

#[test]
fn what_no_mover_can_do_is_tried_again_ever_more_rarely() {
    // The other mover refuses as well, or does not answer.
    for refuses in [true, false] {
        let mut bench = returned(Placement::Free);
        bench.second = Placement::Free;
        let before = bench.requests.len();
        for _ in 0..600 {
            let by_base = matches!(bench.requests.last(), Some((_, Action::Claim { mover: 0, .. })));
            let (resource, reason) = ("it".into(), "no slot".to_owned());
            let no = MoveError::Impossible { call: "claim", resource, reason, source: "no".into() };
            bench.reply(Err(if by_base || refuses { no } else { unknown() }));
            bench.run(100 * MS);
        }
        let (requests, stuck) =
            (bench.requests.len() - before, |e: &EventKind| matches!(e, EventKind::FloatingIpStuck { .. }));
        assert!(bench.count(stuck) > 0 && requests < 30, "{requests}: {:?}", bench.events);
    }
}

#[test]
fn an_address_that_was_assigned_anew_while_another_mover_moved_is_not_taken_again() {
    let mut bench = returned(held("a", "9"));
    let requests = bench.requests.len();
    bench.run(5 * S);
    assert_eq!((bench.failed(), bench.requests.len()), (Some(false), requests), "{:?}", bench.events);
}

#[test]
fn a_move_that_no_mover_brings_to_an_end_is_stuck_although_each_can_serve_a_node_that_the_other_cannot() {
    let mut bench = leaves_a();
    (bench.placement, bench.second) = (Placement::Free, Placement::Free);
    for _ in 0..600 {
        bench.run(S);
        bench.reply(Err(unknown()));
    }
    let movers: Vec<_> =
        bench.requests.iter().map(|(_, request)| matches!(request, Action::Claim { mover: 1, .. })).collect();
    assert!(movers.contains(&true) && movers.contains(&false), "both have tried: {:?}", bench.requests);
    assert!(bench.count(|event| matches!(event, EventKind::FloatingIpStuck { .. })) > 0, "{:?}", bench.events);
}

#[test]
fn a_claim_that_hangs_is_known_by_its_own_assignment_when_the_first_mover_is_asked_again() {
    let mut bench = leaves_a();
    bench.placement = Placement::Free;
    bench.run_until(|bench| matches!(bench.requests.last(), Some((_, Action::Claim { mover: 0, .. }))));
    bench.placement = Placement::Transition { from: None, to: Some(id("b")), token: Token::generation("2") };
    bench.reply(Ok(Accepted::with_token(Token::generation("2"))));
    bench.run_until(|bench| changes(bench) == 1);
    bench.sick = Some("a b");
    bench.placement = held("b", "2");
    bench.run(10 * S);
    return_to_base(&mut bench);
    bench.run(10 * S);
    assert_eq!(bench.failed(), None, "it is the same assignment: {:?}", bench.events);
    assert!(matches!(bench.requests.last(), Some((_, Action::Release { mover: 0, .. }))), "{:?}", bench.requests);
}
