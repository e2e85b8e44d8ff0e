//! Parses lines of `StatsD` and `DogStatsD` into updates of series.
//!
//! * `name:value|type`, then in any order `|@rate`, `|#tag:value,…`, `|c:container` and `|T<seconds>`. A packed line has several values:
//!   `name:1:2:3|d`.
//! * A sample rate becomes a weight: `1|c|@0.1` counts ten. The weight of an observation is rounded to a whole number.
//! * A timer is in milliseconds and becomes seconds, as in Prometheus' `statsd_exporter`.
//! * Sets are rejected, because sets of several environments cannot be added up. Events and service checks are not metrics.
//!
//! The protocol: <https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/>.

use crate::limits::{MAX_EXCERPT_CHARS, MAX_LABEL_VALUE_BYTES, MAX_LABELS};
use crate::model::{Label, LabelName, LabelSet, Layout, MetricName, Observation, Update, Value};
use std::borrow::Cow;
use std::fmt;

/// One value of a line.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    pub name: MetricName<'a>,
    /// The tags.
    pub labels: LabelSet<'a>,
    pub update: LineUpdate,
}

#[derive(Clone, Debug)]
pub enum LineUpdate {
    Typed(Update),
    /// `+1|g` and `-1|g`: a change of the gauge of this environment.
    GaugeChange(f64),
}

/// Why a line is dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidLine {
    NotUtf8,
    /// No `:` after the name, or no `|` after the value.
    NoValue,
    Name(String),
    Value(String),
    Rate(String),
    Type(String),
    Tags(String),
    /// A set, an event or a service check.
    Unsupported(&'static str),
}

/// Calls `each` for every value of the lines in a datagram, or for each line that is dropped.
pub fn read_lines<'a>(datagram: &'a [u8], layout: &Layout, each: &mut dyn FnMut(Result<Line<'a>, InvalidLine>)) {
    let lines = datagram.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.filter(|line| !line.is_empty()) {
        let line = std::str::from_utf8(line).map_err(|_| InvalidLine::NotUtf8);
        if let Err(error) = line.and_then(|line| read_line(line, layout, &mut |line| each(Ok(line)))) {
            each(Err(error));
        }
    }
}

fn read_line<'a>(line: &'a str, layout: &Layout, each: &mut dyn FnMut(Line<'a>)) -> Result<(), InvalidLine> {
    if line.starts_with("_e{") {
        return Err(InvalidLine::Unsupported("an event"));
    }
    if line.starts_with("_sc|") {
        return Err(InvalidLine::Unsupported("a service check"));
    }
    let mut parts = line.split('|');
    let (name, values) = parts.next().and_then(|head| head.split_once(':')).ok_or(InvalidLine::NoValue)?;
    let kind = parts.next().ok_or(InvalidLine::NoValue)?;
    let name = MetricName::translate(Cow::Borrowed(name)).map_err(|error| InvalidLine::Name(error.to_string()))?;
    let (mut rate, mut labels) = (1.0, LabelSet::default());
    for part in parts {
        match part.split_at_checked(1) {
            Some(("@", text)) => rate = sample_rate(text)?,
            Some(("#", tags)) => labels = read_tags(tags)?,
            // The container, the time, the external data and the cardinality say nothing that a series needs.
            _ => {}
        }
    }
    let updates = values.split(':').map(|value| update(value, kind, rate, layout)).collect::<Result<Vec<_>, _>>()?;
    for update in updates {
        each(Line { name: name.clone(), labels: labels.clone(), update });
    }
    Ok(())
}

fn update(text: &str, kind: &str, rate: f64, layout: &Layout) -> Result<LineUpdate, InvalidLine> {
    let invalid = || InvalidLine::Value(excerpt(text));
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(invalid)?;
    let observed = |value: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1; the cast saturates")]
        let count = (1.0 / rate).round() as u64;
        let observations = vec![Observation { value, count }];
        LineUpdate::Typed(Update::Histogram { layout: layout.clone(), observations })
    };
    match kind {
        "c" if number < 0.0 => Err(invalid()),
        "c" => {
            let whole = text.parse().ok().filter(|_| rate >= 1.0).map(Value::Integer);
            let increment = whole.unwrap_or(Value::Float(number / rate));
            if matches!(increment, Value::Float(float) if !float.is_finite()) {
                return Err(invalid());
            }
            Ok(LineUpdate::Typed(Update::Counter(increment)))
        }
        "g" if text.starts_with(['+', '-']) => Ok(LineUpdate::GaugeChange(number)),
        "g" => Ok(LineUpdate::Typed(Update::Gauge(text.parse().map_or(Value::Float(number), Value::Integer)))),
        "ms" => Ok(observed(number / 1_000.0)),
        "h" | "d" => Ok(observed(number)),
        "s" => Err(InvalidLine::Unsupported("a set")),
        _ => Err(InvalidLine::Type(excerpt(kind))),
    }
}

fn sample_rate(text: &str) -> Result<f64, InvalidLine> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= 1.0);
    rate.ok_or_else(|| InvalidLine::Rate(excerpt(text)))
}

/// Reads `name:value,name:value`. A tag without a value has the value `true`, since a label cannot be empty. The last of two tags of one name
/// counts.
fn read_tags(text: &str) -> Result<LabelSet<'_>, InvalidLine> {
    let mut labels: Vec<Label<'_>> = Vec::new();
    for tag in text.split(',').filter(|tag| !tag.is_empty()) {
        let (name, value) = tag.split_once(':').unwrap_or((tag, "true"));
        if value.len() > MAX_LABEL_VALUE_BYTES {
            return Err(InvalidLine::Tags(format!("the value of {} is too long", excerpt(name))));
        }
        let name = LabelName::translate(Cow::Borrowed(name))
            .map_err(|error| InvalidLine::Tags(format!("{}: {error}", excerpt(name))))?;
        let label = Label { name, value: Cow::Borrowed(value) };
        match labels.iter_mut().find(|known| known.name == label.name) {
            Some(known) => *known = label,
            None => labels.push(label),
        }
        // The names of the metric and of the function, and its version.
        if labels.len() > MAX_LABELS - 3 {
            return Err(InvalidLine::Tags(format!("more than {} tags", MAX_LABELS - 3)));
        }
    }
    // No name is there twice.
    Ok(LabelSet::new(labels).unwrap_or_default())
}

fn excerpt(text: &str) -> String {
    text.chars().take(MAX_EXCERPT_CHARS).flat_map(char::escape_debug).collect()
}

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the line is not UTF-8"),
            Self::NoValue => f.write_str("expected name:value|type"),
            Self::Name(problem) => write!(f, "the name of the metric: {problem}"),
            Self::Value(text) => write!(f, "the value \"{text}\" is not a number that its type takes"),
            Self::Rate(text) => write!(f, "the sample rate \"{text}\" is not above 0 and at most 1"),
            Self::Type(text) => write!(f, "the type \"{text}\" is not one of c, g, ms, h, d"),
            Self::Tags(problem) => write!(f, "tags: {problem}"),
            Self::Unsupported(what) => write!(f, "{what} cannot be added up"),
        }
    }
}

impl std::error::Error for InvalidLine {}
