//! Where `serve` puts refused messages.

use amp_push_gateway::config::Settings;
use amp_push_gateway::dead_letter::SqsDeadLetters;
use amp_push_gateway::local::dead_letters::{InMemoryDeadLetters, LocalDeadLetters};

/// The queue for refused messages, and where it is in words.
pub(super) fn queue(
    settings: &Settings,
    keep: bool,
    in_memory: &InMemoryDeadLetters,
) -> (Option<LocalDeadLetters>, String) {
    match settings.dead_letter_queue_url() {
        Some(url) => (Some(LocalDeadLetters::Sqs(SqsDeadLetters::new(url))), url.to_string()),
        None if keep => (Some(LocalDeadLetters::InMemory(in_memory.clone())), "in memory".to_owned()),
        None => (None, "nowhere: refused messages are handed back (--keep-dead-letters keeps them)".to_owned()),
    }
}
