//! What Tenantry keeps of a tenant's users, in the tenant's own schema: who they are, and who is logged in.
//!
//! Neither the tenant's role nor the logins that become it may read it. A role of its own may, on every schema of the
//! server, and a login of the data plane that can become that role and no tenant. No request of a client ever names a statement there.

use secrecy::SecretString;
use sqlx::AssertSqlSafe;
use tenantry_domain::{
    names::ObjectName,
    proof_of_user,
    user::{FirstOwner, NO_PASSWORD, Role, SESSIONS_TABLE, USERS_TABLE},
};

use super::{
    AdminError, ServerAdmin,
    owner::Owner,
    owner_transaction::{Beginning, OwnerTransaction},
    schema,
};
use crate::{sql, tenant::USERS_ROLE};

const TASK: &str = "make the tables of the tenant's users";

impl ServerAdmin {
    /// Makes or updates the login of the data plane that sees what is kept of users. Unlike those that become tenants it
    /// inherits its one role's rights: to connect is one of them.
    pub async fn ensure_users_login(
        &self,
        login: &ObjectName,
        secret: &SecretString,
    ) -> Result<(), AdminError> {
        let grant = format!(
            "IF NOT EXISTS (SELECT FROM pg_auth_members
                    WHERE roleid = '{USERS_ROLE}'::regrole AND member = {name}::regrole) THEN
                EXECUTE 'GRANT {USERS_ROLE} TO {quoted}' || CASE
                    WHEN current_setting('server_version_num')::int >= 160000
                    THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
            END IF;",
            name = sql::literal(login.as_str()),
            quoted = login.quoted(),
        );
        self.ensure_login_with(login, secret, "INHERIT", &grant).await
    }

    /// Whether there are tables of users in a tenant's schema.
    pub async fn has_users(&self, database: &ObjectName, schema: &ObjectName) -> Result<bool, AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .persistent(false)
            .bind(table(schema, USERS_TABLE))
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| self.failed(TASK, error))
    }

    /// Makes the tables of users in a tenant's schema, unless they are there.
    pub async fn add_users(&self, database: &ObjectName, owner: Owner<'_>) -> Result<(), AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        let as_admin = format!(
            "{look} {connect}",
            look = owner.check_schema(),
            connect = schema::let_connect(database, USERS_ROLE)
        );
        let tables = ensure_tables(owner.name);
        let begin =
            Beginning { schema: owner.name, fence: owner.fence, as_admin: &as_admin, as_owner: &tables };
        let revoke = sql::block("", &schema::revoke_system_tables(owner.name));
        let added =
            async { OwnerTransaction::begin(&mut connection, begin).await?.commit_after(&revoke).await };
        added.await.map_err(|error| self.failed(TASK, error))
    }
}

/// A user, and what a one-time token for him is bound to.
#[derive(Debug)]
pub struct InvitedUser {
    /// His id.
    pub id: i64,
    /// See [`proof_of_user`].
    pub proof: String,
}

impl ServerAdmin {
    /// Adds the first user of a tenant, an owner without a password, unless the address is a user's.
    pub async fn add_first_user(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        user: &FirstOwner,
    ) -> Result<InvitedUser, AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        let users = table(owner.name, USERS_TABLE);
        let look = owner.check_schema();
        let begin =
            Beginning { schema: owner.name, fence: owner.fence, as_admin: &look, as_owner: "SELECT 1" };
        let added = async {
            let mut transaction = OwnerTransaction::begin(&mut connection, begin).await?;
            let insert = format!(
                "INSERT INTO {users} (username, email, first_name, last_name, password, roles)
                VALUES ($1, $2, $3, $4, $5, ARRAY[$6]) ON CONFLICT DO NOTHING"
            );
            sqlx::query(AssertSqlSafe(insert))
                .persistent(false)
                .bind(user.username.as_str())
                .bind(user.email.as_str())
                .bind(&user.first_name)
                .bind(&user.last_name)
                .bind(NO_PASSWORD)
                .bind(Role::Owner.as_str())
                .execute(&mut *transaction)
                .await?;
            let find = format!("SELECT id, {} FROM {users} WHERE lower(email) = lower($1)", proof_of_user!());
            let (id, proof) = sqlx::query_as(AssertSqlSafe(find))
                .persistent(false)
                .bind(user.email.as_str())
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(InvitedUser { id, proof })
        };
        added.await.map_err(|error: sqlx::Error| self.failed(TASK, error))
    }
}

