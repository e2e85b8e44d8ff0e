//! The Lambda extension: a layer that sends the telemetry of any function, and the function's own metrics, to the gateway.
//!
//! ```text
//! Telemetry API, StatsD, POST /events -> listeners -> Buffer -> Dispatcher -> the gateway's queue, or a Pushgateway
//!                                Extensions API: INVOKE, SHUTDOWN ---^
//! ```
//!
//! * A failing destination never makes an invocation fail or take longer. A dispatch runs beside the function. It ends at
//!   most `DISPATCH_TIMEOUT` after the function has answered, and before the deadline of the invocation.
//! * With wrong settings, or after a panic, the extension logs one line, and still asks for events. If it exited, Lambda would
//!   restart the function.
//! * While the extension asks for the next event, Lambda may freeze the environment for any time, or kill it.
//! * After SHUTDOWN or SIGTERM the extension dispatches within two seconds what it has, and exits with 0.
//!
//! To deploy it, put the program `amp-push-extension` (`--no-default-features --features extension`, profile `lambda`) into
//! a layer as `extensions/amp-push-extension`, with mode 755. Its settings are variables of the function
//! ([`crate::config::extension`]):
//!
//! | variable | default |
//! |---|---|
//! | `PUSH_QUEUE_URL`, or `GATEWAY` with `AUTH_SECRET` | one of them is required |
//! | `DISPATCH_MIN_BATCH_SIZE`, `DISPATCH_MAX_AGE`, `DISPATCH_TIMEOUT` | `100`, `10s`, `1s` |
//! | `VERSION_LABEL`, `HISTOGRAM_BUCKETS`, `LOGS` | `off`, none, `off` |
//! | `STATSD`, `EVENTS` | `on` (8125), `on` (9091); `off`, or another port |
//! | `EXTENSION_LOG` | `info` |
//!
//! The function's role needs `sqs:SendMessage` on the queue, or `secretsmanager:GetSecretValue` on the secret. The gateway needs a table.

mod api;
mod buffer;
mod connection;
mod deliveries;
mod dispatcher;
mod gauges;
mod http1;
mod listeners;
mod pushgateway;
mod queue;
mod terminated;
mod totals;
mod unread;

use crate::config::SettingsErrors;
use crate::config::extension::{ExtensionSettings, LambdaEnvironment};
use crate::lambda::catch_panic;
use crate::lambda::runtime::now as wall_clock;
use crate::model::Timestamp;
use api::{Api, ApiError, NextEvent, Registered, Subscribed};
use buffer::Buffer;
use dispatcher::Dispatcher;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use terminated::Terminated;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A dispatch takes at most this time, or `DISPATCH_TIMEOUT` if that is longer, however long the function runs. It is
/// also the limit if the record about the answer is late.
const LONGEST_DISPATCH: Duration = Duration::from_secs(3);

/// A dispatch ends at least this time before Lambda ends the invocation.
const INVOCATION_MARGIN: Duration = Duration::from_millis(200);

/// Lambda kills an extension two seconds after SHUTDOWN.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(2);

/// The part of it that is left for the exit.
const SHUTDOWN_MARGIN: Duration = Duration::from_millis(100);

/// The last report comes with SHUTDOWN. This is the longest wait for it.
const LONGEST_WAIT_FOR_REPORT: Duration = Duration::from_millis(500);

/// On a Managed Instance the extension checks in this interval whether a dispatch is due.
const MANAGED_INTERVAL: Duration = Duration::from_secs(1);

/// How often the task yields, so that a delivery gets from a connection to the buffer; with a reserve.
const TURNS_OF_DELIVERIES: u32 = 8;

/// The most consecutive failed calls of the Extensions API. After them the environment is taken as gone.
const MOST_FAILURES: u32 = 60;

/// Lambda knows an extension by the name of its file.
const NAME_WITHOUT_FILE: &str = "amp-push-extension";

