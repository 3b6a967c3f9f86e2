//! A Kubernetes cluster with CloudNativePG, as far as a test needs one: an API server that keeps objects, with discovery,
//! server-side apply and watches, and an operator that starts a real PostgreSQL for each `Cluster`.

mod answer;
mod apply;
mod cloud_native_pg;
mod kinds;
mod requests;
mod store;
mod watch;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tenantry_worker::providers::{
    Provider,
    kubernetes::{Kubernetes, KubernetesSettings},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{cloud_native_pg::CloudNativePg, store::Store};
use crate::{
    listen::listen,
    tls::{self, Authority},
    within::within,
};

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// What goes wrong, instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status, without looking at the request.
    Status(u16),
    /// The request is carried out, and the connection lost before its answer.
    LostAnswer,
    /// The connection is lost before the request is carried out.
    LostRequest,
    /// It is carried out once [`KubernetesCluster::release`] is called, as if whoever sends it had been frozen.
    Held,
}

/// Requests to which something happens: those with this method whose path holds this text, so many times.
#[derive(Debug)]
struct Expected {
    method: &'static str,
    path: &'static str,
    fault: Fault,
    times: usize,
}

/// Requests that are held.
#[derive(Debug, Default)]
struct Held {
    count: tokio::sync::watch::Sender<usize>,
    released: CancellationToken,
}

/// The namespace in which a test's servers are made.
pub const NAMESPACE: &str = "tenants";

/// A cluster. It ends, with the PostgreSQL servers in it, when it is dropped.
#[allow(missing_debug_implementations, reason = "it holds servers")]
pub struct KubernetesCluster {
    url: String,
    store: Arc<Store>,
    operator: Arc<CloudNativePg>,
    faults: Arc<Mutex<Vec<Expected>>>,
    cut: tokio::sync::watch::Sender<()>,
    held: Arc<Held>,
    ca: NamedTempFile,
    kubeconfig: NamedTempFile,
    _listener: DropGuard,
    _operator: DropGuard,
}

