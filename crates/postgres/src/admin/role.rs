//! Roles: one per tenant, and the data plane's logins that become them.

use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::names::{EXTENSIONS_SCHEMA, ObjectName};

use super::{AdminError, Done, MAINTENANCE, NO_PANIC, ObjectKind, ServerAdmin};
use crate::{scram, sql};

impl ServerAdmin {
    /// Whether this process has made or updated a login of the data plane.
    pub fn has_ensured_login(&self, login: &ObjectName) -> bool {
        let done = self.done.lock().expect(NO_PANIC);
        done.iter().any(|done| matches!(done, Done::Login(name, _) if name == login))
    }

    /// Makes or updates a login of the data plane: it has no rights itself and inherits none.
    ///
    /// `secret` is the password or its SCRAM verifier.
    pub async fn ensure_login(&self, login: &ObjectName, secret: &SecretString) -> Result<(), AdminError> {
        let done = Done::Login(login.clone(), sql::fingerprint(&[secret.expose_secret()]).into());
        if self.is_done(&done) {
            return Ok(());
        }
        let verifier = sql::literal(verifier(secret).await.expose_secret());
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

    /// Makes a tenant's role, and lets a login of the data plane become it. It may log in itself once
    /// it has a password (see [`ServerAdmin::set_role_password`]). A suspended role stays so.
    ///
    /// `connection_limit` is the number of sessions of the tenant's own (`None`: any; the data
    /// plane's do not count).
    pub async fn ensure_role(
        &self,
        role: &ObjectName,
        owner_mark: &str,
        login: &ObjectName,
        connection_limit: Option<u32>,
    ) -> Result<(), AdminError> {
        let limit = connection_limit.map_or(-1, i64::from);
        let (name, quoted) = (sql::literal(role.as_str()), role.quoted());
        let (login_name, login) = (sql::literal(login.as_str()), login.quoted());
        let block = sql::block(
            "found_mark text;",
            &format!(
                "{look}
                IF found_mark IS NULL THEN
                    CREATE ROLE {quoted} LOGIN CONNECTION LIMIT {limit};
                    COMMENT ON ROLE {quoted} IS {mark};
                    ALTER ROLE {quoted} SET search_path = {quoted}, {EXTENSIONS_SCHEMA};
                ELSE
                    ALTER ROLE {quoted} CONNECTION LIMIT {limit};
                END IF;
                IF NOT EXISTS (SELECT FROM pg_auth_members
                        WHERE roleid = {name}::regrole AND member = {login_name}::regrole) THEN
                    EXECUTE 'GRANT {quoted} TO {login}' || CASE
                        WHEN current_setting('server_version_num')::int >= 160000
                        THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
                END IF;",
                look = look(role, owner_mark),
                mark = sql::literal(owner_mark),
            ),
        );
        self.run(MAINTENANCE, "make the tenant's role", block).await.map(drop)
    }

    /// Gives a tenant's role its password, or the verifier of one. By itself, because PostgreSQL
    /// takes its time: it hashes 4,096 times to see that the password is not empty.
    pub async fn set_role_password(
        &self,
        role: &ObjectName,
        owner_mark: &str,
        secret: &SecretString,
    ) -> Result<(), AdminError> {
        let verifier = sql::literal(verifier(secret).await.expose_secret());
        let block = sql::block(
            "found_mark text;",
            &format!(
                "{look} ALTER ROLE {quoted} PASSWORD {verifier};",
                look = look(role, owner_mark),
                quoted = role.quoted(),
            ),
        );
        self.run(MAINTENANCE, "set the password of the tenant's role", block).await.map(drop)
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
        let (name, quoted) = (sql::literal(role.as_str()), role.quoted());
        let block = sql::block(
            "found_mark text;",
            &format!(
                "{look}
                IF found_mark IS NULL THEN RETURN; END IF;
                PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {name};
                DROP ROLE {quoted};",
                look = look(role, owner_mark),
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

/// The verifier of a secret, hashed (2 ms) where nobody else has to wait for it.
async fn verifier(secret: &SecretString) -> SecretString {
    let secret = secret.clone();
    tokio::task::spawn_blocking(move || scram::verifier(&secret)).await.expect("hashing does not panic")
}

/// Reads a role's mark into `found_mark` (null: there is no such role) and ends the block if it is another's.
fn look(role: &ObjectName, owner_mark: &str) -> String {
    let (lock, name, mark) = (lock(role), sql::literal(role.as_str()), sql::literal(owner_mark));
    let taken = ObjectKind::Role.raise_taken(role.as_str());
    format!(
        "PERFORM {lock};
        SELECT coalesce(shobj_description(oid, 'pg_authid'), '') INTO found_mark
            FROM pg_roles WHERE rolname = {name};
        IF found_mark <> {mark} THEN {taken} END IF;"
    )
}

/// Two changes of one role at once fail with "tuple concurrently updated".
fn lock(role: &ObjectName) -> String {
    sql::advisory_lock(&format!("tenantry:role:{role}"))
}
