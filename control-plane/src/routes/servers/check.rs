//! `POST /api/v1/servers/{server}/check`

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use tenantry_domain::inquiry::{ServerCheck, ServerFinding, ServerFindingCode, ServerToCheck};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::{InPath, ServerRef},
    refusal::Refusal,
    use_cases::{ask_worker::AskWorker, check_server::check_server as check},
    vocabulary,
};

/// Whether a server can hold tenants.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerCheckView {
    /// Whether nothing keeps it from that.
    ok: bool,
    /// PostgreSQL's version, if the worker got in.
    #[schema(example = "17.2")]
    version: Option<String>,
    /// All that keeps it from that.
    problems: Vec<FindingView>,
    /// What it can do without.
    warnings: Vec<FindingView>,
}

/// One thing about a server.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FindingView {
    /// Stable, for programs: `host_unknown`, `unreachable`, `tls_missing`, `certificate_name`, `certificate_issuer`,
    /// `certificate_expired`, `tls`, `password_exposed`, `password_refused`, `login_refused`, `rights`, `version`,
    /// `read_only`, `wal_level`, `max_connections`, `shared_database` or `registry_database`.
    #[schema(value_type = vocabulary::ServerFindingCode)]
    code: &'static str,
    /// What is so, and what to do.
    message: String,
}

impl From<ServerFinding> for FindingView {
    fn from(finding: ServerFinding) -> Self {
        Self { code: finding.code.as_str(), message: finding.message }
    }
}

impl From<ServerCheck> for ServerCheckView {
    fn from(check: ServerCheck) -> Self {
        Self {
            ok: check.is_ok(),
            version: check.version,
            problems: check.problems.into_iter().map(FindingView::from).collect(),
            warnings: check.warnings.into_iter().map(FindingView::from).collect(),
        }
    }
}

/// Check a server
///
/// A worker tries connection, TLS, login, rights, version, settings and the shared database. Changes nothing.
#[utoipa::path(
    post, path = "/api/v1/servers/{server}/check", tag = "servers",
    params(
        ("server" = String, Path, description = "Id or name", example = "eu-1"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 200, description = "What was found", body = ServerCheckView),
        (status = 503, description = "`no_worker` or `inquiry_failed`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn check_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    State(registry): State<Registry>,
    State(ask): State<AskWorker>,
) -> Result<Json<ServerCheckView>, Refusal> {
    let found = check(&ask, server.find(&registry).await?.into()).await?;
    Ok(Json(found.into()))
}

/// Refuses a server that cannot hold tenants, with all that is wrong and the field that each is about.
pub(super) async fn require_usable(ask: &AskWorker, server: ServerToCheck) -> Result<(), Refusal> {
    let found = check(ask, server).await?;
    if found.is_ok() {
        return Ok(());
    }
    let problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "server_unusable",
        "the server cannot hold tenants as it is; mend it, or give `check=false` if it is not up yet",
    );
    let wrong = found.problems.into_iter();
    Err(wrong.fold(problem, |problem, found| problem.with_error(field_of(found.code), found.message)).into())
}

fn field_of(code: ServerFindingCode) -> &'static str {
    use ServerFindingCode as Code;
    match code {
        Code::HostUnknown
        | Code::Unreachable
        | Code::CertificateName
        | Code::CertificateExpired
        | Code::Version
        | Code::ReadOnly
        | Code::WalLevel => "host",
        Code::TlsMissing | Code::Tls => "sslMode",
        Code::CertificateIssuer => "sslRootCert",
        Code::PasswordRefused => "adminPassword",
        Code::LoginRefused | Code::Rights | Code::PasswordExposed => "adminUser",
        Code::MaxConnections => "maxConnections",
        Code::SharedDatabase | Code::RegistryDatabase => "sharedDatabase",
    }
}
