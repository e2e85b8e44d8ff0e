//! The extension (`EXTENSION_BIN`) as a process in an environment of `lambda-simulator`, which others wrote by the documents of AWS. It
//! freezes processes between invocations (SIGSTOP). `tests/contract/test_extension*.py` have the other tests of the extension.

use lambda_simulator::process::{ProcessConfig, ProcessRole};
use lambda_simulator::{DeliveryPolicy, FreezeMode, ShutdownReason, Simulator};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const LONG: Duration = Duration::from_secs(20);

/// A queue of SQS that keeps the bodies of messages.
#[derive(Clone, Default)]
struct Queue(Arc<Mutex<Vec<String>>>);

impl Queue {
    /// Returns the URL.
    async fn start(&self) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/123456789012/metrics", socket.local_addr().unwrap());
        let bodies = Arc::clone(&self.0);
        let answer = move |body: String| async move {
            let call: Value = serde_json::from_str(&body).unwrap();
            let message = call["MessageBody"].as_str().unwrap().to_owned();
            let digest: String = Md5::digest(&message).iter().map(|byte| format!("{byte:02x}")).collect();
            bodies.lock().unwrap().push(message);
            json!({ "MessageId": "m", "MD5OfMessageBody": digest }).to_string()
        };
        let router = axum::Router::new().route("/", axum::routing::post(answer));
        tokio::spawn(async move { axum::serve(socket, router).await });
        url
    }

    /// Returns the sums of counters, and the numbers of observations, by name and `status`, `type` or `outcome`.
    fn sums(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for body in self.0.lock().unwrap().iter() {
            for event in serde_json::from_str::<Vec<Value>>(body).unwrap() {
                let label = ["status", "type", "outcome"].iter().find_map(|label| event["labels"][label].as_str());
                let key = format!("{} {}", event["name"].as_str().unwrap(), label.unwrap_or_default());
                let amount = match (&event["value"], &event["counts"]) {
                    (Value::Array(_), Value::Array(counts)) => counts.iter().filter_map(Value::as_u64).sum(),
                    (Value::Array(values), _) => values.len() as u64,
                    (value, _) => value.as_u64().unwrap_or_default(),
                };
                *sums.entry(key.trim_end().to_owned()).or_default() += amount;
            }
        }
        sums
    }
}

/// A function that works for so long that records of the invocation before it arrive meanwhile.
fn start_function(runtime_api: String) {
    tokio::spawn(async move {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("{runtime_api}/2018-06-01/runtime/invocation");
        while let Ok(next) = client.get(format!("{base}/next")).send().await {
            let Some(id) = next.headers().get("lambda-runtime-aws-request-id") else { return };
            let url = format!("{base}/{}/response", id.to_str().unwrap());
            tokio::time::sleep(Duration::from_millis(60)).await;
            if client.post(url).body("{}").send().await.is_err() {
                return;
            }
        }
    });
}

fn extension(queue_url: &str) -> ProcessConfig {
    let settings = [
        ("PUSH_QUEUE_URL", queue_url),
        ("DISPATCH_MIN_BATCH_SIZE", "1"),
        ("DISPATCH_TIMEOUT", "200ms"),
        ("STATSD", "off"),
        ("EVENTS", "off"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let program = ProcessConfig::new(std::env::var("EXTENSION_BIN").unwrap(), ProcessRole::Extension);
    settings.iter().fold(program, |program, (name, value)| program.env(*name, *value))
}

async fn simulator() -> Simulator {
    let builder = Simulator::builder().function_name("f").freeze_mode(FreezeMode::Process);
    builder.shutdown_timeout(Duration::from_secs(2)).build().await.unwrap()
}

/// Starts the function once the extension has registered: no extension may register later.
async fn registered(simulator: &Simulator) {
    simulator.wait_for(|| async { simulator.extension_count().await == 1 }, LONG).await.unwrap();
    start_function(simulator.runtime_api_url());
}

/// Invokes the function four times, and waits after each until the environment is frozen.
async fn invoke_and_freeze(simulator: &Simulator) {
    for _ in 0..4 {
        invoke(simulator).await;
        simulator.wait_for_frozen(LONG).await.unwrap();
    }
}

async fn invoke(simulator: &Simulator) -> String {
    let request_id = simulator.enqueue_payload(json!({})).await;
    simulator.wait_for_invocation_complete(&request_id, LONG).await.unwrap();
    request_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_every_invocation_of_an_environment_that_is_frozen_between_them() {
    let (queue, simulator) = (Queue::default(), simulator().await);
    let mut process = simulator.spawn_process_with_config(extension(&queue.start().await)).unwrap();
    registered(&simulator).await;
    invoke_and_freeze(&simulator).await;
    simulator.graceful_shutdown(ShutdownReason::Spindown).await;
    assert!(process.wait().unwrap().success());
    let sums = queue.sums();
    assert_eq!(sums["lambda_invocations_total success"], 4, "{sums:?}");
    assert_eq!(sums["lambda_duration_seconds"], 4, "{sums:?}");
    assert!(sums["lambda_extension_dispatches_total success"] >= 1, "{sums:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_environment_has_dispatched_its_earlier_records() {
    let (queue, simulator) = (Queue::default(), simulator().await);
    let mut process = simulator.spawn_process_with_config(extension(&queue.start().await)).unwrap();
    registered(&simulator).await;
    invoke_and_freeze(&simulator).await;
    process.kill().unwrap();
    let sums = queue.sums();
    // A record that was on its way when the environment was frozen arrives in the next invocation, and is dispatched in the one behind it.
    assert!((1..=3).contains(&sums["lambda_invocations_total success"]), "{sums:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_never_answers_holds_an_invocation_up_for_the_timeout_even_if_records_are_late() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/123456789012/metrics", silent.local_addr().unwrap());
    let simulator = simulator().await;
    simulator
        .set_telemetry_delivery_policy("platform.runtimeDone", DeliveryPolicy::Delay(Duration::from_millis(300)))
        .await;
    let mut process = simulator.spawn_process_with_config(extension(&url)).unwrap();
    registered(&simulator).await;
    for _ in 0..3 {
        let begun = Instant::now();
        invoke(&simulator).await;
        simulator.wait_for_frozen(LONG).await.unwrap();
        // Three times 200 ms, for slow machines.
        assert!(begun.elapsed() < Duration::from_millis(300 + 600), "{:?}", begun.elapsed());
    }
    let begun = Instant::now();
    simulator.graceful_shutdown(ShutdownReason::Spindown).await;
    assert!(process.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
}
