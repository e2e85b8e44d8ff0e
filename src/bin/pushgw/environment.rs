//! The settings of a command: the environment, with some variables overridden.

use super::exit::CommandError;
use super::local_workspace::{ACCESS_KEY, LocalWorkspace, REGION};
use amp_push_gateway::amp::region_of;
use amp_push_gateway::aws::region_of_profile;
use amp_push_gateway::config::{self, Env, HttpSettings, Place, Reader, Settings, Vars};
use amp_push_gateway::event::Rules;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

/// The region of the profile, if the environment has none.
static REGION_OF_PROFILE: OnceLock<String> = OnceLock::new();

/// Reads the region of the profile, if the environment has none. Later, it counts as `AWS_DEFAULT_REGION`.
pub(crate) async fn read_profile() {
    let has_region =
        [config::ENV_AWS_REGION, config::ENV_AWS_DEFAULT_REGION].iter().any(|name| Env.get(name).is_some());
    if !has_region && let Some(region) = region_of_profile().await {
        // A second call changes nothing.
        let _set = REGION_OF_PROFILE.set(region);
    }
}

/// The environment and its overrides. An empty override hides a variable.
#[derive(Clone, Default, Debug)]
pub(crate) struct Overrides(BTreeMap<&'static str, String>);

impl Vars for Overrides {
    fn get(&self, name: &str) -> Option<String> {
        let of_profile = || REGION_OF_PROFILE.get().filter(|_| name == config::ENV_AWS_DEFAULT_REGION).cloned();
        let value = self.0.get(name).cloned().or_else(|| Env.get(name)).or_else(of_profile);
        value.filter(|value| !value.is_empty())
    }
}

impl Overrides {
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    pub(crate) fn without(self, names: &[&'static str]) -> Self {
        names.iter().fold(self, |overrides, name| overrides.set(name, ""))
    }

    pub(crate) fn receiver(self, url: Option<&str>) -> Self {
        match url {
            Some(url) => self.set(config::ENV_REMOTE_WRITE_URL, url),
            None => self,
        }
    }

    /// Writes to a workspace of this process, whatever the environment says.
    pub(crate) fn embedded(self, embedded: &LocalWorkspace) -> Self {
        let (id, secret) = ACCESS_KEY;
        self.set(config::ENV_REMOTE_WRITE_URL, embedded.url.as_str())
            .set(config::ENV_REMOTE_WRITE_VERSION, "1.0")
            .set(config::ENV_REMOTE_WRITE_AUTH, "sigv4")
            .set(config::ENV_SIGV4_REGION, REGION)
            .set("AWS_ACCESS_KEY_ID", id)
            .set("AWS_SECRET_ACCESS_KEY", secret)
            .set("AWS_SESSION_TOKEN", "")
    }

    pub(crate) fn has_receiver(&self) -> bool {
        [config::ENV_REMOTE_WRITE_URL, config::ENV_AWS_PROMETHEUS_ENDPOINT].iter().any(|name| self.get(name).is_some())
    }

    pub(crate) fn rules(&self) -> Result<Rules, CommandError> {
        let mut reader = Reader::new(self);
        let rules = reader.rules();
        reader.finish(rules).map_err(|errors| CommandError::settings(&errors))
    }

    pub(crate) fn rules_and_log_filter(&self) -> Result<(Rules, Targets), CommandError> {
        let mut reader = Reader::new(self);
        let settings = (reader.rules(), reader.log_filter());
        reader.finish(settings).map_err(|errors| CommandError::settings(&errors))
    }

    /// Returns the settings for the receiver at `url`; without one, for a workspace in this process.
    pub(crate) async fn settings_for(
        self,
        url: Option<&str>,
    ) -> Result<(Settings, Option<LocalWorkspace>), CommandError> {
        if url.is_some() {
            return Ok((self.receiver(url).settings()?, None));
        }
        let embedded = LocalWorkspace::start().await?;
        Ok((self.embedded(&embedded).settings()?, Some(embedded)))
    }

    pub(crate) fn http(&self, place: Place) -> Result<HttpSettings, CommandError> {
        let mut reader = Reader::new(self);
        let settings = reader.http(place);
        reader.finish(settings).map_err(|errors| CommandError::settings(&errors))
    }

    pub(crate) fn settings(&self) -> Result<Settings, CommandError> {
        Settings::from_vars(self).map_err(|errors| CommandError::settings(&errors))
    }
}

/// Returns the settings under which made-up events are sent, whatever the environment says: to the receiver at `url`, else
/// to a workspace in this process. Local receivers check no signatures; AMP does, and one for which it was asked for.
pub(crate) async fn made_up_settings(url: Option<&str>) -> Result<(Settings, Option<LocalWorkspace>), CommandError> {
    let vars = Overrides::default().without(&[
        config::ENV_DEAD_LETTER_QUEUE_URL,
        config::ENV_EXTERNAL_LABELS,
        config::ENV_MAX_SAMPLE_AGE,
        config::ENV_MAX_SAMPLE_LEAD,
        config::ENV_LATE_SAMPLES,
        config::ENV_STATE_TABLE,
    ]);
    let url_of_amp = url.and_then(|url| url.parse::<Url>().ok()?.host_str().and_then(region_of).map(drop));
    let is_signed = url_of_amp.is_some() || vars.get(config::ENV_REMOTE_WRITE_AUTH).is_some();
    let vars = if is_signed { vars } else { vars.set(config::ENV_REMOTE_WRITE_AUTH, "none") };
    vars.settings_for(url).await
}

/// Sends log lines to standard error, as JSON if `json`, of the level in `RUST_LOG`, else of `default`.
pub(crate) fn log_to_stderr(filter: &Targets, default: LevelFilter, json: bool) {
    use tracing_subscriber::prelude::*;
    let filter = match Env.get(config::ENV_RUST_LOG) {
        Some(_) => filter.clone(),
        None => Targets::new().with_default(default),
    };
    let lines =
        tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(|| crate::view::LogWriter);
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    // A second call changes nothing.
    let _set = tracing_subscriber::registry().with(filter).with(lines).try_init();
}
