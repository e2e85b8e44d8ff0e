//! A table that fails on purpose. A seed decides when.

use super::{BoxFuture, Item, Key, Page, Range, Replaced, Store, StoreError};
use fastrand::Rng;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often calls fail, each from 0 to 1.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Faults {
    /// The call is not made.
    pub(crate) without_effect: f64,
    /// The call is made, and its answer is lost.
    pub(crate) with_effect: f64,
    pub(crate) throttled: f64,
    /// The call is made up to [`Faults::longest_delay`] later, and so is its answer.
    pub(crate) delayed: f64,
    pub(crate) longest_delay: Duration,
    /// A query misses the last items of a page, and what follows. No table of this room does this.
    pub(crate) stale_page: f64,
}

/// A moment in a call: an operation (`put`, `get`, `query`, `replace`, `delete`), and whether its effect is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Point {
    pub(crate) operation: &'static str,
    pub(crate) is_after: bool,
}

/// A table whose calls fail. After a kill all of them do, as those of a process that has ended.
pub(crate) struct FaultyStore {
    table: Arc<dyn Store>,
    faults: Faults,
    state: Mutex<State>,
}

struct State {
    random: Rng,
    /// The point of the kill, and how often it is passed before.
    kill: Option<(Point, u32)>,
    is_killed: bool,
    injected: usize,
}

/// The failure of one call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    WithoutEffect,
    WithEffect,
    Throttled,
    StalePage,
}

impl FaultyStore {
    pub(crate) fn new(table: Arc<dyn Store>, faults: Faults, seed: u64) -> Self {
        let state = State { random: Rng::with_seed(seed), kill: None, is_killed: false, injected: 0 };
        Self { table, faults, state: Mutex::new(state) }
    }

    /// Kills this client when it passes `point` for the `count`th time, counted from 1.
    pub(crate) fn kill_at(self, point: Point, count: u32) -> Self {
        self.with_state(|state| state.kill = Some((point, count.saturating_sub(1))));
        self
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.with_state(|state| state.is_killed)
    }

    /// The number of injected failures, delays not included.
    pub(crate) fn injected(&self) -> usize {
        self.with_state(|state| state.injected)
    }

    fn with_state<T>(&self, use_state: impl FnOnce(&mut State) -> T) -> T {
        use_state(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn pass(&self, point: Point) -> Result<(), StoreError> {
        self.with_state(|state| {
            match &mut state.kill {
                Some((at, 0)) if *at == point => state.is_killed = true,
                Some((at, left)) if *at == point => *left -= 1,
                _ => {}
            }
            if state.is_killed { Err(unavailable(!point.is_after, "killed")) } else { Ok(()) }
        })
    }

    fn draw(&self) -> (Fault, Duration) {
        let faults = self.faults;
        self.with_state(|state| {
            let delay = if state.random.f64() < faults.delayed {
                faults.longest_delay.mul_f64(state.random.f64())
            } else {
                Duration::ZERO
            };
            let mut drawn = state.random.f64();
            let table = [
                (faults.without_effect, Fault::WithoutEffect),
                (faults.with_effect, Fault::WithEffect),
                (faults.throttled, Fault::Throttled),
                (faults.stale_page, Fault::StalePage),
            ];
            for (probability, fault) in table {
                if drawn < probability {
                    state.injected += 1;
                    return (fault, delay);
                }
                drawn -= probability;
            }
            (Fault::None, delay)
        })
    }

    /// Makes `call` and returns its answer, and whether it is stale.
    async fn run<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<(T, bool), StoreError> {
        let (fault, delay) = self.draw();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.pass(Point { operation, is_after: false })?;
        match fault {
            Fault::WithoutEffect => return Err(unavailable(false, "injected before the call")),
            Fault::Throttled => return Err(StoreError::Throttled("injected".to_owned())),
            Fault::None | Fault::WithEffect | Fault::StalePage => {}
        }
        let answer = call.await?;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.pass(Point { operation, is_after: true })?;
        if fault == Fault::WithEffect {
            return Err(unavailable(false, "injected after the call"));
        }
        Ok((answer, fault == Fault::StalePage))
    }
}

fn unavailable(had_no_effect: bool, cause: &str) -> StoreError {
    StoreError::Unavailable { cause: cause.to_owned(), had_no_effect }
}

impl Store for FaultyStore {
    fn put(&self, item: Item, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let put = self.run("put", self.table.put(item, timeout));
            tokio::time::timeout(timeout, put).await.unwrap_or(Err(StoreError::Timeout)).map(|(done, _)| done)
        })
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(async move { Ok(self.run("get", self.table.get(key)).await?.0) })
    }

