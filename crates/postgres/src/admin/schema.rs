//! A tenant's schema: made, adopted from a template, filled, dropped.

use sqlx::AssertSqlSafe;
use tenantry_domain::{
    app::App,
    names::{EXTENSIONS_SCHEMA, ObjectName, SYSTEM_TABLE_PREFIX},
};

use super::{
    AdminError, MigrationReport, OWNER_ROLE, ObjectKind, ServerAdmin, TEMPLATE_SCHEMA,
    owner_transaction::OwnerTransaction, prepare::connect_group,
};
use crate::sql;

impl ServerAdmin {
    /// Makes a tenant's schema in a database, and lets its role (of the same name) use what the
    /// owner role makes in it: rows of tables and sequences, never definitions.
    ///
    /// The role and the login exist already.
    pub async fn ensure_schema(
        &self,
        database: &ObjectName,
        schema: &ObjectName,
        owner_mark: &str,
        login: &ObjectName,
    ) -> Result<(), AdminError> {
        let (name, quoted) = (sql::literal(schema.as_str()), schema.quoted());
        let (mark, taken) = (sql::literal(owner_mark), ObjectKind::Schema.raise_taken(schema.as_str()));
        let block = sql::block(
            "found_mark text;",
            &format!(
                "PERFORM {lock};
                SELECT coalesce(obj_description(oid, 'pg_namespace'), '') INTO found_mark
                    FROM pg_namespace WHERE nspname = {name};
                IF NOT FOUND THEN
                    CREATE SCHEMA {quoted} AUTHORIZATION {OWNER_ROLE};
                    COMMENT ON SCHEMA {quoted} IS {mark};
                ELSIF found_mark <> {mark} THEN
                    {taken}
                END IF;
                {rights}
                {connect}",
                lock = lock(schema),
                rights = rights(schema),
                connect = connect(database, schema, login),
            ),
        );
        self.run(database.as_str(), "make the tenant's schema", block).await.map(drop)
    }

    /// Gives the app's tables in a database made from a template to the tenant (the template's
    /// schema gets the tenant's name, and the tenant's role its rights), and brings them to the app's
    /// newest version, should the template be of an older one.
    ///
    /// Both on one connection: the first ones to a new database cost more than all that they do.
    pub async fn adopt_template_schema(
        &self,
        database: &ObjectName,
        schema: &ObjectName,
        owner_mark: &str,
        login: &ObjectName,
        app: &App,
    ) -> Result<MigrationReport, AdminError> {
        let task = "adopt the template's schema";
        let (name, quoted) = (sql::literal(schema.as_str()), schema.quoted());
        let (mark, taken) = (sql::literal(owner_mark), ObjectKind::Schema.raise_taken(schema.as_str()));
        let block = sql::block(
            "found_mark text;",
            &format!(
                "PERFORM {lock};
                SELECT coalesce(obj_description(oid, 'pg_namespace'), '') INTO found_mark
                    FROM pg_namespace WHERE nspname = {name};
                IF NOT FOUND THEN
                    ALTER SCHEMA {TEMPLATE_SCHEMA} RENAME TO {quoted};
                    COMMENT ON SCHEMA {quoted} IS {mark};
                ELSIF found_mark <> {mark} THEN
                    {taken}
                END IF;
                {rights}
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {quoted} TO {quoted};
                GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {quoted} TO {quoted};
                {system}
                {connect}",
                lock = lock(schema),
                rights = rights(schema),
                system = revoke_system_tables(schema),
                connect = connect(database, schema, login),
            ),
        );
        let mut connection = self.connection(database.as_str(), task).await?;
        let adopted = sqlx::raw_sql(AssertSqlSafe(block)).execute(&mut *connection).await;
        adopted.map_err(|e| self.failed(task, e))?;
        self.migrate_on(connection, schema, app, None).await
    }

    /// Runs SQL in a tenant's schema as the owner role, in one transaction: an app's default data,
    /// or Tenantry's own tables next to the tenant's. Idempotent as far as the SQL is.
    pub async fn seed(
        &self,
        database: &ObjectName,
        schema: &ObjectName,
        seed: &str,
    ) -> Result<(), AdminError> {
        let task = "run the app's seed";
        let mut connection = self.connection(database.as_str(), task).await?;
        let seeded = async {
            let mut transaction = OwnerTransaction::begin(self, &mut connection, schema, "").await?;
            transaction.run(seed.to_owned()).await?;
            transaction.run(sql::block("", &revoke_system_tables(schema))).await?;
            transaction.commit().await
        };
        seeded.await.map_err(|e| self.failed(task, e))
    }

