//! A rollout as clients see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::{
    app::AppVersion,
    rollout::{Rollout, TenantProgress, WaveShare},
};
use tenantry_registry::{Registry, RegistryError, RolloutTenant, VersionCount, WaveCount};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::vocabulary;

/// How many tenants are how far.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CountsView {
    /// Of all.
    total: u64,
    /// Those whose turn has not come, or that wait.
    pending: u64,
    /// Those that a worker is at.
    migrating: u64,
    /// Those that have the version that they are to have.
    done: u64,
    /// Those that could not be migrated, and are as they were.
    failed: u64,
    /// Those that were left as they are.
    skipped: u64,
}

impl CountsView {
    fn of<'a>(counts: impl Iterator<Item = &'a WaveCount>) -> Self {
        counts.fold(Self::default(), |mut all, count| {
            all.total += count.tenants;
            *match count.state {
                TenantProgress::Pending => &mut all.pending,
                TenantProgress::Migrating => &mut all.migrating,
                TenantProgress::Done => &mut all.done,
                TenantProgress::Failed => &mut all.failed,
                TenantProgress::Skipped => &mut all.skipped,
            } += count.tenants;
            all
        })
    }
}

/// Tenants that are migrated before the next ones are.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaveView {
    /// Percent of all tenants that are through after it; null for one that names tenants.
    percent: Option<u8>,
    /// How long its tenants are watched before the next one begins.
    soak_seconds: u32,
    /// How far they are.
    tenants: CountsView,
}

/// How many tenants have a version.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionCountView {
    /// The version.
    version: i64,
    /// How many.
    tenants: u64,
}

/// A version of an app that is carried to all tenants.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolloutView {
    /// Its id.
    id: Uuid,
    /// The app.
    app: String,
    /// The version that all are to have.
    target_version: i64,
    /// The version that new tenants got when it began.
    former_version: Option<i64>,
    /// running, paused, halted, succeeded, `rolled_back` or aborted.
    #[schema(value_type = vocabulary::RolloutState)]
    state: &'static str,
    /// Whether tenants are migrated to the version (up), or back from it (down).
    #[schema(value_type = vocabulary::Direction)]
    direction: &'static str,
    /// Why it does not run.
    reason: Option<String>,
    /// The wave that it is in, from 1.
    wave: u16,
    /// Until when that wave is watched, if it is.
    soak_until: Option<DateTime<Utc>>,
    /// Its waves.
    waves: Vec<WaveView>,
    /// How far all its tenants are.
    tenants: CountsView,
    /// The versions that the app's tenants have, but for deleted ones.
    versions: Vec<VersionCountView>,
    /// Tenants that were migrated within the last minute.
    tenants_per_minute: u64,
    /// Seconds that the rest of the wave takes, going on so; null if that is not known.
    seconds_left: Option<u64>,
    /// Tenants migrated at a time on one server, each on a connection.
    parallelism: u16,
    /// How many tenants may fail: a number, or percent.
    #[schema(example = "5%")]
    max_failures: String,
    /// How long a statement waits for a lock.
    lock_timeout_ms: u32,
    /// How long a statement may take; 0: for ever.
    statement_timeout_ms: u32,
    /// How often a tenant is tried that is locked.
    tries: u16,
    /// What guard rails found does not keep it from running.
    force: bool,
    /// Versions are carried too that are marked as `-- contract`.
    contract: bool,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

impl RolloutView {
    /// With what the registry knows of its tenants.
    pub(super) async fn of(registry: &Registry, rollout: Rollout) -> Result<Self, RegistryError> {
        let counts = registry.rollout_counts(rollout.id).await?;
        let versions = registry.app_version_counts(&rollout.app).await?;
        let per_minute = registry.rollout_rate(rollout.id).await?;
        Ok(Self::new(rollout, &counts, &versions, per_minute))
    }

    fn new(
        rollout: Rollout,
        counts: &[WaveCount],
        versions: &[VersionCount],
        tenants_per_minute: u64,
    ) -> Self {
        let settings = &rollout.settings;
        let waves = (0_u16..)
            .zip(&settings.waves)
            .map(|(number, wave)| WaveView {
                percent: match wave.share {
                    WaveShare::Tenants(_) => None,
                    WaveShare::Percent(percent) => Some(percent),
                },
                soak_seconds: wave.soak_seconds,
                tenants: CountsView::of(counts.iter().filter(|count| count.wave == number)),
            })
            .collect();
        let to_do: u64 = counts
            .iter()
            .filter(|count| {
                count.wave <= rollout.wave
                    && matches!(count.state, TenantProgress::Pending | TenantProgress::Migrating)
            })
            .map(|count| count.tenants)
            .sum();
        Self {
            seconds_left: (to_do * 60).checked_div(tenants_per_minute),
            id: rollout.id.as_uuid(),
            target_version: rollout.target.number(),
            former_version: rollout.former.map(AppVersion::number),
            state: rollout.state.as_str(),
            direction: rollout.direction.as_str(),
            wave: rollout.wave + 1,
            soak_until: rollout.soak_until,
            waves,
            tenants: CountsView::of(counts.iter()),
            versions: versions
                .iter()
                .map(|count| VersionCountView { version: count.version.number(), tenants: count.tenants })
                .collect(),
            tenants_per_minute,
            parallelism: settings.parallelism,
            max_failures: settings.max_failures.to_string(),
            lock_timeout_ms: settings.lock_timeout_ms,
            statement_timeout_ms: settings.statement_timeout_ms,
            tries: settings.tries,
            force: settings.force,
            contract: settings.contract,
            created_at: rollout.created_at,
            finished_at: rollout.finished_at,
            app: rollout.app.to_string(),
            reason: rollout.reason,
        }
    }
}

/// A tenant in a rollout.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolloutTenantView {
    /// The tenant.
    tenant_id: Uuid,
    /// Its slug.
    slug: String,
    /// Its wave, from 1.
    wave: u16,
    /// pending, migrating, done, failed or skipped.
    #[schema(value_type = vocabulary::TenantProgress)]
    state: &'static str,
    /// The version that it had.
    from_version: i64,
    /// The version that it has.
    version: Option<i64>,
    /// How often it was tried.
    tries: u16,
    /// Why the last try failed, or what it waits for.
    error: Option<String>,
    /// When it was done, or failed.
    finished_at: Option<DateTime<Utc>>,
}

impl From<RolloutTenant> for RolloutTenantView {
    fn from(tenant: RolloutTenant) -> Self {
        Self {
            tenant_id: tenant.tenant.as_uuid(),
            slug: tenant.slug,
            wave: tenant.wave + 1,
            state: tenant.state.as_str(),
            from_version: tenant.from.number(),
            version: tenant.version.map(AppVersion::number),
            tries: tenant.tries,
            error: tenant.error,
            finished_at: tenant.finished_at,
        }
    }
}
