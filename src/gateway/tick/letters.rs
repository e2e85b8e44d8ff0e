//! Sends the dead letters that a state owes: at least once, after the commit, in the order of their numbers.
//!
//! Each dead letter is one array that the fold cut, of events of one reason. If the tick ends before it noted a dead letter as
//! sent, the next tick sends it again: the same array with the same source. `pushgw redrive` keeps the source, so that the
//! events of both copies count once.

use super::{ShardSummary, Ticker, Turn};
use crate::aggregate::{MAX_ARRAY_BYTES, MAX_ARRAY_EVENTS, OwedEvent, OwedReason, Safeguard, TypedState};
use crate::dead_letter::{DeadLetter, DeadLetterQueue};
use crate::model::Reason;

/// Owed events that one tick sends.
const MAX_EVENTS: usize = 1_000;

impl<T, D: DeadLetterQueue> Ticker<'_, T, D> {
    /// Sends the owed dead letters. Returns the number of the first event that is still owed; `None` if none was sent.
    pub(super) async fn send_letters(
        &self,
        turn: &Turn<'_>,
        state: &TypedState,
        summary: &mut ShardSummary,
    ) -> Option<u64> {
        let (letters, counts): (Vec<_>, Vec<_>) =
            arrays(state.owed()).into_iter().map(|events| (letter(&events), events.len())).unzip();
        if letters.is_empty() {
            return None;
        }
        let Turn { request_id, shard, .. } = turn;
        let Some(queue) = self.dead_letters else {
            let owed = state.owed().len();
            tracing::error!(request_id, shard, owed, "dead letters wait, but no dead-letter queue is configured");
            return None;
        };
        let results = queue.put(letters, turn.deadline).await;
        let mut sent = 0;
        for (result, count) in results.iter().zip(counts) {
            if let Err(error) = result {
                tracing::error!(request_id, shard, error = error.to_string(), "an owed dead letter could not be sent");
                break;
            }
            sent += count;
        }
        summary.dead_lettered += sent as u64;
        summary.owed -= (sent as u64).min(summary.owed);
        state.owed().take(sent).last().map(|event| event.number + 1)
    }
}

/// Returns the events of each dead letter: the first arrays with at most [`MAX_EVENTS`] together.
fn arrays<'e>(events: impl Iterator<Item = &'e OwedEvent>) -> Vec<Vec<&'e OwedEvent>> {
    let mut arrays: Vec<Vec<&OwedEvent>> = Vec::new();
    let mut bytes = 0;
    for (count, event) in events.enumerate() {
        let len = event.json.len() + 1;
        let of = |event: &OwedEvent| Safeguard::SameArrays.is_kept().then_some(event.number / MAX_ARRAY_EVENTS);
        // The bytes decide about events of older releases.
        let is_next = |array: &&mut Vec<&OwedEvent>| {
            array[0].reason == event.reason && of(array[0]) == of(event) && bytes + len <= MAX_ARRAY_BYTES
        };
        if let Some(array) = arrays.last_mut().filter(is_next) {
            array.push(event);
        } else {
            bytes = 1;
            arrays.push(vec![event]);
        }
        bytes += len;
        if count >= MAX_EVENTS {
            // The last array is not whole.
            arrays.pop();
            break;
        }
    }
    arrays
}

fn letter(events: &[&OwedEvent]) -> DeadLetter {
    let first = events[0];
    let body = match events {
        [event] => event.json.clone(),
        _ => format!("[{}]", events.iter().map(|event| event.json.as_str()).collect::<Vec<_>>().join(",")),
    };
    let (reason, detail) = match first.reason {
        OwedReason::TypeConflict => {
            (Reason::TypeConflict, "the state holds a series of another type or family with the same name and labels")
        }
        OwedReason::SeriesLimit => {
            (Reason::SeriesLimit, "the series is new, and the state holds as many series as it may (MAX_SERIES)")
        }
    };
    let source = format!("{}:{}", first.identity, reason.as_str());
    let count = events.len();
    DeadLetter {
        body,
        reason,
        detail: detail.to_owned(),
        source_message_id: source.clone(),
        source_index: None,
        sent_timestamp: Some(first.sent),
        maybe_stored: false,
        counted: false,
        group_id: None,
        // First event and count decide the content.
        deduplication_id: format!("{source}:{count}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Identity;
    use crate::model::Timestamp;

    fn event(number: u64) -> OwedEvent {
        OwedEvent {
            number,
            identity: Identity::of_event("m", number),
            reason: OwedReason::TypeConflict,
            sent: Timestamp(1),
            json: "{}".to_owned(),
        }
    }

    #[test]
    fn an_array_that_comes_again_with_more_events_is_another_message_of_a_fifo_queue() {
        let events = [event(1), event(2)];
        let (one, two) = (letter(&[&events[0]]), letter(&[&events[0], &events[1]]));
        assert_eq!(one.source_message_id, two.source_message_id);
        assert_ne!(one.deduplication_id, two.deduplication_id);
        assert_eq!(two.deduplication_id, letter(&[&events[0], &events[1]]).deduplication_id);
    }

    #[test]
    fn a_tick_sends_whole_arrays_of_at_most_1000_events_together() {
        let numbers = |events: &[OwedEvent]| -> Vec<(u64, usize)> {
            arrays(events.iter()).iter().map(|array| (array[0].number, array.len())).collect()
        };
        let of = |first: std::ops::Range<u64>, second: std::ops::Range<u64>| -> Vec<OwedEvent> {
            first.chain(second).map(event).collect()
        };
        assert_eq!(numbers(&of(0..3, 1_000..1_002)), [(0, 3), (1_000, 2)]);
        assert_eq!(numbers(&of(0..400, 1_000..1_600)), [(0, 400), (1_000, 600)]);
        assert_eq!(numbers(&of(0..400, 1_000..1_601)), [(0, 400)]);
        assert_eq!(numbers(&of(0..1_000, 1_000..1_010)), [(0, 1_000)]);
        // Events of older releases follow each other.
        assert_eq!(numbers(&of(990..1_000, 1_000..1_020)), [(990, 10), (1_000, 20)]);
        let other = OwedEvent { reason: OwedReason::SeriesLimit, ..event(2) };
        assert_eq!(numbers(&[event(0), event(1), other, event(3)]), [(0, 2), (2, 1), (3, 1)]);
        let large = |number| OwedEvent { json: "x".repeat(MAX_ARRAY_BYTES / 2), ..event(number) };
        assert_eq!(numbers(&[large(0), large(1), event(2)]), [(0, 1), (1, 2)]);
    }
}
