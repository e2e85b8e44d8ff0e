//! `POST /api/v1/read` and `POST /read`: remote read.
//! <https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/>

use super::door::{Answered, Call, Door};
use super::{Request, Response};
use crate::aws::Transport;
use crate::gateway::{ReadCall, ReadError};
use crate::limits::MAX_EXCERPT_CHARS;
use crate::wire::read::{ReadRequest, ReadRequestError};

const PROTOBUF: &str = "application/x-protobuf";
const SNAPPY: &str = "snappy";

/// The sentence of a door that reads nowhere.
const NOT_SET_UP: &str = "remote read is not set up: it needs HTTP_READ=on, and READ_URL unless REMOTE_WRITE_URL is that of an AMP workspace";

/// Answers with the samples of all queries, or with none.
pub(super) async fn read<T: Transport, D>(door: &Door<T, D>, request: &Request<'_>, call: Call<'_>) -> Answered {
    let Some(reader) = &door.reader else { return not_set_up().into() };
    if let Some(response) = other_encoding(request) {
        return response.into();
    }
    let queries = match ReadRequest::decode(&request.body) {
        Ok(queries) => queries,
        Err(error) => {
            let status = if matches!(error, ReadRequestError::TooLong { .. }) { 413 } else { 400 };
            return Response::text(status, error.to_string()).into();
        }
    };
    let Call { request_id, started: now, deadline } = call;
    match reader.read(&queries, ReadCall { request_id, now, deadline }).await {
        Ok(done) => {
            let response = Response { body: done.block, ..Response::empty(200) };
            let response = response.with("content-type", PROTOBUF).with("content-encoding", SNAPPY);
            let mut answered = Answered::from(response);
            answered.summary.samples = done.samples as u64;
            answered.summary.series = done.series as u64;
            answered
        }
        Err(error) => refused(error).into(),
    }
}

/// Answers a body in another content encoding than snappy.
fn other_encoding(request: &Request<'_>) -> Option<Response> {
    let encodings = request.list("content-encoding");
    let encoding = encodings.as_deref().unwrap_or(SNAPPY).trim();
    let excerpt = || encoding.chars().take(MAX_EXCERPT_CHARS).collect::<String>();
    let sentence = || format!("the encoding {:?} is not supported; expected snappy", excerpt());
    (!encoding.eq_ignore_ascii_case(SNAPPY)).then(|| Response::text(415, sentence()))
}

/// Answers a request whose body is longer than its front takes.
pub(super) fn too_large(request: &Request<'_>, sentence: String) -> Response {
    other_encoding(request).unwrap_or_else(|| Response::text(413, sentence))
}

pub(super) fn not_set_up() -> Response {
    Response::text(404, NOT_SET_UP)
}

/// Answers instead of a response that is longer than its front takes. A load balancer takes less than the others.
pub(super) fn too_long(sentence: &str) -> Response {
    Response::text(422, format!("{sentence}; {}", ReadError::TooLarge))
}

fn refused(error: ReadError) -> Response {
    match error {
        ReadError::Selector(_) => Response::text(400, error.to_string()),
        ReadError::TooLong { .. } | ReadError::TooLarge => Response::text(422, error.to_string()),
        ReadError::Refused { status, .. } => Response::text(status, error.to_string()),
        ReadError::Errored { failure, retry_after } => Response::unavailable(failure, retry_after),
    }
}
