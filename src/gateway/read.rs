//! Read: answers a read request. It queries the receiver, and makes one response of the answers.
//!
//! AMP has no remote read. A range selector in an instant query gives the raw samples:
//! <https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference-QueryMetrics.html>
//!
//! * A sample is in the response only once, even if a long range is queried in parts.
//! * If an answer cannot be understood, the request fails. A response never has only a part of the samples.

use super::ingest::signer;
use crate::aws::{Answer, BodyPolicy, HttpTransport, Signed, Transport, TransportError};
use crate::config::ReadSettings;
use crate::limits::{
    MAX_ERROR_BODY_BYTES, MAX_ERROR_TEXT_CHARS, MAX_INSTANT_RANGE_DAYS, MAX_READ_BLOCK_BYTES, MAX_READ_JSON_BYTES,
    MAX_READ_PARTS, MAX_READ_RESPONSE_BYTES,
};
use crate::model::Timestamp;
use crate::remote_write::{Answered, Backoff, describe, retry_after};
use crate::wire::read::{LabelNameEmpty, MatrixError, ReadRequest, ReadResponse, TimeRange, selector};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use url::form_urlencoded;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PRODUCT: HeaderValue = HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));

/// A query that would get less time than this is not begun.
const SHORTEST_TRY: Duration = Duration::from_millis(50);

/// The response is encoded and answered in this time.
const MARGIN: Duration = Duration::from_millis(300);

const DAY_MS: u32 = 86_400_000;

/// No receiver holds samples that are further ahead than a day.
const LONGEST_LEAD_MS: i64 = 86_400_000;

/// The longest wait for an error text, which is only shown.
const ERROR_TEXT_PATIENCE: Duration = Duration::from_millis(500);

/// Reads from one receiver; one for the life of the process.
#[derive(Debug)]
pub struct RemoteReader<T> {
    url: Uri,
    transport: T,
}

/// The call that brought a read request.
#[derive(Clone, Copy, Debug)]
pub struct ReadCall<'c> {
    pub request_id: &'c str,
    pub now: Timestamp,
    /// When the front must have the answer.
    pub deadline: Instant,
}

/// The response to a read request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadDone {
    /// The snappy block of a `prometheus.ReadResponse`.
    pub block: Bytes,
    pub series: usize,
    pub samples: usize,
    /// Native histograms that are not in it.
    pub histograms: u64,
}

/// Why a read request has no response.
#[derive(Clone, PartialEq, Debug)]
pub enum ReadError {
    Selector(LabelNameEmpty),
    /// A query's range has this many days.
    TooLong {
        days: u64,
    },
    /// The response is larger than the client's front takes, or the memory of the gateway.
    TooLarge,
    /// The receiver answered 400 or 422.
    Refused {
        status: u16,
        text: String,
    },
    /// It may work later.
    Errored {
        failure: String,
        retry_after: Option<Duration>,
    },
}

/// Returns a reader with an HTTP transport of its own.
pub fn reader_from_settings(
    settings: &ReadSettings,
    http: &HttpTransport,
) -> Result<RemoteReader<Signed<HttpTransport>>, http::uri::InvalidUri> {
    let signer = signer(settings.signing_region.as_deref(), settings.credentials.as_ref());
    RemoteReader::new(&settings.url, Signed::new(http.clone(), signer))
}

impl<T: Transport> RemoteReader<T> {
    /// `url` is the URL of the instant query.
    pub fn new(url: &url::Url, transport: T) -> Result<Self, http::uri::InvalidUri> {
        Ok(Self { url: url.as_str().parse()?, transport })
    }

    /// Answers all queries of `request` before the deadline, or none.
    pub async fn read(&self, request: &ReadRequest, call: ReadCall<'_>) -> Result<ReadDone, ReadError> {
        let mut asking = Asking { reader: self, call, reloaded: false };
        let mut response = ReadResponse::new(MAX_READ_RESPONSE_BYTES);
        let possible = TimeRange { start: Timestamp(0), end: Timestamp(call.now.0.saturating_add(LONGEST_LEAD_MS)) };
        for query in &request.queries {
            response.begin_result();
            let selector = selector(&query.matchers).map_err(ReadError::Selector)?;
            let range = query.range.within(possible);
            let days = range.milliseconds() / u64::from(DAY_MS);
            if days >= u64::from(MAX_INSTANT_RANGE_DAYS) * MAX_READ_PARTS as u64 {
                return Err(ReadError::TooLong { days });
            }
            for part in range.parts(MAX_INSTANT_RANGE_DAYS * DAY_MS) {
                let json = asking.ask(part.selects(&selector)).await?;
                response.add_matrix(&json, part)?;
            }
        }
        let (series, samples) = response.counts();
        let histograms = response.histograms;
        if histograms > 0 {
            let request_id = call.request_id;
            tracing::warn!(request_id, histograms, "native histograms are left out of a remote read");
        }
        let block = response.encode(MAX_READ_BLOCK_BYTES).map_err(|_| ReadError::TooLarge)?.into();
        Ok(ReadDone { block, series, samples, histograms })
    }

    async fn send(&self, form: &Bytes, timeout: Duration) -> Answered {
        let mut request = Request::new(form.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, FORM);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, PRODUCT);
        Box::pin(self.transport.send(request, body_policy, timeout)).await
    }
}

