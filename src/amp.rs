//! URLs of Amazon Managed Service for Prometheus.

mod workspace_url;

pub use workspace_url::{problem_of, query_problem_of, query_url, query_url_of_workspace, region_of};

/// AMP's name in signatures.
pub const SIGNING_NAME: &str = "aps";
