//! `POST /v1/metrics`: OTLP over HTTP, <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//!
//! * SDKs and collectors repeat a request only after 429, 502, 503 and 504. An answer of 200 says which data points are
//!   rejected for ever. If the receiver or the table fails, the answer is 503.
//! * The body of an error is a `google.rpc.Status`. Answers are encoded as the request is.

use super::body::{Encoding, unpack};
use super::door::{Answered, Call, Door};
use super::media_type::MediaType;
use super::{Request, Response};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::{Otlp, OtlpDone, OtlpEncoding, OtlpError, OtlpResult};
use crate::limits::MAX_DETAIL_CHARS;
use crate::protobuf::Message;
use bytes::Bytes;
use serde_json::json;
use std::borrow::Cow;

pub(super) const PROTOBUF: &str = "application/x-protobuf";

/// Codes of `google.rpc.Status`.
const INVALID_ARGUMENT: u8 = 3;
const UNAVAILABLE: u8 = 14;

pub(super) async fn take<T: Transport, D: DeadLetterQueue>(
    door: &Door<T, D>,
    request: &Request<'_>,
    call: Call<'_>,
) -> Answered {
    let Some(encoding) = encoding(request) else {
        let got: String = request.header("content-type").unwrap_or_default().chars().take(100).collect();
        let sentence = format!("the content type {got:?} is not taken; expected {PROTOBUF} or application/json");
        return status(OtlpEncoding::Json, 415, &sentence).into();
    };
    let content_encoding = request.list("content-encoding");
    let body = match unpack(Cow::Borrowed(&request.body), content_encoding.as_deref(), &[Encoding::Gzip]) {
        Ok(body) => body,
        Err(error) => return status(encoding, error.status(), &error.to_string()).into(),
    };
    let otlp = Otlp {
        encoding,
        body: &body,
        promoted: &door.settings.otlp_promoted,
        scope_labels: door.settings.otlp_scope_labels,
        now: call.started,
        request_id: call.request_id,
        deadline: call.deadline,
    };
    match door.gateway.otlp(&otlp).await {
        Ok(done) => answer(encoding, done),
        Err(error @ OtlpError::Read(_)) => status(encoding, 400, &error.to_string()).into(),
        Err(error @ OtlpError::TooLarge) => status(encoding, 413, &error.to_string()).into(),
    }
}

/// Answers a request whose body is longer than its front takes.
pub(super) fn too_large(request: &Request<'_>, sentence: &str) -> Response {
    status(encoding(request).unwrap_or(OtlpEncoding::Json), 413, sentence)
}

fn encoding(request: &Request<'_>) -> Option<OtlpEncoding> {
    let media = MediaType::parse(request.header("content-type").unwrap_or_default());
    match media.essence.as_str() {
        PROTOBUF | "application/protobuf" => Some(OtlpEncoding::Protobuf),
        "application/json" => Some(OtlpEncoding::Json),
        _ => None,
    }
}

fn answer(encoding: OtlpEncoding, OtlpDone { result, summary }: OtlpDone) -> Answered {
    let response = match result {
        OtlpResult::Stored { rejected_points, first } => success(encoding, rejected_points, first.as_deref()),
        OtlpResult::Failed { failure, retry_after } => status(encoding, 503, &failure).asking_to_wait(retry_after),
    };
    Answered { response, route: None, summary }
}

