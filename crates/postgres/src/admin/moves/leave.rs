//! A placement that a tenant moves to, before it serves, and one that it has left.

use tenantry_domain::names::ObjectName;

use super::{
    super::{
        AdminError, MIGRATIONS_TABLE, ServerAdmin, fence,
        owner::Owner,
        owner_transaction::{Beginning, OwnerTransaction},
        prepare::connect_group,
    },
    contents::empty,
};
use crate::sql;

pub(super) const ANALYZE: &str = "analyze the tenant's tables";

/// A block that tells the planner what the tenant's tables hold.
pub(super) fn analyze(owner: Owner<'_>) -> String {
    let body = format!(
        "FOR known IN SELECT c.oid::regclass::text AS name FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
            WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass
                AND d.refobjid = to_regnamespace({}) AND c.relnamespace = d.refobjid AND relkind IN ('r', 'p', 'm') LOOP
            EXECUTE 'ANALYZE ' || known.name;
        END LOOP;",
        sql::literal(owner.name.quoted().as_str())
    );
    fence::block(owner.fence, "known record;", &body)
}

impl ServerAdmin {
    /// Empties the tables of a placement that does not serve yet, but for that which remembers its migrations, and keeps the tenant's own sessions out of it.
    pub async fn await_contents(&self, database: &ObjectName, owner: Owner<'_>) -> Result<(), AdminError> {
        let task = "empty the tenant's new tables";
        let quoted = owner.name.quoted();
        let as_admin =
            format!("{look} REVOKE USAGE ON SCHEMA {quoted} FROM {quoted};", look = owner.check_schema());
        let mut connection = self.connection_to(database, task).await?;
        let emptied = async {
            let begin =
                Beginning { schema: owner.name, fence: owner.fence, as_admin: &as_admin, as_owner: "SELECT" };
            let mut transaction = OwnerTransaction::begin(&mut connection, begin).await?;
            transaction.run(sql::block("known record;", &empty(owner.name, Some(MIGRATIONS_TABLE)))).await?;
            transaction.commit().await
        };
        emptied.await.map_err(|e| self.failed(task, e))
    }

    /// Tells the planner what the tables hold.
    pub async fn analyze(&self, database: &ObjectName, owner: Owner<'_>) -> Result<(), AdminError> {
        self.run_in(database, ANALYZE, self::analyze(owner)).await.map(drop)
    }

    /// Takes back what let a tenant's role into a database that it has left, where the role itself stays: the way into the
    /// database, and the data plane's login that became it there, unless that is still used. A move may have failed before it
    /// made the login.
    pub async fn forget_way_in(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        login: Option<&ObjectName>,
    ) -> Result<(), AdminError> {
        let quoted = owner.name.quoted();
        let group = connect_group(database).map_or_else(
            |_| String::new(),
            |group| {
                format!(
                    "IF pg_has_role({name}, '{group}', 'MEMBER') THEN REVOKE {group} FROM {quoted}; END IF;",
                    name = sql::literal(owner.name.as_str())
                )
            },
        );
        let login = login.map_or_else(String::new, |login| {
            let (name, login) = (sql::literal(login.as_str()), login.quoted());
            format!("IF EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN REVOKE {quoted} FROM {login}; END IF;")
        });
        let body = format!(
            "{look}
            IF found_mark IS NULL THEN RETURN; END IF;
            IF EXISTS (SELECT FROM pg_database WHERE datname = {database}) THEN
                PERFORM {lock};
                REVOKE CONNECT ON DATABASE {quoted_database} FROM {quoted};
                IF to_regrole('{quoted}') IS NOT NULL THEN {group} END IF;
            END IF;
            {login}",
            look = owner.check_role(),
            database = sql::literal(database.as_str()),
            quoted_database = database.quoted(),
            lock = fence::lock("connect"),
        );
        let block = fence::block(owner.fence, "found_mark text;", &body);
        self.run("close what the tenant has left", block).await.map(drop)
    }
}
