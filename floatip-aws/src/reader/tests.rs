//! The desk with resources that a test makes up, on paused time: what is sent when, and who is answered with what.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::{BehaviorVersion, Region};
use aws_sdk_ec2::types::Filter;
use floatip_core::{MoveError, Urgency};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::desk::{Desk, FleetTag, Line};
use super::resource::{Page, Resource};
use crate::error::{Call, Failure};
use crate::limiter::{Limiter, now};

const MS: Duration = Duration::from_millis(1);

/// One of what there is, and the number of the call that found it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thing {
    id: String,
    tagged: bool,
    call: usize,
}

#[derive(Default)]
struct World {
    /// What there is, and whether it bears the tag.
    things: BTreeMap<String, bool>,
    latency: Duration,
    page: usize,
    fails: bool,
    calls: Vec<(Instant, String, usize)>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

impl Resource for Thing {
    const CALL: &'static str = "DescribeThings";
    const ID: &'static str = "thing-id";

    fn values(&self, filter: &str) -> Vec<&str> {
        match filter {
            "tag:fleet" if self.tagged => vec!["yes"],
            "thing-id" | "alias" => vec![&self.id],
            _ => vec![],
        }
    }

    async fn page(_client: &Client, filter: Filter, next: Option<String>) -> Page<Self> {
        let (name, values) = (filter.name().unwrap().to_owned(), filter.values().to_vec());
        let (latency, answer) = WORLD.with_borrow_mut(|world| {
            world.calls.push((now(), name.clone(), values.len()));
            let call = world.calls.len();
            let all = world.things.iter().map(|(id, tagged)| Self { id: id.clone(), tagged: *tagged, call });
            let found =
                all.filter(|thing| thing.values(&name).iter().any(|own| values.iter().any(|value| value == own)));
            let skip = next.map_or(0, |next| next.parse::<usize>().unwrap());
            let mut rest: Vec<_> = found.skip(skip).collect();
            let more = world.page > 0 && rest.len() > world.page;
            rest.truncate(if world.page > 0 { world.page } else { usize::MAX });
            let answer = if world.fails {
                Err(Failure::unclear("it fails"))
            } else {
                Ok((rest, more.then(|| (skip + world.page).to_string())))
            };
            (world.latency, answer)
        });
        sleep(latency).await;
        answer
    }
}

fn world(things: usize, latency: Duration) {
    let things = (0..things).map(|n| (id(n), true)).collect();
    WORLD.set(World { things, latency, ..World::default() });
}

fn id(n: usize) -> String {
    format!("thing-{n:04}")
}

/// When each call was sent, by which filter and with how many values.
fn calls() -> Vec<(Instant, String, usize)> {
    WORLD.with_borrow(|world| world.calls.clone())
}

fn sizes() -> Vec<usize> {
    calls().into_iter().map(|(.., values)| values).collect()
}

#[derive(Clone)]
struct Bench {
    desk: std::sync::Arc<Desk<Thing>>,
    line: Line,
}

impl Bench {
    fn new(tag: Option<FleetTag>) -> Self {
        let config = aws_sdk_ec2::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-test-1"))
            .build();
        let line = Line { client: Client::from_conf(config), limiter: Limiter::new().into(), tag };
        Self { desk: Default::default(), line }
    }

    async fn read(&self, urgency: Urgency, id: &str) -> Result<Vec<Thing>, MoveError> {
        urgency.scope(self.desk.read(&self.line, Call::read(Thing::CALL, id), Thing::ID, id)).await
    }

