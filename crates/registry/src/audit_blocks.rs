//! Table `audit_blocks`: what seals the rows of the audit log, and finding what was altered since.

use std::time::Duration;

use tenantry_domain::{
    audit::{AuditEntry, AuditHash, AuditOutcome, Block, Chain, Head, SealedEntry},
    ids::AuditId,
};
use uuid::Uuid;

use crate::{Registry, RegistryError, audit_log::AuditRow, error::Stored, operation_leases::interval};

/// Who is how old that it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealAfter {
    /// Rows that say what came of them.
    pub done: Duration,
    /// Rows that do not: nobody will say any more.
    pub pending: Duration,
}

/// The most rows of one block.
const BLOCK: usize = 500;

impl Registry {
    /// The chains that have rows to be sealed, at most `limit`.
    pub async fn audit_unsealed(&self, after: SealAfter, limit: i64) -> Result<Vec<Chain>, RegistryError> {
        let chains = sqlx::query_scalar!(
            r#"SELECT DISTINCT coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') AS "chain!" FROM audit_log
               WHERE block IS NULL
                   AND written_at <= now() - CASE WHEN outcome = 'pending' THEN $2::interval ELSE $1::interval END
               LIMIT $3"#,
            interval(after.done),
            interval(after.pending),
            limit,
        )
        .fetch_all(&self.housekeeping)
        .await?;
        Ok(chains.into_iter().map(Chain::from_uuid).collect())
    }

    /// Seals the oldest rows of a chain; how many. What another worker seals at the same moment is left to it.
    pub async fn audit_seal(&self, chain: Chain, after: SealAfter) -> Result<u64, RegistryError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query_as!(
            AuditRow,
            r#"SELECT id, tenant_id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, request, request_id,
                   address, outcome, status, input::text AS input, before::text AS before, after::text AS after, block
               FROM audit_log
               WHERE block IS NULL AND coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') = $1
                   AND written_at <= now() - CASE WHEN outcome = 'pending' THEN $3::interval ELSE $2::interval END
               ORDER BY number LIMIT $4 FOR UPDATE SKIP LOCKED"#,
            chain.as_uuid(),
            interval(after.done),
            interval(after.pending),
            i64::try_from(BLOCK).unwrap_or(i64::MAX),
        )
        .fetch_all(&mut *tx)
        .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let entries: Vec<AuditEntry> = rows
            .into_iter()
            .map(|row| {
                let mut entry = SealedEntry::try_from(row)?.entry;
                if entry.outcome == AuditOutcome::Pending {
                    entry.outcome = AuditOutcome::Unknown;
                }
                Ok(entry)
            })
            .collect::<Result<_, RegistryError>>()?;
        let head = sqlx::query!(
            "SELECT number, hash FROM audit_blocks WHERE chain = $1 ORDER BY number DESC LIMIT 1",
            chain.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let head = match head {
            Some(row) => Some(Head { number: row.number, hash: read_hash(&row.hash)? }),
            None => None,
        };
        let block = Block::seal(chain, head, &entries);
        let ids: Vec<Uuid> = block.rows.iter().map(|(id, _)| id.as_uuid()).collect();
        let digests: Vec<u8> = block.rows.iter().flat_map(|(_, digest)| *digest.as_bytes()).collect();
        // Another worker may have made a block of this number: then it has these rows, or the next round does.
        let made = sqlx::query!(
            "INSERT INTO audit_blocks (chain, number, rows, digests, hash) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            chain.as_uuid(),
            block.number,
            &ids,
            digests,
            block.hash.as_bytes().as_slice(),
        )
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(0);
        }
        let sealed = sqlx::query!(
            "UPDATE audit_log SET block = $2, outcome = CASE WHEN outcome = 'pending' THEN 'unknown' ELSE outcome END
             WHERE id = ANY ($1)",
            &ids,
            block.number,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(sealed.rows_affected())
    }

    /// All chains, that of no tenant first.
    pub async fn audit_chains(&self) -> Result<Vec<Chain>, RegistryError> {
        let chains = sqlx::query_scalar!(
            r#"SELECT chain AS "chain!" FROM (
                   SELECT chain FROM audit_blocks
                   UNION SELECT coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') FROM audit_log) AS known
               ORDER BY chain"#
        )
        .fetch_all(&self.housekeeping)
        .await?;
        Ok(chains.into_iter().map(Chain::from_uuid).collect())
    }

    /// Blocks of a chain after a number, in order.
    pub async fn audit_blocks(
        &self,
        chain: Chain,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Block>, RegistryError> {
        let rows = sqlx::query!(
            "SELECT number, rows, digests, hash FROM audit_blocks WHERE chain = $1 AND number > $2 ORDER BY number LIMIT $3",
            chain.as_uuid(),
            after,
            limit,
        )
        .fetch_all(&self.housekeeping)
        .await?;
        rows.into_iter()
            .map(|row| {
                let ids = row.rows.into_iter().map(AuditId::from_uuid);
                // A digest too few or too many is no digest of the block's hash.
                let mut digests = row.digests.chunks(32).map(read_hash);
                let rows = ids.map(|id| Ok((id, digests.next().unwrap_or(Ok(AuditHash::NONE))?)));
                let rows = rows.collect::<Result<_, RegistryError>>()?;
                Ok(Block { chain, number: row.number, rows, hash: read_hash(&row.hash)? })
            })
            .collect()
    }

    /// The rows that a block names, and those of its chain that name it.
    pub async fn audit_rows_of(&self, block: &Block) -> Result<Vec<SealedEntry>, RegistryError> {
        let ids: Vec<Uuid> = block.rows.iter().map(|(id, _)| id.as_uuid()).collect();
        let rows = sqlx::query_as!(
            AuditRow,
            r#"SELECT id, tenant_id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, request, request_id,
                   address, outcome, status, input::text AS input, before::text AS before, after::text AS after, block
               FROM audit_log
               WHERE id = ANY ($1)
                   OR (block = $3 AND coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') = $2)
               ORDER BY number"#,
            &ids,
            block.chain.as_uuid(),
            block.number,
        )
        .fetch_all(&self.housekeeping)
        .await?;
        rows.into_iter().map(SealedEntry::try_from).collect()
    }

    /// What of a chain is not in its blocks up to one: how many rows are not sealed, and the first of those that say they are in a
    /// later block.
    pub async fn audit_rest(&self, chain: Chain, last: i64) -> Result<(u64, Option<i64>), RegistryError> {
        let rest = sqlx::query!(
            r#"SELECT count(*) FILTER (WHERE block IS NULL) AS "unsealed!", min(block) FILTER (WHERE block > $2) AS later
               FROM audit_log
               WHERE (block IS NULL OR block > $2) AND coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') = $1"#,
            chain.as_uuid(),
            last,
        )
        .fetch_one(&self.housekeeping)
        .await?;
        Ok((rest.unsealed.cast_unsigned(), rest.later))
    }
}

fn read_hash(bytes: impl AsRef<[u8]>) -> Result<AuditHash, RegistryError> {
    AuditHash::from_stored(bytes.as_ref()).ok_or("it is no hash").stored("audit_blocks.hash")
}
