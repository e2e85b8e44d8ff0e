//! Writes answers of the function, and errors of the service, as Lambda does.

use super::request::ServiceError;
use crate::lambda::report::FunctionError;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");

/// Returns the function's answer. A function error has status 200, too.
pub(super) fn answer(answer: &Result<String, FunctionError>) -> Response<Bytes> {
    let body = match answer {
        Ok(body) => body.clone(),
        Err(error) => serde_json::to_string(error).unwrap_or_default(),
    };
    let mut response = json_response(200, body);
    response.headers_mut().insert(EXECUTED_VERSION, HeaderValue::from_static("$LATEST"));
    if answer.is_err() {
        response.headers_mut().insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    }
    response
}

pub(super) fn service_error(error: &ServiceError) -> Response<Bytes> {
    let body = json!({"Type": "User", "message": error.message, "Message": error.message});
    let mut response = json_response(error.status, body.to_string());
    response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.error_type));
    response
}

pub(super) fn empty(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

pub(super) fn with_request_id(mut response: Response<Bytes>, request_id: &str) -> Response<Bytes> {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn json_response(status: u16, body: String) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = body.into();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
