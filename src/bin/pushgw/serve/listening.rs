//! The socket of the invoke endpoint.

use crate::fault::Fault;
use crate::view;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Listens on `address`, with a warning where other machines reach it.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Fault> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Fault::Failed(format!(
            "cannot listen on {address}: {error}; another address is given with --listen, port 0 is any free one"
        ))
    })?;
    if !address.ip().is_loopback() {
        view::note("warning: callers are not checked, and this address can be reached from other machines");
    }
    Ok(listener)
}
