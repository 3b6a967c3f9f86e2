//! `/api/auth/users`: those who look after the tenant's users see and change them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Query, RawPathParams, State},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, Serialize};
use tenantry_domain::user::Role;
use tenantry_http::{JsonBody, Problem};
use utoipa::{IntoParams, ToSchema};

use super::{is_support, may_give, refused, registration, roles_of, to_its_end};
use crate::{
    admit::Grant,
    audit,
    http::{admitted::identified, parameters},
    routes::CachedRoute,
    state::Plane,
    users::{self, UserChange, UserView},
};

/// Users of a page, if it is not said.
const PAGE: usize = 50;
const MAX_PAGE: usize = 200;

/// An owner, an admin, or who has a key of the tenant.
pub(super) struct LooksAfterUsers {
    pub(super) route: CachedRoute,
    pub(super) grant: Grant,
}

impl FromRequestParts<Arc<Plane>> for LooksAfterUsers {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, Problem> {
        let (route, grant) = identified(parts, plane).await?;
        registration(&route).map_err(refused(plane))?;
        let looks_after = grant.user.as_ref().is_none_or(|user| {
            !is_support(user) && user.roles.iter().any(|role| matches!(role, Role::Owner | Role::Admin))
        });
        if looks_after {
            Ok(Self { route, grant })
        } else {
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "role_missing",
                "only an owner or an admin of the tenant, or a key of it, may look after its users",
            ))
        }
    }
}

impl LooksAfterUsers {
    /// A user whom this one may change, and may give these roles.
    async fn find(&self, plane: &Plane, id: i64, roles: &[Role]) -> Result<UserView, Problem> {
        audit::note_target(id);
        let user = users::one(plane, &self.route, id).await.map_err(refused(plane))?;
        let user = user.ok_or_else(|| Problem::not_found("user"))?;
        if user.roles.iter().chain(roles).all(|role| may_give(Some(&self.grant), role)) {
            return Ok(user);
        }
        let detail = "these roles are not yours to give or to take; an owner may";
        Err(Problem::new(StatusCode::FORBIDDEN, "role_not_yours", detail))
    }
}

/// Which page of users.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Window {
    /// 1 to 200; 50 if not given
    limit: Option<usize>,
    /// `nextCursor` of the page before
    cursor: Option<String>,
    /// The tenant, which may be named so.
    #[param(ignore)]
    #[serde(rename = "tenant")]
    _tenant: Option<String>,
    #[param(ignore)]
    #[serde(rename = "tenant_id")]
    _tenant_id: Option<String>,
}

/// A page of users.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserPage {
    items: Vec<UserView>,
    /// For the next page; null at the end.
    next_cursor: Option<String>,
}

/// The tenant's users, in the order in which they registered
#[utoipa::path(
    get,
    path = "/api/auth/users",
    operation_id = "list_users",
    tag = "users",
    params(Window, parameters::Named),
    responses(
        (status = 200, description = "A page", body = UserPage),
        (status = 403, description = "`role_missing`", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn list_users(
    State(plane): State<Arc<Plane>>,
    by: LooksAfterUsers,
    window: Result<Query<Window>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<UserPage>, Problem> {
    let Ok(Query(window)) = window else {
        return Err(Problem::invalid("query", "takes `limit`, a number, and `cursor`, and nothing else"));
    };
    let limit = window.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::invalid("limit", "must be from 1 to 200"));
    }
    let after = window.cursor.map_or(Ok(0), |cursor| cursor.parse::<i64>());
    let after = after.map_err(|_| Problem::invalid("cursor", "is not a `nextCursor` of a page before"))?;
    // One more, to know whether there is.
    let found = users::page(&plane, &by.route, after, limit + 1).await;
    let mut items = found.map_err(refused(&plane))?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|user| user.id.to_string());
    plane.outcomes.ok();
    Ok(Json(UserPage { items, next_cursor }))
}

/// What changes of a user.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChangeUserBody {
    /// owner, admin, member, or one of `auth.roles` of the configuration; all that he is afterwards.
    #[schema(value_type = Option<Vec<String>>, example = json!(["admin"]))]
    roles: Option<Vec<Role>>,
    /// Whether he may log in.
    enabled: Option<bool>,
}

/// Change a user of the tenant
///
/// His log-ins end.
#[utoipa::path(
    patch,
    path = "/api/auth/users/{id}",
    operation_id = "change_user",
    tag = "users",
    params(("id" = i64, Path, description = "His id"), parameters::Named),
    request_body = ChangeUserBody,
    responses(
        (status = 200, description = "Changed", body = UserView),
        (status = 403, description = "`role_missing`, or `role_not_yours`", body = Problem),
        (status = 409, description = "`last_owner`, or `user_changed` meanwhile", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn change_user(
    State(plane): State<Arc<Plane>>,
    by: LooksAfterUsers,
    InPath(id): InPath,
    JsonBody(body): JsonBody<ChangeUserBody>,
) -> Result<Json<UserView>, Problem> {
    let roles = body.roles.map(|roles| roles_of(&by.route, roles)).transpose()?;
    if roles.is_none() && body.enabled.is_none() {
        return Err(Problem::invalid("roles", "is required, or `enabled`, or both"));
    }
    let user = by.find(&plane, id, roles.as_deref().unwrap_or_default()).await?;
    let change = UserChange::Set { roles, enabled: body.enabled };
    let at = Arc::clone(&plane);
    let user = to_its_end(async move { users::change(&at, &by.route, &user, change).await });
    let user = user.await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(Json(user))
}

/// Delete a user of the tenant
///
/// His log-ins end. What the app has of him is the app's.
#[utoipa::path(
    delete,
    path = "/api/auth/users/{id}",
    operation_id = "delete_user",
    tag = "users",
    params(("id" = i64, Path, description = "His id"), parameters::Named),
    responses(
        (status = 204, description = "Deleted"),
        (status = 403, description = "`role_missing`, or `role_not_yours`", body = Problem),
        (status = 409, description = "`last_owner`, or `user_changed` meanwhile", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn delete_user(
    State(plane): State<Arc<Plane>>,
    by: LooksAfterUsers,
    InPath(id): InPath,
) -> Result<StatusCode, Problem> {
    let user = by.find(&plane, id, &[]).await?;
    let at = Arc::clone(&plane);
    let deleted = to_its_end(async move { users::change(&at, &by.route, &user, UserChange::Delete).await });
    deleted.await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(StatusCode::NO_CONTENT)
}

/// The user that the path names, whatever else it names.
pub(super) struct InPath(i64);

impl FromRequestParts<Arc<Plane>> for InPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, Problem> {
        let named = RawPathParams::from_request_parts(parts, plane).await;
        let named = named.map_err(|_| Problem::not_found("user"))?;
        let id = named.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| id.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("user"))
    }
}
