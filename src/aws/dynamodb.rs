//! The calls of a DynamoDB table, without retries, and the values of attributes.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html>

use super::json_service::{CallError, JsonService, Protocol, ServiceError, endpoint_of_environment, whole_body};
use super::{CredentialsSource, Signed, Signer, Transport};
use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::time::Duration;

/// The service's name in signatures.
const SERVICE: &str = "dynamodb";

const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_DYNAMODB";

/// A page holds 1 MB, which is 1.4 MB as base64. The names of the attributes of very small items make three times as much of it.
const MAX_ANSWER_BYTES: usize = 4 << 20;

const PROTOCOL: Protocol = Protocol {
    target: "DynamoDB_20120810",
    content_type: "application/x-amz-json-1.0",
    read_body: whole_body::<MAX_ANSWER_BYTES>,
};

/// A client for one table. Nothing is connected before the first call.
#[derive(Debug)]
pub struct Table<T> {
    name: String,
    service: JsonService<T>,
}

#[derive(Clone, Copy, Debug)]
pub enum Operation {
    PutItem,
    GetItem,
    Query,
    DeleteItem,
}

/// The meaning of an error of the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    ConditionFailed,
    Throttled,
    Forbidden,
    NoTable,
    ItemTooLarge,
    Invalid,
    /// The call may have taken effect.
    Internal,
}

/// The value of an attribute, as in `{"S": "text"}`.
#[derive(Clone, Copy, Serialize, Debug)]
pub enum Value<'a> {
    S(&'a str),
    #[serde(serialize_with = "as_text")]
    N(i128),
    #[serde(serialize_with = "as_base64")]
    B(&'a [u8]),
}

/// A string in an answer.
#[derive(Deserialize, Debug)]
pub struct Text<'a> {
    #[serde(rename = "S", borrow)]
    pub value: Cow<'a, str>,
}

/// A whole number in an answer.
#[derive(Deserialize, Debug)]
pub struct Number {
    #[serde(rename = "N", deserialize_with = "whole_number")]
    pub value: i128,
}

/// Bytes in an answer.
#[derive(Deserialize, Debug)]
pub struct Binary {
    #[serde(rename = "B", deserialize_with = "from_base64")]
    pub value: Bytes,
}

impl<T: Transport> Table<T> {
    /// The table in `region`, or at the endpoint that the environment sets.
    pub fn new(name: String, region: String, transport: T, credentials: CredentialsSource) -> Self {
        let endpoint = endpoint_of_environment(ENDPOINT_VARIABLE).unwrap_or_else(|| endpoint(&region));
        Self::at(&endpoint, name, region, transport, credentials)
    }

    /// If the URL is not valid, each call returns an error.
    pub fn at(endpoint: &str, name: String, region: String, transport: T, credentials: CredentialsSource) -> Self {
        let transport = Signed::new(transport, Some(Signer { service: SERVICE, region, credentials }));
        let service = JsonService { protocol: PROTOCOL, endpoint: endpoint.parse().unwrap_or_default(), transport };
        Self { name, service }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends one request and returns the JSON of its answer.
    pub async fn call(&self, operation: Operation, request: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let called = self.service.call(operation.name(), request, timeout).await;
        if let Err(CallError::Service(error)) = &called
            && has_stale_credentials(error)
        {
            self.service.transport.forget_credentials().await;
        }
        called
    }

    /// Opens a connection.
    pub async fn warm(&self, timeout: Duration) {
        self.service.transport.warm(self.service.endpoint.clone(), timeout).await;
    }
}

fn endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{SERVICE}.{region}.{domain}/")
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::PutItem => "PutItem",
            Self::GetItem => "GetItem",
            Self::Query => "Query",
            Self::DeleteItem => "DeleteItem",
        }
    }
}

