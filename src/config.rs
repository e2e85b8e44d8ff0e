//! The settings of `ingest`, from the environment. Each part of the program that has settings owns a struct here.
//!
//! A [`Reader`] reads the settings that a program needs, and reports all errors at once.

mod errors;
#[cfg(feature = "extension")]
pub mod extension;
mod http;
mod parse;
mod state;

use crate::amp;
use crate::aws::credentials_of;
use crate::event::Rules;
use crate::wire::Version;
use aws_credential_types::Credentials;
use std::collections::BTreeMap;
use tracing_subscriber::filter::Targets;
use url::Url;

pub use errors::{Problem, SettingsError, SettingsErrors};
pub use http::{
    ENV_HTTP_ADMIN, ENV_HTTP_AUTH, ENV_HTTP_AUTH_PASSWORD, ENV_HTTP_AUTH_SECRET, ENV_HTTP_AUTH_TOKEN,
    ENV_HTTP_AUTH_USERNAME, ENV_HTTP_DEADLINE, ENV_HTTP_PATH_PREFIX, ENV_HTTP_READ, ENV_OTLP_PROMOTE_ATTRIBUTES,
    ENV_OTLP_SCOPE_LABELS, HttpAuth, HttpCredentials, HttpSettings, Place,
};
pub use parse::milliseconds;
pub use state::{
    ENV_GROUP_TTL, ENV_MAX_SERIES, ENV_SERIES_TTL, ENV_STATE_SHARDS, ENV_STATE_TABLE, ENV_SUMMARY_WINDOW, MAX_SHARDS,
    StateSettings, TableSettings, time_to_live,
};

/// The URL to write to, used as it is. On an AMP host only `/workspaces/<id>/api/v1/remote_write` is right. Required, here or
/// in [`ENV_AWS_PROMETHEUS_ENDPOINT`]; this one wins.
pub const ENV_REMOTE_WRITE_URL: &str = "REMOTE_WRITE_URL";
/// The same, under the name that this gateway's ancestor gave it.
pub const ENV_AWS_PROMETHEUS_ENDPOINT: &str = "AWS_PROMETHEUS_ENDPOINT";
/// `sigv4` (default) or `none`.
pub const ENV_REMOTE_WRITE_AUTH: &str = "REMOTE_WRITE_AUTH";
/// `1.0` (default) or `2.0`: the version of remote write that is sent. If the receiver takes no 2.0, 1.0 is sent.
pub const ENV_REMOTE_WRITE_VERSION: &str = "REMOTE_WRITE_VERSION";
/// The region to sign for. Default: the one in the AMP host's name, else [`ENV_AWS_REGION`], else
/// [`ENV_AWS_DEFAULT_REGION`].
pub const ENV_SIGV4_REGION: &str = "SIGV4_REGION";
/// The region that Lambda runs in; known to every AWS SDK.
pub const ENV_AWS_REGION: &str = "AWS_REGION";
/// The same for SDKs of other languages, and for the AWS CLI.
pub const ENV_AWS_DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
/// The URL of a query API, or of the server or workspace that has it: remote read asks there. Default: the AMP workspace of
/// [`ENV_REMOTE_WRITE_URL`], else none.
pub const ENV_READ_URL: &str = "READ_URL";
/// The queue for dead letters. Default: none.
pub const ENV_DEAD_LETTER_QUEUE_URL: &str = "DEAD_LETTER_QUEUE_URL";
/// `env=prod,team=water`: labels for events that have none of that name. Default: none.
pub const ENV_EXTERNAL_LABELS: &str = "EXTERNAL_LABELS";
/// Older samples are `too_old`: a whole number and one unit of `ms s m h d`. Default: `1h`.
pub const ENV_MAX_SAMPLE_AGE: &str = "MAX_SAMPLE_AGE";
/// Samples further ahead are `in_future`. Default: `10s`.
pub const ENV_MAX_SAMPLE_LEAD: &str = "MAX_SAMPLE_LEAD";
/// `dead-letter` (default) or `drop`: see [`LateSamples`].
pub const ENV_LATE_SAMPLES: &str = "LATE_SAMPLES";
/// `alarms` (default) or `all`: which numbers of the metric line become CloudWatch metrics.
pub const ENV_METRICS: &str = "METRICS";
/// The log filter: a level, or `target=level,…`. Default: `info`.
pub const ENV_RUST_LOG: &str = "RUST_LOG";

