//! How the gateway may differ from Prometheus, and the comparison of both.

use crate::oracle::{Answer, Body, Format, Series, our_answer, parsed, theirs};
use amp_push_gateway::exposition::Problem;
use amp_push_gateway::protobuf;
use std::collections::{BTreeMap, BTreeSet};

/// Why the answers may differ.
pub(crate) struct Rule {
    pub(crate) why: &'static str,
    /// True if the gateway may reject the body with this error although Prometheus takes it.
    rejects: fn(&Problem, &Body) -> bool,
    /// True if the gateway may take the body otherwise than Prometheus.
    takes: fn(&Body, &Answer) -> bool,
}

const NEVER: fn(&Body, &Answer) -> bool = |_, _| false;
const NONE: fn(&Problem, &Body) -> bool = |_, _| false;

/// Each difference has one of these reasons. `src/exposition.rs` lists them, too.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        why: "lines of Windows end with CR LF",
        rejects: NONE,
        takes: |body, _| is_text(body) && body.bytes.contains(&b'\r'),
    },
    Rule {
        why: "a byte-order mark is skipped",
        rejects: NONE,
        takes: |body, _| body.bytes.starts_with("\u{feff}".as_bytes()),
    },
    Rule {
        why: "Prometheus makes a blank before a name a part of the name",
        rejects: NONE,
        takes: |body, _| has_line(body, |line| line.starts_with([' ', '\t'])),
    },
    Rule {
        why: "protobuf: what a series does not need, such as an exemplar, is not read",
        rejects: NONE,
        takes: |body, theirs| {
            let is_decoding =
                |error: &String| error.contains("proto: ") || error.contains("EOF") || error.contains("overflow");
            !is_text(body) && matches!(theirs, Answer::Error(error) if is_decoding(error))
        },
    },
    Rule {
        why: "protobuf: Prometheus takes groups, field numbers of more than 29 bits, and numbers beyond a packed field",
        rejects: |problem, _| {
            use protobuf::Problem::{EndsInside, FieldNumber, WireType};
            matches!(problem, Problem::Protobuf(error) if matches!(error.problem, EndsInside | FieldNumber | WireType(3)))
        },
        takes: NEVER,
    },
    Rule {
        why: "Prometheus reads nothing behind a NUL byte at the beginning of a line or in a comment",
        rejects: |_, body| is_text(body) && body.bytes.contains(&0),
        takes: |body, _| is_text(body) && body.bytes.contains(&0),
    },
    Rule {
        why: "Pushgateway takes a type in any case and with blanks behind it, and gauge histograms",
        rejects: NONE,
        takes: |body, _| body.format == Format::Text && has_line(body, has_type_of_pushgateway),
    },
    Rule {
        why: "Prometheus leaves out one byte behind the name of HELP, even if it is no blank",
        rejects: NONE,
        takes: |body, _| has_line(body, has_help_beside_the_name),
    },
    Rule {
        why: "Prometheus leaves out `_created` behind the TYPE of another family",
        rejects: NONE,
        takes: |body, _| body.format == Format::OpenMetrics && has_line(body, |line| line.contains("_created")),
    },
    Rule {
        why: "a blank stands between name and type",
        rejects: |problem, _| matches!(problem, Problem::UnknownType { .. }),
        takes: NEVER,
    },
    Rule {
        why: "no body that is not UTF-8 throughout; Prometheus looks at values and HELP only",
        rejects: |problem, _| match problem {
            Problem::Protobuf(error) => error.problem == protobuf::Problem::NotUtf8,
            problem => matches!(problem, Problem::NotUtf8),
        },
        takes: NEVER,
    },
    Rule {
        why: "each name once in the labels of a series",
        rejects: |problem, _| matches!(problem, Problem::DuplicateLabel { .. }),
        takes: NEVER,
    },
    Rule {
        why: "a series has a name, which `__name__` in braces can be",
        rejects: |problem, _| matches!(problem, Problem::NoName),
        takes: |body, _| has_line(body, |line| line.contains("__name__")),
    },
    Rule {
        why: "a family has one type",
        rejects: |problem, _| matches!(problem, Problem::TypeConflict { .. }),
        takes: NEVER,
    },
    Rule {
        why: "a series has one value at a time",
        rejects: |problem, _| matches!(problem, Problem::SeriesTwice { .. }),
        takes: NEVER,
    },
    Rule {
        why: "a bucket has a number in `le`",
        rejects: |problem, _| matches!(problem, Problem::InvalidBound { .. }),
        takes: NEVER,
    },
    Rule {
        why: "a hexadecimal bound is no number",
        rejects: NONE,
        takes: |body, _| has_line(body, |line| line.contains("=\"0x")),
    },
    Rule { why: "at most 150 labels", rejects: |problem, _| matches!(problem, Problem::TooManyLabels), takes: NEVER },
    Rule {
        why: "the seconds of OpenMetrics fit into 64 bits of milliseconds",
        rejects: |problem, _| matches!(problem, Problem::InvalidTimestamp { .. }),
        takes: NEVER,
    },
];

