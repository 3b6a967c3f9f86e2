//! Table `audit_log`: who did what. Written by whoever does it, and sealed by the worker ([`crate::audit_blocks`]).

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use tenantry_domain::{
    audit::{Actor, AuditEntry, AuditOutcome, SealedEntry, Target},
    ids::{AuditId, TenantId},
};
use uuid::Uuid;

use crate::{Page, Registry, RegistryError, error::Stored};

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About this tenant.
    pub tenant: Option<TenantId>,
    /// By this actor: an id or a name.
    pub actor: Option<String>,
    /// This action, or all of a kind: `tenants.*`.
    pub action: Option<String>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
}

/// What is known of an action once it is done.
#[derive(Debug, Clone)]
pub struct AuditEnd {
    /// The tenant that it turned out to be about.
    pub tenant: Option<TenantId>,
    /// What it turned out to be done to.
    pub target: Option<Target>,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// The answer's status.
    pub status: Option<u16>,
    /// What it is afterwards, as JSON.
    pub after: Option<String>,
}

pub(crate) struct AuditRow {
    pub(crate) id: Uuid,
    pub(crate) tenant_id: Option<Uuid>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) actor_kind: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) actor_name: Option<String>,
    pub(crate) action: String,
    pub(crate) target_kind: Option<String>,
    pub(crate) target_id: Option<String>,
    pub(crate) request: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) outcome: String,
    pub(crate) status: Option<i32>,
    pub(crate) input: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) block: Option<i64>,
}

impl TryFrom<AuditRow> for SealedEntry {
    type Error = RegistryError;

    fn try_from(row: AuditRow) -> Result<Self, RegistryError> {
        let kind = row.actor_kind.parse().stored("audit_log.actor_kind")?;
        let entry = AuditEntry {
            id: AuditId::from_uuid(row.id),
            tenant_id: row.tenant_id.map(TenantId::from_uuid),
            at: row.at,
            actor: Actor { kind, id: row.actor_id, name: row.actor_name },
            action: row.action,
            target: row.target_kind.map(|kind| Target { kind, id: row.target_id }),
            request: row.request,
            request_id: row.request_id,
            address: row.address,
            outcome: row.outcome.parse().stored("audit_log.outcome")?,
            status: row.status.map(u16::try_from).transpose().stored("audit_log.status")?,
            input: row.input,
            before: row.before,
            after: row.after,
        };
        Ok(Self { entry, block: row.block })
    }
}

/// Entries as columns, for `unnest`.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    tenants: Vec<Option<Uuid>>,
    times: Vec<DateTime<Utc>>,
    texts: [Vec<Option<String>>; 13],
    statuses: Vec<Option<i32>>,
}

impl Columns {
    fn of(entries: &[AuditEntry]) -> Self {
        let mut columns = Self::default();
        for entry in entries {
            columns.ids.push(entry.id.as_uuid());
            columns.tenants.push(entry.tenant_id.map(TenantId::as_uuid));
            columns.times.push(entry.at);
            let target = entry.target.clone();
            let (target_kind, target_id) =
                target.map_or((None, None), |target| (Some(target.kind), target.id));
            let texts = [
                Some(entry.actor.kind.to_string()),
                entry.actor.id.clone(),
                entry.actor.name.clone(),
                Some(entry.action.clone()),
                target_kind,
                target_id,
                entry.request.clone(),
                entry.request_id.clone(),
                entry.address.clone(),
                Some(entry.outcome.to_string()),
                entry.input.clone(),
                entry.before.clone(),
                entry.after.clone(),
            ];
            for (column, text) in columns.texts.iter_mut().zip(texts) {
                // PostgreSQL's texts hold no NUL; what was asked for is noted however odd it is.
                column.push(text.map(|text| text.replace('\0', "\u{fffd}")));
            }
            columns.statuses.push(entry.status.map(i32::from));
        }
        columns
    }
}

impl Registry {
    /// Appends rows, all or none. Those that are there already stay as they are, so that a call whose answer was lost can be
    /// repeated. The data plane may call this.
    ///
    /// # Errors
    /// The registry failed.
    pub async fn audit_append(&self, entries: &[AuditEntry]) -> Result<(), RegistryError> {
        insert(&self.pool, entries).await
    }

