//! An identity provider on this machine: it publishes keys as a test says, and signs tokens.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_domain::signing_key::NewSigningKey;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Json(Value),
    Text(&'static str),
    Status(u16),
    Redirect(String),
    /// As many bytes as the client takes.
    Endless,
    /// A JSON document of more than this many bytes.
    Huge(usize),
    /// The head of an answer, and nothing more.
    Stuck,
}

type Answers = Box<dyn Fn(&str) -> Said + Send + Sync>;

struct Kept {
    answers: Mutex<Answers>,
    requests: AtomicUsize,
}

/// See the module.
pub(crate) struct IdentityProvider {
    address: SocketAddr,
    kept: Arc<Kept>,
    _serving: AbortOnDropHandle<()>,
}

/// A key of it.
pub(crate) struct ProviderKey {
    kid: &'static str,
    key: NewSigningKey,
}

impl ProviderKey {
    pub(crate) fn new(kid: &'static str) -> Self {
        Self { kid, key: NewSigningKey::generate(&mut rand::rng()) }
    }

    /// The public half.
    pub(crate) fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(self.key.public), "use": "sig" })
    }

    /// Claims that it has signed.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.into()), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(self.key.private.expose_secret());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }

    /// The public half taken for a shared secret.
    pub(crate) fn sign_confused(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.into()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&self.key.public)).unwrap()
    }
}

impl IdentityProvider {
    /// One that answers nothing yet.
    pub(crate) async fn start() -> Self {
        let kept = Arc::new(Kept {
            answers: Mutex::new(Box::new(|_| Said::Status(503))),
            requests: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&kept));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, kept, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its name.
    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.kept.requests.load(Ordering::SeqCst)
    }

    /// Has it answer so, by the path that is asked for.
    pub(crate) fn answers(&self, answers: impl Fn(&str) -> Said + Send + Sync + 'static) {
        *self.kept.answers.lock().unwrap() = Box::new(answers);
    }

    /// Has it publish these keys at `/jwks`, and its configuration that says so.
    pub(crate) fn publishes(&self, keys: &[&ProviderKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        let issuer = self.issuer();
        self.answers(move |path| match path {
            "/jwks" => Said::Json(json!({ "keys": keys })),
            "/.well-known/openid-configuration" => {
                Said::Json(json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"), "else": 1 }))
            }
            _ => Said::Status(404),
        });
    }
}

async fn answer(State(kept): State<Arc<Kept>>, uri: Uri) -> Response {
    kept.requests.fetch_add(1, Ordering::SeqCst);
    let said = (kept.answers.lock().unwrap_or_else(PoisonError::into_inner))(uri.path());
    match said {
        Said::Json(value) => Json(value).into_response(),
        Said::Text(text) => text.into_response(),
        Said::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Said::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Said::Endless => {
            let chunks =
                futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1024])));
            Body::from_stream(chunks).into_response()
        }
        Said::Huge(bytes) => Json(json!({ "keys": [], "padding": "x".repeat(bytes) })).into_response(),
        Said::Stuck => {
            let nothing = futures::stream::once(async {
                tokio::time::sleep(Duration::from_hours(1)).await;
                Ok::<_, std::io::Error>(Bytes::new())
            });
            Body::from_stream(nothing).into_response()
        }
    }
}
