//! Requests to answers, and answers to outcomes of events.

use super::Ledger;
use crate::instrumentation::MetricLine;
use crate::model::Outcome;
use crate::remote_write::{Answer, Disposition, RemoteWriteClient, Transport, TransportError};
use crate::series::{Merged, Row};
use crate::wire::EncodedRequest;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// A request that is given less time than this is not begun.
const SHORTEST_REQUEST: Duration = Duration::from_millis(50);

/// Longest wait for one answer.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// Characters of the receiver's words that are repeated.
const MAX_WORDS: usize = 500;

/// What became of the requests of a batch.
pub(super) struct Delivery {
    /// Rows that the receiver has stored.
    written: Vec<Range<usize>>,
    requests: u64,
    bytes: u64,
    /// The first request that failed.
    failure: Option<String>,
}

// === impl Delivery ===

impl Delivery {
    /// Sends `requests` one after another; those that cannot be answered before `until` are not begun.
    pub(super) async fn send<T: Transport>(
        client: &RemoteWriteClient<T>,
        requests: &[EncodedRequest],
        merged: &Merged<'_>,
        until: Instant,
    ) -> Self {
        let mut delivery = Self { written: Vec::new(), requests: 0, bytes: 0, failure: None };
        let mut failed_series = None;
        for request in requests {
            let (first, last) = (&merged.rows()[request.rows.start], &merged.rows()[request.rows.end - 1]);
            // Later samples of a series whose earlier ones failed would make those out of order for ever.
            let goes_on = failed_series == Some(first.series);
            if goes_on || !delivery.send_one(client, request, until).await {
                failed_series = Some(last.series);
            }
        }
        delivery
    }

    async fn send_one<T: Transport>(
        &mut self,
        client: &RemoteWriteClient<T>,
        request: &EncodedRequest,
        until: Instant,
    ) -> bool {
        let timeout = until.saturating_duration_since(Instant::now()).min(LONGEST_REQUEST);
        if timeout < SHORTEST_REQUEST {
            self.failure
                .get_or_insert_with(|| "the invocation's time was up before the request could be sent".to_owned());
            return false;
        }
        let answer = match tokio::time::timeout(timeout, client.send(request.body.clone(), timeout)).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::Timeout),
        };
        if !matches!(answer, Err(TransportError::Credentials(_))) {
            self.requests += 1;
            self.bytes += request.body.len() as u64;
        }
        match Disposition::of(&answer) {
            Disposition::Written => {
                self.written.push(request.rows.clone());
                true
            }
            Disposition::NotWritten => {
                let words = words(&answer);
                tracing::warn!(answer = words, samples = request.rows.len(), "request failed");
                self.failure.get_or_insert(words);
                false
            }
        }
    }

    /// Writes the outcome of each event that has rows: delivered where all of them are written, else errored.
    pub(super) fn record(&self, merged: &Merged<'_>, ledger: &mut Ledger, metrics: &mut MetricLine) {
        let rows = merged.rows();
        for row in self.written.iter().flat_map(|range| &rows[range.clone()]) {
            ledger.set(row.item, Outcome::Delivered);
        }
        for row in self.unwritten(rows) {
            ledger.set(row.item, Outcome::Errored);
        }
        let mut last: Option<&Row> = None;
        for row in self.written.iter().flat_map(|range| &rows[range.clone()]) {
            metrics.samples += u64::from(last.is_none_or(|last| !last.is_same_sample(row)));
            metrics.series += u64::from(last.is_none_or(|last| last.series != row.series));
            metrics.inexact += u64::from(row.value.is_inexact() && ledger.outcome(row.item) == Outcome::Delivered);
            last = Some(row);
        }
        metrics.requests += self.requests;
        metrics.bytes += self.bytes;
    }

    pub(super) fn into_failure(self) -> Option<String> {
        self.failure
    }

    fn unwritten<'r>(&'r self, rows: &'r [Row]) -> impl Iterator<Item = &'r Row> {
        let starts = std::iter::once(0).chain(self.written.iter().map(|range| range.end));
        let ends = self.written.iter().map(|range| range.start).chain(std::iter::once(rows.len()));
        starts.zip(ends).flat_map(move |(start, end)| &rows[start..end])
    }
}

/// `the receiver answered 400: out of order sample`, cut to a bound.
fn words(answer: &Result<Answer, TransportError>) -> String {
    let words = match answer {
        Ok(Answer { status, body, .. }) if body.is_empty() => format!("the receiver answered {status}"),
        Ok(Answer { status, body, .. }) => format!("the receiver answered {status}: {body}"),
        Err(error) => error.to_string(),
    };
    words.chars().take(MAX_WORDS).collect()
}
