//! `POST /api/v1/apps/{app}/versions/{version}/promote`

use axum::{Json, extract::State};
use tenantry_domain::app::{AppName, AppVersion};
use tenantry_http::Problem;
use tenantry_registry::{Registry, VersionChangeError};

use super::get::AppView;
use crate::{
    auth::{Authorized, scopes::AppsWrite},
    catalogue::Catalogue,
    input::InPath,
    refusal::Refusal,
};

/// Give new tenants this version from now on
///
/// Tenants that are there keep theirs.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/versions/{version}/promote", tag = "apps",
    params(
        ("app" = String, Path, description = "The app's name", example = "crm"),
        ("version" = i64, Path, description = "The version", example = 20_261_120_093_000_i64),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses((status = 200, description = "The app as it is now", body = AppView)),
    security(("apiKey" = ["apps:write"])),
)]
pub(crate) async fn promote_version(
    _: Authorized<AppsWrite>,
    InPath((app, version)): InPath<(AppName, AppVersion)>,
    State(registry): State<Registry>,
    State(catalogue): State<Catalogue>,
) -> Result<Json<AppView>, Refusal> {
    registry.app_version_promote(&app, version).await?;
    catalogue.forget_app(&app);
    let app = registry.app_get(&app).await?.ok_or_else(|| Refusal::not_found("app"))?;
    Ok(Json(app.into()))
}

impl From<VersionChangeError> for Refusal {
    fn from(error: VersionChangeError) -> Self {
        match error {
            VersionChangeError::NotFound => Problem::not_found("version").into(),
            VersionChangeError::InUse(reason) => Self::conflict("version_in_use", reason),
            VersionChangeError::Registry(error) => error.into(),
        }
    }
}
