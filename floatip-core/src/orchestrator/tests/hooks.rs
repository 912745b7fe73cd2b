//! What hooks may veto, and what they cannot hold up.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Allow,
    Veto,
    Fail,
    Hang,
}

/// A hook that does what it was told to do last.
#[derive(Debug)]
struct Scripted {
    on: Occasion,
    does: Mutex<Does>,
    calls: AtomicUsize,
    told: Mutex<Vec<EventKind>>,
}

impl Scripted {
    fn new(on: Occasion, does: Does) -> Arc<Self> {
        Arc::new(Self { on, does: Mutex::new(does), calls: AtomicUsize::new(0), told: Mutex::default() })
    }

    fn set(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl MoveHook for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn wants(&self, occasion: Occasion) -> bool {
        occasion == self.on
    }

    async fn call(&self, call: &HookCall) -> Result<HookReply, HookError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let HookCall::PostMove(event) | HookCall::OnEvent(event) = call {
            self.told.lock().unwrap().push(event.kind.clone());
        }
        let does = *self.does.lock().unwrap();
        match does {
            Does::Allow => Ok(HookReply::done()),
            Does::Veto => Ok(HookReply::veto().saying("not now")),
            Does::Fail => Err(HookError::new("no such program", None)),
            Does::Hang => std::future::pending().await,
        }
    }
}

async fn with(hook: &Arc<Scripted>) -> (World, Monitor) {
    let mut world = World::two();
    world.setup = world.setup.hook(hook.clone());
    let monitor = world.settled().await;
    (world, monitor)
}

fn vetoed(kind: &EventKind) -> bool {
    matches!(kind, EventKind::MoveVetoed { reason, .. } if reason == "scripted: not now")
}

#[tokio::test(start_paused = true)]
async fn a_veto_holds_a_failover_and_is_asked_about_again_ever_more_rarely() {
    let hook = Scripted::new(Occasion::PreMove, Does::Veto);
    let (world, monitor) = with(&hook).await;
    world.refuse("a");
    monitor.state(State::Vetoed, 20 * S).await;
    sleep(600 * S).await;
    assert_eq!((world.provider.path(), monitor.status().await.state), (vec![id("a")], State::Vetoed));
    let asked = monitor.count(vetoed);
    assert!((10..30).contains(&asked), "{asked} times in ten minutes");
    hook.set(Does::Allow);
    monitor.finished(70 * S).await;
    assert_eq!(world.provider.holder(), Some(id("b")));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_or_fails_never_delays_a_failover_beyond_its_bound() {
    for (does, result) in [(Does::Hang, HookResult::TimedOut), (Does::Fail, HookResult::Failed)] {
        let hook = Scripted::new(Occasion::PreMove, does);
        let (world, monitor) = with(&hook).await;
        let died = Instant::now();
        world.refuse("a");
        let started = monitor.event("the move", 20 * S, |kind| matches!(kind, EventKind::MoveStarted { .. })).await;
        let bound = health().worst_case_detection() + 2 * S + 300 * MS;
        assert!(started - died <= bound, "{does:?}: {:?}", started - died);
        let told = |kind: &EventKind| matches!(kind, EventKind::HookFinished { result: r, .. } if *r == result);
        assert_eq!(monitor.count(told), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_recovers_while_the_hook_thinks_keeps_its_address() {
    let hook = Scripted::new(Occasion::PreMove, Does::Hang);
    let (world, monitor) = with(&hook).await;
    world.refuse("a");
    let asked = async {
        while hook.calls() == 0 {
            sleep(10 * MS).await;
        }
    };
    timeout(20 * S, asked).await.unwrap();
    world.heal("a");
    sleep(30 * S).await;
    assert!(!monitor.moved(), "{:#?}", monitor.seen());
}

#[tokio::test(start_paused = true)]
async fn an_operators_move_is_refused_by_a_veto_a_failure_and_silence_and_made_by_force() {
    let hook = Scripted::new(Occasion::PreMove, Does::Veto);
    let (world, monitor) = with(&hook).await;
    for does in [Does::Veto, Does::Fail, Does::Hang] {
        hook.set(does);
        let moved = monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("b")))).await;
        assert!(matches!(moved, Err(CommandError::MoveFailed { unchanged: true, .. })), "{does:?}: {moved:?}");
    }
    assert_eq!(world.provider.requests(), []);
    let forced = monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("b")).force(true))).await;
    assert!(matches!(forced, Ok(Done::Moved(_))), "{forced:?}");
    hook.set(Does::Allow);
    let back = monitor.handle.command("ftp", Command::Switchover(Switchover::to(id("a")))).await;
    assert!(matches!(back, Ok(Done::Moved(_))), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_move_is_told_once_and_a_hook_that_hangs_then_holds_up_nothing() {
    let hook = Scripted::new(Occasion::PostMove, Does::Hang);
    let (world, monitor) = with(&hook).await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    monitor.state(State::Serving, 5 * S).await;
    sleep(10 * S).await;
    assert!(matches!(&hook.told.lock().unwrap()[..], [EventKind::MoveFinished(receipt)] if receipt.to == id("b")));
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_of_events_hears_all_in_order_but_its_own_and_is_told_how_many_it_missed() {
    let hook = Scripted::new(Occasion::OnEvent, Does::Allow);
    let (world, monitor) = with(&hook).await;
    world.refuse("a");
    monitor.finished(20 * S).await;
    sleep(10 * S).await;
    assert_eq!(*hook.told.lock().unwrap(), monitor.seen());
    hook.set(Does::Hang);
    for _ in 0..100 {
        monitor.handle.command("ftp", Command::Pause { reason: None, duration: None }).await.unwrap();
        monitor.handle.command("ftp", Command::Resume).await.unwrap();
    }
    sleep(10 * S).await;
    let missed = |kind: &EventKind| matches!(kind, EventKind::HookMissed { missed: 130.., .. });
    assert_eq!(monitor.count(missed), 1, "{:#?}", monitor.seen());
}
