//! Sends the dead letters that a state owes: at least once, after the commit, in the order of their numbers.
//!
//! Consecutive events of one reason are one array of at most [`MAX_ARRAY_BYTES`]. If the tick ends before it noted a dead
//! letter as sent, the next tick sends it again. It begins with the same event, and has the same source. It may have more
//! events at its end. Then it has another deduplication id, because a FIFO queue would otherwise drop it with the new
//! events.

use super::{ShardSummary, Ticker, Turn};
use crate::aggregate::{OwedEvent, OwedReason, TypedState};
use crate::dead_letter::{DeadLetter, DeadLetterQueue};
use crate::model::Reason;

/// The body of a dead letter, if it has more than one event.
const MAX_ARRAY_BYTES: usize = 256 * 1_024;

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
            arrays(state.owed().take(MAX_EVENTS)).into_iter().map(|events| (letter(&events), events.len())).unzip();
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

/// Returns the events of each dead letter.
fn arrays<'e>(events: impl Iterator<Item = &'e OwedEvent>) -> Vec<Vec<&'e OwedEvent>> {
    let mut arrays: Vec<Vec<&OwedEvent>> = Vec::new();
    let mut bytes = 0;
    for event in events {
        let len = event.json.len() + 1;
        let fits = |array: &&mut Vec<&OwedEvent>| array[0].reason == event.reason && bytes + len < MAX_ARRAY_BYTES;
        if let Some(array) = arrays.last_mut().filter(fits) {
            array.push(event);
        } else {
            bytes = 1;
            arrays.push(vec![event]);
        }
        bytes += len;
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
        // First event and count decide the content: the numbers of owed events follow each other.
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
}
