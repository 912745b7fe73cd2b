//! Where reads of one action are asked for, put together and sent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Filter;
use floatip_core::{MoveError, Urgency};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::queue::{Answer, Ask, Batch, Queue, VALUES};
use super::resource::Resource;
use crate::error::{Call, Failure};
use crate::limiter::{Hold, Limiter, now};

/// How many reads are on their way to the desk at once; more wait for a place.
const INBOX: usize = 1024;

/// How many pages of one answer are fetched. What lies beyond is asked for by id.
const PAGES: usize = 50;

/// Why a read has no answer.
#[derive(Debug, Clone)]
pub(super) enum Unread {
    Failed(Failure),
    Held(Hold),
}

/// A tag that the resources bear, so that all of them are found by one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FleetTag {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// What the calls go through.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) client: Client,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) tag: Option<FleetTag>,
}

/// Takes reads of one kind of resource and answers each from a call that is sent after it was asked for.
///
/// A task owns what waits; it starts with the first read and ends with the desk.
pub(crate) struct Desk<R> {
    asks: Mutex<Option<mpsc::Sender<Ask<R>>>>,
}

impl<R> Default for Desk<R> {
    fn default() -> Self {
        Self { asks: Mutex::new(None) }
    }
}

impl<R> fmt::Debug for Desk<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl<R: Resource> Desk<R> {
    /// What a filter finds for one value.
    ///
    /// # Cancel safety
    /// Dropping it is harmless, also to those who share its call.
    pub(crate) async fn read(
        &self,
        line: &Line,
        call: Call<'_>,
        filter: impl Into<Cow<'static, str>>,
        value: &str,
    ) -> Result<Vec<R>, MoveError> {
        self.read_all(line, call, filter, &[value]).await
    }

    /// What a filter finds for several values, in the order of these.
    pub(crate) async fn read_all<V: AsRef<str>>(
        &self,
        line: &Line,
        call: Call<'_>,
        filter: impl Into<Cow<'static, str>>,
        values: &[V],
    ) -> Result<Vec<R>, MoveError> {
        let (filter, urgency) = (filter.into(), Urgency::current());
        let gone = |_| call.unclear("the reader of this process has ended");
        let asks = self.asks(line);
        let mut answers = Vec::with_capacity(values.len());
        for value in values {
            let (reply, answer) = oneshot::channel();
            let ask = Ask { filter: filter.clone(), value: value.as_ref().to_owned(), urgency, reply };
            asks.send(ask).await.map_err(|_| call.unclear("the reader of this process has ended"))?;
            answers.push(answer);
        }
        let mut found = Vec::new();
        for answer in answers {
            found.extend(answer.await.map_err(gone)?.map_err(|unread| match unread {
                Unread::Failed(failure) => call.told(failure),
                Unread::Held(hold) => call.held(hold, now()),
            })?);
        }
        Ok(found)
    }

    fn asks(&self, line: &Line) -> mpsc::Sender<Ask<R>> {
        let mut asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        match &*asks {
            // It is closed if the runtime that it ran on has ended.
            Some(open) if !open.is_closed() => open.clone(),
            Some(_) | None => {
                let (sender, inbox) = mpsc::channel(INBOX);
                tokio::spawn(serve(inbox, line.clone()));
                asks.insert(sender).clone()
            }
        }
    }
}

/// Until the desk is gone: then nobody waits any more.
async fn serve<R: Resource>(mut inbox: mpsc::Receiver<Ask<R>>, line: Line) {
    let mut queue = Queue::new(line.tag.is_some());
    let mut calls = JoinSet::new();
    loop {
        let low = line.limiter.is_low(now(), R::CALL);
        let due = queue.due(now(), low);
        tokio::select! {
            biased;
            ask = inbox.recv() => match ask {
                Some(ask) => queue.add(now(), ask),
                None => return,
            },
            Some(_) = calls.join_next() => {}
            () = sleep_until(due.unwrap_or_else(now).into()), if due.is_some() => {
                send_due(&mut queue, &line, &mut calls, low);
            }
        }
    }
}

