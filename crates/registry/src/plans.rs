//! Table `plans`.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    plan::{Plan, PlanName},
    server_class::ServerClassName,
};

use crate::{
    Registry, RegistryError,
    error::{Stored, broken_constraint, to_json},
};

/// A plan cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum PlanDeleteError {
    /// There is none of that name.
    #[error("there is no such plan")]
    NotFound,
    /// Tenants have it.
    #[error("tenants have this plan")]
    InUse,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

pub(crate) struct PlanRow {
    pub(crate) name: String,
    pub(crate) tier: String,
    pub(crate) limits: serde_json::Value,
    pub(crate) database: serde_json::Value,
    pub(crate) features: serde_json::Value,
    pub(crate) default_config: serde_json::Value,
    pub(crate) retention_days: i16,
    pub(crate) undo_moves_hours: Option<i16>,
    pub(crate) server_class: Option<String>,
}

impl TryFrom<PlanRow> for Plan {
    type Error = RegistryError;

    fn try_from(row: PlanRow) -> Result<Self, RegistryError> {
        Ok(Self {
            name: PlanName::parse(&row.name).stored("plans.name")?,
            tier: row.tier.parse().stored("plans.tier")?,
            limits: serde_json::from_value(row.limits).stored("plans.limits")?,
            database: serde_json::from_value(row.database).stored("plans.database_share")?,
            features: serde_json::from_value(row.features).stored("plans.features")?,
            default_config: serde_json::from_value(row.default_config).stored("plans.default_config")?,
            retention_days: u16::try_from(row.retention_days).stored("plans.retention_days")?,
            undo_moves_hours: row
                .undo_moves_hours
                .map(u16::try_from)
                .transpose()
                .stored("plans.undo_moves_hours")?,
            server_class: row
                .server_class
                .as_deref()
                .map(ServerClassName::parse)
                .transpose()
                .stored("plans.server_class")?,
        })
    }
}

impl Registry {
    /// The names of the plans that have a feature. Uses only what data planes may see.
    pub async fn plans_with_feature(&self, feature: &str) -> Result<Vec<String>, RegistryError> {
        Ok(sqlx::query_scalar!(
            "SELECT name FROM plans
             WHERE coalesce(default_config -> ('features.' || $1), features -> $1) = 'true' ORDER BY name",
            feature
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// All plans, by name.
    pub async fn plan_list(&self) -> Result<Vec<Plan>, RegistryError> {
        let rows = sqlx::query_as!(
            PlanRow,
            "SELECT name, tier, limits, database_share AS database, features, default_config, retention_days, undo_moves_hours,
                 server_class
             FROM plans ORDER BY name"
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Plan::try_from).collect()
    }

    /// One plan.
    pub async fn plan_get(&self, name: &PlanName) -> Result<Option<Plan>, RegistryError> {
        let row = sqlx::query_as!(
            PlanRow,
            "SELECT name, tier, limits, database_share AS database, features, default_config, retention_days, undo_moves_hours,
                 server_class
             FROM plans WHERE name = $1",
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Plan::try_from).transpose()
    }

    /// Creates a plan; false if there is one of that name.
    pub async fn plan_create(&self, plan: &Plan, now: DateTime<Utc>) -> Result<bool, RegistryError> {
        let done = sqlx::query!(
            "INSERT INTO plans (name, tier, limits, features, default_config, retention_days, updated_at, database_share,
                 undo_moves_hours, server_class)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (name) DO NOTHING",
            plan.name.as_str(),
            plan.tier.as_str(),
            to_json(&plan.limits),
            to_json(&plan.features),
            to_json(&plan.default_config),
            plan.retention_days.cast_signed(),
            now,
            to_json(&plan.database),
            plan.undo_moves_hours.map(u16::cast_signed),
            plan.server_class.as_ref().map(ServerClassName::as_str),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Changes a plan, which nobody else changes meanwhile and no sign-up takes; none if there is none of
    /// that name. `change` is told whether tenants have the plan, and may refuse.
    ///
    /// # Errors
    /// `change` refuses, or the registry fails; the plan is as it was.
    pub async fn plan_change<E: From<RegistryError>>(
        &self,
        name: &PlanName,
        now: DateTime<Utc>,
        change: impl FnOnce(Plan, bool) -> Result<Plan, E>,
    ) -> Result<Option<Plan>, E> {
        let failed = |error: sqlx::Error| E::from(RegistryError::from(error));
        let mut tx = self.pool.begin().await.map_err(failed)?;
        let row = sqlx::query_as!(
            PlanRow,
            "SELECT name, tier, limits, database_share AS database, features, default_config, retention_days, undo_moves_hours,
                 server_class
             FROM plans WHERE name = $1 FOR UPDATE",
            name.as_str()
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let in_use = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM tenants WHERE plan = $1 AND status <> 'purged') AS "in_use!""#,
            name.as_str()
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(failed)?;
        let plan = change(Plan::try_from(row)?, in_use)?;
        sqlx::query!(
            "UPDATE plans SET tier = $2, limits = $3, features = $4, default_config = $5, retention_days = $6,
                 updated_at = $7, database_share = $8, undo_moves_hours = $9,
                 server_class = $10
             WHERE name = $1",
            name.as_str(),
            plan.tier.as_str(),
            to_json(&plan.limits),
            to_json(&plan.features),
            to_json(&plan.default_config),
            plan.retention_days.cast_signed(),
            now,
            to_json(&plan.database),
            plan.undo_moves_hours.map(u16::cast_signed),
            plan.server_class.as_ref().map(ServerClassName::as_str),
        )
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(Some(plan))
    }

    /// Deletes a plan that nobody has, or is about to get. A purged tenant's record keeps its plan's row alive.
    pub async fn plan_delete(&self, name: &PlanName) -> Result<(), PlanDeleteError> {
        let deleted = sqlx::query_scalar!(
            r#"WITH wanted AS (
                   SELECT FROM operations WHERE kind = 'move' AND input->>'plan' = $1
                       AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
               ), gone AS (
                   DELETE FROM plans WHERE name = $1 AND NOT EXISTS (SELECT FROM wanted)
               )
               SELECT NOT EXISTS (SELECT FROM wanted) AS "deleted!" FROM plans WHERE name = $1"#,
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await;
        match deleted {
            Ok(None) => Err(PlanDeleteError::NotFound),
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(PlanDeleteError::InUse),
            Err(error) if broken_constraint(&error) == Some("tenants_plan_fkey") => {
                Err(PlanDeleteError::InUse)
            }
            Err(error) => Err(PlanDeleteError::Registry(error.into())),
        }
    }
}
