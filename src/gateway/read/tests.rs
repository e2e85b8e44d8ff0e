use super::*;
use crate::aws::ReadBody;
use crate::wire::messages::read::ReadResponse as Response;
use crate::wire::read::{Matcher, Operator, Query};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

const NOW: Timestamp = Timestamp(1_676_398_020_000);
const DAY: i64 = 86_400_000;

/// A receiver that answers by the parameters of the form, and by how many queries it had before.
struct Receiver<F> {
    answer: F,
    forms: Mutex<Vec<BTreeMap<String, String>>>,
    forgotten: AtomicU32,
}

impl<F: Fn(usize, &BTreeMap<String, String>) -> Answered + Send + Sync> Transport for Receiver<F> {
    async fn send(&self, request: Request<Bytes>, read_body: ReadBody, _: Duration) -> Result<Answer, TransportError> {
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "http://receiver/api/v1/query");
        assert_eq!(request.headers()[CONTENT_TYPE], "application/x-www-form-urlencoded");
        let form: BTreeMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
        let count = self.forms.lock().unwrap().len();
        let answer = (self.answer)(count, &form);
        self.forms.lock().unwrap().push(form);
        if let Ok(Answer { status, body, .. }) = &answer
            && let BodyPolicy::Required { max_bytes } = read_body(*status)
        {
            assert!(body.len() <= max_bytes, "the test answers more than the transport would read");
        }
        answer
    }

    fn has_credentials(&self) -> bool {
        true
    }

    async fn forget_credentials(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }
}

fn reader<F>(answer: F) -> RemoteReader<Receiver<F>>
where
    F: Fn(usize, &BTreeMap<String, String>) -> Answered + Send + Sync,
{
    let receiver = Receiver { answer, forms: Mutex::default(), forgotten: AtomicU32::new(0) };
    RemoteReader::new(&"http://receiver/api/v1/query".parse().unwrap(), receiver).unwrap()
}

async fn read<F>(reader: &RemoteReader<Receiver<F>>, queries: &[(i64, i64)]) -> Result<ReadDone, ReadError>
where
    F: Fn(usize, &BTreeMap<String, String>) -> Answered + Send + Sync,
{
    let query = |(start, end): &(i64, i64)| Query {
        range: TimeRange { start: Timestamp(*start), end: Timestamp(*end) },
        matchers: vec![Matcher { operator: Operator::Equal, name: "__name__".to_owned(), value: "ph".to_owned() }],
    };
    let request = ReadRequest { queries: queries.iter().map(query).collect() };
    let deadline = Instant::now() + Duration::from_secs(9);
    reader.read(&request, ReadCall { request_id: "request-1", now: NOW, deadline }).await
}

#[expect(clippy::unnecessary_wraps, reason = "as a receiver answers")]
fn answer(status: u16, body: impl Into<Bytes>) -> Answered {
    Ok(Answer { status, headers: HeaderMap::new(), body: body.into() })
}

