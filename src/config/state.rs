//! The settings of the state: typed metrics and pushed groups.

use super::{ENV_AWS_DEFAULT_REGION, ENV_AWS_REGION, Problem, Reader, Vars, parse};
use aws_credential_types::Credentials;

/// The name of the DynamoDB table. Default: none; then typed metrics are rejected as `needs_state`, and each push is written once.
pub const ENV_STATE_TABLE: &str = "STATE_TABLE";
/// The shards of the state, from 1 to 16, fixed at deployment. Default: `1`.
pub const ENV_STATE_SHARDS: &str = "STATE_SHARDS";
/// A pushed group expires if nobody pushes it again for so long. Unset or `0`: never.
pub const ENV_GROUP_TTL: &str = "GROUP_TTL";
/// A typed series expires if no event changes it for so long. Unset or `0`: never.
pub const ENV_SERIES_TTL: &str = "SERIES_TTL";
/// The most typed series of a shard. Default: `100000`.
pub const ENV_MAX_SERIES: &str = "MAX_SERIES";
/// The quantiles of a summary are those of its observations within this time. Default: `10m`.
pub const ENV_SUMMARY_WINDOW: &str = "SUMMARY_WINDOW";

/// The most shards of a state.
pub const MAX_SHARDS: u16 = 16;
const DEFAULT_MAX_SERIES: u32 = 100_000;
const MAX_MAX_SERIES: u32 = 1_000_000;
const DEFAULT_SUMMARY_WINDOW_MS: i64 = 600_000;
const SUMMARY_WINDOWS_MS: std::ops::RangeInclusive<i64> = 1_000..=86_400_000;

/// A hundred years: sums with the time now stay in range.
const MAX_TTL_MS: i64 = 36_500 * 86_400_000;

#[derive(Clone, Debug)]
pub struct StateSettings {
    /// `None` if there is no table.
    pub table: Option<TableSettings>,
    pub shards: u16,
    /// `None`: never.
    pub group_ttl_ms: Option<i64>,
    /// `None`: never.
    pub series_ttl_ms: Option<i64>,
    pub max_series: u32,
    pub summary_window_ms: i64,
}

#[derive(Clone, Debug)]
pub struct TableSettings {
    pub name: String,
    pub region: String,
    /// Credentials in the environment. Without them, the usual sources are asked when they are needed.
    pub credentials: Option<Credentials>,
}

impl Default for StateSettings {
    fn default() -> Self {
        Self {
            table: None,
            shards: 1,
            group_ttl_ms: None,
            series_ttl_ms: None,
            max_series: DEFAULT_MAX_SERIES,
            summary_window_ms: DEFAULT_SUMMARY_WINDOW_MS,
        }
    }
}

impl<V: Vars> Reader<'_, V> {
    /// Returns the settings of a program that needs nothing else.
    #[cfg(feature = "cli")]
    pub fn state_alone(&mut self) -> StateSettings {
        let credentials = self.credentials();
        self.state(credentials)
    }

    /// `credentials` are those of the environment.
    pub fn state(&mut self, credentials: Option<Credentials>) -> StateSettings {
        let default = StateSettings::default();
        let name = self.read(ENV_STATE_TABLE, table_name);
        StateSettings {
            table: name.and_then(|name| Some(TableSettings { name, region: self.table_region()?, credentials })),
            shards: self.read(ENV_STATE_SHARDS, shards).unwrap_or(default.shards),
            group_ttl_ms: self.read(ENV_GROUP_TTL, time_to_live).unwrap_or(default.group_ttl_ms),
            series_ttl_ms: self.read(ENV_SERIES_TTL, time_to_live).unwrap_or(default.series_ttl_ms),
            max_series: self.read(ENV_MAX_SERIES, max_series).unwrap_or(default.max_series),
            summary_window_ms: self.read(ENV_SUMMARY_WINDOW, summary_window).unwrap_or(default.summary_window_ms),
        }
    }

    /// The table is in the region of the function, wherever the workspace is.
    fn table_region(&mut self) -> Option<String> {
        let names = [ENV_AWS_REGION, ENV_AWS_DEFAULT_REGION];
        let Some(variable) = names.into_iter().find(|name| self.vars.get(name).is_some()) else {
            self.error(ENV_AWS_REGION, None, Problem::NoTableRegion);
            return None;
        };
        self.read(variable, parse::region)
    }
}

/// Parses a time to live, such as `90s`, `2h`, or `0`: never, which is `None`. Returns milliseconds.
pub fn time_to_live(text: &str) -> Result<Option<i64>, Problem> {
    match text {
        "0" => Ok(None),
        _ => match parse::milliseconds(text) {
            Ok(0) => Ok(None),
            Ok(milliseconds @ 1..=MAX_TTL_MS) => Ok(Some(milliseconds)),
            _ => Err(Problem::NotATimeToLive),
        },
    }
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
fn table_name(text: &str) -> Result<String, Problem> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = (3..=255).contains(&text.len()) && text.bytes().all(is_allowed);
    if is_name { Ok(text.to_owned()) } else { Err(Problem::NotATableName) }
}

fn shards(text: &str) -> Result<u16, Problem> {
    let is_allowed = |shards: &u16| (1..=MAX_SHARDS).contains(shards);
    text.parse().ok().filter(is_allowed).ok_or(Problem::NotANumberUpTo(MAX_SHARDS.into()))
}

fn max_series(text: &str) -> Result<u32, Problem> {
    let is_allowed = |series: &u32| (1..=MAX_MAX_SERIES).contains(series);
    text.parse().ok().filter(is_allowed).ok_or(Problem::NotANumberUpTo(MAX_MAX_SERIES))
}

fn summary_window(text: &str) -> Result<i64, Problem> {
    let window = parse::milliseconds(text)?;
    if SUMMARY_WINDOWS_MS.contains(&window) { Ok(window) } else { Err(Problem::NotASummaryWindow) }
}
