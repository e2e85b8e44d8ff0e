//! Checks the whole design by random schedules. Messages come again, journal items are written late or twice, and ticks crash at every step
//! or run twice. The tick stands still for hours, and the receiver fails. Somebody deletes a series beside all that. Time is the model's own.
//!
//! Every call of the table and of the receiver is a step before its effect and one after it. Between two steps anything can happen.
//! Without one of the safeguards the model must find that something is counted wrongly.

use super::*;
use crate::aggregate::{Safeguard, break_safeguard};
use crate::store::BoxFuture;
use crate::store::intercepted::{Call, Intercept, InterceptedStore};
use fastrand::Rng;
use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A Put is given up after this, and a function after its timeout.
const PUT_MS: i64 = 5_000;
const FUNCTION_MS: i64 = 60_000;
const MAX_AGE_MS: i64 = 3_600_000;

/// A step: returns at the second poll.
async fn step() {
    let mut was_polled = false;
    poll_fn(|_| if std::mem::replace(&mut was_polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

struct Stepped;

impl Intercept for Stepped {
    fn before<'c>(&'c self, _: &'c dyn Store, _: Call<'c>) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async {
            step().await;
            Ok(())
        })
    }

    fn after<'c>(&'c self, _: Call<'c>, _: bool) -> BoxFuture<'c, ()> {
        Box::pin(step())
    }

    /// Small pages: what is written meanwhile may be seen or not.
    fn page_items(&self) -> Option<u32> {
        Some(7)
    }
}

/// A message: when it was sent, and its increments.
#[derive(Clone, Debug)]
struct Sent {
    at: i64,
    increments: Vec<(String, i64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Minutes, with everything close together.
    Short,
    /// A day, with outages of the tick.
    Long,
}

/// The faults that a run found.
#[derive(Default, Debug)]
struct Found {
    too_much: i64,
    too_little: i64,
    /// Samples that contradict each other, or a series that went down.
    contradictions: u64,
    /// Stale markers of the series that is deleted.
    ended: u64,
}

struct World {
    now: Mutex<i64>,
    queue: Mutex<HashMap<u64, i64>>,
    messages: Mutex<HashMap<u64, Sent>>,
    /// Messages whose journal items were confirmed.
    accepted: Mutex<BTreeSet<u64>>,
    store: Arc<dyn Store>,
    gateway: Gateway<Receiver, Letters>,
    rules: TickRules,
    random: Mutex<Rng>,
}

impl World {
    fn now(&self) -> i64 {
        *self.now.lock().unwrap()
    }

    fn chance(&self, probability: f64) -> bool {
        self.random.lock().unwrap().f64() < probability
    }

    fn below(&self, end: i64) -> i64 {
        self.random.lock().unwrap().i64(0..end)
    }

    /// One invocation of the function of the queue.
    async fn ingest(&self, hidden_ms: i64) {
        let begun = self.now();
        let mut batch: Vec<u64> =
            self.queue.lock().unwrap().iter().filter(|(_, visible)| **visible <= begun).map(|(m, _)| *m).collect();
        batch.sort_unstable();
        self.random.lock().unwrap().shuffle(&mut batch);
        batch.truncate(usize::try_from(1 + self.below(6)).unwrap());
        for message in &batch {
            self.queue.lock().unwrap().insert(*message, begun + hidden_ms);
        }
        step().await;
        let mut builder = JournalBuilder::default();
        let mut taken = Vec::new();
        for message in batch {
            let Sent { at, increments } = self.messages.lock().unwrap()[&message].clone();
            if begun - at > MAX_AGE_MS {
                self.queue.lock().unwrap().remove(&message);
                continue;
            }
            for (index, (series, value)) in increments.iter().enumerate() {
                let identity = Identity::of_event(&message.to_string(), index as u64);
                builder.add(0, identity, &count(series, *value), Timestamp(at)).unwrap();
            }
            taken.push(message);
        }
        for item in builder.finish().unwrap() {
            let mut is_confirmed = false;
            for _ in 0..3 {
                if self.now() - begun > FUNCTION_MS {
                    return;
                }
                let chosen = self.now();
                let sort = format!("{chosen:013}#{:016x}", self.random.lock().unwrap().u64(..));
                step().await;
                if self.now() - chosen > PUT_MS {
                    continue;
                }
                let put = Item { key: Key::new("j#0", sort), version: 1, expires: None, body: item.blob.clone() };
                // Its own steps must not take longer than a Put may.
                self.put_at_once(put).await;
                step().await;
                if !self.chance(0.15) {
                    is_confirmed = true;
                    break;
                }
            }
            if !is_confirmed {
                return;
            }
        }
        step().await;
        for message in taken {
            self.accepted.lock().unwrap().insert(message);
            if self.chance(0.85) {
                self.queue.lock().unwrap().remove(&message);
            }
        }
    }

