//! All that Tenantry made on a server, as the server shows it: a few queries, however many tenants there are.

use sqlx::{PgConnection, Row};

use super::{AdminError, LOGIN_PREFIX, MAINTENANCE, MarkedObject, ServerAdmin};

const TASK: &str = "list what Tenantry made";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerContents {
    /// Roles of tenants, warm ones included, and logins of the data plane.
    pub roles: Vec<FoundRole>,
    /// Databases of tenants, and those that were to be dropped.
    pub databases: Vec<MarkedObject>,
    /// Schemas of the shared database.
    pub schemas: Vec<MarkedObject>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRole {
    /// Its name.
    pub name: String,
    /// Whose it is, as in `owner_mark`.
    pub owner_mark: Option<String>,
    /// Only logins of another label may become it: another installation's.
    pub foreign: bool,
}

impl ServerAdmin {
    /// What there is of Tenantry's on the server. `label` tells the installation's own logins from others'.
    pub async fn contents(&self, label: &str) -> Result<ServerContents, AdminError> {
        let failed = |e| self.failed(TASK, e);
        let mut connection = self.connected(TASK, self.connections.session(MAINTENANCE).await)?;
        let rows = sqlx::query(ROLES)
            .persistent(false)
            .bind(format!("^{LOGIN_PREFIX}{label}_[0-9a-f]{{8}}$"))
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        let roles = rows
            .into_iter()
            .map(|row| {
                Ok(FoundRole { name: row.try_get(0)?, owner_mark: row.try_get(1)?, foreign: row.try_get(2)? })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed)?;
        let databases = self.list(&mut connection, DATABASES).await?;
        drop(connection);
        let schemas = match self.connection(TASK).await {
            Ok(mut shared) => self.list(&mut shared, SCHEMAS).await?,
            // There is no shared database: the server was emptied.
            Err(error) if error.code() == Some("3D000") => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(ServerContents { roles, databases, schemas })
    }

    async fn list(
        &self,
        connection: &mut PgConnection,
        query: &'static str,
    ) -> Result<Vec<MarkedObject>, AdminError> {
        let failed = |e| self.failed(TASK, e);
        let rows = sqlx::query(query).persistent(false).fetch_all(connection).await.map_err(failed)?;
        rows.into_iter()
            .map(|row| Ok(MarkedObject { name: row.try_get(0)?, owner_mark: row.try_get(1)? }))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed)
    }
}

const ROLES: &str = "SELECT r.rolname::text, d.description,
        CASE WHEN starts_with(r.rolname, 'tenantry_data_') THEN r.rolname !~ $1
            ELSE coalesce(bool_and(login.rolname !~ $1), false) END
    FROM pg_roles r
    LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass
    LEFT JOIN pg_auth_members m ON m.roleid = r.oid
    LEFT JOIN pg_roles login ON login.oid = m.member AND starts_with(login.rolname, 'tenantry_data_')
    WHERE starts_with(r.rolname, 'tenant_') OR starts_with(r.rolname, 'tenantry_warm_t_')
        OR starts_with(r.rolname, 'tenantry_data_')
    GROUP BY r.oid, r.rolname, d.description ORDER BY 1";

const DATABASES: &str = "SELECT datname::text, d.description FROM pg_database
    LEFT JOIN pg_shdescription d ON d.objoid = pg_database.oid AND d.classoid = 'pg_database'::regclass
    WHERE starts_with(datname, 'tenant_') OR starts_with(datname, 'tenantry_gone_')
        OR starts_with(datname, 'tenantry_template_') ORDER BY 1";

const SCHEMAS: &str = "SELECT nspname::text, d.description FROM pg_namespace
    LEFT JOIN pg_description d ON d.objoid = pg_namespace.oid AND d.classoid = 'pg_namespace'::regclass
    WHERE starts_with(nspname, 'tenant_') OR starts_with(nspname, 'tenantry_warm_t_') ORDER BY 1";
