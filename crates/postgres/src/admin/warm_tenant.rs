//! Warm tenants of the shared database: finished, without a name. Signing a tenant up takes one and names it,
//! which renames every object at once and costs a fraction of making it.

use rand::Rng;
use tenantry_domain::{
    app::{App, AppVersion},
    names::{EXTENSIONS_SCHEMA, ObjectName},
};

use super::{AdminError, Done, RoleLimits, RoleSpec, ServerAdmin, fence, owner::Owner, schema, template};
use crate::sql;

/// What the names of all warm tenants' roles and schemas begin with.
pub const WARM_TENANT_PREFIX: &str = "tenantry_warm_t_";

/// What became of a warm tenant that was to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warmed {
    /// It is there, with these tables.
    Ready(ObjectName, AppVersion),
    /// The app's objects hold the schema's name as text, so a name given later would not reach it; tenants of
    /// this app are made one by one.
    Unnamable,
}

/// The mark on what nobody has yet.
fn mark(label: &str) -> String {
    format!("tenantry:warm:{label}")
}

/// The mark on what nobody may take any more: it is being dropped.
fn dropped_mark(label: &str) -> String {
    format!("tenantry:dropped:{label}")
}

impl ServerAdmin {
    /// Makes one warm tenant of an app at its newest version, in the shared database. Its role may not log in
    /// until it is named.
    pub async fn add_warm_tenant(
        &self,
        app: &App,
        label: &str,
        role: &RoleSpec<'_>,
    ) -> Result<Warmed, AdminError> {
        let task = "keep tenants ready";
        let name = format!("{WARM_TENANT_PREFIX}{:016x}", rand::rng().next_u64());
        let name = ObjectName::parse(&name).map_err(|reason| AdminError::Name { task, name, reason })?;
        let mark = mark(label);
        let owner = Owner { name: &name, mark: &mark, fence: None };
        let report = self.create_schema(owner, &RoleSpec { may_log_in: false, ..*role }, app).await?;
        let Some(version) = report.to else {
            self.drop_warm_tenant(&name, label).await?;
            return Ok(Warmed::Unnamable);
        };
        // What is made from the same holds the same.
        let namable = Done::Namable(template::hash(app, label).into());
        if self.is_done(&namable) {
            return Ok(Warmed::Ready(name, version));
        }
        // Looked at where the schema comes first on the path, so that its own objects are printed bare.
        let look = sql::block(
            "",
            &format!(
                "{}; IF {} THEN RAISE EXCEPTION USING ERRCODE = '{UNNAMABLE}', MESSAGE = 'holds its name'; END IF;",
                schema::become_owner(&name, "SET LOCAL"),
                schema::holds_its_name(&name)
            ),
        );
        match self.run(task, look).await {
            Ok(_) => self.mark_done(namable),
            Err(error) if error.code() == Some(UNNAMABLE) => {
                self.drop_warm_tenant(&name, label).await?;
                return Ok(Warmed::Unnamable);
            }
            Err(error) => return Err(error),
        }
        Ok(Warmed::Ready(name, version))
    }

    /// Makes a warm tenant the owner's, in one transaction under the fence: the names of schema and role, the
    /// marks, and that it may log in. False, and nothing is changed, if there is no such warm tenant any more, or if
    /// the owner has a role or a schema already: an earlier try may have left it, with another password and another login.
    pub async fn name_warm_tenant(
        &self,
        owner: Owner<'_>,
        limits: &RoleLimits,
        warm: &ObjectName,
        label: &str,
    ) -> Result<bool, AdminError> {
        let (from, to) = (warm.quoted(), owner.name.quoted());
        let (mark, warm_mark) = (sql::literal(owner.mark), sql::literal(&mark(label)));
        let body = format!(
            "{check_role}
            IF found_mark IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = '{GONE}', MESSAGE = 'the tenant was begun before';
            END IF;
            {check_schema}
            IF found_mark IS NOT NULL OR (SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace
                    WHERE nspname = {name}) IS DISTINCT FROM {warm_mark} THEN
                RAISE EXCEPTION USING ERRCODE = '{GONE}', MESSAGE = 'no such warm tenant';
            END IF;
            ALTER SCHEMA {from} RENAME TO {to};
            COMMENT ON SCHEMA {to} IS {mark};
            ALTER ROLE {from} RENAME TO {to};
            COMMENT ON ROLE {to} IS {mark};
            ALTER ROLE {to} SET search_path = {to}, {EXTENSIONS_SCHEMA};
            {set}
            ALTER ROLE {to} LOGIN CONNECTION LIMIT {limit};",
            check_role = owner.check_role(),
            check_schema = owner.check_schema(),
            name = sql::literal(warm.as_str()),
            set = limits.set(owner.name, true),
            limit = limits.connection_limit(),
        );
        let block = fence::block(owner.fence, "found_mark text;", &body);
        match self.run("name the tenant", block).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(GONE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Drops a warm tenant that nobody takes any more. Under a fence where an operation had taken it.
    pub async fn drop_warm_tenant(&self, name: &ObjectName, label: &str) -> Result<(), AdminError> {
        self.drop_taken_warm_tenant(name, label, None).await
    }

    /// As [`ServerAdmin::drop_warm_tenant`], of an operation that had taken it and did not name it.
    pub async fn drop_taken_warm_tenant(
        &self,
        name: &ObjectName,
        label: &str,
        fence: Option<fence::Fence>,
    ) -> Result<(), AdminError> {
        let (mark, dropped) = (mark(label), dropped_mark(label));
        // First, for dropping may take several transactions.
        let no_more = format!(
            "IF EXISTS (SELECT FROM pg_namespace WHERE nspname = {literal}
                    AND obj_description(oid, 'pg_namespace') = {mark}) THEN
                COMMENT ON SCHEMA {quoted} IS {dropped};
            END IF;
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = {literal}
                    AND shobj_description(oid, 'pg_authid') = {mark}) THEN
                COMMENT ON ROLE {quoted} IS {dropped};
            END IF;",
            literal = sql::literal(name.as_str()),
            quoted = name.quoted(),
            mark = sql::literal(&mark),
            dropped = sql::literal(&dropped),
        );
        self.run("drop a warm tenant", fence::block(fence, "", &no_more)).await?;
        let owner = Owner { name, mark: &dropped, fence };
        self.drop_schema(owner).await?;
        self.drop_role(owner).await
    }

    /// The names of all warm tenants of a label on the server, whether the registry knows them or not, those
    /// included that are being dropped.
    pub async fn warm_tenants(&self, label: &str) -> Result<Vec<ObjectName>, AdminError> {
        let task = "list warm tenants";
        let mut connection = self.connection(task).await?;
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, $1)
                 AND shobj_description(oid, 'pg_authid') = ANY ($2)",
        )
        .persistent(false)
        .bind(WARM_TENANT_PREFIX)
        .bind([mark(label), dropped_mark(label)])
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| self.failed(task, e))?;
        names.into_iter().map(super::template::name).collect()
    }
}

/// With which our own SQL says that a name given later would not reach everything.
const UNNAMABLE: &str = "TNY03";

/// With which our own SQL says that a warm tenant is gone.
const GONE: &str = "TNY04";
