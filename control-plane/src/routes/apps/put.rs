//! `PUT /api/v1/apps/{app}`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use tenantry_domain::{
    Clock,
    app::{AppName, Manifest},
};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::{get::AppView, manifest::ManifestView};
use crate::{
    auth::{Authorized, scopes::AppsWrite},
    catalogue::Catalogue,
    input::{InPath, JsonBody, object},
    refusal::Refusal,
};

/// An app, apart from its versions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PutAppBody {
    /// What it asks for.
    #[serde(default, deserialize_with = "object")]
    manifest: ManifestView,
    /// Default data of a new tenant: SQL that does no harm when run twice.
    seed: Option<String>,
}

/// Create an app, or replace its manifest and seed
///
/// Its versions stay as they are.
#[utoipa::path(
    put, path = "/api/v1/apps/{app}", tag = "apps",
    params(("app" = String, Path, description = "Its name", example = "crm")),
    request_body = PutAppBody,
    responses((status = 200, description = "The app as it is now", body = AppView)),
    security(("apiKey" = ["apps:write"])),
)]
pub(crate) async fn put_app(
    _: Authorized<AppsWrite>,
    InPath(name): InPath<AppName>,
    State(registry): State<Registry>,
    State(catalogue): State<Catalogue>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<PutAppBody>,
) -> Result<Json<AppView>, Refusal> {
    let manifest = Manifest::from(body.manifest);
    manifest.validate().map_err(|error| Problem::invalid("manifest.extensions", error.to_string()))?;
    registry.app_put(&name, &manifest, body.seed.as_deref(), clock.now()).await?;
    catalogue.forget_app(&name);
    let app = registry.app_get(&name).await?.ok_or_else(|| Refusal::not_found("app"))?;
    Ok(Json(app.into()))
}
