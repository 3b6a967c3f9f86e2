//! One-time tokens: a user gets one by a message that a webhook sends, and does with it what he could not prove otherwise.

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tenantry_domain::{
    event::EventType,
    ids::SessionId,
    proof_of_user,
    user::{Email, Password},
};
use tenantry_postgres::tenant::Access;
use tenantry_tokens::{OneTimeToken, OneTimeUse};

use super::{
    UsersError, ask,
    login::right_password,
    logout::revoke,
    taken,
    told::{ToldUser, tell, told_user},
};
use crate::{
    events::object,
    routes::CachedRoute,
    serve::{Locks, UsersStatement},
    state::Plane,
};

/// How often one user is sent a message to set a password: whoever knows his address may ask for it.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

/// A user to whom a token is bound.
#[derive(Debug, Deserialize)]
pub(super) struct Proven {
    user: ToldUser,
    proof: String,
}

/// SQL of it, from a row of users.
macro_rules! proven {
    () => {
        concat!("json_build_object('user', ", told_user!(), ", 'proof', ", proof_of_user!(), ")::text")
    };
}
pub(super) use proven;

const BY_EMAIL: &str =
    concat!("SELECT ", proven!(), " FROM {users} WHERE lower(email) = lower($1) AND enabled");

/// Nothing of the row that the token is bound to may have changed. Whoever has the message is the user: a lock-out ends, and
/// every log-in, since whoever has the old password may have one.
const RESET: &str = concat!(
    "WITH changed AS (
        UPDATE {users} SET password = $3, failed_logins = 0, locked_until = NULL
        WHERE id = $1::bigint AND enabled AND ",
    proof_of_user!(),
    " = $2
        RETURNING id, username, email
    ), ended AS (
        DELETE FROM {sessions} USING changed WHERE user_id = changed.id RETURNING {sessions}.id
    )
    SELECT json_build_object('user', ",
    told_user!(),
    ", 'ended', (SELECT coalesce(json_agg(id), '[]') FROM ended))::text FROM changed"
);

const TO_CHANGE_EMAIL: &str = concat!(
    "SELECT ",
    proven!(),
    " FROM {users} WHERE id = $1::bigint AND password = $2 AND enabled
        AND NOT EXISTS (SELECT FROM {users} others WHERE lower(others.email) = lower($3))"
);

const CHANGE_EMAIL: &str = concat!(
    "UPDATE {users} SET email = $3
    WHERE id = $1::bigint AND enabled AND ",
    proof_of_user!(),
    " = $2
    RETURNING ",
    told_user!(),
    "::text"
);

/// A user whose password has been changed, and the log-ins that ended.
#[derive(Debug, Deserialize)]
struct Reset {
    user: ToldUser,
    ended: Vec<SessionId>,
}

/// Sends a user a message by which he can set a password. Whether there is such a user, nobody is told.
pub(crate) async fn forgot_password(
    plane: &Plane,
    route: &CachedRoute,
    email: &Email,
) -> Result<(), UsersError> {
    let params = [Some(email.as_str().to_owned())];
    let Some(found) = ask(plane, route, Access::ReadOnly, BY_EMAIL, &params).await? else { return Ok(()) };
    let found: Proven = serde_json::from_slice(&found)?;
    if plane.users.may_be_sent((route.tenant_id, found.user.id()), AGAIN_AFTER) {
        send_password_token(plane, route, &found, EventType::UserPasswordResetRequested);
    }
    Ok(())
}

/// Sends a token that lets a user set a password.
pub(super) fn send_password_token(plane: &Plane, route: &CachedRoute, to: &Proven, kind: EventType) {
    let lifetime = match kind {
        EventType::UserInvited => OneTimeToken::INVITATION_LIFETIME,
        _ => OneTimeToken::LIFETIME,
    };
    send(plane, route, kind, to, OneTimeUse::Password, lifetime);
}

