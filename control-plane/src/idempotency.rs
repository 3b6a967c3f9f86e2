//! `Idempotency-Key`: the same request again gets the first answer again, for 24 hours.
//!
//! The work runs in a task of its own: a client that hangs up, which is why it repeats the request,
//! must not stop the first answer from being kept.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use chrono::TimeDelta;
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tenantry_domain::{Clock, ids::uuid_v7};
use tenantry_http::{Problem, RequestId, json_body};
use tenantry_registry::{IdempotencyClaim, IdempotentRequest, Registry, StoredAnswer};
use tracing::Instrument;
use uuid::Uuid;

pub(crate) use crate::claim::Claim;
use crate::{auth::Caller, refusal::Refusal, state::ApiState, vault::Vault, visitor::Visitor};

/// How long an answer is kept.
const KEPT: TimeDelta = TimeDelta::hours(24);
/// How long a request may stay unanswered before its process is taken for dead: longer than
/// `Prefer: wait` may make it last.
const ABANDONED: TimeDelta = TimeDelta::seconds(75);
/// Answers of this API are far smaller; one that is not is not kept.
const LARGEST_ANSWER: usize = 4 << 20;
/// The headers that are part of an answer; the others belong to the exchange.
const KEPT_HEADERS: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::LOCATION, header::CACHE_CONTROL, header::RETRY_AFTER];

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What the layer works with.
#[derive(Clone)]
pub(crate) struct Idempotency {
    registry: Registry,
    vault: Vault,
    clock: Arc<dyn Clock>,
}

impl FromRef<ApiState> for Idempotency {
    fn from_ref(state: &ApiState) -> Self {
        Self { registry: state.registry.clone(), vault: state.vault.clone(), clock: Arc::clone(&state.clock) }
    }
}

impl<S: Sync> FromRequestParts<S> for Claim {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

/// Answers a repeated POST as its first time.
pub(crate) async fn replay(
    State(idempotency): State<Idempotency>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let Some(key) = read_key(request.headers())? else { return Ok(next.run(request).await) };
    let caller = caller_of(&request);
    let id = request.extensions().get::<RequestId>().cloned();
    let (mut request, hash) = hashed(request).await?;
    let now = idempotency.clock.now();
    let claim = uuid_v7(now, &mut rand::rng());
    let asked = IdempotentRequest { caller: &caller, key: &key, hash: &hash, claim };
    let claimed = idempotency.registry.idempotency_claim(&asked, now, now - KEPT, now - ABANDONED).await?;
    match claimed {
        IdempotencyClaim::Claimed { claim, unanswered } => {
            request.extensions_mut().insert(Claim::new(claim, unanswered));
            idempotency.run(claim, request, next).await
        }
        IdempotencyClaim::Answered(answer) => {
            metrics::counter!("tenantry_idempotent_replays_total").increment(1);
            idempotency.again(answer, id.as_ref())
        }
        IdempotencyClaim::InProgress => Err(Problem::new(
            StatusCode::CONFLICT,
            "idempotency_key_in_progress",
            "the first request with this Idempotency-Key is still at work; try again",
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        .into()),
        IdempotencyClaim::Differs => Err(Refusal::unprocessable(
            "idempotency_key_reused",
            "Idempotency-Key",
            "the key was used with another request; every new request needs a new key",
        )),
    }
}

fn read_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let well_formed = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if well_formed && values.next().is_none() {
        Ok(Some(key.to_owned()))
    } else {
        Err(Problem::invalid("Idempotency-Key", "must be one key of 1 to 255 visible ASCII characters")
            .into())
    }
}

/// Whose key space it is: the caller's, or without one the visitor's.
fn caller_of(request: &Request) -> String {
    match request.extensions().get::<Caller>() {
        Some(caller) => caller.to_string(),
        None => match request.extensions().get() {
            Some(Visitor(address)) => format!("address:{address}"),
            None => "address:unknown".to_owned(),
        },
    }
}

/// The request, and the hash of what makes it the same as another.
async fn hashed(request: Request) -> Result<(Request, [u8; 32]), Refusal> {
    let (parts, body) = request.into_parts();
    // The limit on bodies travels in the extensions, so that the whole request is needed to read one.
    let copy = Request::from_parts(parts.clone(), body);
    let body = json_body::read(copy, &()).await?;
    let mut hash = Sha256::new();
    for part in [
        parts.method.as_str().as_bytes(),
        parts.uri.path().as_bytes(),
        parts.uri.query().unwrap_or_default().as_bytes(),
        &body,
    ] {
        // Lengths, so that nothing can wander from one part to the next.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok((Request::from_parts(parts, Body::from(body)), hash.finalize().into()))
}

impl Idempotency {
    /// Does the work and keeps its answer; or gives the key back, if the work may be tried again.
    async fn run(self, claim: Uuid, request: Request, next: Next) -> Result<Response, Refusal> {
        let registry = self.registry.clone();
        let work = async move {
            let response = next.run(request).await;
            self.keep(claim, response).await
        };
        match tokio::spawn(work.in_current_span()).await {
            Ok(response) => Ok(response),
            Err(failed) => {
                release(&registry, claim).await;
                match failed.try_into_panic() {
                    // The layer that catches panics must see it.
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(cancelled) => Err(Refusal::internal(&cancelled)),
                }
            }
        }
    }

    async fn keep(&self, claim: Uuid, response: Response) -> Response {
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            release(&self.registry, claim).await;
            return response;
        }
        let (parts, body) = response.into_parts();
        let body = match axum::body::to_bytes(body, LARGEST_ANSWER).await {
            Ok(body) => body,
            Err(error) => {
                release(&self.registry, claim).await;
                tracing::error!(%error, "an answer could not be kept for repeated requests: {error}");
                return axum::response::IntoResponse::into_response(Problem::internal());
            }
        };
        let headers = KEPT_HEADERS
            .iter()
            .filter_map(|name| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned())))
            .collect();
        let answer = StoredAnswer { status: status.as_u16(), headers, body: self.vault.seal_answer(&body) };
        if let Err(error) = self.registry.idempotency_answer(claim, &answer).await {
            // The work is done and the client hears of it; a repeated request waits until the claim is abandoned.
            tracing::warn!(error = &error as &dyn std::error::Error, "an answer was not kept: {error}");
        }
        Response::from_parts(parts, Body::from(body))
    }

    fn again(&self, answer: StoredAnswer, id: Option<&RequestId>) -> Result<Response, Refusal> {
        let body = self.vault.open_answer(&answer.body).map_err(|error| Refusal::internal(&error))?;
        let mut response = Response::new(Body::from(body.expose_secret().clone()));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).map_err(|error| Refusal::internal(&error))?;
        for (name, value) in answer.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response.headers_mut().insert(REPLAYED.clone(), HeaderValue::from_static("true"));
        let problem =
            response.status().is_client_error().then(|| with_id(body.expose_secret(), id)).flatten();
        if let Some(body) = problem {
            *response.body_mut() = Body::from(body);
        }
        Ok(response)
    }
}

