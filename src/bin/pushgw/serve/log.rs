//! The output of `serve`: a line for the start, one for each invocation and each batch of the queue, and the end.

use super::polling::Polled;
use crate::view::{
    self, Foreign, Styled, beginning, count, dead_letter_json, dead_letter_table, duration, series_json, series_table,
    utc,
};
use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::lambda::Handled;
use amp_push_gateway::local::door::Served;
use amp_push_gateway::local::event_source::Batch;
use amp_push_gateway::local::invoke_endpoint::Invoked;
use amp_push_gateway::local::tsdb::StoredSeries;
use amp_push_gateway::local::wall_clock;
use amp_push_gateway::model::Timestamp;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

const EXAMPLE: &str = r#"{"dimensions":{"customerId":"customer1"},"metrics":{"temperature":"14.3","ph":6.7}}"#;

#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    pub(super) json: bool,
}

impl Log {
    pub(super) fn started(
        self,
        address: SocketAddr,
        door: Option<SocketAddr>,
        polled: Option<&Polled>,
        written: &str,
        dead_letters: &str,
        state: &str,
    ) {
        let url = format!("http://{address}");
        let door = door.map(|address| format!("http://{address}"));
        let (polled_line, polled_json) = polled.map(polled_texts).unzip();
        if self.json {
            let started = json!({
                "event": "started",
                "url": url,
                "http": door,
                "queue": polled_json,
                "written_to": written,
                "dead_letters": dead_letters,
                "state": state,
            });
            return view::line(&started.to_string());
        }
        view::line(&format!("{} {url}", Styled(view::HEADING, "listening on")));
        if let Some(door) = &door {
            let example = "echo 'backup_seconds 12.5' | curl --data-binary @- ";
            view::line(&format!("HTTP at       {door}: {example}{door}/metrics/job/backup"));
        }
        if let Some(polled) = polled_line {
            view::line(&polled);
        }
        view::line(&format!(
            "events go to  {written}\ndead letters  {dead_letters}\nstate         {}\n\
             try           aws lambda invoke --endpoint-url {url} --region eu-central-1 --no-sign-request \
             --function-name ingest --cli-binary-format raw-in-base64-out --payload '{EXAMPLE}' /dev/stdout",
            Foreign(state)
        ));
    }

    pub(super) fn invoked(self, invoked: &Invoked<'_>) {
        let Invoked { request_id, handled, payload_bytes, duration: took, retry_in, .. } = *invoked;
        let invocation_type = invoked.invocation_type.as_str();
        if self.json {
            let mut shown = handled_json("invoked", request_id, handled, payload_bytes, took);
            shown["invocation_type"] = invocation_type.into();
            shown["retry_in_milliseconds"] = retry_in.map(milliseconds).into();
            return view::line(&shown.to_string());
        }
        let retry = retry_in.map_or(String::new(), |delay| format!("; next try in {}", duration(delay)));
        line(invocation_type, handled, &retry, payload_bytes, took, request_id);
    }

    pub(super) fn served(self, served: &Served<'_>) {
        let Served { request_id, method, path, body_bytes, answered, duration: took } = *served;
        let (status, metrics) = (answered.response.status, &answered.summary);
        if self.json {
            let shown = json!({
                "event": "request",
                "time": utc(wall_clock()),
                "request_id": request_id,
                "milliseconds": milliseconds(took),
                "method": method,
                "path": path,
                "route": answered.route,
                "status": status,
                "body_bytes": body_bytes,
                "received": metrics.received,
                "delivered": metrics.delivered,
                "errored": metrics.errored,
                "rejected": metrics.rejected,
                "samples": metrics.samples,
            });
            return view::line(&shown.to_string());
        }
        let status = match status {
            0..400 => status.to_string(),
            _ => Styled(view::BAD, status).to_string(),
        };
        let why = answered
            .response
            .sentence()
            .map_or(String::new(), |sentence| format!(": {}", Foreign(beginning(sentence))));
        let facts = format!("({body_bytes} bytes, {}, {request_id})", duration(took));
        let (time, facts) = (Styled(view::QUIET, utc(wall_clock())), Styled(view::QUIET, facts));
        let samples = count(metrics.samples, "sample");
        view::line(&format!("{time} {method} {} {status}, {samples} stored{why} {facts}", beginning(path)));
    }

    pub(super) fn batch(self, batch: &Batch<'_>) {
        let Batch { request_id, handled, payload_bytes, duration: took, messages, deleted, kept, failure } = *batch;
        if self.json {
            let mut shown = handled_json("batch", request_id, handled, payload_bytes, took);
            shown["messages"] = messages.into();
            shown["deleted"] = deleted.into();
            shown["kept"] = kept.into();
            shown["failure"] = failure.into();
            return view::line(&shown.to_string());
        }
        // The line has the error text of a function error already.
        let failure = failure.filter(|_| handled.answer.is_ok()).map(|text| Foreign(beginning(text)));
        let failure = failure.map_or(String::new(), |text| format!("; {} {text}", Styled(view::BAD, "batch failed:")));
        let kept = if kept > 0 { format!(", {kept} to come again") } else { String::new() };
        let more = format!("{failure}; {}: {deleted} deleted{kept}", count(messages as u64, "message"));
        line("queue", handled, &more, payload_bytes, took, request_id);
    }

