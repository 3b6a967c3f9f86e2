//! Tables `apps` and `app_versions`.

use chrono::{DateTime, Utc};
use tenantry_domain::app::{App, AppName, AppVersion, Manifest, Migration};

use crate::{
    Registry, RegistryError,
    error::{Stored, to_json},
};

/// An app in a list.
#[derive(Debug, Clone)]
pub struct AppSummary {
    /// Its name.
    pub name: AppName,
    /// What it asks for.
    pub manifest: Manifest,
    /// How many migrations it has.
    pub versions: i64,
    /// The last of them.
    pub latest: Option<AppVersion>,
    /// How many tenants have it, purged ones not counted.
    pub tenants: i64,
}

/// A migration cannot be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushVersionError {
    /// There is no such app.
    #[error("there is no such app")]
    UnknownApp,
    /// The version exists with other SQL; versions are immutable.
    #[error("version {0} exists with other content")]
    Differs(AppVersion),
    /// The version is older than the app's last.
    #[error("version {pushed} is not after the latest, {latest}")]
    OutOfOrder {
        /// What was pushed.
        pushed: AppVersion,
        /// What it must come after.
        latest: AppVersion,
    },
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

fn manifest(value: serde_json::Value) -> Result<Manifest, RegistryError> {
    serde_json::from_value(value).stored("apps.manifest")
}

impl Registry {
    /// All apps, by name.
    pub async fn app_list(&self) -> Result<Vec<AppSummary>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT name, manifest,
                   (SELECT count(*) FROM app_versions WHERE app = apps.name) AS "versions!",
                   (SELECT max(version) FROM app_versions WHERE app = apps.name) AS latest,
                   (SELECT count(*) FROM tenants WHERE app = apps.name AND status <> 'purged') AS "tenants!"
               FROM apps ORDER BY name"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(AppSummary {
                    name: AppName::parse(&row.name).stored("apps.name")?,
                    manifest: manifest(row.manifest)?,
                    versions: row.versions,
                    latest: row
                        .latest
                        .map(AppVersion::try_from)
                        .transpose()
                        .stored("app_versions.version")?,
                    tenants: row.tenants,
                })
            })
            .collect()
    }

    /// One app with all its migrations, in order.
    pub async fn app_get(&self, name: &AppName) -> Result<Option<App>, RegistryError> {
        let Some(app) = sqlx::query!("SELECT manifest, seed FROM apps WHERE name = $1", name.as_str())
            .fetch_optional(&self.pool)
            .await?
        else {
            return Ok(None);
        };
        let rows = sqlx::query!(
            "SELECT version, name, up, down FROM app_versions WHERE app = $1 ORDER BY version",
            name.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        let migrations = rows
            .into_iter()
            .map(|row| {
                let version = AppVersion::try_from(row.version).stored("app_versions.version")?;
                Ok(Migration { version, name: row.name, up: row.up, down: row.down })
            })
            .collect::<Result<_, RegistryError>>()?;
        Ok(Some(App { name: name.clone(), manifest: manifest(app.manifest)?, seed: app.seed, migrations }))
    }

    /// A number that changes whenever the app does: for callers that keep an [`App`] around.
    pub async fn app_stamp(&self, name: &AppName) -> Result<Option<(DateTime<Utc>, i64)>, RegistryError> {
        let row = sqlx::query!(
            r#"SELECT updated_at, (SELECT count(*) FROM app_versions WHERE app = apps.name) AS "versions!"
               FROM apps WHERE name = $1"#,
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.updated_at, row.versions)))
    }

    /// Creates an app, or replaces its manifest and seed.
    pub async fn app_put(
        &self,
        name: &AppName,
        manifest: &Manifest,
        seed: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), RegistryError> {
        sqlx::query!(
            "INSERT INTO apps (name, manifest, seed, updated_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET manifest = $2, seed = $3, updated_at = $4
             WHERE (apps.manifest, apps.seed) IS DISTINCT FROM ($2, $3)",
            name.as_str(),
            to_json(manifest),
            seed,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Pushes a migration. True if it is new, false if it was there with the same content.
    pub async fn app_version_push(
        &self,
        app: &AppName,
        migration: &Migration,
        now: DateTime<Utc>,
    ) -> Result<bool, PushVersionError> {
        let mut tx = self.pool.begin().await.map_err(RegistryError::from)?;
        let version = migration.version.number();
        // The lock makes pushes of one app take turns, so that "latest" cannot change underneath.
        let known = sqlx::query!(
            r#"WITH app AS (SELECT name FROM apps WHERE name = $1 FOR UPDATE)
               SELECT (SELECT checksum FROM app_versions WHERE app_versions.app = app.name AND version = $2) AS checksum,
                      (SELECT max(version) FROM app_versions WHERE app_versions.app = app.name) AS latest
               FROM app"#,
            app.as_str(),
            version,
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(RegistryError::from)?
        .ok_or(PushVersionError::UnknownApp)?;
        let checksum = migration.checksum();
        if let Some(stored) = known.checksum {
            return if stored == checksum {
                Ok(false)
            } else {
                Err(PushVersionError::Differs(migration.version))
            };
        }
        if let Some(latest) = known.latest.filter(|latest| *latest > version) {
            let latest = AppVersion::try_from(latest).stored("app_versions.version")?;
            return Err(PushVersionError::OutOfOrder { pushed: migration.version, latest });
        }
        sqlx::query!(
            "INSERT INTO app_versions (app, version, name, up, down, checksum, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            app.as_str(),
            version,
            migration.name,
            migration.up,
            migration.down,
            checksum.as_slice(),
            now,
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(true)
    }
}