fn is_text(body: &Body) -> bool {
    body.format != Format::Protobuf
}

fn has_line(body: &Body, is_it: fn(&str) -> bool) -> bool {
    is_text(body) && String::from_utf8_lossy(&body.bytes).split('\n').any(is_it)
}

fn has_type_of_pushgateway(line: &str) -> bool {
    let Some((_, words)) = line.split_once("TYPE") else { return false };
    let word = words.split_ascii_whitespace().last().unwrap_or_default();
    words.ends_with([' ', '\t'])
        || words.contains("  ")
        || word != word.to_ascii_lowercase()
        || word == "gaugehistogram"
}

fn has_help_beside_the_name(line: &str) -> bool {
    let Some((_, rest)) = line.split_once("HELP") else { return false };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let after = rest.trim_start_matches([' ', '\t']).trim_start_matches(is_name);
    !after.is_empty() && !after.starts_with([' ', '\t'])
}

/// Returns an error if the answers differ and no rule says why; else how many rules were needed.
fn compare(body: &Body, theirs: &Answer) -> Result<Option<&'static str>, String> {
    let ours = parsed(body);
    match (&ours, theirs) {
        (Err(_), Answer::Error(_)) => Ok(None),
        (Err(error), Answer::Taken { .. }) => {
            let rule = RULES.iter().find(|rule| (rule.rejects)(&error.problem, body));
            rule.map(|rule| Some(rule.why)).ok_or(format!("{body:?}\n  Prometheus takes it; we say {error}"))
        }
        (Ok(exposition), _) => {
            let ours = our_answer(exposition);
            match difference(&ours, theirs) {
                None => Ok(None),
                Some(difference) => {
                    let rule = RULES.iter().find(|rule| (rule.takes)(body, theirs));
                    rule.map(|rule| Some(rule.why)).ok_or(format!("{body:?}\n  {difference}"))
                }
            }
        }
    }
}

/// Bounds are written anew for the series of a family, by Prometheus for all series behind a TYPE of a histogram or a summary.
fn with_equal_bounds(series: &BTreeSet<Series>) -> BTreeSet<Series> {
    let mut series: Vec<Series> = series.iter().cloned().collect();
    for (labels, ..) in &mut series {
        for name in ["le", "quantile"] {
            if let Some(value) = labels.get_mut(name)
                && let Ok(number) = value.parse::<f64>()
            {
                *value = if number == 0.0 { "0".to_owned() } else { number.to_string() };
            }
        }
    }
    series.into_iter().collect()
}

fn difference(ours: &Answer, theirs: &Answer) -> Option<String> {
    let (Answer::Taken { series, metadata }, Answer::Taken { series: their_series, metadata: their_metadata }) =
        (ours, theirs)
    else {
        return Some(format!("Prometheus: {theirs:?}; we take it"));
    };
    let (our_bounds, their_bounds) = (with_equal_bounds(series), with_equal_bounds(their_series));
    if our_bounds != their_bounds {
        let only_ours: Vec<_> = our_bounds.difference(&their_bounds).collect();
        let only_theirs: Vec<_> = their_bounds.difference(&our_bounds).collect();
        return Some(format!("only ours: {only_ours:?}\n  only theirs: {only_theirs:?}"));
    }
    let differs = |((kind, name), text): (&(String, String), &String)| {
        // Metadata of families without series is left out. A quoted name is shown as it is written.
        let key = (kind.clone(), name.clone());
        match their_metadata.get(&key) {
            Some(theirs) => theirs.trim_start() != text.trim_start(),
            None => !(kind == "type" && text == "unknown" || name.contains(['\\', '"', '\n'])),
        }
    };
    metadata.iter().find(|one| differs(*one)).map(|one| format!("ours: {one:?}, theirs: {their_metadata:?}"))
}

/// Returns how often each rule was needed.
pub(crate) fn check(bodies: &[Body]) -> BTreeMap<&'static str, usize> {
    let theirs = theirs(bodies);
    let taken = theirs.iter().filter(|answer| matches!(answer, Answer::Taken { .. })).count();
    assert!(taken > bodies.len() / 20, "Prometheus takes only {taken} of {} bodies", bodies.len());
    let (mut used, mut errors) = (BTreeMap::new(), Vec::new());
    for (body, theirs) in bodies.iter().zip(&theirs) {
        match compare(body, theirs) {
            Ok(None) => {}
            Ok(Some(why)) => *used.entry(why).or_default() += 1,
            Err(error) => errors.push(error),
        }
    }
    println!("{} bodies, of which Prometheus takes {taken}; rules: {used:#?}", bodies.len());
    errors.sort_by_key(String::len);
    let shown = errors.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(errors.is_empty(), "{} bodies:\n{shown}", errors.len());
    used
}
