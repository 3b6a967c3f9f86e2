//! `POST /api/auth/invitations`.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use tenantry_domain::user::{Email, Role, Username};
use tenantry_http::{JsonBody, Problem};
use utoipa::ToSchema;

use super::{
    refused,
    register::{may_give_all, name},
    roles_of,
    users::LooksAfterUsers,
};
use crate::{
    audit,
    http::parameters,
    state::Plane,
    users::{self, Invitation, Registered},
};

/// Who is invited.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InviteBody {
    /// Where the message goes. Once in the tenant, whatever the case.
    #[schema(value_type = String, example = "ada@example.com")]
    email: Email,
    /// How he is called; what stands before the `@`, when absent.
    #[schema(value_type = Option<String>, example = "ada")]
    username: Option<Username>,
    #[schema(example = "Ada")]
    first_name: Option<String>,
    #[schema(example = "Lovelace")]
    last_name: Option<String>,
    /// What he is to the tenant; member when absent.
    #[schema(value_type = Option<Vec<String>>, example = json!(["member"]))]
    roles: Option<Vec<Role>>,
}

/// Invite a user
///
/// He is a user at once, and sets his password by the token that the event `user.invited` brings to him, within 7 days; later
/// by `/api/auth/password/forgot`.
#[utoipa::path(
    post,
    path = "/api/auth/invitations",
    operation_id = "invite_user",
    tag = "users",
    params(parameters::Named),
    request_body = InviteBody,
    responses(
        (status = 201, description = "Invited", body = Registered),
        (status = 403, description = "`role_missing`, `role_not_yours` to give, or `user_limit_reached`", body = Problem),
        (status = 409, description = "`username_taken` or `email_taken`", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn invite(
    State(plane): State<Arc<Plane>>,
    by: LooksAfterUsers,
    JsonBody(body): JsonBody<InviteBody>,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    let roles = roles_of(&by.route, body.roles.unwrap_or_else(|| vec![Role::Member]))?;
    may_give_all(Some(&by.grant), &roles)?;
    let username = body.username.or_else(|| body.email.username());
    let username = username.ok_or_else(|| {
        Problem::invalid("username", "is required: what stands before the @ of the address cannot be one")
    })?;
    let invitation = Invitation {
        username,
        email: body.email,
        first_name: name("firstName", body.first_name)?,
        last_name: name("lastName", body.last_name)?,
        roles,
    };
    let invited = users::invite(&plane, &by.route, invitation).await.map_err(refused(&plane))?;
    audit::note_target(invited.id());
    plane.outcomes.ok();
    Ok((StatusCode::CREATED, Json(invited)))
}
