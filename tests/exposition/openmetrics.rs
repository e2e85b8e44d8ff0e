//! The test vectors of OpenMetrics 1.0.

use crate::oracle::collected;
use amp_push_gateway::exposition::{ParseError, Problem, parse_openmetrics};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

pub(crate) struct Vector {
    name: String,
    should_parse: bool,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn vectors() -> Vec<Vector> {
    #[derive(Deserialize)]
    struct Collected {
        name: String,
        should_parse: bool,
        bytes: String,
    }
    let vectors =
        collected::<Collected>("openmetrics.jsonl").into_iter().map(|Collected { name, should_parse, bytes }| Vector {
            name,
            should_parse,
            bytes: STANDARD.decode(bytes).unwrap(),
        });
    let vectors: Vec<_> = vectors.collect();
    assert_eq!(vectors.len(), 211);
    vectors
}

/// Prometheus takes most of the bad ones, too: `text` compares each with it.
#[test]
#[ignore = "needs the test vectors, which `bash tests/run` collects"]
fn takes_each_good_vector_of_openmetrics() {
    let (mut good, mut exceptions, mut rejected) = (0, 0, Vec::new());
    for Vector { name, should_parse, bytes } in vectors() {
        let parsed = parse_openmetrics(&bytes);
        good += usize::from(should_parse);
        if should_parse {
            // `rules` has both.
            let by_rule = |error: &ParseError| {
                matches!(error.problem, Problem::SeriesTwice { .. } | Problem::InvalidTimestamp { .. })
            };
            assert!(parsed.is_ok() || parsed.as_ref().is_err_and(by_rule), "{name}: {}", parsed.unwrap_err());
            exceptions += usize::from(parsed.is_err());
        } else if parsed.is_err() {
            rejected.push(name);
        }
    }
    assert_eq!((good, exceptions), (44, 3));
    println!("rejects {} of 167 bad ones", rejected.len());
    assert!(rejected.len() > 50, "{}", rejected.len());
}
