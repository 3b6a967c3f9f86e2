//! Table `rollouts`, the API's side: starting one, and looking at it. What people do with one that is there is in
//! [`crate::rollout_control`], what workers do in [`crate::rollout_turns`] and [`crate::rollout_batches`].
//!
//! Whoever changes a rollout and its tenants locks the rollout first; who changes its operation too takes turns before that.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    app::{AppName, AppVersion},
    ids::{RolloutId, ServerId, TenantId},
    names::ObjectName,
    operation::Operation,
    rollout::{Direction, Rollout, RolloutSettings, RolloutState, TenantProgress, WaveShare},
};
use uuid::Uuid;

use crate::{
    NewOperation, OperationStartError, Page, Registry, RegistryError, TimedConnection,
    error::{Stored, broken_constraint, to_json},
};

/// A rollout to start.
#[derive(Debug, Clone)]
pub struct NewRollout {
    /// Its id.
    pub id: RolloutId,
    /// The app.
    pub app: AppName,
    /// The version that all tenants are to have.
    pub target: AppVersion,
    /// How it goes.
    pub settings: RolloutSettings,
}

/// A rollout cannot be started; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum RolloutStartError {
    /// There is no such app.
    #[error("there is no such app")]
    UnknownApp,
    /// The app has no such version.
    #[error("the app has no version {0}")]
    UnknownVersion(AppVersion),
    /// Another one of the app is not finished.
    #[error("rollout {0} of the app is not finished")]
    Busy(RolloutId),
    /// As starting an operation.
    #[error(transparent)]
    Start(#[from] OperationStartError),
}

impl From<RegistryError> for RolloutStartError {
    fn from(error: RegistryError) -> Self {
        Self::Start(error.into())
    }
}

/// How many tenants of a wave are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaveCount {
    /// The wave, from 0.
    pub wave: u16,
    /// How far they are.
    pub state: TenantProgress,
    /// How many.
    pub tenants: u64,
}

/// How many of an app's tenants have a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionCount {
    /// The version.
    pub version: AppVersion,
    /// How many, but for deleted ones.
    pub tenants: u64,
}

/// A tenant on which a rollout is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledTenant {
    /// Its slug.
    pub slug: String,
    /// Where it is.
    pub server: ServerId,
    /// The revision of that server.
    pub server_revision: i64,
    /// Its database.
    pub database: ObjectName,
    /// Its schema.
    pub schema: ObjectName,
    /// The version that it has.
    pub version: AppVersion,
}

/// A tenant in a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutTenant {
    /// Which.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: String,
    /// Its wave, from 0.
    pub wave: u16,
    /// How far it is.
    pub state: TenantProgress,
    /// The version that it had.
    pub from: AppVersion,
    /// The one that it has.
    pub version: Option<AppVersion>,
    /// How often it was tried.
    pub tries: u16,
    /// Why the last try failed, or what it waits for.
    pub error: Option<String>,
    /// When it was done, or failed.
    pub finished_at: Option<DateTime<Utc>>,
}

pub(crate) struct RolloutRow {
    pub(crate) id: Uuid,
    pub(crate) app: String,
    pub(crate) target_version: i64,
    pub(crate) former_version: Option<i64>,
    pub(crate) state: String,
    pub(crate) direction: String,
    pub(crate) reason: Option<String>,
    pub(crate) settings: serde_json::Value,
    pub(crate) wave: i16,
    pub(crate) soak_until: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

pub(crate) fn version(number: i64, what: &'static str) -> Result<AppVersion, RegistryError> {
    AppVersion::try_from(number).stored(what)
}

fn unsigned(number: i16) -> u16 {
    u16::try_from(number).unwrap_or_default()
}

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

impl TryFrom<RolloutRow> for Rollout {
    type Error = RegistryError;

