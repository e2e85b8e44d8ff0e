//! Credentials from the variables that Lambda sets, else from a provider. The provider of `pushgw` is the usual chain of
//! AWS SDKs. The provider of the function is the container endpoint that its environment names.
//!
//! The crates that sign put credentials into headers, and panic if a header cannot have such characters. So this file
//! checks all credentials. It removes blanks and line ends around a variable, because secrets that come from a file often
//! end in one.

use super::causes;
#[cfg(feature = "cli")]
use super::chain::Chain as Elsewhere;
#[cfg(not(feature = "cli"))]
use super::container_credentials::FunctionCredentials as Elsewhere;
use super::container_credentials::{ContainerError, ENV_CREDENTIALS_URI};
use crate::limits::MAX_SERVICE_ERROR_CHARS;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

/// Credentials are renewed this long before they expire.
const EXPIRY_BUFFER: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub enum CredentialsSource {
    /// Variables that are set and cannot be used.
    Wrong(Vec<&'static str>),
    /// From the environment; Lambda never changes them during the life of an execution environment.
    Fixed(Credentials),
    /// Profile, web identity, container, instance. The function has only the container. Found when first needed.
    Elsewhere(Box<Elsewhere>),
}

/// A source of credentials to sign with.
pub trait Credentialed: Send + Sync {
    /// Returns credentials that are valid now.
    fn credentials(&self) -> impl Future<Output = Result<Credentials, CredentialsError>> + Send;

    /// Makes the next call look for new credentials, if it can.
    fn forget(&self) -> impl Future<Output = ()> + Send;
}

/// The names of the usual variables, in the order key, secret, token.
const VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Returns the credentials in the usual variables, if key and secret are there. The error names those with characters that no
/// header can carry.
pub fn credentials_of(get: impl Fn(&str) -> Option<String>) -> Result<Option<Credentials>, Vec<&'static str>> {
    let trimmed = |name| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let [key, secret, token] = VARIABLES.map(trimmed);
    let (Some(key), Some(secret)) = (key, secret) else { return Ok(None) };
    let values = [Some(&key), Some(&secret), token.as_ref()];
    let is_unusable = |(_, value): &(&str, Option<&String>)| value.is_some_and(|value| !fits_into_a_header(value));
    let unusable: Vec<_> = VARIABLES.into_iter().zip(values).filter(is_unusable).map(|(name, _)| name).collect();
    if unusable.is_empty() {
        Ok(Some(Credentials::new(key, secret, token, None, "environment")))
    } else {
        Err(unusable)
    }
}

fn fits_into_a_header(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns whether `text` has the form of a region.
pub fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

/// Returns the region in `AWS_REGION`, else in `AWS_DEFAULT_REGION`, if it has the form of one.
pub fn region_of_environment() -> Option<String> {
    let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let mut values = names.iter().filter_map(|name| Some(std::env::var(name).ok()?.trim().to_owned()));
    values.find(|region| is_region(region))
}

/// Returns the region of the profile that `AWS_PROFILE` names, else of the default one.
#[cfg(feature = "cli")]
pub async fn region_of_profile() -> Option<String> {
    use aws_config::meta::region::ProvideRegion as _;
    let region = aws_config::profile::region::ProfileFileRegionProvider::new().region().await?;
    Some(region.as_ref().trim().to_owned()).filter(|region| !region.is_empty())
}

/// Why there are no credentials.
#[derive(Debug)]
pub enum CredentialsError {
    /// These variables have characters that no header can carry.
    Variables(Vec<&'static str>),
    /// A provider gave such characters.
    Unusable,
    /// None of its providers has any.
    NotFound(provider::error::CredentialsError),
    /// No provider answered within this time.
    Timeout(Duration),
    /// No variable of Lambda says where credentials are.
    Unset,
    /// The endpoint that Lambda names gave none.
    Endpoint(ContainerError),
}

impl Credentialed for CredentialsSource {
    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Wrong(variables) => Err(CredentialsError::Variables(variables.clone())),
            Self::Fixed(credentials) => Ok(credentials.clone()),
            // Boxed: the SDK's futures are large and rarely run.
            Self::Elsewhere(elsewhere) => Box::pin(elsewhere.credentials()).await,
        }
    }

    /// Credentials of the environment stay.
    async fn forget(&self) {
        if let Self::Elsewhere(elsewhere) = self {
            elsewhere.forget().await;
        }
    }
}

