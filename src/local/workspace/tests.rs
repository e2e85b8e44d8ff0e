//! Tests with whole requests. `signature/tests.rs` tests signatures.

use super::*;
use crate::local::tsdb::Sample;
use crate::wire::messages::{Label, TimeSeries};

const NOW: i64 = 1_700_000_000_000;
const PATH: &str = "/workspaces/ws-1/api/v1/remote_write";

fn workspace() -> Workspace {
    Workspace::new("ws-1", Rules::default(), None)
}

fn series(timestamp: i64) -> WriteRequest {
    let labels = vec![Label { name: "__name__".to_owned(), value: "ph".to_owned() }];
    let samples = vec![Sample { value: 6.7, timestamp }];
    let timeseries = vec![TimeSeries { labels, samples, ..TimeSeries::default() }];
    WriteRequest { timeseries, ..WriteRequest::default() }
}

fn block(decoded: &[u8]) -> Body {
    Body::Whole(snap::raw::Encoder::new().compress_vec(decoded).unwrap().into())
}

fn request(path: &str, body: Body) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("user-agent", "test/1")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(body)
        .unwrap()
}

fn ask(workspace: &Workspace, request: Request<Body>) -> (u16, String) {
    let answer = workspace.answer(request, Timestamp(NOW));
    (answer.status().as_u16(), String::from_utf8(answer.into_body().to_vec()).unwrap())
}

#[test]
fn stores_a_good_write_and_answers_200_without_a_body() {
    let workspace = workspace();
    let answer = ask(&workspace, request(PATH, block(&series(NOW).encode_to_vec())));
    assert_eq!(answer, (200, String::new()));
    assert_eq!(workspace.snapshot()[0].samples, [Sample { value: 6.7, timestamp: NOW }]);
}

#[test]
fn answers_an_empty_write_with_200() {
    assert_eq!(ask(&workspace(), request(PATH, Body::Whole(Bytes::from_static(&[0])))).0, 200);
}

#[test]
fn answers_a_refused_sample_with_400_and_the_error_text_of_amp() {
    let workspace = workspace();
    let (status, text) = ask(&workspace, request(PATH, block(&series(NOW - 3_600_001).encode_to_vec())));
    assert_eq!(status, 400);
    assert_eq!(text, "user=000000000000_ws-local: timestamp too old: 1699996399999 metric: \"ph\"");
    assert_eq!(workspace.snapshot(), []);
}

#[test]
fn answers_a_wrong_request_with_its_status_and_what_was_expected() {
    let good = || block(&series(NOW).encode_to_vec());
    let without = |name: &str| {
        let mut request = request(PATH, good());
        request.headers_mut().remove(name);
        request
    };
    let mut get = request(PATH, good());
    *get.method_mut() = Method::GET;
    // A block of ten bytes that claims to hold a gigabyte.
    let bomb = Body::Whole(Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x04, 0, 0, 0, 0, 0]));
    let table = [
        (request("/workspaces/ws-1/remote_write", good()), 404, PATH),
        (request("/workspaces/ws-2/api/v1/remote_write", good()), 404, PATH),
        (get, 405, "POST"),
        (request(PATH, Body::TooLarge), 413, "1000000"),
        (without("content-type"), 415, "application/x-protobuf"),
        (without("content-encoding"), 415, "snappy"),
        (without("x-prometheus-remote-write-version"), 400, "0.1.0"),
        (without("user-agent"), 400, "user-agent"),
        (request(PATH, Body::Whole(Bytes::from_static(b"\x05ab"))), 400, "snappy"),
        (request(PATH, bomb), 400, "larger than max"),
        (request(PATH, block(&[0x0a, 0x7f])), 400, "protobuf"),
    ];
    let workspace = workspace();
    for (request, status, expected) in table {
        let (got, text) = ask(&workspace, request);
        assert!(got == status && text.contains(expected), "expected {status} {expected}, got {got} {text}");
    }
    assert_eq!(workspace.snapshot(), []);
}

#[test]
fn answers_an_unsigned_write_with_403_if_there_is_a_verifier() {
    let verifier = Verifier { service: "aps".to_owned(), region: "eu-west-1".to_owned(), keys: Vec::new() };
    let workspace = Workspace::new("ws-1", Rules::default(), Some(verifier));
    let answer = ask(&workspace, request(PATH, block(&series(NOW).encode_to_vec())));
    assert_eq!(answer, (403, r#"{"message":"Missing Authentication Token"}"#.to_owned()));
}
