//! The output of `serve`: a line for the start, one for each invocation and each batch of the queue, and the end.

use super::polling::Polled;
use crate::view::{
    self, Styled, beginning, count, dead_letters, duration, letter_json, series_json, series_table, utc,
};
use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::lambda::Handled;
use amp_push_gateway::local::event_source::Batch;
use amp_push_gateway::local::invoke_endpoint::Invoked;
use amp_push_gateway::local::tsdb::StoredSeries;
use amp_push_gateway::local::wall_clock;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

const EXAMPLE: &str = r#"{"dimensions":{"customerId":"customer1"},"metrics":{"temperature":"14.3","ph":6.7}}"#;

#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    pub(super) json: bool,
}

impl Log {
    pub(super) fn started(self, address: SocketAddr, polled: Option<&Polled>, written: &str, dead_letters: &str) {
        let url = format!("http://{address}");
        if self.json {
            let started = json!({
                "event": "started",
                "url": url,
                "queue": polled.map(polled_json),
                "written_to": written,
                "dead_letters": dead_letters,
            });
            return view::line(&started.to_string());
        }
        view::line(&format!("{} {url}", Styled(view::HEADING, "listening on")));
        if let Some(polled) = polled {
            view::line(&polled_line(polled));
        }
        view::line(&format!("events go to  {written}"));
        view::line(&format!("dead letters  {dead_letters}"));
        view::line(&format!(
            "try           aws lambda invoke --endpoint-url {url} --region eu-central-1 --no-sign-request \
             --function-name ingest --cli-binary-format raw-in-base64-out --payload '{EXAMPLE}' /dev/stdout"
        ));
    }

    pub(super) fn invoked(self, invoked: &Invoked<'_>) {
        view::line(&if self.json { invoked_json(invoked).to_string() } else { invoked_line(invoked) });
    }

    pub(super) fn batch(self, batch: &Batch<'_>) {
        view::line(&if self.json { batch_json(batch).to_string() } else { batch_line(batch) });
    }

    /// Shows what the workspace and the queue of this process hold.
    pub(super) fn stopped(self, stored: Option<Vec<StoredSeries>>, letters: &[DeadLetter]) {
        if self.json {
            let series = stored.map(|stored| stored.iter().map(series_json).collect::<Vec<_>>());
            let letters: Vec<_> = letters.iter().map(letter_json).collect();
            return view::line(&json!({"event": "stopped", "series": series, "dead_letters": letters}).to_string());
        }
        if let Some(stored) = stored {
            let samples = stored.iter().map(|series| series.samples.len() as u64).sum();
            let heading = Styled(view::HEADING, "stored");
            view::line(&format!("{heading}: {} series, {}", stored.len(), count(samples, "sample")));
            if !stored.is_empty() {
                view::line(&series_table(&stored, None));
            }
        }
        if !letters.is_empty() {
            view::line(&format!("{}: {}", Styled(view::HEADING, "dead letters"), letters.len()));
            view::line(&dead_letters(letters));
        }
    }
}

fn polled_json(polled: &Polled) -> serde_json::Value {
    json!({
        "url": polled.queue.url().as_str(),
        "arn": polled.attributes.arn,
        "batch_size": polled.settings.batch_size,
        "batch_window_seconds": polled.settings.window_on(&polled.attributes).as_secs_f64(),
        "concurrency": polled.settings.concurrency,
        "visibility_timeout_seconds": polled.attributes.visibility_timeout.as_secs(),
    })
}

fn polled_line(polled: &Polled) -> String {
    let window = polled.settings.window_on(&polled.attributes);
    let gathered = if window.is_zero() { "at once".to_owned() } else { format!("after {}", duration(window)) };
    format!(
        "polling       {}: batches of up to {} {gathered}, {} at a time; a failed message comes again after {} s",
        polled.queue.url(),
        polled.settings.batch_size,
        polled.settings.concurrency,
        polled.attributes.visibility_timeout.as_secs()
    )
}

