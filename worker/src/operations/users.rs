//! What a tenant's users need besides their tables: a login of the data plane that may see them, and a key that signs
//! their access tokens.

use secrecy::ExposeSecret;
use serde_json::{Map, json};
use tenantry_domain::{
    app::App,
    event::{EventType, NewEvent, SealedMembers},
    ids::{EventId, TenantId},
    placement::Placement,
    signing_key::SealedSigningKey,
    user::FirstOwner,
};
use tenantry_tokens::{OneTimeToken, OneTimeUse};

use crate::{
    engine::{Definition, PlacedAt, TenantSubject, Work},
    resources::Resources,
    servers::Server,
    step_error::StepError,
};

/// Sees to both, where the app's tenants have users.
pub(super) async fn prepare(
    resources: &Resources,
    server: &Server,
    tenant: TenantId,
    app: &App,
) -> Result<(), StepError> {
    if app.manifest.registration.is_none() {
        return Ok(());
    }
    resources.ensure_users_login(server).await?;
    let key = SealedSigningKey::generate(tenant, &resources.kek, &mut rand::rng());
    Ok(resources.registry.signing_key_add_first(tenant, &key).await?)
}

/// Makes the tables of users where a tenant is, if its app has come to want them since it was made. Whether it has them: where
/// the app does not want them any more they stay.
pub(super) async fn bring_into_line<D>(
    work: &Work<D>,
    placed: &PlacedAt,
    app: &App,
) -> Result<bool, StepError>
where
    D: Definition<Subject = TenantSubject>,
{
    let (admin, placement) = (&placed.server.admin, &placed.placement);
    if app.manifest.registration.is_none() {
        return placed.server.call(admin.has_users(&placement.database, &placement.schema)).await;
    }
    let add = admin.add_users(&placement.database, work.owner(placement));
    placed.server.call(add).await.map(|()| true)
}

/// Adds the first user, and has a webhook send him the token by which he sets his password. Told once, however often it is done.
pub(super) async fn invite<D>(
    work: &Work<D>,
    placement: &Placement,
    server: &Server,
    admin: &FirstOwner,
) -> Result<(), StepError>
where
    D: Definition<Subject = TenantSubject>,
{
    let (resources, tenant) = (&work.resources, work.tenant().id);
    let adding = server.admin.add_first_user(&placement.database, work.owner(placement), admin);
    let user = server.call(adding).await?;
    let expires_at = resources.clock.now() + OneTimeToken::INVITATION_LIFETIME;
    let token = OneTimeToken { user: user.id, lets: OneTimeUse::Password, proof: user.proof, expires_at };
    let token = token.seal(&resources.kek, tenant, &mut rand::rng());
    // The operation's own id: there is one invitation of it.
    let id = EventId::from_uuid(work.lease.operation.id.as_uuid());
    let told = json!({
        "user": { "id": user.id, "username": admin.username, "email": admin.email }, "expiresAt": expires_at,
    });
    let secret = Map::from_iter([("token".to_owned(), token.expose_secret().into())]);
    let event = NewEvent {
        id,
        kind: EventType::UserInvited,
        tenant,
        data: told.as_object().cloned().unwrap_or_default(),
        secret: Some(SealedMembers::seal(&resources.kek, id, &secret, expires_at, &mut rand::rng())),
    };
    Ok(resources.registry.events_append(&[event]).await?)
}
