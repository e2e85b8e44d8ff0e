//! Reads any bytes as a read request, or as the receiver's answer to its query. Requests become selectors with closed quotes, answers
//! a response within bounds and in order.
//!
//! A first byte of 0x80 or more is left out, and says that the bytes are protobuf. Other bytes that begin with `{` are an answer, and
//! the rest is a snappy block.

#![no_main]

use amp_push_gateway::model::Timestamp;
use amp_push_gateway::wire::messages::read::ReadResponse as Response;
use amp_push_gateway::wire::read::{MatrixError, ReadRequest, ReadResponse, TimeRange, selector};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

/// The bound of the response as protobuf.
const MAX_BYTES: usize = 4_096;

const RANGE: TimeRange = TimeRange { start: Timestamp(1_676_398_000_000), end: Timestamp(1_676_398_060_000) };

fuzz_target!(|input: &[u8]| match input {
    [0x80..=0xff, protobuf @ ..] => {
        check_request(&snap::raw::Encoder::new().compress_vec(protobuf).expect("a small block"));
    }
    [b'{', ..] => check_answer(input),
    block => check_request(block),
});

fn check_request(block: &[u8]) {
    let request = match ReadRequest::decode(block) {
        Ok(request) => request,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() <= 1_000, "{text}");
            return;
        }
    };
    for query in &request.queries {
        let Ok(selector) = selector(&query.matchers) else {
            assert!(query.matchers.iter().any(|matcher| matcher.name.is_empty()));
            continue;
        };
        check_quotes(&selector);
        for part in query.range.parts(86_400_000).take(100) {
            assert!(query.range.contains(part.start) && query.range.contains(part.end));
            let (query, _) = part.selects(&selector);
            assert!(query.len() <= selector.len() + 12);
        }
    }
}

/// Checks that the selector is one pair of braces with closed strings, for the lexer of PromQL.
fn check_quotes(selector: &str) {
    let inner = selector.strip_prefix('{').and_then(|text| text.strip_suffix('}')).expect("braces");
    let mut chars = inner.chars();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => in_string = !in_string,
            '\\' => {
                assert!(in_string, "{selector}");
                let escaped = chars.next();
                assert!(matches!(escaped, Some('"' | '\\' | 'n' | 'u')), "{selector}");
            }
            '\n' | '\0' | char::REPLACEMENT_CHARACTER => panic!("{selector}"),
            '{' | '}' => assert!(in_string, "{selector}"),
            _ => {}
        }
    }
    assert!(!in_string, "{selector}");
}

fn check_answer(json: &[u8]) {
    let mut response = ReadResponse::new(MAX_BYTES);
    response.begin_result();
    let read = response.add_matrix(json, RANGE);
    let text = read.as_ref().map_or_else(ToString::to_string, |()| String::new());
    assert!(text.len() <= 1_000, "{text}");
    if matches!(read, Err(MatrixError::TooLarge)) {
        return;
    }
    let (series, samples) = response.counts();
    let block = response.encode(usize::MAX).expect("a response without bound");
    let bytes = snap::raw::Decoder::new().decompress_vec(&block).expect("a block");
    let response = Response::decode(bytes.as_slice()).expect("a response");
    let [result] = response.results.as_slice() else { panic!("{response:?}") };
    assert_eq!(result.timeseries.len(), series);
    let mut found = 0;
    for series in &result.timeseries {
        assert!(series.labels.is_sorted_by(|a, b| (&a.name, &a.value) <= (&b.name, &b.value)), "{series:?}");
        assert!(series.samples.is_sorted_by(|a, b| a.timestamp < b.timestamp), "{series:?}");
        assert!(series.samples.iter().all(|sample| RANGE.contains(Timestamp(sample.timestamp))), "{series:?}");
        found += series.samples.len();
    }
    assert!((1..=samples).contains(&found) || samples == 0, "{found} of {samples} samples");
}
