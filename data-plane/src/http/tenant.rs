//! `GET /api/tenant`: the tenant as its users see it.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use tenantry_domain::plan::Features;
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::admitted::Admitted;
use crate::{state::Plane, usage::Answered};

/// The tenant that was served, on every answer of its own.
pub(super) static X_TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// The tenant as its users see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TenantView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: tenantry_domain::ids::TenantId,
    /// Its slug.
    slug: String,
    /// Its name for people.
    name: String,
    /// What it bought.
    plan: String,
    /// The app whose tables it has.
    app: String,
    /// Its features.
    #[schema(value_type = std::collections::BTreeMap<String, bool>)]
    features: Features,
    /// `branding` of its settings; null while it has none.
    #[schema(value_type = Object)]
    branding: Value,
}

/// The tenant as its users see it.
#[utoipa::path(
    get,
    path = "/api/tenant",
    operation_id = "get_tenant",
    tag = "tenant",
    params(super::parameters::Named),
    responses((status = 200, description = "The tenant", body = TenantView), (status = "4XX", description = "Refused", body = Problem)),
    security(("key" = []))
)]
pub(super) async fn tenant_get(State(plane): State<Arc<Plane>>, admitted: Admitted) -> Response {
    let route = admitted.route;
    let view = TenantView {
        id: route.tenant_id,
        slug: route.slug.to_string(),
        name: route.name.to_string(),
        plan: route.plan.to_string(),
        app: route.app.name.to_string(),
        features: (*route.features).clone(),
        branding: plane.branding.get(&route).await,
    };
    plane.outcomes.ok();
    plane.usage.count(route.tenant_id, Answered::default());
    let mut response = Json(view).into_response();
    if let Ok(slug) = HeaderValue::from_str(route.slug.as_str()) {
        response.headers_mut().insert(X_TENANT.clone(), slug);
    }
    response
}
