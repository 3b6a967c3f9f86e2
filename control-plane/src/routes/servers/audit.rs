//! `GET /api/v1/servers/{server}/audit`

use axum::{Json, extract::State};
use serde::Serialize;
use tenantry_domain::{
    ids::TenantId,
    inquiry::{Answer, MissingObject, Question, ServerAudit, UnknownObject},
};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{Authorized, scopes::ServersRead},
    input::{InPath, ServerRef},
    refusal::Refusal,
    use_cases::ask_worker::{AskWorker, Unanswered},
    vocabulary,
};

/// How a server differs from what the registry knows of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerAuditView {
    /// On the server, and unknown to the registry.
    unknown: Vec<UnknownObjectView>,
    /// Known to the registry, and not on the server.
    missing: Vec<MissingObjectView>,
    /// What to do, in sentences.
    advice: Vec<String>,
}

/// An object that the registry does not know.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnknownObjectView {
    /// database, login, role or schema.
    #[schema(value_type = vocabulary::ServerObjectKind)]
    kind: &'static str,
    /// Its name.
    #[schema(example = "tenant_acme")]
    name: String,
    /// The database that it is in; null for what belongs to the whole server.
    database: Option<String>,
    /// The tenant that it was made for; null if it was made for none, or nobody knows.
    tenant_id: Option<Uuid>,
}

/// An object that is not there.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MissingObjectView {
    /// database, login, role or schema.
    #[schema(value_type = vocabulary::ServerObjectKind)]
    kind: &'static str,
    /// Its name.
    #[schema(example = "tenant_acme")]
    name: String,
    /// The tenant that it is of; null for what tenants share, or what waits for one.
    tenant_id: Option<Uuid>,
    /// The tenant's slug.
    #[schema(example = "acme")]
    tenant: Option<String>,
}

impl From<UnknownObject> for UnknownObjectView {
    fn from(object: UnknownObject) -> Self {
        Self {
            kind: object.kind.as_str(),
            name: object.name,
            database: object.database,
            tenant_id: object.tenant_id.map(TenantId::as_uuid),
        }
    }
}

impl From<MissingObject> for MissingObjectView {
    fn from(object: MissingObject) -> Self {
        Self {
            kind: object.kind.as_str(),
            name: object.name,
            tenant_id: object.tenant_id.map(TenantId::as_uuid),
            tenant: object.tenant,
        }
    }
}

impl From<ServerAudit> for ServerAuditView {
    fn from(audit: ServerAudit) -> Self {
        Self {
            unknown: audit.unknown.into_iter().map(UnknownObjectView::from).collect(),
            missing: audit.missing.into_iter().map(MissingObjectView::from).collect(),
            advice: audit.advice,
        }
    }
}

/// Audit a server
///
/// Compares what it holds with what the registry knows, both ways: for after one of the two was restored from a
/// backup. Changes nothing.
#[utoipa::path(
    get, path = "/api/v1/servers/{server}/audit", tag = "servers",
    params(("server" = String, Path, description = "Id or name", example = "eu-1")),
    responses(
        (status = 200, description = "The differences", body = ServerAuditView),
        (status = 503, description = "`no_worker` or `inquiry_failed`", body = Problem),
    ),
    security(("apiKey" = ["servers:read"])),
)]
pub(crate) async fn audit_server(
    _: Authorized<ServersRead>,
    InPath(server): InPath<ServerRef>,
    State(registry): State<Registry>,
    State(ask): State<AskWorker>,
) -> Result<Json<ServerAuditView>, Refusal> {
    let server = server.find(&registry).await?.server.id;
    match ask.ask(&Question::AuditServer { server }).await? {
        Answer::ServerAudited(audit) => Ok(Json(audit.into())),
        _ => Err(Unanswered::foreign().into()),
    }
}
