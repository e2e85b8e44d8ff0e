//! Delimited protobuf.

use crate::oracle::{Body, Format, collected_bytes};
use crate::rules::{RULES, check};
use crate::text::number;

/// Returns the families of Prometheus' tests.
fn families() -> Vec<Vec<u8>> {
    let families = collected_bytes("families.jsonl");
    assert!(families.len() > 20, "{} families", families.len());
    families
}

fn bodies(families: Vec<Vec<u8>>) -> Vec<Body> {
    families.into_iter().map(|bytes| Body { format: Format::Protobuf, bytes }).collect()
}

#[test]
#[ignore = "needs the parser of Prometheus, which `bash tests/run` builds"]
fn answers_as_prometheus_does_to_the_families_of_its_tests() {
    let families = families();
    // A gauge without a value.
    let gauge = b"\x0a\x0a\x02zz\x18\x01\x22\x02\x12\x00";
    let pairs = families.iter().map(|family| [family, &gauge[..]].concat());
    check(&bodies(pairs.chain(families.iter().cloned()).chain([Vec::new()]).collect()));
}

/// The seed is fixed: two runs try the same bodies. `EXPOSITION_SEED` and `EXPOSITION_MUTATIONS` try others, and more.
#[test]
#[ignore = "needs the parser of Prometheus, which `bash tests/run` builds"]
fn answers_as_prometheus_does_to_mutated_families() {
    let mut random = fastrand::Rng::with_seed(number("EXPOSITION_SEED", 1));
    let mut families = families();
    families.retain(|family| family.len() < 2_000);
    let mutate = |_| {
        let mut family = random.choice(&families).unwrap().clone();
        for _ in 0..random.usize(1..3) {
            mutate(&mut family, &mut random);
        }
        family
    };
    let mutated: Vec<Vec<u8>> = (0..number("EXPOSITION_MUTATIONS", 20_000)).map(mutate).collect();
    let used = check(&bodies(mutated));
    for rule in RULES.iter().filter(|rule| rule.why.starts_with("protobuf")) {
        assert!(used.contains_key(rule.why), "no body needs the rule: {}", rule.why);
    }
}

/// Changes a byte, or exchanges two fields of a message by their bytes.
fn mutate(family: &mut Vec<u8>, random: &mut fastrand::Rng) {
    let at = random.usize(0..family.len());
    match random.u8(0..6) {
        0 => family[at] = random.u8(..),
        1 => family[at] ^= 1 << random.u8(0..8),
        2 => family[at] = family[at].wrapping_add(1),
        3 => family[at] = 0,
        4 => {
            let end = at + random.usize(0..9).min(family.len() - at);
            let copy = family[at..end].to_vec();
            let to = random.usize(0..=family.len() - copy.len());
            family[to..to + copy.len()].copy_from_slice(&copy);
        }
        _ => family.truncate(at.max(1)),
    }
}