fn send(
    plane: &Plane,
    route: &CachedRoute,
    kind: EventType,
    to: &Proven,
    lets: OneTimeUse,
    lifetime: chrono::TimeDelta,
) {
    let now = plane.clock.now();
    let expires_at = now + lifetime;
    let mut data = to.user.data();
    if let OneTimeUse::Email { email } = &lets {
        data.extend(object(json!({ "newEmail": email })));
    }
    data.extend(object(json!({ "expiresAt": expires_at })));
    let token = OneTimeToken { user: to.user.id(), lets, proof: to.proof.clone(), expires_at };
    let token = token.seal(plane.users.kek(), route.tenant_id, &mut rand::rng());
    let secret = object(json!({ "token": token.expose_secret() }));
    plane.events.tell_secret(route.tenant_id, kind, data, &secret, (now, expires_at));
}

fn open(plane: &Plane, route: &CachedRoute, token: &SecretString) -> Result<OneTimeToken, UsersError> {
    OneTimeToken::open(plane.users.kek(), route.tenant_id, token, plane.clock.now())
        .ok_or(UsersError::OneTimeToken)
}

/// Sets the password of whoever was sent the token.
pub(crate) async fn reset_password(
    plane: &Arc<Plane>,
    route: &CachedRoute,
    token: &SecretString,
    new: &Password,
) -> Result<(), UsersError> {
    let token = open(plane, route, token)?;
    if token.lets != OneTimeUse::Password {
        return Err(UsersError::OneTimeToken);
    }
    let hash = plane.users.passwords.hash(route.tenant_id, new).await?;
    let params = [Some(token.user.to_string()), Some(token.proof), Some(hash)];
    // A log-in that is under way has its session, and is ended, or does not get it any more.
    let locks = Locks { all: false, user: Some(token.user) };
    let statement = UsersStatement { access: Access::ReadWrite, sql: RESET, params: &params, locks };
    let reset = plane.runner.ask_users(route, statement).await?.ok_or(UsersError::OneTimeToken)?;
    let Reset { user, ended } = serde_json::from_slice(&reset)?;
    tell(plane, route, EventType::UserPasswordChanged, &user);
    revoke(plane, route, &ended).await;
    Ok(())
}

/// Sends a message to the address that a user wants to have.
pub(crate) async fn change_email(
    plane: &Plane,
    route: &CachedRoute,
    user: i64,
    current: &SecretString,
    email: Email,
) -> Result<(), UsersError> {
    let hash = right_password(plane, route, user, current).await?;
    let params = [Some(user.to_string()), Some(hash), Some(email.as_str().to_owned())];
    let found =
        ask(plane, route, Access::ReadOnly, TO_CHANGE_EMAIL, &params).await?.ok_or(UsersError::EmailTaken)?;
    let found: Proven = serde_json::from_slice(&found)?;
    if !plane.users.may_be_sent((route.tenant_id, user), AGAIN_AFTER) {
        return Err(UsersError::SentBefore);
    }
    let lets = OneTimeUse::Email { email };
    send(plane, route, EventType::UserEmailChangeRequested, &found, lets, OneTimeToken::LIFETIME);
    Ok(())
}

/// Gives a user the address to which the token was sent.
pub(crate) async fn confirm_email(
    plane: &Plane,
    route: &CachedRoute,
    token: &SecretString,
) -> Result<(), UsersError> {
    let token = open(plane, route, token)?;
    let OneTimeUse::Email { email } = token.lets else { return Err(UsersError::OneTimeToken) };
    let params = [Some(token.user.to_string()), Some(token.proof), Some(email.into())];
    let statement = UsersStatement {
        access: Access::ReadWrite,
        sql: CHANGE_EMAIL,
        params: &params,
        locks: Locks::default(),
    };
    let changed = plane.runner.ask_users(route, statement).await.map_err(taken)?;
    let user: ToldUser = serde_json::from_slice(&changed.ok_or(UsersError::OneTimeToken)?)?;
    tell(plane, route, EventType::UserEmailChanged, &user);
    Ok(())
}
