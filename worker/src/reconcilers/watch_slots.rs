//! Watches the replication slots that keep tenants' changes: a slot that nobody reads keeps the server's WAL, until its disk
//! is full. Dropped are those that operations have left, because they were given up, and those for which too much is kept.

use tenantry_domain::server::Server;

use super::{Reconciled, on_each, reachable_servers};
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let servers = reachable_servers(resources).await?;
    on_each(resources, &servers, "replication slots are not looked at", |server| watch(resources, server))
        .await
}

async fn watch(resources: &Resources, server: &Server) -> Reconciled {
    let access = resources.servers.unprepared(server.id, server.revision).await?;
    let slots = access.call(access.admin.kept_slots()).await?;
    if slots.is_empty() {
        return Ok(0);
    }
    // Who works with a slot ends by itself before that, and says so.
    let most = resources.settings.move_wal_keep_size;
    let most = most + most / 4;
    // After the slots: whoever makes one is at work by then.
    let ids: Vec<u128> = slots.iter().map(|slot| slot.publication.0).collect();
    let known = resources.registry.replication_known(&ids).await?;
    let mut dropped = 0;
    for slot in slots {
        // Another installation's.
        let Some(known) = known.iter().find(|known| known.id == slot.publication.0) else { continue };
        let why = match (known.abandoned, slot.wal > most) {
            (true, _) => "an operation has left it".to_owned(),
            (false, true) => {
                format!("it keeps {} MB of WAL (--move-wal-keep-size of the worker)", slot.wal >> 20)
            }
            (false, false) => continue,
        };
        if access.call(access.admin.drop_slot(&slot)).await? {
            tracing::warn!(
                server.name = %server.name, slot = slot.name,
                "replication slot {} on server {} is dropped: {why}", slot.name, server.name
            );
            dropped += 1;
        }
    }
    Ok(dropped)
}
