//! Sends messages, and tries again after errors that may pass, until all are settled or no try is left.

use super::outcome::Outcome;
use super::target::{Numbered, Target};
use crate::stop_signal::StopSignal;
use amp_push_gateway::remote_write::Backoff;
use std::time::Duration;

/// Six tries within about ten seconds: enough for a queue that is throttled, and soon over for a queue that is gone.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(300), longest: Duration::from_secs(5), tries: 6 };

/// Returns an outcome for each message, in order.
pub(crate) async fn send(target: &Target, messages: &[Numbered<'_>], stop: &StopSignal) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::unsent("not tried yet", true); messages.len()];
    for tries in 1.. {
        let left: Vec<usize> = (0..messages.len()).filter(|&position| outcomes[position].may_pass()).collect();
        let again: Vec<_> = left.iter().map(|&position| messages[position]).collect();
        for (position, outcome) in left.into_iter().zip(target.send(&again).await) {
            outcomes[position] = outcome;
        }
        let Some(wait) = BACKOFF.wait(tries, fastrand::f64()) else { break };
        if !outcomes.iter().any(Outcome::may_pass) {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.clone().asked() => break,
        }
    }
    outcomes
}
