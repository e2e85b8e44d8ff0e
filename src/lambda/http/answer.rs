//! Writes an answer of the door as the JSON that its front takes.
//!
//! A REST API answers 502 if the JSON has an unknown key. An HTTP API answers 200 and shows the JSON if `statusCode` is
//! missing.

use super::Front;
use crate::http::Response;
use crate::limits::{MAX_LOAD_BALANCER_ANSWER_BYTES, MAX_SYNC_BYTES};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The answer is longer as JSON than its front takes. The door gives another one instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerTooLarge {
    pub max_bytes: usize,
}

impl fmt::Display for AnswerTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer takes more than {} bytes as JSON", self.max_bytes)
    }
}

impl std::error::Error for AnswerTooLarge {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'a str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<&'a str, Vec<&'a str>>>,
    body: Cow<'a, str>,
    is_base64_encoded: bool,
}

impl Front {
    /// Returns `response` as JSON of the shape that this front takes.
    pub fn answer(self, response: &Response) -> Result<String, AnswerTooLarge> {
        let max_bytes = self.max_answer_bytes();
        let too_large = AnswerTooLarge { max_bytes };
        // Before anything is built: escapes and base64 make it only longer.
        if response.body.len() > max_bytes {
            return Err(too_large);
        }
        let (body, is_base64_encoded) = body(response);
        let (headers, multi_value_headers) = match self {
            Self::LoadBalancer { multi_value_headers: true } => (None, Some(listed(response))),
            _ => (Some(joined(response)), None),
        };
        let status_description = match self {
            Self::LoadBalancer { .. } | Self::VpcLattice => Some(status_description(response.status)),
            _ => None,
        };
        let status_code = response.status;
        let answer = Answer { status_code, status_description, headers, multi_value_headers, body, is_base64_encoded };
        // It holds strings and numbers, which always serialise.
        let json = serde_json::to_string(&answer).unwrap_or_default();
        if json.len() > max_bytes { Err(too_large) } else { Ok(json) }
    }

    /// Returns how long an answer may be as JSON.
    pub fn max_answer_bytes(self) -> usize {
        match self {
            Self::LoadBalancer { .. } => MAX_LOAD_BALANCER_ANSWER_BYTES,
            _ => MAX_SYNC_BYTES,
        }
    }
}

/// Returns the body, and whether it is base64. Only uncompressed text in UTF-8 is not. In other bodies control characters
/// would take six bytes each in JSON.
fn body(response: &Response) -> (Cow<'_, str>, bool) {
    let is_text = response
        .header("content-type")
        .is_none_or(|media| media.starts_with("text/") || media.starts_with("application/json"));
    let is_plain = is_text && response.header("content-encoding").is_none();
    match std::str::from_utf8(&response.body) {
        Ok(text) if is_plain || text.is_empty() => (Cow::Borrowed(text), false),
        _ => (Cow::Owned(STANDARD.encode(&response.body)), true),
    }
}

/// Returns one value for each name. None of the door's headers loses its meaning by a comma.
fn joined(response: &Response) -> BTreeMap<&str, String> {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &response.headers {
        match joined.get_mut(name) {
            Some(values) => *values = format!("{values}, {value}"),
            None => _ = joined.insert(name, value.clone()),
        }
    }
    joined
}

fn listed(response: &Response) -> BTreeMap<&str, Vec<&str>> {
    let mut listed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &response.headers {
        listed.entry(name).or_default().push(value);
    }
    listed
}

/// Returns the status with its phrase, such as `202 Accepted`.
fn status_description(status: u16) -> String {
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!("{status} {}", phrase.unwrap_or("Unknown"))
}
