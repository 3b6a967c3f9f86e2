//! A load balancer that looks at `/readyz`: for restarts under load.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Api;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub struct Balancer {
    /// Where to connect to.
    pub address: SocketAddr,
    backends: watch::Sender<Vec<Backend>>,
    _stop: DropGuard,
}

#[derive(Debug, Clone)]
struct Backend {
    address: SocketAddr,
    admin: Api,
    ready: bool,
}

impl Balancer {
    /// A balancer without backends.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (backends, seen) = watch::channel(Vec::new());
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(look(backends.clone())));
        tokio::spawn(stop.clone().run_until_cancelled_owned(balance(listener, seen)));
        Self { address, backends, _stop: stop.drop_guard() }
    }

    /// Adds a backend and waits until it is seen to be ready.
    pub async fn add(&self, address: SocketAddr, admin: Api) {
        self.backends.send_modify(|backends| backends.push(Backend { address, admin, ready: false }));
        let mut seen = self.backends.subscribe();
        let ready = |backends: &Vec<Backend>| backends.iter().any(|one| one.address == address && one.ready);
        seen.wait_for(ready).await.expect("the balancer is there");
    }

    /// Forgets a backend that is gone.
    pub fn remove(&self, address: SocketAddr) {
        self.backends.send_modify(|backends| backends.retain(|one| one.address != address));
    }
}

async fn look(backends: watch::Sender<Vec<Backend>>) {
    loop {
        let now = backends.borrow().clone();
        for backend in now {
            let answer = backend.admin.request(Method::GET, "/readyz").send().await;
            let ready = answer.is_ok_and(|answer| answer.status() == 200);
            backends.send_modify(|backends| {
                for one in backends.iter_mut().filter(|one| one.address == backend.address) {
                    one.ready = ready;
                }
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn balance(listener: TcpListener, backends: watch::Receiver<Vec<Backend>>) {
    let turn = Arc::new(AtomicUsize::new(0));
    while let Ok((mut client, _)) = listener.accept().await {
        let ready: Vec<SocketAddr> =
            backends.borrow().iter().filter(|one| one.ready).map(|one| one.address).collect();
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            // Without a backend the connection closes, which the client sees as a failure.
            let Some(backend) = ready.get(turn % ready.len().max(1)) else { return };
            if let Ok(mut server) = TcpStream::connect(backend).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
