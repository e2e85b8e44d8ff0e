//! The doorkeeper decides who may use the door.
//!
//! * The first request fetches the secret, and it stays for five minutes. If no new copy can be fetched, the expired one
//!   stays in use.
//! * If a request does not match, the secret is fetched again, at most every ten seconds. So a rotation works at once.
//! * Without a copy of the secret the answer is never 401, because many senders drop their samples then.

use super::Request;
use super::auth::{credentials_in, is_allowed};
use crate::aws::CallError;
use crate::aws::secrets::{Secret, SecretError};
use crate::aws::{CredentialsSource, Transport};
use crate::config::{HttpAuth, HttpCredentials};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The age at which a copy of the secret is replaced.
const MAX_AGE: Duration = Duration::from_mins(5);

/// The least time between two fetches for requests that do not match. It is also the time after a failed fetch if there
/// is a copy.
const FETCH_INTERVAL: Duration = Duration::from_secs(10);

/// The longest fetch. Secrets Manager answers in 20 ms.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Times that a fetch is tried.
const TRIES: u32 = 2;

/// Why a request may not use the door. It does not say which part of a credential is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It has no credential of the door: 401.
    Unauthorized,
    /// AWS has not authorised it: 403.
    Forbidden,
    /// The door does not know its own credentials now: 503.
    Unavailable,
}

/// Decides for each request.
#[derive(Debug)]
pub struct Doorkeeper<T> {
    rule: Rule<T>,
}

#[derive(Debug)]
enum Rule<T> {
    Everybody,
    AuthorisedByAws,
    Known(HttpCredentials),
    Secret(Box<Fetched<T>>),
}

#[derive(Debug)]
struct Fetched<T> {
    secret: Secret<T>,
    cache: Mutex<Cache>,
}

/// The copy of a secret.
#[derive(Default, Debug)]
struct Cache {
    /// With the time of its fetch.
    credentials: Option<(HttpCredentials, Instant)>,
    last_fetch: Option<Instant>,
}

impl<T: Transport> Doorkeeper<T> {
    /// Secrets are fetched through `transport`, with credentials for the region of the secret.
    pub fn new(auth: &HttpAuth, transport: T) -> Self {
        let rule = match auth {
            HttpAuth::None => Rule::Everybody,
            HttpAuth::Iam => Rule::AuthorisedByAws,
            HttpAuth::Credentials(credentials) => Rule::Known(credentials.clone()),
            HttpAuth::Secret(None) => Rule::Known(HttpCredentials::default()),
            HttpAuth::Secret(Some(arn)) => {
                let credentials = CredentialsSource::of_environment(arn.region());
                let secret = Secret::new(arn.clone(), transport, credentials);
                Rule::Secret(Box::new(Fetched { secret, cache: Mutex::default() }))
            }
        };
        Self { rule }
    }

    /// Returns whether `request` may use the door, before `deadline`.
    pub async fn admit(&self, request: &Request<'_>, deadline: Instant) -> Result<(), Denied> {
        let authorization = request.header("authorization");
        let has = |credentials: &HttpCredentials| authorization.is_some_and(|header| is_allowed(header, credentials));
        let is_admitted = match &self.rule {
            Rule::Everybody => true,
            Rule::AuthorisedByAws if request.authorised_by_aws => true,
            Rule::AuthorisedByAws => return Err(Denied::Forbidden),
            Rule::Known(credentials) => has(credentials),
            Rule::Secret(fetched) => {
                let secret = &fetched.secret;
                // Other requests wait for a fetch, and then use its result.
                let mut cache = fetched.cache.lock().await;
                let now = Instant::now();
                if cache.is_to_be_fetched(now) {
                    cache.fetch(secret, deadline).await;
                }
                let is_known = cache.credentials().is_some_and(&has);
                if !is_known && authorization.is_some() && cache.may_be_fetched(now) {
                    cache.fetch(secret, deadline).await;
                }
                cache.credentials().map(has).ok_or(Denied::Unavailable)?
            }
        };
        if is_admitted { Ok(()) } else { Err(Denied::Unauthorized) }
    }
}

impl Cache {
    fn credentials(&self) -> Option<&HttpCredentials> {
        self.credentials.as_ref().map(|(credentials, _)| credentials)
    }

    fn is_to_be_fetched(&self, now: Instant) -> bool {
        match &self.credentials {
            None => true,
            Some((_, fetched)) => now.duration_since(*fetched) >= MAX_AGE && self.may_be_fetched(now),
        }
    }

    fn may_be_fetched(&self, now: Instant) -> bool {
        self.last_fetch.is_none_or(|last| now.duration_since(last) >= FETCH_INTERVAL)
    }

    /// Keeps what it has if the fetch fails.
    async fn fetch<T: Transport>(&mut self, secret: &Secret<T>, deadline: Instant) {
        let fetched = fetch(secret, deadline).await;
        let now = Instant::now();
        self.last_fetch = Some(now);
        let arn = secret.arn();
        match fetched {
            Ok(text) => {
                let credentials = credentials_in(&text);
                if !credentials.is_usable() {
                    tracing::error!(%arn, "the secret has neither username and password nor token: the HTTP door is closed");
                }
                self.credentials = Some((credentials, now));
            }
            Err(error) if self.credentials.is_some() => {
                tracing::warn!(%arn, %error, "the secret cannot be fetched; its last copy stays in use");
            }
            Err(error) => tracing::error!(%arn, %error, "the secret cannot be fetched; HTTP requests are answered 503"),
        }
    }
}

/// Tries again what may work at once.
async fn fetch<T: Transport>(secret: &Secret<T>, deadline: Instant) -> Result<String, SecretError> {
    let mut tries = 1;
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let fetched = secret.fetch(remaining.min(FETCH_TIMEOUT)).await;
        let may_work = match &fetched {
            Err(SecretError::Call(CallError::Transport(_))) => true,
            Err(SecretError::Call(CallError::Service(error))) => error.status >= 500,
            _ => false,
        };
        if !may_work || tries == TRIES {
            return fetched;
        }
        tries += 1;
    }
}

#[cfg(test)]
mod tests;
