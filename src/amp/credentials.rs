//! Where credentials come from: the environment as Lambda sets it, else the usual chain of AWS SDKs.

use super::sdk_http_client;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sqs::config::Region;
use std::error::Error as _;
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, OnceCell};

/// The chain ends at the instance metadata service, which takes its time to be absent.
const CHAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Credentials are renewed this long before they expire.
const EXPIRY_BUFFER: Duration = Duration::from_mins(1);

/// Credentials, when they are needed.
#[derive(Debug)]
pub enum CredentialsSource {
    /// From the environment; Lambda never changes them during the life of an execution environment.
    Fixed(Credentials),
    /// Profile, web identity, container, instance: found when first needed.
    Chain(Box<Chain>),
}

/// The chain of AWS SDKs, and what it gave last.
#[derive(Debug)]
pub struct Chain {
    region: String,
    provider: OnceCell<SharedCredentialsProvider>,
    last: Mutex<Option<Credentials>>,
}

// === impl CredentialsSource ===

impl CredentialsSource {
    /// `fixed` where there are some, else the chain; `region` is where the chain looks for services that it asks.
    #[must_use]
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

    /// Credentials that are valid now.
    ///
    /// # Errors
    /// In words, where the chain found none.
    pub async fn credentials(&self) -> Result<Credentials, String> {
        match self {
            Self::Fixed(credentials) => Ok(credentials.clone()),
            // Boxed: the SDK's futures are large and rarely run.
            Self::Chain(chain) => Box::pin(chain.credentials()).await,
        }
    }

    /// Asks the chain anew at the next need; what the environment gave stays.
    pub async fn forget(&self) {
        if let Self::Chain(chain) = self {
            chain.last.lock().await.take();
        }
    }
}

// === impl Chain ===

impl Chain {
    async fn credentials(&self) -> Result<Credentials, String> {
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
            Ok(Err(error)) => Err(error.source().map_or_else(|| error.to_string(), ToString::to_string)),
            Err(_) => Err(format!("no provider answered within {} s", CHAIN_TIMEOUT.as_secs())),
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
