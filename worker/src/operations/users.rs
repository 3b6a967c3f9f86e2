//! What a tenant's users need besides their tables: a login of the data plane that may see them, and a key that signs
//! their access tokens.

use tenantry_domain::{app::App, ids::TenantId, signing_key::SealedSigningKey};

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
