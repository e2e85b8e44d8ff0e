//! `POST /events`: takes a message of any form, and answers with the report. With the header `Idempotency-Key` the gateway
//! recognises a repetition of typed events.

use super::body::{Encoding, unpack};
use super::door::{Answered, Call, Door};
use super::{Request, Response};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::event::from_utf8;
use crate::gateway::{Batch, Message, Report, Trigger};
use std::borrow::Cow;

/// The encodings that a message may have.
pub(super) const ENCODINGS: &[Encoding] = &[Encoding::Gzip];

pub(super) async fn take<T: Transport, D: DeadLetterQueue>(
    door: &Door<T, D>,
    request: &Request<'_>,
    call: Call<'_>,
) -> Answered {
    let encoding = request.list("content-encoding");
    let body = match unpack(Cow::Borrowed(&request.body), encoding.as_deref(), ENCODINGS) {
        Ok(body) => body,
        Err(error) => return Response::of_body_error(&error).into(),
    };
    let idempotency_key = request.header("idempotency-key").map(Cow::Borrowed);
    let message = Message { idempotency_key, ..Message::direct(call.request_id, from_utf8(body)) };
    let batch = Batch {
        trigger: Trigger::Http,
        messages: vec![message],
        request_id: call.request_id,
        started: call.started,
        deadline: call.deadline,
    };
    let ingested = door.gateway.ingest(&batch).await;
    let summary = &ingested.summary;
    let status = if summary.errored > 0 {
        503
    } else if summary.delivered == 0 && summary.rejected > 0 {
        400
    } else {
        200
    };
    let report = serde_json::to_string(&Report::of(&ingested)).unwrap_or_default();
    let mut response = Response::json(status, report);
    if status == 503 {
        response = response.asking_to_wait(ingested.retry_after);
    }
    Answered { response, route: None, summary: ingested.summary }
}
