//! From a request to the route of a tenant that may be served: resolve, look up, admit.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};
use tenantry_domain::ids::TenantId;
use tenantry_http::Problem;
use tokio::time::timeout;

use super::{
    answers,
    path::{ApiPath, Named},
};
use crate::{
    admit::{Action, Credential, Grant, Intent, KeyRefused, Refusal, admit, check_phase},
    audit,
    limits::Allowance,
    resolve::{self, Asked, Name},
    routes::{CachedRoute, RouteName},
    state::Plane,
    tokens::{TokenRefused, source_of_unknown_key},
};

/// A request that may go on.
pub(crate) struct Admitted {
    /// The tenant's route.
    pub(crate) route: CachedRoute,
    /// What the request may do.
    pub(crate) grant: Grant,
    /// What the tenant may still send, if that is limited.
    pub(super) allowance: Option<Allowance>,
    /// What its path names.
    pub(super) path: ApiPath,
    /// The query string without what named the tenant; none when it is as it came.
    pub(crate) query: Option<String>,
}

impl FromRequestParts<Arc<Plane>> for Admitted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, Problem> {
        admitted(parts, plane).await.inspect_err(|problem| plane.outcomes.refused(problem.stable_name()))
    }
}

async fn admitted(parts: &Parts, plane: &Plane) -> Result<Admitted, Problem> {
    let asked = resolve::identify(parts, &plane.rules).map_err(answers::unresolved)?;
    let route = tenant_of(plane, &asked).await?;
    tenantry_http::note_tenant(route.tenant_id);
    audit::note_tenant(route.tenant_id);
    let path = ApiPath::parse(parts.uri.path()).map_err(|_| answers::path_not_text())?;
    let intent = intent(&parts.method, &path.named);
    let (route, grant) = admit_now(plane, route, credential(&asked), intent).await?;
    let allowance = plane.limits.enter(&route, plane.clock.now()).await.map_err(answers::limit_reached)?;
    Ok(Admitted { route, grant, allowance, path, query: asked.query })
}

/// A request about users, with a key or token: it counts apart from those for data, so that who has used these up can still
/// log out, or shut somebody out.
pub(super) async fn identified(parts: &Parts, plane: &Plane) -> Result<(CachedRoute, Grant), Problem> {
    let asked = resolve::identify(parts, &plane.rules).map_err(answers::unresolved)?;
    let route = tenant_of(plane, &asked).await?;
    tenantry_http::note_tenant(route.tenant_id);
    audit::note_tenant(route.tenant_id);
    plane.limits.count_auth(&route).map_err(answers::limit_reached)?;
    let action = if parts.method == Method::GET { Action::Read } else { Action::Write };
    let intent = Intent { action, resource: None };
    let admitted = admit_now(plane, route, credential(&asked), intent).await;
    admitted.inspect_err(|problem| plane.outcomes.refused(problem.stable_name()))
}

/// A tenant that is served, and what came with the request that names it.
pub(super) struct Addressed<'r> {
    pub(super) route: CachedRoute,
    pub(super) credential: Credential<'r>,
}

/// The tenant that a request is for, whoever sent it; where a field of its body names one too, they must agree.
pub(super) async fn addressed<'r>(
    parts: &'r Parts,
    plane: &'r Plane,
    in_body: Option<(&'static str, &'r str)>,
) -> Result<Addressed<'r>, Problem> {
    let mut asked = resolve::identify(parts, &plane.rules).map_err(answers::unresolved)?;
    if let Some((field, text)) = in_body {
        asked.names.push(resolve::id_or_slug(text, field).map_err(answers::unresolved)?);
    }
    let mut route = tenant_of(plane, &asked).await?;
    tenantry_http::note_tenant(route.tenant_id);
    audit::note_tenant(route.tenant_id);
    if check_phase(route.phase).is_err()
        && let Some(newer) = plane.routes.recheck(&route).await
    {
        route = newer;
    }
    check_phase(route.phase).map_err(answers::phase_refused)?;
    plane.limits.count_auth(&route).map_err(answers::limit_reached)?;
    Ok(Addressed { route, credential: credential(&asked) })
}

fn credential<'r>(asked: &Asked<'r>) -> Credential<'r> {
    Credential { presented: asked.key, tenant: asked.key_tenant }
}

fn intent<'p>(method: &Method, named: &'p Named) -> Intent<'p> {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let (resource, is_function) = match named {
        Named::Root => (None, false),
        Named::Table { name, .. } => (Some(name.as_str()), false),
        Named::Function(name) => (Some(name.as_str()), true),
    };
    let action = match (reads, is_function) {
        (true, _) => Action::Read,
        (false, true) => Action::Call,
        (false, false) => Action::Write,
    };
    Intent { action, resource }
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

/// How long a token waits for a data plane that does not know yet who has logged out.
const STARTS_WITHIN: Duration = Duration::from_secs(2);

/// A refusal is checked against the registry before it is given: the change that would have made it unnecessary may be
/// on its way.
pub(super) async fn admit_now(
    plane: &Plane,
    route: CachedRoute,
    credential: Credential<'_>,
    intent: Intent<'_>,
) -> Result<(CachedRoute, Grant), Problem> {
    let refusal = match admit(&route, credential, intent, plane.clock.now(), &plane.revoked) {
        Ok(grant) => {
            audit::note_actor(&grant);
            return Ok((route, grant));
        }
        Err(refusal) => refusal,
    };
    if let (Refusal::Token(TokenRefused::UnknownKey), Some(token)) = (&refusal, credential.presented)
        && let Some(source) = source_of_unknown_key(&route, token, plane.clock.now())
    {
        plane.key_asks.ask(source, plane.clock.now());
    }
    let newer = match &refusal {
        // Just started: it takes a moment.
        Refusal::Token(TokenRefused::Unknown) => {
            timeout(STARTS_WITHIN, plane.revoked.until_read()).await.ok().map(|()| route.clone())
        }
        refusal if refusal.may_be_outdated() => plane.routes.recheck(&route).await,
        _ => None,
    };
    let refusal = match newer {
        Some(newer) => match admit(&newer, credential, intent, plane.clock.now(), &plane.revoked) {
            Ok(grant) => {
                audit::note_actor(&grant);
                return Ok((newer, grant));
            }
            Err(refusal) => refusal,
        },
        None => refusal,
    };
    Err(match refusal {
        Refusal::Key(refused) => answers::key_refused(refused),
        Refusal::Token(refused) => answers::token_refused(refused),
        Refusal::Phase(refused) => answers::phase_refused(refused),
        Refusal::Feature(feature) => {
            let having_it = plane.feature_plans.with(&feature, &plane.registry).await;
            answers::feature_not_enabled(&feature, intent.resource.unwrap_or_default(), &having_it)
        }
    })
}
