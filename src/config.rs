//! The settings of `ingest`, from the environment, with all faults told at once.

mod parse;

use crate::amp;
use crate::event::Rules;
use aws_credential_types::Credentials;
use std::collections::BTreeMap;
use std::fmt;
use tracing_subscriber::filter::Targets;
use url::Url;

/// Where to write: used as it is. On an AMP host only `/workspaces/<id>/api/v1/remote_write` is right. Required, here or
/// in [`ENV_AWS_PROMETHEUS_ENDPOINT`]; this one wins.
pub const ENV_REMOTE_WRITE_URL: &str = "REMOTE_WRITE_URL";
/// The same under the name that this gateway's ancestor gave it.
pub const ENV_AWS_PROMETHEUS_ENDPOINT: &str = "AWS_PROMETHEUS_ENDPOINT";
/// `sigv4` (default) or `none`.
pub const ENV_REMOTE_WRITE_AUTH: &str = "REMOTE_WRITE_AUTH";
/// The region to sign for; by default the one in the AMP host's name, else [`ENV_AWS_REGION`].
pub const ENV_SIGV4_REGION: &str = "SIGV4_REGION";
/// The region that Lambda runs in; of every AWS SDK.
pub const ENV_AWS_REGION: &str = "AWS_REGION";
/// The queue for refused messages; none by default.
pub const ENV_DEAD_LETTER_QUEUE_URL: &str = "DEAD_LETTER_QUEUE_URL";
/// `env=prod,team=water`: labels for events that have none of that name; none by default.
pub const ENV_EXTERNAL_LABELS: &str = "EXTERNAL_LABELS";
/// Samples older than this are `too_old`: a whole number and one unit of `ms s m h d`; `1h` by default.
pub const ENV_MAX_SAMPLE_AGE: &str = "MAX_SAMPLE_AGE";
/// Samples further ahead than this are `in_future`; `10s` by default.
pub const ENV_MAX_SAMPLE_LEAD: &str = "MAX_SAMPLE_LEAD";
/// `dead-letter` (default) or `drop`: what becomes of samples that come too late.
pub const ENV_LATE_SAMPLES: &str = "LATE_SAMPLES";
/// Log filter: a level, or `target=level,…`; `info` by default.
pub const ENV_RUST_LOG: &str = "RUST_LOG";

/// Where variables come from. One that is empty counts as unset.
pub trait Vars {
    /// The value of `name`, unless it is unset or empty.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Env;

/// What becomes of samples that come too late.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum LateSamples {
    /// They are refused like others.
    #[default]
    DeadLetter,
    /// They are counted and acknowledged.
    Drop,
}

/// All settings, valid.
#[derive(Clone, Debug)]
pub struct Settings {
    remote_write_url: Url,
    signing_region: Option<String>,
    credentials: Option<Credentials>,
    dead_letter_queue_url: Option<Url>,
    rules: Rules,
    late_samples: LateSamples,
    log_filter: Targets,
}

/// Every setting that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsErrors(Vec<SettingsError>);

/// One setting that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError {
    /// The variable.
    pub variable: &'static str,
    /// Its value; `None` where it is unset.
    pub value: Option<String>,
    /// What is wrong, and what is allowed.
    pub fault: String,
}

// === impl Vars ===

impl Vars for Env {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

impl Vars for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).filter(|value| !value.is_empty()).cloned()
    }
}

// === impl Settings ===

impl Settings {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// Every setting that is wrong, not only the first.
    pub fn from_vars(vars: &impl Vars) -> Result<Self, SettingsErrors> {
        let mut errors = Vec::new();
        let defaults = Rules::default();
        let signed = match vars.get(ENV_REMOTE_WRITE_AUTH) {
            None => Some(true),
            Some(_) => read(vars, ENV_REMOTE_WRITE_AUTH, parse::is_sigv4, &mut errors),
        };
        let remote_write_url = remote_write_url(vars, &mut errors);
        let set_region = read(vars, ENV_SIGV4_REGION, parse::region, &mut errors);
        let signing_region = match (signed, &remote_write_url) {
            (Some(true), Some(url)) => set_region.or_else(|| region_beside(vars, url, &mut errors)),
            _ => None,
        };
        let dead_letter_queue_url = read(vars, ENV_DEAD_LETTER_QUEUE_URL, parse::queue_url, &mut errors);
        let external_labels = read(vars, ENV_EXTERNAL_LABELS, parse::labels, &mut errors);
        let max_sample_age_ms = read(vars, ENV_MAX_SAMPLE_AGE, parse::milliseconds, &mut errors);
        let max_sample_lead_ms = read(vars, ENV_MAX_SAMPLE_LEAD, parse::milliseconds, &mut errors);
        let late_samples = read(vars, ENV_LATE_SAMPLES, parse::late_samples, &mut errors);
        let log_filter = read(vars, ENV_RUST_LOG, parse::log_filter, &mut errors);
        match remote_write_url {
            Some(remote_write_url) if errors.is_empty() => Ok(Self {
                remote_write_url,
                signing_region,
                credentials: credentials(vars),
                dead_letter_queue_url,
                rules: Rules {
                    max_sample_age_ms: max_sample_age_ms.unwrap_or(defaults.max_sample_age_ms),
                    max_sample_lead_ms: max_sample_lead_ms.unwrap_or(defaults.max_sample_lead_ms),
                    external_labels: external_labels.unwrap_or_default(),
                },
                late_samples: late_samples.unwrap_or_default(),
                log_filter: log_filter.unwrap_or_else(parse::default_log_filter),
            }),
            _ => Err(SettingsErrors(errors)),
        }
    }

