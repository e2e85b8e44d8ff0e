//! The Lambda Invoke API in front of a function in this process: `aws lambda invoke --endpoint-url …` and the AWS SDKs work
//! unchanged against a laptop. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
//!
//! The endpoint checks no signatures and accepts any function name. It tries an asynchronous invocation that fails twice
//! more, as Lambda does, only sooner.

mod background;
mod request;
mod response;

use super::runner::{Runner, crashed};
use crate::lambda::Handled;
use crate::listener::{self as server, Body};
use background::Background;
use bytes::Bytes;
use http::{Request, Response};
use request::{Call, parse};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

pub use super::runner::{Function, request_id};
pub use crate::limits::{MAX_ASYNC_BYTES, MAX_SYNC_BYTES};
pub use request::InvocationType;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Ends an invocation.
    pub timeout: Duration,
    /// The waits before the further tries of an asynchronous invocation; Lambda waits one and two minutes.
    pub retry_delays: Vec<Duration>,
}

/// One run of the function.
#[derive(Debug)]
pub struct Invoked<'a> {
    /// Retries keep it.
    pub request_id: &'a str,
    pub invocation_type: InvocationType,
    pub payload_bytes: usize,
    pub handled: &'a Handled,
    pub duration: Duration,
    pub retry_in: Option<Duration>,
}

/// Called after each run.
pub type Observer = Arc<dyn Fn(&Invoked<'_>) + Send + Sync>;

/// Runs the function and reports each run to the observer.
struct Observed<F> {
    runner: Runner<F>,
    retry_delays: Vec<Duration>,
    observer: Observer,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { timeout: seconds(30), retry_delays: vec![seconds(1), seconds(2)] }
    }
}

/// Serves `function` on `listener` until `shutdown`, then waits for the invocations that have begun.
pub async fn run<F: Function>(
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    function: Arc<F>,
    settings: Settings,
    observer: Observer,
) {
    let runner = Runner::new(function, settings.timeout);
    let runner = Arc::new(Observed { runner, retry_delays: settings.retry_delays, observer });
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
    runner: &Arc<Observed<F>>,
    background: &Background,
) -> Response<Bytes> {
    let request_id = request_id();
    let answer = match parse(request) {
        Err(error) => response::service_error(&error),
        Ok(Call { invocation_type: InvocationType::DryRun, .. }) => response::empty(204),
        Ok(Call { invocation_type: InvocationType::RequestResponse, payload }) => {
            let (runner, id) = (Arc::clone(runner), request_id.clone());
            // A task of its own: as on Lambda, the function runs to its end even if the caller goes away.
            let run = async move { runner.once(&id, InvocationType::RequestResponse, payload, None).await.answer };
            response::answer(&tokio::spawn(run).await.unwrap_or_else(|_| Err(crashed())))
        }
        Ok(Call { invocation_type: InvocationType::Event, payload }) => {
            let (runner, id) = (Arc::clone(runner), request_id.clone());
            match background.spawn(async move { runner.with_retries(&id, payload).await }) {
                Ok(()) => response::empty(202),
                Err(error) => response::service_error(&error),
            }
        }
    };
    response::with_request_id(answer, &request_id)
}

impl<F: Function> Observed<F> {
    async fn once(
        &self,
        request_id: &str,
        invocation_type: InvocationType,
        payload: Bytes,
        retry_in: Option<Duration>,
    ) -> Handled {
        let started = Instant::now();
        let payload_bytes = payload.len();
        let handled = self.runner.run(request_id, payload).await;
        let retry_in = retry_in.filter(|_| handled.answer.is_err());
        let duration = started.elapsed();
        (self.observer)(&Invoked { request_id, invocation_type, payload_bytes, handled: &handled, duration, retry_in });
        handled
    }

    async fn with_retries(&self, request_id: &str, payload: Bytes) {
        let delays = self.retry_delays.iter().copied().map(Some).chain([None]);
        for delay in delays {
            let handled = self.once(request_id, InvocationType::Event, payload.clone(), delay).await;
            match delay {
                Some(delay) if handled.answer.is_err() => tokio::time::sleep(delay).await,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
