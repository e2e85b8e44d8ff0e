//! Runs a load. Workers send events at the given rate, and the events of a device in order. A watcher looks for the samples
//! in a Prometheus.

use super::generator::PlannedEvent;
use super::ledger::Ledger;
use super::plan::Plan;
use super::query::Query;
use super::stream::Stream;
use super::target::{Target, payload};
use crate::exit::CommandError;
use crate::stop_signal::StopSignal;
use amp_push_gateway::aws::sqs::MAX_ENTRIES;
use amp_push_gateway::local::wall_clock;
use indicatif::ProgressBar;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// Calls in flight at a time.
pub(super) const WORKERS: usize = 4;
/// Messages that wait for a worker. If a worker is slower than the load, the load becomes slower.
const WAITING: usize = 16;
const TICK: Duration = Duration::from_millis(10);
/// An event waits no longer than this for others of its message.
const LONGEST_GATHERING: Duration = Duration::from_secs(1);
/// Between two looks at what has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(500);

type Message = Vec<PlannedEvent>;

pub(super) fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the whole load, or as much of it as `longest` and `stop` allow.
pub(super) async fn send(
    plan: &Plan,
    target: Arc<Target>,
    ledger: &Arc<Mutex<Ledger>>,
    longest: Duration,
    stop: &StopSignal,
    progress: &ProgressBar,
) {
    let (queues, workers): (Vec<_>, Vec<_>) = (0..WORKERS)
        .map(|worker| {
            let (queue, messages) = mpsc::channel(WAITING);
            (queue, tokio::spawn(work(worker, Arc::clone(&target), messages, Arc::clone(ledger), stop.clone())))
        })
        .unzip();
    let mut stream = Stream::new(plan);
    let mut gathering: Vec<Message> = vec![Vec::new(); WORKERS];
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun = Instant::now();
    let (mut made, mut gathered) = (0, begun);
    let goes_on = || !stop.is_asked() && begun.elapsed() < longest;
    while made < plan.count() && goes_on() {
        ticks.tick().await;
        while made < plan.due(begun.elapsed()) && goes_on() {
            let (device, event) = stream.next(wall_clock());
            made += 1;
            progress.inc(1);
            // One worker sends all events of a device, one after the other.
            gathering[device % WORKERS].push(event);
            hand_over(&mut gathering, &queues, plan.events_per_message).await;
        }
        if gathered.elapsed() > LONGEST_GATHERING {
            gathered = Instant::now();
            hand_over(&mut gathering, &queues, 1).await;
        }
    }
    hand_over(&mut gathering, &queues, 1).await;
    drop(queues);
    for worker in workers {
        // A worker that panicked has reported it on standard error, and its events are missing.
        let _is_well = worker.await.is_ok();
    }
}

/// Passes on each message that has at least `events` events.
async fn hand_over(gathering: &mut [Message], queues: &[mpsc::Sender<Message>], events: usize) {
    for (message, queue) in gathering.iter_mut().zip(queues).filter(|(message, _)| message.len() >= events) {
        // Only a worker that panicked takes nothing.
        let _is_taken = queue.send(take(message)).await.is_ok();
    }
}

async fn work(
    worker: usize,
    target: Arc<Target>,
    mut messages: mpsc::Receiver<Message>,
    ledger: Arc<Mutex<Ledger>>,
    stop: StopSignal,
) {
    while let Some(first) = messages.recv().await {
        let mut batch = vec![first];
        let most = if target.tells() { 1 } else { MAX_ENTRIES };
        while batch.len() < most
            && let Ok(next) = messages.try_recv()
        {
            batch.push(next);
        }
        for events in &batch {
            lock(&ledger).plan(payload(events).len(), events.iter().map(|event| &event.expected));
        }
        let outcomes = target.send(worker, &batch, &stop).await;
        let (mut ledger, now) = (lock(&ledger), wall_clock());
        for (event, outcome) in batch.iter().flatten().zip(outcomes) {
            ledger.settle(&event.expected, &outcome, now);
        }
    }
}

/// Looks for the samples until it is dropped. It reports no error: a Prometheus may be busy now and then.
pub(super) async fn watch(query: &Query, ledger: &Mutex<Ledger>) {
    loop {
        sleep(LOOK_EVERY).await;
        let _is_answered = look(query, ledger).await.is_ok();
    }
}

/// Looks for missing samples until there are none, or for at most `longest`. Returns the error of the last look.
pub(super) async fn settle(
    query: &Query,
    ledger: &Mutex<Ledger>,
    longest: Duration,
    stop: &StopSignal,
) -> Option<CommandError> {
    let begun = Instant::now();
    loop {
        let looked = look(query, ledger).await;
        let is_done = lock(ledger).oldest_open().is_none();
        if is_done || begun.elapsed() > longest || stop.is_asked() {
            return looked.err();
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn look(query: &Query, ledger: &Mutex<Ledger>) -> Result<(), CommandError> {
    let Some(since) = lock(ledger).oldest_open() else { return Ok(()) };
    let found = query.samples(since, wall_clock()).await?;
    let (mut ledger, now) = (lock(ledger), wall_clock());
    for (labels, values) in found {
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        ledger.find(labels, values.into_iter(), now);
    }
    Ok(())
}