/// A statement that makes the tables of users, as the owner role. [`schema::revoke_system_tables`] is to come after it.
///
/// Names and addresses are compared in lower case. A session has the hash of its one refresh token that still counts, and
/// of those before it.
pub(super) fn ensure_tables(schema: &ObjectName) -> String {
    let (users, sessions) = (table(schema, USERS_TABLE), table(schema, SESSIONS_TABLE));
    sql::block(
        "",
        &format!(
            "IF to_regclass({name}) IS NULL THEN
                CREATE TABLE {users} (
                    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
                    username text NOT NULL,
                    email text NOT NULL,
                    first_name text,
                    last_name text,
                    password text NOT NULL,
                    roles text[] NOT NULL,
                    enabled boolean NOT NULL DEFAULT true,
                    failed_logins integer NOT NULL DEFAULT 0,
                    locked_until timestamptz,
                    created_at timestamptz NOT NULL DEFAULT now(),
                    last_login_at timestamptz);
                CREATE UNIQUE INDEX {USERS_TABLE}_username ON {users} (lower(username));
                CREATE UNIQUE INDEX {USERS_TABLE}_email ON {users} (lower(email));
                CREATE TABLE {sessions} (
                    id uuid PRIMARY KEY,
                    user_id bigint NOT NULL REFERENCES {users} ON DELETE CASCADE,
                    refresh_hash bytea NOT NULL,
                    used_hashes bytea[] NOT NULL DEFAULT '{{}}',
                    created_at timestamptz NOT NULL DEFAULT now(),
                    expires_at timestamptz NOT NULL);
                CREATE INDEX {SESSIONS_TABLE}_user ON {sessions} (user_id);
                CREATE INDEX {SESSIONS_TABLE}_expiry ON {sessions} (expires_at);
                GRANT USAGE ON SCHEMA {schema} TO {USERS_ROLE};
                GRANT SELECT, INSERT, UPDATE, DELETE ON {users}, {sessions} TO {USERS_ROLE};
            END IF;",
            name = sql::literal(&users),
            schema = schema.quoted(),
        ),
    )
}

/// Statements of PL/pgSQL that close a schema to those who look after its users, where it has any.
pub(super) fn keep_out(schema: &ObjectName) -> String {
    where_there_are(schema, &format!("REVOKE USAGE ON SCHEMA {} FROM {USERS_ROLE};", schema.quoted()))
}

/// Statements of PL/pgSQL that open it again.
pub(super) fn let_in(schema: &ObjectName) -> String {
    where_there_are(schema, &format!("GRANT USAGE ON SCHEMA {} TO {USERS_ROLE};", schema.quoted()))
}

fn where_there_are(schema: &ObjectName, statement: &str) -> String {
    let users = sql::literal(&table(schema, USERS_TABLE));
    format!("IF to_regclass({users}) IS NOT NULL THEN {statement} END IF;")
}

fn table(schema: &ObjectName, table: &str) -> String {
    format!("{}.{table}", schema.quoted())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Bench, mark, notes, owner};

    #[tokio::test]
    async fn nobody_else_is_given_the_tables_of_users_whatever_an_app_has_the_owner_give_to_all() {
        let bench = Bench::new("users_given").await;
        let tenant = bench.tenant("tenant_users_given", &notes()).await;
        let owned = owner(&tenant, &mark(&tenant)).name.quoted();
        let to_all = format!(
            "SET ROLE tenantry_owner; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC, {owned}; RESET ROLE"
        );
        bench.admin.run("give", to_all).await.unwrap();
        bench.admin.add_users(&bench.database, owner(&tenant, &mark(&tenant))).await.unwrap();
        // One column to all is as bad.
        let column = format!("GRANT SELECT (password) ON {owned}.{USERS_TABLE} TO PUBLIC");
        bench.admin.run("give", column).await.unwrap();
        bench.admin.add_users(&bench.database, owner(&tenant, &mark(&tenant))).await.unwrap();
        let mut session = bench.admin.session(&bench.database, TASK).await.unwrap();
        for table in [USERS_TABLE, SESSIONS_TABLE, crate::admin::MIGRATIONS_TABLE] {
            let may =
                "SELECT has_table_privilege($1, $2, 'SELECT') OR has_any_column_privilege($1, $2, 'SELECT')";
            let may: bool = sqlx::query_scalar(may)
                .bind(tenant.as_str())
                .bind(super::table(&tenant, table))
                .fetch_one(&mut *session)
                .await
                .unwrap();
            assert!(!may, "{table}");
        }
        let keep = "SET ROLE tenantry_owner; ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC; RESET ROLE";
        bench.admin.run("take back", keep.to_owned()).await.unwrap();
    }
}