/// A kept problem document with the id of the request that it answers now.
fn with_id(body: &[u8], id: Option<&RequestId>) -> Option<Vec<u8>> {
    let mut problem: Value = serde_json::from_slice(body).ok()?;
    problem.as_object_mut()?.insert("requestId".to_owned(), id?.as_str().into());
    serde_json::to_vec(&problem).ok()
}

async fn release(registry: &Registry, claim: Uuid) {
    if let Err(error) = registry.idempotency_release(claim).await {
        // It is abandoned by itself after a while.
        tracing::debug!(%error, "an idempotency key was not released");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii_and_come_once() {
        let read = |values: &[&[u8]]| {
            let headers =
                values.iter().map(|value| (IDEMPOTENCY_KEY.clone(), HeaderValue::from_bytes(value).unwrap()));
            let mut map = HeaderMap::new();
            headers.for_each(|(name, value)| {
                map.append(name, value);
            });
            read_key(&map).map_err(|refusal| refusal.problem().status().as_u16())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"a-1"]), Ok(Some("a-1".to_owned())));
        for bad in [&[b"" as &[u8]] as &[&[u8]], &[b"a b"], &["é".as_bytes()], &[&[b'a'; 256]], &[b"a", b"b"]]
        {
            assert_eq!(read(bad), Err(400), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_request_is_the_same_only_with_the_same_query_and_body() {
        let hash = async |uri: &str, body: &'static str| {
            let request = Request::builder().method("POST").uri(uri).body(Body::from(body)).unwrap();
            hashed(request).await.unwrap().1
        };
        let first = hash("/a?x=1", "{}").await;
        assert_eq!(first, hash("/a?x=1", "{}").await);
        for (uri, body) in [("/a?x=2", "{}"), ("/a", "x=1{}"), ("/b?x=1", "{}"), ("/a?x=1", "{ }")] {
            assert_ne!(first, hash(uri, body).await, "{uri} {body}");
        }
    }
}
