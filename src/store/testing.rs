//! Tables for tests.

use super::DynamoDbStore;
use crate::aws::dynamodb::Table;
use crate::aws::{CredentialsSource, HttpTransport, Transport};
use aws_credential_types::Credentials;
use dynoxide::Database;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// A DynamoDB for all tests of this process.
struct Server {
    database: Database,
    url: String,
}

/// Returns an empty table of its own, over HTTP.
pub(crate) fn dynamodb_table() -> DynamoDbStore<HttpTransport> {
    DynamoDbStore::of(table_over(HttpTransport::new().unwrap()))
}

pub(crate) fn table_over<T: Transport>(transport: T) -> Table<T> {
    static TABLES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("state-{}", TABLES.fetch_add(1, Ordering::Relaxed));
    let server = server();
    let definition = serde_json::json!({
        "TableName": &name,
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    server.database.create_table(serde_json::from_value(definition).unwrap()).unwrap();
    named_table(name, transport)
}

/// A table that nobody has created.
pub(crate) fn named_table<T: Transport>(name: String, transport: T) -> Table<T> {
    let credentials = CredentialsSource::Fixed(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"));
    Table::at(&server().url, name, "eu-west-1".to_owned(), transport, credentials)
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let database = Database::memory().unwrap();
        let served = database.clone();
        let (sender, url) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(format!("http://{}/", listener.local_addr().unwrap())).unwrap();
                dynoxide::server::serve_on(listener, served).await;
            });
        });
        Server { database, url: url.recv().unwrap() }
    })
}

/// A path for one file, which is deleted at the end.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct TemporaryFile(std::path::PathBuf);

#[cfg(feature = "cli")]
impl TemporaryFile {
    pub(crate) fn new() -> Self {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("state-{}-{number}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

#[cfg(feature = "cli")]
impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _deleted_or_never_made = std::fs::remove_file(&self.0);
    }
}
