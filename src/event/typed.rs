//! A typed metric: an object with the key `type`, in the format of prom-stream-gateway
//! (<https://github.com/Sfonxs/prom-stream-gateway>).
//!
//! * The gateway must be able to expose every metric that it accepts. So limits include the label `le` or `quantile`, and
//!   the longest suffix of a name.
//! * `null` means a missing part, and so does an empty list for `buckets`, `quantiles` and `epsilons`. `[]` means no
//!   labels, because PHP writes it.

mod update;

use super::duration::Ago;
use super::entries::{self, Key};
use super::fields;
use super::path::{excerpt, kind};
use super::unknown_key::{self, Known};
use super::{EventTimes, Rules, timestamp};
use crate::limits::{MAX_ID_BYTES, MAX_LABELS, MAX_METADATA_BYTES, MAX_NAME_BYTES};
use crate::model::{LabelSet, MetricName, NameError, Reason, Rejection, Timestamp, TypedMetric};
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The key that tells a typed metric from other events.
pub(super) const TYPE: &str = "type";

/// In the order of [`Part`]. `unit` is accepted and ignored.
const KEYS: [&str; 13] = [
    TYPE,
    "name",
    "value",
    "labels",
    "dimensions",
    "counts",
    "buckets",
    "quantiles",
    "epsilons",
    "help",
    "timestamp",
    "id",
    "unit",
];

const KNOWN: [Known; 8] = [
    ("name", &["metric", "metricname", "metric_name", "__name__"]),
    ("value", &["values", "val", "amount", "increment", "delta"]),
    ("labels", &["label", "tags"]),
    ("counts", &["count", "weights"]),
    ("buckets", &["bucket", "bounds", "le"]),
    ("quantiles", &["quantile", "percentiles"]),
    ("help", &["description"]),
    ("timestamp", &["time", "ts", "date"]),
];

/// A key of [`KEYS`], by its position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Type,
    Name,
    Value,
    Labels,
    Dimensions,
    Counts,
    Buckets,
    Quantiles,
    Epsilons,
    Help,
    Timestamp,
    Id,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

/// The literals of the keys of a typed metric.
struct Parts<'a> {
    literals: [Option<&'a str>; KEYS.len()],
    /// The first key that is given twice.
    repeated: Option<&'static str>,
    unknown: Option<Cow<'a, str>>,
}

/// Returns whether `literal` is a type, as nearly every producer writes it.
pub(super) fn is_type(literal: &str) -> bool {
    matches!(literal, "\"counter\"" | "\"gauge\"" | "\"histogram\"" | "\"summary\"")
}

/// Reads the typed metric in `text`, which is a JSON object.
pub(super) fn read<'a>(text: &'a str, times: &EventTimes, rules: &'a Rules) -> Result<TypedMetric<'a>, Rejection> {
    let parts = entries::read_object(text, PartsOf).map_err(super::text::invalid_json)?;
    if let Some(key) = &parts.unknown {
        let otherwise = "a typed metric has type, name and value; an event with metrics has no type";
        return Err(invalid_event(unknown_key::detail(key, &KNOWN, otherwise)));
    }
    if let Some(key) = parts.repeated {
        return Err(invalid_event(format!("{key}: the key is given twice")));
    }
    let of_type = parts.metric_type()?;
    parts.check_parts(of_type)?;
    let name = parts.name(of_type)?;
    let labels = parts.labels(of_type, rules)?;
    let update = parts.update(of_type)?;
    let help = parts.help()?;
    let id = parts.id()?;
    let time = timestamp::read(parts.get(Part::Timestamp), times, rules)?;
    check_sent(times, rules)?;
    Ok(TypedMetric { name, labels, update, help, time, id })
}