    async fn put_at_once(&self, item: Item) {
        let mut put = self.store.put(item, Duration::from_secs(5));
        // Two steps of the table, at one time.
        while std::future::poll_fn(|context| Poll::Ready(put.as_mut().poll(context).is_pending())).await {}
    }

    async fn tick(&self, tick: i64) {
        let call = TickCall {
            tick: Timestamp(tick),
            shard: None,
            started: Timestamp(self.now()),
            request_id: "r",
            deadline: Instant::now() + Duration::from_mins(1),
        };
        let _summary = self.gateway.tick_in(&self.store, &self.rules, &call).await;
    }
}

/// The series that is deleted. The others must not notice.
const DOOMED: &str = "doomed";

#[cfg(feature = "cli")]
impl World {
    async fn delete_the_doomed(&self) {
        let mut key = Vec::new();
        crate::aggregate::SeriesKey::write(&MetricName::classic(DOOMED).unwrap(), &LabelSet::default(), &mut key);
        let keys = std::collections::HashSet::from([key.into_boxed_slice()]);
        let deadline = Instant::now() + Duration::from_mins(1);
        // A deletion that fails is none.
        let _ended = end_series(self.store.as_ref(), 0, &keys, Timestamp(self.now()), deadline).await;
    }
}

/// A tick, an invocation or a deletion that is under way.
type Running<'w> = Pin<Box<dyn Future<Output = ()> + 'w>>;

/// Runs one schedule.
async fn run(kind: Kind, seed: u64, without: Option<Safeguard>) -> Found {
    break_safeguard(without);
    let receiver = Receiver::default();
    let world = World {
        now: Mutex::new(NOW),
        queue: Mutex::default(),
        messages: Mutex::default(),
        accepted: Mutex::default(),
        store: Arc::new(InterceptedStore { table: Arc::new(MemoryStore::new()), intercept: Stepped }),
        gateway: gateway(&receiver, None),
        rules: TickRules { series_ttl_ms: None, ..TickRules::default() },
        random: Mutex::new(Rng::with_seed(seed)),
    };
    let end = NOW + if kind == Kind::Short { 12 * MINUTE } else { 12 * 60 * MINUTE };
    let sends_until = end - if kind == Kind::Short { 3 * MINUTE } else { 130 * MINUTE };
    let mut live: Vec<Running<'_>> = Vec::new();
    #[cfg(feature = "cli")]
    let mut deletions = Rng::with_seed(!seed);
    let (mut last_tick, mut off_until, mut messages) = (NOW, NOW, 0);
    while world.now() < end {
        let jump = match kind {
            Kind::Short if world.chance(0.004) => 25_000,
            Kind::Short => 100 * world.below(6),
            Kind::Long if world.chance(0.004) => 70_000,
            Kind::Long => 1_000 * world.below(4),
        };
        *world.now.lock().unwrap() += jump;
        tokio::time::advance(Duration::from_millis(jump.unsigned_abs())).await;
        let now = world.now();
        if now < sends_until && world.chance(if kind == Kind::Short { 0.1 } else { 0.03 }) {
            let increments = (0..=world.below(2)).map(|_| (format!("s{}", world.below(3)), 1 + world.below(3)));
            let increments = increments.chain((messages % 3 == 0).then(|| (DOOMED.to_owned(), 1))).collect();
            let sent = Sent { at: now, increments };
            world.messages.lock().unwrap().insert(messages, sent);
            world.queue.lock().unwrap().insert(messages, now);
            messages += 1;
        }
        if kind == Kind::Long && world.chance(0.000_5) {
            off_until = now + MINUTE * (10 + world.below(200));
        }
        if now >= last_tick + MINUTE {
            last_tick = now - now % MINUTE;
            if now >= off_until {
                for _ in 0..if world.chance(0.25) { 2 } else { 1 } {
                    live.push(Box::pin(world.tick(last_tick)));
                }
            }
        }
        if world.chance(0.3) && live.len() < 6 {
            let hidden = match kind {
                Kind::Short => [5_000, 40_000, 90_000][usize::try_from(world.below(3)).unwrap()],
                Kind::Long => MINUTE * [1, 2, 20, 50][usize::try_from(world.below(4)).unwrap()],
            };
            live.push(Box::pin(world.ingest(hidden)));
        }
        #[cfg(feature = "cli")]
        if deletions.f64() < if kind == Kind::Short { 0.01 } else { 0.002 } {
            live.push(Box::pin(world.delete_the_doomed()));
        }
        if world.chance(0.02) {
            receiver.0.lock().unwrap().answers = vec![503; 7];
        }
        // Some take long between two steps.
        let steps = if kind == Kind::Short { world.below(4) } else { 12 };
        for _ in 0..steps {
            if live.is_empty() {
                break;
            }
            let chosen = usize::try_from(world.below(i64::try_from(live.len()).unwrap())).unwrap();
            let is_done = live[chosen].as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            if is_done || world.chance(0.001) {
                drop(live.swap_remove(chosen));
            }
        }
    }
    drop(live);
    receiver.0.lock().unwrap().answers.clear();
    // Ticks without failures count what is in the journal.
    for _ in 0..3 {
        *world.now.lock().unwrap() += MINUTE;
        tokio::time::advance(Duration::from_mins(1)).await;
        let now = world.now();
        let mut tick: Running<'_> = Box::pin(world.tick(now - now % MINUTE));
        while tick.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }
    judge(&world, &receiver)
}

fn judge(world: &World, receiver: &Receiver) -> Found {
    let mut found = Found::default();
    let database = receiver.0.lock().unwrap();
    found.contradictions = database.contradictions;
    let (mut least, mut most): (HashMap<&str, i64>, HashMap<&str, i64>) = (HashMap::new(), HashMap::new());
    let messages = world.messages.lock().unwrap();
    for (message, sent) in messages.iter() {
        for (series, value) in &sent.increments {
            // A message that was not confirmed may be counted.
            *most.entry(series).or_default() += value;
            if world.accepted.lock().unwrap().contains(message) {
                *least.entry(series).or_default() += value;
            }
        }
    }
    let doomed = database.series.get(&format!("__name__={DOOMED:?}"));
    found.ended =
        doomed.iter().flat_map(|samples| samples.iter()).filter(|(_, bits)| *bits == STALE_MARKER).count() as u64;
    for series in ["s0", "s1", "s2"] {
        let name = format!("__name__={series:?}");
        let samples = database.series.get(&name).cloned().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "a count")]
        let values: Vec<i64> = samples.iter().map(|(_, bits)| f64::from_bits(*bits) as i64).collect();
        let counted = values.last().copied().unwrap_or(0);
        found.too_much += (counted - most.get(series).unwrap_or(&0)).max(0);
        found.too_little += (least.get(series).unwrap_or(&0) - counted).max(0);
        let goes_down = values.windows(2).any(|pair| pair[0] > pair[1]);
        found.contradictions += u64::from(goes_down || values.first().is_some_and(|first| *first != 0));
    }
    found
}

