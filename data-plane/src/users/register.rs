//! Registering a user.

use serde::{Deserialize, Serialize};
use tenantry_domain::{
    event::EventType,
    user::{Email, Password, Role, Username},
};
use tenantry_postgres::tenant::Access;
use utoipa::ToSchema;

use super::{
    UsersError, taken,
    told::{ToldUser, tell},
};
use crate::{
    routes::CachedRoute,
    serve::{Locks, UsersStatement},
    state::Plane,
};

/// Who is to be a user.
#[derive(Debug)]
pub(crate) struct NewUser {
    pub(crate) username: Username,
    pub(crate) email: Email,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) roles: Vec<Role>,
}

/// A user as he is registered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Registered {
    /// Counts within the tenant.
    id: i64,
    /// How he is called.
    username: String,
    /// His address.
    email: String,
    /// The tenant's slug.
    #[serde(default)]
    pub(crate) tenant_id: String,
    /// Whether he may log in.
    enabled: bool,
    /// What he is to the tenant.
    #[schema(value_type = Vec<String>, example = json!(["member"]))]
    roles: Vec<Role>,
}

impl Registered {
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    pub(super) fn told(&self) -> ToldUser {
        ToldUser::new(self.id, &self.username, &self.email)
    }
}

const INSERT: &str = "INSERT INTO {users} (username, email, first_name, last_name, password, roles)
    SELECT $1, $2, $3, $4, $5, string_to_array($6, ',')
    WHERE $7 IS NULL OR (SELECT count(*) FROM {users}) < $7::bigint
    RETURNING json_build_object('id', id, 'username', username, 'email', email, 'enabled', enabled, 'roles', roles)::text";

/// Registers a user. Of two that would be one too many, one is.
pub(crate) async fn register(
    plane: &Plane,
    route: &CachedRoute,
    new: NewUser,
    password: &Password,
) -> Result<Registered, UsersError> {
    let password = plane.users.passwords.hash(route.tenant_id, password).await?;
    let registered = add(plane, route, new, password).await?;
    tell(plane, route, EventType::UserRegistered, &registered.told());
    Ok(registered)
}

/// Adds a user with a hashed password.
pub(super) async fn add(
    plane: &Plane,
    route: &CachedRoute,
    new: NewUser,
    password: String,
) -> Result<Registered, UsersError> {
    let limit = route.limits.max_users;
    let roles: Vec<_> = new.roles.iter().map(Role::as_str).collect();
    let params = [
        Some(new.username.into()),
        Some(new.email.into()),
        new.first_name,
        new.last_name,
        Some(password),
        Some(roles.join(",")),
        limit.map(|limit| limit.to_string()),
    ];
    let statement = UsersStatement {
        access: Access::ReadWrite,
        sql: INSERT,
        params: &params,
        locks: Locks { all: limit.is_some(), user: None },
    };
    match plane.runner.ask_users(route, statement).await {
        Ok(Some(user)) => {
            let user: Registered = serde_json::from_slice(&user)?;
            Ok(Registered { tenant_id: route.slug.to_string(), ..user })
        }
        Ok(None) => {
            plane.events.limit_reached(route.tenant_id, "maxUsers", plane.clock.now().date_naive());
            Err(UsersError::Limit(limit.unwrap_or_default()))
        }
        Err(failure) => Err(taken(failure)),
    }
}
