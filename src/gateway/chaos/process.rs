//! Runs a function or a tick as a process that can die at each of its calls.

use super::queue::DeadLetters;
use super::receiver::ReceiverClient;
use super::table::Client;
use super::{SECOND, World, wait};
use crate::aggregate::Identity;
use crate::config::StateSettings;
use crate::gateway::{Gateway, State};
use crate::store::BoxFuture;
use crate::store::faulty::{Faults, FaultyStore};
use crate::store::intercepted::{Call, Intercept, InterceptedStore};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// The calls that a process makes at most before it dies, if it must die.
const CALLS: i64 = 60;

pub(super) struct Process {
    pub(super) world: Arc<World>,
    /// The calls before its death; negative: it does not die.
    left: AtomicI64,
    death: Notify,
    /// The tick and the shard that it works on, if it is one.
    pub(super) tick: Option<(i64, Option<u16>)>,
    /// The identities that it wrote last for each shard, and the beginning of their keys.
    pub(super) identities: Mutex<BTreeMap<u16, (String, Vec<Identity>)>>,
}

impl Process {
    pub(super) fn new(world: &Arc<World>, tick: Option<(i64, Option<u16>)>) -> Arc<Self> {
        let dies = world.fails(world.plan.kill);
        let left = if dies { world.below(if tick.is_some() { CALLS } else { 8 }) } else { -1 };
        Arc::new(Self {
            world: Arc::clone(world),
            left: AtomicI64::new(left),
            death: Notify::new(),
            tick,
            identities: Mutex::default(),
        })
    }

    /// Passes a point of a call. A process that dies there does not come back.
    pub(super) async fn pass(&self, call: &str, is_after: bool) {
        let left = self.left.load(Ordering::Relaxed);
        {
            let mut record = self.world.record.lock().unwrap();
            let side = if is_after { "after" } else { "before" };
            let point = record.numbers.points.entry(format!("{call}, {side}")).or_default();
            point.passed += 1;
            point.died += u64::from(left == 0);
        }
        if left == 0 {
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
        self.left.store((left - 1).max(-1), Ordering::Relaxed);
    }

    /// Returns what `work` returns; `None` if the process dies before.
    pub(super) async fn run<R>(&self, work: impl Future<Output = R>) -> Option<R> {
        tokio::select! {
            biased;
            () = self.death.notified() => None,
            done = work => Some(done),
        }
    }

    pub(super) fn gateway(self: &Arc<Self>) -> Gateway<ReceiverClient, DeadLetters> {
        let world = &self.world;
        let faults = if world.is_calm() { Faults::default() } else { world.plan.faults };
        let seed = world.random.lock().unwrap().u64(..);
        let table = FaultyStore::new(Arc::new(Client(Arc::clone(self))), faults, seed);
        let store = InterceptedStore { table: Arc::new(table), intercept: Standing(Arc::clone(self)) };
        let settings = StateSettings {
            shards: world.plan.shards,
            series_ttl_ms: Some(world.plan.series_ttl_ms),
            max_series: world.plan.max_series,
            ..StateSettings::default()
        };
        let (receiver, letters) = (ReceiverClient(Arc::clone(self)), DeadLetters(Arc::clone(self)));
        let gateway = Gateway::new(&world.settings, receiver, Some(letters)).unwrap();
        gateway.with_state(Some(State::new(Arc::new(store), settings)))
    }
}

/// The process stands still now and then, behind a put that failed.
struct Standing(Arc<Process>);

impl Intercept for Standing {
    fn after<'c>(&'c self, call: Call<'c>, failed: bool) -> BoxFuture<'c, ()> {
        Box::pin(async move {
            let world = &self.0.world;
            if failed && matches!(call, Call::Put(..)) && world.fails(world.plan.stands_still) {
                wait(150 * SECOND).await;
            }
        })
    }
}
