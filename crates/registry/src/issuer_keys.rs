//! Table `issuer_keys`: public keys of issuers that tenants trust, as workers fetch them.
//!
//! One row for a source, however many tenants have configured it. The triggers of `tenant_config` and `plans` add rows; a row that
//! is due and configured nowhere is deleted instead of fetched.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use tenantry_domain::{
    jwk::Jwks,
    trusted_issuer::{KeySource, KeySourceKind},
};

use crate::{Registry, RegistryError, error::Stored};

/// A source that is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueIssuerKeys {
    /// Where from.
    pub source: KeySource,
    /// How many fetches have failed since the last that did not.
    pub failures: u32,
}

/// How fetching an issuer's keys goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerKeysState {
    /// Where from.
    pub source: KeySource,
    /// The names of the keys that were found.
    pub kids: Vec<String>,
    /// When it last succeeded.
    pub fetched_at: Option<DateTime<Utc>>,
    /// Until when the keys count, should it fail from now on.
    pub good_until: Option<DateTime<Utc>>,
    /// Why it failed last, unless it has succeeded since.
    pub error: Option<String>,
}

pub(crate) fn source(kind: &str, url: &str) -> Result<KeySource, RegistryError> {
    let kind: KeySourceKind = kind.parse().stored("issuer_keys.kind")?;
    KeySource::parse(kind, url).stored("issuer_keys.url")
}

impl Registry {
    /// Sources that are due, and those that data planes ask for whose last fetch is at least `early_after` ago.
    pub async fn issuer_keys_due(
        &self,
        now: DateTime<Utc>,
        early_after: TimeDelta,
        limit: i64,
    ) -> Result<Vec<DueIssuerKeys>, RegistryError> {
        let rows = sqlx::query!(
            r#"WITH due AS MATERIALIZED (
                   SELECT kind, url, failures FROM issuer_keys
                   WHERE fetch_at <= $1 OR asked AND failures = 0 AND attempted_at <= $2 ORDER BY fetch_at LIMIT $3
               ), configured AS MATERIALIZED (
                   SELECT sources.kind, sources.url FROM tenant_config, issuer_key_sources(value) AS sources
                   WHERE key = 'auth.issuers' AND EXISTS (SELECT FROM due)
                   UNION
                   SELECT sources.kind, sources.url
                   FROM plans, issuer_key_sources(default_config -> 'auth.issuers') AS sources
                   WHERE EXISTS (SELECT FROM due)
               ), forgotten AS (
                   -- One that is being configured is seen by its `wanted_at` although its configuration is not yet.
                   DELETE FROM issuer_keys AS known USING due
                   WHERE known.kind = due.kind AND known.url = due.url AND wanted_at < now() - interval '1 minute'
                       AND NOT EXISTS (SELECT FROM configured WHERE configured.kind = due.kind AND configured.url = due.url)
                   RETURNING known.kind, known.url
               )
               SELECT kind AS "kind!", url AS "url!", failures AS "failures!" FROM due
               WHERE NOT EXISTS (SELECT FROM forgotten WHERE forgotten.kind = due.kind AND forgotten.url = due.url)"#,
            now,
            now - early_after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in rows {
            match source(&row.kind, &row.url) {
                Ok(source) => due.push(DueIssuerKeys { source, failures: row.failures.cast_unsigned() }),
                // A plan's default that nobody has checked. The others are fetched all the same.
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "issuer keys at {} cannot be fetched: {error}",
                        row.url
                    );
                    self.note_failed(&row.kind, &row.url, "it is no URL", now, now + TimeDelta::days(1))
                        .await?;
                }
            }
        }
        Ok(due)
    }

    /// Keeps what was fetched. Routes hear of it only where that matters to them: if the keys are others, or those they have would
    /// stop counting within the next 23 hours.
    pub async fn issuer_keys_fetched(
        &self,
        source: &KeySource,
        keys: &Jwks,
        now: DateTime<Utc>,
        good_until: DateTime<Utc>,
        fetch_at: DateTime<Utc>,
    ) -> Result<(), RegistryError> {
        let keys = serde_json::to_value(keys).stored("issuer_keys.keys")?;
        sqlx::query!(
            "UPDATE issuer_keys SET keys = $3, fetched_at = $4, attempted_at = $4, fetch_at = $6, error = NULL, failures = 0,
                 asked = false,
                 good_until = CASE WHEN keys = $3 AND good_until > $5::timestamptz - interval '1 hour' THEN good_until ELSE $5 END
             WHERE kind = $1 AND url = $2",
            source.kind().as_str(),
            source.url(),
            keys,
            now,
            good_until,
            fetch_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that a fetch failed. The keys of the last one stay as long as they are good.
    pub async fn issuer_keys_failed(
        &self,
        source: &KeySource,
        error: &str,
        now: DateTime<Utc>,
        fetch_at: DateTime<Utc>,
    ) -> Result<(), RegistryError> {
        self.note_failed(source.kind().as_str(), source.url(), error, now, fetch_at).await
    }

    async fn note_failed(
        &self,
        kind: &str,
        url: &str,
        error: &str,
        now: DateTime<Utc>,
        fetch_at: DateTime<Utc>,
    ) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE issuer_keys SET attempted_at = $4, fetch_at = $5, error = $3, failures = failures + 1, asked = false
             WHERE kind = $1 AND url = $2",
            kind,
            url,
            error,
            now,
            fetch_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Asks for sources to be fetched before they are due.
    pub async fn issuer_keys_ask(&self, sources: &[KeySource]) -> Result<(), RegistryError> {
        let kinds: Vec<String> = sources.iter().map(|source| source.kind().as_str().to_owned()).collect();
        let urls: Vec<String> = sources.iter().map(|source| source.url().to_owned()).collect();
        sqlx::query!(
            "UPDATE issuer_keys SET asked = true
             WHERE (kind, url) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
            &kinds,
            &urls,
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// How fetching keys for a value of `auth.issuers` goes.
    pub async fn issuer_keys_of(&self, issuers: &Value) -> Result<Vec<IssuerKeysState>, RegistryError> {
        let rows = sqlx::query!(
            "SELECT issuer_keys.kind, issuer_keys.url, keys, fetched_at, good_until, error
             FROM issuer_keys JOIN issuer_key_sources($1) AS sources
                 ON issuer_keys.kind = sources.kind AND issuer_keys.url = sources.url
             ORDER BY issuer_keys.url, issuer_keys.kind",
            issuers
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let keys = row.keys.map(Jwks::deserialize).transpose().stored("issuer_keys.keys")?;
                Ok(IssuerKeysState {
                    source: source(&row.kind, &row.url)?,
                    kids: keys
                        .into_iter()
                        .flat_map(|keys| keys.keys)
                        .map(|key| key.kid().to_owned())
                        .collect(),
                    fetched_at: row.fetched_at,
                    good_until: row.good_until,
                    error: row.error,
                })
            })
            .collect()
    }
}
