//! Tables `tenants` and `tenant_labels`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tenantry_domain::{
    Slug,
    app::AppName,
    domain_name::DomainName,
    ids::{OperationId, TenantId},
    operation::{Operation, OperationInput, Subject},
    placement::Placement,
    plan::{Features, LimitOverrides, Plan, PlanName, Tier},
    server::ServerName,
    tenant::{DisplayName, Tenant, TenantPhase},
    user::FirstOwner,
};
use uuid::Uuid;

use crate::{
    AppStamp, Health, NewOperation, Page, Registry, RegistryError,
    error::{Stored, broken_constraint, to_json},
    jobs,
    plans::PlanRow,
    timed::TimedConnection,
};

/// A sign-up: everything that is written at once.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// The tenant, with status `provisioning`.
    pub tenant: Tenant,
    /// Its data key, wrapped by the key-encryption key.
    pub wrapped_data_key: Vec<u8>,
    /// A custom domain to be proven, and the token that proves it.
    pub domain: Option<(DomainName, String)>,
    /// The id of the provision operation.
    pub operation_id: OperationId,
    /// Who is invited to be its first user.
    pub admin: Option<FirstOwner>,
}

/// What a worker needs of a tenant.
#[derive(Debug)]
pub struct TenantWithPlan {
    /// The tenant and where its data is.
    pub details: TenantDetails,
    /// Its plan.
    pub plan: Plan,
    /// Its data key, wrapped by the key-encryption key.
    pub wrapped_data_key: Vec<u8>,
    /// The revision of its placement's server.
    pub server_revision: Option<i64>,
    /// Why nobody reaches that server, if it is known to be away.
    pub server_unreachable: Option<String>,
    /// The stamp of its app.
    pub app_stamp: AppStamp,
}

