//! `GET /api/v1/apps/{app}/verify`

use std::collections::HashMap;

use axum::{Json, extract::State};
use serde::Serialize;
use tenantry_domain::{
    app::{AppName, AppVersion},
    drift::{Difference, NotCompared, TenantDrift, TenantToVerify, TenantsVerified},
    ids::TenantId,
    inquiry::{Answer, Question},
    tenant::TenantPhase,
};
use tenantry_http::Problem;
use tenantry_registry::{Registry, TenantDetails, TenantFilter};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{Authorized, scopes::AppsRead},
    input::{InPath, QueryParams, cursor::Listing},
    refusal::Refusal,
    use_cases::ask_worker::{AskWorker, Unanswered},
};

/// Tenants in a page when nobody says.
const PAGE: u16 = 100;

/// A page of an app's tenants, compared with their versions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerifiedView {
    /// How many tenants were compared, those that differ among them.
    compared: u64,
    /// Those that differ.
    items: Vec<TenantDriftView>,
    /// Those that could not be compared.
    not_compared: Vec<NotComparedView>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A tenant whose tables are not as its version says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantDriftView {
    /// The tenant.
    tenant_id: Uuid,
    /// Its slug.
    #[schema(example = "acme-inc")]
    slug: String,
    /// The version that it has.
    #[schema(example = 20_261_120_093_000_i64)]
    version: i64,
    /// The server that it is on.
    #[schema(example = "eu-1")]
    server: String,
    /// The database there.
    #[schema(example = "tenants")]
    database: String,
    /// Its schema.
    #[schema(example = "tenant_acme_inc")]
    schema: String,
    /// All that differs.
    differences: Vec<DifferenceView>,
    /// The SQL that mends it, to be run as the role `tenantry_owner` with the schema first on the search path. What would lose
    /// data is commented out, and what it leaves undone it says in comments. Null where no SQL can mend it.
    #[schema(example = "ALTER TABLE contacts ALTER COLUMN country SET DEFAULT 'DE'::text;\n")]
    mend: Option<String>,
}

/// An object that is not as the version says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DifferenceView {
    /// What it is, and how it is called.
    #[schema(example = "column contacts.country")]
    object: String,
    /// What is so, and what the version says.
    #[schema(example = "has no default; in the version it is 'DE'::text")]
    difference: String,
}

/// A tenant that could not be compared.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotComparedView {
    /// The tenant.
    tenant_id: Uuid,
    /// Its slug.
    #[schema(example = "acme-inc")]
    slug: String,
    /// Why.
    #[schema(example = "its server eu-1 is away")]
    reason: String,
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        Self { object: difference.object, difference: difference.difference }
    }
}

/// What to ask of a tenant; none: its version or place is not known.
fn question(tenant: &TenantDetails) -> Option<TenantToVerify> {
    let placement = tenant.placement.as_ref()?;
    Some(TenantToVerify {
        id: tenant.tenant.id,
        server: placement.server_id,
        database: placement.database.clone(),
        schema: placement.schema.clone(),
        version: placement.schema_version?,
    })
}

fn is_served(tenant: &TenantDetails) -> bool {
    matches!(tenant.tenant.status.phase(), TenantPhase::Active | TenantPhase::Suspended)
        && tenant.placement.as_ref().is_some_and(|placement| placement.state.serves())
}

/// What is said of a tenant that differs.
fn drift_view(tenant: &TenantDetails, drift: TenantDrift) -> Option<TenantDriftView> {
    let placement = tenant.placement.as_ref()?;
    Some(TenantDriftView {
        tenant_id: tenant.tenant.id.as_uuid(),
        slug: tenant.tenant.slug.to_string(),
        version: placement.schema_version.map(AppVersion::number)?,
        server: tenant.server.as_ref()?.to_string(),
        database: placement.database.to_string(),
        schema: placement.schema.to_string(),
        differences: drift.differences.into_iter().map(DifferenceView::from).collect(),
        mend: drift.mend,
    })
}

/// Compare an app's tenants with their versions
///
/// Finds what was changed by hand in tenants' schemas: tables, columns, indexes, constraints, views, functions, triggers and more.
/// Takes the tenants that are served, page by page; a worker looks at their catalogs. Changes nothing.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/verify", tag = "apps",
    params(
        ("app" = String, Path, description = "The app's name", example = "crm"),
        ("limit" = Option<u16>, Query, description = "Tenants to compare, 1 to 200; 100 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses(
        (status = 200, description = "What differs in a page of tenants", body = VerifiedView),
        (status = 404, description = "`app_not_found`", body = Problem),
        (status = 503, description = "`no_worker` or `inquiry_failed`", body = Problem),
    ),
    security(("apiKey" = ["apps:read"])),
)]
pub(crate) async fn verify_app(
    _: Authorized<AppsRead>,
    InPath(name): InPath<AppName>,
    mut query: QueryParams,
    State(registry): State<Registry>,
    State(ask): State<AskWorker>,
) -> Result<Json<VerifiedView>, Refusal> {
    let window = query.window_of(PAGE);
    query.finish()?;
    registry.app_get(&name).await?.ok_or_else(|| Refusal::not_found("app"))?;
    let filter = TenantFilter { app: Some(name.clone()), ..TenantFilter::default() };
    let tenants = registry.tenant_list(&filter, window.by_id()?).await?;
    let page = Listing::of(tenants, window.size(), |row| row.tenant.id.to_string(), |row| row);
    let served: HashMap<TenantId, &TenantDetails> = page
        .items
        .iter()
        .filter(|tenant| is_served(tenant))
        .map(|tenant| (tenant.tenant.id, tenant))
        .collect();
    let questions: Vec<_> =
        page.items.iter().filter(|tenant| is_served(tenant)).filter_map(question).collect();
    let mut found = if questions.is_empty() {
        TenantsVerified::default()
    } else {
        match ask.ask(&Question::VerifyTenants { app: name, tenants: questions.clone() }).await? {
            Answer::TenantsVerified(found) => found,
            _ => return Err(Unanswered::foreign().into()),
        }
    };
    let without_version = served.keys().filter(|id| questions.iter().all(|asked| asked.id != **id));
    found.not_compared.extend(
        without_version.map(|id| NotCompared { tenant: *id, reason: "its version is not known".to_owned() }),
    );
    let drifted = found.drifted.into_iter();
    let not_compared = found.not_compared.into_iter();
    Ok(Json(VerifiedView {
        compared: found.compared,
        items: drifted.filter_map(|drift| drift_view(served.get(&drift.tenant)?, drift)).collect(),
        not_compared: not_compared
            .filter_map(|tenant| {
                let slug = served.get(&tenant.tenant)?.tenant.slug.to_string();
                Some(NotComparedView { tenant_id: tenant.tenant.as_uuid(), slug, reason: tenant.reason })
            })
            .collect(),
        next_cursor: page.next_cursor,
    }))
}
