//! The meaning of each HTTP status for its request, how much of its body is read, and the next step. Pure.

use super::Answered;
use super::error_text;
use crate::aws::{Answer, BodyPolicy, TransportError};
use crate::limits::MAX_ERROR_BODY_BYTES;
use crate::wire::WRITTEN;
use http::header::RETRY_AFTER;
use std::time::{Duration, SystemTime};

/// The longest `Retry-After` that the sender waits for. A message waits on the queue at no cost, but a function that
/// sleeps costs money.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// The longest wait for an error text that is only shown.
const ERROR_TEXT_PATIENCE: Duration = Duration::from_millis(500);

/// The meaning of an answer for its request.
///
/// | answer | disposition | then | if it stays |
/// |---|---|---|---|
/// | 2xx | `Stored` (202: a replica's sample that AMP leaves out on purpose) | – | delivered |
/// | 400, 409, 422 with a web page, or with the error of an AWS service that names no sample | `Foreign`: it is not about samples | no retry now | errored |
/// | other 400, 409, 422, and 429 whose text names a workspace limit (AMP has used both) | `Refused`: some sample of it | bisect | rejected; errored if the text names a workspace limit |
/// | 413 | `TooLarge` | split in two | one event alone: `too_large` |
/// | 401, 403 | `Unauthorized` | reload credentials and sign again, once | errored |
/// | 408, 429, 5xx, no answer in time, network error, not HTTP | `Recoverable` | wait longer each time; `Retry-After` up to 30 s | errored |
/// | anything else (3xx, 404, 405, 415), no credentials | `Unrecoverable` | no retry, and no further request now | errored |
///
/// To a request of 2.0 a 415 has another meaning, and so has a 2xx without counts: see [`asks_for_version_1`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// All samples are stored.
    Stored,
    /// Some sample is refused. Some receivers have stored all others, some have stored none.
    Refused,
    /// It is longer than the receiver takes; nothing is stored.
    TooLarge,
    /// The receiver does not accept the signature, its credentials or their permission; nothing is stored.
    Unauthorized,
    /// It may work in a moment.
    Recoverable {
        /// Try at once, because the connection was closed, for example while the function was frozen.
        at_once: bool,
    },
    /// The answer is of something before the receiver, such as a proxy.
    Foreign,
    /// A retry would not help, and neither would another request.
    Unrecoverable,
}

impl Disposition {
    pub fn of(answer: &Answered) -> Self {
        match answer {
            Ok(Answer { status: 200..=299, .. }) => Self::Stored,
            Ok(answer @ Answer { status: 400 | 409 | 422, .. }) if error_text::is_foreign(answer) => Self::Foreign,
            Ok(Answer { status: 400 | 409 | 422, .. }) => Self::Refused,
            Ok(answer @ Answer { status: 429, .. }) if error_text::names_a_limit(&error_text::judged(answer)) => {
                Self::Refused
            }
            Ok(Answer { status: 413, .. }) => Self::TooLarge,
            Ok(Answer { status: 401 | 403, .. }) => Self::Unauthorized,
            Ok(Answer { status: 408 | 429 | 500..=599, .. })
            | Err(TransportError::Timeout | TransportError::Connect(_)) => Self::Recoverable { at_once: false },
            Err(TransportError::Network(_)) => Self::Recoverable { at_once: true },
            Ok(_) | Err(TransportError::Credentials(_)) => Self::Unrecoverable,
        }
    }
}

/// Reports whether the answer to a request of 2.0 with samples comes from a receiver that takes only 1.0. It refuses the type
/// of the body. Or it does not look at the type, and finds nothing in the body. Then it answers 2xx without the counts that 2.0
/// demands. In both cases nothing is stored.
pub fn asks_for_version_1(answer: &Answered) -> bool {
    match answer {
        Ok(Answer { status: 415, .. }) => true,
        Ok(Answer { status: 200..=299, headers, .. }) => !WRITTEN.iter().any(|name| headers.contains_key(*name)),
        _ => false,
    }
}

/// Returns how many samples and native histograms the receiver has written of a request of 2.0. A missing count is 0.
pub fn written(answer: &Answered) -> [u64; 2] {
    let Ok(Answer { headers, .. }) = answer else { return [0; 2] };
    let count = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    [WRITTEN[0], WRITTEN[1]].map(|name| count(name).unwrap_or(0))
}

/// Returns how much of a body is read. The error text of 400, 409 and 422 decides the outcome of items, so it must arrive whole. A 429
/// keeps its status and its `Retry-After` if its text breaks off. Other error texts are only reported, and the body of a success is
/// not read.
pub(super) fn body_policy(status: u16) -> BodyPolicy {
    match status {
        200..=299 => BodyPolicy::Skip,
        400 | 409 | 422 => BodyPolicy::Required { max_bytes: MAX_ERROR_BODY_BYTES },
        _ => BodyPolicy::Excerpt { max_bytes: MAX_ERROR_BODY_BYTES, patience: ERROR_TEXT_PATIENCE },
    }
}

/// Reports whether samples of a request may be stored although this was the answer.
pub fn may_be_stored(answer: &Answered) -> bool {
    match answer {
        Ok(answer @ Answer { status: 429, .. }) => error_text::names_a_limit(&error_text::judged(answer)),
        Ok(Answer { status, .. }) => matches!(status, 400 | 408 | 409 | 422 | 500..=599),
        Err(TransportError::Timeout | TransportError::Network(_)) => true,
        Err(TransportError::Connect(_) | TransportError::Credentials(_)) => false,
    }
}

