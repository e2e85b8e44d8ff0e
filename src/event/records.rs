//! Reads the records of SNS in a message one by one, because a million times `{}` would not fit into memory. The format:
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>.

use super::foreign;
use super::path::excerpt;
use super::wrappers::EXPECTED;
use crate::model::{Reason, Rejection};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use std::borrow::Cow;
use std::fmt;

#[derive(Deserialize, Debug)]
struct Record<'a> {
    #[serde(borrow, default, rename = "EventSource", alias = "eventSource")]
    event_source: Cow<'a, str>,
    #[serde(borrow, default, rename = "Sns")]
    sns: Option<Sns<'a>>,
}

#[derive(Deserialize, Debug)]
struct Sns<'a> {
    #[serde(borrow, rename = "Message")]
    message: Cow<'a, str>,
}

/// Calls `each` for every record until it returns false.
struct Records<F>(F);

impl<'a, F: FnMut(Record<'a>) -> bool> Visitor<'a> for Records<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element()? {
            if !(self.0)(record) {
                return Err(A::Error::custom("a foreign record"));
            }
        }
        Ok(())
    }
}

fn read<'a>(text: &'a str, each: impl FnMut(Record<'a>) -> bool) -> serde_json::Result<()> {
    serde_json::Deserializer::from_str(text).deserialize_seq(Records(each))
}

/// Rejects records if one of them is not of SNS, or has no message.
pub(super) fn check(text: &str) -> Result<(), Rejection> {
    let mut problem = None;
    let read = read(text, |record| {
        problem = match (record.event_source.as_ref(), record.sns) {
            ("aws:sns", Some(_)) => None,
            ("aws:sns", None) => Some("of aws:sns, but without a message".to_owned()),
            ("aws:sqs", _) => Some(
                "of SQS are taken only as the whole payload of an invocation, with receiptHandle and eventSourceARN in each"
                    .to_owned(),
            ),
            ("", _) => Some("without eventSource".to_owned()),
            (source, _) => Some(match foreign::source(source) {
                Some(name) => format!("of {source} cannot be taken, the payload is {name}"),
                None => format!("of {} cannot be taken", excerpt(source)),
            }),
        };
        problem.is_none()
    });
    let problem = match (problem, read) {
        (None, Ok(())) => return Ok(()),
        (Some(problem), _) => problem,
        // The text of the error itself quotes what was found, whole.
        (None, Err(error)) => format!("not records of SNS (line {}, column {})", error.line(), error.column()),
    };
    Err(Rejection::new(Reason::InvalidEvent, format!("Records: {problem}; {EXPECTED}")))
}

/// Calls `each` with the message of every record. The records must have passed [`check`].
pub(super) fn for_each_message<'a>(text: &'a str, mut each: impl FnMut(Cow<'a, str>)) {
    let read = read(text, |record| {
        record.sns.is_some_and(|sns| {
            each(sns.message);
            true
        })
    });
    debug_assert!(read.is_ok(), "checked before");
}
