//! The settings of the HTTP door.

use super::{Problem, Reader, Vars, parse};
use crate::aws::secrets::SecretArn;
use crate::otlp::Promoted;
use std::fmt;
use std::time::Duration;

/// `secret` (default), `iam` or `none`: who may use the HTTP door. On a loopback address the default of `pushgw serve` is `none`.
pub const ENV_HTTP_AUTH: &str = "HTTP_AUTH";
/// The ARN of a secret with the keys `username` and `password`, and/or `token`. Default: none, which closes the door.
pub const ENV_HTTP_AUTH_SECRET: &str = "HTTP_AUTH_SECRET";
/// For `pushgw serve` only, as the two that follow: the user of HTTP basic authentication.
pub const ENV_HTTP_AUTH_USERNAME: &str = "HTTP_AUTH_USERNAME";
pub const ENV_HTTP_AUTH_PASSWORD: &str = "HTTP_AUTH_PASSWORD";
/// The token of HTTP bearer authentication.
pub const ENV_HTTP_AUTH_TOKEN: &str = "HTTP_AUTH_TOKEN";
/// A path such as `/push` in front of every route. Default: none.
pub const ENV_HTTP_PATH_PREFIX: &str = "HTTP_PATH_PREFIX";
/// The time within which an HTTP request is answered. Default: `9s`, because clients give up after ten seconds.
pub const ENV_HTTP_DEADLINE: &str = "HTTP_DEADLINE";
/// `on` or `off` (default): remote read.
pub const ENV_HTTP_READ: &str = "HTTP_READ";
/// `on` or `off` (default): the route that wipes all groups.
pub const ENV_HTTP_ADMIN: &str = "HTTP_ADMIN";
/// `cloud.region,deployment.environment.name`: attributes of an OTLP resource that become labels of its series. Default: none.
pub const ENV_OTLP_PROMOTE_ATTRIBUTES: &str = "OTLP_PROMOTE_ATTRIBUTES";
/// `on` or `off` (default): the name, version and attributes of an OTLP scope become labels.
pub const ENV_OTLP_SCOPE_LABELS: &str = "OTLP_SCOPE_LABELS";

const DEFAULT_DEADLINE_MS: i64 = 9_000;

/// The longest time of a function.
const MAX_DEADLINE_MS: i64 = 900_000;

/// The program that the door belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Function,
    /// `pushgw serve`.
    Serve {
        is_loopback: bool,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    pub auth: HttpAuth,
    /// Empty, or with a `/` at its beginning and none at its end.
    pub path_prefix: String,
    pub deadline: Duration,
    pub read: bool,
    pub admin: bool,
    pub otlp_promoted: Vec<Promoted>,
    pub otlp_scope_labels: bool,
}

/// The clients that may use the door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpAuth {
    /// Clients that know the secret. Without a secret no client.
    Secret(Option<SecretArn>),
    /// Clients that know these.
    Credentials(HttpCredentials),
    /// Clients that AWS has authorised.
    Iam,
    /// Everybody.
    None,
}

/// Values that let a client in. An empty value counts as absent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HttpCredentials {
    basic: Option<(String, String)>,
    token: Option<String>,
}

impl HttpSettings {
    /// Returns whether no client has a credential that lets it in.
    pub fn is_closed(&self) -> bool {
        match &self.auth {
            HttpAuth::Secret(arn) => arn.is_none(),
            HttpAuth::Credentials(credentials) => !credentials.is_usable(),
            HttpAuth::Iam | HttpAuth::None => false,
        }
    }
}

impl HttpCredentials {
    /// Basic needs both a user and a password.
    pub fn new(username: Option<String>, password: Option<String>, token: Option<String>) -> Self {
        let [username, password, token] =
            [username, password, token].map(|value| value.filter(|value| !value.is_empty()));
        Self { basic: username.zip(password), token }
    }

    pub fn basic(&self) -> Option<(&str, &str)> {
        self.basic.as_ref().map(|(username, password)| (username.as_str(), password.as_str()))
    }

    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Returns whether it can let anybody in.
    pub fn is_usable(&self) -> bool {
        self.basic.is_some() || self.token.is_some()
    }
}

/// Shows which kinds there are, and no value.
impl fmt::Debug for HttpCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCredentials")
            .field("basic", &self.basic.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}

