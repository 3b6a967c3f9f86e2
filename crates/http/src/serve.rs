//! Serving until told to stop.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long requests may take to finish after the signal to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Serves a router until `stop` is cancelled; then takes no more connections and lets requests finish.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<PeerAddr>();
    let signal = stop.clone();
    let server = axum::serve(ListenerWithoutDelay(listener), service)
        .with_graceful_shutdown(async move { signal.cancelled().await });
    tokio::select! {
        ended = server.into_future() => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("some requests did not finish within {GRACE:?}; leaving them");
            Ok(())
        }
    }
}

/// Small answers must not wait for the next packet's acknowledgement.
struct ListenerWithoutDelay(TcpListener);

impl axum::serve::Listener for ListenerWithoutDelay {
    type Io = tokio::net::TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl axum::extract::connect_info::Connected<axum::serve::IncomingStream<'_, ListenerWithoutDelay>>
    for PeerAddr
{
    fn connect_info(stream: axum::serve::IncomingStream<'_, ListenerWithoutDelay>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddr(pub SocketAddr);
