//! Parses the texts of settings.

use super::{EmbeddedMetrics, LateSamples, Problem};
use crate::amp;
use crate::aws::is_region;
use crate::limits::MAX_LABEL_VALUE_BYTES;
use crate::model::{Label, LabelName, LabelSet};
use crate::wire::Version;
use std::borrow::Cow;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

/// This crate, in log targets.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// The Lambda runtime repeats each function error in an ERROR line of its own, with the whole report of an array.
const REPEATS_ERRORS: &str = "lambda_runtime::layers";

pub(super) fn is_sigv4(text: &str) -> Result<bool, Problem> {
    match text {
        "sigv4" => Ok(true),
        "none" => Ok(false),
        _ => Err(Problem::NotOneOf(&["sigv4", "none"])),
    }
}

pub(super) fn remote_write_version(text: &str) -> Result<Version, Problem> {
    match text {
        "1.0" => Ok(Version::V1),
        "2.0" => Ok(Version::V2),
        _ => Err(Problem::NotOneOf(&["1.0", "2.0"])),
    }
}

pub(super) fn late_samples(text: &str) -> Result<LateSamples, Problem> {
    match text {
        "dead-letter" => Ok(LateSamples::DeadLetter),
        "drop" => Ok(LateSamples::Drop),
        _ => Err(Problem::NotOneOf(&["dead-letter", "drop"])),
    }
}

pub(super) fn embedded_metrics(text: &str) -> Result<EmbeddedMetrics, Problem> {
    match text {
        "alarms" => Ok(EmbeddedMetrics::Alarms),
        "all" => Ok(EmbeddedMetrics::All),
        _ => Err(Problem::NotOneOf(&["alarms", "all"])),
    }
}

pub(super) fn switch(text: &str) -> Result<bool, Problem> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Problem::NotOneOf(&["on", "off"])),
    }
}

pub(super) fn http_url(text: &str) -> Result<Url, Problem> {
    let url = Url::parse(text).map_err(|error| Problem::NotAnHttpUrl(Some(error)))?;
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => Err(Problem::UserInUrl),
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(Problem::NotAnHttpUrl(None)),
    }
}

/// Parses the URL of a query API, or of the server or workspace that has it.
pub(super) fn query_url(text: &str) -> Result<Url, Problem> {
    let url = amp::query_url(http_url(text)?);
    match amp::query_problem_of(&url) {
        Some(problem) => Err(Problem::WorkspaceUrl(problem)),
        None => Ok(url),
    }
}

pub(super) fn queue_url(text: &str) -> Result<Url, Problem> {
    http_url(text).ok().filter(|url| url.path().len() > 1).ok_or(Problem::NotAQueueUrl)
}

pub(super) fn region(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if is_region(text) { Ok(text.to_owned()) } else { Err(Problem::NotARegion) }
}

/// Returns `text` without what is before the host of a URL, however wrong the URL is.
pub(super) fn without_password(text: &str) -> Cow<'_, str> {
    match text.rsplit_once('@') {
        Some((before, after)) if before.contains(':') => Cow::Owned(format!("(hidden)@{after}")),
        _ => Cow::Borrowed(text),
    }
}

/// Parses a whole number and one unit: `90s`.
pub fn milliseconds(text: &str) -> Result<i64, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(Problem::NotADuration),
    };
    let number: i64 = number.parse().map_err(|_| Problem::NotADuration)?;
    number.checked_mul(unit).ok_or(Problem::NotADuration)
}

/// Parses `env=prod,team=water`.
pub(super) fn labels(text: &str) -> Result<LabelSet<'static>, Problem> {
    let labels: Result<Vec<_>, _> = text.split(',').map(label).collect();
    LabelSet::new(labels?).map_err(|error| Problem::LabelNameTwice(error.name.as_str().to_owned()))
}

fn label(pair: &str) -> Result<Label<'static>, Problem> {
    let (text, value) = pair.split_once('=').ok_or_else(|| Problem::NoEqualsSign(pair.to_owned()))?;
    let name = LabelName::translate(Cow::Owned(text.to_owned()))
        .map_err(|error| Problem::InvalidLabelName(text.to_owned(), error))?;
    if name.as_str() != text {
        return Err(Problem::NotAClassicLabelName(text.to_owned()));
    }
    match value.len() {
        0 => Err(Problem::NoLabelValue(text.to_owned())),
        1..=MAX_LABEL_VALUE_BYTES => Ok(Label { name, value: Cow::Owned(value.to_owned()) }),
        _ => Err(Problem::LabelValueTooLong(text.to_owned())),
    }
}

/// Parses the levels of this crate. Dependencies log warnings and errors only, whatever the setting: at lower levels the
/// Lambda runtime logs payloads and AWS SDKs log requests.
pub(super) fn log_filter(text: &str) -> Result<Targets, Problem> {
    // A word that is no level would be a target, and a typo would turn all logs off.
    let has_level = |directive: &str| directive.contains('=') || directive.parse::<LevelFilter>().is_ok();
    if !text.split(',').all(has_level) {
        return Err(Problem::NotALogFilter);
    }
    let asked: Targets = text.parse().map_err(|_| Problem::NotALogFilter)?;
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