/// Rejects an event whose message is too old, because the state no longer remembers whether it was counted.
fn check_sent(times: &EventTimes, rules: &Rules) -> Result<(), Rejection> {
    let age = times.sent.map_or(0, |sent: Timestamp| times.now.since(sent));
    if age <= rules.max_sample_age_ms {
        return Ok(());
    }
    let detail = format!(
        "the message of the typed metric was sent {} ago ({age} ms), at most {} are accepted",
        Ago(age),
        Ago(rules.max_sample_age_ms)
    );
    Err(Rejection::new(Reason::TooOld, detail))
}

impl<'a> Parts<'a> {
    /// Returns the literal of a part; `None` if it is missing or null.
    fn get(&self, part: Part) -> Option<&'a str> {
        self.literals[part as usize].filter(|literal| *literal != "null")
    }

    /// Returns the literal of a list; `None` if it is empty, too.
    fn list(&self, part: Part) -> Option<&'a str> {
        self.get(part).filter(|literal| !is_empty_list(literal))
    }

    fn required(&self, part: Part) -> Result<&'a str, Rejection> {
        self.get(part).ok_or_else(|| invalid_event(format!("{part}: missing; a typed metric has type, name and value")))
    }

    fn metric_type(&self) -> Result<Type, Rejection> {
        let literal = self.required(Part::Type)?;
        let text = entries::unquote(literal);
        Ok(match text.as_deref() {
            Some("counter") => Type::Counter,
            Some("gauge") => Type::Gauge,
            Some("histogram") => Type::Histogram,
            Some("summary") => Type::Summary,
            _ => {
                let detail = format!("type: {} is none of counter, gauge, histogram and summary", excerpt(literal));
                return Err(invalid_event(detail));
            }
        })
    }

    /// Rejects parts that metrics of this type do not have.
    fn check_parts(&self, of_type: Type) -> Result<(), Rejection> {
        let has_observations = matches!(of_type, Type::Histogram | Type::Summary);
        let table = [
            (Part::Counts, has_observations),
            (Part::Buckets, of_type == Type::Histogram),
            (Part::Quantiles, of_type == Type::Summary),
            (Part::Epsilons, of_type == Type::Summary),
        ];
        match table.into_iter().find(|(part, allowed)| !allowed && self.list(*part).is_some()) {
            Some((part, _)) => Err(invalid_event(format!("{part}: a {of_type} has none"))),
            None => Ok(()),
        }
    }

    fn name(&self, of_type: Type) -> Result<MetricName<'a>, Rejection> {
        let literal = self.required(Part::Name)?;
        let raw = string(Part::Name, literal)?;
        let name = MetricName::translate(raw).map_err(|error| {
            let is_long = matches!(error, NameError::TooLong(_));
            let reason = if is_long { Reason::TooLarge } else { Reason::InvalidMetricName };
            Rejection::new(reason, format!("name: {}: {error}", excerpt(literal)))
        })?;
        let (suffix, bytes) = (of_type.longest_suffix(), name.as_str().len() + of_type.longest_suffix().len());
        if bytes > MAX_NAME_BYTES {
            let detail = format!("name: it has {bytes} bytes with {suffix}, at most {MAX_NAME_BYTES} are allowed");
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        Ok(name)
    }

    /// Returns own and external labels. An external label that the type reserves is left out.
    fn labels(&self, of_type: Type, rules: &'a Rules) -> Result<LabelSet<'a>, Rejection> {
        let part = match (self.get(Part::Labels), self.get(Part::Dimensions)) {
            (Some(_), Some(_)) => return Err(invalid_event("dimensions: labels is given, too; send one of them")),
            (None, Some(_)) => Part::Dimensions,
            _ => Part::Labels,
        };
        let parent = KEYS[part as usize];
        let mut labels = match self.list(part) {
            None => LabelSet::default(),
            Some(literal) if literal.starts_with('{') => fields::labels(parent, literal)?,
            Some(literal) => {
                return Err(invalid_event(format!(
                    "{part}: {} is not an object, it is {}",
                    excerpt(literal),
                    kind(literal)
                )));
            }
        };
        let reserved = of_type.reserved_label();
        if let Some(reserved) = reserved.filter(|reserved| labels.get(reserved).is_some()) {
            let detail = format!("{part}.{reserved}: the gateway sets this label of a {of_type}");
            return Err(Rejection::new(Reason::InvalidLabelName, detail));
        }
        labels.add_missing(&rules.external_labels);
        if let Some(reserved) = reserved {
            labels.remove(reserved);
        }
        let count = labels.as_slice().len() + 1 + usize::from(reserved.is_some());
        if count > MAX_LABELS {
            let and = reserved.map_or(String::new(), |reserved| format!(" and {reserved}"));
            let detail = format!("{part}: {count} labels with __name__{and}, at most {MAX_LABELS} are allowed");
            return Err(Rejection::new(Reason::TooManyLabels, detail));
        }
        Ok(labels)
    }

    fn help(&self) -> Result<Option<Cow<'a, str>>, Rejection> {
        let Some(literal) = self.get(Part::Help) else { return Ok(None) };
        let help = string(Part::Help, literal)?;
        check_bytes(Part::Help, &help, MAX_METADATA_BYTES)?;
        Ok(Some(help).filter(|help| !help.is_empty()))
    }

    fn id(&self) -> Result<Option<Cow<'a, str>>, Rejection> {
        let Some(literal) = self.get(Part::Id) else { return Ok(None) };
        let id = match literal.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Cow::Borrowed(literal),
            _ => string(Part::Id, literal)?,
        };
        if id.is_empty() {
            return Err(invalid_event("id: empty; leave it out, or send a string that is unique to the event"));
        }
        check_bytes(Part::Id, &id, MAX_ID_BYTES)?;
        Ok(Some(id))
    }
}

