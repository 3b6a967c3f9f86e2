//! Tables `apps` and `app_versions`.

use chrono::{DateTime, Utc};
use tenantry_domain::app::{App, AppName, AppVersion, Manifest, Migration};

use crate::{
    Registry, RegistryError,
    error::{Stored, to_json},
    rollouts::lock_app,
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
    /// The one that new tenants get.
    pub promoted: Option<AppVersion>,
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

/// A version cannot be promoted or deleted.
#[derive(Debug, thiserror::Error)]
pub enum VersionChangeError {
    /// The app has no such version.
    #[error("the app has no such version")]
    NotFound,
    /// A tenant has it, or new tenants get it.
    #[error("{0}")]
    InUse(&'static str),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

fn version(number: Option<i64>) -> Result<Option<AppVersion>, RegistryError> {
    number.map(AppVersion::try_from).transpose().stored("app_versions.version")
}

fn manifest(value: serde_json::Value) -> Result<Manifest, RegistryError> {
    serde_json::from_value(value).stored("apps.manifest")
}

/// What changes whenever an app does, for callers that keep an [`App`] around: when it was changed last, and how
/// many versions it has.
pub type AppStamp = (DateTime<Utc>, i64);

impl Registry {
    /// All apps, by name.
    pub async fn app_list(&self) -> Result<Vec<AppSummary>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT name, manifest, promoted_version,
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
                    latest: version(row.latest)?,
                    promoted: version(row.promoted_version)?,
                    tenants: row.tenants,
                })
            })
            .collect()
    }

    /// One app with all its migrations, in order.
    pub async fn app_get(&self, name: &AppName) -> Result<Option<App>, RegistryError> {
        let Some(app) =
            sqlx::query!("SELECT manifest, seed, promoted_version FROM apps WHERE name = $1", name.as_str())
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
        let promoted = version(app.promoted_version)?;
        Ok(Some(App {
            name: name.clone(),
            manifest: manifest(app.manifest)?,
            seed: app.seed,
            migrations,
            promoted,
        }))
    }

    /// The names of all apps with what changes whenever one does: for callers that keep an [`App`] around.
    pub async fn app_stamps(&self) -> Result<Vec<(AppName, AppStamp)>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT name, updated_at, (SELECT count(*) FROM app_versions WHERE app = apps.name) AS "versions!"
               FROM apps ORDER BY name"#
        )
        .fetch_all(&self.relaxed)
        .await?;
        rows.into_iter()
            .map(|row| Ok((AppName::parse(&row.name).stored("apps.name")?, (row.updated_at, row.versions))))
            .collect()
    }

    /// An app's stamp.
    pub async fn app_stamp(&self, name: &AppName) -> Result<Option<AppStamp>, RegistryError> {
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
        // Pushes of one app take turns, so that "latest" cannot change underneath.
        lock_app(&mut tx, app).await?;
        let known = sqlx::query!(
            r#"WITH app AS (SELECT name FROM apps WHERE name = $1)
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
        // Promoted at once where no tenant would be left behind: the first version, and later ones while nobody has
        // the app.
        sqlx::query!(
            "UPDATE apps SET updated_at = clock_timestamp(), promoted_version = CASE WHEN EXISTS (
                 SELECT FROM tenants WHERE app = $1 AND status <> 'purged') THEN coalesce(promoted_version, $2) ELSE $2 END
             WHERE name = $1",
            app.as_str(),
            version,
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(true)
    }

    /// New tenants get this version from now on.
    pub async fn app_version_promote(
        &self,
        app: &AppName,
        version: AppVersion,
    ) -> Result<(), VersionChangeError> {
        let done = sqlx::query!(
            "UPDATE apps SET promoted_version = $2, updated_at = clock_timestamp() WHERE name = $1
                 AND EXISTS (SELECT FROM app_versions WHERE app = $1 AND version = $2)",
            app.as_str(),
            version.number(),
        )
        .execute(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(VersionChangeError::NotFound) }
    }

    /// Deletes an app's last version, if no tenant has it and new tenants do not get it; or if it is the only one,
    /// which new tenants get for want of another.
    pub async fn app_version_delete(
        &self,
        app: &AppName,
        version: AppVersion,
    ) -> Result<(), VersionChangeError> {
        let mut tx = self.begin().await?;
        // What others did while this waited is seen by the next statement.
        lock_app(&mut tx, app).await?;
        let found = sqlx::query!(
            r#"WITH app AS (SELECT name, promoted_version, updated_at AS apps_updated_at FROM apps WHERE name = $1)
               SELECT EXISTS (SELECT FROM app_versions WHERE app_versions.app = $1 AND version = $2) AS "exists!",
                   EXISTS (SELECT FROM app_versions WHERE app_versions.app = $1 AND version > $2) AS "older!",
                   coalesce(promoted_version >= $2, false)
                       AND EXISTS (SELECT FROM app_versions WHERE app_versions.app = $1 AND version < $2) AS "promoted!",
                   EXISTS (SELECT FROM placements JOIN tenants ON tenants.id = tenant_id
                       WHERE tenants.app = $1 AND schema_version >= $2) AS "had!",
                   EXISTS (SELECT FROM rollouts WHERE rollouts.app = $1 AND target_version >= $2 AND state = 'running')
                       OR EXISTS (SELECT FROM rollout_tenants JOIN tenants ON tenants.id = tenant_id
                           WHERE tenants.app = $1 AND rollout_tenants.state = 'migrating') AS "rolled_out!",
                   -- A worker reads the app once for a sign-up; the promotion of another version changed the app.
                   EXISTS (SELECT FROM operations JOIN tenants ON tenants.id = tenant_id
                       WHERE tenants.app = $1 AND kind = 'provision' AND started_at <= apps_updated_at
                           AND operations.state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')) AS "taken!"
               FROM app"#,
            app.as_str(),
            version.number(),
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        match found {
            Some(found) if found.exists => {
                if found.had {
                    return Err(VersionChangeError::InUse("a tenant has this version"));
                }
                if found.rolled_out {
                    return Err(VersionChangeError::InUse("a rollout carries it; pause or abort that first"));
                }
                if found.taken {
                    return Err(VersionChangeError::InUse(
                        "a sign-up may have begun with this version; try again when it has ended",
                    ));
                }
                if found.promoted {
                    return Err(VersionChangeError::InUse(
                        "new tenants get this version; promote an earlier one first",
                    ));
                }
                if found.older {
                    return Err(VersionChangeError::InUse("later versions build on it; delete them first"));
                }
            }
            _ => return Err(VersionChangeError::NotFound),
        }
        sqlx::query!(
            "UPDATE apps SET promoted_version = nullif(promoted_version, $2), updated_at = clock_timestamp()
             WHERE name = $1",
            app.as_str(),
            version.number(),
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        sqlx::query!(
            "DELETE FROM app_versions WHERE app = $1 AND version = $2",
            app.as_str(),
            version.number()
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(())
    }
}
