//! Roles: one per tenant, and the data plane's logins that become them.

use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::names::{EXTENSIONS_SCHEMA, ObjectName};

use super::{AdminError, Done, MAINTENANCE, ObjectKind, ServerAdmin};
use crate::{scram, sql};

impl ServerAdmin {
    /// Makes or updates a login of the data plane: it has no rights itself and inherits none.
    ///
    /// `secret` is the password or its SCRAM verifier.
    pub async fn ensure_login(&self, login: &ObjectName, secret: &SecretString) -> Result<(), AdminError> {
        let done = Done::Login(login.clone(), sql::fingerprint(&[secret.expose_secret()]).into());
        if self.is_done(&done) {
            return Ok(());
        }
        let verifier = sql::literal(scram::verifier(secret).expose_secret());
        let (lock, name, quoted) = (lock(login), sql::literal(login.as_str()), login.quoted());
        let block = sql::block(
            "",
            &format!(
                "PERFORM {lock};
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
                    CREATE ROLE {quoted} LOGIN NOINHERIT PASSWORD {verifier};
                ELSE
                    ALTER ROLE {quoted} LOGIN NOINHERIT PASSWORD {verifier};
                END IF;"
            ),
        );
        self.run(MAINTENANCE, "make the data plane's login", block).await?;
        self.mark_done(done);
        Ok(())
    }

    /// Makes or updates a tenant's role, and lets a login of the data plane become it.
    ///
    /// `secret` is the password or its SCRAM verifier, `connection_limit` the number of sessions of
    /// the tenant's own (`None`: any; the data plane's do not count). A suspended role stays so.
    pub async fn ensure_role(
        &self,
        role: &ObjectName,
        owner_mark: &str,
        secret: &SecretString,
        login: &ObjectName,
        connection_limit: Option<u32>,
    ) -> Result<(), AdminError> {
        let verifier = sql::literal(scram::verifier(secret).expose_secret());
        let limit = connection_limit.map_or(-1, i64::from);
        let (lock, name, quoted) = (lock(role), sql::literal(role.as_str()), role.quoted());
        let (mark, taken) = (sql::literal(owner_mark), ObjectKind::Role.raise_taken(role.as_str()));
        let (login_name, login) = (sql::literal(login.as_str()), login.quoted());
        let block = sql::block(
            "found_mark text;",
            // Not waiting for the disk is safe: the commit of the migration that follows flushes
            // all of the log before it, and a crash earlier repeats this step.
            &format!(
                "PERFORM set_config('synchronous_commit', 'off', true);
                PERFORM {lock};
                SELECT coalesce(shobj_description(oid, 'pg_authid'), '') INTO found_mark
                    FROM pg_roles WHERE rolname = {name};
                IF NOT FOUND THEN
                    CREATE ROLE {quoted} LOGIN PASSWORD {verifier} CONNECTION LIMIT {limit};
                    COMMENT ON ROLE {quoted} IS {mark};
                    ALTER ROLE {quoted} SET search_path = {quoted}, {EXTENSIONS_SCHEMA};
                ELSIF found_mark <> {mark} THEN
                    {taken}
                ELSE
                    ALTER ROLE {quoted} PASSWORD {verifier} CONNECTION LIMIT {limit};
                END IF;
                IF NOT pg_has_role({login_name}, {name}, 'MEMBER') THEN
                    EXECUTE 'GRANT {quoted} TO {login}' || CASE
                        WHEN current_setting('server_version_num')::int >= 160000
                        THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
                END IF;"
            ),
        );
        self.run(MAINTENANCE, "make the tenant's role", block).await.map(drop)
    }

    /// The verifier of a role's password, to give a role on another server the same password.
    /// `None` if there is no such role, or it has no password. Needs a superuser.
    pub async fn role_verifier(&self, role: &ObjectName) -> Result<Option<SecretString>, AdminError> {
        let task = "read the tenant's verifier";
        let mut connection = self.connection(MAINTENANCE, task).await?;
        let verifier: Option<Option<String>> =
            sqlx::query_scalar("SELECT rolpassword FROM pg_authid WHERE rolname = $1")
                .persistent(false)
                .bind(role.as_str())
                .fetch_optional(&mut *connection)
                .await
                .map_err(|e| self.failed(task, e))?;
        Ok(verifier.flatten().map(SecretString::from))
    }

    /// Drops a tenant's role, after all that it has rights on. That it is gone already is fine.
    pub async fn drop_role(&self, role: &ObjectName, owner_mark: &str) -> Result<(), AdminError> {
        let (lock, name, quoted) = (lock(role), sql::literal(role.as_str()), role.quoted());
        let (mark, taken) = (sql::literal(owner_mark), ObjectKind::Role.raise_taken(role.as_str()));
        let block = sql::block(
            "found_mark text;",
            &format!(
                "PERFORM {lock};
                SELECT coalesce(shobj_description(oid, 'pg_authid'), '') INTO found_mark
                    FROM pg_roles WHERE rolname = {name};
                IF NOT FOUND THEN RETURN; END IF;
                IF found_mark <> {mark} THEN {taken} END IF;
                PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {name};
                DROP ROLE {quoted};"
            ),
        );
        self.run(MAINTENANCE, "drop the tenant's role", block).await.map(drop)
    }

    /// Suspends a role, if there is one (it may not log in, and its own sessions end) or resumes it. The data
    /// plane's login can still become it: that the data plane does not is the route's doing.
    pub async fn set_role_login(&self, role: &ObjectName, enabled: bool) -> Result<(), AdminError> {
        let (lock, name, quoted) = (lock(role), sql::literal(role.as_str()), role.quoted());
        let exists = format!("to_regrole({}) IS NOT NULL", sql::literal(&quoted));
        // Two statements, so that the role is closed before its sessions end: in one transaction
        // a session could begin after the look and before the commit.
        let close = if enabled {
            format!("PERFORM {lock}; IF {exists} THEN ALTER ROLE {quoted} LOGIN; END IF;")
        } else {
            format!(
                "PERFORM {lock}; IF {exists} THEN ALTER ROLE {quoted} NOLOGIN; END IF; COMMIT;
                PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {name};"
            )
        };
        self.run(MAINTENANCE, "change whether the tenant may log in", sql::block("", &close)).await.map(drop)
    }
}

/// Two changes of one role at once fail with "tuple concurrently updated".
fn lock(role: &ObjectName) -> String {
    sql::advisory_lock(&format!("tenantry:role:{role}"))
}
