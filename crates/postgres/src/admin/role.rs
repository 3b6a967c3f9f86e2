//! Roles: one per tenant, and the data plane's logins that become them. All from the shared database, which
//! holds the fences.

use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::names::{EXTENSIONS_SCHEMA, ObjectName};

use super::{
    AdminError, Done, NO_PANIC, SYSTEM_SCHEMA, ServerAdmin, fence, owner::Owner, role_limits::RoleLimits,
};
use crate::{scram, sql};

/// What a tenant's role is to be.
#[derive(Debug, Clone, Copy)]
pub struct RoleSpec<'a> {
    /// Its password, or the verifier of one.
    pub secret: &'a SecretString,
    /// The data plane's login that may become it.
    pub login: &'a ObjectName,
    /// What sessions of its own are held to.
    pub limits: RoleLimits,
    /// Whether it may log in itself.
    pub may_log_in: bool,
}

impl ServerAdmin {
    /// Whether this process has made or updated a login of the data plane.
    pub fn has_ensured_login(&self, login: &ObjectName) -> bool {
        let done = self.done.lock().expect(NO_PANIC);
        done.iter().any(|done| matches!(done, Done::Login(name, _) if name == login))
    }

    /// Makes or updates a login of the data plane: it has no rights itself and inherits none.
    ///
    /// `secret` is the password or its SCRAM verifier. From PostgreSQL 16 on it may use the connections that
    /// `reserved_connections` keeps from tenants' own sessions, where the admin may grant that.
    pub async fn ensure_login(&self, login: &ObjectName, secret: &SecretString) -> Result<(), AdminError> {
        self.ensure_login_with(login, secret, "NOINHERIT", "").await
    }

    /// The same with an attribute, and with statements after it.
    pub(super) async fn ensure_login_with(
        &self,
        login: &ObjectName,
        secret: &SecretString,
        attribute: &str,
        then: &str,
    ) -> Result<(), AdminError> {
        let done = Done::Login(login.clone(), sql::fingerprint(&[secret.expose_secret()]).into());
        if self.is_done(&done) {
            return Ok(());
        }
        let verifier = sql::literal(verifier(secret).await.expose_secret());
        let lock = fence::lock(&format!("role:{login}"));
        let (name, quoted) = (sql::literal(login.as_str()), login.quoted());
        let block = sql::block(
            "",
            &format!(
                "PERFORM {lock};
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
                    CREATE ROLE {quoted} LOGIN {attribute} PASSWORD {verifier};
                ELSE
                    ALTER ROLE {quoted} LOGIN {attribute} PASSWORD {verifier};
                END IF;
                IF current_setting('server_version_num')::int >= 160000
                    AND NOT pg_has_role({name}, 'pg_use_reserved_connections', 'USAGE') THEN
                    BEGIN
                        EXECUTE 'GRANT pg_use_reserved_connections TO {quoted} WITH INHERIT TRUE';
                    EXCEPTION WHEN insufficient_privilege THEN NULL;
                    END;
                END IF;
                {then}"
            ),
        );
        self.run("make the data plane's login", block).await?;
        self.mark_done(done);
        Ok(())
    }

