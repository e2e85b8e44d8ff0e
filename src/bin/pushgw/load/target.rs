//! The target of a load, as in `send`: a queue, a function, or the handler in this process.

use super::generator::PlannedEvent;
use super::tally::EventOutcome;
use crate::exit::CommandError;
use crate::send::direct_invocation;
use crate::send::function::Function;
use crate::send::outcome::Outcome;
use crate::send::queue::Queue;
use crate::send::receiver::Receiver;
use crate::send::retry;
use crate::send::target::{self, Numbered};
use crate::stop_signal::StopSignal;
use amp_push_gateway::aws::sqs;
use amp_push_gateway::config::Settings;
use std::time::Duration;
use url::Url;

/// Tries of the call that checks that a queue exists.
const TRIES: u32 = 4;
const TIMEOUT: Duration = Duration::from_secs(30);

/// One target for each worker, or one for all. On a FIFO queue each worker has a group, so that its messages stay in order.
pub(super) struct Target(Vec<target::Target>);

impl Target {
    /// Fails if the queue at `url` does not answer.
    pub(super) async fn queue(url: &Url, workers: usize) -> Result<Self, CommandError> {
        let queue = sqs::Queue::at(url, TRIES, TIMEOUT);
        queue.attributes().await.map_err(|error| CommandError::failed(format!("{url}: {error}")))?;
        let mut targets = Vec::with_capacity(workers);
        for worker in 0..workers {
            let group = queue.is_fifo().then(|| format!("load-{worker}"));
            targets.push(target::Target::Queue(Queue::new(url, group, TIMEOUT)?));
        }
        Ok(Self(targets))
    }

    pub(super) fn function(name: &str, endpoint: &Url) -> Result<Self, CommandError> {
        Ok(Self(vec![target::Target::Function(Function::unsigned(name, endpoint, TIMEOUT)?)]))
    }

    pub(super) fn handler(settings: &Settings) -> Result<Self, CommandError> {
        Ok(Self(vec![target::Target::Receiver(Box::new(Receiver::new(settings, TIMEOUT)?))]))
    }

    /// Returns true if its answers tell what became of each event.
    pub(super) fn tells(&self) -> bool {
        !matches!(self.0[0], target::Target::Queue(_))
    }

    /// Sends messages, each with its events. Returns an outcome for each event, in order.
    pub(super) async fn send(
        &self,
        worker: usize,
        messages: &[Vec<PlannedEvent>],
        stop: &StopSignal,
    ) -> Vec<EventOutcome> {
        let target = &self.0[worker % self.0.len()];
        if self.tells() {
            let events = (0..).zip(messages.iter().flatten());
            let events: Vec<_> = events.map(|(number, event)| Numbered { number, text: &event.text }).collect();
            return target.send(&events).await.into_iter().map(told).collect();
        }
        let texts: Vec<_> = messages.iter().map(|events| payload(events)).collect();
        let numbered: Vec<_> = (0..).zip(&texts).map(|(number, text)| Numbered { number, text }).collect();
        let outcomes = retry::send(target, &numbered, stop).await.into_iter().zip(messages);
        let taken = |outcome| if outcome == Outcome::Sent { EventOutcome::Taken } else { told(outcome) };
        outcomes.flat_map(|(outcome, events)| vec![taken(outcome); events.len()]).collect()
    }
}

pub(super) fn payload(events: &[PlannedEvent]) -> String {
    let texts: Vec<_> = events.iter().map(|event| event.text.as_str()).collect();
    direct_invocation::payload(&texts)
}

fn told(outcome: Outcome) -> EventOutcome {
    match outcome {
        Outcome::Stored => EventOutcome::Stored,
        Outcome::Sent => EventOutcome::Failed("its answer is not a report of this function".to_owned()),
        Outcome::Rejected { reason, .. } => EventOutcome::Rejected(reason),
        Outcome::Failed(error_text) | Outcome::Unsent { error_text, .. } => EventOutcome::Failed(error_text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::lambda::FunctionError;

    #[test]
    fn only_an_error_with_a_reason_for_its_type_is_a_rejection() {
        let rejected = |reason: &str| EventOutcome::Rejected(reason.to_owned());
        let failed = |text: &str| EventOutcome::Failed(format!("the function failed with {text}: x"));
        let table = [
            ("invalid_value", 1, rejected("invalid_value")),
            ("too_old", 1, rejected("too_old")),
            ("Unhandled", 1, failed("Unhandled")),
            ("delivery_failed", 1, failed("delivery_failed")),
            ("invalid_value", 2, failed("invalid_value")),
        ];
        for (error_type, messages, expected) in table {
            let error = FunctionError { error_type: error_type.to_owned(), error_message: "x".to_owned() };
            let outcomes = direct_invocation::outcomes(&Err(error), messages);
            let found: Vec<_> = outcomes.into_iter().map(told).collect();
            assert_eq!(found, vec![expected; messages], "{error_type}");
        }
    }
}
