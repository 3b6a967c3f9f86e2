//! `DELETE /api/v1/apps/{app}/versions/{version}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::app::{AppName, AppVersion};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::AppsWrite},
    catalogue::Catalogue,
    input::InPath,
    refusal::Refusal,
};

/// Delete an app's last version
///
/// Possible while no tenant has it and new tenants do not get it.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/versions/{version}", tag = "apps",
    params(
        ("app" = String, Path, description = "The app's name", example = "crm"),
        ("version" = i64, Path, description = "The version", example = 20_261_120_093_000_i64),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "`version_in_use`", body = Problem),
    ),
    security(("apiKey" = ["apps:write"])),
)]
pub(crate) async fn delete_version(
    _: Authorized<AppsWrite>,
    InPath((app, version)): InPath<(AppName, AppVersion)>,
    State(registry): State<Registry>,
    State(catalogue): State<Catalogue>,
) -> Result<StatusCode, Refusal> {
    registry.app_version_delete(&app, version).await?;
    catalogue.forget_app(&app);
    Ok(StatusCode::NO_CONTENT)
}
