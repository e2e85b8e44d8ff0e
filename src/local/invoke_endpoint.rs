//! The Lambda Invoke API in front of a function in this process, so that `aws lambda invoke --endpoint-url …` and the
//! AWS SDKs work unchanged against a laptop.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>. Signatures are not checked and any function name
//! is taken. Asynchronous invocations that fail are tried again twice, as Lambda does, only sooner.

mod background;
mod request;
mod response;

use super::http::{self as server, Body};
use super::wall_clock;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::Gateway;
use crate::instrumentation::MetricLine;
use crate::lambda::{FunctionError, Handled, Invocation, handle};
use crate::remote_write::Transport;
use background::Background;
use bytes::Bytes;
use http::{Request, Response};
use request::{Call, parse};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

pub use request::InvocationType;

/// Bytes of the payload of a synchronous invocation.
pub const MAX_SYNC_BYTES: usize = 6 << 20;
/// Bytes of the payload of an asynchronous one (256 KB until October 2025).
pub const MAX_ASYNC_BYTES: usize = 1 << 20;

/// What is behind the endpoint.
pub trait Function: Send + Sync + 'static {
    /// Runs the function once.
    fn invoke(&self, payload: Bytes, invocation: &Invocation) -> impl Future<Output = Handled> + Send;
}

/// How invocations are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What an invocation may take before it is ended as Lambda would.
    pub timeout: Duration,
    /// How long to wait before each further try of an asynchronous invocation; Lambda waits one and two minutes.
    pub retry_delays: Vec<Duration>,
}

/// One run of the function, for whoever watches.
#[derive(Debug)]
pub struct Invoked<'a> {
    /// The id of the invocation; retries keep it.
    pub request_id: &'a str,
    /// How it was invoked.
    pub invocation_type: InvocationType,
    /// Bytes of the payload.
    pub payload_bytes: usize,
    /// What came of it.
    pub handled: &'a Handled,
    /// How long it ran.
    pub duration: Duration,
    /// When it is tried again.
    pub retry_in: Option<Duration>,
}

/// Told of each run.
pub type Observer = Arc<dyn Fn(&Invoked<'_>) + Send + Sync>;

/// Runs the function and tells the observer.
struct Runner<F> {
    function: Arc<F>,
    settings: Settings,
    observer: Observer,
}

// === impl Function ===

impl<T: Transport + 'static, D: DeadLetterQueue + 'static> Function for Gateway<T, D> {
    async fn invoke(&self, payload: Bytes, invocation: &Invocation) -> Handled {
        handle(self, payload, invocation).await
    }
}

// === impl Settings ===

impl Default for Settings {
    /// Half a minute, and tries after one and two seconds.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { timeout: seconds(30), retry_delays: vec![seconds(1), seconds(2)] }
    }
}

/// Serves `function` on `listener` until `shutdown`, then lets invocations under way end.
pub async fn run<F: Function>(
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    function: Arc<F>,
    settings: Settings,
    observer: Observer,
) {
    let runner = Arc::new(Runner { function, settings, observer });
    let background = Background::new();
    let answer = {
        let background = background.clone();
        move |request: Request<Body>| {
            let (runner, background) = (Arc::clone(&runner), background.clone());
            async move { respond(request, &runner, &background).await }
        }
    };
    server::serve(listener, shutdown, MAX_SYNC_BYTES, answer).await;
    background.finish().await;
}

async fn respond<F: Function>(
    request: Request<Body>,
    runner: &Arc<Runner<F>>,
    background: &Background,
) -> Response<Bytes> {
    let request_id = request_id();
    let answer = match parse(request) {
        Err(refusal) => response::refusal(&refusal),
        Ok(Call { invocation_type: InvocationType::DryRun, .. }) => response::empty(204),
        Ok(Call { invocation_type: InvocationType::RequestResponse, payload }) => {
            let (runner, id) = (Arc::clone(runner), request_id.clone());
            // A task of its own: the function runs to its end even if the caller goes away, as on Lambda.
            let run =
                tokio::spawn(
                    async move { runner.once(&id, InvocationType::RequestResponse, payload, None).await.answer },
                );
            response::answer(&run.await.unwrap_or_else(|_| Err(crashed())))
        }
        Ok(Call { invocation_type: InvocationType::Event, payload }) => {
            let (runner, id) = (Arc::clone(runner), request_id.clone());
            match background.spawn(async move { runner.with_retries(&id, payload).await }) {
                Ok(()) => response::empty(202),
                Err(refusal) => response::refusal(&refusal),
            }
        }
    };
    response::with_request_id(answer, &request_id)
}

// === impl Runner ===

impl<F: Function> Runner<F> {
    /// One run, ended by Lambda's words where it takes too long or panics.
    async fn once(
        &self,
        request_id: &str,
        invocation_type: InvocationType,
        payload: Bytes,
        retry_in: Option<Duration>,
    ) -> Handled {
        let started = Instant::now();
        let payload_bytes = payload.len();
        let timeout = self.settings.timeout;
        let invocation =
            Invocation { request_id: request_id.to_owned(), started: wall_clock(), deadline: started + timeout };
        let function = Arc::clone(&self.function);
        let mut run = tokio::spawn(async move { function.invoke(payload, &invocation).await });
        let handled = match tokio::time::timeout(timeout, &mut run).await {
            Ok(Ok(handled)) => handled,
            Ok(Err(_)) => failed(crashed()),
            Err(_) => {
                run.abort();
                failed(timed_out(request_id, timeout))
            }
        };
        let retry_in = retry_in.filter(|_| handled.answer.is_err());
        let duration = started.elapsed();
        (self.observer)(&Invoked { request_id, invocation_type, payload_bytes, handled: &handled, duration, retry_in });
        handled
    }

    async fn with_retries(&self, request_id: &str, payload: Bytes) {
        let delays = self.settings.retry_delays.iter().copied().map(Some).chain([None]);
        for delay in delays {
            let handled = self.once(request_id, InvocationType::Event, payload.clone(), delay).await;
            match delay {
                Some(delay) if handled.answer.is_err() => tokio::time::sleep(delay).await,
                _ => return,
            }
        }
    }
}

fn failed(error: FunctionError) -> Handled {
    Handled { answer: Err(error), metrics: MetricLine::default(), trigger: "direct" }
}

fn crashed() -> FunctionError {
    FunctionError {
        error_type: "Runtime.ExitError".to_owned(),
        error_message: "the function panicked; the panic's message is on standard error".to_owned(),
    }
}

fn timed_out(request_id: &str, timeout: Duration) -> FunctionError {
    FunctionError {
        error_type: "Sandbox.Timedout".to_owned(),
        error_message: format!(
            "RequestId: {request_id} Error: Task timed out after {:.2} seconds",
            timeout.as_secs_f64()
        ),
    }
}

/// A random UUID. Hash maps' own seeds are random enough for an id that nobody guesses for gain.
#[must_use]
pub fn request_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    let variant = 0x8000 | (low >> 48 & 0x3fff);
    let (first, second, third) = (high >> 32, high >> 16 & 0xffff, high & 0xfff);
    format!("{first:08x}-{second:04x}-4{third:03x}-{variant:04x}-{:012x}", low & 0xffff_ffff_ffff)
}

impl<F> fmt::Debug for Runner<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
