//! The detail about an unknown key of an event. The event is rejected, because a typo in a key would silently merge series.

use super::path;

/// A key, and other keys that producers write instead.
pub(super) type Known = (&'static str, &'static [&'static str]);

/// Keys of more bytes are compared with no other.
const MAX_COMPARED_BYTES: usize = 32;

/// Returns the detail about `key`. It names the likely one of `known`, else it ends with `otherwise`.
pub(super) fn detail(key: &str, known: &[Known], otherwise: &str) -> String {
    let lower = key.to_lowercase();
    let is_likely = |(known, aliases): &&Known| {
        aliases.contains(&lower.as_str()) || strsim::damerau_levenshtein(&lower, known) <= known.len() / 3
    };
    let likely = known.iter().filter(|_| lower.len() <= MAX_COMPARED_BYTES).find(is_likely);
    let hint = likely.map_or(otherwise.to_owned(), |(known, _)| format!("did you mean {known}?"));
    format!("{}: unknown key; {hint}", path::key(key))
}
