//! Reads the head, the snapshot that it names, and what the receiver has settled.

use super::TickError;
use super::blobs::{
    base_prefix, delta_prefix, head_key, may_be_deleted, part, settled_key, snapshot_prefix, state_partition,
};
use crate::aggregate::TypedState;
use crate::aggregate::head::{BlobName, Head, Settled};
use crate::model::Timestamp;
use crate::store::{Range, Store};
use std::collections::HashMap;

/// The item that says what the receiver has settled, and its version.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct SettledItem {
    pub(in crate::gateway) settled: Settled,
    pub(super) version: Option<u64>,
}

/// Returns the head of a shard and its version.
pub(in crate::gateway) async fn head(store: &dyn Store, shard: u16) -> Result<Option<(Head, u64)>, TickError> {
    let Some(item) = store.get(&head_key(shard)).await? else { return Ok(None) };
    let head = Head::from_blob(&item.body).map_err(TickError::blob("the head"))?;
    Ok(Some((head, item.version)))
}

/// Returns the state of the last committed tick. A snapshot is an empty state if the table deleted it for its age. The
/// table deletes one item after another, so a part of the snapshot may still be there.
pub(in crate::gateway) async fn snapshot(
    store: &dyn Store,
    shard: u16,
    head: Option<&Head>,
    now: Timestamp,
) -> Result<TypedState, TickError> {
    let Some((head, base)) = head.and_then(|head| Some((head, head.base?))) else { return Ok(TypedState::default()) };
    let read = read_snapshot(store, shard, head, base).await?;
    if read.is_none() && may_be_deleted(base.tick, now) {
        tracing::error!(shard, "the table has deleted the snapshot because of its age: all series begin at zero");
        return Ok(TypedState::default());
    }
    read.ok_or(TickError::Missing("a part of the snapshot"))
}

/// Returns `None` if a part is missing.
async fn read_snapshot(
    store: &dyn Store,
    shard: u16,
    head: &Head,
    base: BlobName,
) -> Result<Option<TypedState>, TickError> {
    let mut state = TypedState::default();
    // The number of each part among all, in the order in which they are read.
    let mut numbers = HashMap::new();
    let prefixes = std::iter::once((base_prefix(base.name), base.parts))
        .chain(head.deltas.iter().map(|delta| (delta_prefix(base.name, delta), delta.parts)));
    for (prefix, parts) in prefixes {
        for number in 0..parts as usize {
            numbers.insert(part(&prefix, number), numbers.len());
        }
    }
    let range = Range::prefix(state_partition(shard), snapshot_prefix(base.name));
    let (mut after, mut read) = (None, 0);
    loop {
        let page = store.query(&range, after.as_deref()).await?;
        for item in page.items {
            match numbers.get(&item.key.sort) {
                // Garbage of a tick that did not win.
                None => {}
                Some(&number) if number == read => {
                    state.read_part(&item.body).map_err(TickError::blob("a snapshot"))?;
                    read += 1;
                }
                Some(_) => return Ok(None),
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if read < numbers.len() {
        return Ok(None);
    }
    state.finish_reading();
    Ok(Some(state))
}

/// Returns what the receiver has settled of a shard.
pub(in crate::gateway) async fn settled(store: &dyn Store, shard: u16) -> Result<SettledItem, TickError> {
    let Some(item) = store.get(&settled_key(shard)).await? else {
        return Ok(SettledItem { settled: Settled::default(), version: None });
    };
    let settled = Settled::from_blob(&item.body).map_err(TickError::blob("what the receiver has settled"))?;
    Ok(SettledItem { settled, version: Some(item.version) })
}