    /// Shows a tick that wrote something or failed, and for scripts one that counted something.
    pub(super) fn ticked(self, time: Timestamp, handled: &Handled, took: Duration) {
        let report = handled.answer.as_ref().ok().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let error = handled.answer.as_ref().err();
        let is_any = |name: &str| report.as_ref().is_some_and(|report| report[name].as_u64() > Some(0));
        if self.json {
            if error.is_none() && !["samples", "entries", "series", "groups"].into_iter().any(is_any) {
                return;
            }
            let shown = json!({
                "event": "tick",
                "time": utc(time),
                "milliseconds": milliseconds(took),
                "report": report,
                "error_type": error.map(|error| &error.error_type),
                "error_message": error.map(|error| &error.error_message),
            });
            return view::line(&shown.to_string());
        }
        let samples = report.as_ref().and_then(|report| report["samples"].as_u64()).unwrap_or(0);
        let (utc, took) = (Styled(view::QUIET, utc(time)), Styled(view::QUIET, format!("({})", duration(took))));
        match error {
            Some(error) => {
                let text = Foreign(beginning(&error.error_message));
                view::line(&format!("{utc} tick {}: {text} {took}", Styled(view::BAD, "failed")));
            }
            None if samples > 0 => view::line(&format!("{utc} tick {} {took}", count(samples, "sample"))),
            None => {}
        }
    }

    /// Shows what the workspace and the queue of this process hold.
    pub(super) fn stopped(self, stored: Option<Vec<StoredSeries>>, dead_letters: &[DeadLetter]) {
        if self.json {
            let series = stored.map(|stored| stored.iter().map(series_json).collect::<Vec<_>>());
            let dead_letters: Vec<_> = dead_letters.iter().map(dead_letter_json).collect();
            return view::line(
                &json!({"event": "stopped", "series": series, "dead_letters": dead_letters}).to_string(),
            );
        }
        if let Some(stored) = stored {
            let samples = stored.iter().map(|series| series.samples.len() as u64).sum();
            let heading = Styled(view::HEADING, "stored");
            view::line(&format!("{heading}: {} series, {}", stored.len(), count(samples, "sample")));
            if !stored.is_empty() {
                view::line(&series_table(&stored, None));
            }
        }
        if !dead_letters.is_empty() {
            view::line(&format!("{}: {}", Styled(view::HEADING, "dead letters"), dead_letters.len()));
            view::line(&dead_letter_table(dead_letters));
        }
    }
}

/// Returns the line of the queue as text, and as JSON.
fn polled_texts(Polled { queue, attributes, settings }: &Polled) -> (String, serde_json::Value) {
    let (url, window, visibility) =
        (queue.url(), settings.window_on(attributes), attributes.visibility_timeout.as_secs());
    let gathered = if window.is_zero() { "at once".to_owned() } else { format!("after {}", duration(window)) };
    let line = format!(
        "polling       {url}: batches of up to {} {gathered}, {} at a time; a failed message comes again after {visibility} s",
        settings.batch_size, settings.concurrency
    );
    let json = json!({
        "url": url.as_str(),
        "arn": attributes.arn,
        "batch_size": settings.batch_size,
        "batch_window_seconds": window.as_secs_f64(),
        "concurrency": settings.concurrency,
        "visibility_timeout_seconds": visibility,
    });
    (line, json)
}

/// Returns the keys of an invocation and of a batch.
fn handled_json(event: &str, request_id: &str, handled: &Handled, bytes: usize, took: Duration) -> serde_json::Value {
    let metrics = &handled.summary;
    let error = handled.answer.as_ref().err();
    json!({
        "event": event,
        "time": utc(wall_clock()),
        "request_id": request_id,
        "milliseconds": milliseconds(took),
        "payload_bytes": bytes,
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

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn line(from: &str, handled: &Handled, more: &str, bytes: usize, took: Duration, request_id: &str) {
    let error = handled.answer.as_ref().err().map_or(String::new(), |error| {
        let (error_type, text) = (Foreign(&error.error_type), Foreign(beginning(&error.error_message)));
        format!("; {} {error_type}: {text}", Styled(view::BAD, "function error"))
    });
    let facts = format!("({bytes} bytes, {}, {})", duration(took), Foreign(request_id));
    let (time, facts) = (Styled(view::QUIET, utc(wall_clock())), Styled(view::QUIET, facts));
    view::line(&format!("{time} {from} {}{error}{more} {facts}", counts(handled)));
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
