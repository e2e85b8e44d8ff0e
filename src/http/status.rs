//! `GET /api/v1/status`, in Pushgateway's structure:
//! <https://github.com/prometheus/pushgateway#query-api>. Each flag is a setting, as text that the environment could hold. None is a secret.

use super::door::Door;
use super::time_text::rfc3339;
use crate::config::{
    ENV_GROUP_TTL, ENV_HTTP_ADMIN, ENV_HTTP_AUTH, ENV_HTTP_DEADLINE, ENV_HTTP_PATH_PREFIX, ENV_HTTP_READ,
    ENV_MAX_SERIES, ENV_OTLP_SCOPE_LABELS, ENV_SERIES_TTL, ENV_STATE_SHARDS, ENV_STATE_TABLE, ENV_SUMMARY_WINDOW,
    HttpAuth, HttpSettings, StateSettings,
};
use serde_json::{Map, Value, json};

pub(super) fn status<T, D>(door: &Door<T, D>) -> String {
    let data = json!({
        "build_information": {"version": env!("CARGO_PKG_VERSION"), "name": env!("CARGO_PKG_NAME")},
        "start_time": rfc3339(door.started),
        "flags": flags(&door.settings, door.gateway.state_settings()),
    });
    json!({"status": "success", "data": data}).to_string()
}

/// Without a state there are no settings and no table name. A state on one machine also has no table name.
fn flags(http: &HttpSettings, state: Option<&StateSettings>) -> Map<String, Value> {
    let auth = match http.auth {
        HttpAuth::Secret(_) | HttpAuth::Credentials(_) => "secret",
        HttpAuth::Iam => "iam",
        HttpAuth::None => "none",
    };
    let deadline = i64::try_from(http.deadline.as_millis()).unwrap_or(i64::MAX);
    let mut flags = vec![
        (ENV_HTTP_AUTH, auth.to_owned()),
        (ENV_HTTP_PATH_PREFIX, http.path_prefix.clone()),
        (ENV_HTTP_READ, switch(http.read)),
        (ENV_HTTP_ADMIN, switch(http.admin)),
        (ENV_OTLP_SCOPE_LABELS, switch(http.otlp_scope_labels)),
        (ENV_HTTP_DEADLINE, duration(deadline)),
        (
            ENV_STATE_TABLE,
            state.and_then(|state| state.table.as_ref()).map_or(String::new(), |table| table.name.clone()),
        ),
    ];
    if let Some(state) = state {
        let ttl = |ttl: Option<i64>| ttl.map_or("0".to_owned(), duration);
        flags.extend([
            (ENV_STATE_SHARDS, state.shards.to_string()),
            (ENV_GROUP_TTL, ttl(state.group_ttl_ms)),
            (ENV_SERIES_TTL, ttl(state.series_ttl_ms)),
            (ENV_MAX_SERIES, state.max_series.to_string()),
            (ENV_SUMMARY_WINDOW, duration(state.summary_window_ms)),
        ]);
    }
    flags.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn switch(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

/// Returns a whole number of the largest unit that fits.
fn duration(ms: i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let unit = units.into_iter().find(|(_, of_unit)| ms != 0 && ms % of_unit == 0);
    unit.map_or_else(|| format!("{ms}ms"), |(name, of_unit)| format!("{}{name}", ms / of_unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TableSettings, milliseconds};
    use std::time::Duration;

    #[test]
    fn shows_settings_as_the_environment_could_hold_them_and_no_secret() {
        let http = HttpSettings {
            auth: HttpAuth::Credentials(crate::config::HttpCredentials::new(None, None, Some("t0k3n".to_owned()))),
            path_prefix: "/push".to_owned(),
            deadline: Duration::from_secs(9),
            read: true,
            admin: false,
            otlp_promoted: Vec::new(),
            otlp_scope_labels: false,
        };
        let table = TableSettings { name: "pushed".to_owned(), region: "eu-west-1".to_owned(), credentials: None };
        let state = StateSettings { table: Some(table), series_ttl_ms: Some(86_400_000), ..StateSettings::default() };
        let shown = json!(flags(&http, Some(&state)));
        let expected = json!({
            "HTTP_AUTH": "secret", "HTTP_PATH_PREFIX": "/push", "HTTP_READ": "on", "HTTP_ADMIN": "off",
            "OTLP_SCOPE_LABELS": "off", "HTTP_DEADLINE": "9s", "STATE_TABLE": "pushed", "STATE_SHARDS": "1",
            "GROUP_TTL": "0", "SERIES_TTL": "1d", "MAX_SERIES": "100000", "SUMMARY_WINDOW": "10m",
        });
        assert_eq!(shown, expected);
        let without = flags(&http, None);
        assert_eq!(without["STATE_TABLE"], "");
        assert_eq!(without.get("GROUP_TTL"), None);
    }

    #[test]
    fn a_duration_is_read_back() {
        for ms in [0, 1, 999, 1_000, 90_000, 3_600_000, 86_400_000, 90_000_001] {
            assert_eq!(milliseconds(&duration(ms)), Ok(ms));
        }
    }
}