/// Returns the keys of an invocation and of a batch.
fn handled_json(event: &str, request_id: &str, handled: &Handled, took: Duration) -> serde_json::Value {
    let metrics = &handled.summary;
    let error = handled.answer.as_ref().err();
    json!({
        "event": event,
        "time": utc(wall_clock()),
        "request_id": request_id,
        "milliseconds": milliseconds(took),
        "received": metrics.received,
        "delivered": metrics.delivered,
        "errored": metrics.errored,
        "rejected": metrics.rejected,
        "dropped": metrics.dropped,
        "samples": metrics.samples,
        "messages": metrics.messages,
        "acknowledged": metrics.acknowledged,
        "dead_lettered": metrics.dead_lettered,
        "handed_back": metrics.returned,
        "error_type": error.map(|error| &error.error_type),
        "error_message": error.map(|error| &error.error_message),
    })
}

fn invoked_json(invoked: &Invoked<'_>) -> serde_json::Value {
    let mut shown = handled_json("invoked", invoked.request_id, invoked.handled, invoked.duration);
    shown["invocation_type"] = invoked.invocation_type.as_str().into();
    shown["payload_bytes"] = invoked.payload_bytes.into();
    shown["retry_in_milliseconds"] = invoked.retry_in.map(milliseconds).into();
    shown
}

fn batch_json(batch: &Batch<'_>) -> serde_json::Value {
    let mut shown = handled_json("batch", batch.request_id, batch.handled, batch.duration);
    shown["messages"] = batch.messages.into();
    shown["payload_bytes"] = batch.payload_bytes.into();
    shown["deleted"] = batch.deleted.into();
    shown["kept"] = batch.kept.into();
    shown["failure"] = batch.failure.into();
    shown
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn invoked_line(invoked: &Invoked<'_>) -> String {
    let Invoked { handled, payload_bytes, duration: took, request_id, .. } = *invoked;
    let retry = invoked.retry_in.map_or(String::new(), |delay| format!("; next try in {}", duration(delay)));
    line(invoked.invocation_type.as_str(), handled, &retry, payload_bytes, took, request_id)
}

fn batch_line(batch: &Batch<'_>) -> String {
    let Batch { handled, payload_bytes, duration: took, request_id, deleted, .. } = *batch;
    let kept = if batch.kept > 0 { format!(", {} to come again", batch.kept) } else { String::new() };
    // The line has the error text of a function error already.
    let failure = batch.failure.filter(|_| handled.answer.is_ok());
    let failure =
        failure.map_or(String::new(), |text| format!("; {} {}", Styled(view::BAD, "batch failed:"), beginning(text)));
    let messages = count(batch.messages as u64, "message");
    line("queue", handled, &format!("{failure}; {messages}: {deleted} deleted{kept}"), payload_bytes, took, request_id)
}

fn line(from: &str, handled: &Handled, more: &str, bytes: usize, took: Duration, request_id: &str) -> String {
    let error = handled.answer.as_ref().err().map_or(String::new(), |error| {
        format!("; {} {}: {}", Styled(view::BAD, "function error"), error.error_type, beginning(&error.error_message))
    });
    let facts = format!("({bytes} bytes, {}, {request_id})", duration(took));
    let (time, facts) = (Styled(view::QUIET, utc(wall_clock())), Styled(view::QUIET, facts));
    format!("{time} {from} {}{error}{more} {facts}", counts(handled))
}

/// `3 events: 2 stored, 1 rejected`.
fn counts(handled: &Handled) -> String {
    let metrics = &handled.summary;
    let mut counts = vec![format!("{}: {} stored", count(metrics.received, "event"), metrics.delivered)];
    let others = [
        (metrics.rejected, "rejected"),
        (metrics.dropped, "dropped as late"),
        (metrics.errored, "to be tried again"),
        (metrics.dead_lettered, "dead-lettered"),
        (metrics.returned, "returned"),
    ];
    let others = others.into_iter().filter(|(number, _)| *number > 0);
    counts.extend(others.map(|(number, what)| format!("{number} {what}")));
    counts.join(", ")
}
