//! Ends typed series between two ticks, because somebody deletes them.
//!
//! * As in a tick, the head is replaced only if it has not changed since it was read. If a tick and a deletion run at the
//!   same time, the slower one begins again.
//! * The tick, the cursor and the identities of the head stay. So every event of the journal still counts once, for the other series and
//!   for those that begin again.
//! * The stale marker is one millisecond after the last tick. So it is later than every sample of the series, and earlier
//!   than the next tick, which sends it. If the series begins again, its zero is later, too.

use super::commit::{Writing, head_item};
use super::{TickError, head, snapshot};
use crate::aggregate::SeriesKey;
use crate::aggregate::head::Head;
use crate::model::Timestamp;
use crate::store::{Replaced, Store, StoreError};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How often a deletion begins again if ticks or other deletions come in between.
const TRIES: u32 = 20;

const PAUSE: Duration = Duration::from_millis(50);

/// Ends the series of `keys` in a shard. Returns how many of them were held.
pub(in crate::gateway) async fn end_series(
    store: &dyn Store,
    shard: u16,
    keys: &HashSet<Box<[u8]>>,
    now: Timestamp,
    deadline: Instant,
) -> Result<usize, TickError> {
    let ended = async {
        for _ in 0..TRIES {
            if let Some(ended) = try_to_end(store, shard, keys, now, deadline).await? {
                return Ok(ended);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(TickError::Conflicts)
    };
    timeout_at(deadline, ended).await.unwrap_or(Err(TickError::Store(StoreError::Timeout)))
}

/// Returns `None` if somebody else replaced the head meanwhile.
async fn try_to_end(
    store: &dyn Store,
    shard: u16,
    keys: &HashSet<Box<[u8]>>,
    now: Timestamp,
    deadline: Instant,
) -> Result<Option<usize>, TickError> {
    let Some((mut head, version)) = head(store, shard).await? else { return Ok(Some(0)) };
    let mut state = snapshot(store, shard, Some(&head), now).await?;
    let end = Timestamp(head.tick.0.saturating_add(1));
    let ended = keys.iter().filter(|key| state.end(SeriesKey::of_written(key), end)).count();
    if ended == 0 {
        return Ok(Some(0));
    }
    let place = behind(&head);
    Writing { store, shard, now, deadline }.snapshot(&mut head, place, &state).await?;
    let item = head_item(shard, &head, Some(version))?;
    Ok(match store.replace(item, Some(version)).await? {
        Replaced::Done => Some(ended),
        Replaced::Conflict => None,
    })
}

/// Returns a time after those of all deltas, and before the next tick.
fn behind(head: &Head) -> Timestamp {
    let last = head.deltas.iter().map(|delta| delta.tick).max();
    Timestamp(last.max(Some(head.tick)).unwrap_or(head.tick).0.saturating_add(1))
}