/// A value of [`ENV_HTTP_AUTH`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Secret,
    Iam,
    None,
}

impl<V: Vars> Reader<'_, V> {
    pub fn http(&mut self, place: Place) -> HttpSettings {
        HttpSettings {
            auth: self.http_auth(place),
            path_prefix: self.read(ENV_HTTP_PATH_PREFIX, path_prefix).unwrap_or_default(),
            deadline: Duration::from_millis(
                self.read(ENV_HTTP_DEADLINE, deadline).unwrap_or(DEFAULT_DEADLINE_MS.unsigned_abs()),
            ),
            read: self.read(ENV_HTTP_READ, parse::switch).unwrap_or_default(),
            admin: self.read(ENV_HTTP_ADMIN, parse::switch).unwrap_or_default(),
            otlp_promoted: self.read(ENV_OTLP_PROMOTE_ATTRIBUTES, promoted).unwrap_or_default(),
            otlp_scope_labels: self.read(ENV_OTLP_SCOPE_LABELS, parse::switch).unwrap_or_default(),
        }
    }

    fn http_auth(&mut self, place: Place) -> HttpAuth {
        let auth = self.read(ENV_HTTP_AUTH, auth);
        let [username, password, token] = [ENV_HTTP_AUTH_USERNAME, ENV_HTTP_AUTH_PASSWORD, ENV_HTTP_AUTH_TOKEN]
            .map(|name| self.credential(name, place));
        let credentials = HttpCredentials::new(username, password, token);
        let is_loopback = place == Place::Serve { is_loopback: true };
        let default = if is_loopback && !credentials.is_usable() { Auth::None } else { Auth::Secret };
        match (auth.unwrap_or(default), place) {
            (Auth::None, _) => HttpAuth::None,
            (Auth::Iam, Place::Function) => HttpAuth::Iam,
            (Auth::Iam, Place::Serve { .. }) => {
                self.error(ENV_HTTP_AUTH, Some("iam".to_owned()), Problem::NeedsAws);
                HttpAuth::Iam
            }
            (Auth::Secret, Place::Function) => HttpAuth::Secret(self.read(ENV_HTTP_AUTH_SECRET, secret_arn)),
            (Auth::Secret, Place::Serve { .. }) => HttpAuth::Credentials(credentials),
        }
    }

    /// Reads a value that no error may repeat.
    fn credential(&mut self, variable: &'static str, place: Place) -> Option<String> {
        let value = self.vars.get(variable)?;
        if place == Place::Function {
            self.error(variable, None, Problem::OnlyForServe);
        } else if value.contains(char::REPLACEMENT_CHARACTER) {
            self.error(variable, None, Problem::NotText);
        }
        Some(value)
    }
}

fn auth(text: &str) -> Result<Auth, Problem> {
    match text {
        "secret" => Ok(Auth::Secret),
        "iam" => Ok(Auth::Iam),
        "none" => Ok(Auth::None),
        _ => Err(Problem::NotOneOf(&["secret", "iam", "none"])),
    }
}

fn secret_arn(text: &str) -> Result<SecretArn, Problem> {
    SecretArn::parse(text.trim()).ok_or(Problem::NotASecret)
}

/// Paths are compared after decoding, so a percent sign would never match.
fn path_prefix(text: &str) -> Result<String, Problem> {
    let prefix = text.trim_end_matches('/');
    let is_path = text.starts_with('/') && !prefix.contains(['?', '#', '%']) && !prefix.contains("//");
    let is_plain = !prefix.contains(|c: char| c.is_control() || c.is_whitespace());
    if is_path && is_plain { Ok(prefix.to_owned()) } else { Err(Problem::NotAPathPrefix) }
}

/// Blanks around a name are no part of it.
fn promoted(text: &str) -> Result<Vec<Promoted>, Problem> {
    let attribute = |key: &str| Promoted::new(key).ok_or_else(|| Problem::NotAnAttribute(key.to_owned()));
    text.split(',').map(|key| attribute(key.trim())).collect()
}

fn deadline(text: &str) -> Result<u64, Problem> {
    match parse::milliseconds(text)? {
        milliseconds @ 1_000..=MAX_DEADLINE_MS => Ok(milliseconds.unsigned_abs()),
        _ => Err(Problem::NotADeadline),
    }
}
