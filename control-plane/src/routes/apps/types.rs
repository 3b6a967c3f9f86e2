//! `GET /api/v1/apps/{app}/types`

use axum::{Json, extract::State};
use serde::Serialize;
use tenantry_domain::{
    app::{AppName, AppVersion},
    inquiry::{Answer, Question},
};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, scopes::AppsRead},
    input::{InPath, QueryParams},
    refusal::Refusal,
    use_cases::ask_worker::{AskWorker, Unanswered},
};

/// An app's tables and functions as types.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppTypesView {
    /// The version that they are of.
    #[schema(example = 20_261_120_093_000_i64)]
    version: i64,
    /// A file of TypeScript that exports `Database`, the type that `postgrest-js` takes.
    typescript: String,
}

/// An app's tables and functions as TypeScript types
///
/// For `postgrest-js`: `new PostgrestClient<Database>(...)`. A worker looks them up in a scratch schema; nothing of that
/// stays.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/types", tag = "apps",
    params(
        ("app" = String, Path, description = "The app's name", example = "crm"),
        ("version" = Option<i64>, Query, description = "In this version; the promoted one if not given"),
    ),
    responses(
        (status = 200, description = "The types", body = AppTypesView),
        (status = 404, description = "`app_not_found` or `version_not_found`", body = Problem),
        (status = 503, description = "`no_worker` or `inquiry_failed`", body = Problem),
    ),
    security(("apiKey" = ["apps:read"])),
)]
pub(crate) async fn app_types(
    _: Authorized<AppsRead>,
    InPath(name): InPath<AppName>,
    mut query: QueryParams,
    State(registry): State<Registry>,
    State(ask): State<AskWorker>,
) -> Result<Json<AppTypesView>, Refusal> {
    let version: Option<i64> = query.take("version");
    query.finish()?;
    let app = registry.app_get(&name).await?.ok_or_else(|| Refusal::not_found("app"))?;
    let known = app.migrations.iter().map(|migration| migration.version);
    let version = match version {
        Some(number) => known.into_iter().find(|version| version.number() == number),
        None => app.promoted,
    };
    let version: AppVersion = version.ok_or_else(|| Refusal::not_found("version"))?;
    match ask.ask(&Question::DescribeVersion { app: name, version }).await? {
        Answer::VersionDescribed { typescript } => {
            Ok(Json(AppTypesView { version: version.number(), typescript }))
        }
        _ => Err(Unanswered::foreign().into()),
    }
}
