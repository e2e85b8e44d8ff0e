//! The load itself: events at their rate to workers, which hand them over, each device's in order; and a watcher that
//! looks for them where they can be read.

use super::ledger::Ledger;
use super::plan::Plan;
use super::query::Query;
use super::tally::Tally;
use super::target::{Message, Outcome, Target};
use crate::stop::Stop;
use amp_push_gateway::local::fleet::{Expected, Stream, Streamed};
use amp_push_gateway::local::wall_clock;
use indicatif::ProgressBar;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// Calls under way at one time.
pub(super) const WORKERS: usize = 4;
/// Messages that wait for a worker; one that is slower than the load slows the load down.
const WAITING: usize = 16;
const TICK: Duration = Duration::from_millis(10);
/// An event waits no longer than this for others of its message.
const LONGEST_GATHERING: Duration = Duration::from_secs(1);
/// Between two looks at what has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What workers and the watcher write down.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
}

/// Events that go together, with what must become of each.
struct Parcel {
    message: Message,
    expected: Vec<Expected>,
}

pub(super) fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the whole load, or as much of it as `longest` and `stop` allow.
pub(super) async fn send(
    plan: &Plan,
    target: Arc<Target>,
    books: &Arc<Mutex<Books>>,
    longest: Duration,
    stop: &Stop,
    progress: &ProgressBar,
) {
    let (queues, workers): (Vec<_>, Vec<_>) = (0..WORKERS)
        .map(|_| {
            let (queue, parcels) = mpsc::channel(WAITING);
            (queue, tokio::spawn(work(Arc::clone(&target), parcels, Arc::clone(books))))
        })
        .unzip();
    make(plan, &queues, longest, stop, progress).await;
    drop(queues);
    for worker in workers {
        // One that panicked has said so on standard error, and its events are missing.
        let _is_well = worker.await.is_ok();
    }
}

async fn make(plan: &Plan, queues: &[mpsc::Sender<Parcel>], longest: Duration, stop: &Stop, progress: &ProgressBar) {
    let mut stream = Stream::new(plan.stream);
    let mut gathering: Vec<Vec<Streamed>> = vec![Vec::new(); WORKERS];
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun = Instant::now();
    let (mut made, mut gathered) = (0, begun);
    while made < plan.count && !stop.is_asked() && begun.elapsed() < longest {
        ticks.tick().await;
        while made < plan.due(begun.elapsed()) && !stop.is_asked() && begun.elapsed() < longest {
            let event = stream.next(wall_clock());
            made += 1;
            progress.inc(1);
            // All events of a device take one way, one after the other.
            let group = event.device as usize % WORKERS;
            gathering[group].push(event);
            if gathering[group].len() >= plan.events_per_message {
                hand_over(group, &mut gathering[group], &queues[group]).await;
            }
        }
        if gathered.elapsed() > LONGEST_GATHERING {
            gathered = Instant::now();
            for (group, events) in gathering.iter_mut().enumerate() {
                hand_over(group, events, &queues[group]).await;
            }
        }
    }
    for (group, events) in gathering.iter_mut().enumerate() {
        hand_over(group, events, &queues[group]).await;
    }
}

async fn hand_over(group: usize, events: &mut Vec<Streamed>, queue: &mpsc::Sender<Parcel>) {
    let (texts, expected): (Vec<_>, Vec<_>) = events.drain(..).map(|event| (event.text, event.expected)).unzip();
    let text = match texts.as_slice() {
        [] => return,
        [text] => text.clone(),
        _ => format!("[{}]", texts.join(",")),
    };
    let message = Message { text, events: expected.len(), group };
    // A worker is gone only where it panicked.
    let _is_taken = queue.send(Parcel { message, expected }).await.is_ok();
}

async fn work(target: Arc<Target>, mut parcels: mpsc::Receiver<Parcel>, books: Arc<Mutex<Books>>) {
    while let Some(first) = parcels.recv().await {
        let mut batch = vec![first];
        while batch.len() < target.batch()
            && let Ok(next) = parcels.try_recv()
        {
            batch.push(next);
        }
        for parcel in &batch {
            let mut books = lock(&books);
            books.tally.messages += 1;
            books.tally.bytes += parcel.message.text.len() as u64;
            parcel.expected.iter().filter_map(samples).for_each(|samples| books.ledger.plan(samples));
        }
        let messages: Vec<_> = batch.iter().map(|parcel| parcel.message.clone()).collect();
        let outcomes = target.send(&messages).await;
        let now = wall_clock();
        let mut books = lock(&books);
        for (parcel, outcomes) in batch.iter().zip(outcomes) {
            for (expected, outcome) in parcel.expected.iter().zip(outcomes) {
                books.tally.count(expected, &outcome);
                if let (Some(samples), Outcome::Stored) = (samples(expected), &outcome) {
                    books.ledger.acknowledge(samples, now);
                }
            }
        }
    }
}

fn samples(expected: &Expected) -> Option<&[amp_push_gateway::local::fleet::PlannedSample]> {
    match expected {
        Expected::Stored(samples) => Some(samples),
        Expected::PutAside { .. } | Expected::HandedBack { .. } => None,
    }
}

/// Looks for the samples until it is dropped. Faults are told once all is over: a Prometheus may be busy now and then.
pub(super) async fn watch(query: &Query, books: &Mutex<Books>) {
    loop {
        sleep(LOOK_EVERY).await;
        let _is_answered = look(query, books).await.is_ok();
    }
}

/// Looks for what is open until there is none, or for at most `longest`; the last fault, where there was one to the end.
pub(super) async fn settle(query: &Query, books: &Mutex<Books>, longest: Duration, stop: &Stop) -> Option<String> {
    let begun = Instant::now();
    loop {
        let looked = look(query, books).await;
        let is_done = lock(books).ledger.oldest_open().is_none();
        if is_done || begun.elapsed() > longest || stop.is_asked() {
            return looked.err();
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn look(query: &Query, books: &Mutex<Books>) -> Result<(), String> {
    let Some(since) = lock(books).ledger.oldest_open() else { return Ok(()) };
    let found = query.samples(since, wall_clock()).await?;
    found.enter(&mut lock(books).ledger, wall_clock());
    Ok(())
}
