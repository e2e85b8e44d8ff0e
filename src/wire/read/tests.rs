use super::*;
use crate::model::CANONICAL_NAN;
use crate::wire::messages::TimeSeries;
use crate::wire::messages::read::{self as proto, LabelMatcher, ReadResponse as Response};
use proptest::prelude::*;

fn block(message: &impl prost::Message) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&message.encode_to_vec()).unwrap()
}

fn message(matchers: Vec<LabelMatcher>) -> proto::ReadRequest {
    proto::ReadRequest { queries: vec![proto::Query { start_timestamp_ms: -5, end_timestamp_ms: 7, matchers }] }
}

fn label_matcher(r#type: i32) -> LabelMatcher {
    LabelMatcher { r#type, name: "job".to_owned(), value: "größe".to_owned() }
}

const RANGE: TimeRange = TimeRange { start: Timestamp(10_000), end: Timestamp(20_000) };

/// Labels as `name=value`, and samples with the bits of their values.
type Series = (Vec<String>, Vec<(i64, u64)>);

/// The series of the only result of a response to `answers`: each has its range.
fn found(answers: &[(&str, TimeRange)]) -> Vec<Series> {
    let mut response = ReadResponse::new(usize::MAX);
    response.begin_result();
    for (json, range) in answers {
        response.add_matrix(json.as_bytes(), *range).unwrap();
    }
    let results = decode(&response.encode(usize::MAX).unwrap()).results;
    assert_eq!(results.len(), 1);
    results[0].timeseries.iter().map(series).collect()
}

fn series(series: &TimeSeries) -> Series {
    let labels = series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
    (labels, series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits())).collect())
}

fn decode(block: &[u8]) -> Response {
    let bytes = snap::raw::Decoder::new().decompress_vec(block).unwrap();
    prost::Message::decode(bytes.as_slice()).unwrap()
}

fn matrix(series: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
}

#[test]
fn reads_queries_with_their_range_and_matchers() {
    let request = ReadRequest::decode(&block(&message((0..4).map(label_matcher).collect()))).unwrap();
    let [Query { range, matchers }] = request.queries.as_slice() else { panic!("{request:?}") };
    assert_eq!(*range, TimeRange { start: Timestamp(-5), end: Timestamp(7) });
    let operators: Vec<_> = matchers.iter().map(|matcher| matcher.operator).collect();
    assert_eq!(operators, [Operator::Equal, Operator::NotEqual, Operator::Matches, Operator::NotMatches]);
    assert!(matchers.iter().all(|matcher| matcher.name == "job" && matcher.value == "größe"));
}

#[test]
fn ignores_hints_and_the_types_of_a_response_that_a_client_accepts() {
    let mut bytes = prost::Message::encode_to_vec(&message(Vec::new()));
    // Hints: field 4 of the query, which has two bytes for each of its times before.
    let hints = [0x22, 0x02, 0x08, 0x01];
    bytes[1] += 4;
    bytes.extend(hints);
    // accepted_response_types = [STREAMED_XOR_CHUNKS], packed and not.
    bytes.extend([0x12, 0x01, 0x01, 0x10, 0x01]);
    let block = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    assert_eq!(ReadRequest::decode(&block).unwrap().queries.len(), 1);
    assert_eq!(ReadRequest::decode(&[0]).unwrap(), ReadRequest { queries: Vec::new() });
}

