//! Reads any text as the error text of a receiver: it gives a reason, perhaps a sample, and never a panic.

#![no_main]

use amp_push_gateway::aws::Answer;
use amp_push_gateway::model::{Label, LabelName, LabelSet, Reason, Timestamp};
use amp_push_gateway::remote_write::error_text::{NamedSample, names_a_limit, reason};
use amp_push_gateway::remote_write::{Disposition, describe, may_be_stored, retry_after};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use libfuzzer_sys::{Corpus, fuzz_target};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    assert!(Reason::ALL.contains(&reason(text)));
    assert_eq!(reason(text), reason(&text.to_ascii_uppercase()), "upper case decides");
    let _limit: bool = names_a_limit(text);
    let _sample: Option<NamedSample> = NamedSample::find(text);
    check_answer(text);
    check_label_value(text);
    Corpus::Keep
});

/// Checks answers of every kind with this text as the body and as the header `Retry-After`.
fn check_answer(text: &str) {
    for status in [200, 301, 400, 403, 413, 429, 503] {
        let header = HeaderValue::from_str(text).ok().map(|value| (RETRY_AFTER, value));
        let headers = header.into_iter().collect();
        let answer = Ok(Answer { status, headers, body: text.to_owned().into() });
        assert!(describe(&answer).chars().count() <= 600, "a detail that is too long");
        let (_, _) = (may_be_stored(&answer), Disposition::of(&answer));
        let wait = retry_after(&answer, SystemTime::UNIX_EPOCH).unwrap_or_default();
        assert!(wait <= Duration::from_secs(30), "{wait:?}");
    }
}

/// Checks that any label's value, quoted as receivers do it, is found again, and the time beside it.
fn check_label_value(value: &str) {
    if value.is_empty() {
        return;
    }
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    let text = format!(
        "user=1_ws: err: out of order sample. timestamp=2021-11-30T16:12:55.053Z, \
         series={{__name__=\"x\", a=\"{quoted}\"}}"
    );
    let named = NamedSample::find(&text).expect("a series");
    let name = LabelName::translate(Cow::Borrowed("a")).expect("a label name");
    let labels = LabelSet::new(vec![Label { name, value: Cow::Borrowed(value) }]).expect("one label");
    assert!(named.is_series("x", labels.as_slice().into()), "{text}");
    assert_eq!(named.timestamp, Some(Timestamp(1_638_288_775_053)), "{text}");
}