/// A sign-up is refused; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum TenantCreateError {
    /// A tenant has the slug, as slug or as subdomain.
    #[error("the slug is taken")]
    SlugTaken,
    /// A tenant has the subdomain, as slug or as subdomain.
    #[error("the subdomain is taken")]
    SubdomainTaken,
    /// A tenant has the domain.
    #[error("the domain is taken")]
    DomainTaken,
    /// There is no such plan.
    #[error("there is no such plan")]
    UnknownPlan,
    /// There is no such app.
    #[error("there is no such app")]
    UnknownApp,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Changes to a tenant that need no operation. `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// A new name for people.
    pub name: Option<DisplayName>,
    /// Replaces the settings.
    pub settings: Option<serde_json::Map<String, Value>>,
    /// Replaces the tenant's own feature switches.
    pub features: Option<Features>,
    /// Replaces the tenant's own ceilings.
    pub limits: Option<LimitOverrides>,
}

/// Which tenants to list.
#[derive(Debug, Clone, Default)]
pub struct TenantFilter {
    /// In this phase; without it, all but purged ones.
    pub phase: Option<TenantPhase>,
    /// With this plan.
    pub plan: Option<PlanName>,
    /// With this app.
    pub app: Option<AppName>,
    /// Placed in this tier.
    pub tier: Option<Tier>,
    /// Placed on this server.
    pub server: Option<ServerName>,
    /// Doing so.
    pub health: Option<Health>,
    /// Whose slug or name holds this text, in any case.
    pub text: Option<String>,
}

/// A tenant and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantDetails {
    /// The tenant.
    pub tenant: Tenant,
    /// Where it is served; before it is, the placement that is being prepared.
    pub placement: Option<Placement>,
    /// That placement's server.
    pub server: Option<ServerName>,
}

struct TenantRow {
    id: Uuid,
    slug: String,
    subdomain: Option<String>,
    name: String,
    status: String,
    purge_at: Option<DateTime<Utc>>,
    plan: String,
    app: String,
    features: Value,
    limits: Value,
    settings: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    // The current placement, from an outer join.
    epoch: Option<i32>,
    placement_state: Option<String>,
    tier: Option<String>,
    server_id: Option<Uuid>,
    database: Option<String>,
    schema: Option<String>,
    login: Option<String>,
    schema_version: Option<i64>,
    server: Option<String>,
}

impl TryFrom<TenantRow> for TenantDetails {
    type Error = RegistryError;

    fn try_from(row: TenantRow) -> Result<Self, RegistryError> {
        let phase: TenantPhase = row.status.parse().stored("tenants.status")?;
        let tenant = Tenant {
            id: TenantId::from_uuid(row.id),
            slug: Slug::parse(&row.slug).stored("tenants.slug")?,
            subdomain: row.subdomain.as_deref().map(Slug::parse).transpose().stored("tenants.subdomain")?,
            name: DisplayName::parse(&row.name).stored("tenants.name")?,
            status: phase.with(row.purge_at).stored("tenants.purge_at")?,
            plan: PlanName::parse(&row.plan).stored("tenants.plan")?,
            app: AppName::parse(&row.app).stored("tenants.app")?,
            features: serde_json::from_value(row.features).stored("tenants.features")?,
            limits: serde_json::from_value(row.limits).stored("tenants.limits")?,
            settings: serde_json::from_value(row.settings).stored("tenants.settings")?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        let placement = match (
            row.epoch,
            row.placement_state,
            row.tier,
            row.server_id,
            row.database,
            row.schema,
            row.login,
        ) {
            (
                Some(epoch),
                Some(state),
                Some(tier),
                Some(server_id),
                Some(database),
                Some(schema),
                Some(login),
            ) => Some(crate::placements::read(
                tenant.id,
                epoch,
                &state,
                &tier,
                server_id,
                &database,
                &schema,
                &login,
                row.schema_version,
            )?),
            _ => None,
        };
        let server = row.server.as_deref().map(ServerName::parse).transpose().stored("servers.name")?;
        Ok(Self { tenant, placement, server })
    }
}

impl Registry {
    /// Signs a tenant up: tenant, labels, domain, provision operation and job in one transaction.
    pub async fn tenant_create(&self, new: &NewTenant) -> Result<Operation, TenantCreateError> {
        let mut tx = self.begin().await?;
        match Self::tenant_create_in_tx(&mut tx, new).await {
            Ok(operation) => {
                tx.commit().await.map_err(RegistryError::from)?;
                Ok(operation)
            }
            Err(TenantCreateError::SlugTaken) => {
                drop(tx);
                Err(self.which_label_is_taken(new).await?)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Registry::tenant_create`], on the caller's transaction. Of two taken labels it always names the slug.
    pub async fn tenant_create_in_tx(
        tx: &mut TimedConnection,
        new: &NewTenant,
    ) -> Result<Operation, TenantCreateError> {
        let Tenant {
            id,
            slug,
            subdomain,
            name,
            status,
            plan,
            app,
            features,
            limits,
            settings,
            created_at,
            ..
        } = &new.tenant;
        let operation = NewOperation {
            id: new.operation_id,
            subject: Subject::Tenant(*id),
            subject_name: slug.to_string(),
            input: OperationInput::Provision { admin: new.admin.clone().map(Box::new) },
            created_at: *created_at,
        }
        .operation();
        let (domain, token) =
            new.domain.as_ref().map(|(name, token)| (name.as_str(), token.as_str())).unzip();
        let inserted = sqlx::query!(
            "WITH tenant AS (
                 INSERT INTO tenants (id, slug, subdomain, name, status, plan, app, features, limits, settings,
                     data_key, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
             ), labels AS (
                 INSERT INTO tenant_labels (label, tenant_id, kind)
                 SELECT label, $1, kind FROM (VALUES ($2, 'slug'), ($3, 'subdomain')) AS own (label, kind)
                 WHERE label IS NOT NULL
             ), domain AS (
                 INSERT INTO domains (name, tenant_id, token, created_at)
                 SELECT $13, $1, $14, $12 WHERE $13::text IS NOT NULL
             ), operation AS (
                 INSERT INTO operations (id, subject_kind, subject_id, subject_name, kind, lane, state, input, run_after,
                     created_at)
                 VALUES ($15, 'tenant', $1, $2, $16, $17, 'queued', $18, now(), $12)
             )
             INSERT INTO operation_events (operation_id, kind, progress, message, at)
             VALUES ($15, 'queued', 0, 'waiting for a worker', $12)",
            id.as_uuid(),
            slug.as_str(),
            subdomain.as_ref().map(Slug::as_str),
            name.as_str(),
            status.as_str(),
            plan.as_str(),
            app.as_str(),
            to_json(features),
            to_json(limits),
            Value::Object(settings.clone()),
            new.wrapped_data_key,
            created_at,
            domain,
            token,
            operation.id.as_uuid(),
            operation.kind().as_str(),
            operation.kind().lane().as_str(),
            to_json(&operation.input),
        )
        .execute(&mut *tx)
        .await;
        match inserted {
            Ok(_) => {}
            Err(error) => {
                return Err(match broken_constraint(&error) {
                    Some("tenant_labels_pkey") => TenantCreateError::SlugTaken,
                    Some("domains_proven") => TenantCreateError::DomainTaken,
                    Some("tenants_plan_fkey") => TenantCreateError::UnknownPlan,
                    Some("tenants_app_fkey") => TenantCreateError::UnknownApp,
                    _ => TenantCreateError::Registry(error.into()),
                });
            }
        }
        jobs::enqueue_in_tx(tx, operation.kind().lane(), &[operation.id]).await?;
        Ok(operation)
    }

    async fn which_label_is_taken(&self, new: &NewTenant) -> Result<TenantCreateError, RegistryError> {
        let slug =
            sqlx::query!("SELECT 1 AS one FROM tenant_labels WHERE label = $1", new.tenant.slug.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(if slug.is_some() || new.tenant.subdomain.is_none() {
            TenantCreateError::SlugTaken
        } else {
            TenantCreateError::SubdomainTaken
        })
    }

    /// One tenant by id.
    pub async fn tenant_get(&self, id: TenantId) -> Result<Option<TenantDetails>, RegistryError> {
        self.tenant_one(Some(id), None).await
    }

    /// The tenant that has this slug or subdomain now.
    pub async fn tenant_find(&self, label: &Slug) -> Result<Option<TenantDetails>, RegistryError> {
        self.tenant_one(None, Some(label)).await
    }

    /// What a worker needs of an operation's tenant, in one round trip.
    pub async fn tenant_of_operation(
        &self,
        id: OperationId,
    ) -> Result<Option<TenantWithPlan>, RegistryError> {
        let row = sqlx::query!(
            r#"SELECT tenants.id, slug, subdomain, tenants.name, status, purge_at, plan, tenants.app, tenants.features,
                   tenants.limits, settings, data_key, tenants.created_at, tenants.updated_at,
                   plans.tier AS plan_tier, plans.limits AS plan_limits, database_share AS plan_database,
                   plans.features AS plan_features, default_config, retention_days, undo_moves_hours, server_class,
                   epoch AS "epoch?", placement.state AS "placement_state?", placement.tier AS "tier?",
                   server_id AS "server_id?", database AS "database?", schema AS "schema?", login AS "login?",
                   schema_version AS "schema_version?", servers.name AS "server?",
                   servers.revision AS "server_revision?", servers.unreachable_error AS "server_unreachable?",
                   apps.updated_at AS app_updated_at,
                   (SELECT count(*) FROM app_versions WHERE app_versions.app = apps.name) AS "app_versions!"
               FROM operations
               JOIN tenants ON tenants.id = operations.tenant_id
               JOIN plans ON plans.name = plan
               JOIN apps ON apps.name = tenants.app
               LEFT JOIN LATERAL current_placement(tenants.id) AS placement ON true
               LEFT JOIN servers ON servers.id = server_id
               WHERE operations.id = $1"#,
            id.as_uuid()
        )
        .fetch_optional(&self.relaxed)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let plan = PlanRow {
            name: row.plan.clone(),
            tier: row.plan_tier,
            limits: row.plan_limits,
            database: row.plan_database,
            features: row.plan_features,
            default_config: row.default_config,
            retention_days: row.retention_days,
            undo_moves_hours: row.undo_moves_hours,
            server_class: row.server_class,
        };
        let tenant = TenantRow {
            id: row.id,
            slug: row.slug,
            subdomain: row.subdomain,
            name: row.name,
            status: row.status,
            purge_at: row.purge_at,
            plan: row.plan,
            app: row.app,
            features: row.features,
            limits: row.limits,
            settings: row.settings,
            created_at: row.created_at,
            updated_at: row.updated_at,
            epoch: row.epoch,
            placement_state: row.placement_state,
            tier: row.tier,
            server_id: row.server_id,
            database: row.database,
            schema: row.schema,
            login: row.login,
            schema_version: row.schema_version,
            server: row.server,
        };
        Ok(Some(TenantWithPlan {
            details: tenant.try_into()?,
            plan: plan.try_into()?,
            wrapped_data_key: row.data_key,
            server_revision: row.server_revision,
            server_unreachable: row.server_unreachable,
            app_stamp: (row.app_updated_at, row.app_versions),
        }))
    }

    async fn tenant_one(
        &self,
        id: Option<TenantId>,
        label: Option<&Slug>,
    ) -> Result<Option<TenantDetails>, RegistryError> {
        let row = sqlx::query_as!(
            TenantRow,
            r#"SELECT tenants.id, slug, subdomain, tenants.name, status, purge_at, plan, app, features, limits,
                   settings, tenants.created_at, updated_at,
                   epoch AS "epoch?", placement.state AS "placement_state?", tier AS "tier?",
                   server_id AS "server_id?", database AS "database?", schema AS "schema?", login AS "login?",
                   schema_version AS "schema_version?", servers.name AS "server?"
               FROM tenants
               LEFT JOIN LATERAL current_placement(tenants.id) AS placement ON true
               LEFT JOIN servers ON servers.id = server_id
               WHERE tenants.id = coalesce($1, (SELECT tenant_id FROM tenant_labels WHERE label = $2))"#,
            id.map(TenantId::as_uuid),
            label.map(Slug::as_str),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(TenantDetails::try_from).transpose()
    }

    /// Tenants, newest first.
    pub async fn tenant_list(
        &self,
        filter: &TenantFilter,
        page: Page,
    ) -> Result<Vec<TenantDetails>, RegistryError> {
        // `%` and `_` of the text mean themselves.
        let pattern = filter
            .text
            .as_ref()
            .map(|text| format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")));
        let rows = sqlx::query_as!(
            TenantRow,
            r#"SELECT tenants.id, slug, subdomain, tenants.name, status, purge_at, plan, app, features, limits,
                   settings, tenants.created_at, updated_at,
                   epoch AS "epoch?", placement.state AS "placement_state?", tier AS "tier?",
                   server_id AS "server_id?", database AS "database?", schema AS "schema?", login AS "login?",
                   schema_version AS "schema_version?", servers.name AS "server?"
               FROM tenants
               LEFT JOIN LATERAL current_placement(tenants.id) AS placement ON true
               LEFT JOIN servers ON servers.id = server_id
               WHERE ($1::uuid IS NULL OR tenants.id < $1)
                 AND CASE WHEN $2::text IS NULL THEN status <> 'purged' ELSE status = $2 END
                 AND ($3::text IS NULL OR plan = $3)
                 AND ($4::text IS NULL OR app = $4)
                 AND ($5::text IS NULL OR tier = $5)
                 AND ($6::text IS NULL OR servers.name = $6)
                 AND ($7::text IS NULL OR slug ILIKE $7 OR tenants.name ILIKE $7)
                 AND ($9::text IS NULL OR $9 = (SELECT health FROM tenant_health(tenants.id)))
               ORDER BY tenants.id DESC LIMIT $8"#,
            page.after,
            filter.phase.map(TenantPhase::as_str),
            filter.plan.as_ref().map(PlanName::as_str),
            filter.app.as_ref().map(AppName::as_str),
            filter.tier.map(Tier::as_str),
            filter.server.as_ref().map(ServerName::as_str),
            pattern,
            page.sql_limit(),
            filter.health.map(Health::as_str),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TenantDetails::try_from).collect()
    }

    /// Changes what needs no operation; false if there is no such tenant, or it is purged.
    pub async fn tenant_change(
        &self,
        id: TenantId,
        change: &TenantChange,
        now: DateTime<Utc>,
    ) -> Result<bool, RegistryError> {
        let done = sqlx::query!(
            "UPDATE tenants SET name = coalesce($2, name), settings = coalesce($3, settings),
                 features = coalesce($4, features), limits = coalesce($5, limits), updated_at = $6
             WHERE id = $1 AND status <> 'purged'",
            id.as_uuid(),
            change.name.as_ref().map(DisplayName::as_str),
            change.settings.as_ref().map(to_json),
            change.features.as_ref().map(to_json),
            change.limits.as_ref().map(to_json),
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives a tenant another plan of the same tier, unless an operation is at work on it, which is answered then.
    pub async fn tenant_change_plan(
        &self,
        id: TenantId,
        plan: &PlanName,
    ) -> Result<Result<(), OperationId>, RegistryError> {
        let busy = sqlx::query_scalar!(
            r#"WITH tenant AS MATERIALIZED (
                   SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE
               ), busy AS MATERIALIZED (
                   SELECT operations.id FROM operations, tenant
                   WHERE subject_kind = 'tenant' AND subject_id = tenant.id
                       AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
               ), changed AS (
                   UPDATE tenants SET plan = $2, updated_at = now() FROM tenant
                   WHERE tenants.id = tenant.id AND NOT EXISTS (SELECT FROM busy)
               )
               SELECT id FROM busy"#,
            id.as_uuid(),
            plan.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(busy.map_or(Ok(()), |busy| Err(OperationId::from_uuid(busy))))
    }

    /// Forgets the records of tenants that were purged some days ago; answers how many, at most `limit`.
    pub async fn tenant_forget_purged(&self, days: u16, limit: i64) -> Result<u64, RegistryError> {
        let forgotten = sqlx::query!(
            "DELETE FROM tenants WHERE id IN (
                 SELECT id FROM tenants WHERE status = 'purged' AND updated_at < now() - make_interval(days => $1)
                     AND NOT EXISTS (SELECT FROM servers WHERE owner_id = tenants.id)
                 LIMIT $2)",
            i32::from(days),
            limit,
        )
        .execute(&self.relaxed)
        .await?;
        Ok(forgotten.rows_affected())
    }

    /// Deleted tenants whose retention is over, by the registry's clock, and that no operation is at work on;
    /// each with its slug.
    pub async fn tenant_due_for_purge(&self, limit: i64) -> Result<Vec<(TenantId, String)>, RegistryError> {
        let due = sqlx::query!(
            "SELECT id, slug FROM tenants
             WHERE purge_at <= now() AND status = 'deactivated' AND NOT EXISTS (
                 SELECT 1 FROM operations WHERE subject_kind = 'tenant' AND subject_id = tenants.id
                     AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck'))
             ORDER BY purge_at LIMIT $1",
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(due.into_iter().map(|row| (TenantId::from_uuid(row.id), row.slug)).collect())
    }
}