/// Returns how many of the runs counted too much, too little, or sent contradictions, and in how many a series was deleted.
async fn wrong(kind: Kind, runs: u64, without: Option<Safeguard>) -> ([u64; 3], u64) {
    let (mut wrong, mut ended) = ([0; 3], 0);
    for seed in 0..runs {
        let found = run(kind, seed, without).await;
        wrong[0] += u64::from(found.too_much > 0);
        wrong[1] += u64::from(found.too_little > 0);
        wrong[2] += u64::from(found.contradictions > 0);
        ended += u64::from(found.ended > 0);
    }
    (wrong, ended)
}

/// Reports whether one of the runs counts wrongly.
async fn counts_wrongly(kind: Kind, runs: u64, without: Safeguard) -> bool {
    for seed in 0..runs {
        let Found { too_much, too_little, contradictions, .. } = run(kind, seed, Some(without)).await;
        if too_much + too_little > 0 || contradictions > 0 {
            return true;
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn counts_every_event_once_in_any_schedule() {
    let (wrong, ended) = wrong(Kind::Short, 40, None).await;
    assert_eq!(wrong, [0, 0, 0]);
    assert!(ended > 20, "a series was deleted in {ended} runs");
}

#[tokio::test(start_paused = true)]
async fn counts_every_event_once_with_outages_of_hours() {
    let (wrong, ended) = wrong(Kind::Long, 3, None).await;
    assert_eq!((wrong, ended), ([0, 0, 0], 3));
}

#[tokio::test(start_paused = true)]
async fn the_model_finds_what_happens_without_a_safeguard() {
    // One run of forty needs the margin.
    for without in [Safeguard::Margin, Safeguard::Identities, Safeguard::CompareAndSwap] {
        assert!(counts_wrongly(Kind::Short, 1_000, without).await, "without {without:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_model_finds_what_happens_if_identities_are_kept_by_the_clock() {
    let by_clock = Safeguard::IdentitiesFromCursor;
    assert!(counts_wrongly(Kind::Long, 10, by_clock).await);
}
