//! The chain of AWS SDKs: profile, web identity, container, instance. Only `pushgw` asks it.

use super::credentials::{Credentialed, CredentialsError, is_fresh, is_usable};
use super::sdk_http_client;
use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};

/// The chain ends at the instance metadata service, which may never answer if it is absent.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The chain, and the credentials that it found last.
#[derive(Debug)]
pub struct Chain {
    region: String,
    provider: OnceCell<SharedCredentialsProvider>,
    last: Mutex<Option<Credentials>>,
}

impl Chain {
    pub(super) fn new(region: &str) -> Self {
        Self { region: region.to_owned(), provider: OnceCell::new(), last: Mutex::new(None) }
    }

    async fn build(&self) -> SharedCredentialsProvider {
        let client = ProviderConfig::default().with_http_client(sdk_http_client());
        let region = Region::new(self.region.clone());
        let chain = DefaultCredentialsChain::builder().configure(client).region(region).build().await;
        SharedCredentialsProvider::new(chain)
    }
}

impl Credentialed for Chain {
    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let mut last = self.last.lock().await;
        if let Some(credentials) = last.as_ref().filter(|last| is_fresh(last)) {
            return Ok(credentials.clone());
        }
        let provided = async {
            let provider = self.provider.get_or_init(|| self.build()).await;
            provider.provide_credentials().await
        };
        match tokio::time::timeout(TIMEOUT, provided).await {
            Ok(Ok(credentials)) if !is_usable(&credentials) => Err(CredentialsError::Unusable),
            Ok(Ok(credentials)) => Ok(last.insert(credentials).clone()),
            Ok(Err(error)) => Err(CredentialsError::NotFound(error)),
            Err(_) => Err(CredentialsError::Timeout(TIMEOUT)),
        }
    }

    async fn forget(&self) {
        self.last.lock().await.take();
    }
}