/// Returns how long the receiver wants no request: its `Retry-After`, in seconds or as a date, at most
/// [`MAX_RETRY_AFTER`]. Zero and a past date count as none.
pub fn retry_after(answer: &Answered, now: SystemTime) -> Option<Duration> {
    let text = answer.as_ref().ok()?.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // A number that does not fit is more than the longest wait.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER)).filter(|wait| !wait.is_zero())
}

/// Returns a sentence such as `the receiver answered 400: out of order sample`, cut to a bound.
pub fn describe(answer: &Answered) -> String {
    match answer {
        Ok(answer) => match error_text::of(answer) {
            text if text.is_empty() => format!("the receiver answered {}", answer.status),
            text => format!("the receiver answered {}: {}", answer.status, error_text::cut(&text)),
        },
        Err(error) => error_text::cut(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue};

    const NOW: u64 = 1_676_398_020;

    #[expect(clippy::unnecessary_wraps, reason = "as a receiver answers")]
    fn answer(status: u16, retry_after: Option<&'static str>) -> Answered {
        let headers = retry_after.map(|text| (RETRY_AFTER, HeaderValue::from_static(text))).into_iter().collect();
        Ok(Answer { status, headers, body: Bytes::new() })
    }

    const WAITING: Disposition = Disposition::Recoverable { at_once: false };

    #[test]
    fn gives_each_status_its_disposition() {
        let table = [
            (vec![200, 202, 204, 299], Disposition::Stored),
            (vec![400, 409, 422], Disposition::Refused),
            (vec![413], Disposition::TooLarge),
            (vec![401, 403], Disposition::Unauthorized),
            (vec![408, 429, 500, 501, 502, 503, 504, 599], WAITING),
            (vec![100, 199, 300, 301, 304, 404, 405, 410, 415, 600], Disposition::Unrecoverable),
        ];
        for (statuses, expected) in table {
            for status in statuses {
                assert_eq!(Disposition::of(&answer(status, None)), expected, "{status}");
            }
        }
        let none = [
            (TransportError::Timeout, WAITING),
            (TransportError::Connect(String::new()), WAITING),
            (TransportError::Network(String::new()), Disposition::Recoverable { at_once: true }),
            (TransportError::Credentials(String::new()), Disposition::Unrecoverable),
        ];
        for (error, expected) in none {
            assert_eq!(Disposition::of(&Err(error.clone())), expected, "{error}");
        }
    }

    #[test]
    fn reads_retry_after_as_seconds_or_a_date_of_at_most_half_a_minute() {
        let table = [
            (Some("7"), Some(7)),
            (Some(" 0 "), None),
            (Some("86400"), Some(30)),
            (Some("99999999999999999999999999"), Some(30)),
            (Some("Tue, 14 Feb 2023 18:07:05 GMT"), Some(5)),
            (Some("Tue, 14 Feb 2023 18:00:00 GMT"), None),
            (Some("Fri, 14 Feb 2200 18:00:00 GMT"), Some(30)),
            (Some("soon"), None),
            (Some("-1"), None),
            (Some(""), None),
            (None, None),
        ];
        for (text, seconds) in table {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
            assert_eq!(retry_after(&answer(429, text), now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn takes_only_a_request_that_reached_the_receiver_for_maybe_stored() {
        for status in [400, 408, 409, 422, 500, 503] {
            assert!(may_be_stored(&answer(status, None)), "{status}");
        }
        for status in [200, 301, 401, 403, 404, 413, 415, 429] {
            assert!(!may_be_stored(&answer(status, None)), "{status}");
        }
        assert!(may_be_stored(&Err(TransportError::Timeout)));
        assert!(!may_be_stored(&Err(TransportError::Connect(String::new()))));
    }

    #[test]
    fn takes_a_receiver_without_counts_for_one_of_version_1() {
        let with = |status, names: &[&'static str]| {
            let headers = names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("3")));
            Ok(Answer { status, headers: headers.collect(), body: Bytes::new() })
        };
        for status in [415, 200, 202, 204] {
            assert!(asks_for_version_1(&with(status, &[])), "{status}");
        }
        for status in [400, 404, 406, 500] {
            assert!(!asks_for_version_1(&with(status, &[])), "{status}");
        }
        for name in WRITTEN {
            assert!(!asks_for_version_1(&with(204, &[name])), "{name}");
            assert!(asks_for_version_1(&with(415, &[name])), "{name}");
        }
        assert!(!asks_for_version_1(&Err(TransportError::Timeout)));
        assert_eq!(written(&with(400, &WRITTEN)), [3, 3]);
        assert_eq!(written(&with(400, &[WRITTEN[1]])), [0, 3]);
        assert_eq!(written(&Err(TransportError::Timeout)), [0, 0]);
    }

    #[test]
    fn requires_the_text_of_an_answer_only_if_the_text_decides() {
        for status in [200, 204, 299] {
            assert_eq!(body_policy(status), BodyPolicy::Skip, "{status}");
        }
        for status in [400, 409, 422] {
            assert_eq!(body_policy(status), BodyPolicy::Required { max_bytes: 1_024 }, "{status}");
        }
        for status in [301, 401, 403, 404, 408, 413, 429, 500, 503] {
            let patience = Duration::from_millis(500);
            assert_eq!(body_policy(status), BodyPolicy::Excerpt { max_bytes: 1_024, patience }, "{status}");
        }
    }
}
