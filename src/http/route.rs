//! Finds the route of a method and a path.

use super::Request;
use super::message::PathError;
use crate::config;
use crate::limits::MAX_EXCERPT_CHARS;
use std::fmt;

/// The resource that a path names, for any method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resource<'a> {
    Health,
    /// The path after `/metrics/`, which has a job.
    Group(&'a str),
    /// A push without a job, or what is exposed.
    Metrics,
    RemoteWrite,
    RemoteRead,
    Otlp,
    Events,
    Page,
    Groups,
    Status,
    Wipe,
}

/// A resource, and the prefix in front of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Route<'a> {
    pub(super) resource: Resource<'a>,
    /// In milliseconds; 0 is never.
    pub(super) ttl: Option<i64>,
}

/// Why a path has no route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum RouteError {
    /// The path cannot be decoded.
    Path(PathError),
    /// No route has this path.
    NotFound,
    /// The duration in `/ttl/<duration>` is none.
    Ttl(String),
}

impl Resource<'_> {
    /// Returns the methods that are allowed, as the header `Allow` has them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Health | Self::Page | Self::Groups | Self::Status => "GET, HEAD, OPTIONS",
            Self::Group(_) => "DELETE, OPTIONS, POST, PUT",
            Self::Metrics => "GET, HEAD, OPTIONS, POST, PUT",
            Self::RemoteWrite | Self::RemoteRead | Self::Otlp | Self::Events => "OPTIONS, POST",
            Self::Wipe => "OPTIONS, PUT",
        }
    }

    pub(super) fn allows(self, method: &str) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method)
    }

    /// Returns the pattern of the path, for the metric line.
    pub(super) fn pattern(self) -> &'static str {
        match self {
            Self::Health => "/-/healthy",
            Self::Group(_) => "/metrics/job/{job}",
            Self::Metrics => "/metrics",
            Self::RemoteWrite => "/api/v1/write",
            Self::RemoteRead => "/api/v1/read",
            Self::Otlp => "/v1/metrics",
            Self::Events => "/events",
            Self::Page => "/",
            Self::Groups => "/api/v1/metrics",
            Self::Status => "/api/v1/status",
            Self::Wipe => "/api/v1/admin/wipe",
        }
    }
}

/// Finds the route of a path without stage. `prefix` is `HTTP_PATH_PREFIX`: it is removed if the path begins with it.
pub(super) fn route<'a>(request: &'a Request<'_>, prefix: &str) -> Result<Route<'a>, RouteError> {
    let path = request.path.as_ref().map_err(|error| RouteError::Path(*error))?;
    let path = without_prefix(rootless(path), prefix.trim_matches('/'));
    let Some(behind) = path.strip_prefix("ttl/") else {
        return resource(path).map(|resource| Route { resource, ttl: None }).ok_or(RouteError::NotFound);
    };
    let (text, rest) = behind.split_once('/').unwrap_or((behind, ""));
    match resource(rootless(rest)) {
        Some(resource @ (Resource::Group(_) | Resource::Metrics)) => {
            let ttl = ttl(text).ok_or_else(|| RouteError::Ttl(text.chars().take(MAX_EXCERPT_CHARS).collect()))?;
            Ok(Route { resource, ttl: Some(ttl) })
        }
        _ => Err(RouteError::NotFound),
    }
}

/// Returns the milliseconds of `/ttl/<duration>` and `X-Push-TTL`; 0 is never.
pub(super) fn ttl(text: &str) -> Option<i64> {
    config::time_to_live(text).ok().map(Option::unwrap_or_default)
}

/// Returns what is wrong with a time to the expiry.
pub(super) fn no_duration(text: &str) -> String {
    format!("{text:?} is not a duration; expected a whole number and one unit of ms, s, m, h, d, such as 15m")
}

/// Removes the leading slash. Several slashes count as one, as in Pushgateway.
fn rootless(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn without_prefix<'a>(path: &'a str, prefix: &str) -> &'a str {
    match path.strip_prefix(prefix) {
        Some(rest) if !prefix.is_empty() && (rest.is_empty() || rest.starts_with('/')) => rootless(rest),
        _ => path,
    }
}