/// Runs until SHUTDOWN. `settings` that are wrong are logged, and the extension then only asks for events.
pub async fn run(
    lambda: LambdaEnvironment,
    settings: Result<ExtensionSettings, SettingsErrors>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let api = Api::new(lambda.runtime_api.clone(), file_name());
    let registered = register(&api, !lambda.is_managed_instance).await?;
    let terminated = Terminated::new();
    match settings {
        // The panic itself is logged. Nothing of the work is used after it but the buffer, whose locks allow for that.
        Ok(settings) => match catch_panic(serve(&lambda, settings, &registered, &terminated)).await {
            Some(served) => served?,
            None => only_ask(&registered, &terminated).await?,
        },
        Err(errors) => {
            let errors: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
            tracing::error!(errors = errors.join("; "), "wrong settings: the extension does nothing");
            only_ask(&registered, &terminated).await?;
        }
    }
    Ok(())
}

/// Asks for events until SHUTDOWN or SIGTERM, and does nothing else.
async fn only_ask(registered: &Registered<'_>, terminated: &Terminated) -> Result<(), ApiError> {
    let asked = async {
        while !matches!(next(registered).await?, NextEvent::Shutdown { .. }) {}
        Ok(())
    };
    tokio::select! {
        biased;
        ended = asked => ended,
        () = terminated.received() => Ok(()),
    }
}

fn file_name() -> String {
    let path = std::env::current_exe().ok();
    let name = path.as_ref().and_then(|path| path.file_name()?.to_str());
    name.unwrap_or(NAME_WITHOUT_FILE).to_owned()
}

async fn serve(
    lambda: &LambdaEnvironment,
    settings: ExtensionSettings,
    registered: &Registered<'_>,
    terminated: &Terminated,
) -> Result<(), ApiError> {
    let logs = settings.platform.logs;
    let buffer = Arc::new(Buffer::new(settings.platform, lambda.is_snap_start));
    let has_telemetry = match deliveries::take(Arc::clone(&buffer)).await {
        Ok(port) => subscribe(registered, port, logs).await,
        Err(error) => {
            tracing::error!(%error, "no port for the Telemetry API: there will be no metrics of the platform");
            false
        }
    };
    if let Some(port) = settings.statsd_port {
        log_taken_port("STATSD", port, listeners::take_statsd(port, Arc::clone(&buffer)).await);
    }
    if let Some(port) = settings.events_port {
        log_taken_port("EVENTS", port, listeners::take_events(port, Arc::clone(&buffer)).await);
    }
    let function_name = &lambda.function_name;
    let (destination, dispatch) = (settings.destination, settings.dispatch);
    let dispatcher = Dispatcher::new(destination, dispatch, function_name, Arc::clone(&buffer));
    let mut work = Work { registered, buffer, dispatcher, has_telemetry, timeout: dispatch.timeout, last: None };
    let shutdown = tokio::select! {
        biased;
        shutdown = work.until_shutdown() => shutdown?,
        () = terminated.received() => {
            Shutdown { reason: "SIGTERM".to_owned(), left: LONGEST_SHUTDOWN }
        }
    };
    work.shut_down(shutdown).await;
    Ok(())
}

fn log_taken_port(setting: &'static str, port: u16, bound: io::Result<()>) {
    if let Err(error) = bound {
        tracing::warn!(setting, port, %error, "the port cannot be used, so the extension takes no metrics there");
    }
}

async fn register(api: &Api, wants_invocations: bool) -> Result<Registered<'_>, ApiError> {
    let mut failures = 0;
    loop {
        match api.register(wants_invocations).await {
            Ok(registered) => return Ok(registered),
            Err(error) => pause(&mut failures, error, "register").await?,
        }
    }
}

async fn subscribe(registered: &Registered<'_>, port: u16, logs: bool) -> bool {
    match registered.subscribe(port, logs).await {
        Ok(Subscribed::Yes) => return true,
        Ok(Subscribed::NotSupported) => tracing::warn!("this sandbox has no Telemetry API"),
        Err(error) => tracing::error!(error = error.to_string(), "no telemetry: the subscription failed"),
    }
    false
}

async fn next(registered: &Registered<'_>) -> Result<NextEvent, ApiError> {
    let mut failures = 0;
    loop {
        match registered.next().await {
            Ok(event) => return Ok(event),
            Err(error) => pause(&mut failures, error, "next").await?,
        }
    }
}

/// Waits before a call is repeated. Returns the error if it failed too often.
async fn pause(failures: &mut u32, error: ApiError, call: &'static str) -> Result<(), ApiError> {
    *failures += 1;
    if *failures == 1 {
        tracing::warn!(error = error.to_string(), call, "the Extensions API failed");
    }
    if *failures == MOST_FAILURES {
        return Err(error);
    }
    sleep(Duration::from_millis(20).saturating_mul(2_u32.pow((*failures).min(6) - 1))).await;
    Ok(())
}

