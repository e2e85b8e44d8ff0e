//! Parses the payload of an invocation into a request.
//!
//! The path must be decoded exactly once. Two fronts decode it before Lambda sees it, and also leave the stage of API
//! Gateway in it. The others do neither.
//!
//! | front | path | query | headers |
//! |---|---|---|---|
//! | function URL | `rawPath`, encoded | encoded | repeated ones joined by a comma |
//! | HTTP API, payload 2.0 | `rawPath`, **decoded, with the stage** | encoded | repeated ones joined by a comma |
//! | HTTP API, payload 1.0 | `path`, **decoded, with the stage** | decoded | `multiValueHeaders` |
//! | REST API | `path`, encoded | decoded | `multiValueHeaders`, names as sent |
//! | load balancer | `path`, encoded | encoded | either `headers` or `multiValueHeaders` |

use super::Front;
use super::json::{Bytes, NamesAndValues, Pairs, Text};
use crate::http::{PathError, Request, check_path, decode_path};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use url::form_urlencoded::Serializer;

/// The host names of API Gateway; a domain of the operator's own has its stage in a mapping and not in the path.
const API_HOST: &str = ".execute-api.";
const FUNCTION_URL_HOST: &str = ".lambda-url.";
/// A longer authoriser counts as none. API Gateway takes 10 KB of headers, so its claims of a token are shorter.
const MAX_AUTHORIZER_BYTES: usize = 64 << 10;
const DEFAULT_STAGE: &str = "$default";

/// Why an event that is certainly an HTTP request cannot be read. The client gets status 400.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventError {
    /// Takes the answer.
    pub front: Front,
    pub problem: EventProblem,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventProblem {
    /// There is nothing under this key.
    Missing(&'static str),
    /// The value of this key is not what it should be.
    NotA { key: &'static str, expected: &'static str },
    /// The body should be base64, and is not.
    NotBase64,
    /// The front is VPC Lattice.
    VpcLattice,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            EventProblem::Missing(key) => write!(f, "the event of this HTTP request has no {key}"),
            EventProblem::NotA { key, expected } => {
                write!(f, "{key} in the event of this HTTP request is not {expected}")
            }
            EventProblem::NotBase64 => {
                f.write_str("body in the event of this HTTP request is not base64, although isBase64Encoded says so")
            }
            EventProblem::VpcLattice => f.write_str(
                "VPC Lattice is not supported; use a function URL, API Gateway or an Application Load Balancer",
            ),
        }
    }
}

impl std::error::Error for EventError {}

/// Returns the HTTP request that `payload` is, or why it cannot be read; `None` if it is no HTTP request. If a payload
/// is not an object, only its first bytes are read. In an event only the first keys are read.
pub fn recognise(payload: &[u8]) -> Option<Result<(Front, Request<'_>), EventError>> {
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let text = std::str::from_utf8(payload).ok()?;
    let mut json = serde_json::Deserializer::from_str(text);
    let parts = json.deserialize_map(PartsVisitor).ok()?;
    json.end().ok()?;
    let context = parts.context()?;
    let front = parts.front(&context)?;
    let request = parts.request(front, &context);
    Some(request.map(|request| (front, request)).map_err(|problem| EventError { front, problem }))
}

/// The values of an event, unread.
#[derive(Default)]
struct Parts<'a> {
    version: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    raw_path: Option<&'a RawValue>,
    path: Option<&'a RawValue>,
    raw_query: Option<&'a RawValue>,
    query: Option<&'a RawValue>,
    multi_value_query: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    multi_value_headers: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    is_base64: Option<&'a RawValue>,
    context: Option<&'a RawValue>,
    is_lattice: bool,
}

