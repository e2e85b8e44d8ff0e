//! Credentials from the environment as Lambda sets it, else from the usual chain of AWS SDKs.

use super::sdk_http_client;
use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider};
use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, OnceCell};

/// The chain ends at the instance metadata service, which may never answer if it is absent.
const CHAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Credentials are renewed this long before they expire.
const EXPIRY_BUFFER: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub enum CredentialsSource {
    /// From the environment; Lambda never changes them during the life of an execution environment.
    Fixed(Credentials),
    /// Profile, web identity, container, instance: found when first needed.
    Chain(Box<Chain>),
}

/// The chain of AWS SDKs, and the credentials that it found last.
#[derive(Debug)]
pub struct Chain {
    region: String,
    provider: OnceCell<SharedCredentialsProvider>,
    last: Mutex<Option<Credentials>>,
}

/// Why the chain of AWS SDKs found no credentials.
#[derive(Debug)]
pub enum CredentialsError {
    /// None of its providers has any.
    NotFound(provider::error::CredentialsError),
    /// No provider answered in time.
    Timeout,
}

impl CredentialsSource {
    /// Takes `fixed` if there are some, else the chain, which asks services in `region`.
    pub fn new(fixed: Option<Credentials>, region: &str) -> Self {
        match fixed {
            Some(credentials) => Self::Fixed(credentials),
            None => Self::Chain(Box::new(Chain {
                region: region.to_owned(),
                provider: OnceCell::new(),
                last: Mutex::new(None),
            })),
        }
    }

    /// Returns credentials that are valid now.
    pub async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Fixed(credentials) => Ok(credentials.clone()),
            // Boxed: the SDK's futures are large and rarely run.
            Self::Chain(chain) => Box::pin(chain.credentials()).await,
        }
    }

    /// Makes the next call ask the chain again. Credentials of the environment stay.
    pub async fn forget(&self) {
        if let Self::Chain(chain) = self {
            chain.last.lock().await.take();
        }
    }
}

impl Chain {
    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let mut last = self.last.lock().await;
        if let Some(credentials) = last.as_ref().filter(|last| is_fresh(last)) {
            return Ok(credentials.clone());
        }
        let provided = async {
            let provider = self.provider.get_or_init(|| self.build()).await;
            provider.provide_credentials().await
        };
        match tokio::time::timeout(CHAIN_TIMEOUT, provided).await {
            Ok(Ok(credentials)) => Ok(last.insert(credentials).clone()),
            Ok(Err(error)) => Err(CredentialsError::NotFound(error)),
            Err(_) => Err(CredentialsError::Timeout),
        }
    }

    async fn build(&self) -> SharedCredentialsProvider {
        let region = Region::new(self.region.clone());
        let config = ProviderConfig::default().with_http_client(sdk_http_client());
        let chain = DefaultCredentialsChain::builder().configure(config).region(region).build().await;
        SharedCredentialsProvider::new(chain)
    }
}

fn is_fresh(credentials: &Credentials) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > SystemTime::now() + EXPIRY_BUFFER)
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The cause says more than the error around it.
            Self::NotFound(error) => match error.source() {
                Some(cause) => write!(f, "{cause}"),
                None => write!(f, "{error}"),
            },
            Self::Timeout => write!(f, "no provider answered within {} s", CHAIN_TIMEOUT.as_secs()),
        }
    }
}

impl Error for CredentialsError {}
