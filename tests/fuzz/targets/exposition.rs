//! Reads any bytes as the body of a push, in both text formats: what is taken is consistent, and written again it is the same.

#![no_main]

use amp_push_gateway::exposition::{Exposition, ParseError, Place, SampleValue, parse_openmetrics, parse_text};
use libfuzzer_sys::fuzz_target;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Name, labels with a value, time, bits.
type Series = (String, BTreeMap<String, String>, Option<i64>, u64);

fuzz_target!(|input: &[u8]| {
    check(parse_text(input));
    check(parse_openmetrics(input));
    check(parse_openmetrics(&[input, b"\n# EOF\n"].concat()));
});

fn check(parsed: Result<Exposition<'_>, ParseError>) {
    match parsed {
        Ok(exposition) => {
            let mut series = series(&exposition);
            // The text format has no time before 1970.
            series.retain(|(_, _, time, _)| time.is_none_or(|time| time >= 0));
            let text = written(&series);
            let again = parse_text(text.as_bytes()).unwrap_or_else(|error| panic!("{error} in {text:?}"));
            assert_eq!(self::series(&again), series, "{text:?}");
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("line ") && text.len() <= 4_000, "{text}");
        }
    }
}

fn series(exposition: &Exposition<'_>) -> BTreeSet<Series> {
    let (mut all, mut times) = (BTreeSet::new(), BTreeSet::new());
    for family in exposition.families() {
        assert!(family.series().len() > 0, "a family without series");
        for series in family.series() {
            let SampleValue::Float(value) = series.value() else { panic!("a native histogram in text") };
            let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
            let mut labels = BTreeMap::new();
            for (name, value) in series.labels() {
                assert_ne!(name, "__name__");
                assert_eq!(labels.insert(name.to_owned(), value.to_owned()), None, "a label stands twice");
            }
            labels.retain(|_, value| !value.is_empty());
            assert!(!series.name().is_empty() && series.place() != Place::Line(0), "a series without a name or a line");
            let (name, time) = (series.name().to_owned(), series.timestamp().map(|timestamp| timestamp.0));
            assert!(times.insert((name.clone(), labels.clone(), time)), "a series stands twice: {name} {labels:?}");
            all.insert((name, labels, time, bits));
        }
    }
    assert_eq!(all.len(), exposition.series_count());
    all
}

fn written(series: &BTreeSet<Series>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let mut text = String::new();
    for (name, labels, time, bits) in series {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{}={}", quoted(name), quoted(value))).collect();
        let names = [&[quoted(name)], labels.as_slice()].concat();
        write!(text, "{{{}}} {:?}", names.join(","), f64::from_bits(*bits)).expect("a String takes all");
        time.iter().for_each(|time| write!(text, " {time}").expect("a String takes all"));
        text.push('\n');
    }
    text
}
