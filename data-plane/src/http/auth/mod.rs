//! `/api/auth/...`: the tenant's users register, log in and out. One file each.

mod change_email;
mod confirm_email;
mod forgot_password;
mod invite;
mod logged_in;
mod login;
mod logout;
mod password;
mod refresh;
mod register;
mod request;
mod reset_password;
mod users;
mod validate;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{any, get, patch, post},
};
use secrecy::ExposeSecret;
use serde::Serialize;
use tenantry_domain::user::{Registration, Role};
use tenantry_http::Problem;
use tenantry_postgres::tenant::QueryErrorKind;
use tenantry_tokens::lifetime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::answers;
use crate::{
    admit::Grant,
    routes::CachedRoute,
    serve::Failure,
    state::Plane,
    tokens::{Bearer, Verified},
    users::{Tokens, UsersError},
};

/// All endpoints.
pub(super) fn documented() -> OpenApiRouter<Arc<Plane>> {
    OpenApiRouter::new()
        .routes(routes!(register::register))
        .routes(routes!(login::login))
        .routes(routes!(refresh::refresh))
        .routes(routes!(logout::logout))
        .routes(routes!(validate::validate))
        .routes(routes!(password::change_password))
        .routes(routes!(forgot_password::forgot_password))
        .routes(routes!(reset_password::reset_password))
        .routes(routes!(change_email::change_email))
        .routes(routes!(confirm_email::confirm_email))
        .routes(routes!(invite::invite))
        .routes(routes!(users::list_users))
        .routes(routes!(users::change_user, users::delete_user))
        .route("/api/auth", any(nothing))
        .route("/api/auth/{*rest}", any(nothing))
}

/// The same endpoints with the tenant in the path.
pub(super) fn by_path() -> Router<Arc<Plane>> {
    Router::new()
        .route("/t/{slug}/api/auth/register", post(register::register))
        .route("/t/{slug}/api/auth/login", post(login::login))
        .route("/t/{slug}/api/auth/refresh", post(refresh::refresh))
        .route("/t/{slug}/api/auth/logout", post(logout::logout))
        .route("/t/{slug}/api/auth/validate", get(validate::validate))
        .route("/t/{slug}/api/auth/password", post(password::change_password))
        .route("/t/{slug}/api/auth/password/forgot", post(forgot_password::forgot_password))
        .route("/t/{slug}/api/auth/password/reset", post(reset_password::reset_password))
        .route("/t/{slug}/api/auth/email", post(change_email::change_email))
        .route("/t/{slug}/api/auth/email/confirm", post(confirm_email::confirm_email))
        .route("/t/{slug}/api/auth/invitations", post(invite::invite))
        .route("/t/{slug}/api/auth/users", get(users::list_users))
        .route("/t/{slug}/api/auth/users/{id}", patch(users::change_user).delete(users::delete_user))
        .route("/t/{slug}/api/auth", any(nothing))
        .route("/t/{slug}/api/auth/{*rest}", any(nothing))
}

/// No table has this name, so that these endpoints can.
async fn nothing() -> Problem {
    Problem::not_found("endpoint")
}

/// What a user gets who is let in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokensView {
    /// A JWT for `Authorization: Bearer`.
    access_token: String,
    /// Gets the next tokens at `/api/auth/refresh`, once. Whoever uses one twice ends the log-in.
    refresh_token: String,
    /// Seconds until the access token ends.
    #[schema(example = 900)]
    expires_in: i64,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    tenant: TenantName,
}

/// The tenant, as its users know it.
#[derive(Serialize, ToSchema)]
pub(super) struct TenantName {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: tenantry_domain::ids::TenantId,
    /// Its slug.
    slug: String,
    /// Its name for people.
    name: String,
}

impl TokensView {
    fn new(tokens: &Tokens, route: &CachedRoute) -> Self {
        Self {
            access_token: tokens.access.expose_secret().to_owned(),
            refresh_token: tokens.refresh.expose_secret().to_owned(),
            expires_in: lifetime(route).num_seconds(),
            token_type: "Bearer",
            tenant: TenantName::of(route),
        }
    }
}

impl TenantName {
    fn of(route: &CachedRoute) -> Self {
        Self { id: route.tenant_id, slug: route.slug.to_string(), name: route.name.to_string() }
    }
}

/// Does something to its end, also when the client does not wait for it: what has ended a log-in has to tell others of it.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Tokens are nobody's to keep on the way.
fn no_store(view: TokensView) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(view))
}

