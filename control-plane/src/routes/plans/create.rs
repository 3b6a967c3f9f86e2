//! `POST /api/v1/plans`

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use tenantry_domain::Clock;
use tenantry_http::Problem;
use tenantry_registry::Registry;

use super::{
    body::{PlanBody, check_whole},
    view::PlanView,
};
use crate::{
    auth::{Authorized, scopes::PlansWrite},
    input::JsonBody,
    refusal::Refusal,
};

/// Add a plan
#[utoipa::path(
    post, path = "/api/v1/plans", tag = "plans",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    request_body = PlanBody,
    responses(
        (status = 201, description = "The plan", body = PlanView),
        (status = 409, description = "`plan_exists`", body = Problem),
    ),
    security(("apiKey" = ["plans:write"])),
)]
pub(crate) async fn create_plan(
    _: Authorized<PlansWrite>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<PlanBody>,
) -> Result<impl IntoResponse, Refusal> {
    let plan = body.read(None)?;
    check_whole(&registry.server_class_list().await?, &plan)?;
    if !registry.plan_create(&plan, clock.now()).await? {
        return Err(Refusal::taken("plan_exists", "name", "there is a plan of that name; PUT replaces it"));
    }
    let location = format!("/api/v1/plans/{}", plan.name);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(PlanView::from(plan))))
}
