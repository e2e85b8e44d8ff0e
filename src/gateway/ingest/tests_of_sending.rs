//! Tests the outcomes after answers and failures of a receiver, through the whole gateway.

use super::tests::{NOW, Rig, answers, events, failures, has, sqs, stored};
use crate::aws::{Answer, TransportError};
use crate::model::Reason;
use crate::wire;
use crate::wire::messages::WriteRequest;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn gives_an_event_of_two_requests_the_worse_of_their_answers() {
    // Each series gets a request of its own.
    let rig = Rig { limits: wire::Limits { decoded: 1, compressed: 900_000 }, ..Rig::new() };
    let gateway = rig.gateway(|request| answers(if has(request, "bad") { 503 } else { 200 }, "text"));
    let bodies =
        [("", r#"{"metrics":{"a":1}}"#), ("", r#"{"metrics":{"b":1,"bad":1}}"#), ("", r#"{"metrics":{"c":1}}"#)];
    let handled = rig.handle(&gateway, &sqs(false, &bodies)).await;
    assert_eq!(failures(&handled), ["1"]);
    assert_eq!(rig.requests(), 8, "three requests once, and one five times");
    assert_eq!((handled.summary.samples, handled.summary.series), (3, 3));
}

#[tokio::test]
async fn sends_no_later_samples_of_a_series_after_its_earlier_ones_failed() {
    // Two requests of 60,000 and one sample of one series: the second must not overtake the first.
    let events: Vec<_> =
        (0..=60_000).map(|i| format!(r#"{{"timestamp":{},"metrics":{{"a":{i}}}}}"#, NOW - i)).collect();
    let rig = Rig::new();
    let gateway = rig.gateway(|_| answers(404, ""));
    let handled = rig.handle(&gateway, &format!("[{}]", events.join(","))).await;
    assert_eq!(rig.requests(), 1);
    assert_eq!(handled.summary.errored, 60_001);
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), &format!("[{}]", events.join(","))).await;
    assert_eq!((rig.requests(), handled.summary.samples, handled.summary.series), (2, 60_001, 1));
}

/// Status 429 with a `Retry-After`.
fn busy(retry_after: &str) -> Answer {
    let headers = [(http::header::RETRY_AFTER, retry_after.parse().unwrap())].into_iter().collect();
    Answer { status: 429, headers, ..Answer::default() }
}

fn series(request: &WriteRequest) -> Vec<String> {
    let name = |series: &crate::wire::messages::TimeSeries| {
        series.labels.iter().find(|label| label.name == "__name__").unwrap().value.clone()
    };
    request.timeseries.iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn retries_with_growing_waits_and_then_returns_the_message() {
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(|_| answers(503, "busy")), &events(&["a"])).await;
    assert_eq!((rig.requests(), handled.summary.sent.requests, handled.summary.sent.retries), (5, 5, 4));
    assert_eq!(failures(&handled), ["0"]);
    assert!((0.75..2.25).contains(&handled.summary.stages.send.as_secs_f64()), "{:?}", handled.summary.stages);
    let rig = Rig::new();
    let requests = Arc::clone(&rig.requests);
    let recovers = rig.gateway(move |_| answers(if requests.lock().unwrap().len() < 2 { 429 } else { 200 }, ""));
    let handled = rig.handle(&recovers, &events(&["a"])).await;
    assert_eq!((handled.summary.delivered, handled.summary.sent.requests, handled.summary.sent.retries), (1, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_retry_after_says_if_there_is_time() {
    for (seconds, requests, waited) in [("3", 5, 12.0), ("20", 2, 20.0), ("86400", 1, 0.0)] {
        let rig = Rig::new();
        let handled = rig.handle(&rig.gateway(|_| Ok(busy(seconds))), &events(&["a"])).await;
        assert_eq!(rig.requests(), requests, "{seconds}");
        let send = handled.summary.stages.send.as_secs_f64();
        assert!((waited..=waited * 1.1 + 0.01).contains(&send), "{seconds}: {send}");
    }
}

#[tokio::test]
async fn tries_no_further_request_after_an_answer_that_a_retry_would_not_change() {
    for answer in [answers(404, ""), answers(302, ""), Err(TransportError::Credentials("none".to_owned()))] {
        let rig = Rig { limits: wire::Limits { decoded: 1, compressed: 900_000 }, ..Rig::new() };
        let gateway = rig.gateway(move |request| if has(request, "b") { answer.clone() } else { stored(request) });
        let handled = rig.handle(&gateway, &events(&["a", "b", "c", "d"])).await;
        assert_eq!((failures(&handled), rig.requests()), (vec!["1".to_owned(), "2".to_owned(), "3".to_owned()], 2));
    }
}

#[tokio::test]
async fn returns_events_that_something_before_the_receiver_refused() {
    let texts = [
        "<html><body>400 Bad Request</body></html>",
        r#"{"__type":"IncompleteSignatureException","message":"Authorization header is missing"}"#,
        r#"{"message":"Bad Request"}"#,
        r#"{"Message": "Forbidden", "Code": 3"#,
    ];
    for text in texts {
        let rig = Rig::new();
        let handled = rig.handle(&rig.gateway(move |_| answers(400, text)), &events(&["a", "b"])).await;
        assert_eq!((failures(&handled).len(), rig.requests()), (2, 1), "{text}");
    }
    let named = format!(r#"{{"message":"err-mimir-sample-out-of-order: series={{__name__=\"a\"}}","time":{NOW}}}"#);
    let rig = Rig::new();
    let gateway = rig.gateway(move |request| if has(request, "a") { answers(400, &named) } else { stored(request) });
    let handled = rig.handle(&gateway, &events(&["a", "b"])).await;
    assert_eq!((handled.summary.delivered, handled.summary.rejected_by[Reason::OutOfOrder as usize]), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn retries_a_dead_connection_at_once_and_reloads_credentials_once() {
    for fault in [Err(TransportError::Network("reset".to_owned())), answers(403, "expired")] {
        let rig = Rig::new();
        let requests = Arc::clone(&rig.requests);
        let once = rig.gateway(move |_| {
            if requests.lock().unwrap().is_empty() { fault.clone() } else { stored(&WriteRequest::default()) }
        });
        let handled = rig.handle(&once, &events(&["a"])).await;
        assert_eq!((handled.summary.delivered, rig.requests()), (1, 2));
        assert_eq!(handled.summary.stages.send, Duration::ZERO);
    }
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(|_| answers(403, "")), &events(&["a"])).await;
    assert_eq!((handled.summary.errored, rig.requests()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn finds_the_culprits_and_stores_the_others() {
    let refuses = |request: &WriteRequest| {
        if series(request).iter().any(|name| name.starts_with("bad")) {
            answers(400, "user=1_ws-1: err: sample invalid")
        } else {
            stored(request)
        }
    };
    let rig = Rig::new();
    let names = ["a", "b", "bad1", "c", "d", "e", "bad2", "f"];
    let handled = rig.handle(&rig.gateway(refuses), &events(&names)).await;
    assert!(failures(&handled).is_empty());
    assert_eq!((handled.summary.delivered, handled.summary.rejected), (6, 2));
    let dead_letters = rig.dead_letters.taken.lock().unwrap();
    let dead_lettered: Vec<_> = dead_letters.iter().map(|dead_letter| dead_letter.source_message_id.as_str()).collect();
    assert_eq!(dead_lettered, ["2", "6"]);
    assert_eq!(dead_letters[0].reason, Reason::RefusedByReceiver);
    assert_eq!(dead_letters[0].detail, "the receiver answered 400: user=1_ws-1: err: sample invalid");
    // Nothing is sent again that was answered 2xx.
    let requests = rig.requests.lock().unwrap();
    let accepted = requests.iter().filter(|request| !series(request).iter().any(|name| name.starts_with("bad")));
    let mut sent: Vec<_> = accepted.flat_map(series).collect();
    sent.sort();
    assert_eq!(sent, ["a", "b", "c", "d", "e", "f"]);
}

#[tokio::test(start_paused = true)]
async fn stores_an_equal_sample_for_all_its_events_when_one_of_them_is_refused() {
    let refuses = |request: &WriteRequest| if has(request, "bad") { answers(400, "") } else { stored(request) };
    let rig = Rig::new();
    let bodies = [r#"{"metrics":{"a":1,"bad":1}}"#, r#"{"metrics":{"a":1}}"#, r#"{"metrics":{"a":1,"b":2}}"#];
    let handled = rig.handle(&rig.gateway(refuses), &sqs(false, &bodies.map(|body| ("", body)))).await;
    assert!(failures(&handled).is_empty());
    assert_eq!((handled.summary.delivered, handled.summary.rejected), (2, 1));
    // Two hundred thousand events of one sample are one sample, and no time grows with their square.
    let many = format!("[{}]", vec![r#"{"metrics":{"a":1}}"#; 200_000].join(","));
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(stored), &many).await;
    assert_eq!((handled.summary.delivered, handled.summary.samples), (200_000, 1));
}

#[tokio::test(start_paused = true)]
async fn rejects_all_events_of_a_refused_equal_sample_together() {
    // Two hundred thousand of them: one is sent alone, and no time grows with their square.
    let many = format!("[{}]", vec![r#"{"metrics":{"a":1}}"#; 200_000].join(","));
    let named = format!(r#"out of order sample. timestamp={NOW}, series={{__name__="a"}}"#);
    for (text, requests) in [(named.as_str(), 2), ("", 18)] {
        let rig = Rig::new();
        let handled = rig.handle(&rig.gateway(|_| answers(400, text)), &sqs(false, &[("", &many)])).await;
        assert_eq!((handled.summary.rejected, rig.requests()), (200_000, requests), "{text}");
    }
    // Their other samples are stored.
    let refuses = |request: &WriteRequest| {
        if has(request, "bad") { answers(400, r#"{__name__="bad"}"#) } else { stored(request) }
    };
    let rig = Rig::new();
    let bodies = [r#"{"metrics":{"bad":1}}"#, r#"{"metrics":{"bad":1,"a":1}}"#, r#"{"metrics":{"b":1}}"#];
    let handled = rig.handle(&rig.gateway(refuses), &sqs(false, &bodies.map(|body| ("", body)))).await;
    assert_eq!((handled.summary.delivered, handled.summary.rejected, handled.summary.samples), (1, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn marks_all_events_of_an_equal_sample_that_may_be_stored() {
    // The first message is received for the second time; the other one has the same sample.
    let rig = Rig::new();
    let payload = sqs(false, &[("", r#"{"metrics":{"a":1}}"#); 2]);
    let payload = payload.replacen(r#""ApproximateReceiveCount":"1""#, r#""ApproximateReceiveCount":"2""#, 1);
    let handled = rig.handle(&rig.gateway(|_| answers(400, r#"out of order {__name__="a"}"#)), &payload).await;
    assert_eq!((handled.summary.rejected, handled.summary.maybe_stored), (2, 2));
    // The sample that both have was in the refused request of the first.
    let rig = Rig::new();
    let splits = |request: &WriteRequest| {
        if request.timeseries.len() > 2 { answers(413, "") } else { answers(400, "out of order") }
    };
    let bodies = [r#"{"metrics":{"a":1,"b":1}}"#, r#"{"metrics":{"a":1,"c":1}}"#];
    let handled = rig.handle(&rig.gateway(splits), &sqs(false, &bodies.map(|body| ("", body)))).await;
    assert_eq!((handled.summary.rejected, handled.summary.maybe_stored), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn delivers_a_refused_event_that_is_stored_with_an_equal_one() {
    // The receiver refuses the event alone without a text, and then takes the same sample.
    let rig = Rig::new();
    let requests = Arc::clone(&rig.requests);
    let gives_in =
        rig.gateway(move |_| if requests.lock().unwrap().len() < 2 { answers(400, "") } else { answers(200, "") });
    let bodies = [r#"{"metrics":{"a":1,"b":1}}"#, r#"{"metrics":{"a":1,"b":1}}"#];
    let handled = rig.handle(&gives_in, &sqs(false, &bodies.map(|body| ("", body)))).await;
    assert_eq!((handled.summary.delivered, handled.summary.samples), (2, 2));
    assert!(rig.dead_letters.taken.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn prefers_the_reason_that_no_setting_drops() {
    // Each series gets a request of its own.
    let limits = wire::Limits { decoded: 1, compressed: 900_000 };
    let rig = Rig { limits, vars: vec![("LATE_SAMPLES", "drop")], ..Rig::new() };
    let refuses = |request: &WriteRequest| answers(400, if has(request, "late") { "out of order" } else { "invalid" });
    let handled = rig.handle(&rig.gateway(refuses), &sqs(false, &[("", r#"{"metrics":{"late":1,"bad":1}}"#)])).await;
    assert_eq!((handled.summary.dropped, handled.summary.dead_lettered), (0, 1));
    assert_eq!(rig.dead_letters.taken.lock().unwrap()[0].reason, Reason::RefusedByReceiver);
}

#[tokio::test(start_paused = true)]
async fn reports_the_last_answer_without_a_wait_when_no_request_is_left() {
    // Each series gets a request of its own.
    let events: Vec<_> = (0..600).map(|i| format!(r#"{{"metrics":{{"m{i}":1}}}}"#)).collect();
    let limits = wire::Limits { decoded: 1, compressed: 900_000 };
    let rig = Rig { limits, seconds: 300, ..Rig::new() };
    let requests = Arc::clone(&rig.requests);
    let at_last =
        rig.gateway(move |_| if requests.lock().unwrap().len() < 499 { answers(200, "") } else { Ok(busy("30")) });
    let handled = rig.handle(&at_last, &format!("[{}]", events.join(","))).await;
    assert_eq!((rig.requests(), handled.summary.delivered, handled.summary.stages.send), (500, 499, Duration::ZERO));
    let error = handled.answer.unwrap_err().error_message;
    assert!(error.contains("the receiver answered 429"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn needs_fewer_requests_if_the_error_text_names_a_sample() {
    let names: Vec<_> = (0..200).map(|i| format!("m{i}")).collect();
    let refuses = |request: &WriteRequest| {
        if series(request).contains(&"m77".to_owned()) {
            answers(400, &format!(r#"out of order sample. timestamp={NOW}, series={{__name__="m77"}}"#))
        } else {
            stored(request)
        }
    };
    let rig = Rig::new();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let handled = rig.handle(&rig.gateway(refuses), &events(&names)).await;
    assert_eq!((handled.summary.delivered, handled.summary.rejected, rig.requests()), (199, 1, 3));
    let dead_letters = rig.dead_letters.taken.lock().unwrap();
    // It was named each time, so no request can have stored it.
    assert_eq!((dead_letters[0].reason, dead_letters[0].maybe_stored), (Reason::OutOfOrder, false));
}

#[tokio::test(start_paused = true)]
async fn marks_a_sample_that_a_failed_request_may_have_stored() {
    let rig = Rig::new();
    let requests = Arc::clone(&rig.requests);
    let stores_and_fails = rig.gateway(move |_| {
        if requests.lock().unwrap().is_empty() { answers(500, "") } else { answers(400, "out of order sample") }
    });
    let handled = rig.handle(&stores_and_fails, &events(&["a"])).await;
    assert_eq!((handled.summary.rejected, handled.summary.maybe_stored), (1, 1));
    assert!(rig.dead_letters.taken.lock().unwrap()[0].maybe_stored);
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(|_| answers(400, "out of order sample")), &events(&["a"])).await;
    assert_eq!((handled.summary.rejected, handled.summary.maybe_stored), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn returns_only_the_message_that_is_over_a_workspace_limit() {
    let limited = |request: &WriteRequest| {
        if series(request).contains(&"new".to_owned()) {
            answers(400, "per-user series limit of 3 exceeded")
        } else {
            stored(request)
        }
    };
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(limited), &events(&["a", "new", "b"])).await;
    assert_eq!(failures(&handled), ["1"]);
    assert_eq!((handled.summary.delivered, handled.summary.errored), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn splits_a_request_that_is_too_large_and_rejects_an_event_that_is_so_alone() {
    let small = |request: &WriteRequest| {
        if request.timeseries.len() > 1 || has(request, "big") { answers(413, "") } else { stored(request) }
    };
    let rig = Rig::new();
    let handled = rig.handle(&rig.gateway(small), &events(&["a", "b", "big", "c"])).await;
    assert_eq!((handled.summary.delivered, handled.summary.rejected), (3, 1));
    assert_eq!(rig.dead_letters.taken.lock().unwrap()[0].reason, Reason::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn ends_a_bisection_after_500_requests_and_returns_the_rest() {
    let names: Vec<_> = (0..1_000).map(|i| format!("m{i}")).collect();
    let rig = Rig::new();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let handled = rig.handle(&rig.gateway(|_| answers(400, "")), &events(&names)).await;
    assert_eq!(rig.requests(), 500);
    assert!(handled.summary.rejected > 200 && handled.summary.errored > 200, "{:?}", handled.summary);
}
