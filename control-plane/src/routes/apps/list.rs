//! `GET /api/v1/apps`

use axum::{Json, extract::State};
use serde::Serialize;
use tenantry_domain::app::AppVersion;
use tenantry_registry::{AppSummary, Registry};
use utoipa::ToSchema;

use super::manifest::ManifestView;
use crate::{
    auth::{Authorized, scopes::AppsRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
};

/// An app in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppSummaryView {
    /// Its name.
    #[schema(example = "crm")]
    name: String,
    /// What it asks for.
    manifest: ManifestView,
    /// How many versions it has.
    versions: i64,
    /// The last of them; null if it has none.
    #[schema(example = 20_261_120_093_000_i64)]
    latest_version: Option<i64>,
    /// The one that new tenants get; null if it has none.
    #[schema(example = 20_261_120_093_000_i64)]
    promoted_version: Option<i64>,
    /// How many tenants have it.
    tenants: i64,
}

impl From<AppSummary> for AppSummaryView {
    fn from(app: AppSummary) -> Self {
        Self {
            name: app.name.to_string(),
            manifest: app.manifest.into(),
            versions: app.versions,
            latest_version: app.latest.map(AppVersion::number),
            promoted_version: app.promoted.map(AppVersion::number),
            tenants: app.tenants,
        }
    }
}

/// Apps, by name
#[utoipa::path(
    get, path = "/api/v1/apps", tag = "apps",
    params(
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<AppSummaryView>)),
    security(("apiKey" = ["apps:read"])),
)]
pub(crate) async fn list_apps(
    _: Authorized<AppsRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<AppSummaryView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let mut apps = registry.app_list().await?;
    let name = |app: &AppSummary| app.name.to_string();
    // The registry's collation need not be ours.
    apps.sort_by_key(name);
    Ok(Json(Listing::of_all(apps, window.after.as_ref(), window.size(), name, AppSummaryView::from)))
}