#[test]
fn rejects_what_is_no_read_request_and_says_why() {
    let protobuf = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    let queries = proto::ReadRequest { queries: vec![proto::Query::default(); MAX_READ_QUERIES + 1] };
    let half = message(vec![LabelMatcher::default(); MAX_READ_MATCHERS / 2 + 1]).queries.remove(0);
    let table = [
        (Vec::new(), "not a snappy block"),
        (b"{}".to_vec(), "not a snappy block"),
        (protobuf(b"\x0a\x05"), "not a prometheus.ReadRequest"),
        (protobuf(b"\x0a\x05\x1a\x03\x12\x01\xff"), "not a prometheus.ReadRequest"),
        (protobuf(&vec![0; MAX_READ_REQUEST_BYTES + 1]), "expected at most"),
        (block(&queries), "expected at most 100 queries"),
        (block(&message(vec![label_matcher(0); MAX_READ_MATCHERS + 1])), "with 10000 matchers"),
        (block(&proto::ReadRequest { queries: vec![half; 2] }), "with 10000 matchers"),
        (block(&message(vec![label_matcher(4)])), "the matcher of \"job\" has the type 4; expected 0 to 3"),
    ];
    for (body, expected) in table {
        let error = ReadRequest::decode(&body).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn selects_a_range_so_that_both_ends_are_included_whatever_the_receiver_does_with_the_first() {
    let table = [
        ((1_676_398_017_000, 1_676_398_018_123), ("{a=\"b\"}[1124ms]", "1676398018.123")),
        ((5, 5), ("{a=\"b\"}[1ms]", "0.005")),
        ((-2_000, -1_001), ("{a=\"b\"}[1000ms]", "-1.001")),
    ];
    for ((start, end), (query, time)) in table {
        let range = TimeRange { start: Timestamp(start), end: Timestamp(end) };
        assert_eq!(range.selects("{a=\"b\"}"), (query.to_owned(), time.to_owned()));
    }
}

#[test]
fn answers_with_the_samples_in_range_sorted_by_labels_and_time() {
    let json = matrix(
        r#"{"metric":{"job":"b","__name__":"up","Z":"1"},"values":[[9.999,"1"],[10,"1"],[15.001,"-0.5"],[20,"2"],[20.001,"3"]]},
           {"metric":{"__name__":"up","job":"a"},"values":[[12,"1e3"]]},
           {"metric":{"__name__":"old"},"values":[[9,"1"]]}"#,
    );
    let bits = f64::to_bits;
    let expected = [
        (vec!["Z=1", "__name__=up", "job=b"], vec![(10_000, bits(1.0)), (15_001, bits(-0.5)), (20_000, bits(2.0))]),
        (vec!["__name__=up", "job=a"], vec![(12_000, bits(1_000.0))]),
    ];
    let found = found(&[(&json, RANGE)]);
    let found: Vec<_> =
        found.iter().map(|(labels, samples)| (labels.iter().map(String::as_str).collect(), samples.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn keeps_every_value_that_a_text_can_have() {
    let values =
        ["NaN", "+Inf", "-Inf", "0", "-0", "0.1", "1e-323", "1.7976931348623157e+308", "9007199254740993", "\\u0031"];
    let pairs: Vec<_> = values.iter().enumerate().map(|(i, value)| format!("[{}.5,\"{value}\"]", 10 + i % 9)).collect();
    for (pair, value) in pairs.iter().zip(values) {
        let series = format!(r#"{{"metric":{{"a":"b"}},"values":[{pair}]}}"#);
        let expected = match value {
            "NaN" => CANONICAL_NAN,
            "\\u0031" => 1.0_f64.to_bits(),
            value => value.parse::<f64>().unwrap().to_bits(),
        };
        assert_eq!(found(&[(&matrix(&series), RANGE)])[0].1[0].1, expected, "{value}");
    }
}

#[test]
fn joins_the_parts_of_a_long_range_without_a_sample_twice() {
    let first = matrix(r#"{"metric":{"a":"b"},"values":[[14,"1"],[15,"2"]]}"#);
    let second = matrix(
        r#"{"metric":{"a":"c"},"values":[[16,"9"]]},{"metric":{"a":"b"},"values":[[15,"2"],[15.001,"3"],[16,"4"]]}"#,
    );
    let seam = |start, end| TimeRange { start: Timestamp(start), end: Timestamp(end) };
    let found = found(&[(&first, seam(10_000, 15_000)), (&second, seam(15_001, 20_000))]);
    let times: Vec<Vec<i64>> =
        found.iter().map(|(_, samples)| samples.iter().map(|(time, _)| *time).collect()).collect();
    assert_eq!(times, [vec![14_000, 15_000, 15_001, 16_000], vec![16_000]]);
}

#[test]
fn brings_samples_of_a_disorderly_receiver_in_order_each_time_once() {
    let json = matrix(
        r#"{"values":[[12,"1"],[11,"2"],[12,"3"]],"metric":{"a":"b"}},{"metric":{"a":"b"},"values":[[10,"4"]]}"#,
    );
    let bits = f64::to_bits;
    assert_eq!(found(&[(&json, RANGE)])[0].1, [(10_000, bits(4.0)), (11_000, bits(2.0)), (12_000, bits(1.0))]);
}

#[test]
fn leaves_out_native_histograms_and_counts_them() {
    let histogram = r#"[12,{"count":"1","sum":"2","buckets":[[0,"1","2","1"]]}]"#;
    let json = matrix(&format!(
        r#"{{"metric":{{"a":"b"}},"histograms":[{histogram},{histogram}]}},
           {{"metric":{{"a":"c"}},"values":[[12,"1"]],"histograms":[{histogram}]}}"#
    ));
    let mut response = ReadResponse::new(usize::MAX);
    response.begin_result();
    response.add_matrix(json.as_bytes(), RANGE).unwrap();
    assert_eq!((response.histograms, response.counts()), (3, (1, 1)));
}

#[test]
fn answers_each_query_with_a_result_of_its_own() {
    let json = matrix(r#"{"metric":{"a":"b"},"values":[[12,"1"]]}"#);
    let mut response = ReadResponse::new(usize::MAX);
    response.begin_result();
    response.add_matrix(json.as_bytes(), RANGE).unwrap();
    response.begin_result();
    response.begin_result();
    response.add_matrix(json.as_bytes(), RANGE).unwrap();
    let results = decode(&response.encode(usize::MAX).unwrap()).results;
    let counts: Vec<_> = results.iter().map(|result| result.timeseries.len()).collect();
    assert_eq!(counts, [1, 0, 1]);
    assert_eq!(decode(&ReadResponse::new(0).encode(usize::MAX).unwrap()).results, []);
}

#[test]
fn takes_the_longest_range_that_a_client_can_name() {
    let all = TimeRange { start: Timestamp(i64::MIN), end: Timestamp(i64::MAX) };
    assert_eq!(all.milliseconds(), u64::MAX);
    assert_eq!(all.parts(u32::MAX).next().unwrap().start, Timestamp(i64::MIN));
    let last = TimeRange { start: Timestamp(i64::MAX - 1), end: Timestamp(i64::MAX) };
    assert_eq!(last.parts(1).count(), 2);
    let backwards = TimeRange { start: Timestamp(i64::MAX), end: Timestamp(i64::MIN) };
    assert_eq!((backwards.milliseconds(), backwards.parts(1).count()), (0, 0));
    assert_eq!(all.within(RANGE), RANGE);
    assert_eq!(RANGE.within(last).milliseconds(), 0);
}

#[test]
fn stops_at_its_bound() {
    let samples: Vec<_> = (0..1_000).map(|i| format!("[{}.{:03},\"{i}\"]", 10 + i / 1_000, i % 1_000)).collect();
    let json = matrix(&format!(r#"{{"metric":{{"a":"b"}},"values":[{}]}}"#, samples.join(",")));
    let mut whole = ReadResponse::new(usize::MAX);
    whole.begin_result();
    whole.add_matrix(json.as_bytes(), RANGE).unwrap();
    let block = whole.clone().encode(usize::MAX).unwrap();
    assert_eq!(whole.clone().encode(block.len()).unwrap(), block);
    assert_eq!(whole.encode(block.len() - 1), Err(ResponseTooLarge));
    let bytes = snap::raw::decompress_len(&block).unwrap();

    for (max_bytes, fits) in [(bytes + 100, true), (bytes - 100, false), (0, false)] {
        let mut response = ReadResponse::new(max_bytes);
        response.begin_result();
        let read = response.add_matrix(json.as_bytes(), RANGE);
        assert_eq!(read.is_ok(), fits, "{max_bytes} of {bytes}: {read:?}");
        assert!(fits || matches!(read, Err(MatrixError::TooLarge)));
    }
}

#[test]
fn rejects_an_answer_that_is_no_matrix_and_says_why() {
    let series = |values: &str| matrix(&format!(r#"{{"metric":{{"a":"b"}},"values":{values}}}"#));
    let table = [
        (String::new(), "not a matrix: EOF"),
        ("<html>".to_owned(), "not a matrix: expected value"),
        ("{}".to_owned(), r#"the receiver's answer is ""; expected "success""#),
        (r#"{"status":"error","error":"x"}"#.to_owned(), r#"is "error"; expected "success""#),
        (matrix("").replace("matrix", "vector"), r#"is "vector"; expected "matrix""#),
        (matrix("[]"), "expected a series"),
        (matrix("").replace('}', ""), "EOF"),
        (matrix("") + "x", "trailing characters"),
        (series(r#"[[12,"one"]]"#), r#""one" is not a value"#),
        (series(r#"[[1e300,"1"]]"#), "is not a time"),
        (series(r#"[["12","1"]]"#), "expected f64"),
        (series("[[12,1]]"), "expected a string"),
        (series(r#"[[12,"1",2]]"#), "trailing"),
        (matrix(r#"{"metric":{"a":1},"values":[]}"#), "expected a string"),
    ];
    for (json, expected) in table {
        let mut response = ReadResponse::new(usize::MAX);
        response.begin_result();
        let error = response.add_matrix(json.as_bytes(), RANGE).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn ignores_keys_that_it_does_not_know() {
    let json = r#"{"infos":["x"],"data":{"stats":{},"result":[{"extra":[1],"metric":{"a":"b"},"values":[[12,"1"]]}],
                  "resultType":"matrix"},"warnings":[{"deep":[1,{"a":null}]}],"status":"success"}"#;
    assert_eq!(found(&[(json, RANGE)]).len(), 1);
}

proptest! {
    /// Each millisecond of a range is in exactly one part, in order, and no part is too long.
    #[test]
    fn property_test_parts_cover_a_range_once(start in -50_i64..50, len in 0_i64..100, longest in 1_u32..40) {
        let range = TimeRange { start: Timestamp(start), end: Timestamp(start + len - 1) };
        let parts: Vec<_> = range.parts(longest).collect();
        prop_assert!(parts.iter().all(|part| (1..=u64::from(longest)).contains(&part.milliseconds())));
        let covered: Vec<i64> = parts.iter().flat_map(|part| part.start.0..=part.end.0).collect();
        prop_assert_eq!(covered, (start..start + len).collect::<Vec<_>>());
        prop_assert_eq!(range.milliseconds(), u64::try_from(len).unwrap());
        prop_assert_eq!(parts.len() as u64, range.milliseconds().div_ceil(longest.into()));
    }

    /// Any samples that a receiver answers in parts are in the response bit for bit, and the parts do not matter.
    #[test]
    fn property_test_the_response_holds_what_the_receiver_answered(
        values in proptest::collection::btree_map(0_i64..30_000, any::<f64>(), 0..30),
        seam in 0_i64..30_000,
    ) {
        let text = |value: f64| match value {
            value if value.is_infinite() => if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() },
            value => value.to_string(),
        };
        let samples: Vec<_> = values.iter()
            .map(|(time, value)| format!("[{}.{:03},\"{}\"]", time / 1_000, time % 1_000, text(*value)))
            .collect();
        let json = matrix(&format!(r#"{{"metric":{{"a":"b"}},"values":[{}]}}"#, samples.join(",")));
        let range = |start, end| TimeRange { start: Timestamp(start), end: Timestamp(end) };
        let found = found(&[(&json, range(0, seam)), (&json, range(seam + 1, 30_000))]);
        let expected: Vec<_> = values.iter()
            .map(|(time, value)| (*time, if value.is_nan() { CANONICAL_NAN } else { value.to_bits() }))
            .collect();
        prop_assert_eq!(found.first().map_or(&[][..], |(_, samples)| samples), expected);
    }
}
