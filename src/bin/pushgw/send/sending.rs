//! One call after the other, each again where it may pass, until all is settled or it makes no sense to go on.

use super::outcome::{Outcome, Unsent};
use super::target::{Numbered, Target};
use crate::stop::Stop;
use amp_push_gateway::remote_write::Backoff;
use std::time::Duration;

/// Six tries within about ten seconds: a queue that is throttled comes round, one that is gone is told soon.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(300), longest: Duration::from_secs(5), tries: 6 };

/// Sends `messages`, and those that may pass again; answers for each, in order.
pub(super) async fn send(target: &Target, messages: &[Numbered<'_>], stop: &Stop) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::unsent("not tried yet", true); messages.len()];
    for tries in 1.. {
        let left: Vec<usize> = (0..messages.len()).filter(|&place| outcomes[place].may_pass()).collect();
        let again: Vec<_> = left.iter().map(|&place| messages[place]).collect();
        for (place, outcome) in left.into_iter().zip(target.send(&again).await) {
            outcomes[place] = outcome;
        }
        let Some(wait) = BACKOFF.wait(tries, fastrand::f64()) else { break };
        if !outcomes.iter().any(Outcome::may_pass) || !pause(wait, stop).await {
            break;
        }
    }
    outcomes
}

/// Why the first of them that is not settled is not.
pub(super) fn first_unsent(outcomes: &[Outcome]) -> Option<&Unsent> {
    outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Unsent(unsent) => Some(unsent),
        _ => None,
    })
}

/// Whether the wait was waited, and not broken off.
async fn pause(wait: Duration, stop: &Stop) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => true,
        () = stop.clone().asked() => false,
    }
}
