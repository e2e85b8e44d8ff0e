//! `GET /api/v1/status`, in Pushgateway's structure:
//! <https://github.com/prometheus/pushgateway#query-api>.

use super::door::Door;
use serde_json::json;

pub(super) fn status<T, D>(door: &Door<T, D>) -> String {
    let started = httpdate::fmt_http_date(
        std::time::UNIX_EPOCH + std::time::Duration::from_millis(u64::try_from(door.started.0).unwrap_or_default()),
    );
    let data = json!({
        "build_information": {"version": env!("CARGO_PKG_VERSION"), "name": env!("CARGO_PKG_NAME")},
        "start_time": started,
        "flags": {
            "HTTP_PATH_PREFIX": door.settings.path_prefix,
            "HTTP_READ": if door.settings.read { "on" } else { "off" },
            "HTTP_ADMIN": if door.settings.admin { "on" } else { "off" },
            "OTLP_SCOPE_LABELS": if door.settings.otlp_scope_labels { "on" } else { "off" },
            "HTTP_DEADLINE": format!("{} ms", door.settings.deadline.as_millis()),
        },
    });
    json!({"status": "success", "data": data}).to_string()
}
