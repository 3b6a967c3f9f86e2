//! Making a server fit to hold tenants: the owner role, and databases that grant nobody anything
//! by default.

use tenantry_domain::names::{EXTENSIONS_SCHEMA, ObjectName};

use super::{
    AdminError, Done, MAINTENANCE, OWNER_ROLE, READER_ROLE, SYSTEM_SCHEMA, ServerAdmin,
    data_audit::AUDIT_ROLE, fence,
};
use crate::{sql, tenant::USERS_ROLE};

impl ServerAdmin {
    /// Prepares the server and the database that its tenants share, once per process.
    pub async fn prepare(&self) -> Result<(), AdminError> {
        if self.is_done(&Done::Server) {
            return Ok(());
        }
        let maintenance = super::template::name(MAINTENANCE.into())?;
        // In a database that lets no tenant in, unless a managed service keeps it open.
        let lock = sql::advisory_lock("tenantry:prepare");
        let block = sql::block(
            "",
            &format!(
                "PERFORM {lock};
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER_ROLE}') THEN
                    CREATE ROLE {OWNER_ROLE} NOLOGIN;
                END IF;
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{USERS_ROLE}') THEN
                    CREATE ROLE {USERS_ROLE} NOLOGIN;
                END IF;
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{AUDIT_ROLE}') THEN
                    CREATE ROLE {AUDIT_ROLE} NOLOGIN;
                END IF;
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER_ROLE}') THEN
                    CREATE ROLE {READER_ROLE} NOLOGIN;
                    GRANT {OWNER_ROLE} TO {READER_ROLE};
                    -- An admin that has it not itself may not give it.
                    BEGIN
                        ALTER ROLE {READER_ROLE} BYPASSRLS;
                    EXCEPTION WHEN insufficient_privilege THEN NULL;
                    END;
                END IF;
                IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
                    EXECUTE 'GRANT {OWNER_ROLE}, {AUDIT_ROLE}, {READER_ROLE} TO CURRENT_USER' || CASE
                        WHEN current_setting('server_version_num')::int >= 160000
                        THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
                END IF;
                -- A managed service owns these itself and says no; tenants find nothing in them.
                BEGIN
                    IF has_database_privilege('public', '{MAINTENANCE}', 'CONNECT') THEN
                        REVOKE ALL ON DATABASE {MAINTENANCE} FROM PUBLIC;
                    END IF;
                    IF has_database_privilege('public', 'template1', 'CONNECT') THEN
                        REVOKE ALL ON DATABASE template1 FROM PUBLIC;
                    END IF;
                EXCEPTION WHEN insufficient_privilege THEN NULL;
                END;"
            ),
        );
        self.run_in(&maintenance, "prepare the server", block).await?;
        let shared = self.shared_database().clone();
        self.create_bare_database(&maintenance, &shared, "prepare the shared database").await?;
        self.refuse_registry(&shared).await?;
        self.harden_database(&shared, Connect::ByGroup).await?;
        self.mark_done(Done::Server);
        Ok(())
    }

    /// Refuses a registry's database: tenants would be let into it.
    async fn refuse_registry(&self, shared: &ObjectName) -> Result<(), AdminError> {
        let message = format!("{shared} is the database of a registry, which holds no tenants");
        let block = sql::block(
            "",
            &format!(
                "IF to_regclass('public.app_versions') IS NOT NULL AND to_regclass('public.server_logins') IS NOT NULL THEN
                    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = {};
                END IF;",
                sql::literal(&message)
            ),
        );
        self.run("prepare the shared database", block).await.map(drop)
    }

    /// A new database with nothing in it, if there is none of that name. From `template0`, which
    /// nobody can be connected to.
    async fn create_bare_database(
        &self,
        maintenance: &ObjectName,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<(), AdminError> {
        let mut connection = self.session(maintenance, task).await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .persistent(false)
            .bind(database.as_str())
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| self.failed(task, e))?;
        if exists {
            return Ok(());
        }
        let create = format!("CREATE DATABASE {} OWNER {OWNER_ROLE} TEMPLATE template0", database.quoted());
        match self.run_on(connection, task, create).await {
            // Another process was faster.
            Err(AdminError::Refused { code, .. }) if code == "42P04" || code == "23505" => Ok(()),
            result => result.map(drop),
        }
    }

    /// Takes away what PostgreSQL grants to everybody, makes the schema of extensions, and installs the fence.
    pub(super) async fn harden_database(
        &self,
        database: &ObjectName,
        connect: Connect,
    ) -> Result<(), AdminError> {
        // Where there is no fence yet, nobody has been let in. Who waited for the first lock finds the table of the
        // later ones: by a query, since `to_regclass` would answer from memory the second time.
        let (first, later) = (sql::advisory_lock("tenantry:prepare"), fence::lock("prepare"));
        let has = |table: &str| {
            format!(
                "EXISTS (SELECT FROM pg_tables WHERE schemaname = '{SYSTEM_SCHEMA}' AND tablename = '{table}')"
            )
        };
        let (has_fences, has_locks) = (has("fences"), has("locks"));
        let name = database.quoted();
        let group = match connect {
            Connect::ByGroup => connect_group_block(database)?,
            Connect::ByName => String::new(),
        };
        let block = sql::block(
            "",
            &format!(
                "IF NOT {has_fences} THEN PERFORM {first}; END IF;
                IF {has_locks} THEN PERFORM {later}; END IF;
                REVOKE ALL ON DATABASE {name} FROM PUBLIC;
                REVOKE ALL ON SCHEMA public FROM PUBLIC;
                CREATE SCHEMA IF NOT EXISTS {EXTENSIONS_SCHEMA} AUTHORIZATION {OWNER_ROLE};
                GRANT USAGE ON SCHEMA {EXTENSIONS_SCHEMA} TO PUBLIC;
                {fence}
                {group}",
                fence = fence::install(),
            ),
        );
        self.run_in(database, "harden the database", block).await.map(drop)
    }
}

/// How roles get the right to connect to a database.
#[derive(Debug, Clone, Copy)]
pub(super) enum Connect {
    /// Through a group. A grant to each of thousands of tenants would be an entry each in one row
    /// of `pg_database`, rewritten whole by every sign-up, one at a time.
    ByGroup,
    /// Each by its name: in a database of its own there are two.
    ByName,
}

/// The group whose members may connect to a shared database, if there is one: a tenant's own
/// database has none, and its name may be too long for it.
pub(super) fn connect_group(database: &ObjectName) -> Result<ObjectName, AdminError> {
    let name = format!("tenantry_connect_{database}");
    ObjectName::parse(&name).map_err(|reason| AdminError::Name { task: "prepare the database", name, reason })
}

fn connect_group_block(database: &ObjectName) -> Result<String, AdminError> {
    let group = connect_group(database)?;
    Ok(format!(
        "IF to_regrole('{group}') IS NULL THEN CREATE ROLE {group} NOLOGIN; END IF;
        GRANT CONNECT ON DATABASE {name} TO {group};",
        name = database.quoted()
    ))
}