/// The parts of `requestContext` that are read.
#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Context<'a> {
    #[serde(borrow)]
    stage: Text<'a>,
    #[serde(borrow)]
    domain_name: Text<'a>,
    /// The Amazon resource name of a network of VPC Lattice.
    #[serde(borrow)]
    service_network_arn: Text<'a>,
    #[serde(borrow)]
    http: Option<Http<'a>>,
    #[serde(borrow)]
    elb: Option<LoadBalancer<'a>>,
    #[serde(borrow)]
    authorizer: Option<&'a RawValue>,
    #[serde(borrow)]
    identity: Option<Identity<'a>>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Http<'a> {
    #[serde(borrow)]
    method: Text<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LoadBalancer<'a> {
    #[serde(borrow)]
    target_group_arn: Text<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(borrow)]
    user_arn: Text<'a>,
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event of an HTTP request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = Parts::default();
        while let Some(Text(key)) = map.next_key()? {
            let part = match key.as_ref() {
                "version" => &mut parts.version,
                "httpMethod" | "method" => &mut parts.method,
                "rawPath" => &mut parts.raw_path,
                "path" => &mut parts.path,
                "rawQueryString" => &mut parts.raw_query,
                "queryStringParameters" => &mut parts.query,
                "multiValueQueryStringParameters" => &mut parts.multi_value_query,
                "headers" => &mut parts.headers,
                "multiValueHeaders" => &mut parts.multi_value_headers,
                "body" => &mut parts.body,
                "isBase64Encoded" => &mut parts.is_base64,
                "requestContext" => &mut parts.context,
                // The first version of VPC Lattice, which has no context.
                "raw_path" => {
                    parts.is_lattice = true;
                    &mut parts.raw_path
                }
                // An event of a producer, records, a wrapper of a message, and an event for an authoriser.
                "metrics" | "dimensions" | "timestamp" | "Records" | "Type" | "detail-type" | "type" => {
                    return Err(A::Error::custom("no HTTP request"));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *part = Some(map.next_value::<&RawValue>()?).filter(|value| value.get() != "null");
        }
        Ok(parts)
    }
}

impl<'a> Parts<'a> {
    /// Returns `None` if there is no object, or not that of a front.
    fn context(&self) -> Option<Context<'a>> {
        match self.context {
            Some(context) if context.get().starts_with('{') => serde_json::from_str(context.get()).ok(),
            None if self.is_lattice && self.method.is_some() => Some(Context::default()),
            _ => None,
        }
    }

    fn front(&self, context: &Context<'_>) -> Option<Front> {
        let version = self.version.map_or("", RawValue::get);
        let domain = &context.domain_name.0;
        let has_http = context.http.as_ref().is_some_and(|http| !http.method.0.is_empty());
        let has_elb = context.elb.as_ref().is_some_and(|elb| !elb.target_group_arn.0.is_empty());
        if self.is_lattice || !context.service_network_arn.0.is_empty() {
            Some(Front::VpcLattice)
        } else if has_elb {
            Some(Front::LoadBalancer {
                multi_value_headers: self.headers.is_none() && self.multi_value_headers.is_some(),
            })
        } else if version == "\"2.0\"" && has_http {
            Some(if domain.contains(FUNCTION_URL_HOST) { Front::FunctionUrl } else { Front::HttpApi2 })
        } else if version == "\"1.0\"" && self.method.is_some() {
            Some(Front::HttpApi1)
        } else if version.is_empty() && self.method.is_some() && !context.stage.0.is_empty() {
            Some(Front::RestApi)
        } else {
            None
        }
    }

    fn request(&self, front: Front, context: &Context<'a>) -> Result<Request<'a>, EventProblem> {
        if front == Front::VpcLattice {
            return Err(EventProblem::VpcLattice);
        }
        let method = match &context.http {
            Some(http) if matches!(front, Front::FunctionUrl | Front::HttpApi2) => http.method.0.clone(),
            _ => {
                let method = self.method.ok_or(EventProblem::Missing("httpMethod"))?;
                part::<Text<'_>>(method, "httpMethod", "a string")?.0
            }
        };
        Ok(Request {
            method,
            path: self.path(front, context)?,
            query: self.query(front)?,
            headers: self.headers(front)?,
            body: self.body()?,
            authorised_by_aws: is_authorised(front, context),
        })
    }

    fn path(&self, front: Front, context: &Context<'_>) -> Result<Result<Cow<'a, str>, PathError>, EventProblem> {
        let (path, key) = match front {
            Front::FunctionUrl | Front::HttpApi2 => (self.raw_path, "rawPath"),
            _ => (self.path, "path"),
        };
        let Text(path) = part(path.ok_or(EventProblem::Missing(key))?, key, "a string")?;
        Ok(match front {
            Front::HttpApi2 | Front::HttpApi1 => check_path(without_stage(path, context)),
            _ => decode_path(path),
        })
    }

    fn query(&self, front: Front) -> Result<Cow<'a, str>, EventProblem> {
        if matches!(front, Front::FunctionUrl | Front::HttpApi2) {
            let query: Option<Text<'a>> =
                self.raw_query.map(|query| part(query, "rawQueryString", "a string")).transpose()?;
            return Ok(query.unwrap_or_default().0);
        }
        let single = (self.query, "queryStringParameters");
        let several = (self.multi_value_query, "multiValueQueryStringParameters");
        let pairs = pairs(several, single)?;
        if matches!(front, Front::LoadBalancer { .. }) {
            // Nothing is decoded.
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            return Ok(Cow::Owned(pairs.join("&")));
        }
        Ok(Cow::Owned(Serializer::new(String::new()).extend_pairs(pairs).finish()))
    }

    fn headers(&self, front: Front) -> Result<NamesAndValues<'a>, EventProblem> {
        let several = match front {
            Front::FunctionUrl | Front::HttpApi2 => None,
            _ => self.multi_value_headers,
        };
        let mut headers = pairs((several, "multiValueHeaders"), (self.headers, "headers"))?;
        for (name, _) in &mut headers {
            if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                name.to_mut().make_ascii_lowercase();
            }
        }
        Ok(headers)
    }

    fn body(&self) -> Result<Cow<'a, [u8]>, EventProblem> {
        let Some(body) = self.body else { return Ok(Cow::Borrowed(b"")) };
        let Bytes(body) = part(body, "body", "a string")?;
        let is_base64 = self.is_base64.map(|value| part(value, "isBase64Encoded", "a boolean")).transpose()?;
        if is_base64 == Some(true) {
            return STANDARD.decode(&body).map(Cow::Owned).map_err(|_| EventProblem::NotBase64);
        }
        Ok(body)
    }
}