impl KubernetesCluster {
    /// An empty one, whose nodes are reached at `localhost`.
    pub async fn start() -> Self {
        let store = Arc::new(Store::new());
        for namespace in ["default", NAMESPACE] {
            store.seed_namespace(namespace);
        }
        let faults = Arc::new(Mutex::new(Vec::new()));
        let (cut, _) = tokio::sync::watch::channel(());
        let held = Arc::new(Held::default());
        let (serving, failing, cutting) = (Arc::clone(&store), Arc::clone(&faults), cut.clone());
        let holding = Arc::clone(&held);
        let authority = Authority::new("Kubernetes");
        let acceptor = tls::acceptor(&authority.certificate("localhost"));
        let ca = NamedTempFile::new().expect("a file");
        std::fs::write(ca.path(), authority.pem()).expect("a file");
        let (address, listener) = listen(move |stream| {
            let acceptor = acceptor.clone();
            let (store, faults, held) = (Arc::clone(&serving), Arc::clone(&failing), Arc::clone(&holding));
            let mut cut = cutting.subscribe();
            async move {
                let stream = acceptor.accept(stream).await?;
                let service = service_fn(|request| serve(request, &store, &faults, &held));
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    // Ends with an error where a fault says so.
                    served = connection => drop(served),
                    _ = cut.changed() => {}
                }
                Ok(())
            }
        })
        .await;
        let operator = Arc::new(CloudNativePg::new(Arc::clone(&store)));
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&operator).run(stop.clone()));
        Self {
            url: format!("https://localhost:{}", address.port()),
            ca,
            store,
            operator,
            faults,
            cut,
            held,
            kubeconfig: NamedTempFile::new().expect("a file"),
            _listener: listener,
            _operator: stop.drop_guard(),
        }
    }

    /// A client with a token.
    ///
    /// # Panics
    /// The client cannot be made.
    pub fn client(&self) -> Client {
        let mut config = Config::new(self.url.parse().expect("a URL"));
        let ca = std::fs::read(self.ca.path()).expect("a CA");
        let ca = CertificateDer::from_pem_slice(&ca).expect("a certificate");
        config.root_cert = Some(vec![ca.to_vec()]);
        config.auth_info.token = Some(answer::TOKEN.to_owned().into());
        Client::try_from(config).expect("a client")
    }

    /// Variables of a worker's environment whose servers are made here.
    ///
    /// # Panics
    /// The kubeconfig file cannot be written.
    pub fn surroundings(&self) -> Vec<(String, String)> {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": self.url, "certificate-authority": self.ca.path() } }],
            "users": [{ "name": "test", "user": { "token": answer::TOKEN } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": NAMESPACE } }],
        });
        std::fs::write(self.kubeconfig.path(), kubeconfig.to_string()).expect("a file");
        [
            ("KUBECONFIG", self.kubeconfig.path().display().to_string()),
            ("TENANTRY_KUBERNETES_NAMESPACE", NAMESPACE.to_owned()),
            ("TENANTRY_KUBERNETES_NODE_HOST", "localhost".to_owned()),
            ("TENANTRY_KUBERNETES_LOOK_EVERY", "0.2".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The provider for it, of a registry with that label.
    pub fn provider(&self, label: &str) -> Arc<dyn Provider> {
        Kubernetes::new(KubernetesSettings {
            client: self.client(),
            namespace: NAMESPACE.into(),
            label: label.into(),
            node_host: Some("localhost".into()),
            look_every: Duration::from_millis(200),
        })
    }

    /// Where its API server listens, a token for it, and the file with its CA.
    pub fn access(&self) -> [&str; 3] {
        [&self.url, answer::TOKEN, self.ca.path().to_str().expect("a path")]
    }

    /// What is in another namespace.
    pub fn left_in(&self, namespace: &str) -> Vec<String> {
        self.store.names(namespace)
    }

    /// Has requests with a method whose path holds a text go wrong, so many times.
    ///
    /// # Panics
    /// A thread panicked while it held the list.
    pub fn fail(&self, method: &'static str, path: &'static str, fault: Fault, times: usize) {
        self.faults.lock().expect("no panic").push(Expected { method, path, fault, times });
    }

    /// Nothing goes wrong any more.
    ///
    /// # Panics
    /// A thread panicked while it held the list.
    pub fn mend(&self) {
        self.faults.lock().expect("no panic").clear();
    }

    /// Waits until a request is held.
    pub async fn until_held(&self) {
        within(Duration::from_secs(20), "a request is held", async || *self.held.count.borrow() > 0).await;
    }

    /// Has all requests carried out that are held.
    pub fn release(&self) {
        self.held.released.cancel();
    }

    /// Cuts all connections.
    pub fn cut_connections(&self) {
        self.cut.send_replace(());
    }

    /// Forgets what was changed so far: watches that begin before it are refused with 410 Gone.
    pub fn forget_history(&self) {
        self.store.forget_history();
    }

    /// Objects of a kind in the namespace of servers.
    pub fn objects(&self, plural: &str) -> Vec<Value> {
        self.store.list_all(plural, NAMESPACE)
    }

    /// Adds an object of a kind of the core group to the namespace of servers.
    ///
    /// # Panics
    /// There is one of that name.
    pub fn add(&self, plural: &str, object: Value) {
        let kind = kinds::find("", "v1", plural).expect("a kind");
        self.store.create(kind, NAMESPACE, object).expect("an object");
    }

    /// Clusters stay at this phase from now on; none: they become ready.
    pub fn hold(&self, phase: Option<&str>) {
        self.operator.hold(phase);
    }

    /// The clusters whose PostgreSQL runs.
    pub fn running(&self) -> Vec<String> {
        self.operator.running()
    }

    /// Gives a cluster a new CA, and a certificate of that.
    pub async fn renew_certificate(&self, cluster: &str) {
        self.operator.renew(cluster).await;
    }

    /// The requests so far, as `METHOD path`.
    pub fn requests(&self) -> Vec<String> {
        self.store.requests()
    }

    /// Waits until nothing is left in the namespace but marks of deletions, and no PostgreSQL runs.
    pub async fn until_empty(&self) {
        within(Duration::from_secs(30), "nothing is left in the namespace", async || self.left().is_empty())
            .await;
    }

    /// What is there but for marks of deletions.
    pub fn left(&self) -> Vec<String> {
        let mut left = self.store.names(NAMESPACE);
        left.retain(|name| !name.ends_with("-deleted"));
        left.extend(self.operator.running().into_iter().map(|cluster| format!("PostgreSQL of {cluster}")));
        left
    }
}

async fn serve(
    request: Request<Incoming>,
    store: &Arc<Store>,
    faults: &Mutex<Vec<Expected>>,
    held: &Held,
) -> io::Result<Answer> {
    let fault = {
        let mut faults = faults.lock().expect("no panic");
        let (method, path) = (request.method().as_str(), request.uri().to_string());
        let found = faults
            .iter_mut()
            .find(|expected| expected.times > 0 && expected.method == method && path.contains(expected.path));
        found.map(|expected| {
            expected.times -= 1;
            expected.fault
        })
    };
    match fault {
        Some(Fault::Status(code)) => Ok(answer::status(code, "the test says so")),
        Some(Fault::LostRequest) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::LostAnswer) => {
            drop(requests::answer(request, store).await);
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(Fault::Held) => {
            held.count.send_modify(|count| *count += 1);
            held.released.cancelled().await;
            Ok(requests::answer(request, store).await)
        }
        None => Ok(requests::answer(request, store).await),
    }
}
