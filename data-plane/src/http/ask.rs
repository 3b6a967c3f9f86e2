//! `GET /.well-known/tenantry/ask`: whether a reverse proxy should get a certificate for a host name
//! (Caddy's `on_demand_tls { ask ... }`).

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use tenantry_http::Problem;
use utoipa::{IntoParams, ToSchema};

use super::answers;
use crate::{
    admit::{PhaseRefused, check_phase},
    asks::TooMany,
    resolve,
    routes::RouteName,
    state::Plane,
};

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The host name: a tenant's custom domain, or its label below the base domain
    #[param(example = "events.customersite.com")]
    domain: String,
}

/// The host name is a tenant's.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AskView {
    /// The host name.
    domain: String,
}

/// Whether a host name is a tenant's
///
/// For a reverse proxy that gets certificates on demand. Needs no key and tells nothing but yes or no. A
/// suspended tenant keeps its certificate: whether it is served is decided by each request.
#[utoipa::path(
    get,
    path = "/.well-known/tenantry/ask",
    tag = "tls",
    params(Asked),
    responses(
        (status = 200, description = "It is a tenant's", body = AskView),
        (status = 404, description = "`domain_not_found`: it is nobody's", body = Problem),
        (status = 429, description = "`too_many_questions`, with `Retry-After`", body = Problem),
        (status = 503, description = "`registry_unavailable`: nobody can tell at the moment", body = Problem),
    ),
    security(())
)]
pub(super) async fn ask(
    State(plane): State<Arc<Plane>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<AskView>, Problem> {
    let Ok(Query(Asked { domain })) = asked else {
        return Err(Problem::invalid("domain", "is required, and nothing else: `?domain=<host name>`"));
    };
    let name = resolve::of_host(&domain, &plane.rules);
    let Some(name) = name.as_ref().and_then(resolve::Name::as_route_name) else { return Err(nobody_s()) };
    if !plane.routes.remembers(name) {
        plane.asks.admit().map_err(|TooMany| too_many())?;
    }
    let route = plane.routes.get(name).await.map_err(answers::routes_unavailable)?;
    let is_tenant_s = route.is_some_and(|route| {
        let served_here =
            plane.rules.single_tenant().is_none_or(|slug| RouteName::Label(slug.as_str()).is_of(&route));
        served_here && check_phase(route.phase) != Err(PhaseRefused::Gone)
    });
    if is_tenant_s { Ok(Json(AskView { domain })) } else { Err(nobody_s()) }
}

fn nobody_s() -> Problem {
    Problem::not_found("domain")
}

fn too_many() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_questions", "too many unknown names were asked for")
        .with_header(axum::http::header::RETRY_AFTER, 1.into())
}
