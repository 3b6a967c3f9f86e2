//! Somebody who takes connections at a port of loopback.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Serves each connection in a task of its own. Answers where, and what ends it when it is dropped.
pub(crate) async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> (SocketAddr, DropGuard)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let stop = CancellationToken::new();
    let until = stop.clone();
    tokio::spawn(async move {
        while let Some(Ok((client, _))) = until.run_until_cancelled(listener.accept()).await {
            tokio::spawn(serve(client));
        }
    });
    (address, stop.drop_guard())
}
