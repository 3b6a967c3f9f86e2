//! A TCP proxy that cuts connections when it is told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

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
    cut: std::sync::Mutex<CancellationToken>,
}

impl Proxy {
    /// A proxy in front of an address, open.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State { open: AtomicBool::new(true), cut: std::sync::Mutex::default() });
        let stop = CancellationToken::new();
        let (shared, until) = (Arc::clone(&state), stop.clone());
        tokio::spawn(async move {
            while let Some(Ok((mut client, _))) = until.run_until_cancelled(listener.accept()).await {
                if !shared.open.load(Ordering::SeqCst) {
                    continue;
                }
                let cut = shared.cut.lock().expect("no panic under this lock").clone();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    // Small packets must not wait: the proxy is not to change what is measured.
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    cut.run_until_cancelled(tokio::io::copy_bidirectional(&mut client, &mut server)).await;
                });
            }
        });
        Self { address, state, stop }
    }

    /// Cuts all connections; new ones are taken and closed at once until [`Proxy::mend`].
    pub fn cut(&self) {
        self.state.open.store(false, Ordering::SeqCst);
        std::mem::take(&mut *self.state.cut.lock().expect("no panic under this lock")).cancel();
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.state.open.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