/// Removes the stage as the first segment of the path, if API Gateway has put it there.
fn without_stage<'a>(path: Cow<'a, str>, context: &Context<'_>) -> Cow<'a, str> {
    let Context { stage: Text(stage), domain_name: Text(domain), .. } = context;
    if stage.is_empty() || stage == DEFAULT_STAGE || !domain.contains(API_HOST) {
        return path;
    }
    let rest = path.strip_prefix('/').and_then(|rest| rest.strip_prefix(stage.as_ref()));
    match rest {
        Some("") => Cow::Borrowed("/"),
        Some(rest) if rest.starts_with('/') => {
            let start = path.len() - rest.len();
            match path {
                Cow::Borrowed(path) => Cow::Borrowed(&path[start..]),
                Cow::Owned(mut path) => {
                    path.drain(..start);
                    Cow::Owned(path)
                }
            }
        }
        _ => path,
    }
}

/// Returns whether AWS knows who sends the request. Events without an authoriser may have an object whose values are all null.
fn is_authorised(front: Front, context: &Context<'_>) -> bool {
    let authorizer = context.authorizer.filter(|raw| raw.get().len() <= MAX_AUTHORIZER_BYTES);
    let authorizer: Value = authorizer.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let has_identity = context.identity.as_ref().is_some_and(|identity| !identity.user_arn.0.is_empty());
    match front {
        Front::FunctionUrl => authorizer.get("iam").is_some_and(says_something),
        // A Lambda authoriser need not give a context.
        Front::HttpApi2 => says_something(&authorizer) || authorizer.get("lambda").is_some_and(Value::is_object),
        Front::HttpApi1 | Front::RestApi => says_something(&authorizer) || has_identity,
        Front::LoadBalancer { .. } | Front::VpcLattice => false,
    }
}

/// Returns whether the value, or one in it, is more than null or empty.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(says_something),
        Value::Object(values) => values.values().any(says_something),
    }
}

/// Returns the pairs of `several`, or else those of `single`. Fronts fill both, or one of them.
fn pairs<'a>(
    several: (Option<&'a RawValue>, &'static str),
    single: (Option<&'a RawValue>, &'static str),
) -> Result<NamesAndValues<'a>, EventProblem> {
    for (value, key) in [several, single] {
        let Some(value) = value else { continue };
        let Pairs(pairs) = part(value, key, "an object of at most 2,000 strings")?;
        if !pairs.is_empty() {
            return Ok(pairs);
        }
    }
    Ok(Vec::new())
}

fn part<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    key: &'static str,
    expected: &'static str,
) -> Result<T, EventProblem> {
    serde_json::from_str(value.get()).map_err(|_| EventProblem::NotA { key, expected })
}
