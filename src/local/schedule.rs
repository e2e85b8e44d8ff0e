//! Invokes the tick by a schedule, as EventBridge Scheduler does on AWS.

use crate::model::Timestamp;
use std::time::Duration;
use tokio::time::sleep;

/// The wall clock is read at least in this interval, because it can be set, and a machine can sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Runs `tick` with each multiple of `period` on the wall clock, until `shutdown`. A tick that has begun is not cut off. Multiples that
/// pass during a tick, except the last, are left out.
pub async fn run(
    period: Duration,
    clock: impl Fn() -> Timestamp,
    shutdown: impl Future<Output = ()>,
    mut tick: impl AsyncFnMut(Timestamp),
) {
    let period_ms = i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1);
    let multiple = |time: Timestamp| Timestamp(time.0 - time.0.rem_euclid(period_ms));
    let mut last = multiple(clock());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let now = clock();
        let due = multiple(now);
        // A clock that was set back may give this multiple again. The tick decides about the time that it is given.
        last = last.min(due);
        let next = Timestamp(last.0.saturating_add(period_ms));
        let wait = Duration::from_millis(next.since(now).max(0).unsigned_abs()).min(LONGEST_SLEEP);
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            () = sleep(wait) => {}
        }
        if due > last {
            last = due;
            tick(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use tokio::time::Instant;

    /// The multiples, in seconds, of a schedule of 15 s that begins at 100 s and is stopped at `until` seconds. The tick `n` takes
    /// `durations[n]` seconds. After the first, the clock jumps by `jump` seconds.
    async fn ticks(until: u64, durations: &[u64], jump: i64) -> Vec<i64> {
        let begun = Instant::now();
        let offset = Cell::new(100_000);
        let clock = || Timestamp(offset.get() + i64::try_from(begun.elapsed().as_millis()).unwrap());
        let ticked = RefCell::new(Vec::new());
        let tick = async |time: Timestamp| {
            let number = ticked.borrow().len();
            ticked.borrow_mut().push(time.0 / 1_000);
            sleep(Duration::from_secs(durations.get(number).copied().unwrap_or(0))).await;
            if number == 0 {
                offset.set(offset.get() + jump * 1_000);
            }
        };
        run(Duration::from_secs(15), clock, sleep(Duration::from_secs(until - 100)), tick).await;
        ticked.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_at_multiples_of_the_period_on_the_wall_clock() {
        assert_eq!(ticks(104, &[], 0).await, [] as [i64; 0]);
        assert_eq!(ticks(151, &[], 0).await, [105, 120, 135, 150]);
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_out_multiples_that_pass_during_a_tick_except_the_last() {
        assert_eq!(ticks(191, &[20, 40], 0).await, [105, 120, 165, 180]);
    }

    #[tokio::test(start_paused = true)]
    async fn follows_a_clock_that_is_set() {
        assert_eq!(ticks(151, &[], 3_600).await, [105, 3_705, 3_720, 3_735, 3_750]);
        assert_eq!(ticks(151, &[], -60).await, [105, 60, 75, 90]);
    }

    #[tokio::test(start_paused = true)]
    async fn finishes_a_tick_that_has_begun() {
        let begun = Instant::now();
        assert_eq!(ticks(110, &[30], 0).await, [105]);
        assert!(begun.elapsed() >= Duration::from_secs(35));
    }
}