/// The loop of the extension.
struct Work<'a> {
    registered: &'a Registered<'a>,
    buffer: Arc<Buffer>,
    dispatcher: Dispatcher,
    has_telemetry: bool,
    timeout: Duration,
    /// The last invocation.
    last: Option<String>,
}

/// The end of the environment.
struct Shutdown {
    reason: String,
    /// The time until Lambda kills the extension.
    left: Duration,
}

impl Work<'_> {
    /// It may be dropped at any await.
    async fn until_shutdown(&mut self) -> Result<Shutdown, ApiError> {
        if self.registered.gets_invocations { self.beside_invocations().await } else { self.by_the_clock().await }
    }

    /// Dispatches when an invocation begins.
    async fn beside_invocations(&mut self) -> Result<Shutdown, ApiError> {
        loop {
            match next(self.registered).await? {
                NextEvent::Invoke { request_id, deadline } => {
                    if self.dispatcher.is_due(false) {
                        // Deliveries that waited while the environment was frozen are ready now, and come first.
                        for _ in 0..TURNS_OF_DELIVERIES {
                            yield_now().await;
                        }
                        let given_up = given_up(&self.buffer, &request_id, deadline, self.timeout, self.has_telemetry);
                        self.dispatcher.dispatch(given_up).await;
                    }
                    self.last = Some(request_id);
                }
                NextEvent::Shutdown { reason, deadline } => return Ok(Shutdown { reason, left: until(deadline) }),
                NextEvent::Other => {}
            }
        }
    }

    /// Dispatches by age: a Managed Instance is never frozen, and reports no invocation to the extension.
    async fn by_the_clock(&mut self) -> Result<Shutdown, ApiError> {
        let registered = self.registered;
        let mut event = pin!(next(registered));
        loop {
            let happened = tokio::select! {
                biased;
                happened = &mut event => Some(happened),
                () = sleep(MANAGED_INTERVAL) => None,
            };
            let happened = match happened {
                None if self.dispatcher.is_due(true) => tokio::select! {
                    biased;
                    // A dispatch that is dropped here is repeated by `shut_down`.
                    happened = &mut event => Some(happened),
                    () = self.dispatcher.dispatch(sleep(LONGEST_DISPATCH.max(self.timeout))) => None,
                },
                other => other,
            };
            match happened {
                Some(Ok(NextEvent::Shutdown { reason, deadline })) => {
                    return Ok(Shutdown { reason, left: until(deadline) });
                }
                Some(Ok(_)) => event.set(next(registered)),
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
    }

    /// Waits for the last report, and dispatches what is left.
    async fn shut_down(mut self, Shutdown { reason, left }: Shutdown) {
        tracing::debug!(reason, "shutdown");
        let left = left.min(LONGEST_SHUTDOWN).saturating_sub(SHUTDOWN_MARGIN);
        let end = Instant::now() + left;
        let wait = LONGEST_WAIT_FOR_REPORT.min(left / 4);
        match &self.last {
            Some(request_id) if self.has_telemetry => {
                let _reported = timeout(wait, self.buffer.reported(request_id)).await.is_ok();
            }
            // Records are delivered after 25 ms at the latest.
            _ => sleep(wait.min(Duration::from_millis(50))).await,
        }
        self.dispatcher.finish(end).await;
    }
}

/// Waits until the dispatch must be given up, because it would delay the function or outlive its invocation.
async fn given_up(buffer: &Buffer, request_id: &str, deadline: Timestamp, patience: Duration, has_telemetry: bool) {
    let begun = Instant::now();
    let latest = begun + LONGEST_DISPATCH.max(patience).min(until(deadline).saturating_sub(INVOCATION_MARGIN));
    let after_answer = async {
        // Without telemetry nobody says when the function has answered.
        if has_telemetry {
            buffer.answered(request_id).await;
        }
        sleep(patience).await;
    };
    tokio::select! {
        () = after_answer => {}
        () = sleep_until(latest) => {}
    }
}

fn until(deadline: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(deadline.since(wall_clock())).unwrap_or_default())
}