    /// Appends changes of tenants' data, as [`Registry::audit_append`] does, but for those of tenants that are purged.
    ///
    /// # Errors
    /// The registry failed.
    pub async fn audit_append_data(&self, entries: &[AuditEntry]) -> Result<(), RegistryError> {
        let tenants: Vec<Uuid> =
            entries.iter().filter_map(|entry| entry.tenant_id.map(TenantId::as_uuid)).collect();
        let mut tx = self.begin().await?;
        // A purge waits until they are there, or has begun.
        let there = sqlx::query_scalar!(
            "SELECT id FROM tenants WHERE id = ANY ($1) AND status NOT IN ('purging', 'purged') ORDER BY id FOR SHARE",
            &tenants,
        )
        .fetch_all(&mut *tx)
        .await?;
        let is_there =
            |entry: &&AuditEntry| entry.tenant_id.is_some_and(|tenant| there.contains(&tenant.as_uuid()));
        let entries: Vec<AuditEntry> = entries.iter().filter(is_there).cloned().collect();
        insert(&mut *tx, &entries).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Appends the row of an action that begins. Where that changes something in the registry, its commit comes later, and reaches the
    /// disk later: this one need not wait for it, unless it is `durable`.
    ///
    /// # Errors
    /// The registry failed.
    pub async fn audit_begin(&self, entry: &AuditEntry, durable: bool) -> Result<(), RegistryError> {
        let pool = if durable { &self.pool } else { &self.relaxed };
        insert(pool, std::slice::from_ref(entry)).await
    }

    /// Notes what came of an action; nothing, if it took so long that it is sealed.
    pub async fn audit_end(&self, id: AuditId, end: &AuditEnd) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE audit_log SET tenant_id = coalesce($2, tenant_id), target_kind = coalesce($3, target_kind),
                 target_id = coalesce($4, target_id), outcome = $5, status = $6, after = $7::text::json
             WHERE id = $1 AND block IS NULL",
            id.as_uuid(),
            end.tenant.map(TenantId::as_uuid),
            end.target.as_ref().map(|target| target.kind.as_str()),
            end.target.as_ref().and_then(|target| target.id.as_deref()),
            end.outcome.as_str(),
            end.status.map(i32::from),
            end.after,
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Rows, the last first.
    pub async fn audit_list(
        &self,
        filter: &AuditFilter,
        page: Page,
    ) -> Result<Vec<SealedEntry>, RegistryError> {
        let (action, kind) = action_or_kind(filter);
        let rows = sqlx::query_as!(
            AuditRow,
            r#"SELECT id, tenant_id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, request, request_id,
                   address, outcome, status, input::text AS input, before::text AS before, after::text AS after, block
               FROM audit_log
               WHERE ($1::uuid IS NULL OR number < (SELECT number FROM audit_log WHERE id = $1))
                   AND ($2::uuid IS NULL OR tenant_id = $2) AND ($3::text IS NULL OR $3 IN (actor_id, actor_name))
                   AND ($4::text IS NULL OR action = $4) AND ($5::text IS NULL OR starts_with(action, $5))
                   AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7)
               ORDER BY number DESC LIMIT $8"#,
            page.after,
            filter.tenant.map(TenantId::as_uuid),
            filter.actor,
            action,
            kind,
            filter.since,
            filter.until,
            page.sql_limit(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(SealedEntry::try_from).collect()
    }

    /// Rows after one (none: from the beginning), the oldest first.
    pub async fn audit_after(
        &self,
        filter: &AuditFilter,
        after: Option<AuditId>,
        limit: i64,
    ) -> Result<Vec<SealedEntry>, RegistryError> {
        let (action, kind) = action_or_kind(filter);
        let rows = sqlx::query_as!(
            AuditRow,
            r#"SELECT id, tenant_id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, request, request_id,
                   address, outcome, status, input::text AS input, before::text AS before, after::text AS after, block
               FROM audit_log
               WHERE ($1::uuid IS NULL OR number > (SELECT number FROM audit_log WHERE id = $1))
                   AND ($2::uuid IS NULL OR tenant_id = $2) AND ($3::text IS NULL OR $3 IN (actor_id, actor_name))
                   AND ($4::text IS NULL OR action = $4) AND ($5::text IS NULL OR starts_with(action, $5))
                   AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7)
               ORDER BY number LIMIT $8"#,
            after.map(AuditId::as_uuid),
            filter.tenant.map(TenantId::as_uuid),
            filter.actor,
            action,
            kind,
            filter.since,
            filter.until,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(SealedEntry::try_from).collect()
    }
}

/// An action that is asked for, or else what all that are asked for begin with.
fn action_or_kind(filter: &AuditFilter) -> (Option<&str>, Option<&str>) {
    match filter.action.as_deref() {
        None => (None, None),
        Some(action) => match action.strip_suffix('*') {
            Some(kind) => (None, Some(kind)),
            None => (Some(action), None),
        },
    }
}

async fn insert(executor: impl PgExecutor<'_>, entries: &[AuditEntry]) -> Result<(), RegistryError> {
    let Columns { ids, tenants, times, texts, statuses } = Columns::of(entries);
    let [
        kinds,
        actors,
        names,
        actions,
        target_kinds,
        targets,
        requests,
        request_ids,
        addresses,
        outcomes,
        inputs,
        before,
        after,
    ] = &texts;
    sqlx::query!(
            "INSERT INTO audit_log (id, tenant_id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id,
                 request, request_id, address, outcome, input, before, after, status)
             SELECT id, tenant_id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id,
                 request, request_id, address, outcome, input::json, before::json, after::json, status
             FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                 $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::integer[])
                 AS entry (id, tenant_id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id,
                     request, request_id, address, outcome, input, before, after, status)
             ON CONFLICT DO NOTHING",
            &ids,
            &tenants as &[Option<Uuid>],
            &times,
            kinds as &[Option<String>],
            actors as &[Option<String>],
            names as &[Option<String>],
            actions as &[Option<String>],
            target_kinds as &[Option<String>],
            targets as &[Option<String>],
            requests as &[Option<String>],
            request_ids as &[Option<String>],
            addresses as &[Option<String>],
            outcomes as &[Option<String>],
            inputs as &[Option<String>],
            before as &[Option<String>],
            after as &[Option<String>],
            &statuses as &[Option<i32>],
        )
        .execute(executor)
        .await?;
    Ok(())
}