/// The queries of one read request.
struct Asking<'a, T> {
    reader: &'a RemoteReader<T>,
    call: ReadCall<'a>,
    /// Credentials were reloaded after a 401 or 403.
    reloaded: bool,
}

/// The next step after an answer that is no success.
enum Next {
    Retry { after: Duration, with_new_credentials: bool },
    Fail(ReadError),
}

impl<T: Transport> Asking<'_, T> {
    /// Sends a query until an answer decides, or the tries or the time are used up. Returns the JSON of a success.
    async fn ask(&mut self, (query, time): (String, String)) -> Result<Bytes, ReadError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", &query)
            .append_pair("time", &time)
            .finish();
        let form = Bytes::from(form);
        let mut tries = 0;
        loop {
            let timeout = self.time_left();
            if timeout < SHORTEST_TRY {
                let failure = "the time of the request ran out before all was read".to_owned();
                return Err(ReadError::Errored { failure, retry_after: None });
            }
            let answer = self.reader.send(&form, timeout).await;
            tries += 1;
            let after = match answer {
                Ok(Answer { status: 200, body, .. }) if body.len() <= MAX_READ_JSON_BYTES => return Ok(body),
                Ok(Answer { status: 200, .. }) => return Err(ReadError::TooLarge),
                answer => match self.next(&answer, tries) {
                    Next::Retry { after, with_new_credentials } => {
                        if with_new_credentials {
                            self.reader.transport.forget_credentials().await;
                        }
                        after
                    }
                    Next::Fail(error) => return Err(error),
                },
            };
            tokio::time::sleep(after).await;
        }
    }

    fn next(&mut self, answer: &Answered, tries: u32) -> Next {
        let asked = retry_after(answer, SystemTime::now());
        let reloaded = self.reloaded;
        let after = match answer {
            Ok(answer @ Answer { status: status @ (400 | 422), .. }) => {
                return Next::Fail(ReadError::Refused { status: *status, text: error_text(answer) });
            }
            Ok(Answer { status: 401 | 403, .. }) if !self.reloaded && self.reader.transport.has_credentials() => {
                self.reloaded = true;
                Some(Duration::ZERO)
            }
            // A connection that died while the function was frozen.
            Err(TransportError::Network(_)) if tries == 1 => Some(Duration::ZERO),
            Ok(Answer { status: 408 | 429 | 500..=599, .. })
            | Err(TransportError::Timeout | TransportError::Connect(_) | TransportError::Network(_)) => {
                Backoff::default().wait(tries, fastrand::f64()).map(|wait| asked.unwrap_or(wait))
            }
            Ok(_) | Err(TransportError::Credentials(_)) => None,
        };
        match after.filter(|after| *after + SHORTEST_TRY < self.time_left()) {
            Some(after) => {
                tracing::warn!(request_id = self.call.request_id, answer = describe(answer), "query failed");
                Next::Retry { after, with_new_credentials: self.reloaded && !reloaded }
            }
            None => Next::Fail(ReadError::Errored { failure: describe(answer), retry_after: asked }),
        }
    }

    fn time_left(&self) -> Duration {
        self.call.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN)
    }
}

/// Returns how much of a body is read. One byte beyond the bound shows that there is more.
fn body_policy(status: u16) -> BodyPolicy {
    match status {
        200 => BodyPolicy::Required { max_bytes: MAX_READ_JSON_BYTES + 1 },
        400 | 422 => BodyPolicy::Required { max_bytes: MAX_ERROR_BODY_BYTES },
        _ => BodyPolicy::Excerpt { max_bytes: MAX_ERROR_BODY_BYTES, patience: ERROR_TEXT_PATIENCE },
    }
}

/// Returns the sentence in an error of Prometheus (`error`) or of AWS (`message`), else all of the text.
fn error_text(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Error<'a> {
        #[serde(borrow, alias = "message", alias = "Message")]
        error: Cow<'a, str>,
    }
    let text = String::from_utf8_lossy(&answer.body);
    let sentence = serde_json::from_str::<Error<'_>>(&text).map(|error| error.error);
    sentence.as_deref().unwrap_or(&text).trim().chars().take(MAX_ERROR_TEXT_CHARS).collect()
}

impl From<MatrixError> for ReadError {
    fn from(error: MatrixError) -> Self {
        match error {
            MatrixError::TooLarge => Self::TooLarge,
            other => Self::Errored { failure: other.to_string(), retry_after: None },
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selector(error) => error.fmt(f),
            Self::TooLong { days } => {
                let longest = u64::from(MAX_INSTANT_RANGE_DAYS) * MAX_READ_PARTS as u64;
                write!(
                    f,
                    "the query has a range of {days} days; expected fewer than {longest}: choose a shorter time range"
                )
            }
            Self::TooLarge => f.write_str(
                "the response would be larger than the gateway can answer (6 MB): choose a shorter time range, or add \
                 matchers that select fewer series",
            ),
            Self::Refused { status, text } if text.is_empty() => write!(f, "the receiver answered {status}"),
            Self::Refused { text, .. } => f.write_str(text),
            Self::Errored { failure, .. } => f.write_str(failure),
        }
    }
}

impl std::error::Error for ReadError {}

#[cfg(test)]
mod tests;
