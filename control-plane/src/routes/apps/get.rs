//! `GET /api/v1/apps/{app}`

use axum::{Json, extract::State};
use serde::Serialize;
use tenantry_domain::app::{App, AppName, AppVersion, Migration};
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::manifest::ManifestView;
use crate::{
    auth::{Authorized, scopes::AppsRead},
    input::InPath,
    refusal::Refusal,
};

/// An app with its versions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppView {
    /// Its name.
    #[schema(example = "crm")]
    name: String,
    /// What it asks for.
    manifest: ManifestView,
    /// Default data of a new tenant, as SQL.
    seed: Option<String>,
    /// The last version; null if there is none.
    latest_version: Option<i64>,
    /// The version that new tenants get; null if there is none.
    promoted_version: Option<i64>,
    /// All versions, in order, without their SQL.
    versions: Vec<VersionView>,
}

/// A version of an app.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionView {
    /// Its place in the order.
    #[schema(example = 20_261_120_093_000_i64)]
    version: i64,
    /// What it does.
    #[schema(example = "create_contacts")]
    name: String,
    /// Whether it can be taken back.
    reversible: bool,
    /// SHA-256 over its SQL, in hexadecimal.
    checksum: String,
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|half| char::from(digits[usize::from(half)])).collect()
}

impl From<&Migration> for VersionView {
    fn from(migration: &Migration) -> Self {
        Self {
            version: migration.version.number(),
            name: migration.name.clone(),
            reversible: migration.down.is_some(),
            checksum: hexadecimal(&migration.checksum()),
        }
    }
}

impl From<App> for AppView {
    fn from(app: App) -> Self {
        Self {
            latest_version: app.version().map(AppVersion::number),
            promoted_version: app.promoted.map(AppVersion::number),
            versions: app.migrations.iter().map(VersionView::from).collect(),
            name: app.name.to_string(),
            manifest: app.manifest.into(),
            seed: app.seed,
        }
    }
}

/// One app
#[utoipa::path(
    get, path = "/api/v1/apps/{app}", tag = "apps",
    params(("app" = String, Path, description = "Its name", example = "crm")),
    responses((status = 200, description = "The app", body = AppView)),
    security(("apiKey" = ["apps:read"])),
)]
pub(crate) async fn get_app(
    _: Authorized<AppsRead>,
    InPath(name): InPath<AppName>,
    State(registry): State<Registry>,
) -> Result<Json<AppView>, Refusal> {
    let app = registry.app_get(&name).await?.ok_or_else(|| Refusal::not_found("app"))?;
    Ok(Json(app.into()))
}
