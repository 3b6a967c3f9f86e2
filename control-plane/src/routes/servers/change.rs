//! What replacing and changing a server share.

use axum::Json;
use tenantry_registry::{Registry, ServerAccess};

use super::{patch::PatchServerBody, view::ServerView};
use crate::{input::Fields, refusal::Refusal, vault::Vault};

/// Changes what is given of a server. Its name and shared database may be repeated, not changed.
pub(super) async fn change(
    registry: &Registry,
    vault: &Vault,
    before: &ServerAccess,
    mut body: PatchServerBody,
) -> Result<Json<ServerView>, Refusal> {
    let mut fields = Fields::default();
    body.check(&mut fields);
    let renamed = body.name.take().is_some_and(|own| own != before.server.name);
    fields.check("name", !renamed, "must be the one that the server has, or left out");
    let moved = body.shared_database.take().is_some_and(|own| own != before.shared_database.as_str());
    fields.check("sharedDatabase", !moved, "cannot change once the server is registered");
    let alone = body.admin_user.is_some() && body.admin_password.is_none();
    fields.check("adminPassword", !alone, "must come with another adminUser");
    fields.finish()?;
    let id = before.server.id;
    let password = body.admin_password.take().map(|password| vault.seal_admin_password(id, &password));
    if !registry.server_edit(id, &body.edit(password)).await? {
        return Err(Refusal::not_found("server"));
    }
    let after = registry.server_get(id).await?.ok_or_else(|| Refusal::not_found("server"))?;
    Ok(Json(after.server.into()))
}
