//! Serving until told to stop.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use crate::{
    connections::{Connection, ConnectionLimits, Connections},
    paced_body::PacedBody,
    stream::Stream,
};

/// How long requests may take to finish after the signal to stop.
const GRACE: Duration = Duration::from_secs(20);

/// How often connections that wait for too long are closed.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Bytes that are read of a request before its head must be complete. A head is held in memory as a whole.
const MAX_HEAD: usize = 128 << 10;

/// When to accept again after no connection could be: there is no file descriptor left, most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Serves a router until `stop` is cancelled; then takes no more connections and lets requests finish. `plane` labels
/// the metrics.
///
/// # Errors
/// None at present.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    plane: &'static str,
    limits: ConnectionLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    let connections = Connections::new(plane, limits);
    let tasks = TaskTracker::new();
    let mut look = tokio::time::interval(LOOKED_AT_EVERY);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            _ = look.tick() => {
                connections.close_overdue();
                continue;
            }
            () = stop.cancelled() => break,
        };
        // Too many: closed without a word, which would cost as much as an answer.
        let Some(connection) = connections.open(peer.ip()) else { continue };
        tasks.spawn(serve_one(stream, peer, connection, router.clone(), stop.clone()));
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("some requests did not finish within {GRACE:?}; leaving them");
    }
    Ok(())
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client's doing.
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Serves the requests of one connection.
async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    connection: Arc<Connection>,
    router: Router,
    stop: CancellationToken,
) {
    // Small answers must not wait for the next packet's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    let of = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let in_service = of.serve();
        let mut request = request.map(|body| Body::new(PacedBody::new(body, of.limits())));
        request.extensions_mut().insert(ConnectInfo(PeerAddr(peer)));
        // A router is always ready.
        let answer = router.clone().call(request);
        async move {
            let answer = answer.await;
            drop(in_service);
            answer
        }
    });
    let stream = TokioIo::new(Stream::new(stream, Arc::clone(&connection)));
    let mut serving = pin!(http1::Builder::new().max_buf_size(MAX_HEAD).serve_connection(stream, service));
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended: {error}");
                }
                return;
            }
            () = connection.close().cancelled() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddr(pub SocketAddr);
