//! A user changes his own password.

use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use tenantry_domain::{event::EventType, ids::SessionId, user::Password};
use tenantry_postgres::tenant::Access;

use super::{
    UsersError,
    login::right_password,
    logout::revoke,
    told::{ToldUser, tell, told_user},
};
use crate::{
    routes::CachedRoute,
    serve::{Locks, UsersStatement},
    state::Plane,
};

/// Every other log-in ends: whoever has the old password may have one.
const CHANGE: &str = concat!(
    "WITH changed AS (
        UPDATE {users} SET password = $3, failed_logins = 0, locked_until = NULL
        WHERE id = $1::bigint AND password = $2 AND coalesce(locked_until <= now(), true)
        RETURNING id, username, email
    ), ended AS (
        DELETE FROM {sessions} USING changed WHERE user_id = changed.id AND {sessions}.id <> $4::uuid
        RETURNING {sessions}.id
    )
    SELECT json_build_object('user', ",
    told_user!(),
    ", 'ended', (SELECT coalesce(json_agg(id), '[]') FROM ended))::text FROM changed"
);

#[derive(Deserialize)]
struct Changed {
    user: ToldUser,
    ended: Vec<SessionId>,
}

/// Changes it, for whom knows the one before.
pub(crate) async fn change_password(
    plane: &Arc<Plane>,
    route: &CachedRoute,
    (user, session): (i64, SessionId),
    current: &SecretString,
    new: &Password,
) -> Result<(), UsersError> {
    let hash = right_password(plane, route, user, current).await?;
    let next = plane.users.passwords.hash(route.tenant_id, new).await?;
    let params = [Some(user.to_string()), Some(hash), Some(next), Some(session.to_string())];
    // A log-in with the old password that is under way has its session, and is ended, or does not get it any more.
    let locks = Locks { all: false, user: Some(user) };
    let statement = UsersStatement { access: Access::ReadWrite, sql: CHANGE, params: &params, locks };
    let changed = plane.runner.ask_users(route, statement).await?.ok_or(UsersError::Credentials)?;
    let Changed { user, ended } = serde_json::from_slice(&changed)?;
    tell(plane, route, EventType::UserPasswordChanged, &user);
    revoke(plane, route, &ended).await;
    Ok(())
}
