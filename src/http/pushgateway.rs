//! `PUT`, `POST` and `DELETE` of `/metrics/job/…`: the push protocol of Pushgateway.

use super::body::{Encoding, unpack};
use super::door::{Answered, Call, Door};
use super::media_type::PushFormat;
use super::{Request, Response, route};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::exposition::{Exposition, Problem, parse_openmetrics, parse_protobuf, parse_text};
use crate::gateway::{Push, PushError, PushResult, Pushed};
use crate::limits::MAX_EXCERPT_CHARS;
use crate::push_group::{GroupingKey, PushMode};
use std::borrow::Cow;

/// It wins over `/ttl/<duration>` in front of the path. Without the table both are checked and have no effect.
const TTL_HEADER: &str = "x-push-ttl";

/// The encodings that a push may have.
pub(super) const ENCODINGS: &[Encoding] = &[Encoding::Gzip, Encoding::Snappy];

/// Takes a push to the group that `key` names. Without the table `PUT` and `POST` do the same, and `DELETE` does nothing.
pub(super) async fn push<T: Transport, D: DeadLetterQueue>(
    door: &Door<T, D>,
    request: &Request<'_>,
    key: &str,
    ttl_of_path: Option<i64>,
    call: Call<'_>,
) -> Answered {
    let bad = |status: u16, sentence: String| Response::text(status, sentence).into();
    let key = match GroupingKey::parse(key) {
        Ok(key) => key,
        Err(error) => return bad(400, error.to_string()),
    };
    let header = request.header(TTL_HEADER);
    let ttl = match header.map(|text| route::ttl(text).ok_or(text)) {
        Some(Err(text)) => {
            let text: String = text.chars().take(MAX_EXCERPT_CHARS).collect();
            return bad(400, format!("the header X-Push-TTL: {}", route::no_duration(&text)));
        }
        Some(Ok(ttl)) => Some(ttl),
        None => ttl_of_path,
    };
    if request.method == "DELETE" {
        return match door.gateway.delete_group(&key, call.started, call.deadline).await {
            Ok(()) => Response::empty(202).into(),
            Err(error) => Response::unavailable(error.to_string(), None).into(),
        };
    }
    let encoding = request.list("content-encoding");
    let body = match unpack(Cow::Borrowed(&request.body), encoding.as_deref(), ENCODINGS) {
        Ok(body) => body,
        Err(error) => return Response::of_body_error(&error).into(),
    };
    let parsed = match PushFormat::of(request.header("content-type")) {
        PushFormat::Text => parse_text(&body),
        PushFormat::OpenMetrics => parse_openmetrics(&body),
        PushFormat::Protobuf => parse_protobuf(&body),
    };
    let mode = if request.method == "PUT" { PushMode::Replace } else { PushMode::Merge };
    let (exposition, error) = match parsed {
        Ok(exposition) => (exposition, None),
        Err(error) => (Exposition::default(), Some(error)),
    };
    let push = Push {
        key: &key,
        body: &exposition,
        mode,
        ttl,
        now: call.started,
        request_id: call.request_id,
        deadline: call.deadline,
    };
    if let Some(error) = error {
        // Pushgateway notes a failure of what it can parse, and no syntax error.
        if matches!(error.problem, Problem::SeriesTwice { .. }) {
            door.gateway.fail_push(&push).await;
        }
        return bad(if error.is_size() { 413 } else { 400 }, error.to_string());
    }
    match door.gateway.push(&push).await {
        Ok(pushed) => answer(pushed),
        Err(error @ (PushError::TooLarge { .. } | PushError::GroupTooLarge(_))) => bad(413, error.to_string()),
        Err(error @ PushError::Series { .. }) => bad(400, error.to_string()),
    }
}

fn answer(pushed: Pushed) -> Answered {
    let response = match pushed.result {
        PushResult::Stored => Response::empty(202),
        PushResult::Refused { refused, of, rest, first } => {
            Response::text(400, format!("{refused} of {of} samples are refused, {rest}; {first}"))
        }
        PushResult::Failed { failure, retry_after } => Response::unavailable(failure, retry_after),
    };
    Answered { response, route: None, summary: pushed.summary }
}
