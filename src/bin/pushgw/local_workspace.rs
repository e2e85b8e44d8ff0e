//! An AMP-like workspace in this process.

use super::exit::CommandError;
use amp_push_gateway::amp::SIGNING_NAME;
use amp_push_gateway::local::signature::{AccessKey, Verifier};
use amp_push_gateway::local::tsdb::Rules;
use amp_push_gateway::local::workspace::Workspace;
use std::future::pending;
use std::sync::Arc;
use tokio::net::TcpListener;

const WORKSPACE_ID: &str = "ws-local";
pub(crate) const REGION: &str = "eu-central-1";
/// Only the workspace in this process knows it.
pub(crate) const ACCESS_KEY: (&str, &str) = ("LOCALWORKSPACEKEY", "known-only-within-this-process");

/// A workspace that listens on a free port of this machine until the process ends.
pub(crate) struct LocalWorkspace {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) url: String,
}

impl LocalWorkspace {
    /// An empty workspace with AMP's rules that wants signatures.
    pub(crate) async fn start() -> Result<Self, CommandError> {
        let no_port =
            |error| CommandError::failed(format!("no port on 127.0.0.1 for the workspace of this process: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(no_port)?;
        let address = listener.local_addr().map_err(no_port)?;
        let (id, secret) = ACCESS_KEY;
        let key = AccessKey { id: id.to_owned(), secret: secret.to_owned(), session_token: None };
        let verifier = Verifier { service: SIGNING_NAME.to_owned(), region: REGION.to_owned(), keys: vec![key] };
        let workspace = Arc::new(Workspace::new(WORKSPACE_ID, Rules::default(), Some(verifier)));
        let url = workspace.url(address);
        tokio::spawn(Arc::clone(&workspace).run(listener, pending()));
        Ok(Self { workspace, url })
    }
}