impl CredentialsSource {
    /// Takes `fixed` if there are some, else those of the provider, which asks services in `region`.
    pub fn new(fixed: Option<Credentials>, region: &str) -> Self {
        fixed.map_or_else(|| Self::Elsewhere(Box::new(elsewhere(region))), Self::Fixed)
    }

    /// Takes the credentials in the environment of this process, else those of the provider.
    pub fn of_environment(region: &str) -> Self {
        match credentials_of(|name| std::env::var(name).ok()) {
            Ok(fixed) => Self::new(fixed, region),
            Err(variables) => Self::Wrong(variables),
        }
    }
}

#[cfg(feature = "cli")]
fn elsewhere(region: &str) -> Elsewhere {
    Elsewhere::new(region)
}

#[cfg(not(feature = "cli"))]
fn elsewhere(_region: &str) -> Elsewhere {
    Elsewhere::default()
}

impl ProvideCredentials for CredentialsSource {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let checked = async { self.credentials().await.map_err(provider::error::CredentialsError::provider_error) };
        future::ProvideCredentials::new(checked)
    }
}

pub(super) fn is_usable(credentials: &Credentials) -> bool {
    let parts = [Some(credentials.access_key_id()), credentials.session_token()];
    parts.into_iter().flatten().all(fits_into_a_header)
}

pub(super) fn is_fresh(credentials: &Credentials) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > SystemTime::now() + EXPIRY_BUFFER)
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The cause says more than the error around it.
            Self::NotFound(error) => match error.source() {
                Some(cause) => f.write_str(&causes(cause).chars().take(MAX_SERVICE_ERROR_CHARS).collect::<String>()),
                None => write!(f, "{error}"),
            },
            Self::Variables(names) => write!(f, "{} has characters that no header can carry", names.join(", ")),
            Self::Unusable => f.write_str("their key or token has characters that no header can carry"),
            Self::Timeout(limit) => write!(f, "no provider answered within {} s", limit.as_secs()),
            Self::Unset => write!(f, "neither {} nor {ENV_CREDENTIALS_URI} is set", VARIABLES[0]),
            Self::Endpoint(error) => write!(f, "{ENV_CREDENTIALS_URI}: {error}"),
        }
    }
}

impl Error for CredentialsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Option<[String; 3]>, Vec<&'static str>> {
        let get = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let parts = |found: Credentials| {
            [found.access_key_id(), found.secret_access_key(), found.session_token().unwrap_or("")].map(str::to_owned)
        };
        Ok(credentials_of(get)?.map(parts))
    }

    #[test]
    fn trims_credentials_and_names_variables_that_no_header_can_carry() {
        let [key, secret, token] = VARIABLES;
        let expected = Ok(Some(["AKID", "s+/=", "t=="].map(str::to_owned)));
        assert_eq!(read(&[(key, "AKID"), (secret, "s+/="), (token, "t==")]), expected);
        assert_eq!(read(&[(key, " AKID\r\n"), (secret, "s+/=\n"), (token, "\tt==\n\n")]), expected);
        assert_eq!(read(&[(key, "AKID"), (secret, "s"), (token, "a\nb")]), Err(vec![token]));
        assert_eq!(read(&[(key, "A K"), (secret, "s\u{7f}"), (token, "é")]), Err(vec![key, secret, token]));
        for incomplete in
            [vec![], vec![(key, "AKID")], vec![(key, "AKID"), (secret, "\n")], vec![(secret, "s"), (token, "\n")]]
        {
            assert_eq!(read(&incomplete), Ok(None), "{incomplete:?}");
        }
    }

    #[test]
    fn knows_the_form_of_a_region() {
        assert!(["eu-west-1", "us-gov-east-1", "cn-north-1"].into_iter().all(is_region));
        assert!(!["", "EU-WEST-1", "eu west 1", "eu-west-1\n", "eu_west", "é"].into_iter().any(is_region));
    }
}