    /// Drops a tenant's schema with all that is in it. That it or its database is gone is fine.
    pub async fn drop_schema(
        &self,
        database: &ObjectName,
        schema: &ObjectName,
        owner_mark: &str,
    ) -> Result<(), AdminError> {
        let (name, quoted) = (sql::literal(schema.as_str()), schema.quoted());
        let (mark, taken) = (sql::literal(owner_mark), ObjectKind::Schema.raise_taken(schema.as_str()));
        let block = sql::block(
            "found_mark text; tables text;",
            // The lock: should somebody be making it, who was given up, it is seen afterwards.
            // Each table, index and sequence takes one of the locks that all sessions share, until
            // commit: many of them go in batches. Large objects stand outside of schemas.
            &format!(
                "PERFORM {lock};
                SELECT coalesce(obj_description(oid, 'pg_namespace'), '') INTO found_mark
                    FROM pg_namespace WHERE nspname = {name};
                IF NOT FOUND THEN RETURN; END IF;
                IF found_mark <> {mark} THEN {taken} END IF;
                WHILE (SELECT count(*) > 300 FROM {relations} WHERE relkind IN ('r', 'p')) LOOP
                    SELECT string_agg(format('%I.%I', {name}, relname), ', ') INTO tables FROM (
                        SELECT relname FROM {relations} WHERE relkind IN ('r', 'p')
                        ORDER BY relispartition DESC, oid LIMIT 100) batch;
                    EXECUTE 'DROP TABLE ' || tables || ' CASCADE';
                    COMMIT;
                END LOOP;
                PERFORM lo_unlink(oid) FROM pg_largeobject_metadata WHERE lomowner = to_regrole({name});
                DROP SCHEMA {quoted} CASCADE;",
                lock = lock(schema),
                relations = relations(schema),
            ),
        );
        match self.run(database.as_str(), "drop the tenant's schema", block).await {
            Err(error) if error.is_missing_database() => Ok(()),
            result => result.map(drop),
        }
    }

    pub(super) fn become_owner(&self, schema: &ObjectName, set: &str) -> String {
        format!(
            "{set} lock_timeout = {timeout}; {set} ROLE {OWNER_ROLE}; \
             {set} search_path = {quoted}, {EXTENSIONS_SCHEMA}",
            timeout = self.limits.lock_timeout.as_millis(),
            quoted = schema.quoted()
        )
    }
}

/// The lock of a tenant's schema: per tenant, where sqlx would take one per database.
pub(super) fn lock(schema: &ObjectName) -> String {
    sql::advisory_lock(&lock_name(schema))
}

pub(super) fn lock_name(schema: &ObjectName) -> String {
    format!("tenantry:schema:{schema}")
}

/// What a tenant's role may do with what the owner role makes in its schema.
fn rights(schema: &ObjectName) -> String {
    let quoted = schema.quoted();
    format!(
        "GRANT USAGE ON SCHEMA {quoted} TO {quoted};
        ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER_ROLE} IN SCHEMA {quoted}
            GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {quoted};
        ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER_ROLE} IN SCHEMA {quoted}
            GRANT USAGE, SELECT ON SEQUENCES TO {quoted};"
    )
}

/// Lets the tenant and the data plane's login into the database: through the group of a shared
/// database, by name into one of the tenant's own.
fn connect(database: &ObjectName, role: &ObjectName, login: &ObjectName) -> String {
    // Two grants on one database at once fail with "tuple concurrently updated".
    let by_name = |role: &ObjectName| {
        let lock = sql::advisory_lock("tenantry:connect");
        format!("PERFORM {lock}; GRANT CONNECT ON DATABASE {} TO {};", database.quoted(), role.quoted())
    };
    let unless_may = |role: &ObjectName, grant: &str| {
        format!("IF NOT has_database_privilege('{role}', '{database}', 'CONNECT') THEN {grant} END IF;")
    };
    let role_grant = match connect_group(database) {
        Ok(group) => format!(
            "IF to_regrole('{group}') IS NOT NULL THEN GRANT {group} TO {}; ELSE {} END IF;",
            role.quoted(),
            by_name(role)
        ),
        // A name too long for a group is not that of a shared database.
        Err(_) => by_name(role),
    };
    unless_may(role, &role_grant) + &unless_may(login, &by_name(login))
}

/// The tables, sequences and views of a schema. By way of `pg_depend`, which has an index for it:
/// `pg_class` has none on the schema, and holds the relations of all tenants.
fn relations(schema: &ObjectName) -> String {
    format!(
        "(SELECT c.* FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
            WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass
                AND d.refobjid = {}::regnamespace) relation",
        sql::literal(schema.as_str())
    )
}

/// Tables of Tenantry's own next to the tenant's are not the tenant's to read or write.
fn revoke_system_tables(schema: &ObjectName) -> String {
    let (name, quoted) = (sql::literal(schema.as_str()), schema.quoted());
    format!(
        "IF to_regrole({name}) IS NOT NULL THEN
            EXECUTE (SELECT coalesce(string_agg(format('REVOKE ALL ON %s %I.%I FROM {quoted};',
                    CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, {name}, relname), ''), '')
                FROM {relations}
                WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                    AND starts_with(relname, '{SYSTEM_TABLE_PREFIX}')
                    AND EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee = to_regrole({name})));
        END IF;",
        relations = relations(schema),
    )
}
