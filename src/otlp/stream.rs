//! The stream of a data point: its resource, scope and metric, as they are in the request.
//!
//! Two streams of one sender can become one series, and have points of the same times. For example two scopes have a metric
//! of the same name, or two names become one. So the identity of a point includes a hash of its stream. Tables of operators
//! keep identities, so the hash is the same in every release, whatever the order of attributes is.

use super::message::{Attribute, Resource, Scope};
use sha2::{Digest, Sha256};

/// The hash of a resource, a scope, or a stream.
pub(super) type StreamHash = [u8; 32];

pub(super) fn of_scope(resource: &Resource<'_>, scope: &Scope<'_>) -> StreamHash {
    let mut hasher = Sha256::new();
    attributes(&resource.attributes, &mut hasher);
    attributes(&scope.attributes, &mut hasher);
    for part in [&scope.name, &scope.version] {
        text(part, &mut hasher);
    }
    hasher.finalize().into()
}

pub(super) fn of_metric(of_scope: &StreamHash, name: &str) -> StreamHash {
    let mut hasher = Sha256::new();
    hasher.update(of_scope);
    text(name, &mut hasher);
    hasher.finalize().into()
}

fn attributes(attributes: &[Attribute<'_>], hasher: &mut Sha256) {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_unstable();
    hasher.update((sorted.len() as u64).to_le_bytes());
    for (key, value) in sorted {
        text(key, hasher);
        text(value, hasher);
    }
}

fn text(text: &str, hasher: &mut Sha256) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn pairs(pairs: &[(&'static str, &'static str)]) -> Vec<Attribute<'static>> {
        pairs.iter().map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(*value))).collect()
    }

    fn hash(resource: &[(&'static str, &'static str)], scope: &str, name: &str) -> StreamHash {
        let scope = Scope { name: Cow::Owned(scope.to_owned()), ..Scope::default() };
        of_metric(&of_scope(&Resource { attributes: pairs(resource) }, &scope), name)
    }

    /// Identities are in the tables of operators: the hash never changes.
    #[test]
    fn a_stream_has_the_same_hash_in_every_release_and_order() {
        let one = hash(&[("a", "b"), ("c", "d")], "s", "m");
        assert_eq!(one, hash(&[("c", "d"), ("a", "b")], "s", "m"));
        assert_eq!(one[..4], [237, 94, 239, 123]);
    }

    #[test]
    fn every_part_makes_another_stream() {
        let streams = [
            hash(&[], "", "m"),
            hash(&[], "", "n"),
            hash(&[], "m", ""),
            hash(&[("a", "b")], "", "m"),
            hash(&[("a", "bc")], "", "m"),
            hash(&[("ab", "c")], "", "m"),
        ];
        assert_eq!(std::collections::HashSet::from(streams).len(), streams.len());
    }
}
