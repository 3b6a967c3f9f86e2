//! A TCP proxy that cuts connections when it is told to, or lets them hang.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tenantry_postgres::embedded::EmbeddedPostgres;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Debug)]
pub struct Proxy {
    /// Where to connect to.
    pub address: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    open: AtomicBool,
    connections: Mutex<Connections>,
}

/// What ends the connections of now.
#[derive(Debug, Clone, Default)]
struct Connections {
    cut: CancellationToken,
    silence: CancellationToken,
    loss: CancellationToken,
}

impl State {
    fn connections(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// A proxy in front of an address, open.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State { open: AtomicBool::new(true), connections: Mutex::default() });
        let stop = CancellationToken::new();
        let (shared, until) = (Arc::clone(&state), stop.clone());
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = until.run_until_cancelled(listener.accept()).await {
                if !shared.open.load(Ordering::SeqCst) {
                    continue;
                }
                let connections = shared.connections().clone();
                tokio::spawn(forward(client, target, connections, until.clone()));
            }
        });
        Self { address, state, stop }
    }

    /// The same in front of a server of these tests.
    pub async fn before(server: &EmbeddedPostgres) -> Self {
        Self::start(([127, 0, 0, 1], server.port()).into()).await
    }

    /// Cuts all connections; new ones are taken and closed at once until [`Proxy::mend`].
    pub fn cut(&self) {
        self.state.open.store(false, Ordering::SeqCst);
        std::mem::take(&mut *self.state.connections()).cut.cancel();
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.state.open.store(true, Ordering::SeqCst);
    }

    /// Stops forwarding on the connections of now without closing them: neither end hears of it. New ones
    /// work.
    pub fn silence(&self) {
        std::mem::take(&mut *self.state.connections()).silence.cancel();
    }

    /// Lets what is asked on the connections of now through, and cuts each when its answer comes. New ones work.
    pub fn lose_answers(&self) {
        std::mem::take(&mut *self.state.connections()).loss.cancel();
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, of: Connections, until: CancellationToken) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    // Small packets must not wait: the proxy is not to change what is measured.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let forwarded = async {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            // Held open, and nothing read.
            () = of.silence.cancelled() => return until.cancelled().await,
            () = of.loss.cancelled() => {}
        }
        let ((mut asked, _), (answered, mut server)) = (client.split(), server.split());
        tokio::select! {
            _ = tokio::io::copy(&mut asked, &mut server) => {}
            _ = answered.readable() => {}
        }
    };
    of.cut.run_until_cancelled(forwarded).await;
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