    /// The verifier of a role's password, to give a role on another server the same password.
    /// `None` if there is no such role, or it has no password. Needs a superuser.
    pub async fn role_verifier(&self, role: &ObjectName) -> Result<Option<SecretString>, AdminError> {
        let task = "read the tenant's verifier";
        let mut connection = self.connection(task).await?;
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
    pub async fn drop_role(&self, owner: Owner<'_>) -> Result<(), AdminError> {
        let task = "drop the tenant's role";
        let block = fence::block(owner.fence, DECLARATIONS, &drop_role(owner));
        match self.run_past_tenants(task, block.clone()).await {
            // Named in another database, as a managed service's own that lets everybody in.
            Err(error) if error.code() == Some("2BP01") => {
                let again = owner.check_role();
                // Where Tenantry is at home, a later attempt that came here has raised the fence. Elsewhere, and where
                // none came, a role of that name and mark has nothing to lose: its own places are left out.
                let fence = owner.fence.map_or_else(String::new, |fence| {
                    format!(
                        "IF to_regprocedure('{SYSTEM_SCHEMA}.fence(uuid, bigint)') IS NOT NULL THEN {} END IF;",
                        fence.perform()
                    )
                });
                let body =
                    format!("{fence} {again} {} {}", unlink_objects(owner.name, &again), release_role(owner));
                let release = sql::block(DECLARATIONS, &body);
                for database in self.databases_that_name(owner.name).await? {
                    self.run_in(&database, task, release.clone()).await?;
                }
                self.run_past_tenants(task, block).await.map(drop)
            }
            result => result.map(drop),
        }
    }

    /// The databases that hold something of a role, or something that names it, but for the shared one and that of the
    /// role's own name: what it has there may be a later tenant's of that name.
    async fn databases_that_name(&self, role: &ObjectName) -> Result<Vec<ObjectName>, AdminError> {
        let databases = "SELECT DISTINCT datname::text FROM pg_shdepend JOIN pg_database d ON d.oid = dbid
            WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole($1)
                AND datname NOT IN ($1, current_database())";
        self.database_names(databases, role.as_str()).await
    }

    /// Suspends a role, if there is one (it may not log in, and its own sessions end) or resumes it. The data
    /// plane's login can still become it: that the data plane does not is the route's doing.
    pub async fn set_role_login(&self, owner: Owner<'_>, enabled: bool) -> Result<(), AdminError> {
        let (look, name, quoted) =
            (owner.check_role(), sql::literal(owner.name.as_str()), owner.name.quoted());
        let change = if enabled {
            allow_login(owner)
        } else {
            // Two transactions, so that the role is closed before its sessions end: in one a session could
            // begin after the look and before the commit. Each takes the fence.
            format!(
                "{look} IF found_mark IS NOT NULL THEN ALTER ROLE {quoted} NOLOGIN; END IF; COMMIT;
                {fence} {look}
                IF found_mark IS NOT NULL THEN
                    {lend}
                    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {name};
                    {give_back}
                END IF;",
                fence = fence::perform(owner.fence),
                lend = sql::lend(&name),
                give_back = sql::give_back(&name),
            )
        };
        let block = fence::block(owner.fence, "found_mark text; lent boolean;", &change);
        self.run_past_tenants("change whether the tenant may log in", block).await.map(drop)
    }
}

/// Lets a role log in, if there is one. Statements of a block that has declared `found_mark`.
pub(super) fn allow_login(owner: Owner<'_>) -> String {
    format!(
        "{look} IF found_mark IS NOT NULL THEN ALTER ROLE {role} LOGIN; END IF;",
        look = owner.check_role(),
        role = owner.name.quoted()
    )
}

/// Makes a tenant's role, or brings it to its specification; a suspended one stays suspended. Statements of a
/// block that has declared `found_mark`.
pub(super) fn ensure_role(owner: Owner<'_>, spec: &RoleSpec<'_>, verifier: &SecretString) -> String {
    let limit = spec.limits.connection_limit();
    let (name, quoted) = (sql::literal(owner.name.as_str()), owner.name.quoted());
    let (login_name, login) = (sql::literal(spec.login.as_str()), spec.login.quoted());
    format!(
        "{look}
        IF found_mark IS NULL THEN
            CREATE ROLE {quoted} {may} CONNECTION LIMIT {limit} PASSWORD {verifier};
            COMMENT ON ROLE {quoted} IS {mark};
            ALTER ROLE {quoted} SET search_path = {quoted}, {EXTENSIONS_SCHEMA};
            {set}
        ELSE
            ALTER ROLE {quoted} CONNECTION LIMIT {limit} PASSWORD {verifier};
            {reset}
        END IF;
        IF NOT EXISTS (SELECT FROM pg_auth_members
                WHERE roleid = {name}::regrole AND member = {login_name}::regrole) THEN
            EXECUTE 'GRANT {quoted} TO {login}' || CASE
                WHEN current_setting('server_version_num')::int >= 160000
                THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
        END IF;",
        look = owner.check_role(),
        set = spec.limits.set(owner.name, true),
        reset = spec.limits.set(owner.name, false),
        may = if spec.may_log_in { "LOGIN" } else { "NOLOGIN" },
        mark = sql::literal(owner.mark),
        verifier = sql::literal(verifier.expose_secret()),
    )
}

/// What the blocks declare that [`drop_role`] and [`release_role`] stand in.
const DECLARATIONS: &str = "found_mark text; lent boolean; giver name; object oid; objects oid[];";

/// Statements that drop a role, if it is there and the owner's, after its sessions.
fn drop_role(owner: Owner<'_>) -> String {
    format!(
        "{release}
        IF found_mark IS NOT NULL THEN DROP ROLE {quoted}; END IF;",
        release = release_role(owner),
        quoted = owner.name.quoted(),
    )
}

/// Statements after which a role, if it is there and the owner's, has no session and nothing in the current
/// database names it. Another tenant can name it in its own default privileges and in grants on large objects.
/// This login has the role's rights afterwards.
fn release_role(owner: Owner<'_>) -> String {
    let name = sql::literal(owner.name.as_str());
    // By way of `pg_shdepend`, which has an index for it.
    let granted = format!(
        "SELECT m.oid AS granted, pg_get_userbyid(acl.grantor) AS grantor
            FROM pg_shdepend JOIN pg_largeobject_metadata m ON m.oid = objid, aclexplode(lomacl) acl
            WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole({name}) AND deptype = 'a'
                AND classid = 'pg_largeobject'::regclass AND acl.grantee = refobjid
                AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    format!(
        "{look}
        IF found_mark IS NOT NULL THEN
            {lend}
            PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {name};
            -- `DROP OWNED` would take back only what this login granted.
            FOR giver IN SELECT DISTINCT grantor FROM ({granted}) grants LOOP
                {lend_giver}
                EXECUTE format('SET LOCAL ROLE %I', giver);
                FOR object IN SELECT DISTINCT granted FROM ({granted}) grants WHERE grantor = giver LOOP
                    EXECUTE format('REVOKE ALL ON LARGE OBJECT %s FROM {quoted} CASCADE', object);
                END LOOP;
                SET LOCAL ROLE NONE;
                {give_giver_back}
            END LOOP;
            DROP OWNED BY {quoted};
        END IF;",
        look = owner.check_role(),
        lend_giver = sql::lend("giver"),
        give_giver_back = sql::give_back("giver"),
        lend = sql::lend(&name),
        quoted = owner.name.quoted(),
    )
}

/// Statements that drop a role's large objects in the current database, which stand outside of schemas. Each takes
/// one of the locks that all sessions share, until commit: so in batches, each a transaction. `again` comes first in
/// those after the first one; it reads the mark. The block has declared `objects oid[]`, `found_mark` and `lent`.
pub(super) fn unlink_objects(role: &ObjectName, again: &str) -> String {
    let name = sql::literal(role.as_str());
    format!(
        "LOOP
            SELECT array_agg(oid) INTO objects FROM (
                SELECT oid FROM pg_largeobject_metadata
                WHERE lomowner = to_regrole({name}) AND oid > coalesce(objects[500], 0)
                ORDER BY oid LIMIT 500) batch;
            EXIT WHEN objects IS NULL;
            {lend}
            PERFORM lo_unlink(unlinked) FROM unnest(objects) AS unlinked;
            {give_back}
            EXIT WHEN objects[500] IS NULL;
            COMMIT;
            {again}
            IF found_mark IS NULL THEN RETURN; END IF;
        END LOOP;",
        lend = sql::lend(&name),
        give_back = sql::give_back(&name),
    )
}

/// The SCRAM-SHA-256 verifier of a password, hashed (2 ms) where nobody else has to wait for it. A secret that is a
/// verifier already is taken as it is.
pub async fn verifier(secret: &SecretString) -> SecretString {
    let secret = secret.clone();
    tokio::task::spawn_blocking(move || scram::verifier(&secret)).await.expect("hashing does not panic")
}
