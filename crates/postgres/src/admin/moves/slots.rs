//! What keeps a tenant's changes for the time of a move and of its undo window: publications and replication slots, and how
//! they are named.

use super::{
    super::{AdminError, ServerAdmin, fence::Fence, template},
    session::{one, run},
};
use crate::sql;

/// What the publication of a tenant's tables, its slots, and the note of how far its changes are made elsewhere are named by:
/// on the way to a new placement the tenant's id, in the undo window the move's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicationId(pub u128);

impl PublicationId {
    /// The publication of a tenant's tables.
    pub(super) fn name(self) -> String {
        format!("tenantry_{:032x}", self.0)
    }

    /// Each attempt has a slot of its own: one that wakes up late makes or drops no other's.
    pub(super) fn slot(self, fence: Fence) -> String {
        format!("{}_{:x}", self.name(), fence.token)
    }

    /// Its note's key, as an expression.
    pub(super) fn subject(self) -> String {
        Fence { subject: self.0, token: 0 }.subject()
    }
}

/// What keeps what is written at the new placement for the old one, since [`super::Transfer::keep_changes`] from there to here.
#[derive(Debug, Clone, Copy)]
pub struct WayBack<'a> {
    /// By which it is kept.
    pub publication: PublicationId,
    /// The slot at the new placement.
    pub slot: &'a str,
}

/// A statement of PL/pgSQL that drops the slots of changes.
pub(super) fn drop_slots(id: PublicationId) -> String {
    format!(
        "DECLARE known record; BEGIN FOR known IN SELECT slot_name FROM pg_replication_slots
            WHERE starts_with(slot_name, '{}_') AND database = current_database() LOOP
            PERFORM pg_drop_replication_slot(known.slot_name);
        END LOOP; END;",
        id.name()
    )
}

/// A replication slot that keeps a tenant's changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSlot {
    /// Its name.
    pub name: String,
    /// The database whose changes it keeps.
    pub database: String,
    /// What it is named by.
    pub publication: PublicationId,
    /// Bytes of WAL that the server keeps for it.
    pub wal: u64,
}

impl ServerAdmin {
    /// The slots on the server that keep tenants' changes, whichever registry knows them.
    pub async fn kept_slots(&self) -> Result<Vec<KeptSlot>, AdminError> {
        const TASK: &str = "look at the replication slots";
        let list =
            "SELECT slot_name::text, database::text, coalesce((pg_current_wal_lsn() - restart_lsn)::bigint, 0)
            FROM pg_replication_slots
            WHERE slot_name ~ '^tenantry_[0-9a-f]{32}_[0-9a-f]+$' AND database IS NOT NULL";
        let mut connection = self.connection(TASK).await?;
        let rows = sqlx::query_as::<_, (String, String, i64)>(list).persistent(false);
        let rows = rows.fetch_all(&mut *connection).await.map_err(|error| self.failed(TASK, error))?;
        let slots = rows.into_iter().filter_map(|(name, database, wal)| {
            let id = u128::from_str_radix(name.split('_').nth(1)?, 16).ok()?;
            Some(KeptSlot { name, database, publication: PublicationId(id), wal: wal.max(0).cast_unsigned() })
        });
        Ok(slots.collect())
    }

    /// Drops a slot, unless it was read on since it was looked at, and ends whoever reads it. True: it is gone.
    pub async fn drop_slot(&self, slot: &KeptSlot) -> Result<bool, AdminError> {
        let drop = format!(
            "SELECT CASE WHEN active_pid IS NULL THEN pg_drop_replication_slot(slot_name)::text
                ELSE pg_terminate_backend(active_pid)::text END
                FROM pg_replication_slots WHERE slot_name = {}
                    AND (pg_current_wal_lsn() - restart_lsn)::bigint >= {}",
            sql::literal(&slot.name),
            slot.wal
        );
        let is_gone = format!(
            "SELECT count(*) = 0 FROM pg_replication_slots WHERE slot_name = {}",
            sql::literal(&slot.name)
        );
        let task = "drop a replication slot";
        let database = template::name(slot.database.clone())?;
        let mut connection = self.connection_to(&database, task).await?;
        let done = async {
            run(&mut connection, &drop).await?;
            one(&mut connection, &is_gone).await
        };
        done.await.map_err(|error| self.failed(task, error))
    }

    /// Bytes of WAL that the server keeps for a slot; none where there is no such slot.
    pub async fn wal_kept_for(&self, slot: &str) -> Result<Option<u64>, AdminError> {
        const TASK: &str = "look how much WAL is kept for a move";
        let kept = "SELECT coalesce((pg_current_wal_lsn() - restart_lsn)::bigint, 0)
            FROM pg_replication_slots WHERE slot_name = $1";
        let mut connection = self.connection(TASK).await?;
        let kept = sqlx::query_scalar::<_, i64>(kept).persistent(false).bind(slot);
        let kept = kept.fetch_optional(&mut *connection).await.map_err(|error| self.failed(TASK, error))?;
        Ok(kept.map(i64::cast_unsigned))
    }
}
