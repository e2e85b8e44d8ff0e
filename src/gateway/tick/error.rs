//! The errors of a tick, and whether the next tick may succeed.

use super::{MAX_AHEAD_MS, MAX_BEHIND_MS};
use crate::blob::BlobError;
use crate::store::StoreError;
use std::fmt;

/// Why a tick, or that of one shard, failed. Times are in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TickError {
    /// Its time is so far ahead of the clock.
    Ahead(i64),
    /// Its time is so far behind the clock.
    Behind(i64),
    NoShard {
        shard: u16,
        shards: u16,
    },
    /// There is no table.
    NoState,
    Store(StoreError),
    /// An item of the table cannot be read.
    Blob {
        what: &'static str,
        error: BlobError,
    },
    /// A blob that the head names is not there.
    Missing(&'static str),
    /// The time ran out before the commit, or in a call of the table.
    OutOfTime,
    /// Others changed the state at each try.
    Conflicts,
    /// The tick is committed, and not everything was sent.
    NotSent(String),
}

impl TickError {
    /// Reports whether the next tick may succeed without anybody's help.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Store(_) | Self::OutOfTime | Self::Conflicts | Self::NotSent(_))
    }

    pub(super) fn blob(what: &'static str) -> impl Fn(BlobError) -> Self {
        move |error| Self::Blob { what, error }
    }
}

impl From<StoreError> for TickError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for TickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(ms) => {
                write!(f, "the time of the tick is {ms} ms ahead of the clock, at most {MAX_AHEAD_MS} are accepted")
            }
            Self::Behind(ms) => {
                write!(f, "the time of the tick is {ms} ms behind the clock, at most {MAX_BEHIND_MS} are accepted")
            }
            Self::NoShard { shard, shards } => {
                write!(f, "there is no shard {shard}: the {shards} shards are counted from 0 (STATE_SHARDS)")
            }
            Self::NoState => f.write_str("a tick needs a table, and the gateway has none (STATE_TABLE)"),
            Self::Store(error) => error.fmt(f),
            Self::Blob { what, error } => write!(f, "{what} in the table: {error}"),
            Self::Missing(what) => {
                write!(f, "{what} is not in the table, although the head names it; restore the table")
            }
            Self::NotSent(failure) => write!(f, "not everything was sent, the next tick sends newer values: {failure}"),
            Self::Conflicts => f.write_str("other ticks or deletions changed the state at each try; try again"),
            Self::OutOfTime => f.write_str("the tick ran out of time; the next one counts everything"),
        }
    }
}

impl std::error::Error for TickError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Blob { error, .. } => Some(error),
            _ => None,
        }
    }
}
