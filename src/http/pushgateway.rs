//! `PUT`, `POST` and `DELETE` of `/metrics/job/…`: the push protocol of Pushgateway.

use super::body::{Encoding, unpack};
use super::door::{Answered, Call, Door};
use super::media_type::PushFormat;
use super::{Request, Response, route};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::exposition::{parse_openmetrics, parse_protobuf, parse_text};
use crate::gateway::{Push, PushError, PushResult, Pushed};
use crate::push_group::GroupingKey;
use std::borrow::Cow;

/// Without the table a header that sets the expiry is checked and has no effect.
const TTL_HEADER: &str = "x-push-ttl";

/// Takes a push to the group that `key` names. Without the table `PUT` and `POST` do the same, and `DELETE` does nothing.
pub(super) async fn push<T: Transport, D: DeadLetterQueue>(
    door: &Door<T, D>,
    request: &Request<'_>,
    key: &str,
    call: Call<'_>,
) -> Answered {
    let bad = |status: u16, sentence: String| Response::text(status, sentence).into();
    let key = match GroupingKey::parse(key) {
        Ok(key) => key,
        Err(error) => return bad(400, error.to_string()),
    };
    if let Some(ttl) = request.header(TTL_HEADER).filter(|ttl| route::ttl(ttl).is_none()) {
        return bad(400, route::RouteError::Ttl(ttl.to_owned()).to_string());
    }
    if request.method == "DELETE" {
        return Response::empty(202).into();
    }
    let encoding = request.header("content-encoding");
    let body = match unpack(Cow::Borrowed(&request.body), encoding, &[Encoding::Gzip, Encoding::Snappy]) {
        Ok(body) => body,
        Err(error) => return Response::of_body_error(&error).into(),
    };
    let parsed = match PushFormat::of(request.header("content-type")) {
        PushFormat::Text => parse_text(&body),
        PushFormat::OpenMetrics => parse_openmetrics(&body),
        PushFormat::Protobuf => parse_protobuf(&body),
    };
    let exposition = match parsed {
        Ok(exposition) => exposition,
        Err(error) => return bad(if error.is_size() { 413 } else { 400 }, error.to_string()),
    };
    let push =
        Push { key: &key, body: &exposition, now: call.started, request_id: call.request_id, deadline: call.deadline };
    match door.gateway.push(&push).await {
        Ok(pushed) => answer(pushed),
        Err(error @ PushError::TooLarge { .. }) => bad(413, error.to_string()),
        Err(error @ PushError::Series { .. }) => bad(400, error.to_string()),
    }
}

fn answer(pushed: Pushed) -> Answered {
    let response = match pushed.result {
        PushResult::Stored => Response::empty(202),
        PushResult::Refused { refused, of, first } => {
            let rest = if refused == of { "none is stored" } else { "the rest is stored" };
            Response::text(400, format!("{refused} of {of} samples are refused, {rest}; {first}"))
        }
        PushResult::Failed { failure, retry_after } => Response::unavailable(failure, retry_after),
    };
    Answered { response, route: None, summary: pushed.summary }
}
