//! A user is invited: he sets his password by the message that he is sent.

use tenantry_domain::{event::EventType, proof_of_user, user::NO_PASSWORD};
use tenantry_postgres::tenant::Access;

use super::{
    UsersError, ask,
    one_time::{Proven, proven, send_password_token},
    register::{NewUser, Registered, add},
    told::told_user,
};
use crate::{routes::CachedRoute, state::Plane};

const ONE: &str = concat!("SELECT ", proven!(), " FROM {users} WHERE id = $1::bigint");

/// Who is invited.
pub(crate) type Invitation = NewUser;

/// Adds a user, and sends him a message by which he sets his password.
pub(crate) async fn invite(
    plane: &Plane,
    route: &CachedRoute,
    invitation: Invitation,
) -> Result<Registered, UsersError> {
    let added = add(plane, route, invitation, NO_PASSWORD.to_owned()).await?;
    let id = added.told().id();
    if let Some(invited) = ask(plane, route, Access::ReadOnly, ONE, &[Some(id.to_string())]).await? {
        let invited: Proven = serde_json::from_slice(&invited)?;
        send_password_token(plane, route, &invited, EventType::UserInvited);
    }
    Ok(added)
}