    fn try_from(row: RolloutRow) -> Result<Self, RegistryError> {
        let former = row.former_version.map(|number| version(number, "rollouts.former_version"));
        Ok(Self {
            id: RolloutId::from_uuid(row.id),
            app: AppName::parse(&row.app).stored("rollouts.app")?,
            target: version(row.target_version, "rollouts.target_version")?,
            former: former.transpose()?,
            state: row.state.parse().stored("rollouts.state")?,
            direction: row.direction.parse().stored("rollouts.direction")?,
            reason: row.reason,
            settings: serde_json::from_value(row.settings).stored("rollouts.settings")?,
            wave: unsigned(row.wave),
            soak_until: row.soak_until,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// Reads one, and keeps others from changing it until the transaction ends.
pub(crate) async fn lock(tx: &mut TimedConnection, id: RolloutId) -> Result<Option<Rollout>, RegistryError> {
    let row = sqlx::query_as!(
        RolloutRow,
        "SELECT id, app, target_version, former_version, state, direction, reason, settings, wave, soak_until, created_at,
             finished_at
         FROM rollouts WHERE id = $1 FOR NO KEY UPDATE",
        id.as_uuid()
    )
    .fetch_optional(tx)
    .await?;
    row.map(Rollout::try_from).transpose()
}

/// Keeps the versions of an app as they are until the transaction ends. A statement of its own: what others have changed
/// meanwhile is seen by the next one. None: there is no such app.
pub(crate) async fn lock_app(tx: &mut TimedConnection, app: &AppName) -> Result<Option<()>, RegistryError> {
    let found = sqlx::query!("SELECT name FROM apps WHERE name = $1 FOR UPDATE", app.as_str())
        .fetch_optional(tx)
        .await?;
    Ok(found.map(drop))
}

/// One at a time of those who drive or steer a rollout: they lock its operation and the rollout, in either order.
pub(crate) async fn take_turns(tx: &mut TimedConnection, id: RolloutId) -> Result<(), RegistryError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtext('tenantry rollout'), hashtext($1::text))",
        id.to_string()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Tenants of the app that are not in the rollout and have an older version; after a rollout has turned back, those that have
/// a newer one. Answers how many were taken in.
pub(crate) async fn gather(
    tx: &mut TimedConnection,
    rollout: &Rollout,
    into_wave: Option<u16>,
) -> Result<u64, RegistryError> {
    let (mut canaries, mut canary_waves, mut percents, mut percent_waves) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, wave) in (0_i16..).zip(&rollout.settings.waves) {
        match &wave.share {
            WaveShare::Tenants(tenants) => {
                canaries.extend(tenants.iter().map(|tenant| tenant.as_uuid()));
                canary_waves.resize(canaries.len(), number);
            }
            WaveShare::Percent(percent) => {
                percents.push(i16::from(*percent));
                percent_waves.push(number);
            }
        }
    }
    let back_to = match (rollout.direction, rollout.former) {
        (Direction::Up, _) => None,
        (Direction::Down, Some(former)) => Some(former.number()),
        // Nobody had the app.
        (Direction::Down, None) => return Ok(0),
    };
    // Those that were deleted or hibernated when it was their turn, and are served again.
    let again = sqlx::query!(
        "UPDATE rollout_tenants AS tenant SET state = 'pending', error = NULL, tries = 0, again_at = '-infinity',
             server_id = placements.server_id
         FROM tenants, placements JOIN servers ON servers.id = placements.server_id AND servers.state <> 'hibernated'
         WHERE rollout_id = $1 AND tenant.state = 'skipped' AND tenants.id = tenant.tenant_id
             AND tenants.status IN ('active', 'suspended') AND placements.tenant_id = tenants.id
             AND placements.state IN ('serving', 'cutover')
             AND CASE WHEN $2 THEN schema_version < $3 ELSE schema_version > from_version AND schema_version <= $3 END",
        rollout.id.as_uuid(),
        rollout.direction == Direction::Up,
        rollout.target.number(),
    )
    .execute(&mut *tx)
    .await?;
    let done = sqlx::query!(
        "WITH named AS (
             SELECT tenant_id, min(wave) AS wave FROM unnest($4::uuid[], $5::smallint[]) AS canary (tenant_id, wave)
             GROUP BY tenant_id
         ), found AS (
             SELECT placements.tenant_id, placements.server_id, schema_version,
                 row_number() OVER (ORDER BY md5($1::text || placements.tenant_id::text)) AS place, count(*) OVER () AS total
             FROM tenants JOIN placements ON placements.tenant_id = tenants.id AND placements.state IN ('serving', 'cutover')
             JOIN servers ON servers.id = placements.server_id AND servers.state <> 'hibernated'
             WHERE app = $2 AND status IN ('active', 'suspended')
                 AND CASE WHEN $8::bigint IS NULL THEN schema_version < $3 ELSE schema_version > $8 AND schema_version <= $3 END
                 AND NOT EXISTS (SELECT FROM rollout_tenants
                     WHERE rollout_id = $1 AND rollout_tenants.tenant_id = tenants.id)
         )
         INSERT INTO rollout_tenants (rollout_id, tenant_id, server_id, wave, from_version)
         SELECT $1, tenant_id, server_id, coalesce($9, (SELECT wave FROM named WHERE named.tenant_id = found.tenant_id), (
                 SELECT min(wave) FROM unnest($6::smallint[], $7::smallint[]) AS share (percent, wave)
                 WHERE place <= ceil(total * percent / 100.0))),
             coalesce($8, schema_version)
         FROM found",
        rollout.id.as_uuid(),
        rollout.app.as_str(),
        rollout.target.number(),
        &canaries,
        &canary_waves,
        &percents,
        &percent_waves,
        back_to,
        into_wave.map(u16::cast_signed),
    )
    .execute(&mut *tx)
    .await?;
    let gathered = again.rows_affected() + done.rows_affected();
    if gathered > 0 {
        // Workers that had nothing to do.
        sqlx::query!("SELECT pg_notify('tenantry_rollouts', '')").execute(tx).await?;
    }
    Ok(gathered)
}

impl Registry {
    /// Starts a rollout, and the operation that drives it.
    pub async fn rollout_start(
        &self,
        new: &NewRollout,
        operation: NewOperation,
    ) -> Result<(Rollout, Operation), RolloutStartError> {
        let mut tx = self.begin().await?;
        lock_app(&mut tx, &new.app).await?.ok_or(RolloutStartError::UnknownApp)?;
        let found = sqlx::query!(
            r#"SELECT promoted_version,
                   (SELECT id FROM rollouts WHERE rollouts.app = apps.name AND finished_at IS NULL) AS unfinished,
                   EXISTS (SELECT FROM app_versions WHERE app = apps.name AND version = $2) AS "exists!"
               FROM apps WHERE name = $1"#,
            new.app.as_str(),
            new.target.number(),
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        if !found.exists {
            return Err(RolloutStartError::UnknownVersion(new.target));
        }
        if let Some(unfinished) = found.unfinished {
            return Err(RolloutStartError::Busy(RolloutId::from_uuid(unfinished)));
        }
        let inserted = sqlx::query_as!(
            RolloutRow,
            "INSERT INTO rollouts (id, app, target_version, former_version, settings, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             RETURNING id, app, target_version, former_version, state, direction, reason, settings, wave, soak_until,
                 created_at, finished_at",
            new.id.as_uuid(),
            new.app.as_str(),
            new.target.number(),
            found.promoted_version,
            to_json(&new.settings),
            operation.created_at,
        )
        .fetch_one(&mut *tx)
        .await;
        let row = match inserted {
            Err(error) if broken_constraint(&error) == Some("rollouts_one_unfinished") => {
                drop(tx);
                return Err(self.unfinished_of(&new.app).await?);
            }
            inserted => inserted.map_err(RegistryError::from)?,
        };
        let operation = Self::operation_start_in_tx(&mut tx, operation).await?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok((row.try_into()?, operation))
    }

    pub(crate) async fn unfinished_of(&self, app: &AppName) -> Result<RolloutStartError, RegistryError> {
        let id = sqlx::query_scalar!(
            "SELECT id FROM rollouts WHERE app = $1 ORDER BY finished_at IS NULL DESC, id DESC LIMIT 1",
            app.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(RolloutStartError::Busy(RolloutId::from_uuid(id)))
    }

    /// One rollout.
    pub async fn rollout_get(&self, id: RolloutId) -> Result<Option<Rollout>, RegistryError> {
        let row = sqlx::query_as!(
            RolloutRow,
            "SELECT id, app, target_version, former_version, state, direction, reason, settings, wave, soak_until, created_at,
                 finished_at
             FROM rollouts WHERE id = $1",
            id.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Rollout::try_from).transpose()
    }

    /// Rollouts, newest first.
    pub async fn rollout_list(
        &self,
        app: Option<&AppName>,
        state: Option<RolloutState>,
        page: Page,
    ) -> Result<Vec<Rollout>, RegistryError> {
        let rows = sqlx::query_as!(
            RolloutRow,
            "SELECT id, app, target_version, former_version, state, direction, reason, settings, wave, soak_until, created_at,
                 finished_at
             FROM rollouts
             WHERE ($1::text IS NULL OR app = $1) AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR id < $3)
             ORDER BY id DESC LIMIT $4",
            app.map(AppName::as_str),
            state.map(RolloutState::as_str),
            page.after,
            page.sql_limit(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Rollout::try_from).collect()
    }

    /// How many tenants of each wave of a rollout are how far.
    pub async fn rollout_counts(&self, id: RolloutId) -> Result<Vec<WaveCount>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT wave, state, count(*) AS "tenants!" FROM rollout_tenants WHERE rollout_id = $1
               GROUP BY wave, state ORDER BY wave, state"#,
            id.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let state = row.state.parse().stored("rollout_tenants.state")?;
                Ok(WaveCount { wave: unsigned(row.wave), state, tenants: count(row.tenants) })
            })
            .collect()
    }

