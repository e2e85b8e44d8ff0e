//! Who takes the load: a queue, a local invoke endpoint, or the function's own handler in this process.

use super::http::Http;
use crate::fault::Fault;
use crate::redrive::{Outgoing, Queue};
use amp_push_gateway::aws::{HttpTransport, Signed};
use amp_push_gateway::dead_letter::is_fifo;
use amp_push_gateway::gateway::Gateway;
use amp_push_gateway::lambda::report::{FunctionError, Report};
use amp_push_gateway::lambda::{Invocation, handle};
use amp_push_gateway::local::dead_letters::InMemoryDeadLetters;
use amp_push_gateway::local::invoke_endpoint::request_id;
use amp_push_gateway::local::wall_clock;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// What an invocation may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Messages of one call of a queue.
const BATCH: usize = 10;

/// One of three.
#[derive(Debug)]
pub(super) enum Target {
    Queue { queue: Queue, is_fifo: bool },
    Endpoint { http: Http, url: Url },
    Handler(Box<Gateway<Signed<HttpTransport>, InMemoryDeadLetters>>),
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) events: usize,
    /// Messages of one group stay in order.
    pub(super) group: usize,
}

/// What became of one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// A queue has it.
    Taken,
    Stored,
    /// With its reason.
    Refused(String),
    /// In words.
    Failed(String),
}

// === impl Target ===

impl Target {
    pub(super) async fn queue(url: &Url) -> Result<Self, Fault> {
        let queue = Queue::new(url).await;
        queue.length().await.map_err(Fault::Failed)?;
        Ok(Self::Queue { queue, is_fifo: is_fifo(url.path()) })
    }

    /// The function `name` behind the Invoke API at `base`.
    pub(super) fn endpoint(http: Http, base: &Url, name: &str) -> Self {
        let mut url = base.clone();
        url.set_path(&format!("{}/2015-03-31/functions/{name}/invocations", base.path().trim_end_matches('/')));
        Self::Endpoint { http, url }
    }

    /// How many messages go together.
    pub(super) fn batch(&self) -> usize {
        if matches!(self, Self::Queue { .. }) { BATCH } else { 1 }
    }

    /// Whether it says of each event what became of it.
    pub(super) fn tells(&self) -> bool {
        !matches!(self, Self::Queue { .. })
    }

    /// The outcomes of the events of each message, in order.
    pub(super) async fn send(&self, messages: &[Message]) -> Vec<Vec<Outcome>> {
        let Self::Queue { queue, is_fifo } = self else {
            let mut outcomes = Vec::with_capacity(messages.len());
            for message in messages {
                outcomes.push(self.invoke(message).await);
            }
            return outcomes;
        };
        let outgoing = |message: &Message| Outgoing {
            body: message.text.clone(),
            sent: None,
            group: is_fifo.then(|| format!("load-{}", message.group)),
            deduplication_id: request_id(),
        };
        let outgoing: Vec<_> = messages.iter().map(outgoing).collect();
        let results = queue.send(&outgoing).await.into_iter().zip(messages);
        let outcome = |(result, message): (Result<(), String>, &Message)| {
            vec![result.map_or_else(Outcome::Failed, |()| Outcome::Taken); message.events]
        };
        results.map(outcome).collect()
    }

    async fn invoke(&self, message: &Message) -> Vec<Outcome> {
        let answer = match self {
            Self::Endpoint { http, url } => http.post(url, message.text.clone()).await.map(|answer| {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                if answer.is_function_error { Err(serde_json::from_str(&body).unwrap_or_default()) } else { Ok(body) }
            }),
            Self::Handler(gateway) => {
                let deadline = Instant::now() + TIMEOUT;
                let invocation = Invocation { request_id: request_id(), started: wall_clock(), deadline };
                let handled = handle(&**gateway, message.text.clone().into(), &invocation).await;
                Ok(handled.answer)
            }
            Self::Queue { .. } => Err("a queue is not invoked".to_owned()),
        };
        match answer {
            Ok(answer) => outcomes(answer, message.events),
            Err(words) => vec![Outcome::Failed(words); message.events],
        }
    }
}

fn outcomes(answer: Result<String, FunctionError>, events: usize) -> Vec<Outcome> {
    let report = match answer {
        Ok(report) => report,
        Err(FunctionError { error_type, error_message }) if error_type == "dead_letter_failed" => error_message,
        Err(FunctionError { error_type, error_message }) => {
            let is_of_the_event = events == 1 && error_type != "delivery_failed" && !error_type.contains('.');
            let words = format!("{error_type}: {error_message}");
            return vec![if is_of_the_event { Outcome::Refused(error_type) } else { Outcome::Failed(words) }; events];
        }
    };
    let Ok(report) = serde_json::from_str::<Report<'_>>(&report) else {
        return vec![Outcome::Failed("its answer is no report of this function".to_owned()); events];
    };
    let mut outcomes = vec![Outcome::Stored; events];
    for listed in report.rejected.into_iter().chain(report.dropped) {
        if let Some(outcome) = outcomes.get_mut(listed.index) {
            *outcome = Outcome::Refused(listed.reason.into_owned());
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_the_function_tells_of_each_event() {
        let failed = |error_type: &str, error_message: &str| {
            Err(FunctionError { error_type: error_type.to_owned(), error_message: error_message.to_owned() })
        };
        let report = r#"{"accepted":1,"rejected_count":1,"rejected":[{"index":1,"reason":"too_old","detail":"x"}]}"#;
        let mixed = vec![Outcome::Stored, Outcome::Refused("too_old".to_owned())];
        assert_eq!(outcomes(Ok(report.to_owned()), 2), mixed);
        assert_eq!(outcomes(failed("dead_letter_failed", report), 2), mixed);
        assert_eq!(outcomes(failed("invalid_value", "x"), 1), [Outcome::Refused("invalid_value".to_owned())]);
        for (error_type, events) in [("delivery_failed", 1), ("delivery_failed", 2), ("Sandbox.Timedout", 1)] {
            assert!(matches!(outcomes(failed(error_type, "x"), events)[0], Outcome::Failed(_)), "{error_type}");
        }
        assert!(matches!(outcomes(Ok("null".to_owned()), 1)[0], Outcome::Failed(_)));
    }
}