    /// Where to write.
    #[must_use]
    pub fn remote_write_url(&self) -> &Url {
        &self.remote_write_url
    }

    /// The region to sign for; `None` where nothing is signed.
    #[must_use]
    pub fn signing_region(&self) -> Option<&str> {
        self.signing_region.as_deref()
    }

    /// Credentials that the environment gives; others are looked for when they are needed.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The queue for refused messages.
    #[must_use]
    pub fn dead_letter_queue_url(&self) -> Option<&Url> {
        self.dead_letter_queue_url.as_ref()
    }

    /// What events are judged by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What becomes of samples that come too late.
    #[must_use]
    pub fn late_samples(&self) -> LateSamples {
        self.late_samples
    }

    /// Which log lines are wanted.
    #[must_use]
    pub fn log_filter(&self) -> &Targets {
        &self.log_filter
    }
}

fn read<T>(
    vars: &impl Vars,
    variable: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
    errors: &mut Vec<SettingsError>,
) -> Option<T> {
    let value = vars.get(variable)?;
    parse(&value).map_err(|fault| errors.push(SettingsError { variable, value: Some(value), fault })).ok()
}

fn remote_write_url(vars: &impl Vars, errors: &mut Vec<SettingsError>) -> Option<Url> {
    let set = [ENV_REMOTE_WRITE_URL, ENV_AWS_PROMETHEUS_ENDPOINT].into_iter().find(|name| vars.get(name).is_some());
    let Some(variable) = set else {
        let fault = format!(
            "it is not set, nor is {ENV_AWS_PROMETHEUS_ENDPOINT}; expected the URL to write to, such as \
             https://aps-workspaces.<region>.amazonaws.com/workspaces/<id>/api/v1/remote_write",
        );
        errors.push(SettingsError { variable: ENV_REMOTE_WRITE_URL, value: None, fault });
        return None;
    };
    let url = read(vars, variable, parse::http_url, errors)?;
    if let Some(fault) = amp::fault_of(&url) {
        errors.push(SettingsError { variable, value: Some(url.to_string()), fault });
    }
    Some(url)
}

/// Where the setting gives none: that of the URL, else the function's own.
fn region_beside(vars: &impl Vars, url: &Url, errors: &mut Vec<SettingsError>) -> Option<String> {
    if vars.get(ENV_SIGV4_REGION).is_some() {
        return None;
    }
    let of_url = url.host_str().and_then(amp::region_of).map(str::to_owned);
    let region = of_url.or_else(|| read(vars, ENV_AWS_REGION, parse::region, errors));
    if region.is_none() {
        let fault = format!(
            "no region to sign for: it is not set, {ENV_AWS_REGION} is not either, and the host of the URL names none; \
             expected a region such as eu-west-1, or {ENV_REMOTE_WRITE_AUTH}=none",
        );
        errors.push(SettingsError { variable: ENV_SIGV4_REGION, value: None, fault });
    }
    region
}

fn credentials(vars: &impl Vars) -> Option<Credentials> {
    let (key, secret) = (vars.get("AWS_ACCESS_KEY_ID")?, vars.get("AWS_SECRET_ACCESS_KEY")?);
    Some(Credentials::new(key, secret, vars.get("AWS_SESSION_TOKEN"), None, "environment"))
}

// === impl SettingsErrors ===

impl SettingsErrors {
    /// The faults, in the order of the documents.
    #[must_use]
    pub fn as_slice(&self) -> &[SettingsError] {
        &self.0
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if i > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={}: {}", self.variable, parse::without_password(value), self.fault),
            None => write!(f, "{}: {}", self.variable, self.fault),
        }
    }
}

#[cfg(test)]
mod tests;