/// A source of variables.
pub trait Vars {
    /// Returns the value of `name`, unless it is unset or empty. Bytes that are not UTF-8 are U+FFFD, which no setting may have.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Env;

/// The settings of `ingest`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub remote_write: RemoteWriteSettings,
    /// `None` if there is no URL to read from.
    pub read: Option<ReadSettings>,
    pub rules: Rules,
    pub dead_letters: DeadLetterSettings,
    pub state: StateSettings,
    pub log_filter: Targets,
    pub embedded_metrics: EmbeddedMetrics,
}

#[derive(Clone, Debug)]
pub struct RemoteWriteSettings {
    pub url: Url,
    pub version: Version,
    /// The region to sign for; `None` if requests are not signed.
    pub signing_region: Option<String>,
    /// Credentials in the environment. Without them, the usual sources are asked when they are needed.
    pub credentials: Option<Credentials>,
}

#[derive(Clone, Debug)]
pub struct ReadSettings {
    /// The URL of the instant query.
    pub url: Url,
    /// As in [`RemoteWriteSettings`]. For an AMP host it is the region of the host.
    pub signing_region: Option<String>,
    pub credentials: Option<Credentials>,
}

#[derive(Clone, Debug)]
pub struct DeadLetterSettings {
    pub queue_url: Option<Url>,
    pub late_samples: LateSamples,
}

/// The treatment of events that are rejected because they come too late.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum LateSamples {
    /// They are dead-lettered as others are.
    #[default]
    DeadLetter,
    /// They are counted and acknowledged.
    Drop,
}

/// The numbers of the metric line that CloudWatch makes metrics of.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum EmbeddedMetrics {
    /// The metrics of the alarms, and those that show what was lost; seven of them.
    #[default]
    Alarms,
    All,
}

/// Reads the settings of one owner after another. [`Reader::finish`] reports every error among them.
#[derive(Debug)]
pub struct Reader<'v, V> {
    vars: &'v V,
    errors: Vec<SettingsError>,
}

impl Vars for Env {
    fn get(&self, name: &str) -> Option<String> {
        let value = std::env::var_os(name)?.to_string_lossy().into_owned();
        Some(value).filter(|value| !value.is_empty())
    }
}

impl Vars for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).filter(|value| !value.is_empty()).cloned()
    }
}

impl Settings {
    /// Reads the settings of the use cases.
    pub fn from_vars(vars: &impl Vars) -> Result<Self, SettingsErrors> {
        Self::read(Reader::new(vars), |_| ()).map(|(settings, ())| settings)
    }

    /// Reads those of the HTTP door, too.
    pub fn with_http(vars: &impl Vars, place: Place) -> Result<(Self, HttpSettings), SettingsErrors> {
        Self::read(Reader::new(vars), |reader| reader.http(place))
    }

    fn read<V: Vars, T>(
        mut reader: Reader<'_, V>,
        more: impl FnOnce(&mut Reader<'_, V>) -> T,
    ) -> Result<(Self, T), SettingsErrors> {
        let remote_write = reader.remote_write();
        let read = reader.remote_read(remote_write.as_ref());
        let dead_letters = reader.dead_letters();
        let rules = reader.rules();
        let state = reader.state(remote_write.as_ref().and_then(|settings| settings.credentials.clone()));
        let log_filter = reader.log_filter();
        let embedded_metrics = reader.embedded_metrics();
        let more = more(&mut reader);
        match remote_write {
            Some(remote_write) => reader
                .finish((Self { remote_write, read, rules, dead_letters, state, log_filter, embedded_metrics }, more)),
            None => Err(SettingsErrors(reader.errors)),
        }
    }
}

impl<'v, V: Vars> Reader<'v, V> {
    pub fn new(vars: &'v V) -> Self {
        Self { vars, errors: Vec::new() }
    }

    /// Returns `settings` if all that was read is valid, and else every error.
    pub fn finish<T>(self, settings: T) -> Result<T, SettingsErrors> {
        if self.errors.is_empty() { Ok(settings) } else { Err(SettingsErrors(self.errors)) }
    }

    /// Returns `None` if there is no valid URL; then there is an error too.
    pub fn remote_write(&mut self) -> Option<RemoteWriteSettings> {
        let signed = match self.vars.get(ENV_REMOTE_WRITE_AUTH) {
            None => Some(true),
            Some(_) => self.read(ENV_REMOTE_WRITE_AUTH, parse::is_sigv4),
        };
        let version = self.read(ENV_REMOTE_WRITE_VERSION, parse::remote_write_version).unwrap_or_default();
        let url = self.remote_write_url();
        let set_region = self.read(ENV_SIGV4_REGION, parse::region);
        let url = url?;
        let signing_region = match signed {
            Some(true) => set_region.or_else(|| self.default_region(&url)),
            _ => None,
        };
        Some(RemoteWriteSettings { url, version, signing_region, credentials: self.credentials() })
    }

