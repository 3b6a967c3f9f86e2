//! `GET /.well-known/jwks.json`: the tenant's public keys, by which others can check its tokens.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{header, request::Parts},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::{
    admitted::{Addressed, addressed},
    parameters,
};
use crate::state::Plane;

/// A set of public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(super) struct JwksView {
    keys: Vec<JwkView>,
}

/// A public key (RFC 8037).
#[derive(Serialize, ToSchema)]
struct JwkView {
    /// Named in the tokens' headers.
    kid: String,
    #[schema(example = "OKP")]
    kty: &'static str,
    #[schema(example = "Ed25519")]
    crv: &'static str,
    #[schema(example = "EdDSA")]
    alg: &'static str,
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    usage: &'static str,
    /// The key, in base64url.
    x: String,
}

/// The tenant's public keys
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "get_jwks",
    tag = "users",
    params(parameters::Named),
    responses(
        (status = 200, description = "The newest first; none where the tenant has no users", body = JwksView),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(())
)]
pub(super) async fn jwks(
    State(plane): State<Arc<Plane>>,
    parts: Parts,
) -> Result<impl IntoResponse, Problem> {
    let Addressed { route, .. } = addressed(&parts, &plane, None).await?;
    let keys = route.signing_keys.iter().map(|key| JwkView {
        kid: key.id.to_string(),
        kty: "OKP",
        crv: "Ed25519",
        alg: "EdDSA",
        usage: "sig",
        x: URL_SAFE_NO_PAD.encode(key.public),
    });
    plane.outcomes.ok();
    Ok(([(header::CACHE_CONTROL, "public, max-age=60")], Json(JwksView { keys: keys.collect() })))
}