/// The roles that somebody is to have, each once, if the tenant knows them.
fn roles_of(route: &CachedRoute, mut roles: Vec<Role>) -> Result<Vec<Role>, Problem> {
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() {
        return Err(Problem::invalid("roles", "must name at least one, e.g. member"));
    }
    match roles.iter().find(|role| !route.users.permissions.knows(role)) {
        Some(unknown) => {
            let name = unknown.as_str();
            Err(Problem::invalid(
                "roles",
                format!("`{name}` is none of owner, admin, member and those of `auth.roles`"),
            ))
        }
        None => Ok(roles),
    }
}

/// Whether a role is the caller's to give or to take. Who has a key of the tenant has all of it.
fn may_give(grant: Option<&Grant>, role: &Role) -> bool {
    grant.is_some_and(|grant| match &grant.user {
        // It would outlive its token.
        Some(user) if is_support(user) => false,
        Some(user) => user.roles.iter().any(|own| own.may_grant(role)),
        None => grant.may_write,
    })
}

/// Whether it is whoever supports the tenant.
fn is_support(user: &Verified) -> bool {
    matches!(user.bearer, Bearer::Support { .. })
}

/// Who may register, where the tenant has users at all.
fn registration(route: &CachedRoute) -> Result<Registration, UsersError> {
    route.app.manifest.registration.ok_or(UsersError::None)
}

/// Why a user is not let in, or not registered; counted.
fn refused(plane: &Plane) -> impl Fn(UsersError) -> Problem + '_ {
    |error| {
        let problem = problem(error);
        plane.outcomes.refused(problem.stable_name());
        problem
    }
}

fn problem(error: UsersError) -> Problem {
    let unauthorized = |code, detail| Problem::new(StatusCode::UNAUTHORIZED, code, detail);
    let taken = |code, field: &str, detail| {
        Problem::new(StatusCode::CONFLICT, code, detail).with_error(field, "is taken")
    };
    match error {
        UsersError::None => Problem::new(
            StatusCode::NOT_FOUND,
            "users_not_enabled",
            "this tenant's app has no users of its own; its manifest's `registration` would say who may be one",
        ),
        UsersError::NotReady => Problem::new(
            StatusCode::CONFLICT,
            "users_not_ready",
            "the tenant was made before its app had users, and gets them within a minute, or when its last move can no longer be \
             undone; try again then",
        ),
        UsersError::Credentials => unauthorized(
            "invalid_credentials",
            "the name or the password is wrong, or there were too many attempts; try again, later if it was right",
        ),
        UsersError::SentBefore => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "message_sent_before",
            "a message was sent less than a minute ago; look there, or try again in a minute",
        )
        .with_header(header::RETRY_AFTER, 60.into()),
        UsersError::OneTimeToken => unauthorized(
            "one_time_token_invalid",
            "the token is none, has expired or was used, or the user has changed since; ask for another one",
        ),
        UsersError::Refresh => unauthorized(
            "refresh_token_invalid",
            "the refresh token has ended, or was used before, which ends its log-in; log in",
        ),
        UsersError::UsernameTaken => {
            taken("username_taken", "username", "there is a user of this name already; choose another one")
        }
        UsersError::EmailTaken => {
            taken("email_taken", "email", "there is a user with this e-mail address already; log in")
        }
        UsersError::Limit(limit) => Problem::new(
            StatusCode::FORBIDDEN,
            "user_limit_reached",
            format!("the tenant has the {limit} users that its plan allows; delete one, or change the plan"),
        )
        .with("limit", limit),
        UsersError::LastOwner => Problem::new(
            StatusCode::CONFLICT,
            "last_owner",
            "nobody else would be an owner who may log in; make somebody else an owner first",
        ),
        UsersError::Changed => Problem::new(
            StatusCode::CONFLICT,
            "user_changed",
            "the user was changed or deleted meanwhile; look again",
        ),
        UsersError::Busy => {
            Problem::unavailable("login_busy", "too many are logging in at the moment; try again", 1)
        }
        UsersError::Failure(failure) => match *failure {
            // The role that looks after users may not enter a schema in which there are none, and finds no table in it.
            Failure::Statement { error, .. }
                if error.kind == QueryErrorKind::Permission || error.code.as_deref() == Some("42P01") =>
            {
                problem(UsersError::NotReady)
            }
            Failure::NoUsers => problem(UsersError::NotReady),
            failure => answers::failed(failure),
        },
        UsersError::Issue(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no token can be signed: {error}");
            Problem::internal()
        }
        UsersError::Stored(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a user cannot be read: {error}");
            Problem::internal()
        }
    }
}
