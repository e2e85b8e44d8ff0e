//! The loop: gets the next invocation from the Lambda Runtime API, and sends its answer back.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use super::{FunctionError, Invocation, handle};
use crate::aws::Transport;
use crate::config::EmbeddedMetrics;
use crate::dead_letter::DeadLetterQueue;
use crate::http::Door;
use crate::instrumentation::{Invoked, metric_line};
use crate::model::Timestamp;
use bytes::Bytes;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, LambdaInvocation, Runtime};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

/// Serves invocations until a request to the Runtime API fails. Lambda then starts the environment again.
pub async fn serve<T, D>(door: Door<T, D>, embedded: EmbeddedMetrics) -> Result<(), lambda_runtime::Error>
where
    T: Transport + 'static,
    D: DeadLetterQueue + 'static,
{
    let door = Arc::new(door);
    let payloads = Payloads::default();
    let taken = payloads.clone();
    let handler = service_fn(move |event: LambdaEvent<IgnoredAny>| {
        let door = Arc::clone(&door);
        let payload = taken.take(&event.context.request_id);
        async move { answer(&door, payload, &event.context, embedded).await }
    });
    // In a task of its own: each wake of the program's main future would cost a system call.
    tokio::spawn(Runtime::new(handler).layer(payloads).run_concurrent()).await?
}

async fn answer<T: Transport, D: DeadLetterQueue>(
    door: &Door<T, D>,
    payload: Bytes,
    context: &Context,
    embedded: EmbeddedMetrics,
) -> Result<Box<RawValue>, Diagnostic> {
    let started = now();
    let remaining = context.deadline.saturating_sub(started.0.unsigned_abs());
    let invocation = Invocation {
        request_id: context.request_id.clone(),
        started,
        deadline: Instant::now() + Duration::from_millis(remaining),
    };
    let handled = handle(door, payload, &invocation).await;
    let function_name = &context.env_config.function_name;
    let Invocation { request_id, started, .. } = &invocation;
    let http = handled.http;
    // Health is asked for every few seconds, and nothing happens then.
    if !matches!(http, Some((None, _))) {
        let http = http.and_then(|(route, status)| Some((route?, status)));
        let invoked = Invoked { function_name, request_id, trigger: handled.trigger, http, timestamp_ms: started.0 };
        print_line(&metric_line(&handled.summary, invoked, embedded));
    }
    let answer = handled.answer.map_err(diagnostic)?;
    RawValue::from_string(answer).map_err(|error| {
        diagnostic(FunctionError {
            error_type: "delivery_failed".to_owned(),
            error_message: format!("a defect of the gateway: its answer is not JSON: {error}"),
        })
    })
}

/// Reads the wall clock.
pub fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

fn diagnostic(error: FunctionError) -> Diagnostic {
    Diagnostic { error_type: error.error_type, error_message: error.error_message }
}

/// Prints the metric line at once, whatever the log filter is.
fn print_line(line: &str) {
    // Without standard output there is nowhere to report the error.
    let _written = std::io::stdout().write_all(line.as_bytes());
}

/// Hides the payloads of invocations from the runtime.
///
/// The runtime would parse each as JSON into something owned, and itself answer what is not JSON. For a payload of 6 MB
/// that takes longer than all the rest. So the runtime gets `null`, and the handler takes the bytes from here.
#[derive(Clone, Default)]
struct Payloads(Arc<Mutex<HashMap<String, Bytes>>>);

/// The runtime's own service, with [`Payloads`] in front.
#[derive(Clone)]
struct Taking<S> {
    inner: S,
    payloads: Payloads,
}

impl Payloads {
    fn put(&self, request_id: String, payload: Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(request_id, payload);
    }

    fn take(&self, request_id: &str) -> Bytes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(request_id).unwrap_or_default()
    }
}

impl<S> Layer<S> for Payloads {
    type Service = Taking<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Taking { inner, payloads: self.clone() }
    }
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for Taking<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        let payload = std::mem::replace(&mut invocation.body, Bytes::from_static(b"null"));
        self.payloads.put(invocation.context.request_id.clone(), payload);
        self.inner.call(invocation)
    }
}