impl ErrorKind {
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
    pub fn of(error: &ServiceError) -> Self {
        match error.code.as_str() {
            "ConditionalCheckFailedException" => Self::ConditionFailed,
            "ThrottlingException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException" => Self::Throttled,
            "ResourceNotFoundException" => Self::NoTable,
            "AccessDeniedException"
            | "AccessDenied"
            | "IncompleteSignatureException"
            | "KMSAccessDeniedException"
            | "MissingAuthenticationTokenException"
            | "NotAuthorizedException"
            | "OptInRequired" => Self::Forbidden,
            _ if has_stale_credentials(error) => Self::Forbidden,
            "ValidationException" if error.message.contains("Item size") => Self::ItemTooLarge,
            _ => match error.status {
                429 => Self::Throttled,
                401 | 403 => Self::Forbidden,
                400..=499 => Self::Invalid,
                _ => Self::Internal,
            },
        }
    }
}

/// Returns whether fresh credentials may help.
fn has_stale_credentials(error: &ServiceError) -> bool {
    let codes = ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"];
    codes.contains(&error.code.as_str())
}

fn as_text<S: Serializer>(number: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn as_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(|_| de::Error::custom("expected a whole number"))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = Bytes;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("base64")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
            STANDARD.decode(text).map(Bytes::from).map_err(|_| de::Error::custom("expected base64"))
        }
    }

    deserializer.deserialize_str(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, code: &str, message: &str) -> ServiceError {
        ServiceError { status, code: code.to_owned(), message: message.to_owned(), body: Bytes::new() }
    }

    #[test]
    fn knows_what_an_error_of_the_service_means() {
        let too_large = "Item size has exceeded the maximum allowed size";
        let table = [
            (error(400, "ConditionalCheckFailedException", ""), ErrorKind::ConditionFailed),
            (error(400, "ProvisionedThroughputExceededException", ""), ErrorKind::Throttled),
            (error(400, "ThrottlingException", ""), ErrorKind::Throttled),
            (error(429, "", ""), ErrorKind::Throttled),
            (error(400, "ResourceNotFoundException", ""), ErrorKind::NoTable),
            (error(400, "AccessDeniedException", ""), ErrorKind::Forbidden),
            (error(400, "ExpiredTokenException", ""), ErrorKind::Forbidden),
            (error(403, "", ""), ErrorKind::Forbidden),
            (error(400, "ValidationException", too_large), ErrorKind::ItemTooLarge),
            (error(400, "ValidationException", "One or more"), ErrorKind::Invalid),
            (error(413, "", ""), ErrorKind::Invalid),
            (error(500, "InternalServerError", ""), ErrorKind::Internal),
            (error(503, "", ""), ErrorKind::Internal),
            (error(302, "", ""), ErrorKind::Internal),
        ];
        for (error, expected) in table {
            assert_eq!(ErrorKind::of(&error), expected, "{error}");
        }
    }

    #[test]
    fn asks_the_service_in_its_region() {
        assert_eq!(endpoint("eu-west-1"), "https://dynamodb.eu-west-1.amazonaws.com/");
        assert_eq!(endpoint("cn-north-1"), "https://dynamodb.cn-north-1.amazonaws.com.cn/");
    }

    #[test]
    fn writes_and_reads_values_of_attributes() {
        let written = [Value::S("a\"é"), Value::N(i128::from(u64::MAX)), Value::N(-1), Value::B(&[0, 0xFB, 0xFF])];
        let json = r#"[{"S":"a\"é"},{"N":"18446744073709551615"},{"N":"-1"},{"B":"APv/"}]"#;
        assert_eq!(serde_json::to_string(&written).unwrap(), json);
        assert_eq!(serde_json::from_str::<Text>(r#"{"S":"a\"é"}"#).unwrap().value, "a\"é");
        assert_eq!(serde_json::from_str::<Number>(r#"{"N":"-17"}"#).unwrap().value, -17);
        assert_eq!(serde_json::from_str::<Binary>(r#"{"B":"APv\/"}"#).unwrap().value, [0, 0xFB, 0xFF].as_slice());
        assert!(serde_json::from_str::<Number>(r#"{"N":"1.5"}"#).is_err());
        assert!(serde_json::from_str::<Binary>(r#"{"B":"AP="}"#).is_err());
        assert!(serde_json::from_str::<Binary>(r#"{"S":"APv/"}"#).is_err());
    }
}
