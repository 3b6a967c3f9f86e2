//! Table `warm_tenants`: finished, unnamed tenants that wait for a sign-up.

use std::collections::HashMap;

use tenantry_domain::{
    app::{AppName, AppVersion},
    ids::ServerId,
    names::ObjectName,
    plan::Tier,
};

use crate::{FencedError, Lease, LeaseLost, Registry, RegistryError, error::Stored};

/// A warm tenant.
#[derive(Debug, Clone)]
pub struct WarmTenant {
    /// Its server.
    pub server_id: ServerId,
    /// The name of its role and schema until a tenant takes it.
    pub name: ObjectName,
    /// The data plane's login that may become its role.
    pub login: ObjectName,
    /// The role's password, sealed with the key-encryption key.
    pub password: Vec<u8>,
    /// The version of its tables.
    pub version: AppVersion,
}

/// What warm tenants are alike in.
#[derive(Debug, Clone, Copy)]
pub struct WarmKind<'a> {
    /// The app.
    pub app: &'a AppName,
    /// Differs when anything does that they are made from.
    pub fingerprint: &'a str,
    /// The tier.
    pub tier: Tier,
}

/// Free warm tenants by server and fingerprint.
pub type WarmCounts = HashMap<ServerId, HashMap<String, usize>>;

impl Registry {
    /// Takes a free warm tenant for an operation, on the emptiest server by share that can be reached. None
    /// whose login an earlier tenant of the same slug had. An operation whose worker took one and died before
    /// it placed the tenant gets that one again.
    pub async fn warm_take(
        &self,
        lease: &Lease,
        kind: WarmKind<'_>,
    ) -> Result<Option<WarmTenant>, FencedError> {
        let row = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT id, tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE
               ), own AS MATERIALIZED (
                   SELECT warm_tenants.server_id, warm_tenants.name
                   FROM fence JOIN warm_tenants ON operation_id = fence.id JOIN servers ON servers.id = server_id
                   WHERE app = $3 AND fingerprint = $4 AND tier = $5
                       AND servers.state = 'active' AND servers.tenants < capacity AND unreachable_since IS NULL
                       AND $5 = ANY (servers.tiers)
                   LIMIT 1
               ), retired AS MATERIALIZED (
                   SELECT ARRAY(
                       SELECT unnest(before.retired_logins) FROM fence
                       JOIN tenants AS own ON own.id = fence.tenant_id
                       JOIN tenants AS before ON before.slug = own.slug) AS logins
               ), free AS MATERIALIZED (
                   -- Server by server, and of each only the oldest is looked at.
                   SELECT oldest.server_id, oldest.name FROM fence, (
                       SELECT id FROM servers
                       WHERE state = 'active' AND tenants < capacity AND unreachable_since IS NULL
                           AND $5 = ANY (tiers) AND NOT EXISTS (SELECT FROM own)
                       ORDER BY tenants::float8 / capacity) AS server
                   CROSS JOIN LATERAL (
                       SELECT server_id, name FROM warm_tenants
                       WHERE server_id = server.id AND app = $3 AND fingerprint = $4 AND tier = $5
                           AND operation_id IS NULL AND login <> ALL ((SELECT logins FROM retired)::text[])
                       ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED) AS oldest
                   LIMIT 1
               ), taken AS (
                   UPDATE warm_tenants SET operation_id = fence.id
                   FROM fence, (TABLE own UNION ALL TABLE free) AS chosen
                   WHERE warm_tenants.server_id = chosen.server_id AND warm_tenants.name = chosen.name
                   RETURNING warm_tenants.server_id, warm_tenants.name, login, password, version
               )
               SELECT server_id AS "server_id?", name AS "name?", login AS "login?", password AS "password?",
                   version AS "version?"
               FROM fence LEFT JOIN taken ON true"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            kind.app.as_str(),
            kind.fingerprint,
            kind.tier.as_str(),
        )
        .fetch_optional(&self.relaxed)
        .await
        .map_err(RegistryError::from)?
        .ok_or(LeaseLost)?;
        let (Some(server), Some(name), Some(login), Some(password), Some(version)) =
            (row.server_id, row.name, row.login, row.password, row.version)
        else {
            return Ok(None);
        };
        Ok(Some(WarmTenant {
            server_id: ServerId::from_uuid(server),
            name: ObjectName::parse(&name).stored("warm_tenants.name")?,
            login: ObjectName::parse(&login).stored("warm_tenants.login")?,
            password,
            version: AppVersion::try_from(version).stored("warm_tenants.version")?,
        }))
    }

    /// Gives back the warm tenant that an operation took and did not touch, if it did.
    pub async fn warm_give_back(&self, lease: &Lease) -> Result<(), FencedError> {
        let fenced = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT id FROM operations WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing') FOR UPDATE
               ), free AS (
                   UPDATE warm_tenants SET operation_id = NULL FROM fence WHERE operation_id = fence.id
               )
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.relaxed)
        .await
        .map_err(RegistryError::from)?;
        if fenced.held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// How many free warm tenants there are of a tier, by server and fingerprint.
    pub async fn warm_counts(&self, tier: Tier) -> Result<WarmCounts, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT server_id, fingerprint, count(*) AS "count!" FROM warm_tenants
               WHERE tier = $1 AND operation_id IS NULL GROUP BY server_id, fingerprint"#,
            tier.as_str(),
        )
        .fetch_all(&self.relaxed)
        .await?;
        let mut counts = WarmCounts::new();
        for row in rows {
            let of_server = counts.entry(ServerId::from_uuid(row.server_id)).or_default();
            of_server.insert(row.fingerprint, usize::try_from(row.count).unwrap_or(0));
        }
        Ok(counts)
    }

    /// Adds warm tenants that are finished.
    pub async fn warm_add(&self, kind: WarmKind<'_>, warm: &[WarmTenant]) -> Result<(), RegistryError> {
        let text = |value: fn(&WarmTenant) -> String| -> Vec<String> { warm.iter().map(value).collect() };
        let servers: Vec<_> = warm.iter().map(|warm| warm.server_id.as_uuid()).collect();
        let passwords: Vec<Vec<u8>> = warm.iter().map(|warm| warm.password.clone()).collect();
        let versions: Vec<i64> = warm.iter().map(|warm| warm.version.number()).collect();
        sqlx::query!(
            "INSERT INTO warm_tenants (server_id, name, app, fingerprint, version, tier, login, password)
             SELECT server_id, name, $1, $2, version, $3, login, password
             FROM unnest($4::uuid[], $5::text[], $6::text[], $7::bytea[], $8::bigint[])
                 AS warm (server_id, name, login, password, version)",
            kind.app.as_str(),
            kind.fingerprint,
            kind.tier.as_str(),
            &servers,
            &text(|warm| warm.name.to_string()),
            &text(|warm| warm.login.to_string()),
            &passwords,
            &versions,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A data plane's login on a server that tenants share, with room for more; the fullest, so that few are in use.
    pub async fn warm_login(
        &self,
        server: ServerId,
        tenants_per_login: u32,
    ) -> Result<Option<ObjectName>, RegistryError> {
        let limit = i32::try_from(tenants_per_login).unwrap_or(i32::MAX);
        let name = sqlx::query_scalar!(
            "SELECT name FROM server_logins WHERE server_id = $1 AND tenants < $2 AND NOT own AND NOT for_users
             ORDER BY tenants DESC, name LIMIT 1",
            server.as_uuid(),
            limit,
        )
        .fetch_optional(&self.relaxed)
        .await?;
        name.map(|name| ObjectName::parse(&name)).transpose().stored("server_logins.name")
    }

    /// Forgets free warm tenants of a server whose fingerprint is none of these, so that nobody takes them any
    /// more, and answers their names: they are to be dropped.
    pub async fn warm_forget_outdated(
        &self,
        server: ServerId,
        current: &[String],
    ) -> Result<Vec<ObjectName>, RegistryError> {
        let names = sqlx::query_scalar!(
            "DELETE FROM warm_tenants WHERE server_id = $1 AND fingerprint <> ALL ($2) AND operation_id IS NULL
             RETURNING name",
            server.as_uuid(),
            current,
        )
        .fetch_all(&self.pool)
        .await?;
        names.iter().map(|name| ObjectName::parse(name).stored("warm_tenants.name")).collect()
    }

    /// The names of all warm tenants of a server, taken ones included.
    pub async fn warm_names(&self, server: ServerId) -> Result<Vec<ObjectName>, RegistryError> {
        let names =
            sqlx::query_scalar!("SELECT name FROM warm_tenants WHERE server_id = $1", server.as_uuid())
                .fetch_all(&self.pool)
                .await?;
        names.iter().map(|name| ObjectName::parse(name).stored("warm_tenants.name")).collect()
    }
}