    /// Asks for each of these at the same time, and gives back what each was answered.
    async fn read_each(
        &self,
        urgency: Urgency,
        ids: impl IntoIterator<Item = usize>,
    ) -> Vec<(usize, Result<Vec<Thing>, MoveError>)> {
        let mut reads = JoinSet::new();
        for n in ids {
            let bench = self.clone();
            reads.spawn(async move { (n, bench.read(urgency, &id(n)).await) });
        }
        let mut answers = reads.join_all().await;
        answers.sort_by_key(|(n, _)| *n);
        answers
    }
}

fn each_got_its_own(answers: &[(usize, Result<Vec<Thing>, MoveError>)]) {
    for (n, answer) in answers {
        let ids: Vec<_> = answer.as_ref().unwrap().iter().map(|thing| thing.id.clone()).collect();
        assert_eq!(ids, [id(*n)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_of_a_move_is_sent_at_once_and_one_of_a_sweep_waits_for_company() {
    world(1, 7 * MS);
    let bench = Bench::new(None);
    for (urgency, takes) in [(Urgency::Move, 7 * MS), (Urgency::Routine, 27 * MS)] {
        let begun = now();
        bench.read(urgency, &id(0)).await.unwrap();
        assert!(now() - begun <= takes + 2 * MS && now() - begun >= takes, "{urgency:?}: {:?}", now() - begun);
        sleep(100 * MS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_that_polls_alone_never_waits_for_the_window() {
    world(1, 5 * MS);
    let bench = Bench::new(None);
    let begun = now();
    for _ in 0..10 {
        bench.read(Urgency::Move, &id(0)).await.unwrap();
        sleep(95 * MS).await;
    }
    assert!(now() - begun <= 1000 * MS + 20 * MS, "{:?}", now() - begun);
}

#[tokio::test(start_paused = true)]
async fn moves_in_flight_share_one_poll() {
    world(150, 30 * MS);
    let bench = Bench::new(None);
    each_got_its_own(&bench.read_each(Urgency::Move, 0..150).await);
    assert!(sizes().len() <= 2 && sizes().iter().sum::<usize>() == 150, "{:?}", sizes());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_reads_at_one_tick_are_five_calls() {
    world(1000, 30 * MS);
    let bench = Bench::new(None);
    each_got_its_own(&bench.read_each(Urgency::Routine, 0..1000).await);
    assert_eq!(sizes(), [200; 5]);
    let metrics = &bench.line.limiter.metrics()[0];
    assert_eq!((metrics.call, metrics.sent, metrics.joined), (Thing::CALL, 5, 995));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_reads_at_one_tick_are_one_call_by_a_tag_and_what_lacks_it_is_read_by_id() {
    world(1000, 30 * MS);
    WORLD.with_borrow_mut(|world| world.things.values_mut().take(3).for_each(|tagged| *tagged = false));
    let bench = Bench::new(Some(FleetTag { key: "fleet".into(), value: "yes".into() }));
    each_got_its_own(&bench.read_each(Urgency::Routine, 3..1000).await);
    let filters = || calls().into_iter().map(|(_, filter, values)| (filter, values)).collect::<Vec<_>>();
    assert_eq!(filters(), [("tag:fleet".to_owned(), 1)]);
    each_got_its_own(&bench.read_each(Urgency::Routine, 0..1000).await);
    assert_eq!(filters()[1..], [("tag:fleet".to_owned(), 1), ("thing-id".to_owned(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_from_a_call_that_was_sent_after_it_was_asked_for() {
    world(1, 50 * MS);
    let bench = Bench::new(None);
    let early = tokio::spawn({
        let bench = bench.clone();
        async move { bench.read(Urgency::Move, &id(0)).await }
    });
    sleep(MS).await;
    assert_eq!(sizes(), [1], "the first is on its way");
    let asked = now();
    let late = bench.read(Urgency::Move, &id(0)).await.unwrap();
    assert_eq!(early.await.unwrap().unwrap()[0].call, 1);
    assert_eq!(late[0].call, 2, "it did not join a call that had been sent");
    assert!(calls()[1].0 >= asked);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_never_given_a_second_time() {
    world(1, Duration::ZERO);
    let bench = Bench::new(None);
    for call in 1..=3 {
        assert_eq!(bench.read(Urgency::Routine, &id(0)).await.unwrap()[0].call, call);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_thing_is_missing_for_its_asker_only() {
    world(3, 5 * MS);
    let bench = Bench::new(None);
    let answers = bench.read_each(Urgency::Routine, 1..5).await;
    each_got_its_own(&answers[..2]);
    assert!(answers[2..].iter().all(|(_, answer)| answer.as_ref().unwrap().is_empty()), "{answers:?}");
    assert_eq!(sizes(), [4]);
}

#[tokio::test(start_paused = true)]
async fn an_error_reaches_all_who_joined_and_nobody_else() {
    world(5, 5 * MS);
    WORLD.with_borrow_mut(|world| world.fails = true);
    let bench = Bench::new(None);
    let answers = bench.read_each(Urgency::Routine, 0..5).await;
    assert!(answers.iter().all(|(_, answer)| matches!(answer, Err(MoveError::TimedOut { .. }))), "{answers:?}");
    WORLD.with_borrow_mut(|world| world.fails = false);
    each_got_its_own(&bench.read_each(Urgency::Routine, 0..5).await);
    assert_eq!(sizes(), [5, 5]);
}

#[tokio::test(start_paused = true)]
async fn an_asker_that_is_dropped_harms_nobody_and_is_not_asked_for() {
    world(3, 50 * MS);
    let bench = Bench::new(None);
    let ask = |n| {
        let bench = bench.clone();
        tokio::spawn(async move { bench.read(Urgency::Routine, &id(n)).await })
    };
    let (before, during, stays) = (ask(0), ask(1), ask(2));
    sleep(10 * MS).await;
    before.abort();
    sleep(20 * MS).await;
    assert_eq!(sizes(), [2], "what nobody waits for is left out");
    during.abort();
    assert_eq!(stays.await.unwrap().unwrap()[0].id, id(2));
    assert_eq!(bench.read(Urgency::Move, &id(1)).await.unwrap()[0].id, id(1));
}

#[tokio::test(start_paused = true)]
async fn pages_are_followed_and_each_costs_a_token() {
    world(150, 5 * MS);
    WORLD.with_borrow_mut(|world| world.page = 40);
    let bench = Bench::new(None);
    each_got_its_own(&bench.read_each(Urgency::Routine, 0..150).await);
    assert_eq!(sizes(), [150; 4]);
    assert_eq!(bench.line.limiter.metrics()[0].sent, 4);
}

#[tokio::test(start_paused = true)]
async fn sweeps_go_along_with_moves_where_there_is_room() {
    world(60, 5 * MS);
    let bench = Bench::new(None);
    let sweep = tokio::spawn({
        let bench = bench.clone();
        async move { bench.read_each(Urgency::Routine, 0..50).await }
    });
    sleep(5 * MS).await;
    let begun = now();
    bench.read(Urgency::Move, &id(55)).await.unwrap();
    assert!(now() - begun <= 7 * MS);
    each_got_its_own(&sweep.await.unwrap());
    assert_eq!(sizes(), [51]);
}

#[tokio::test(start_paused = true)]
async fn moves_without_end_leave_half_of_the_bucket_and_sweeps_are_no_worse_than_late() {
    world(300, 5 * MS);
    let bench = Bench::new(None);
    let mut moves = JoinSet::new();
    for n in 0..100 {
        let bench = bench.clone();
        moves.spawn(async move {
            loop {
                bench.read(Urgency::Move, &id(n)).await.unwrap();
                sleep(Duration::from_micros(1000 + 37 * n as u64)).await;
            }
        });
    }
    sleep(10_000 * MS).await;
    let left = (0..).take_while(|_| bench.line.limiter.take(now(), Thing::CALL, Urgency::Move).is_ok()).count();
    assert!((35..=50).contains(&left), "about half is left for others: {left}");
    let begun = now();
    each_got_its_own(&bench.read_each(Urgency::Routine, 200..300).await);
    assert!(now() - begun <= 500 * MS, "{:?}", now() - begun);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_would_wait_too_long_is_handed_back_with_the_time_to_come_again() {
    world(1, Duration::ZERO);
    let bench = Bench::new(None);
    while bench.line.limiter.take(now(), Thing::CALL, Urgency::Move).is_ok() {}
    bench.line.limiter.turn(Thing::CALL, "others", 40, Urgency::Move).await.unwrap_err();
    let begun = now();
    let error = bench.read(Urgency::Move, &id(0)).await.unwrap_err();
    let MoveError::Deferred { after, .. } = error else { panic!("{error}") };
    assert!(now() - begun <= 510 * MS);
    sleep(after).await;
    bench.read(Urgency::Move, &id(0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reads_by_different_filters_go_in_calls_of_their_own_and_none_waits_for_ever() {
    world(20, 5 * MS);
    let bench = Bench::new(None);
    let mut busy = JoinSet::new();
    for n in 0..10 {
        let bench = bench.clone();
        busy.spawn(async move {
            loop {
                let call = Call::read(Thing::CALL, "busy");
                bench.desk.read(&bench.line, call, "alias", &id(n)).await.unwrap();
            }
        });
    }
    sleep(50 * MS).await;
    let begun = now();
    bench.read(Urgency::Move, &id(15)).await.unwrap();
    assert!(now() - begun <= 60 * MS, "{:?}", now() - begun);
    let filters: BTreeSet<_> = calls().into_iter().map(|(_, filter, _)| filter).collect();
    assert_eq!(filters.into_iter().collect::<Vec<_>>(), ["alias", "thing-id"]);
}

#[test]
fn the_desk_survives_the_runtime_that_it_began_on() {
    world(1, Duration::ZERO);
    let bench = Bench::new(None);
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(bench.read(Urgency::Move, &id(0))).unwrap();
    }
}
