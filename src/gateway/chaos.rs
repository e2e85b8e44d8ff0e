//! Chaos in one process: runs the real code of ingest and of the tick over random schedules. A seed decides the schedule.
//!
//! ```text
//! senders -> queue -> functions (ingest) -> table -> ticks -> receiver
//!              ^                  |                    |
//!              +--- operator <- dead letters <---------+
//! ```
//!
//! Time is virtual: waits cost nothing, and a schedule of hours takes a second. Functions and ticks are processes. They die
//! before and after each call of the table, the receiver and the dead-letter queue. Effects come late, answers are lost,
//! and reads are old. Messages come twice and in any order. Each part is down for longer than the margins.
//!
//! At the end the [judge](judge) accounts for every event, and compares all totals exactly. If a
//! [safeguard](crate::aggregate::Safeguard) is turned off, it must find a [`Fault`].

mod events;
mod judge;
mod numbers;
mod plan;
mod process;
mod queue;
mod receiver;
mod schedule;
mod table;
mod tests;

use crate::config::Settings;
use crate::store::MemoryStore;
use fastrand::Rng;
use judge::Record;
use numbers::Numbers;
use plan::{Part, Plan};
use queue::Queue;
use receiver::Database;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The start of each schedule: a multiple of an hour.
const BEGIN: i64 = 1_700_000_000_000 - 1_700_000_000_000 % HOUR;

/// A rule that a schedule broke.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fault {
    /// An event changed its series twice, or was counted and is owed as well.
    CountedTwice,
    /// An event is not counted, not rejected, not owed, and not on a queue.
    Lost,
    /// A series does not hold the sum of its events.
    WrongTotal,
    /// `increase()` over the whole schedule is not the total.
    WrongIncrease,
    /// The receiver got two values for one series and time.
    TwoValues,
    /// A tick sent although a newer one was committed long before.
    SentBehind,
    /// A gauge shows an older value than one that was confirmed before the tick began.
    OldGauge,
    /// A series that ended has no stale marker.
    NoMarker,
    /// A tick reports a series that the receiver refused.
    Refused,
}

/// One schedule under way.
struct World {
    begun: Instant,
    plan: Plan,
    /// Nothing fails any more.
    is_calm: AtomicBool,
    random: Mutex<Rng>,
    settings: Settings,
    table: Arc<MemoryStore>,
    database: Mutex<Database>,
    queue: Mutex<Queue>,
    record: Mutex<Record>,
}

thread_local! {
    /// The start of the virtual clock of this thread.
    static CLOCK: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Returns the time since 1970, if this thread has a virtual clock.
pub(super) fn clock() -> Option<Duration> {
    let begun = CLOCK.with(Cell::get)?;
    Some(Duration::from_millis(BEGIN.unsigned_abs()) + begun.elapsed())
}

impl World {
    fn new(plan: Plan, seed: u64) -> Arc<Self> {
        let vars: BTreeMap<String, String> =
            [("REMOTE_WRITE_URL", "http://receiver/write"), ("REMOTE_WRITE_AUTH", "none")]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
        Arc::new(Self {
            begun: Instant::now(),
            database: Mutex::new(Database::new(plan.is_atomic)),
            plan,
            is_calm: AtomicBool::new(false),
            random: Mutex::new(Rng::with_seed(seed)),
            settings: Settings::from_vars(&vars).unwrap(),
            table: Arc::new(MemoryStore::new()),
            queue: Mutex::default(),
            record: Mutex::default(),
        })
    }

    fn now(&self) -> i64 {
        BEGIN + i64::try_from(self.begun.elapsed().as_millis()).unwrap()
    }

    fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    /// Draws a failure that comes with this probability, until nothing fails any more.
    fn fails(&self, probability: f64) -> bool {
        !self.is_calm() && self.chance(probability)
    }

    fn chance(&self, probability: f64) -> bool {
        self.random.lock().unwrap().f64() < probability
    }

    fn below(&self, end: i64) -> i64 {
        self.random.lock().unwrap().i64(0..end.max(1))
    }

    /// Reports whether a part is down now.
    fn is_down(&self, part: Part) -> bool {
        !self.is_calm() && self.plan.is_down(part, self.now())
    }
}

async fn wait(milliseconds: i64) {
    tokio::time::sleep(Duration::from_millis(milliseconds.unsigned_abs())).await;
}

/// Runs one schedule. Returns what went wrong, each with its first sentence, and the numbers.
fn run(plan: Plan, seed: u64) -> (BTreeMap<Fault, String>, Numbers) {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    let found = tasks.block_on(&runtime, async {
        CLOCK.with(|clock| clock.set(Some(Instant::now())));
        let world = World::new(plan, seed);
        schedule::play(&world).await;
        judge::judge(&world)
    });
    CLOCK.with(|clock| clock.set(None));
    found
}
