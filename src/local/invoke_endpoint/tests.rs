//! Tests the endpoint with a function that does what its payload says.

use super::*;
use crate::gateway::Summary;
use crate::lambda::{FunctionError, Invocation};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

struct Obedient;

impl Function for Obedient {
    async fn invoke(&self, payload: Bytes, _: &Invocation) -> Handled {
        let answer = match payload.as_ref() {
            b"\"fail\"" => Err(FunctionError {
                error_type: "invalid_value".to_owned(),
                error_message: "metrics.ph: \"abc\" is not a number".to_owned(),
            }),
            b"\"panic\"" => panic!("on demand"),
            b"\"hang\"" => std::future::pending().await,
            other => Ok(String::from_utf8(other.to_vec()).unwrap()),
        };
        Handled { answer, summary: Summary::default(), trigger: "direct", http: None }
    }
}

/// Returns the raw answer, and for each run of the function true if it succeeded.
async fn invoke(invocation_type: &str, payload: &str) -> (String, Vec<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let observer: Observer = {
        let runs = Arc::clone(&runs);
        Arc::new(move |invoked: &Invoked<'_>| runs.lock().unwrap().push(invoked.handled.answer.is_ok()))
    };
    let settings = Settings { timeout: Duration::from_millis(200), retry_delays: vec![Duration::from_millis(10); 2] };
    let shutdown = async { drop(stopped.await) };
    let endpoint = tokio::spawn(run(listener, shutdown, Arc::new(Obedient), settings, observer));
    let request = format!(
        "POST /2015-03-31/functions/ingest/invocations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         x-amz-invocation-type: {invocation_type}\r\ncontent-length: {}\r\n\r\n{payload}",
        payload.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    drop(stop);
    endpoint.await.unwrap();
    let runs = runs.lock().unwrap().clone();
    (answer, runs)
}

#[tokio::test]
async fn passes_on_the_answer_of_the_function() {
    let (answer, runs) = invoke("RequestResponse", "{\"a\": 1.0}").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("{\"a\": 1.0}"), "{answer}");
    assert!(answer.contains("x-amzn-requestid: ") && !answer.contains("x-amz-function-error"), "{answer}");
    assert_eq!(runs, [true]);
}

#[tokio::test]
async fn answers_a_function_error_with_200_a_header_and_both_fields() {
    let (answer, runs) = invoke("RequestResponse", "\"fail\"").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("x-amz-function-error: Unhandled"), "{answer}");
    let body = r#"{"errorMessage":"metrics.ph: \"abc\" is not a number","errorType":"invalid_value"}"#;
    assert!(answer.ends_with(body), "{answer}");
    assert_eq!(runs, [false]);
}

#[tokio::test]
async fn ends_a_function_that_panics_or_hangs_as_lambda_does() {
    for (payload, error_text) in [("\"panic\"", "Runtime.ExitError"), ("\"hang\"", "Task timed out after 0.20 seconds")]
    {
        let (answer, runs) = invoke("RequestResponse", payload).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains(error_text), "{answer}");
        assert_eq!(runs, [false]);
    }
}

#[tokio::test]
async fn answers_an_event_with_202_and_tries_it_three_times_if_it_fails() {
    for (payload, expected) in [("1", vec![true]), ("\"fail\"", vec![false; 3])] {
        let (answer, runs) = invoke("Event", payload).await;
        assert!(answer.starts_with("HTTP/1.1 202 Accepted") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(runs, expected, "{payload}");
    }
}

#[tokio::test]
async fn answers_a_dry_run_without_a_run() {
    let (answer, runs) = invoke("DryRun", "\"fail\"").await;
    assert!(answer.starts_with("HTTP/1.1 204 No Content"), "{answer}");
    assert!(runs.is_empty());
}

#[test]
fn returns_a_random_uuid() {
    let id = request_id();
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert!(id.chars().nth(14) == Some('4') && id.chars().nth(19).is_some_and(|c| "89ab".contains(c)), "{id}");
    assert_ne!(id, request_id());
}
