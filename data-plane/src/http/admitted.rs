//! From a request to the route of a tenant that may be served: resolve, look up, admit.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};
use tenantry_domain::{api_key::Scope, ids::TenantId};
use tenantry_http::Problem;

use super::answers;
use crate::{
    admit::{KeyRefused, PhaseRefused, check_key, check_phase},
    resolve::{self, Asked, Name},
    routes::{CachedRoute, RouteName},
    state::Plane,
};

/// A request that may go on.
pub(crate) struct Admitted {
    /// The tenant's route.
    pub(crate) route: CachedRoute,
    /// The query string without what named the tenant; none when it is as it came.
    pub(crate) query: Option<String>,
}

impl FromRequestParts<Arc<Plane>> for Admitted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, Problem> {
        admitted(parts, plane).await.map_err(|problem| {
            plane.outcomes.refused(problem.code());
            problem.for_postgrest()
        })
    }
}

async fn admitted(parts: &Parts, plane: &Plane) -> Result<Admitted, Problem> {
    let asked = resolve::identify(parts, &plane.rules).map_err(answers::unresolved)?;
    let route = tenant_of(plane, &asked).await?;
    tenantry_http::note_tenant(route.tenant_id);
    let scope = scope_of(&parts.method);
    let route = admit(plane, route, &asked, scope).await?;
    Ok(Admitted { route, query: asked.query })
}

fn scope_of(method: &Method) -> Scope {
    if method == Method::GET || method == Method::HEAD { Scope::DataRead } else { Scope::DataWrite }
}

/// The one tenant that everything in the request names.
async fn tenant_of(plane: &Plane, asked: &Asked<'_>) -> Result<CachedRoute, Problem> {
    let mut agreed: Option<CachedRoute> = None;
    let mut nobody = false;
    for name in &asked.names {
        match find(plane, name).await? {
            Some(route) => agree(&mut agreed, route)?,
            None => nobody = true,
        }
    }
    let named_otherwise = agreed.is_some() || (asked.key_names && asked.key_tenant.is_some());
    let mut host_unknown = false;
    if let Some(host) = &asked.foreign_host {
        match find(plane, host).await {
            Ok(Some(route)) => agree(&mut agreed, route)?,
            // An unknown host is the name of some proxy, as long as something else names the tenant.
            Ok(None) => host_unknown = true,
            // So it is, most likely, when nobody can tell; and the key decides in any case.
            Err(_) if named_otherwise => {}
            Err(unavailable) => return Err(unavailable),
        }
    }
    match agreed {
        Some(_) if nobody => Err(answers::tenant_conflict()),
        Some(route) => Ok(route),
        None if nobody => Err(answers::tenant_not_found()),
        None => match asked.key_tenant.filter(|_| asked.key_names) {
            Some(id) => find_by_id(plane, id).await?.ok_or_else(|| answers::key_refused(KeyRefused::Invalid)),
            None if host_unknown => Err(answers::tenant_not_found()),
            None => Err(answers::tenant_required(&plane.rules)),
        },
    }
}

fn agree(agreed: &mut Option<CachedRoute>, route: CachedRoute) -> Result<(), Problem> {
    match agreed {
        Some(other) if other.tenant_id != route.tenant_id => Err(answers::tenant_conflict()),
        _ => {
            *agreed = Some(route);
            Ok(())
        }
    }
}

async fn find(plane: &Plane, name: &Name<'_>) -> Result<Option<CachedRoute>, Problem> {
    let Some(name) = name.as_route_name() else { return Ok(None) };
    plane.routes.get(name).await.map_err(answers::routes_unavailable)
}

async fn find_by_id(plane: &Plane, id: TenantId) -> Result<Option<CachedRoute>, Problem> {
    plane.routes.get(RouteName::Id(id)).await.map_err(answers::routes_unavailable)
}

enum Refused {
    Key(KeyRefused),
    Phase(PhaseRefused),
}

/// A refusal is checked against the registry before it is given: the change that would have made it
/// unnecessary (a new key, the end of provisioning) may be on its way.
async fn admit(
    plane: &Plane,
    route: CachedRoute,
    asked: &Asked<'_>,
    scope: Scope,
) -> Result<CachedRoute, Problem> {
    let check = |route: &CachedRoute| match check_phase(route.phase) {
        // As good as not there, whoever asks.
        Err(gone @ PhaseRefused::Gone) => Err(Refused::Phase(gone)),
        phase => check_key(route, asked.key, asked.key_tenant, scope, plane.clock.now())
            .map_err(Refused::Key)
            .and(phase.map_err(Refused::Phase)),
    };
    let refused = match check(&route) {
        Ok(()) => return Ok(route),
        Err(refused) => refused,
    };
    let may_have_changed = !matches!(refused, Refused::Key(KeyRefused::Missing | KeyRefused::OtherTenant));
    let newer = if may_have_changed { plane.routes.recheck(&route).await } else { None };
    let refused = match newer {
        Some(newer) => match check(&newer) {
            Ok(()) => return Ok(newer),
            Err(refused) => refused,
        },
        None => refused,
    };
    Err(match refused {
        Refused::Key(refused) => answers::key_refused(refused),
        Refused::Phase(refused) => answers::phase_refused(refused),
    })
}
