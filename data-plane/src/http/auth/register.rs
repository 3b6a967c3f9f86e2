//! `POST /api/auth/register`.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use tenantry_domain::user::{Email, Password, Registration, Role, Username, given_name};
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::{
    may_give, refused, registration,
    request::{AuthBody, AuthRequest},
    roles_of,
};
use crate::{
    admit::{Grant, KeyRefused},
    audit,
    http::{answers, parameters},
    state::Plane,
    users::{self, NewUser, Registered},
};

/// Who is to be a user.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RegisterBody {
    /// 1 to 64 letters, digits and `. _ + - '`; once in the tenant, whatever the case.
    #[schema(value_type = String, example = "ada")]
    username: Username,
    /// Once in the tenant, whatever the case.
    #[schema(value_type = String, example = "ada@example.com")]
    email: Email,
    /// As the tenant's `security.password_policy` says, with at least 8 characters.
    #[schema(value_type = String, example = "correct horse battery")]
    password: Password,
    #[schema(example = "Ada")]
    first_name: Option<String>,
    #[schema(example = "Lovelace")]
    last_name: Option<String>,
    /// owner, admin or member (the default); others than member only for whom a key, an owner or an admin registers.
    #[schema(value_type = Option<Vec<String>>, example = json!(["member"]))]
    roles: Option<Vec<Role>>,
    /// The tenant, by id or slug, where the request does not name it otherwise.
    tenant_id: Option<String>,
}

impl AuthBody for RegisterBody {
    const LOOKS_AT_CREDENTIAL: bool = true;

    fn tenant(&self) -> Option<(&'static str, &str)> {
        self.tenant_id.as_deref().map(|tenant| ("tenantId", tenant))
    }
}

/// Register a user of the tenant
///
/// Where the app's `registration` is `open`, anybody may register as a member. A key of the tenant that may write, an
/// owner or an admin registers others in any case, with the roles that they may give.
#[utoipa::path(
    post,
    path = "/api/auth/register",
    operation_id = "register",
    tag = "users",
    params(parameters::Named),
    request_body = RegisterBody,
    responses(
        (status = 201, description = "Registered", body = Registered),
        (status = 401, description = "`key_required`: registration is by invitation", body = Problem),
        (status = 403, description = "`user_limit_reached`, or `role_not_yours` to give", body = Problem),
        (status = 409, description = "`username_taken` or `email_taken`", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security((), ("key" = []))
)]
pub(super) async fn register(
    State(plane): State<Arc<Plane>>,
    request: AuthRequest<RegisterBody>,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    let AuthRequest { route, grant, body } = request;
    let open = registration(&route).map_err(refused(&plane))? == Registration::Open;
    if !open && grant.is_none() {
        return Err(answers::key_refused(KeyRefused::Missing));
    }
    let roles = roles_of(&route, body.roles.unwrap_or_else(|| vec![Role::Member]))?;
    let as_member = open && roles == [Role::Member];
    if !as_member {
        may_give_all(grant.as_ref(), &roles)?;
    }
    let policy = route.users.password_policy.check(&body.password);
    policy.map_err(|error| Problem::invalid("password", error.to_string()))?;
    let new = NewUser {
        username: body.username,
        email: body.email,
        first_name: name("firstName", body.first_name)?,
        last_name: name("lastName", body.last_name)?,
        roles,
    };
    let registered = users::register(&plane, &route, new, &body.password).await.map_err(refused(&plane))?;
    audit::note_target(registered.id());
    plane.outcomes.ok();
    Ok((StatusCode::CREATED, Json(registered)))
}

/// Refuses roles that are not the caller's to give.
pub(super) fn may_give_all(grant: Option<&Grant>, roles: &[Role]) -> Result<(), Problem> {
    if roles.iter().all(|role| may_give(grant, role)) {
        return Ok(());
    }
    let detail = "these roles are not yours to give; an owner, an admin, or a key of the tenant gives them";
    Err(Problem::new(StatusCode::FORBIDDEN, "role_not_yours", detail)
        .with_error("roles", "are not yours to give"))
}

/// A first or last name.
pub(super) fn name(field: &'static str, text: Option<String>) -> Result<Option<String>, Problem> {
    text.map(given_name).transpose().map_err(|error| Problem::invalid(field, error.to_string()))
}
