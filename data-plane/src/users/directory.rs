//! The users that a tenant has, for those who look after them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tenantry_domain::{event::EventType, ids::SessionId, user::Role};
use tenantry_postgres::tenant::Access;
use utoipa::ToSchema;

use super::{
    UsersError, ask,
    logout::revoke,
    told::{ToldUser, tell},
};
use crate::{
    routes::CachedRoute,
    serve::{Locks, UsersStatement},
    state::Plane,
};

/// A user, as those see him who look after users.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    /// Counts within the tenant.
    pub(crate) id: i64,
    /// How he is called.
    username: String,
    /// His address.
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    /// Whether he may log in.
    enabled: bool,
    /// What he is to the tenant.
    #[schema(value_type = Vec<String>, example = json!(["member"]))]
    pub(crate) roles: Vec<Role>,
    /// When he was registered.
    created_at: chrono::DateTime<chrono::Utc>,
    /// When he last logged in.
    last_login_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// A user, and the log-ins that end.
#[derive(Debug, Deserialize)]
struct Changed {
    user: UserView,
    ended: Vec<SessionId>,
}

/// What becomes of a user.
#[derive(Debug)]
pub(crate) enum UserChange {
    /// What is given is changed.
    Set { roles: Option<Vec<Role>>, enabled: Option<bool> },
    /// He is none any more.
    Delete,
}

/// A user as JSON.
macro_rules! user {
    () => {
        "json_build_object('id', id, 'username', username, 'email', email, 'firstName', first_name,
            'lastName', last_name, 'enabled', enabled, 'roles', roles, 'createdAt', created_at, 'lastLoginAt', last_login_at)"
    };
}

const PAGE: &str = concat!(
    "SELECT coalesce(json_agg(",
    user!(),
    " ORDER BY id), '[]')::text FROM (SELECT * FROM {users} WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint) page"
);

const ONE: &str = concat!("SELECT ", user!(), "::text FROM {users} WHERE id = $1::bigint");

/// Nobody takes the last owner away who may log in: `$2` are the roles afterwards, none if he is deleted or disabled.
macro_rules! unless_last_owner {
    () => {
        "roles = string_to_array($3, ',') AND ('owner' <> ALL (roles) OR 'owner' = ANY (string_to_array($2, ','))
            OR EXISTS (SELECT FROM {users} others WHERE others.id <> $1::bigint AND others.enabled
                AND 'owner' = ANY (others.roles)))"
    };
}

const SET: &str = concat!(
    "WITH changed AS (
        UPDATE {users} SET roles = string_to_array($4, ','), enabled = coalesce($5::boolean, enabled)
        WHERE id = $1::bigint AND ",
    unless_last_owner!(),
    " RETURNING *
    ), ended AS (
        DELETE FROM {sessions} USING changed WHERE user_id = changed.id RETURNING {sessions}.id
    )
    SELECT json_build_object('user', ",
    user!(),
    ", 'ended', (SELECT coalesce(json_agg(id), '[]') FROM ended))::text FROM changed"
);

/// The log-ins first: with the user they would go without being told.
const DELETE: &str = concat!(
    "WITH ended AS (SELECT id FROM {sessions} WHERE user_id = $1::bigint), changed AS (
        DELETE FROM {users} WHERE id = $1::bigint AND ",
    unless_last_owner!(),
    " RETURNING *
    )
    SELECT json_build_object('user', ",
    user!(),
    ", 'ended', (SELECT coalesce(json_agg(id), '[]') FROM ended))::text FROM changed"
);

/// Users with greater ids than one, in their order.
pub(crate) async fn page(
    plane: &Plane,
    route: &CachedRoute,
    after: i64,
    limit: usize,
) -> Result<Vec<UserView>, UsersError> {
    let params = [Some(after.to_string()), Some(limit.to_string())];
    let page = ask(plane, route, Access::ReadOnly, PAGE, &params).await?.unwrap_or_default();
    Ok(serde_json::from_slice(&page)?)
}

/// One of them.
pub(crate) async fn one(plane: &Plane, route: &CachedRoute, id: i64) -> Result<Option<UserView>, UsersError> {
    let user = ask(plane, route, Access::ReadOnly, ONE, &[Some(id.to_string())]).await?;
    Ok(user.map(|user| serde_json::from_slice(&user)).transpose()?)
}

/// Changes a user who still has the roles that he had when he was looked at, and ends his log-ins.
pub(crate) async fn change(
    plane: &Arc<Plane>,
    route: &CachedRoute,
    known: &UserView,
    change: UserChange,
) -> Result<UserView, UsersError> {
    let text = |roles: &[Role]| roles.iter().map(Role::as_str).collect::<Vec<_>>().join(",");
    let mut params = vec![Some(known.id.to_string()), None, Some(text(&known.roles))];
    let (sql, kind) = match change {
        UserChange::Set { roles, enabled } => {
            let roles = text(&roles.unwrap_or_else(|| known.roles.clone()));
            let may_log_in = enabled.unwrap_or(known.enabled);
            params[1] = may_log_in.then(|| roles.clone());
            params.extend([Some(roles), enabled.map(|enabled| enabled.to_string())]);
            (SET, EventType::UserUpdated)
        }
        UserChange::Delete => (DELETE, EventType::UserDeleted),
    };
    // A log-in that is under way has its session, and is ended, or does not get it any more.
    let locks = Locks { all: true, user: Some(known.id) };
    let statement = UsersStatement { access: Access::ReadWrite, sql, params: &params, locks };
    let Some(changed) = plane.runner.ask_users(route, statement).await? else {
        let is_as_known = one(plane, route, known.id).await?.is_some_and(|user| user.roles == known.roles);
        return Err(if is_as_known { UsersError::LastOwner } else { UsersError::Changed });
    };
    let Changed { user, ended } = serde_json::from_slice(&changed)?;
    tell(plane, route, kind, &ToldUser::new(user.id, &user.username, &user.email));
    revoke(plane, route, &ended).await;
    Ok(user)
}
