//! `POST /api/v1/write` and its other paths: remote write 1.0 and 2.0 from a sender.
//!
//! The door never answers 429, because Prometheus then drops the samples. It never answers 413, because vmagent then
//! repeats the request for ever.

use super::door::{Answered, Call, Door};
use super::media_type::MediaType;
use super::{Request, Response};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::{Counts, Relay, RelayResult, Relayed};
use crate::wire::incoming::decode_block;
use crate::wire::{Version, WRITTEN};
use std::fmt;

/// The longest header that an answer repeats, in characters.
const MAX_SHOWN_CHARS: usize = 100;

/// A header that is not taken, as it came.
#[derive(Debug)]
enum NotTaken {
    ContentType(String),
    Encoding(String),
}

pub(super) async fn take<T: Transport, D: DeadLetterQueue>(
    door: &Door<T, D>,
    request: &Request<'_>,
    call: Call<'_>,
) -> Answered {
    let version = match version(request) {
        Ok(version) => version,
        Err(error) => return Response::text(415, error.to_string()).into(),
    };
    let protobuf = match decode_block(&request.body) {
        Ok(protobuf) => protobuf,
        Err(error) => return Response::text(400, error.to_string()).into(),
    };
    let relay = Relay {
        version,
        block: &request.body,
        protobuf: &protobuf,
        now: call.started,
        request_id: call.request_id,
        deadline: call.deadline,
    };
    match door.gateway.relay(&relay).await {
        Ok(relayed) => answer(version, relayed),
        Err(error) => Response::text(400, error.to_string()).into(),
    }
}

/// Answers a body that is longer than its front takes. vmagent would send what gets a 413 for ever.
pub(super) fn too_large(request: &Request<'_>, sentence: String) -> Response {
    version(request).map_or_else(|error| Response::text(415, error.to_string()), |_| Response::text(400, sentence))
}

/// Returns the version of the protobuf, or what is not taken: <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#protocol>.
fn version(request: &Request<'_>) -> Result<Version, NotTaken> {
    let content_type = request.header("content-type").unwrap_or_default();
    let media = MediaType::parse(content_type);
    let version = match (media.essence.as_str(), media.parameter("proto")) {
        ("", _) | ("application/x-protobuf", None | Some("prometheus.WriteRequest")) => Version::V1,
        ("application/x-protobuf", Some("io.prometheus.write.v2.Request")) => Version::V2,
        _ => return Err(NotTaken::ContentType(content_type.chars().take(MAX_SHOWN_CHARS).collect())),
    };
    match request.list("content-encoding").as_deref().map(str::trim) {
        None | Some("") => Ok(version),
        Some(encoding) if encoding.eq_ignore_ascii_case("snappy") => Ok(version),
        Some(encoding) => Err(NotTaken::Encoding(encoding.chars().take(MAX_SHOWN_CHARS).collect())),
    }
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContentType(got) => write!(
                f,
                "the content type {got:?} is not taken; expected application/x-protobuf, with proto=prometheus.WriteRequest or \
                 proto=io.prometheus.write.v2.Request"
            ),
            Self::Encoding(got) => write!(f, "the content encoding {got:?} is not taken; expected snappy"),
        }
    }
}

fn answer(version: Version, relayed: Relayed) -> Answered {
    let Relayed { result, written, summary } = relayed;
    let mut response = match result {
        RelayResult::Stored => Response::empty(204),
        RelayResult::Rejected { rejected, of, first } => {
            let rest = if rejected == of { "none is stored" } else { "the rest is stored" };
            Response::text(400, format!("{rejected} of {of} samples are rejected, {rest}; {first}"))
        }
        RelayResult::Failed { failure, retry_after } => Response::unavailable(failure, retry_after),
    };
    if version == Version::V2 {
        let Counts { samples, histograms, exemplars } = written;
        for (name, count) in WRITTEN.into_iter().zip([samples, histograms, exemplars]) {
            response = response.with(name, count.to_string());
        }
    }
    Answered { response, route: None, summary }
}
