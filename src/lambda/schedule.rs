//! The payload of the schedule: `{"tick": "<time>"}`, or for one shard `{"tick": "<time>", "shard": 0}`.
//!
//! It counts only as a whole direct payload. In a queue, in an array or in a wrapper the same text is an event without
//! metrics.

use crate::event::read_timestamp;
use crate::model::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt;

/// The tick that a payload asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Scheduled {
    pub(super) tick: Timestamp,
    pub(super) shard: Option<u16>,
}

/// A value of the payload is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ScheduleError {
    NoTime(String),
    NoShard(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys<'a> {
    #[serde(borrow)]
    tick: &'a RawValue,
    #[serde(borrow)]
    shard: Option<&'a RawValue>,
}

/// Returns the tick, if the payload has its keys and no others.
pub(super) fn recognise(payload: &[u8]) -> Option<Result<Scheduled, ScheduleError>> {
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let Keys { tick, shard } = serde_json::from_slice(payload).ok()?;
    let shard = shard.map(|shard| shard.get().parse().map_err(|_| ScheduleError::NoShard(excerpt(shard)))).transpose();
    let tick = read_timestamp(tick.get()).ok_or_else(|| ScheduleError::NoTime(excerpt(tick)));
    Some(tick.and_then(|tick| Ok(Scheduled { tick, shard: shard? })))
}

fn excerpt(literal: &RawValue) -> String {
    literal.get().chars().take(crate::limits::MAX_EXCERPT_CHARS).collect()
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTime(literal) => {
                write!(f, "tick: {literal} is not a time; expected one as in an event's timestamp")
            }
            Self::NoShard(literal) => write!(f, "shard: {literal} is not the number of a shard"),
        }
    }
}

impl std::error::Error for ScheduleError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_whole_payload_with_the_keys_of_a_tick_alone() {
        let at = |shard| Some(Ok(Scheduled { tick: Timestamp(1_676_398_020_000), shard }));
        let table = [
            (r#"{"tick": "2023-02-14T18:07:00Z"}"#, at(None)),
            (r#" {"shard": 3, "tick": 1676398020000}"#, at(Some(3))),
            (r#"{"tick": "soon"}"#, Some(Err(ScheduleError::NoTime(r#""soon""#.to_owned())))),
            (r#"{"tick": null}"#, Some(Err(ScheduleError::NoTime("null".to_owned())))),
            (r#"{"tick": 1676398020000, "shard": -1}"#, Some(Err(ScheduleError::NoShard("-1".to_owned())))),
            (r#"{"tick": 1676398020000, "metrics": {"a": 1}}"#, None),
            (r#"[{"tick": 1676398020000}]"#, None),
            (r#""{\"tick\": 1676398020000}""#, None),
            (r#"{"shard": 1}"#, None),
            ("{}", None),
            ("", None),
        ];
        for (payload, expected) in table {
            assert_eq!(recognise(payload.as_bytes()), expected, "{payload}");
        }
    }
}
