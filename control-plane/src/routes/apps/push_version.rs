//! `POST /api/v1/apps/{app}/versions`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use tenantry_domain::{
    Clock,
    app::{AppName, AppVersion, Migration},
};
use tenantry_http::Problem;
use tenantry_registry::{PushVersionError, Registry};
use utoipa::ToSchema;

use super::get::VersionView;
use crate::{
    auth::{Authorized, scopes::AppsWrite},
    catalogue::Catalogue,
    input::{Fields, InPath, JsonBody, fields},
    refusal::Refusal,
};

/// A migration to push.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "version": 20_261_120_093_000_i64, "name": "create_contacts",
    "up": "CREATE TABLE contacts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);",
    "down": "DROP TABLE contacts;",
}))]
pub(crate) struct PushVersionBody {
    /// Its place in the order: a positive integer, by custom a time.
    #[schema(value_type = i64)]
    version: AppVersion,
    /// What it does.
    name: String,
    /// The SQL that applies it.
    up: String,
    /// The SQL that takes it back.
    down: Option<String>,
}

/// Push a version of an app
///
/// Versions never change: the same version with the same SQL answers 200, with other SQL 409.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/versions", tag = "apps",
    params(
        ("app" = String, Path, description = "The app's name", example = "crm"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = PushVersionBody,
    responses(
        (status = 201, description = "It was pushed", body = VersionView),
        (status = 200, description = "It was there already", body = VersionView),
        (status = 409, description = "`version_differs` or `version_out_of_order`", body = Problem),
    ),
    security(("apiKey" = ["apps:write"])),
)]
pub(crate) async fn push_version(
    _: Authorized<AppsWrite>,
    InPath(app): InPath<AppName>,
    State(registry): State<Registry>,
    State(catalogue): State<Catalogue>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<PushVersionBody>,
) -> Result<impl IntoResponse, Refusal> {
    let mut fields = Fields::default();
    let name = fields.take("name", fields::label(&body.name));
    fields.check("up", !body.up.trim().is_empty(), "must hold SQL");
    fields.finish()?;
    let migration = Migration {
        version: body.version,
        name: name.unwrap_or_default(),
        up: body.up,
        down: body.down.filter(|down| !down.trim().is_empty()),
    };
    let pushed = registry.app_version_push(&app, &migration, clock.now()).await;
    let new = pushed.map_err(|error| match error {
        PushVersionError::UnknownApp => Refusal::not_found("app"),
        PushVersionError::Differs(_) => Refusal::conflict(
            "version_differs",
            "this version was pushed with other SQL; versions never change, push a new one",
        ),
        PushVersionError::OutOfOrder { latest, .. } => Refusal::from(
            Problem::new(StatusCode::CONFLICT, "version_out_of_order", error.to_string())
                .with("latestVersion", latest.number()),
        ),
        PushVersionError::Registry(error) => error.into(),
    })?;
    catalogue.forget_app(&app);
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(VersionView::from(&migration))))
}