fn send_due<R: Resource>(queue: &mut Queue<R>, line: &Line, calls: &mut JoinSet<()>, low: bool) {
    queue.forget_dropped();
    let now = now();
    while let Some(urgency) = queue.urgency(now, low) {
        if let Err(hold) = line.limiter.take(now, R::CALL, urgency) {
            let impatient = queue.hold(now, hold);
            line.limiter.held_back(R::CALL, impatient.len() as u64);
            impatient.into_iter().for_each(|asker| drop(asker.send(Err(Unread::Held(hold)))));
            return;
        }
        let Some(batch) = queue.take(now) else { return };
        let askers: usize = batch.waiting.values().map(Vec::len).sum();
        line.limiter.joined(R::CALL, askers.saturating_sub(1) as u64);
        line.limiter.waited(R::CALL, now.saturating_duration_since(batch.since));
        calls.spawn(answer(line.clone(), batch));
    }
}

async fn answer<R: Resource>(line: Line, batch: Batch<R>) {
    let Batch { filter, mut waiting, .. } = batch;
    // A token was taken for the first call.
    let mut paid = true;
    let tag = line.tag.as_ref().filter(|_| waiting.len() > VALUES && filter == R::ID);
    if let Some(FleetTag { key, value }) = tag {
        paid = false;
        match pages::<R>(&line, Filter::builder().name(format!("tag:{key}")).values(value).build()).await {
            Ok((found, _)) => {
                let found = sort(&found, &filter);
                waiting.retain(|value, askers| match found.get(value.as_str()) {
                    Some(found) => {
                        tell(std::mem::take(askers), &Ok(found.iter().copied().cloned().collect()));
                        false
                    }
                    // It does not bear the tag, or is missing: that shows when it is asked for by its id.
                    None => true,
                });
            }
            Err(unread) => return waiting.into_values().for_each(|askers| tell(askers, &Err(unread.clone()))),
        }
    }
    while !waiting.is_empty() {
        let rest = waiting.keys().nth(VALUES).cloned().map(|next| waiting.split_off(&next)).unwrap_or_default();
        let values: Vec<_> = waiting.keys().cloned().collect();
        let filter_by = Filter::builder().name(filter.clone()).set_values(Some(values)).build();
        let turn = if paid { Ok(()) } else { line.limiter.turn_to_read(R::CALL, Urgency::Move).await };
        paid = false;
        let answer = match turn {
            Ok(()) => pages::<R>(&line, filter_by).await.and_then(|(found, complete)| match complete {
                true => Ok(found),
                false => Err(Unread::Failed(Failure::unclear("there are more pages than are ever fetched"))),
            }),
            Err(hold) => Err(Unread::Held(hold)),
        };
        match &answer {
            Ok(found) => {
                let found = sort(found, &filter);
                for (value, askers) in waiting {
                    let found = found.get(value.as_str()).into_iter().flatten();
                    tell(askers, &Ok(found.copied().cloned().collect()));
                }
            }
            Err(unread) => waiting.into_values().for_each(|askers| tell(askers, &Err(unread.clone()))),
        }
        waiting = rest;
    }
}

/// What a filter finds, and whether that is all. The first page needs no token any more.
async fn pages<R: Resource>(line: &Line, filter: Filter) -> Result<(Vec<R>, bool), Unread> {
    let (mut found, mut next) = (Vec::new(), None);
    for page in 0..PAGES {
        if page > 0 {
            line.limiter.turn_to_read(R::CALL, Urgency::Move).await.map_err(Unread::Held)?;
        }
        let answer = R::page(&line.client, filter.clone(), next).await;
        line.limiter.answered(R::CALL, answer.as_ref().is_err_and(Failure::is_throttled));
        let (more, token) = answer.map_err(Unread::Failed)?;
        found.extend(more);
        next = token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

fn sort<'a, R: Resource>(found: &'a [R], filter: &str) -> BTreeMap<&'a str, Vec<&'a R>> {
    let mut sorted = BTreeMap::<_, Vec<_>>::new();
    for one in found {
        for value in one.values(filter) {
            sorted.entry(value).or_default().push(one);
        }
    }
    sorted
}

/// Whoever has stopped waiting needs no answer.
fn tell<R: Clone>(askers: Vec<oneshot::Sender<Answer<R>>>, answer: &Answer<R>) {
    askers.into_iter().for_each(|asker| drop(asker.send(answer.clone())));
}
