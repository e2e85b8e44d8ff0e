//! A tick while a call of the table never ends.

use super::*;
use crate::store::BoxFuture;
use crate::store::intercepted::{Call, Intercept, InterceptedStore};
use std::sync::atomic::{AtomicU32, Ordering};

/// The calls that a tick with an event and a group makes.
const CALLS: u32 = 16;

/// One call of the table never ends.
struct Hanging {
    /// The calls before it.
    left: AtomicU32,
}

impl Intercept for Hanging {
    fn before<'c>(&'c self, _: &'c dyn Store, _: Call<'c>) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async {
            if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_tick_ends_after_50_seconds_wherever_it_hangs_and_the_next_one_counts_everything() {
    let mut hung = 0;
    for calls in 0..CALLS {
        let mut rig = Rig::new();
        let table = Arc::clone(&rig.store);
        rig.event(NOW - 9, count("a", 3)).await;
        rig.group(&mut group("j", &[("x", 2.5)], NOW - 5_000, None)).await;
        let intercept = Hanging { left: AtomicU32::new(calls) };
        rig.store = Arc::new(InterceptedStore { table: Arc::clone(&table), intercept });
        let begun = Instant::now();
        let minutes = Duration::from_mins(10);
        let sum = tokio::time::timeout(minutes, rig.tick(NOW)).await.expect("the tick ends").sum;
        if let Some(TickError::NotSent(_)) = sum.error {
            hung += 1;
            // The groups are read first. Typed series do not wait for them.
            assert_eq!((calls, begun.elapsed(), rig.samples("\"a\"").len()), (0, GROUPS_READ, 2));
        } else if let Some(error) = &sum.error {
            hung += 1;
            assert_eq!((error, begun.elapsed()), (&TickError::OutOfTime, LONGEST + GRACE), "{calls}");
        } else {
            assert!(sum.acknowledged && begun.elapsed() < Duration::from_secs(1), "{calls}");
        }
        rig.store = table;
        assert_eq!(rig.tick(NOW + MINUTE).await.sum.error, None, "{calls}");
        assert_eq!(rig.samples("\"a\"").last().unwrap(), "60000: 3", "{calls}");
        assert_eq!(rig.samples("\"x\"").last().unwrap(), "60000: 2.5", "{calls}");
    }
    assert!((8..CALLS).contains(&hung), "{hung} calls hung");
}
