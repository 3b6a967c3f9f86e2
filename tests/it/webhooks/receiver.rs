//! A receiver of webhooks, which keeps what it gets and answers as a test says.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tenantry_tests::within::within;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::task::AbortOnDropHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().to_owned()
    }

    /// The tenant that it is about, without what makes its name the test's own.
    pub(crate) fn tenant(&self) -> String {
        let event = self.event();
        let slug = event["data"]["tenant"]["slug"].as_str().unwrap_or("-").to_owned();
        slug.rsplit_once('-').map_or_else(String::new, |(name, _)| name.to_owned())
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    Redirect(String),
    After(Duration, u16),
    /// When the test releases one.
    Held(u16),
    /// As many bytes as the client takes.
    Endless(u16),
}

type Answers = Box<dyn Fn(&Received) -> Reply + Send + Sync>;

struct Kept {
    requests: Mutex<Vec<Received>>,
    answers: Mutex<Answers>,
    release: Semaphore,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// A receiver on this machine.
pub(crate) struct Receiver {
    address: SocketAddr,
    kept: Arc<Kept>,
    serving: Option<AbortOnDropHandle<()>>,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        let kept = Arc::new(Kept {
            requests: Mutex::default(),
            answers: Mutex::new(Box::new(|_| Reply::Status(204))),
            release: Semaphore::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut receiver = Self { address, kept, serving: None };
        receiver.serve(listener);
        receiver
    }

    fn serve(&mut self, listener: TcpListener) {
        let router = Router::new().fallback(take).with_state(Arc::clone(&self.kept));
        let serving = async move { axum::serve(listener, router).await.unwrap() };
        self.serving = Some(AbortOnDropHandle::new(tokio::spawn(serving)));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Nobody listens there any more.
    pub(crate) async fn go_down(&mut self) {
        drop(self.serving.take());
        let gone = async || TcpListener::bind(self.address).await.is_ok();
        within(Duration::from_secs(20), "the receiver is down", gone).await;
    }

    pub(crate) async fn come_back(&mut self) {
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    pub(crate) fn answers(&self, answers: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.kept.answers.lock().unwrap() = Box::new(answers);
    }

    /// Lets as many answers go that are held.
    pub(crate) fn release(&self, count: usize) {
        self.kept.release.add_permits(count);
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.kept.requests.lock().unwrap().clone()
    }

    /// What came about one tenant, as the types of events.
    pub(crate) fn types_of(&self, tenant: &str) -> Vec<String> {
        self.requests().iter().filter(|request| request.tenant() == tenant).map(Received::kind).collect()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.kept.most_at_once.load(Ordering::SeqCst)
    }

    /// Waits until so many have come; what has.
    pub(crate) async fn has(&self, count: usize) -> Vec<Received> {
        let come = async || self.kept.requests.lock().unwrap().len() >= count;
        within(Duration::from_mins(1), &format!("{count} requests have come"), come).await;
        self.requests()
    }
}

async fn take(State(kept): State<Arc<Kept>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(uri.path(), "/hooks");
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let received = Received { headers, body: String::from_utf8(body.to_vec()).unwrap() };
    kept.requests.lock().unwrap().push(received.clone());
    let _counted = Counted::begin(Arc::clone(&kept));
    let reply = (kept.answers.lock().unwrap())(&received);
    let mut response = match reply {
        Reply::Status(status) => status_only(status),
        Reply::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Reply::After(time, status) => {
            tokio::time::sleep(time).await;
            status_only(status)
        }
        Reply::Held(status) => {
            kept.release.acquire().await.unwrap().forget();
            status_only(status)
        }
        Reply::Endless(status) => {
            let chunks =
                futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1024])));
            (StatusCode::from_u16(status).unwrap(), axum::body::Body::from_stream(chunks)).into_response()
        }
    };
    // A connection that is kept would be served by one that is down.
    response.headers_mut().insert(header::CONNECTION, "close".parse().unwrap());
    response
}

/// A request that is being answered; also one whose client has gone is over then.
struct Counted(Arc<Kept>);

impl Counted {
    fn begin(kept: Arc<Kept>) -> Self {
        let now = kept.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        kept.most_at_once.fetch_max(now, Ordering::SeqCst);
        Self(kept)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

fn status_only(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap().into_response()
}
