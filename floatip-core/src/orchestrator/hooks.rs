//! Calling hooks: those that may veto all at once, those that are only told one at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::clock::now;
use crate::event::{Event, EventKind};
use crate::hook::{HookCall, HookReply, HookResult, MoveHook, Occasion, Plan};

/// How many calls may wait for one hook; past that, events are left out.
const MOST_WAITING: usize = 64;

/// How many characters of what a hook says are kept.
const MOST_SAID: usize = 1000;

/// One call of one hook, ended.
#[derive(Debug)]
pub(super) struct Called {
    hook: String,
    occasion: Occasion,
    pub(super) result: HookResult,
    output: Option<String>,
    duration: Duration,
}

impl Called {
    /// What is worth telling of it: everything but that a hook was told of an event.
    pub(super) fn event(&self) -> Option<EventKind> {
        let Self { hook, occasion, result, output, duration } = self;
        let news = *occasion != Occasion::OnEvent || *result != HookResult::Done;
        news.then(|| EventKind::HookFinished {
            hook: hook.clone(),
            occasion: *occasion,
            result: *result,
            output: output.clone(),
            duration: *duration,
        })
    }
}

/// Calls one hook, within its timeout.
async fn call(hook: Arc<dyn MoveHook>, what: HookCall) -> Called {
    let begun = now();
    let (result, output) = match timeout(hook.timeout(), hook.call(&what)).await {
        Ok(Ok(HookReply { veto: false, output })) => (HookResult::Done, output),
        Ok(Ok(HookReply { veto: true, output })) => (HookResult::Vetoed, output),
        Ok(Err(error)) => (HookResult::Failed, Some(crate::chain(&error))),
        Err(_) => (HookResult::TimedOut, None),
    };
    let output = output.map(|said| said.trim().chars().take(MOST_SAID).collect::<String>());
    let output = output.filter(|said| !said.is_empty());
    let duration = now().saturating_duration_since(begun);
    Called { hook: hook.name().to_owned(), occasion: what.occasion(), result, output, duration }
}

/// Asks all hooks that want to be asked about a move, at once.
pub(super) async fn ask(hooks: Vec<Arc<dyn MoveHook>>, plan: Plan) -> Vec<Called> {
    let mut calls = JoinSet::new();
    for hook in hooks.into_iter().filter(|hook| hook.wants(Occasion::PreMove)) {
        calls.spawn(call(hook, HookCall::PreMove(plan.clone())));
    }
    let mut called = Vec::new();
    while let Some(ended) = calls.join_next().await {
        called.push(ended.unwrap_or_else(|error| Called {
            hook: "a hook".to_owned(),
            occasion: Occasion::PreMove,
            result: HookResult::Failed,
            output: Some(error.to_string()),
            duration: Duration::ZERO,
        }));
    }
    called
}

/// What all of them together say, and the words of the one that decided.
pub(super) fn verdict(called: &[Called]) -> (HookResult, Option<String>) {
    let worst = [HookResult::Vetoed, HookResult::TimedOut, HookResult::Failed]
        .into_iter()
        .find_map(|result| called.iter().find(|call| call.result == result));
    worst.map_or((HookResult::Done, None), |call| {
        let said = call.output.as_deref().unwrap_or(call.result.as_str());
        (call.result, Some(format!("{}: {said}", call.hook)))
    })
}

/// What waits to be told to one hook.
#[derive(Debug)]
pub(super) struct Told {
    hook: Arc<dyn MoveHook>,
    waiting: VecDeque<HookCall>,
    running: bool,
    missed: u64,
}

impl Told {
    pub(super) fn new(hook: Arc<dyn MoveHook>) -> Self {
        Self { hook, waiting: VecDeque::new(), running: false, missed: 0 }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running || !self.waiting.is_empty()
    }

    /// Lets it be told of an event, unless it is one of hooks: that would never end.
    pub(super) fn push(&mut self, event: &Arc<Event>) {
        let ended = matches!(&event.kind, EventKind::MoveFinished(_) | EventKind::MoveFailed { unchanged: false, .. });
        let of_hooks = matches!(&event.kind, EventKind::HookFinished { .. } | EventKind::HookMissed { .. });
        let mut calls = Vec::new();
        if ended && self.hook.wants(Occasion::PostMove) {
            calls.push(HookCall::PostMove(event.clone()));
        }
        if !of_hooks && self.hook.wants(Occasion::OnEvent) {
            calls.push(HookCall::OnEvent(event.clone()));
        }
        for call in calls {
            // The end of a move is never left out: there are not many.
            if self.waiting.len() < MOST_WAITING || call.occasion() == Occasion::PostMove {
                self.waiting.push_back(call);
            } else {
                self.missed += 1;
            }
        }
    }

    /// The next call, unless one is under way.
    pub(super) fn begin(&mut self) -> Option<impl Future<Output = Called> + Send + 'static> {
        if self.running {
            return None;
        }
        let what = self.waiting.pop_front()?;
        self.running = true;
        Some(call(self.hook.clone(), what))
    }

    /// The call under way ended. Gives back what is to be said of events that were left out.
    pub(super) fn end(&mut self) -> Option<EventKind> {
        self.running = false;
        let missed = std::mem::take(&mut self.missed);
        (missed > 0).then(|| EventKind::HookMissed { hook: self.hook.name().to_owned(), missed })
    }
}
