//! Parses an HTTP request into a call of the function, or into the error that Lambda would answer.

use super::{MAX_ASYNC_BYTES, MAX_SYNC_BYTES};
use crate::listener::Body;
use bytes::Bytes;
use http::{Method, Request};
use serde::de::IgnoredAny;

const TYPE_HEADER: &str = "x-amz-invocation-type";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvocationType {
    /// The caller waits for the answer.
    RequestResponse,
    /// The endpoint answers at once.
    Event,
    /// The function does not run.
    DryRun,
}

#[derive(PartialEq, Eq, Debug)]
pub(super) struct Call {
    pub(super) invocation_type: InvocationType,
    pub(super) payload: Bytes,
}

/// The endpoint's answer to a request that does not reach the function.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct ServiceError {
    pub(super) status: u16,
    pub(super) error_type: &'static str,
    pub(super) message: String,
}

impl InvocationType {
    /// Returns the value of the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestResponse => "RequestResponse",
            Self::Event => "Event",
            Self::DryRun => "DryRun",
        }
    }
}

impl ServiceError {
    fn new(status: u16, error_type: &'static str, message: impl Into<String>) -> Self {
        Self { status, error_type, message: message.into() }
    }

    pub(super) fn too_many_requests() -> Self {
        Self::new(429, "TooManyRequestsException", "Rate Exceeded.")
    }
}

/// Parses `request` in the order of Lambda's own checks: path, type, size, JSON.
pub(super) fn parse(request: Request<Body>) -> Result<Call, ServiceError> {
    let path = request.uri().path();
    if request.method() != Method::POST || !is_invocation(path) {
        let message = format!(
            "no such operation: {} {path}; expected POST /2015-03-31/functions/<any name>/invocations",
            request.method()
        );
        return Err(ServiceError::new(404, "ResourceNotFoundException", message));
    }
    let invocation_type = match request.headers().get(TYPE_HEADER).map(http::HeaderValue::as_bytes) {
        None | Some(b"RequestResponse") => InvocationType::RequestResponse,
        Some(b"Event") => InvocationType::Event,
        Some(b"DryRun") => InvocationType::DryRun,
        Some(other) => {
            let message = format!(
                "{TYPE_HEADER} is {:?}, expected RequestResponse, Event or DryRun",
                String::from_utf8_lossy(other)
            );
            return Err(ServiceError::new(400, "InvalidParameterValueException", message));
        }
    };
    let too_large = |message: String| Err(ServiceError::new(413, "RequestTooLargeException", message));
    let payload = match request.into_body() {
        Body::TooLarge => {
            return too_large(format!(
                "Request must be smaller than {MAX_SYNC_BYTES} bytes for the InvokeFunction operation"
            ));
        }
        Body::Whole(payload) if invocation_type == InvocationType::Event && payload.len() > MAX_ASYNC_BYTES => {
            return too_large(format!(
                "{} byte payload is too large for the Event invocation type (limit {MAX_ASYNC_BYTES} bytes)",
                payload.len()
            ));
        }
        // Lambda takes an empty payload for an empty object.
        Body::Whole(payload) if payload.is_empty() => Bytes::from_static(b"{}"),
        Body::Whole(payload) => payload,
    };
    // Checks the syntax only: serde_json does not recurse into values that it ignores.
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&payload) {
        let message = format!(
            "Could not parse request body into json: {error} (with version 2 of the AWS CLI: \
             --cli-binary-format raw-in-base64-out)"
        );
        return Err(ServiceError::new(400, "InvalidRequestContentException", message));
    }
    Ok(Call { invocation_type, payload })
}

fn is_invocation(path: &str) -> bool {
    let name = path.strip_prefix("/2015-03-31/functions/").and_then(|rest| rest.strip_suffix("/invocations"));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/2015-03-31/functions/ingest/invocations";

    fn request(path: &str, invocation_type: Option<&str>, payload: &[u8]) -> Request<Body> {
        let mut request = Request::post(path);
        if let Some(invocation_type) = invocation_type {
            request = request.header(TYPE_HEADER, invocation_type);
        }
        request.body(Body::Whole(Bytes::copy_from_slice(payload))).unwrap()
    }

    #[test]
    fn reads_the_type_from_its_header_and_an_empty_payload_as_an_empty_object() {
        let table = [
            (None, InvocationType::RequestResponse),
            (Some("RequestResponse"), InvocationType::RequestResponse),
            (Some("Event"), InvocationType::Event),
            (Some("DryRun"), InvocationType::DryRun),
        ];
        for (header, invocation_type) in table {
            let call = parse(request(PATH, header, b"")).unwrap();
            assert_eq!(call, Call { invocation_type, payload: Bytes::from_static(b"{}") });
        }
    }

    #[test]
    fn rejects_with_the_status_and_error_type_of_lambda() {
        let mut get = request(PATH, None, b"{}");
        *get.method_mut() = Method::GET;
        let mut too_large = request(PATH, None, b"");
        *too_large.body_mut() = Body::TooLarge;
        let event_of = |bytes: usize| request(PATH, Some("Event"), format!("\"{}\"", "x".repeat(bytes - 2)).as_bytes());
        let table = [
            (request("/", None, b"{}"), 404, "ResourceNotFoundException"),
            (request("/2015-03-31/functions//invocations", None, b"{}"), 404, "ResourceNotFoundException"),
            (request("/2015-03-31/functions/a/b/invocations", None, b"{}"), 404, "ResourceNotFoundException"),
            (get, 404, "ResourceNotFoundException"),
            (request(PATH, Some("Later"), b"{}"), 400, "InvalidParameterValueException"),
            (request(PATH, None, b"{"), 400, "InvalidRequestContentException"),
            (request(PATH, None, b"temperature=14"), 400, "InvalidRequestContentException"),
            (too_large, 413, "RequestTooLargeException"),
            (event_of(MAX_ASYNC_BYTES + 1), 413, "RequestTooLargeException"),
        ];
        for (request, status, error_type) in table {
            let error = parse(request).unwrap_err();
            assert_eq!((error.status, error.error_type), (status, error_type), "{}", error.message);
        }
        assert!(parse(event_of(MAX_ASYNC_BYTES)).is_ok());
    }

    #[test]
    fn accepts_json_of_ten_thousand_levels() {
        let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
        assert!(parse(request(PATH, None, &deep)).is_ok());
    }

    #[test]
    fn accepts_an_arn_and_a_qualifier_as_the_name_of_the_function() {
        let arn =
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Aingest/invocations?Qualifier=1";
        assert!(parse(request(arn, None, b"{}")).is_ok());
    }
}
