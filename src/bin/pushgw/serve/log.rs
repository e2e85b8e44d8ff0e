//! What `serve` says while it runs: a line for the start, one for each invocation, and what there is at the end.

use crate::view::{self, Styled, count, dead_letters, duration, letter_json, series_json, series_table, utc};
use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::local::invoke_endpoint::Invoked;
use amp_push_gateway::local::tsdb::StoredSeries;
use amp_push_gateway::local::wall_clock;
use serde_json::json;
use std::net::SocketAddr;

/// Characters of an error's message on a line of the log.
const MAX_MESSAGE_CHARS: usize = 300;

const EXAMPLE: &str = r#"{"dimensions":{"customerId":"customer1"},"metrics":{"temperature":"14.3","ph":6.7}}"#;

/// Where it listens, and how it is invoked.
pub(super) fn started(json: bool, address: SocketAddr, written: &str, dead_letters: &str) {
    let url = format!("http://{address}");
    if json {
        let started = json!({"event": "started", "url": url, "written_to": written, "dead_letters": dead_letters});
        return view::line(&started.to_string());
    }
    view::line(&format!("{} {url}", Styled(view::HEADING, "listening on")));
    view::line(&format!("events go to  {written}"));
    view::line(&format!("dead letters  {dead_letters}"));
    view::line(&format!(
        "try           aws lambda invoke --endpoint-url {url} --region eu-central-1 --no-sign-request \
         --function-name ingest --cli-binary-format raw-in-base64-out --payload '{EXAMPLE}' /dev/stdout"
    ));
}

/// One line for one run of the function.
pub(super) fn invoked(json: bool, invoked: &Invoked<'_>) {
    view::line(&if json { invoked_json(invoked).to_string() } else { invoked_line(invoked) });
}

fn invoked_json(invoked: &Invoked<'_>) -> serde_json::Value {
    let metrics = &invoked.handled.metrics;
    let error = invoked.handled.answer.as_ref().err();
    json!({
        "event": "invoked",
        "time": utc(wall_clock()),
        "request_id": invoked.request_id,
        "invocation_type": invoked.invocation_type.as_str(),
        "payload_bytes": invoked.payload_bytes,
        "milliseconds": u64::try_from(invoked.duration.as_millis()).unwrap_or(u64::MAX),
        "received": metrics.received,
        "delivered": metrics.delivered,
        "errored": metrics.errored,
        "rejected": metrics.rejected,
        "dropped": metrics.dropped,
        "samples": metrics.samples,
        "messages": metrics.messages,
        "acknowledged": metrics.acknowledged,
        "dead_lettered": metrics.dead_lettered,
        "handed_back": metrics.handed_back,
        "error_type": error.map(|error| &error.error_type),
        "error_message": error.map(|error| &error.error_message),
        "retry_in_milliseconds": invoked.retry_in.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
    })
}

fn invoked_line(invoked: &Invoked<'_>) -> String {
    let metrics = &invoked.handled.metrics;
    let mut counts = vec![format!("{}: {} stored", count(metrics.received, "event"), metrics.delivered)];
    let others = [
        (metrics.rejected, "refused"),
        (metrics.dropped, "dropped as late"),
        (metrics.errored, "to be tried again"),
        (metrics.dead_lettered, "put aside"),
        (metrics.handed_back, "handed back"),
    ];
    let others = others.into_iter().filter(|(number, _)| *number > 0);
    counts.extend(others.map(|(number, what)| format!("{number} {what}")));
    let retry = invoked.retry_in.map_or(String::new(), |delay| format!("; next try in {}", duration(delay)));
    let error = match &invoked.handled.answer {
        Ok(_) => String::new(),
        Err(error) => {
            let message: String = error.error_message.chars().take(MAX_MESSAGE_CHARS).collect();
            format!("; {} {}: {message}", Styled(view::BAD, "function error"), error.error_type)
        }
    };
    format!(
        "{} {} {} {}{error}{retry}",
        Styled(view::QUIET, utc(wall_clock())),
        invoked.invocation_type.as_str(),
        counts.join(", "),
        Styled(
            view::QUIET,
            format!("({} bytes, {}, {})", invoked.payload_bytes, duration(invoked.duration), invoked.request_id)
        )
    )
}

/// What the workspace and the queue of this process hold.
pub(super) fn stopped(json: bool, stored: Option<Vec<StoredSeries>>, letters: &[DeadLetter]) {
    if json {
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
