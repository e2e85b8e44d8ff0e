//! Errors of settings: which one is wrong, and what is allowed.

use super::{
    ENV_AWS_DEFAULT_REGION, ENV_AWS_PROMETHEUS_ENDPOINT, ENV_AWS_REGION, ENV_HTTP_AUTH_SECRET, ENV_REMOTE_WRITE_AUTH,
    parse,
};
use crate::limits::{MAX_LABEL_VALUE_BYTES, MAX_TYPED_BUCKETS};
use crate::model::NameError;
use std::fmt;

/// Every setting that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsErrors(pub Vec<SettingsError>);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError {
    pub variable: &'static str,
    /// `None` if the variable is unset, or secret.
    pub value: Option<String>,
    pub problem: Problem,
}

/// Why a value is wrong. Its text says what is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    NotOneOf(&'static [&'static str]),
    NoUrl,
    NotAnHttpUrl(Option<url::ParseError>),
    UserInUrl,
    /// A URL on an AMP host that takes no writes, or no queries; the text has the right URL.
    WorkspaceUrl(String),
    NotAQueueUrl,
    NotARegion,
    NoRegion,
    NotADuration,
    /// A part of the labels without `=`.
    NoEqualsSign(String),
    InvalidLabelName(String, NameError),
    /// Unlike an event's dimension, it is not translated: it is more likely a mistake.
    NotAClassicLabelName(String),
    LabelNameTwice(String),
    /// The label of this name has no value.
    NoLabelValue(String),
    /// The label of this name has too long a value.
    LabelValueTooLong(String),
    NotALogFilter,
    NotText,
    /// Not the ARN of a secret of Secrets Manager.
    NotASecret,
    /// A setting of `pushgw serve`, in the function: its credentials are in a secret.
    OnlyForServe,
    /// `pushgw serve` gets no requests from AWS.
    NeedsAws,
    NotAPathPrefix,
    NotADeadline,
    NotATableName,
    NoTableRegion,
    /// Not a whole number from 1 to this one.
    NotANumberUpTo(u32),
    NotATimeToLive,
    NotASummaryWindow,
    /// The name of an attribute that can be no label.
    NotAnAttribute(String),
    /// Part of the credentials, with characters that no header can carry.
    UnusableCredentials,
    /// The extension has nowhere to send to.
    NoDestination,
    TwoDestinations,
    NoQueueRegion,
    /// Not a time from the first to the second of these.
    NotATimeWithin(&'static str, &'static str),
    NotAPort,
    NotBuckets,
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for SettingsErrors {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => {
                // The value must not look like a line of its own.
                let value = parse::without_password(value).replace(char::is_control, "\u{FFFD}");
                write!(f, "{}={value}: {}", self.variable, self.problem)
            }
            None => write!(f, "{}: {}", self.variable, self.problem),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOneOf(values) => match values {
                [first @ .., last] => write!(f, "expected {} or {last}", first.join(", ")),
                [] => f.write_str("nothing is allowed"),
            },
            Self::NoUrl => write!(
                f,
                "it is not set, nor is {ENV_AWS_PROMETHEUS_ENDPOINT}; expected the URL to write to, such as \
                 https://aps-workspaces.<region>.amazonaws.com/workspaces/<id>/api/v1/remote_write",
            ),
            Self::NotAnHttpUrl(Some(error)) => write!(f, "{error}; expected an http or https URL"),
            Self::NotAnHttpUrl(None) => f.write_str("expected an http or https URL"),
            Self::UserInUrl => f.write_str("a user or password in the URL is not supported"),
            Self::WorkspaceUrl(problem) => f.write_str(problem),
            Self::NotAQueueUrl => f.write_str(
                "expected the URL of an SQS queue, such as https://sqs.<region>.amazonaws.com/<account>/<name>",
            ),
            Self::NotARegion => f.write_str("expected a region such as eu-west-1"),
            Self::NoRegion => write!(
                f,
                "no region to sign for: neither this variable nor {ENV_AWS_REGION} nor {ENV_AWS_DEFAULT_REGION} is set, and the host of the URL has \
                 no region; expected a region such as eu-west-1, or {ENV_REMOTE_WRITE_AUTH}=none",
            ),
            Self::NotADuration => f.write_str("expected a whole number and one unit of ms, s, m, h, d, such as 90s"),
            Self::NoEqualsSign(pair) => {
                write!(f, "\"{pair}\" has no \"=\"; expected name=value,name=value with no comma in a value")
            }
            Self::InvalidLabelName(name, error) => write!(f, "\"{name}\": {error}"),
            Self::NotAClassicLabelName(name) => {
                write!(f, "\"{name}\" is not a label name; expected [a-zA-Z_][a-zA-Z0-9_]*")
            }
            Self::LabelNameTwice(name) => write!(f, "the name {name} is given twice"),
            Self::NoLabelValue(name) => write!(f, "\"{name}\" has no value"),
            Self::LabelValueTooLong(name) => {
                write!(f, "the value of {name} is longer than {MAX_LABEL_VALUE_BYTES} bytes")
            }
            Self::NotASecret => f.write_str(
                "expected the ARN of a secret, such as arn:aws:secretsmanager:<region>:<account>:secret:<name>",
            ),
            Self::OnlyForServe => write!(
                f,
                "it is for `pushgw serve` only; the function takes the credentials of the door from the secret in {ENV_HTTP_AUTH_SECRET}",
            ),
            Self::NeedsAws => f.write_str("`pushgw serve` gets no requests from AWS; expected secret or none"),
            Self::NotAPathPrefix => {
                f.write_str("expected a path such as /push, without blanks, percent signs, \"?\" and \"#\"")
            }
            Self::NotADeadline => f.write_str("expected a time from 1s to 15m"),
            Self::NotATableName => f.write_str("expected the name of a table: 3 to 255 of A-Z a-z 0-9 _ - ."),
            Self::NoTableRegion => write!(
                f,
                "no region of the table: neither this variable nor {ENV_AWS_DEFAULT_REGION} is set; expected a region such as eu-west-1"
            ),
            Self::NotANumberUpTo(most) => write!(f, "expected a whole number from 1 to {most}"),
            Self::NotATimeToLive => f.write_str(
                "expected a whole number and one unit of ms, s, m, h, d, such as 90s, at most 36500d; or 0 for never",
            ),
            Self::NotASummaryWindow => f.write_str("expected a time from 1s to 1d, such as 10m"),
            Self::NotAnAttribute(name) => {
                write!(f, "\"{name}\" cannot be a label; expected names of attributes with commas between them")
            }
            Self::NotText => f.write_str("expected UTF-8 text"),
            Self::UnusableCredentials => {
                f.write_str("it has characters that no header can carry; expected printable ASCII without blanks")
            }
            Self::NoDestination => f.write_str(
                "neither this variable nor GATEWAY is set; expected the URL of the gateway's queue, such as \
                 https://sqs.<region>.amazonaws.com/<account>/<name>, or in GATEWAY the URL of a Pushgateway",
            ),
            Self::TwoDestinations => f.write_str("PUSH_QUEUE_URL is set, too; expected one of them"),
            Self::NoQueueRegion => write!(
                f,
                "no region of the queue: neither this variable nor {ENV_AWS_DEFAULT_REGION} is set, and the host of the URL has none; expected a region \
                 such as eu-west-1"
            ),
            Self::NotATimeWithin(least, most) => write!(f, "expected a time from {least} to {most}"),
            Self::NotAPort => f.write_str("expected on, off, or a port from 1 to 65535"),
            Self::NotBuckets => {
                write!(f, "expected upper bounds that ascend, such as 0.01,0.1,1, at most {MAX_TYPED_BUCKETS}")
            }
            Self::NotALogFilter => {
                f.write_str("expected a level (off, error, warn, info, debug, trace) or target=level,…")
            }
        }
    }
}