/// Finds the resource of a path without leading slash.
fn resource(path: &str) -> Option<Resource<'_>> {
    if let Some(key) = path.strip_prefix("metrics/")
        && (key.starts_with("job/") || key.starts_with("job@base64/"))
    {
        return Some(Resource::Group(key));
    }
    Some(match path {
        "" => Resource::Page,
        "-/healthy" | "-/ready" => Resource::Health,
        "metrics" => Resource::Metrics,
        "api/v1/write" | "api/v1/push" | "write" => Resource::RemoteWrite,
        "api/v1/read" | "read" => Resource::RemoteRead,
        "v1/metrics" | "api/v1/otlp/v1/metrics" => Resource::Otlp,
        "events" => Resource::Events,
        "api/v1/metrics" => Resource::Groups,
        "api/v1/status" => Resource::Status,
        "api/v1/admin/wipe" => Resource::Wipe,
        _ => {
            let workspace = path.strip_prefix("workspaces/")?.strip_suffix("/api/v1/remote_write")?;
            (!workspace.is_empty() && !workspace.contains('/')).then_some(Resource::RemoteWrite)?
        }
    })
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::NotFound => f.write_str("no such path; a push goes to /metrics/job/<job>{/<label>/<value>}"),
            Self::Ttl(text) => write!(f, "/ttl/ in front of the path: {}", no_duration(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn request(path: &str) -> Request<'_> {
        Request {
            method: Cow::Borrowed("PUT"),
            path: Ok(Cow::Borrowed(path)),
            query: Cow::Borrowed(""),
            headers: Vec::new(),
            body: Cow::Borrowed(b""),
            authorised_by_aws: false,
        }
    }

    #[test]
    fn finds_the_resource_of_a_path() {
        let table = [
            ("/metrics/job/x", Some(Resource::Group("job/x"))),
            ("//metrics/job/x/a/", Some(Resource::Group("job/x/a/"))),
            ("metrics/job@base64/eA", Some(Resource::Group("job@base64/eA"))),
            ("/metrics/job/", Some(Resource::Group("job/"))),
            ("/metrics", Some(Resource::Metrics)),
            ("/-/ready", Some(Resource::Health)),
            ("/api/v1/push", Some(Resource::RemoteWrite)),
            ("/workspaces/ws-1/api/v1/remote_write", Some(Resource::RemoteWrite)),
            ("/workspaces/a/b/api/v1/remote_write", None),
            ("/workspaces//api/v1/remote_write", None),
            ("/workspaces/api/v1/remote_write", None),
            ("/read", Some(Resource::RemoteRead)),
            ("/v1/metrics", Some(Resource::Otlp)),
            ("/api/v1/otlp/v1/metrics", Some(Resource::Otlp)),
            ("/v1/traces", None),
            ("/metrics/", None),
            ("/metrics/job", None),
            ("/metrics/jobs/x", None),
            ("/metricsx", None),
            ("/METRICS", None),
            ("", Some(Resource::Page)),
            ("//", Some(Resource::Page)),
        ];
        for (path, expected) in table {
            assert_eq!(route(&request(path), "").ok().map(|route| route.resource), expected, "{path}");
        }
    }

    #[test]
    fn removes_the_prefix_of_the_settings_and_the_expiry() {
        let minutes = |count: i64| Some(60_000 * count);
        let table = [
            ("/gw/metrics/job/x", "/gw", Ok(None)),
            ("/gw/metrics/job/x", "/gw/", Ok(None)),
            ("/metrics/job/x", "/gw", Ok(None)),
            ("/gwx/metrics/job/x", "/gw", Err(RouteError::NotFound)),
            ("/gw/ttl/15m/metrics/job/x", "/gw", Ok(minutes(15))),
            ("/ttl/2h/metrics", "", Ok(minutes(120))),
            ("/ttl/2h//metrics", "", Ok(minutes(120))),
            ("/ttl/2x/metrics", "", Err(RouteError::Ttl("2x".to_owned()))),
            ("/ttl/0/metrics", "", Ok(minutes(0))),
            ("/ttl/0s/metrics", "", Ok(minutes(0))),
            ("/ttl/-1s/metrics", "", Err(RouteError::Ttl("-1s".to_owned()))),
            ("/ttl/15m/events", "", Err(RouteError::NotFound)),
            ("/ttl/15m/ttl/15m/metrics", "", Err(RouteError::NotFound)),
            ("/ttl/15m", "", Err(RouteError::NotFound)),
        ];
        for (path, prefix, expected) in table {
            assert_eq!(route(&request(path), prefix).map(|route| route.ttl), expected, "{path} {prefix}");
        }
    }

    #[test]
    fn lists_the_methods_that_a_resource_allows() {
        assert!(Resource::Group("job/x").allows("DELETE") && !Resource::Group("job/x").allows("GET"));
        assert!(Resource::Metrics.allows("HEAD") && !Resource::Metrics.allows("DELETE"));
        assert!(!Resource::Events.allows("POS"));
    }
}
