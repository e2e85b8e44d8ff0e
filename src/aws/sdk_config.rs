//! The configuration of an AWS SDK's client.
//!
//! * `pushgw` looks everywhere an AWS SDK looks: variables, profiles, single sign-on, metadata services.
//! * The function reads only its variables. The code for the other places would add 0.25 MB to its zip.

use super::CredentialsSource;
use super::sdk_http_client;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;

/// The settings that the caller decides; the environment has the others.
#[derive(Debug)]
pub(super) struct ClientSettings {
    pub(super) region: String,
    /// `None`: what the environment says, else AWS.
    pub(super) endpoint: Option<String>,
    pub(super) retries: RetryConfig,
}

/// Returns the configuration of a client of a service.
#[cfg(feature = "cli")]
pub(super) async fn sdk_config(settings: ClientSettings) -> SdkConfig {
    let ClientSettings { region, endpoint, retries } = settings;
    let credentials = SharedCredentialsProvider::new(CredentialsSource::of_environment(&region));
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(sdk_http_client())
        .retry_config(retries)
        .credentials_provider(credentials)
        .region(Region::new(region));
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}

/// Returns the configuration of a client of SQS, the one service that the function asks through an SDK.
#[cfg(not(feature = "cli"))]
pub(super) async fn sdk_config(settings: ClientSettings) -> SdkConfig {
    let ClientSettings { region, endpoint, retries } = settings;
    let is_set = |name| std::env::var(name).is_ok_and(|value| value.trim().eq_ignore_ascii_case("true"));
    let credentials = SharedCredentialsProvider::new(CredentialsSource::of_environment(&region));
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(sdk_http_client())
        .retry_config(retries)
        .credentials_provider(credentials)
        .region(Region::new(region))
        .use_fips(is_set("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_set("AWS_USE_DUALSTACK_ENDPOINT"));
    match endpoint.or_else(|| super::json_service::endpoint_of_environment("AWS_ENDPOINT_URL_SQS")) {
        Some(endpoint) => config.endpoint_url(endpoint).build(),
        None => config.build(),
    }
}
