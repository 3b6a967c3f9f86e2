//! What replacing and changing a server share.

use axum::Json;
use tenantry_domain::inquiry::{Sealed, ServerToCheck};
use tenantry_registry::{Registry, ServerAccess, ServerEdit};

use super::{check::require_usable, hibernate::require_awake, patch::PatchServerBody, view::ServerView};
use crate::{
    input::{Fields, QueryParams},
    refusal::Refusal,
    use_cases::ask_worker::AskWorker,
    vault::Vault,
};

/// Changes what is given of a server, once a worker has checked it where its address, TLS or login changes. Its name and
/// shared database may be repeated, not changed.
pub(super) async fn change(
    registry: &Registry,
    vault: &Vault,
    ask: &AskWorker,
    mut query: QueryParams,
    before: ServerAccess,
    mut body: PatchServerBody,
) -> Result<Json<ServerView>, Refusal> {
    let check = query.take("check").unwrap_or(true);
    query.finish()?;
    require_awake(&before.server)?;
    let mut fields = Fields::default();
    body.check(&mut fields);
    let renamed = body.name.take().is_some_and(|own| own != before.server.name);
    fields.check("name", !renamed, "must be the one that the server has, or left out");
    let moved = body.shared_database.take().is_some_and(|own| own != before.shared_database.as_str());
    fields.check("sharedDatabase", !moved, "cannot change once the server is registered");
    let alone = body.admin_user.is_some() && body.admin_password.is_none();
    fields.check("adminPassword", !alone, "must come with another adminUser");
    if before.server.owner.is_some() {
        let its = "is its provider's to say: the server was made for one tenant, and goes with it";
        let same = body.tiers.as_ref().is_none_or(|tiers| *tiers == before.server.tiers);
        fields.check("tiers", same, its);
    }
    if before.server.owner.is_some() || before.server.class.is_some() {
        let same = body.provider.is_none_or(|own| own == before.server.provider);
        fields.check("provider", same, "cannot change: it has made the server");
    }
    let tls = body.tls(&before.server.tls, &mut fields);
    fields.finish()?;
    let id = before.server.id;
    let password = body.admin_password.take().map(|password| vault.seal_admin_password(id, &password));
    let edit = body.edit(tls, password);
    if check && leads_elsewhere(&before, &edit) {
        let mut wanted = ServerToCheck::from(before);
        wanted.host = edit.host.clone().unwrap_or(wanted.host);
        wanted.port = edit.port.unwrap_or(wanted.port);
        wanted.tls = edit.tls.clone().unwrap_or(wanted.tls);
        wanted.admin_user = edit.admin_user.clone().unwrap_or(wanted.admin_user);
        wanted.admin_password = edit.admin_password.clone().map_or(wanted.admin_password, Sealed);
        wanted.max_connections = edit.max_connections.unwrap_or(wanted.max_connections);
        require_usable(ask, wanted).await?;
    }
    if !registry.server_edit(id, &edit).await? {
        return Err(Refusal::not_found("server"));
    }
    let after = registry.server_get(id).await?.ok_or_else(|| Refusal::not_found("server"))?;
    Ok(Json(after.server.into()))
}

/// Whether workers would reach another server, or otherwise, or as somebody else.
fn leads_elsewhere(before: &ServerAccess, edit: &ServerEdit) -> bool {
    edit.host.as_ref().is_some_and(|host| *host != before.server.host)
        || edit.port.is_some_and(|port| port != before.server.port)
        || edit.tls.as_ref().is_some_and(|tls| *tls != before.server.tls)
        || edit.admin_user.as_ref().is_some_and(|user| *user != before.admin_user)
        || edit.admin_password.is_some()
}