/// Answers with an `ExportMetricsServiceResponse`, which is empty if no data point was rejected.
fn success(encoding: OtlpEncoding, rejected: u64, first: Option<&str>) -> Response {
    let message = first.map(|first| match rejected {
        0 => first.to_owned(),
        _ => format!("{rejected} data points are rejected, the rest is stored; {first}"),
    });
    let message = message.as_deref().map(cut);
    match (encoding, message) {
        (OtlpEncoding::Json, None) => Response::json(200, "{}".to_owned()),
        (OtlpEncoding::Json, Some(message)) => {
            // A number of 64 bits is a text.
            let partial = json!({"rejectedDataPoints": rejected.to_string(), "errorMessage": message});
            Response::json(200, json!({"partialSuccess": partial}).to_string())
        }
        (OtlpEncoding::Protobuf, None) => Response::empty(200).with("content-type", PROTOBUF),
        (OtlpEncoding::Protobuf, Some(message)) => {
            let mut partial = Vec::new();
            number(1, rejected, &mut partial);
            bytes(2, message.as_bytes(), &mut partial);
            let mut body = Vec::new();
            bytes(1, &partial, &mut body);
            protobuf(200, body)
        }
    }
}

/// Answers with a `google.rpc.Status`.
fn status(encoding: OtlpEncoding, status: u16, sentence: &str) -> Response {
    let sentence = cut(sentence);
    let code = if status == 503 { UNAVAILABLE } else { INVALID_ARGUMENT };
    match encoding {
        OtlpEncoding::Json => Response::json(status, json!({"code": code, "message": sentence}).to_string()),
        OtlpEncoding::Protobuf => {
            let mut body = Vec::new();
            number(1, code.into(), &mut body);
            bytes(2, sentence.as_bytes(), &mut body);
            protobuf(status, body)
        }
    }
}

/// Returns the message of a `google.rpc.Status` in protobuf, for the log.
pub(super) fn message_of_status(body: &[u8]) -> Option<&str> {
    let mut status = Message::new(body);
    while let Some(field) = status.field().ok()? {
        if field.number == 2 {
            return field.text().ok();
        }
    }
    None
}

fn protobuf(status: u16, body: Vec<u8>) -> Response {
    Response { body: Bytes::from(body), ..Response::empty(status).with("content-type", PROTOBUF) }
}

fn cut(sentence: &str) -> &str {
    let end = sentence.char_indices().nth(MAX_DETAIL_CHARS).map_or(sentence.len(), |(end, _)| end);
    &sentence[..end]
}

/// Writes a field with a number, unless it is 0.
fn number(field: u8, number: u64, out: &mut Vec<u8>) {
    if number > 0 {
        out.push(field << 3);
        varint(number, out);
    }
}

fn bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(response: &Response) -> &str {
        std::str::from_utf8(&response.body).unwrap()
    }

    #[test]
    fn answers_in_the_encoding_of_the_request() {
        let ok = success(OtlpEncoding::Protobuf, 0, None);
        assert_eq!((ok.status, ok.header("content-type"), ok.body.len()), (200, Some(PROTOBUF), 0));
        let ok = success(OtlpEncoding::Json, 0, None);
        assert_eq!((ok.status, ok.header("content-type"), body(&ok)), (200, Some("application/json"), "{}"));
        let some = success(OtlpEncoding::Json, 2, Some("x"));
        let expected = r#"{"partialSuccess":{"errorMessage":"2 data points are rejected, the rest is stored; x","rejectedDataPoints":"2"}}"#;
        assert_eq!(body(&some), expected);
        let some = success(OtlpEncoding::Protobuf, 300, Some("x"));
        assert_eq!(&some.body[..7], b"\x0a\x38\x08\xac\x02\x12\x33");
        let warning = success(OtlpEncoding::Protobuf, 0, Some("x"));
        assert_eq!(&warning.body[..], b"\x0a\x03\x12\x01x");
        assert_eq!(body(&status(OtlpEncoding::Json, 400, "x")), r#"{"code":3,"message":"x"}"#);
        assert_eq!(&status(OtlpEncoding::Protobuf, 503, "x").body[..], b"\x08\x0e\x12\x01x");
        assert_eq!(status(OtlpEncoding::Protobuf, 503, "a sentence").sentence(), Some("a sentence"));
        let long = status(OtlpEncoding::Protobuf, 400, &"é".repeat(5_000));
        assert_eq!(long.body.len(), 2 + 1 + 2 + 2 * MAX_DETAIL_CHARS);
    }
}
