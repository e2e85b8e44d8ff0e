//! Amazon Managed Service for Prometheus: what its URLs look like, and SigV4 for it.

mod credentials;
mod sdk_http;
mod signed;
mod workspace_url;

pub use credentials::CredentialsSource;
pub use sdk_http::sdk_http_client;
pub use signed::{SIGNING_NAME, Signed, Signer};
pub use workspace_url::{fault_of, region_of};