    /// Returns `None` if there is no URL to read from, or an error about it.
    pub fn remote_read(&mut self, remote_write: Option<&RemoteWriteSettings>) -> Option<ReadSettings> {
        let set_url = self.vars.get(ENV_READ_URL).map(|_| self.read(ENV_READ_URL, parse::query_url));
        let remote_write = remote_write?;
        let url = set_url.unwrap_or_else(|| amp::query_url_of_workspace(&remote_write.url))?;
        let region_of_host = url.host_str().and_then(amp::region_of).map(str::to_owned);
        let signing_region = match remote_write.signing_region.clone() {
            // The setting wins, as for writes.
            Some(region) if url.host() == remote_write.url.host() => Some(region),
            region => region_of_host.or(region),
        };
        Some(ReadSettings { url, signing_region, credentials: remote_write.credentials.clone() })
    }

    pub fn dead_letters(&mut self) -> DeadLetterSettings {
        DeadLetterSettings {
            queue_url: self.read(ENV_DEAD_LETTER_QUEUE_URL, parse::queue_url),
            late_samples: self.read(ENV_LATE_SAMPLES, parse::late_samples).unwrap_or_default(),
        }
    }

    pub fn rules(&mut self) -> Rules {
        let Rules { max_sample_age_ms, max_sample_lead_ms, external_labels } = Rules::default();
        Rules {
            external_labels: self.read(ENV_EXTERNAL_LABELS, parse::labels).unwrap_or(external_labels),
            max_sample_age_ms: self.read(ENV_MAX_SAMPLE_AGE, parse::milliseconds).unwrap_or(max_sample_age_ms),
            max_sample_lead_ms: self.read(ENV_MAX_SAMPLE_LEAD, parse::milliseconds).unwrap_or(max_sample_lead_ms),
        }
    }

    pub fn log_filter(&mut self) -> Targets {
        self.read(ENV_RUST_LOG, parse::log_filter).unwrap_or_else(parse::default_log_filter)
    }

    pub fn embedded_metrics(&mut self) -> EmbeddedMetrics {
        self.read(ENV_METRICS, parse::embedded_metrics).unwrap_or_default()
    }

    fn read<T>(&mut self, variable: &'static str, parse: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        let value = self.vars.get(variable)?;
        let is_text = !value.contains(char::REPLACEMENT_CHARACTER);
        let parse = |text: &str| if is_text { parse(text) } else { Err(Problem::NotText) };
        parse(&value).map_err(|problem| self.error(variable, Some(value), problem)).ok()
    }

    fn error(&mut self, variable: &'static str, value: Option<String>, problem: Problem) {
        let error = SettingsError { variable, value, problem };
        // The region is read for more than one owner.
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn remote_write_url(&mut self) -> Option<Url> {
        let names = [ENV_REMOTE_WRITE_URL, ENV_AWS_PROMETHEUS_ENDPOINT];
        let Some(variable) = names.into_iter().find(|name| self.vars.get(name).is_some()) else {
            self.error(ENV_REMOTE_WRITE_URL, None, Problem::NoUrl);
            return None;
        };
        let url = self.read(variable, parse::http_url)?;
        if let Some(problem) = amp::problem_of(&url) {
            self.error(variable, Some(url.to_string()), Problem::WorkspaceUrl(problem));
        }
        Some(url)
    }

    /// Returns the region of the URL, or else the function's own, if the setting gives none.
    fn default_region(&mut self, url: &Url) -> Option<String> {
        if self.vars.get(ENV_SIGV4_REGION).is_some() {
            return None;
        }
        if let Some(region) = url.host_str().and_then(amp::region_of) {
            return Some(region.to_owned());
        }
        let names = [ENV_AWS_REGION, ENV_AWS_DEFAULT_REGION];
        let Some(variable) = names.into_iter().find(|name| self.vars.get(name).is_some()) else {
            self.error(ENV_SIGV4_REGION, None, Problem::NoRegion);
            return None;
        };
        self.read(variable, parse::region)
    }

    fn credentials(&mut self) -> Option<Credentials> {
        credentials_of(|name| self.vars.get(name)).unwrap_or_else(|variables| {
            for variable in variables {
                self.error(variable, None, Problem::UnusableCredentials);
            }
            None
        })
    }
}

#[cfg(test)]
mod tests;