    /// How many of an app's tenants have which version.
    pub async fn app_version_counts(&self, app: &AppName) -> Result<Vec<VersionCount>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT schema_version AS "version!", count(*) AS "tenants!"
               FROM tenants JOIN placements ON placements.tenant_id = tenants.id AND placements.state IN ('serving', 'cutover')
               WHERE app = $1 AND schema_version IS NOT NULL AND status NOT IN ('deactivated', 'purging', 'purged')
               GROUP BY schema_version ORDER BY schema_version"#,
            app.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let version = version(row.version, "placements.schema_version")?;
                Ok(VersionCount { version, tenants: count(row.tenants) })
            })
            .collect()
    }

    /// The largest, the median and the smallest of the tenants that a rollout would migrate to a version, as far as what they
    /// take is known; each once.
    pub async fn rollout_samples(
        &self,
        app: &AppName,
        target: AppVersion,
    ) -> Result<Vec<SampledTenant>, RegistryError> {
        let rows = sqlx::query!(
            r#"WITH known AS (
                   SELECT slug, server_id, revision, database, schema, schema_version,
                       row_number() OVER (ORDER BY coalesce(bytes, 0) DESC, tenants.id) AS place, count(*) OVER () AS total
                   FROM tenants JOIN placements ON placements.tenant_id = tenants.id AND placements.state = 'serving'
                   JOIN servers ON servers.id = server_id AND unreachable_since IS NULL
                   LEFT JOIN tenant_storage ON tenant_storage.tenant_id = tenants.id
                   WHERE app = $1 AND status = 'active' AND schema_version < $2
               )
               SELECT slug, server_id, revision, database, schema, schema_version AS "version!"
               FROM known WHERE place IN (1, (total + 1) / 2, total) ORDER BY place"#,
            app.as_str(),
            target.number(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(SampledTenant {
                    slug: row.slug,
                    server: ServerId::from_uuid(row.server_id),
                    server_revision: row.revision,
                    database: ObjectName::parse(&row.database).stored("placements.database")?,
                    schema: ObjectName::parse(&row.schema).stored("placements.schema")?,
                    version: version(row.version, "placements.schema_version")?,
                })
            })
            .collect()
    }

    /// Tenants that were migrated by a rollout within the last minute.
    pub async fn rollout_rate(&self, id: RolloutId) -> Result<u64, RegistryError> {
        let done = sqlx::query_scalar!(
            r#"SELECT count(*) AS "done!" FROM rollout_tenants
               WHERE rollout_id = $1 AND state = 'done' AND finished_at > now() - interval '1 minute'"#,
            id.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count(done))
    }

    /// Tenants of a rollout, by id.
    pub async fn rollout_tenant_list(
        &self,
        id: RolloutId,
        state: Option<TenantProgress>,
        page: Page,
    ) -> Result<Vec<RolloutTenant>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT rollout_tenants.tenant_id, slug, wave, rollout_tenants.state, from_version, tries, error, finished_at,
                   (SELECT schema_version FROM current_placement(rollout_tenants.tenant_id)) AS version
               FROM rollout_tenants JOIN tenants ON tenants.id = tenant_id
               WHERE rollout_id = $1 AND ($2::text IS NULL OR rollout_tenants.state = $2)
                   AND ($3::uuid IS NULL OR tenant_id < $3)
               ORDER BY tenant_id DESC LIMIT $4"#,
            id.as_uuid(),
            state.map(TenantProgress::as_str),
            page.after,
            page.sql_limit(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let now = row.version.map(|number| version(number, "placements.schema_version"));
                Ok(RolloutTenant {
                    tenant: TenantId::from_uuid(row.tenant_id),
                    slug: row.slug,
                    wave: unsigned(row.wave),
                    state: row.state.parse().stored("rollout_tenants.state")?,
                    from: version(row.from_version, "rollout_tenants.from_version")?,
                    version: now.transpose()?,
                    tries: unsigned(row.tries),
                    error: row.error,
                    finished_at: row.finished_at,
                })
            })
            .collect()
    }

    /// Forgets rollouts that ended some days ago; answers how many.
    pub async fn rollout_forget(&self, days: u16) -> Result<u64, RegistryError> {
        let done = sqlx::query!(
            "DELETE FROM rollouts WHERE finished_at < now() - make_interval(days => $1)
                 AND NOT EXISTS (SELECT FROM rollout_tenants WHERE rollout_id = rollouts.id AND state = 'migrating')",
            i32::from(days)
        )
        .execute(&self.housekeeping)
        .await?;
        Ok(done.rows_affected())
    }
}