    fn query<'a>(&'a self, range: &'a Range, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let (mut page, is_stale) = self.run("query", self.table.query(range, after)).await?;
            if is_stale {
                let kept = self.with_state(|state| state.random.usize(0..=page.items.len()));
                page.items.truncate(kept);
                page.next = None;
            }
            Ok(page)
        })
    }

    fn replace(&self, item: Item, expected: Option<u64>) -> BoxFuture<'_, Result<Replaced, StoreError>> {
        Box::pin(async move { Ok(self.run("replace", self.table.replace(item, expected)).await?.0) })
    }

    fn delete<'a>(&'a self, key: &'a Key, expected: Option<u64>) -> BoxFuture<'a, Result<Replaced, StoreError>> {
        Box::pin(async move { Ok(self.run("delete", self.table.delete(key, expected)).await?.0) })
    }
}

impl Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("table", &self.table).field("faults", &self.faults).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use bytes::Bytes;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn item(version: u64) -> Item {
        Item { key: Key::new("p", version.to_string()), version, expires: None, body: Bytes::new() }
    }

    fn table(faults: Faults, seed: u64) -> (FaultyStore, Arc<MemoryStore>) {
        let memory = Arc::new(MemoryStore::new());
        (FaultyStore::new(memory.clone(), faults, seed), memory)
    }

    /// Puts 200 items, and returns which were confirmed and which are there.
    async fn put_all(faults: Faults, seed: u64) -> (Vec<bool>, Vec<bool>, usize) {
        let (failing, memory) = table(faults, seed);
        let (mut confirmed, mut there) = (Vec::new(), Vec::new());
        for version in 0..200 {
            confirmed.push(failing.put(item(version), TIMEOUT).await.is_ok());
            there.push(memory.get(&item(version).key).await.unwrap().is_some());
        }
        (confirmed, there, failing.injected())
    }

    #[tokio::test(start_paused = true)]
    async fn fails_with_and_without_effect_as_the_seed_decides() {
        let faults = Faults {
            without_effect: 0.2,
            with_effect: 0.2,
            throttled: 0.1,
            delayed: 0.5,
            longest_delay: Duration::from_secs(1),
            ..Faults::default()
        };
        let (confirmed, there, injected) = put_all(faults, 1).await;
        assert!(confirmed.iter().zip(&there).all(|(confirmed, there)| *there || !confirmed));
        let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
        assert!((80..120).contains(&count(&confirmed)) && (120..160).contains(&count(&there)));
        assert_eq!(injected, 200 - count(&confirmed));
        assert_eq!(put_all(faults, 1).await, (confirmed.clone(), there, injected));
        assert_ne!(put_all(faults, 2).await.0, confirmed);
    }

    #[tokio::test]
    async fn is_dead_after_its_kill_before_or_after_the_effect() {
        for is_after in [false, true] {
            let (failing, memory) = table(Faults::default(), 1);
            let failing = failing.kill_at(Point { operation: "put", is_after }, 2);
            failing.put(item(1), TIMEOUT).await.unwrap();
            assert!(!failing.is_killed() && failing.put(item(2), TIMEOUT).await.is_err() && failing.is_killed());
            assert_eq!(memory.get(&item(2).key).await.unwrap().is_some(), is_after);
            assert!(failing.get(&item(1).key).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_a_put_that_is_delayed_for_too_long() {
        let (failing, _) = table(Faults { delayed: 1.0, longest_delay: TIMEOUT * 1_000, ..Faults::default() }, 3);
        assert_eq!(failing.put(item(1), TIMEOUT).await, Err(StoreError::Timeout));
    }

    #[tokio::test]
    async fn a_stale_page_misses_the_newest_items() {
        let (failing, _) = table(Faults { stale_page: 1.0, ..Faults::default() }, 1);
        for version in 1..=9 {
            failing.put(item(version), TIMEOUT).await.unwrap();
        }
        let page = failing.query(&Range::all("p"), None).await.unwrap();
        assert!(page.items.len() < 9 && page.items.iter().all(|found| found.version <= page.items.len() as u64));
    }
}
