//! Texts of settings to values. Each error is a sentence that says what is allowed.

use super::LateSamples;
use crate::event::MAX_LABEL_VALUE_BYTES;
use crate::model::{Label, LabelName, LabelSet};
use std::borrow::Cow;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

/// This crate, in log targets.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

pub(super) fn is_sigv4(text: &str) -> Result<bool, String> {
    match text {
        "sigv4" => Ok(true),
        "none" => Ok(false),
        _ => Err("expected sigv4 or none".to_owned()),
    }
}

pub(super) fn late_samples(text: &str) -> Result<LateSamples, String> {
    match text {
        "dead-letter" => Ok(LateSamples::DeadLetter),
        "drop" => Ok(LateSamples::Drop),
        _ => Err("expected dead-letter or drop".to_owned()),
    }
}

pub(super) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; expected an http or https URL"))?;
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err("a user or password in the URL is not supported".to_owned())
        }
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err("expected an http or https URL".to_owned()),
    }
}

pub(super) fn queue_url(text: &str) -> Result<Url, String> {
    let expected = "expected the URL of an SQS queue, such as https://sqs.<region>.amazonaws.com/<account>/<name>";
    http_url(text).ok().filter(|url| url.path().len() > 1).ok_or_else(|| expected.to_owned())
}

pub(super) fn region(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.bytes().all(allowed) { Ok(text.to_owned()) } else { Err("expected a region such as eu-west-1".to_owned()) }
}

/// `text` as it may be shown: without what stands in a URL before the host, however badly it is written.
pub(super) fn without_password(text: &str) -> Cow<'_, str> {
    match text.rsplit_once('@') {
        Some((before, after)) if before.contains(':') => Cow::Owned(format!("(hidden)@{after}")),
        _ => Cow::Borrowed(text),
    }
}

/// One whole number and one unit: `90s`.
pub(super) fn milliseconds(text: &str) -> Result<i64, String> {
    let expected = || "expected a whole number and one unit of ms, s, m, h, d, such as 90s".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected()),
    };
    let number: i64 = number.parse().map_err(|_| expected())?;
    number
        .checked_mul(unit)
        .ok_or_else(|| "longer than can be counted; expected a whole number and one unit of ms, s, m, h, d".to_owned())
}

/// `env=prod,team=water`. Names are classic: one that would have to be translated is more likely a slip.
pub(super) fn labels(text: &str) -> Result<LabelSet<'static>, String> {
    let labels: Result<Vec<_>, _> = text.split(',').map(label).collect();
    LabelSet::new(labels?).map_err(|twice| format!("the name {} stands twice", twice.name.as_str()))
}

fn label(pair: &str) -> Result<Label<'static>, String> {
    let (name, value) = pair
        .split_once('=')
        .ok_or_else(|| format!("\"{pair}\" has no \"=\"; expected name=value,name=value with no comma in a value"))?;
    let translated =
        LabelName::translate(Cow::Owned(name.to_owned())).map_err(|error| format!("\"{name}\": {error}"))?;
    if translated.as_str() != name {
        return Err(format!("\"{name}\" is not a label name; expected [a-zA-Z_][a-zA-Z0-9_]*"));
    }
    if value.is_empty() {
        return Err(format!("\"{name}\" has no value"));
    }
    if value.len() > MAX_LABEL_VALUE_BYTES {
        return Err(format!("the value of {name} is longer than {MAX_LABEL_VALUE_BYTES} bytes"));
    }
    Ok(Label { name: translated, value: Cow::Owned(value.to_owned()) })
}

/// The Lambda runtime repeats each function error in an ERROR line of its own, the whole report of an array with it.
const REPEATS_ERRORS: &str = "lambda_runtime::layers";

/// The levels wanted of this crate. Dependencies are heard from `warn` on and no lower, whatever is asked for: at lower
/// levels the Lambda runtime logs payloads and AWS SDKs log requests, and neither may stand in a log.
pub(super) fn log_filter(text: &str) -> Result<Targets, String> {
    let expected = || "expected a level (off, error, warn, info, debug, trace) or target=level,…".to_owned();
    // A bare word that is no level would be taken for a target, and a slip turn all logs off.
    let has_level = |directive: &str| directive.contains('=') || directive.parse::<LevelFilter>().is_ok();
    if !text.split(',').all(has_level) {
        return Err(expected());
    }
    let asked: Targets = text.parse().map_err(|_| expected())?;
    let own = asked
        .iter()
        .filter(|(target, _)| target.starts_with(OWN_TARGET))
        .map(|(target, level)| (target.to_owned(), level));
    let default = asked.default_level().unwrap_or(LevelFilter::OFF);
    Ok(dependencies(default.min(LevelFilter::WARN)).with_target(OWN_TARGET, default).with_targets(own))
}

pub(super) fn default_log_filter() -> Targets {
    dependencies(LevelFilter::WARN).with_target(OWN_TARGET, LevelFilter::INFO)
}

fn dependencies(level: LevelFilter) -> Targets {
    Targets::new().with_default(level).with_target(REPEATS_ERRORS, LevelFilter::OFF)
}