fn invalid_event(detail: impl Into<Cow<'static, str>>) -> Rejection {
    Rejection::new(Reason::InvalidEvent, detail)
}

fn check_bytes(part: Part, text: &str, limit: usize) -> Result<(), Rejection> {
    if text.len() <= limit {
        return Ok(());
    }
    let detail = format!("{part}: it has {} bytes, at most {limit} are allowed", text.len());
    Err(Rejection::new(Reason::TooLarge, detail))
}

fn is_empty_list(literal: &str) -> bool {
    literal.strip_prefix('[').is_some_and(|rest| rest.trim_ascii_start() == "]")
}

fn string(part: Part, literal: &str) -> Result<Cow<'_, str>, Rejection> {
    let problem = || format!("{part}: {} is not a string, it is {}", excerpt(literal), kind(literal));
    if !literal.starts_with('"') {
        return Err(invalid_event(problem()));
    }
    let invalid = || Rejection::new(Reason::InvalidJson, format!("{part}: the string has an invalid escape"));
    entries::unquote(literal).ok_or_else(invalid)
}

impl Type {
    fn longest_suffix(self) -> &'static str {
        match self {
            Self::Counter | Self::Gauge => "",
            Self::Histogram => "_bucket",
            Self::Summary => "_count",
        }
    }

    /// Returns the label that distinguishes the series of one metric.
    fn reserved_label(self) -> Option<&'static str> {
        match self {
            Self::Counter | Self::Gauge => None,
            Self::Histogram => Some("le"),
            Self::Summary => Some("quantile"),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEYS[*self as usize])
    }
}

/// Reads the [`Parts`] of an object.
struct PartsOf;

impl<'a> Visitor<'a> for PartsOf {
    type Value = Parts<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Parts<'a>, A::Error> {
        let mut parts = Parts { literals: [None; KEYS.len()], repeated: None, unknown: None };
        while let Some(Key(key)) = map.next_key()? {
            let literal: &'a RawValue = map.next_value()?;
            match KEYS.iter().position(|known| *known == key) {
                Some(part) => {
                    let is_repeated = parts.literals[part].replace(literal.get()).is_some();
                    parts.repeated = parts.repeated.or(is_repeated.then_some(KEYS[part]));
                }
                None => _ = parts.unknown.get_or_insert(key),
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests;
