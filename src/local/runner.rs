//! Runs the function. If it takes too long, the run ends as on Lambda.

use super::wall_clock;
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::Summary;
use crate::http::Door;
use crate::lambda::{FunctionError, Handled, Invocation, handle};
use bytes::Bytes;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A function that the invoke endpoint or the event source runs.
pub trait Function: Send + Sync + 'static {
    fn invoke(&self, payload: Bytes, invocation: &Invocation) -> impl Future<Output = Handled> + Send;
}

#[derive(Debug)]
pub(super) struct Runner<F> {
    function: Arc<F>,
    timeout: Duration,
}

impl<T: Transport + 'static, D: DeadLetterQueue + 'static> Function for Door<T, D> {
    async fn invoke(&self, payload: Bytes, invocation: &Invocation) -> Handled {
        handle(self, payload, invocation).await
    }
}

impl<F: Function> Runner<F> {
    pub(super) fn new(function: Arc<F>, timeout: Duration) -> Self {
        Self { function, timeout }
    }

    /// Runs the function once. If it takes too long or panics, the error is Lambda's.
    pub(super) async fn run(&self, request_id: &str, payload: Bytes) -> Handled {
        let deadline = Instant::now() + self.timeout;
        let invocation = Invocation { request_id: request_id.to_owned(), started: wall_clock(), deadline };
        let function = Arc::clone(&self.function);
        let mut run = tokio::spawn(async move { function.invoke(payload, &invocation).await });
        match tokio::time::timeout_at(deadline, &mut run).await {
            Ok(Ok(handled)) => handled,
            Ok(Err(_)) => failed(crashed()),
            Err(_) => {
                run.abort();
                failed(timed_out(request_id, self.timeout))
            }
        }
    }
}

fn failed(error: FunctionError) -> Handled {
    Handled { answer: Err(error), summary: Summary::default(), trigger: "direct", http: None }
}

pub(super) fn crashed() -> FunctionError {
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

/// Returns a random UUID. The seeds of hash maps are random enough, because nobody gains by guessing an id.
pub fn request_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    let variant = 0x8000 | (low >> 48 & 0x3fff);
    let (first, second, third) = (high >> 32, high >> 16 & 0xffff, high & 0xfff);
    format!("{first:08x}-{second:04x}-4{third:03x}-{variant:04x}-{:012x}", low & 0xffff_ffff_ffff)
}
