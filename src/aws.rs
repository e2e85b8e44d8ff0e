//! The tools to call services of AWS: HTTP, credentials and signatures.
//!
//! A [`Transport`] sends one request and returns one [`Answer`]. [`HttpTransport`] is the only HTTP client of this package.
//! AWS SDKs use it through [`sdk_http_client`]. All others use it directly or within [`Signed`].
//!
//! This module knows nothing of events, remote write or dead letters.

#[cfg(feature = "cli")]
mod chain;
mod container_credentials;
mod credentials;
pub mod dynamodb;
mod http_client;
mod json_service;
mod sdk_config;
mod sdk_http;
pub mod secrets;
mod sign;
mod signed;
pub mod sqs;
mod transport;

pub use container_credentials::{ContainerError, FunctionCredentials};
#[cfg(feature = "cli")]
pub use credentials::region_of_profile;
pub use credentials::{
    Credentialed, CredentialsError, CredentialsSource, credentials_of, is_region, region_of_environment,
};
pub use http_client::{HttpTransport, causes};
pub use json_service::{CallError, ServiceError};
pub use sdk_http::sdk_http_client;
pub use sign::{SignError, sign};
pub use signed::{Signed, Signer};
pub use transport::{Answer, BodyPolicy, ReadBody, Transport, TransportError};
