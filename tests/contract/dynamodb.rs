//! DynamoDB in memory on a free port of loopback, which it prints. `support/dynamodb.py` starts it as a process of its own.

use dynoxide::Database;
use dynoxide::server::serve_on;
use std::error::Error;
use std::io::Write as _;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = Database::memory()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    serve_on(listener, database).await;
    Ok(())
}