/// Answers with samples of these milliseconds, each with its own time as value.
fn matrix(times: impl IntoIterator<Item = i64>) -> Answered {
    let values: Vec<_> =
        times.into_iter().map(|time| format!("[{}.{:03},\"{time}\"]", time / 1_000, time % 1_000)).collect();
    let series = format!(r#"{{"metric":{{"__name__":"ph"}},"values":[{}]}}"#, values.join(","));
    answer(200, format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#))
}

/// The milliseconds in the range of a query, and its end.
fn window(form: &BTreeMap<String, String>) -> (i64, i64) {
    let range = form["query"].strip_prefix(r#"{__name__="ph"}["#).and_then(|text| text.strip_suffix("ms]"));
    (range.unwrap().parse().unwrap(), form["time"].replace('.', "").parse().unwrap())
}

/// The samples of each result, which all have one series or none.
fn times(done: &ReadDone) -> Vec<Vec<i64>> {
    let bytes = snap::raw::Decoder::new().decompress_vec(&done.block).unwrap();
    let response = Response::decode(bytes.as_slice()).unwrap();
    let times = response.results.iter().map(|result| {
        assert!(result.timeseries.len() <= 1);
        result.timeseries.iter().flat_map(|series| &series.samples).map(|sample| sample.timestamp).collect()
    });
    times.collect()
}

/// A receiver that holds a sample each half day. Its windows have both of their ends, as in Prometheus 2, or not the first, as in
/// Prometheus 3.
fn half_days(left_open: bool) -> impl Fn(usize, &BTreeMap<String, String>) -> Answered + Send + Sync {
    move |_, form| {
        let (range, end) = window(form);
        let start = end - range + i64::from(left_open);
        matrix(
            (start / DAY * 2..=end / DAY * 2 + 1)
                .map(|half| half * DAY / 2)
                .filter(|time| (start..=end).contains(time)),
        )
    }
}

#[tokio::test(start_paused = true)]
async fn answers_each_query_with_the_samples_of_its_range_both_ends_included() {
    for left_open in [false, true] {
        let reader = reader(half_days(left_open));
        let (first, last) = (19_400 * DAY, 19_402 * DAY);
        let done = read(&reader, &[(first, last), (first + 1, last - 1), (last, first)]).await.unwrap();
        let expected: Vec<i64> = (0..=4).map(|i| first + i * DAY / 2).collect();
        assert_eq!(times(&done), [expected.clone(), expected[1..4].to_vec(), Vec::new()], "{left_open}");
        assert_eq!((done.series, done.samples, done.histograms), (2, 8, 0));
        // A range that ends before it starts is not asked for.
        assert_eq!(reader.transport.forms.lock().unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn asks_for_a_long_range_in_parts_that_amp_takes_and_joins_them() {
    for left_open in [false, true] {
        let reader = reader(move |_, form: &BTreeMap<String, String>| {
            let (range, end) = window(form);
            let start = end - range + i64::from(left_open);
            matrix((start / DAY..=end / DAY).map(|day| day * DAY).filter(|time| (start..=end).contains(time)))
        });
        // Seams are at multiples of a day, at which there are samples.
        let (first, last) = (19_300 * DAY, 19_300 * DAY + 70 * DAY);
        let done = read(&reader, &[(first, last)]).await.unwrap();
        assert_eq!(times(&done), [(0..=70).map(|day| first + day * DAY).collect::<Vec<_>>()]);
        let ranges: Vec<i64> = reader.transport.forms.lock().unwrap().iter().map(|form| window(form).0).collect();
        assert_eq!(ranges, [31 * DAY, 31 * DAY, 8 * DAY + 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn asks_for_nothing_before_1970_and_nothing_that_no_receiver_can_hold() {
    let reader = reader(|_, _: &BTreeMap<String, String>| matrix([]));
    let lead = NOW.0 + DAY;
    read(&reader, &[(NOW.0 - 1_000, i64::MAX), (i64::MIN, 999), (lead + 1, i64::MAX)]).await.unwrap();
    let windows: Vec<_> = reader.transport.forms.lock().unwrap().iter().map(window).collect();
    assert_eq!(windows[0], (DAY + 1_001, lead));
    assert_eq!(windows[1], (1_000, 999));
    assert_eq!(windows.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn says_how_to_narrow_a_query_that_is_too_long_or_finds_too_much() {
    let reader_of_nothing = reader(|_, _: &BTreeMap<String, String>| matrix([]));
    let error = read(&reader_of_nothing, &[(i64::MIN, i64::MAX)]).await.unwrap_err();
    assert!(matches!(error, ReadError::TooLong { days: 19_000.. }), "{error:?}");
    assert!(error.to_string().contains("choose a shorter time range"), "{error}");
    assert_eq!(reader_of_nothing.transport.forms.lock().unwrap().len(), 0);

    let long = reader(|_, _: &BTreeMap<String, String>| answer(200, vec![b' '; MAX_READ_JSON_BYTES + 1]));
    assert_eq!(read(&long, &[(0, 1)]).await, Err(ReadError::TooLarge));
    // Values that do not compress: 400,000 samples take 7 MB as protobuf.
    let random = reader(|count, _: &BTreeMap<String, String>| {
        let mut random = fastrand::Rng::with_seed(count as u64);
        let values: Vec<_> =
            (0..400_000).map(|i| format!("[{}.{:03},\"{}\"]", i / 1_000, i % 1_000, random.f64())).collect();
        let series = format!(r#"{{"metric":{{"__name__":"ph"}},"values":[{}]}}"#, values.join(","));
        answer(200, format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#))
    });
    assert_eq!(read(&random, &[(0, DAY)]).await, Err(ReadError::TooLarge));
    let error = read(&random, &[(0, DAY); 9]).await.unwrap_err();
    assert!(error.to_string().contains("choose a shorter time range, or add matchers"), "{error}");
    assert!(random.transport.forms.lock().unwrap().len() < 5, "it reads on although the response is too large");
}

#[tokio::test(start_paused = true)]
async fn passes_a_400_and_a_422_on_with_their_text() {
    let table = [
        (400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, "parse error"),
        (422, r#"{"message":"too many samples"}"#, "too many samples"),
        (422, "plain text\n", "plain text"),
        (400, "", "the receiver answered 400"),
    ];
    for (status, body, expected) in table {
        let reader = reader(move |_, _: &BTreeMap<String, String>| answer(status, body));
        let error = read(&reader, &[(0, 1)]).await.unwrap_err();
        assert!(matches!(error, ReadError::Refused { status: found, .. } if found == status), "{error:?}");
        assert_eq!(error.to_string(), expected);
        assert_eq!(reader.transport.forms.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn tries_again_what_may_work_and_then_is_errored() {
    let cases: [(fn() -> Answered, usize); 8] = [
        (|| answer(429, "slow down"), 5),
        (|| answer(503, ""), 5),
        (|| Err(TransportError::Timeout), 5),
        (|| Err(TransportError::Network("reset".to_owned())), 5),
        (|| answer(403, "no permission"), 2),
        (|| answer(404, "no such path"), 1),
        (|| Err(TransportError::Credentials("none".to_owned())), 1),
        (|| answer(200, "<html>"), 1),
    ];
    for (fault, requests) in cases {
        let lasting = reader(move |_, _: &BTreeMap<String, String>| fault());
        let error = read(&lasting, &[(0, 1)]).await.unwrap_err();
        assert!(matches!(error, ReadError::Errored { .. }), "{error:?}");
        assert!(!error.to_string().is_empty());
        assert_eq!(lasting.transport.forms.lock().unwrap().len(), requests, "{error}");

        let passing = reader(move |count, _: &BTreeMap<String, String>| if count == 0 { fault() } else { matrix([1]) });
        assert_eq!(read(&passing, &[(0, 1)]).await.is_ok(), requests > 1, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn reloads_credentials_once_for_all_queries() {
    let reader = reader(|count, _: &BTreeMap<String, String>| if count == 1 { matrix([]) } else { answer(403, "") });
    assert!(read(&reader, &[(0, 1), (0, 1)]).await.is_err());
    assert_eq!(reader.transport.forgotten.load(Ordering::Relaxed), 1);
    assert_eq!(reader.transport.forms.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn waits_as_the_receiver_asks_if_there_is_time() {
    let asking = |seconds: &'static str| {
        move |count: usize, _: &BTreeMap<String, String>| {
            if count > 0 {
                return matrix([]);
            }
            let headers = [(RETRY_AFTER, HeaderValue::from_static(seconds))].into_iter().collect();
            Ok(Answer { status: 429, headers, body: Bytes::new() })
        }
    };
    let started = Instant::now();
    read(&reader(asking("3")), &[(0, 1)]).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 3);
    let error = read(&reader(asking("20")), &[(0, 1)]).await.unwrap_err();
    assert!(matches!(error, ReadError::Errored { retry_after: Some(wait), .. } if wait.as_secs() == 20), "{error:?}");
    assert_eq!(started.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn answers_before_the_deadline() {
    let reader = reader(|_, _: &BTreeMap<String, String>| answer(503, ""));
    let request = ReadRequest {
        queries: vec![Query { range: TimeRange { start: Timestamp(0), end: Timestamp(1) }, matchers: Vec::new() }],
    };
    for milliseconds in [0, 200, 349, 500, 1_000] {
        let started = Instant::now();
        let deadline = started + Duration::from_millis(milliseconds);
        let read = reader.read(&request, ReadCall { request_id: "", now: NOW, deadline }).await;
        assert!(matches!(read, Err(ReadError::Errored { .. })), "{read:?}");
        assert!(started.elapsed() <= Duration::from_millis(milliseconds.saturating_sub(300)));
    }
}
