//! What the verbs share: settings with some of them given on the command line, a workspace in this process, and files.

use super::fault::Fault;
use amp_push_gateway::amp::SIGNING_NAME;
use amp_push_gateway::config::{self, Env, Settings, Vars};
use amp_push_gateway::local::signature::{AccessKey, Verifier};
use amp_push_gateway::local::tsdb::Rules;
use amp_push_gateway::local::workspace::Workspace;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What of a file is read. A payload of Lambda has at most 6 MiB; `check` takes more.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The name that stands for standard input.
const STDIN: &str = "-";

const WORKSPACE_ID: &str = "ws-local";
const REGION: &str = "eu-central-1";
/// Known to the workspace in this process and to nothing else.
const ACCESS_KEY: (&str, &str) = ("LOCALWORKSPACEKEY", "known-only-within-this-process");

/// The environment, and what goes before it. An empty override hides a variable.
#[derive(Clone, Default, Debug)]
pub(crate) struct Overrides(BTreeMap<&'static str, String>);

/// A workspace that listens on a free port of this machine until it is stopped.
#[derive(Debug)]
pub(crate) struct Embedded {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

// === impl Overrides ===

impl Vars for Overrides {
    fn get(&self, name: &str) -> Option<String> {
        let value = self.0.get(name).cloned().or_else(|| Env.get(name));
        value.filter(|value| !value.is_empty())
    }
}

impl Overrides {
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    /// The rules that a made-up fleet's expectations hold under, whatever the environment says.
    pub(crate) fn usual_rules(self) -> Self {
        self.without(&[
            config::ENV_DEAD_LETTER_QUEUE_URL,
            config::ENV_EXTERNAL_LABELS,
            config::ENV_MAX_SAMPLE_AGE,
            config::ENV_MAX_SAMPLE_LEAD,
            config::ENV_LATE_SAMPLES,
        ])
    }

    /// Hides each of `names`.
    pub(crate) fn without(self, names: &[&'static str]) -> Self {
        names.iter().fold(self, |overrides, name| overrides.set(name, ""))
    }

    /// The receiver at `url`, where one is given.
    pub(crate) fn receiver(self, url: Option<&str>) -> Self {
        match url {
            Some(url) => self.set(config::ENV_REMOTE_WRITE_URL, url),
            None => self,
        }
    }

    /// A workspace of this process: its URL, its region and its key, whatever the environment says.
    pub(crate) fn embedded(self, embedded: &Embedded) -> Self {
        let (id, secret) = ACCESS_KEY;
        self.set(config::ENV_REMOTE_WRITE_URL, embedded.url.as_str())
            .set(config::ENV_REMOTE_WRITE_AUTH, "sigv4")
            .set(config::ENV_SIGV4_REGION, REGION)
            .set("AWS_ACCESS_KEY_ID", id)
            .set("AWS_SECRET_ACCESS_KEY", secret)
            .set("AWS_SESSION_TOKEN", "")
    }

    /// Whether a receiver is configured.
    pub(crate) fn has_receiver(&self) -> bool {
        [config::ENV_REMOTE_WRITE_URL, config::ENV_AWS_PROMETHEUS_ENDPOINT].iter().any(|name| self.get(name).is_some())
    }

    /// The settings where events are only judged. Where to write is of no interest, and need not be set.
    pub(crate) fn checking() -> Result<Settings, Fault> {
        Self::default()
            .set(config::ENV_REMOTE_WRITE_URL, "http://localhost/")
            .set(config::ENV_REMOTE_WRITE_AUTH, "none")
            .without(&[config::ENV_DEAD_LETTER_QUEUE_URL, config::ENV_LATE_SAMPLES])
            .settings()
    }

    pub(crate) fn settings(&self) -> Result<Settings, Fault> {
        Settings::from_vars(self).map_err(|errors| Fault::settings(&errors))
    }
}

// === impl Embedded ===

impl Embedded {
    /// An empty workspace with AMP's rules that wants signatures.
    pub(crate) async fn start() -> Result<Self, Fault> {
        let listen = async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            io::Result::Ok((listener, address))
        };
        let (listener, address) = listen.await.map_err(|error| {
            Fault::Failed(format!("no port on 127.0.0.1 for the workspace of this process: {error}"))
        })?;
        let (id, secret) = ACCESS_KEY;
        let key = AccessKey { id: id.to_owned(), secret: secret.to_owned(), session_token: None };
        let verifier = Verifier { service: SIGNING_NAME.to_owned(), region: REGION.to_owned(), keys: vec![key] };
        let workspace = Arc::new(Workspace::new(WORKSPACE_ID, Rules::default(), Some(verifier)));
        let url = workspace.url(address);
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let task = tokio::spawn(Arc::clone(&workspace).run(listener, shutdown));
        Ok(Self { workspace, url, stop, task })
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        // A workspace that panicked has said so on standard error.
        let _is_well = self.task.await.is_ok();
    }
}

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == STDIN {
        io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Fault::unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Fault::Usage(format!("{} has more than {} MiB", path.display(), MAX_FILE_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Sends log lines to standard error, as JSON where `json`: `RUST_LOG` decides which, else `default`.
pub(crate) fn log_to_stderr(settings: &Settings, default: tracing_subscriber::filter::LevelFilter, json: bool) {
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter = match Env.get(config::ENV_RUST_LOG) {
        Some(_) => settings.log_filter().clone(),
        None => Targets::new().with_default(default),
    };
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(io::stderr);
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    // A second call would find a subscriber and change nothing.
    let _set = tracing_subscriber::registry().with(filter).with(lines).try_init();
}
